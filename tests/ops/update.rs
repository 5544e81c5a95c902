//! What surrounds a rule: groups, tables, counters, norms and clipping, updates left out, the moving average, pieces and threads.

use crate::common::normal;
use crate::common::tolerance::equal;
use crate::{bits, down, on_threads, up};
use imagenet_engine::backend::{BatchMetrics, Counters, Hyper, Measured, Memory, ParamGroup, ParamGroups, Update, UpdateRule, UpdateTable};
use imagenet_engine::cpu::{Control, Cpu, Real};
use serde_json::Value;

/// SGD with momentum, and a second number of state that counts the updates.
#[derive(Clone, Copy)]
struct Counting;
impl UpdateRule for Counting {
    const NAME: &'static str = "counting";
    const STATE: usize = 2;
    type Step = Hyper;
    fn begin(&self, hyper: &Hyper) -> Hyper {
        *hyper
    }
    fn update(&self, h: &Hyper, trust: f64, p: f64, g: f64, state: &mut [f64]) -> f64 {
        assert_eq!((state[1], trust), (h.applied as f64, 1.0));
        state[1] += 1.0;
        state[0] = h.momentum * state[0] + (g + h.weight_decay * p);
        p - h.lr * state[0]
    }
}

/// Its trust ratio is the norms' sum. Exact in integers.
#[derive(Clone, Copy)]
struct Layerwise;
impl UpdateRule for Layerwise {
    const NAME: &'static str = "layerwise";
    const STATE: usize = 1;
    const LAYERWISE: bool = true;
    type Step = ();
    fn begin(&self, _: &Hyper) {}
    fn measure(&self, (): &(), _p: f64, g: f64, state: &[f64]) -> f64 {
        assert_eq!(state[0], 0.0, "measured before the update");
        2.0 * g
    }
    fn trust(&self, (): &(), weights: f64, measured: f64) -> f64 {
        weights + measured
    }
    fn update(&self, (): &(), trust: f64, p: f64, _g: f64, state: &mut [f64]) -> f64 {
        state[0] += 1.0;
        p - trust
    }
}

fn groups(ends: &[(usize, f64)]) -> ParamGroups {
    ParamGroups(ends.iter().map(|&(end, weight_decay)| ParamGroup { end, weight_decay }).collect())
}

fn table() -> UpdateTable {
    UpdateTable { lr: vec![0.5, 0.25], momentum: vec![0.0, 0.5], average_decay: vec![0.25, 0.5] }
}

fn control<T: Real>(cpu: &Cpu<T>) -> Control {
    cpu.control(1 << 20, &table(), Counters::default()).unwrap()
}

/// One whole update.
fn update<T: Real, R: UpdateRule>(
    cpu: &Cpu<T>,
    rule: R,
    control: &mut Control,
    groups: &ParamGroups,
    p: &mut <Cpu<T> as Memory>::Buffer,
    g: &[f64],
    state: &mut <Cpu<T> as Memory>::Buffer,
) {
    let g = up(cpu, g);
    cpu.measure(control, None, Cpu::<T>::all(&g)).unwrap();
    cpu.update(&rule, control, groups, Cpu::<T>::all_mut(p), Cpu::<T>::all(&g), state).unwrap();
    cpu.advance(control).unwrap();
}

fn run<T: Real>(len: usize, split: usize) -> (Vec<f64>, Vec<f64>) {
    let cpu = Cpu::<T>::new();
    let (mut p, mut state) = (up(&cpu, &normal(1, len)), cpu.zeros(2 * len).unwrap());
    let mut control = control(&cpu);
    for step in 0..4 {
        update(&cpu, Counting, &mut control, &groups(&[(split, 0.25), (len, 0.0)]), &mut p, &normal(10 + step, len), &mut state);
    }
    assert_eq!(cpu.measured(&control).unwrap().1, Counters { step: 4, skipped: 0 });
    (down(&cpu, &p), down(&cpu, &state))
}

/// Plain loops; `round` to the type in which the backend keeps numbers.
fn reference(len: usize, split: usize, round: fn(f64) -> f64) -> (Vec<f64>, Vec<f64>) {
    let (mut p, mut m) = (normal(1, len), vec![0.0; len]);
    for step in 0..4u64 {
        // the table ends after two entries; its last one holds
        let (lr, momentum) = if step == 0 { (0.5, 0.0) } else { (0.25, 0.5) };
        for (i, g) in normal(10 + step, len).into_iter().enumerate() {
            let decay = if i < split { 0.25 } else { 0.0 };
            let buffer = momentum * m[i] + (g + decay * p[i]);
            p[i] = round(p[i] - lr * buffer);
            m[i] = round(buffer);
        }
    }
    (p, m.into_iter().chain(vec![4.0; len]).collect())
}

#[test]
fn same_as_a_plain_loop() {
    for (len, split) in [(1, 0), (10, 3), (10, 10), (40_000, 17_001)] {
        for (got, expected) in [
            (run::<f32>(len, split), reference(len, split, |v| f64::from(v as f32))),
            (run::<f64>(len, split), reference(len, split, |v| v)),
        ] {
            equal(&got.0, &expected.0).unwrap();
            equal(&got.1, &expected.1).unwrap();
            assert!(split == 0 || equal(&run::<f32>(len, split - 1).0, &expected.0).is_err(), "a group that ends one early must show");
        }
    }
}

#[test]
fn a_layerwise_rule_gets_its_own_tensors_norms() {
    let cpu = Cpu::<f64>::new();
    let (first, second) = (40_000, 9);
    let p: Vec<f64> = vec![3.0; first].into_iter().chain(vec![1.0; second]).collect();
    let g: Vec<f64> = vec![0.5; first].into_iter().chain(vec![2.0; second]).collect();
    let (mut params, mut state) = (up(&cpu, &p), cpu.zeros(p.len()).unwrap());
    update(&cpu, Layerwise, &mut control(&cpu), &groups(&[(first, 0.0), (p.len(), 0.0)]), &mut params, &g, &mut state);
    // norms: 3*200 and 1*200; 1*3 and 4*3
    let expected: Vec<f64> = vec![3.0 - 800.0; first].into_iter().chain(vec![1.0 - 15.0; second]).collect();
    equal(&down(&cpu, &params), &expected).unwrap();
}

#[test]
fn same_bits_for_any_number_of_threads() {
    let results = on_threads(|| bits(&run::<f32>(50_000, 20_000).0));
    assert!(results[0] == results[1] && results[0] == results[2]);
    let norms = on_threads(|| {
        let cpu = Cpu::<f32>::new();
        let (mut control, g) = (control(&cpu), up(&cpu, &normal(3, 100_003)));
        cpu.measure(&mut control, None, Cpu::<f32>::all(&g)).unwrap();
        cpu.measured(&control).unwrap().0.grad_norm.to_bits()
    });
    assert!(norms[0] == norms[1] && norms[0] == norms[2]);
}

/// torch.nn.utils.clip_grad_norm_ on the gradients of golden/make_update.py.
#[test]
fn clipping_is_torchs() {
    let golden: Value = serde_json::from_str(include_str!("golden/update.json")).unwrap();
    let clip = &golden["clip"];
    let list = |v: &Value| v.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect::<Vec<_>>();
    let (norm, clipped) = (clip["norm"].as_f64().unwrap(), list(&clip["clipped"]));
    let cpu = Cpu::<f64>::new();
    // gradients scaled back up by what torch scaled down
    let g: Vec<f64> = clipped.iter().map(|c| c * (norm + 1e-6) / 0.5).collect();
    let step = |most: Option<f64>| {
        let (grads, mut p, mut state) = (up(&cpu, &g), cpu.zeros(g.len()).unwrap(), cpu.zeros(2 * g.len()).unwrap());
        let mut control = control(&cpu);
        cpu.measure(&mut control, most, Cpu::<f64>::all(&grads)).unwrap();
        assert!((cpu.measured(&control).unwrap().0.grad_norm - norm).abs() < 1e-14 * norm);
        let all = groups(&[(g.len(), 0.0)]);
        cpu.update(&Counting, &mut control, &all, Cpu::<f64>::all_mut(&mut p), Cpu::<f64>::all(&grads), &mut state).unwrap();
        down(&cpu, &p)
    };
    let half = |v: &[f64]| v.iter().map(|v| -0.5 * v).collect::<Vec<_>>();
    let near = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(x, y)| (x - y).abs() <= 1e-14);
    assert!(near(&step(Some(0.5)), &half(&clipped)));
    assert!(near(&step(Some(100.0)), &half(&g)), "a norm below the limit is left alone");
    assert!(!near(&step(None), &half(&clipped)));
}

#[test]
fn what_is_not_finite_changes_nothing_but_the_counters() {
    let cpu = Cpu::<f32>::new();
    let len = 20_000;
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for place in [0, 17_000, len - 1] {
            let (mut p, mut state) = (up(&cpu, &normal(1, len)), cpu.zeros(2 * len).unwrap());
            let (mut average, before, mut after) = (up(&cpu, &[7.0]), up(&cpu, &[1.0]), up(&cpu, &[2.0]));
            let mut control = control(&cpu);
            let all = groups(&[(len, 0.1)]);
            let mut g = normal(2, len);
            g[place] = bad;
            let grads = up(&cpu, &g);
            cpu.measure(&mut control, Some(1.0), Cpu::<f32>::all(&grads)).unwrap();
            assert!(!cpu.measured(&control).unwrap().0.finite);
            cpu.update(&Counting, &mut control, &all, Cpu::<f32>::all_mut(&mut p), Cpu::<f32>::all(&grads), &mut state).unwrap();
            cpu.average(&control, Cpu::<f32>::all(&after), Cpu::<f32>::all_mut(&mut average)).unwrap();
            cpu.restore_if_skipped(&control, Cpu::<f32>::all(&before), Cpu::<f32>::all_mut(&mut after)).unwrap();
            cpu.advance(&mut control).unwrap();
            equal(&down(&cpu, &p), &normal(1, len)).unwrap();
            equal(&down(&cpu, &state), &vec![0.0; 2 * len]).unwrap();
            assert_eq!((down(&cpu, &average), down(&cpu, &after)), (vec![7.0], vec![1.0]));
            assert_eq!(cpu.measured(&control).unwrap().1, Counters { step: 1, skipped: 1 });
            // The next update is the first one applied, at the second rate: `Counting` checks the former, the result shows the latter.
            update(&cpu, Counting, &mut control, &all, &mut p, &vec![1.0; len], &mut state);
            let expected: Vec<f64> = normal(1, len).iter().map(|p| f64::from((p - 0.25 * (1.0 + 0.1 * p)) as f32)).collect();
            equal(&down(&cpu, &p), &expected).unwrap();
            cpu.restore_if_skipped(&control, Cpu::<f32>::all(&average), Cpu::<f32>::all_mut(&mut after)).unwrap();
            assert_eq!(down(&cpu, &after), [1.0], "an applied update brings nothing back");
        }
    }
}

#[test]
fn a_loss_that_is_not_finite_counts_as_a_gradient_that_is_not() {
    let cpu = Cpu::<f32>::new();
    let (mut control, grads) = (control(&cpu), up(&cpu, &[1.0]));
    for (losses, finite) in [(vec![1.0], true), (vec![1.0, f64::INFINITY], false), (vec![f64::NAN, 1.0], false), (vec![1.0, 2.0], true)] {
        for loss in losses {
            cpu.include_loss(&mut control, &BatchMetrics { loss, rows: 1, ..BatchMetrics::default() }).unwrap();
        }
        cpu.measure(&mut control, None, Cpu::<f32>::all(&grads)).unwrap();
        assert_eq!(cpu.measured(&control).unwrap().0, Measured { grad_norm: 1.0, finite, overflowed: false });
        cpu.advance(&mut control).unwrap();
    }
    assert_eq!(cpu.measured(&control).unwrap().1, Counters { step: 4, skipped: 2 });
}

#[test]
fn a_parameter_or_state_that_overflows_is_seen() {
    let cpu = Cpu::<f32>::new();
    let len = 40_000;
    // `Counting` at rate 0.5 without momentum: p - 0.5 g, and a buffer that is g. Decay is what makes the buffer overflow alone.
    for (p, g, decay, overflows) in [(-3e38, 3e38, 0.0, true), (3e38, 3e38, 0.0, false), (3e38, 3e38, 1.0, true), (1.0, 1.0, 0.0, false)] {
        for place in [0, 17_000, len - 1] {
            let (mut params, mut grads) = (vec![0.0; len], vec![0.0; len]);
            (params[place], grads[place]) = (p, g);
            let (mut params, mut state) = (up(&cpu, &params), cpu.zeros(2 * len).unwrap());
            let mut control = control(&cpu);
            update(&cpu, Counting, &mut control, &groups(&[(len, decay)]), &mut params, &grads, &mut state);
            let (measured, _) = cpu.measured(&control).unwrap();
            assert!(measured.finite && measured.overflowed == overflows, "{p} {g} at {place}: {measured:?}");
        }
    }
}

#[test]
fn the_average_follows_its_table() {
    let cpu = Cpu::<f32>::new();
    let (mut control, mut average) = (control(&cpu), up(&cpu, &[8.0]));
    for value in [0.0, 16.0, 4.0] {
        let values = up(&cpu, &[value]);
        cpu.measure(&mut control, None, Cpu::<f32>::all(&values)).unwrap();
        cpu.average(&control, Cpu::<f32>::all(&values), Cpu::<f32>::all_mut(&mut average)).unwrap();
        cpu.advance(&mut control).unwrap();
    }
    assert_eq!(down(&cpu, &average), [6.5]); // 8 -> 2 -> 9 -> 6.5
}

#[test]
fn mismatches_are_errors() {
    let cpu = Cpu::<f32>::new();
    let bad_tables = [
        UpdateTable { momentum: vec![0.9], ..table() },
        UpdateTable { lr: vec![], momentum: vec![], average_decay: vec![] },
        UpdateTable { average_decay: vec![0.5], ..table() },
    ];
    for bad in bad_tables {
        assert!(cpu.control(1 << 20, &bad, Counters::default()).is_err(), "{bad:?}");
    }
    let mut control = control(&cpu);
    let (mut p, g) = ([0.0; 4], [0.0; 4]);
    let mut short = cpu.zeros(7).unwrap();
    assert!(cpu.update(&Counting, &mut control, &groups(&[(4, 0.0)]), &mut p, &g, &mut short).is_err());
    let mut state = cpu.zeros(8).unwrap();
    for bad in [groups(&[]), groups(&[(3, 0.0)]), groups(&[(5, 0.0)]), groups(&[(4, 0.0), (2, 0.0), (4, 0.0)])] {
        assert!(cpu.update(&Counting, &mut control, &bad, &mut p, &g, &mut state).is_err(), "{bad:?}");
    }
    assert!(cpu.update(&Counting, &mut control, &groups(&[(4, 0.0)]), &mut p, &g[1..], &mut state).is_err());
    assert!(cpu.average(&control, &g, &mut p[1..]).is_err() && cpu.restore_if_skipped(&control, &g, &mut p[1..]).is_err());
    let none = cpu.control(1 << 20, &UpdateTable { average_decay: vec![], ..table() }, Counters::default()).unwrap();
    assert!(cpu.average(&none, &g, &mut p).is_err());
    assert_eq!(cpu.measured(&control).unwrap(), (Measured { grad_norm: 0.0, finite: true, overflowed: false }, Counters::default()));
}
