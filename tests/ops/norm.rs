//! Batch norm: against the formula and PyTorch, with large means, in every fused form.

use crate::common::tolerance::{U32, close};
use crate::common::{normal, oracle};
use crate::golden::{golden, numbers};
use crate::{bits, down, on_threads, poison, unit, up};
use imagenet_engine::backend::{Memory, Norm, NormProblem};
use imagenet_engine::cpu::{Cpu, Real};

/// The whole buffer.
fn all<T: Real>(buffer: &<Cpu<T> as Memory>::Buffer) -> &[T] {
    Cpu::<T>::all(buffer)
}

struct Case {
    problem: NormProblem,
    y: Vec<f64>,
    gamma: Vec<f64>,
    beta: Vec<f64>,
    residual: Option<Vec<f64>>,
    d: Vec<f64>,
}

fn case(pixels: usize, channels: usize, residual: bool, relu: bool) -> Case {
    let problem = NormProblem { pixels, channels, eps: 1e-5, momentum: 0.1, relu };
    let len = pixels * channels;
    let gamma = normal(2, channels);
    let y =
        normal(1, len).into_iter().enumerate().map(|(i, v)| v * (1.0 + (i % channels) as f64 / 8.0) + (i % channels) as f64 / 4.0 - 1.0);
    let y = y.map(|v| f64::from(v as f32)).collect();
    Case { problem, y, gamma, beta: normal(3, channels), residual: residual.then(|| normal(4, len)), d: normal(5, len) }
}

struct Outcome {
    out: Vec<f64>,
    running: Vec<f64>,
    saved: Vec<f64>,
    d: Vec<f64>,
    dy: Vec<f64>,
    dgamma: Vec<f64>,
    dbeta: Vec<f64>,
}

/// Forward and backward; running statistics start at mean 0.5 and variance 2, parameter gradients at 1 if accumulating.
fn train<T: Real>(case: &Case, accumulate: bool) -> Outcome {
    let cpu = Cpu::<T>::new();
    let (c, len) = (case.problem.channels, case.y.len());
    let (y, gamma, beta) = (up(&cpu, &case.y), up(&cpu, &case.gamma), up(&cpu, &case.beta));
    let residual = case.residual.as_ref().map(|r| up(&cpu, r));
    let mut running = up(&cpu, &[vec![0.5; c], vec![2.0; c]].concat());
    let (mut saved, mut out, mut dy) = (poison(&cpu, 2 * c), poison(&cpu, len), poison(&cpu, len));
    let start = if accumulate { 1.0 } else { f64::NAN };
    let (mut dgamma, mut dbeta, mut d) = (up(&cpu, &vec![start; c]), up(&cpu, &vec![start; c]), up(&cpu, &case.d));
    let (r, s, o) = (Cpu::<T>::all_mut(&mut running), Cpu::<T>::all_mut(&mut saved), Cpu::<T>::all_mut(&mut out));
    cpu.norm_train(&case.problem, all::<T>(&y), all::<T>(&gamma), all::<T>(&beta), residual.as_ref().map(all::<T>), r, s, o).unwrap();
    let mask = case.problem.relu.then(|| all::<T>(&out));
    let (dg, db) = (Cpu::<T>::all_mut(&mut dgamma), Cpu::<T>::all_mut(&mut dbeta));
    let (dm, dym) = (Cpu::<T>::all_mut(&mut d), Cpu::<T>::all_mut(&mut dy));
    cpu.norm_backward(&case.problem, dm, mask, all::<T>(&y), all::<T>(&gamma), all::<T>(&saved), dg, db, dym, accumulate).unwrap();
    let get = |b| down(&cpu, b);
    Outcome {
        out: get(&out),
        running: get(&running),
        saved: get(&saved),
        d: get(&d),
        dy: get(&dy),
        dgamma: get(&dgamma),
        dbeta: get(&dbeta),
    }
}

fn matches_the_formula<T: Real>() {
    for (pixels, channels) in [(2, 1), (7, 3), (16, 8), (49, 64), (515, 5), (1030, 64), (67, 520)] {
        for (residual, relu) in [(false, false), (false, true), (true, true), (true, false)] {
            let case = case(pixels, channels, residual, relu);
            let what = format!("{:?}, residual {residual}", case.problem);
            let got = train::<T>(&case, false);
            let (mean, variance) = oracle::moments(channels, &case.y);
            // statistics: a tile holds at most 512 rows, so relative errors stay below about 512 roundings
            let u = 600.0 * unit::<T>();
            close(&got.saved[..channels], &mean, |i| u * (mean[i].abs() + variance[i].sqrt())).expect(&what);
            let invstd: Vec<f64> = variance.iter().map(|v| 1.0 / (v + 1e-5).sqrt()).collect();
            close(&got.saved[channels..], &invstd, |i| u * invstd[i]).expect(&what);
            let n = pixels as f64;
            let running: Vec<f64> =
                mean.iter().map(|m| 0.45 + 0.1 * m).chain(variance.iter().map(|v| 1.8 + 0.1 * v * n / (n - 1.0))).collect();
            close(&got.running, &running, |i| u * (1.0 + running[i].abs())).expect(&what);
            let want = oracle::norm_apply(&case.y, &mean, &variance, 1e-5, &case.gamma, &case.beta, case.residual.as_deref(), relu);
            close(&got.out, &want, |_| 20.0 * u).expect(&what);
            // the mask is the one the kernel saw: an `out` a rounding away from zero may differ from the formula's
            let d: Vec<f64> = case.d.iter().zip(&got.out).map(|(d, o)| if relu && *o <= 0.0 { 0.0 } else { *d }).collect();
            close(&got.d, &d, |_| 0.0).expect(&what);
            let (dy, dgamma, dbeta) = oracle::norm_backward(&case.y, 1e-5, &case.gamma, &d);
            let size: f64 = invstd.iter().fold(1.0, |a, &b| a.max(b));
            close(&got.dgamma, &dgamma, |_| u * n).expect(&what);
            close(&got.dbeta, &dbeta, |_| u * n).expect(&what);
            close(&got.dy, &dy, |i| u * 30.0 * size * (1.0 + case.gamma[i % channels].abs())).expect(&what);
            let added = train::<T>(&case, true);
            let plus: Vec<f64> = got.dgamma.iter().map(|v| v + 1.0).collect();
            close(&added.dgamma, &plus, |i| 2.0 * unit::<T>() * (1.0 + plus[i].abs())).expect(&what);
            let plus: Vec<f64> = got.dbeta.iter().map(|v| v + 1.0).collect();
            close(&added.dbeta, &plus, |i| 2.0 * unit::<T>() * (1.0 + plus[i].abs())).expect(&what);
        }
    }
}

#[test]
fn formula_f32() {
    matches_the_formula::<f32>();
}
#[test]
fn formula_f64() {
    matches_the_formula::<f64>();
}

/// mean/std = 100: sums of squares about zero would lose four digits of the variance.
#[test]
fn large_means_keep_the_variance() {
    for (pixels, channels) in [(3136, 16), (12544, 64), (98, 512)] {
        let mut case = case(pixels, channels, false, false);
        case.y = normal(9, pixels * channels).iter().map(|v| f64::from((100.0 + v) as f32)).collect();
        let got = train::<f32>(&case, false);
        let (_, variance) = oracle::moments(channels, &case.y);
        let from_running: Vec<f64> =
            got.running[channels..].iter().map(|r| (r - 1.8) / 0.1 * (pixels as f64 - 1.0) / pixels as f64).collect();
        // running is stored in f32 near 1.9: that alone is 1.2e-6 of the variance
        close(&from_running, &variance, |i| 1e-5 * variance[i]).unwrap();
        let got_variance: Vec<f64> = got.saved[channels..].iter().map(|i| 1.0 / (i * i) - 1e-5).collect();
        close(&got_variance, &variance, |i| 1e-5 * variance[i]).unwrap();
        // and the guard bites: the one-pass formula in f32 is rejected by the same comparison
        let naive: Vec<f64> = (0..channels)
            .map(|c| {
                let (mut s, mut q) = (0.0f32, 0.0f32);
                for v in case.y.iter().skip(c).step_by(channels) {
                    s += *v as f32;
                    q += (*v as f32).powi(2);
                }
                let n = pixels as f32;
                f64::from(q / n - (s / n).powi(2))
            })
            .collect();
        assert!(close(&naive, &variance, |i| 1e-5 * variance[i]).is_err());
    }
}

#[test]
fn a_biased_running_variance_is_rejected() {
    let case = case(7, 3, false, false);
    let got = train::<f64>(&case, false);
    let (_, variance) = oracle::moments(3, &case.y);
    let biased: Vec<f64> = variance.iter().map(|v| 1.8 + 0.1 * v).collect();
    assert!(close(&got.running[3..], &biased, |i| 1e-6 * biased[i]).is_err());
}

#[test]
fn agrees_with_torch() {
    let g = golden("norm");
    let cpu = Cpu::<f64>::new();
    let (gamma, beta) = (up(&cpu, &[0.5, -1.25, 2.0]), up(&cpu, &[0.1f32.into(), 0.2f32.into(), (-0.3f32).into()]));
    let mut running = up(&cpu, &[0.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
    let problem = NormProblem { pixels: 24, channels: 3, eps: 1e-5, momentum: 0.1, relu: false };
    let near = |got: &[f64], want: &[f64]| close(got, want, |i| 1e-12 * (1.0 + want[i].abs())).unwrap();
    for step in g["steps"].as_array().unwrap() {
        let y = up(&cpu, &numbers(&step["y"]));
        let mut d = up(&cpu, &(0..72).map(|i| f64::from(i % 7 - 3)).collect::<Vec<_>>());
        let (mut saved, mut out, mut dy) = (poison(&cpu, 6), poison(&cpu, 72), poison(&cpu, 72));
        let (mut dgamma, mut dbeta) = (poison(&cpu, 3), poison(&cpu, 3));
        let (r, s, o) = (Cpu::<f64>::all_mut(&mut running), Cpu::<f64>::all_mut(&mut saved), Cpu::<f64>::all_mut(&mut out));
        cpu.norm_train(&problem, all::<f64>(&y), all::<f64>(&gamma), all::<f64>(&beta), None, r, s, o).unwrap();
        let (dg, db) = (Cpu::<f64>::all_mut(&mut dgamma), Cpu::<f64>::all_mut(&mut dbeta));
        let (dm, dym) = (Cpu::<f64>::all_mut(&mut d), Cpu::<f64>::all_mut(&mut dy));
        cpu.norm_backward(&problem, dm, None, all::<f64>(&y), all::<f64>(&gamma), all::<f64>(&saved), dg, db, dym, false).unwrap();
        near(&down(&cpu, &out), &numbers(&step["out"]));
        near(&down(&cpu, &dy), &numbers(&step["dy"]));
        near(&down(&cpu, &dgamma), &numbers(&step["dgamma"]));
        near(&down(&cpu, &dbeta), &numbers(&step["dbeta"]));
        near(&down(&cpu, &running), &[numbers(&step["mean"]), numbers(&step["variance"])].concat());
    }
    let (y, mut out) = (up(&cpu, &numbers(&g["steps"][0]["y"])), poison(&cpu, 72));
    cpu.norm_eval(
        &problem,
        all::<f64>(&y),
        all::<f64>(&gamma),
        all::<f64>(&beta),
        None,
        all::<f64>(&running),
        Cpu::<f64>::all_mut(&mut out),
    )
    .unwrap();
    near(&down(&cpu, &out), &numbers(&g["eval"]));
}

#[test]
fn evaluation_with_residual_and_relu() {
    let case = case(37, 9, true, true);
    let cpu = Cpu::<f32>::new();
    let (mean, variance) = (normal(6, 9), normal(7, 9).iter().map(|v| v * v + 0.1).collect::<Vec<_>>());
    let (y, gamma, beta) = (up(&cpu, &case.y), up(&cpu, &case.gamma), up(&cpu, &case.beta));
    let (residual, running) = (up(&cpu, case.residual.as_ref().unwrap()), up(&cpu, &[mean.clone(), variance.clone()].concat()));
    let mut out = poison(&cpu, case.y.len());
    let o = Cpu::<f32>::all_mut(&mut out);
    cpu.norm_eval(
        &case.problem,
        all::<f32>(&y),
        all::<f32>(&gamma),
        all::<f32>(&beta),
        Some(all::<f32>(&residual)),
        all::<f32>(&running),
        o,
    )
    .unwrap();
    let want = oracle::norm_apply(&case.y, &mean, &variance, 1e-5, &case.gamma, &case.beta, case.residual.as_deref(), true);
    close(&down(&cpu, &out), &want, |_| 500.0 * U32).unwrap();
}

#[test]
fn same_bits_for_any_number_of_threads() {
    let case = case(1500, 96, true, true);
    let results = on_threads(|| {
        let o = train::<f32>(&case, false);
        [o.out, o.running, o.saved, o.d, o.dy, o.dgamma, o.dbeta].map(|v| bits(&v))
    });
    assert!(results[0] == results[1] && results[0] == results[2]);
}

#[test]
fn wrong_lengths_are_errors() {
    let cpu = Cpu::<f32>::new();
    let problem = NormProblem { pixels: 4, channels: 2, eps: 1e-5, momentum: 0.1, relu: true };
    let (y, c) = ([0.0; 8], [0.0; 2]);
    let e = cpu.norm_train(&problem, &y, &c, &c, Some(&y[1..]), &mut [0.0; 4], &mut [0.0; 4], &mut [0.0; 8]).unwrap_err();
    assert!(e.to_string().contains("norm_train") && e.to_string().contains("residual"), "{e}");
    let one = NormProblem { pixels: 1, ..problem };
    assert!(cpu.norm_train(&one, &y[..2], &c, &c, None, &mut [0.0; 4], &mut [0.0; 4], &mut [0.0; 2]).is_err());
    assert!(cpu.norm_eval(&one, &y[..2], &c, &c, None, &[0.0; 4], &mut [0.0; 2]).is_ok());
    let missing = cpu.norm_backward(&problem, &mut [0.0; 8], None, &y, &c, &[0.0; 4], &mut [0.0; 2], &mut [0.0; 2], &mut [0.0; 8], false);
    assert!(missing.unwrap_err().to_string().contains("norm_backward"));
}
