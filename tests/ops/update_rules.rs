//! The optimizers' rules: 50 steps against PyTorch and the published formulas (golden/make_update.py) in f64, and each f32 step within
//! 2 ulp of the f64 rule, written out here once more as whole-tensor loops.

use crate::{down, up};
use imagenet_engine::backend::{Counters, Memory, ParamGroup, ParamGroups, Update, UpdateRule, UpdateTable};
use imagenet_engine::cpu::{Cpu, Real};
use imagenet_engine::optim::{AdamW, Lamb, Lars, Lion, Sgd};
use serde_json::Value;

const STEPS: u64 = 50;

/// Parameters and state.
type Arenas = (Vec<f64>, Vec<f64>);

fn mix(v: u64) -> u64 {
    let z = v.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// In [-scale, scale), exact in f32 for powers of two.
fn uniform(stream: u64, count: usize, scale: f64) -> impl Iterator<Item = f64> {
    (0..count as u64).map(move |i| ((mix((stream << 32) + i) >> 40) as f64 / 8_388_608.0 - 1.0) * scale)
}

/// Two tensors, the second without weight decay.
fn tensors(sizes: [usize; 2]) -> Vec<f64> {
    uniform(0, sizes[0], 1.0).chain(uniform(1, sizes[1], 0.5)).collect()
}

fn gradients(sizes: [usize; 2], step: u64) -> Vec<f64> {
    uniform(100 + 10 * step, sizes[0], 0.25).chain(uniform(101 + 10 * step, sizes[1], 0.25)).collect()
}

fn table(peak: f64) -> UpdateTable {
    let lr = (0..STEPS).map(|s| peak * (1 + s % 7) as f64 / 7.0).collect();
    let momentum = (0..STEPS).map(|s| [0.85, 0.9, 0.95][s as usize % 3]).collect();
    UpdateTable { lr, momentum, average_decay: Vec::new() }
}

fn groups(sizes: [usize; 2], weight_decay: f64) -> ParamGroups {
    ParamGroups(vec![ParamGroup { end: sizes[0], weight_decay }, ParamGroup { end: sizes[0] + sizes[1], weight_decay: 0.0 }])
}

/// Parameters and state through `rule`, one update after `done` of them.
fn step<T: Real, R: UpdateRule>(rule: R, sizes: [usize; 2], (peak, wd): (f64, f64), done: u64, p: &[f64], state: &[f64]) -> Arenas {
    let cpu = Cpu::<T>::new();
    let (mut params, grads, mut own) = (up(&cpu, p), up(&cpu, &gradients(sizes, done)), up(&cpu, state));
    let mut control = cpu.control(p.len(), &table(peak), Counters { step: done, skipped: 0 }).unwrap();
    cpu.measure(&mut control, None, Cpu::<T>::all(&grads)).unwrap();
    cpu.update(&rule, &mut control, &groups(sizes, wd), Cpu::<T>::all_mut(&mut params), Cpu::<T>::all(&grads), &mut own).unwrap();
    (down(&cpu, &params), down(&cpu, &own))
}

/// The rules as loops over whole tensors, `decay` being the tensor's.
fn oracle(name: &str, t: &Tensor<'_>, p: &mut [f64], state: [&mut [f64]; 2]) {
    let [a, b] = state;
    // compensated (Neumaier): a step that lands next to zero magnifies what a plain sum of 40,000 squares loses
    let norm = |v: &[f64]| {
        let (mut sum, mut lost) = (0.0f64, 0.0);
        for square in v.iter().map(|x| x * x) {
            let next = sum + square;
            lost += if sum >= square { (sum - next) + square } else { (square - next) + sum };
            sum = next;
        }
        (sum + lost).sqrt()
    };
    let (c1, c2) = (1.0 - t.mu.powf(t.t), 1.0 - t.beta2.powf(t.t));
    let moments = |a: &mut [f64], b: &mut [f64]| {
        for i in 0..t.g.len() {
            a[i] = t.mu * a[i] + (1.0 - t.mu) * t.g[i];
            b[i] = t.beta2 * b[i] + (1.0 - t.beta2) * t.g[i] * t.g[i];
        }
    };
    match name {
        "sgd" | "sgd-nesterov" | "sgd-dampening" => {
            let damping = if name == "sgd-dampening" && t.t > 1.0 { 0.7 } else { 1.0 };
            for i in 0..p.len() {
                let g = t.g[i] + t.decay * p[i];
                a[i] = if t.t == 1.0 { g } else { t.mu * a[i] + damping * g };
                p[i] -= t.lr * if name == "sgd-nesterov" { g + t.mu * a[i] } else { a[i] };
            }
        }
        "adamw" => {
            moments(a, b);
            for i in 0..p.len() {
                p[i] *= 1.0 - t.lr * t.decay;
                p[i] -= t.lr * (a[i] / c1) / ((b[i] / c2).sqrt() + 1e-8);
            }
        }
        "lion" => {
            for i in 0..p.len() {
                let c = t.mu * a[i] + (1.0 - t.mu) * t.g[i];
                p[i] -= t.lr * (if c == 0.0 { 0.0 } else { c.signum() } + t.decay * p[i]);
                a[i] = t.beta2 * a[i] + (1.0 - t.beta2) * t.g[i];
            }
        }
        "lars" | "lars-nesterov" => {
            let (w, g) = (norm(p), norm(t.g));
            let trust = if t.decay > 0.0 { 0.02 * w / (g + t.decay * w + 1e-8) } else { 1.0 };
            for i in 0..p.len() {
                let g = (t.g[i] + t.decay * p[i]) * trust;
                a[i] = t.mu * a[i] + g;
                p[i] -= t.lr * if name == "lars-nesterov" { g + t.mu * a[i] } else { a[i] };
            }
        }
        "lamb" => {
            moments(a, b);
            let u: Vec<f64> = (0..p.len()).map(|i| a[i] / c1 / ((b[i] / c2).sqrt() + 1e-6) + t.decay * p[i]).collect();
            let trust = if t.decay > 0.0 { norm(p) / norm(&u) } else { 1.0 };
            p.iter_mut().zip(u).for_each(|(p, u)| *p -= t.lr * trust * u);
        }
        other => panic!("{other}"),
    }
}

struct Tensor<'a> {
    g: &'a [f64],
    decay: f64,
    lr: f64,
    mu: f64,
    beta2: f64,
    /// Counted from 1.
    t: f64,
}

/// One oracle step of both tensors. `state` is as the engine's: whole arenas one after the other.
fn oracle_step(name: &str, beta2: f64, sizes: [usize; 2], (peak, wd): (f64, f64), done: u64, p: &mut [f64], state: &mut [f64]) {
    let (table, g, len) = (table(peak), gradients(sizes, done), sizes[0] + sizes[1]);
    let mut second = vec![0.0; len];
    let (a, rest) = state.split_at_mut(len);
    let b = if rest.is_empty() { &mut second[..] } else { rest };
    for (range, decay) in [(0..sizes[0], wd), (sizes[0]..len, 0.0)] {
        let i = done as usize;
        let tensor = Tensor { g: &g[range.clone()], decay, lr: table.lr[i], mu: table.momentum[i], beta2, t: (done + 1) as f64 };
        oracle(name, &tensor, &mut p[range.clone()], [&mut a[range.clone()], &mut b[range]]);
    }
}

/// Distance in units of the last place of f32 at `exact`.
fn ulps(got: f64, exact: f64) -> f64 {
    let ulp = 2f64.powi(exact.abs().max(f64::from(f32::MIN_POSITIVE)).log2().floor() as i32 - 23);
    (got - exact).abs() / ulp
}

fn check<R: UpdateRule>(rule: R, name: &str, beta2: f64, at: (f64, f64)) {
    let golden: Value = serde_json::from_str(include_str!("golden/update.json")).unwrap();
    assert_eq!(golden["torch"], "2.11.0");
    let torch: Vec<f64> = golden["runs"][name].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
    let close = |p: &[f64]| p.iter().zip(&torch).map(|(x, y)| (x - y).abs() / y.abs().max(0.01)).fold(0.0, f64::max);

    // 50 steps in f64: the engine and the loops below, both against torch or the published formulas
    let sizes = [40, 9];
    let (mut ours, mut loops) = ((tensors(sizes), vec![0.0; R::STATE * 49]), (tensors(sizes), vec![0.0; R::STATE * 49]));
    for done in 0..STEPS {
        ours = step::<f64, R>(rule, sizes, at, done, &ours.0, &ours.1);
        oracle_step(name, beta2, sizes, at, done, &mut loops.0, &mut loops.1);
    }
    assert!(close(&ours.0) < 1e-12 && close(&loops.0) < 1e-12, "{name}: {:e}, loops {:e}", close(&ours.0), close(&loops.0));
    assert!(close(&tensors(sizes)) > 1e-2, "{name}: 50 steps must go somewhere");

    // each of 50 steps in f32 from where the last one left off, tensors of several pieces, one of them ragged
    let (sizes, mut worst) = ([40_003, 9_001], 0.0f64);
    let len = sizes[0] + sizes[1];
    let (mut p, mut state) = (tensors(sizes), vec![0.0; R::STATE * len]);
    for done in 0..STEPS {
        let mut exact = (p.clone(), state.clone());
        oracle_step(name, beta2, sizes, at, done, &mut exact.0, &mut exact.1);
        (p, state) = step::<f32, R>(rule, sizes, at, done, &p, &state);
        let each = p.iter().chain(&state).zip(exact.0.iter().chain(&exact.1));
        worst = each.map(|(got, exact)| ulps(*got, *exact)).fold(worst, f64::max);
    }
    println!("{name}: at most {worst:.3} ulp from the f64 rule over {STEPS} steps of {len} parameters");
    assert!(worst <= 2.0, "{name}: {worst} ulp");
}

#[test]
fn sgd() {
    check(Sgd { nesterov: false, dampening: 0.0 }, "sgd", 0.0, (0.1, 1e-2));
    check(Sgd { nesterov: true, dampening: 0.0 }, "sgd-nesterov", 0.0, (0.1, 1e-2));
    check(Sgd { nesterov: false, dampening: 0.3 }, "sgd-dampening", 0.0, (0.1, 1e-2));
}

#[test]
fn adamw() {
    check(AdamW { beta2: 0.99, eps: 1e-8 }, "adamw", 0.99, (0.02, 0.1));
}

#[test]
fn lion() {
    check(Lion { beta2: 0.99 }, "lion", 0.99, (0.01, 0.3));
}

#[test]
fn lars() {
    check(Lars { trust_coefficient: 0.02, eps: 1e-8, nesterov: false }, "lars", 0.0, (2.0, 1e-2));
    check(Lars { trust_coefficient: 0.02, eps: 1e-8, nesterov: true }, "lars-nesterov", 0.0, (2.0, 1e-2));
}

#[test]
fn lamb() {
    check(Lamb { beta2: 0.999, eps: 1e-6 }, "lamb", 0.999, (0.02, 0.1));
}

/// Porting traps, each far outside the tolerance: burn's dampening and eps, torch's first buffer, Lion's buffer moved before the step.
#[test]
fn the_traps_are_noticed() {
    let sizes = [40, 9];
    fn run(first: impl Fn(u64, &[f64], &[f64]) -> Arenas, state: usize) -> Vec<f64> {
        let sizes = [40, 9];
        let mut at = (tensors(sizes), vec![0.0; state * 49]);
        for done in 0..3 {
            at = first(done, &at.0, &at.1);
        }
        at.0
    }
    let apart = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max);
    let sgd = |dampening| {
        let rule = Sgd { nesterov: false, dampening };
        run(|done, p, s| step::<f64, _>(rule, sizes, (0.1, 1e-2), done, p, s), 1)
    };
    assert!(apart(&sgd(0.0), &sgd(0.1)) > 1e-3);
    let adam = |eps| run(|done, p, s| step::<f64, _>(AdamW { beta2: 0.99, eps }, sizes, (0.02, 0.1), done, p, s), 2);
    assert!(apart(&adam(1e-8), &adam(1e-5)) > 1e-7);
    let lion = |beta2| run(|done, p, s| step::<f64, _>(Lion { beta2 }, sizes, (0.01, 0.3), done, p, s), 1);
    assert!(apart(&lion(0.99), &lion(0.9)) > 1e-3);
}
