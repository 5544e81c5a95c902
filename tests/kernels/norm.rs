//! Batch norm: statistics, their running values, both passes in every fused form, against the formulas in f64.

use crate::common::tolerance::{U32, close, equal};
use crate::common::{normal, oracle};
use crate::device::{down, emulator, output, rounded, same_under_all_schedules, unit, up};
use half::bf16;
use imagenet_engine::backend::NormProblem;
use imagenet_engine::cuda::emulated::Emulator;
use imagenet_engine::cuda::launch::Ptr;
use imagenet_engine::cuda::{Element, norm};
use imagenet_engine::error::Result;

#[derive(Clone)]
pub struct Case {
    pub problem: NormProblem,
    pub y: Vec<f64>,
    gamma: Vec<f64>,
    beta: Vec<f64>,
    residual: Option<Vec<f64>>,
    d: Vec<f64>,
}

pub fn case<T: Element>(pixels: usize, channels: usize, residual: bool, relu: bool) -> Case {
    let problem = NormProblem { pixels, channels, eps: 1e-5, momentum: 0.1, relu };
    let len = pixels * channels;
    let spread = |(i, v): (usize, f64)| v * (1.0 + (i % channels) as f64 / 8.0) + (i % channels) as f64 / 4.0 - 1.0;
    let y = rounded::<T>(&normal(1, len).into_iter().enumerate().map(spread).collect::<Vec<_>>());
    let of = |seed, len| rounded::<T>(&normal(seed, len));
    Case {
        problem,
        y,
        gamma: rounded::<f32>(&normal(2, channels)),
        beta: rounded::<f32>(&normal(3, channels)),
        residual: residual.then(|| of(4, len)),
        d: of(5, len),
    }
}

#[derive(Clone, Default)]
pub struct Outcome {
    pub out: Vec<f64>,
    pub running: Vec<f64>,
    pub saved: Vec<f64>,
    pub d: Vec<f64>,
    pub dy: Vec<f64>,
    pub dgamma: Vec<f64>,
    pub dbeta: Vec<f64>,
}

impl Outcome {
    pub fn flat(self) -> Vec<f64> {
        [self.out, self.running, self.saved, self.d, self.dy, self.dgamma, self.dbeta].concat()
    }
}

/// The forward pass. Running statistics start at mean 0.5 and variance 2. Of the backward pass, nothing.
pub fn forward<T: Element>(device: &Emulator, case: &Case) -> Result<Outcome> {
    let (c, len, problem) = (case.problem.channels, case.y.len(), &case.problem);
    let (y, gamma, beta) = (up::<T>(device, &case.y), up::<f32>(device, &case.gamma), up::<f32>(device, &case.beta));
    let residual = case.residual.as_ref().map(|r| up::<T>(device, r));
    let mut running = up::<f32>(device, &[vec![0.5; c], vec![2.0; c]].concat());
    let (mut saved, mut out) = (output::<f32>(device, 2 * c), output::<T>(device, len));
    let mut tiles = output::<f32>(device, norm::tiles_len(problem));
    let arrays = norm::Train {
        y: y.ptr(),
        gamma: gamma.ptr(),
        beta: beta.ptr(),
        residual: residual.as_ref().map_or(Ptr::null(), |r| r.ptr()),
        running: running.ptr_mut(),
        saved: saved.ptr_mut(),
        out: out.ptr_mut(),
        tiles: tiles.ptr_mut(),
    };
    norm::train(device, problem, &arrays)?;
    Ok(Outcome { out: down(&out), running: down(&running), saved: down(&saved), ..Outcome::default() })
}

/// The backward pass after `forward`; parameter gradients start at 1 if accumulating.
fn backward<T: Element>(device: &Emulator, case: &Case, forward: &Outcome, accumulate: bool) -> Result<Outcome> {
    let (c, len, problem) = (case.problem.channels, case.y.len(), &case.problem);
    let (y, gamma, out) = (up::<T>(device, &case.y), up::<f32>(device, &case.gamma), up::<T>(device, &forward.out));
    let saved = up::<f32>(device, &forward.saved);
    let start = vec![if accumulate { 1.0 } else { f64::NAN }; c];
    let (mut dgamma, mut dbeta, mut d) = (up::<f32>(device, &start), up::<f32>(device, &start), up::<T>(device, &case.d));
    let mut dy = output::<T>(device, len);
    let mut tiles = output::<f32>(device, norm::tiles_len(problem));
    let mut coefficients = output::<f32>(device, norm::coefficients_len(problem));
    let arrays = norm::Backward {
        d: d.ptr_mut(),
        out: if problem.relu { out.ptr() } else { Ptr::null() },
        y: y.ptr(),
        gamma: gamma.ptr(),
        saved: saved.ptr(),
        dgamma: dgamma.ptr_mut(),
        dbeta: dbeta.ptr_mut(),
        dy: dy.ptr_mut(),
        tiles: tiles.ptr_mut(),
        coefficients: coefficients.ptr_mut(),
    };
    norm::backward(device, problem, &arrays, accumulate)?;
    let forward = forward.clone();
    Ok(Outcome { d: down(&d), dy: down(&dy), dgamma: down(&dgamma), dbeta: down(&dbeta), ..forward })
}

pub fn backward_from<T: Element>(device: &Emulator, case: &Case, forward: &Outcome) -> Result<Outcome> {
    backward::<T>(device, case, forward, false)
}

pub fn run<T: Element>(device: &Emulator, case: &Case, accumulate: bool) -> Result<Outcome> {
    backward::<T>(device, case, &forward::<T>(device, case)?, accumulate)
}

/// The forward pass against the formulas, within the design's table: mean 1e-5 sigma, variance 1e-5 relative, the rest an ulp of its
/// type.
pub fn forward_verdict<T: Element>(case: &Case, got: &Outcome) -> std::result::Result<(), String> {
    let (c, pixels, relu) = (case.problem.channels, case.problem.pixels, case.problem.relu);
    let n = pixels as f64;
    let (mean, variance) = oracle::moments(c, &case.y);
    let sigma: Vec<f64> = variance.iter().map(|v| (v + 1e-5).sqrt()).collect();
    close(&got.saved[..c], &mean, |i| 1e-5 * sigma[i] + U32 * mean[i].abs()).map_err(|e| format!("mean: {e}"))?;
    let got_variance: Vec<f64> = got.saved[c..].iter().map(|v| 1.0 / (v * v) - 1e-5).collect();
    close(&got_variance, &variance, |i| 1e-5 * (variance[i] + 1e-5)).map_err(|e| format!("variance: {e}"))?;
    let running: Vec<f64> = mean.iter().map(|m| 0.45 + 0.1 * m).chain(variance.iter().map(|v| 1.8 + 0.1 * v * n / (n - 1.0))).collect();
    close(&got.running, &running, |i| 1e-5 * (1.0 + running[i].abs())).map_err(|e| format!("running: {e}"))?;

    // An ulp of the result, and the roundings of f32 of the terms that may cancel.
    let want = oracle::norm_apply(&case.y, &mean, &variance, 1e-5, &case.gamma, &case.beta, case.residual.as_deref(), relu);
    let size = |i: usize| {
        let j = i % c;
        let x = case.gamma[j] * (case.y[i] - mean[j]) / sigma[j];
        let statistics = case.gamma[j] * (1.0 + mean[j].abs() / sigma[j]);
        8.0 * U32 * (x.abs() + case.beta[j].abs() + case.residual.as_ref().map_or(0.0, |r| r[i].abs()) + statistics.abs())
    };
    let ulp = 2.0 * unit::<T>();
    close(&got.out, &want, |i| ulp * want[i].abs() + size(i)).map_err(|e| format!("out: {e}"))
}

/// Both passes; gradients of the parameters within 1e-5 of the sum of magnitudes.
pub fn verdict<T: Element>(case: &Case, got: &Outcome) -> std::result::Result<(), String> {
    forward_verdict::<T>(case, got)?;
    let (c, pixels, relu) = (case.problem.channels, case.problem.pixels, case.problem.relu);
    let (n, ulp) = (pixels as f64, 2.0 * unit::<T>());
    let (mean, variance) = oracle::moments(c, &case.y);
    let sigma: Vec<f64> = variance.iter().map(|v| (v + 1e-5).sqrt()).collect();
    // The mask is the one the kernel saw: an `out` a rounding away from zero may differ from the formula's.
    let d: Vec<f64> = case.d.iter().zip(&got.out).map(|(d, o)| if relu && *o <= 0.0 { 0.0 } else { *d }).collect();
    equal(&got.d, &d).map_err(|e| format!("d: {e}"))?;
    let (dy, dgamma, dbeta) = oracle::norm_backward(&case.y, 1e-5, &case.gamma, &d);
    let magnitude = |f: &dyn Fn(usize) -> f64| (0..c).map(|j| (0..pixels).map(|p| f(p * c + j).abs()).sum::<f64>()).collect::<Vec<_>>();
    let hat = |i: usize| (case.y[i] - mean[i % c]) / sigma[i % c];
    let (of_gamma, of_beta) = (magnitude(&|i| d[i] * hat(i)), magnitude(&|i| d[i]));
    close(&got.dgamma, &dgamma, |i| 1e-5 * of_gamma[i]).map_err(|e| format!("dgamma: {e}"))?;
    close(&got.dbeta, &dbeta, |i| 1e-5 * of_beta[i]).map_err(|e| format!("dbeta: {e}"))?;
    let terms = |i: usize| {
        let j = i % c;
        (case.gamma[j] / sigma[j]).abs() * (d[i].abs() + of_beta[j] / n + hat(i).abs() * of_gamma[j] / n)
    };
    close(&got.dy, &dy, |i| ulp * dy[i].abs() + 1e-5 * terms(i)).map_err(|e| format!("dy: {e}"))
}

fn check<T: Element>() {
    // one tile and several, tails of 1 and 255 rows, channels with and without vectors, several blocks of channels
    for (pixels, channels) in [(2, 1), (7, 3), (16, 8), (49, 64), (257, 5), (511, 72), (1030, 16), (67, 136)] {
        for (residual, relu) in [(false, false), (false, true), (true, true)] {
            let case = case::<T>(pixels, channels, residual, relu);
            let what = format!("{:?}, residual {residual}, {}", case.problem, T::NAME);
            let got = run::<T>(&emulator(), &case, false).unwrap_or_else(|e| panic!("{what}: {e}"));
            verdict::<T>(&case, &got).unwrap_or_else(|e| panic!("{what}: {e}"));
            let added = run::<T>(&emulator(), &case, true).unwrap();
            let plus = |v: &[f64]| v.iter().map(|v| v + 1.0).collect::<Vec<_>>();
            close(&added.dgamma, &plus(&got.dgamma), |i| 3.0 * U32 * (1.0 + got.dgamma[i].abs())).unwrap();
            close(&added.dbeta, &plus(&got.dbeta), |i| 3.0 * U32 * (1.0 + got.dbeta[i].abs())).unwrap();
        }
    }
}

#[test]
fn formulas_f32() {
    check::<f32>();
}

#[test]
fn formulas_bf16() {
    check::<bf16>();
}

/// mean / std = 100: sums of squares about zero would lose four digits of the variance.
#[test]
fn large_means_keep_the_variance() {
    let mut case = case::<f32>(3136, 16, false, false);
    case.y = rounded::<f32>(&normal(9, 3136 * 16).iter().map(|v| 100.0 + v).collect::<Vec<_>>());
    let got = run::<f32>(&emulator(), &case, false).unwrap();
    let (mean, variance) = oracle::moments(16, &case.y);
    close(&got.saved[..16], &mean, |i| 1e-5 * variance[i].sqrt()).unwrap();
    let got_variance: Vec<f64> = got.saved[16..].iter().map(|v| 1.0 / (v * v) - 1e-5).collect();
    close(&got_variance, &variance, |i| 1e-5 * variance[i]).unwrap();
    // and the guard bites: the one-pass formula in f32 is rejected by the same comparison
    let naive = |c: usize| {
        let (mut s, mut q) = (0.0f32, 0.0f32);
        for v in case.y.iter().skip(c).step_by(16) {
            s += *v as f32;
            q += (*v as f32).powi(2);
        }
        f64::from(q / 3136.0 - (s / 3136.0).powi(2))
    };
    assert!(close(&(0..16).map(naive).collect::<Vec<_>>(), &variance, |i| 1e-5 * variance[i]).is_err());
}

#[test]
fn with_running_statistics() {
    for channels in [9, 24] {
        let case = case::<bf16>(37, channels, true, true);
        let device = emulator();
        let (mean, variance) =
            (rounded::<f32>(&normal(6, channels)), rounded::<f32>(&normal(7, channels).iter().map(|v| v * v + 0.1).collect::<Vec<_>>()));
        let (y, gamma, beta) = (up::<bf16>(&device, &case.y), up::<f32>(&device, &case.gamma), up::<f32>(&device, &case.beta));
        let residual = up::<bf16>(&device, case.residual.as_ref().unwrap());
        let running = up::<f32>(&device, &[mean.clone(), variance.clone()].concat());
        let (mut prepared, mut out) = (output::<f32>(&device, 2 * channels), output::<bf16>(&device, case.y.len()));
        let arrays = norm::Eval {
            y: y.ptr(),
            gamma: gamma.ptr(),
            beta: beta.ptr(),
            residual: residual.ptr(),
            running: running.ptr(),
            prepared: prepared.ptr_mut(),
            out: out.ptr_mut(),
        };
        norm::eval(&device, &case.problem, &arrays).unwrap();
        let want = oracle::norm_apply(&case.y, &mean, &variance, 1e-5, &case.gamma, &case.beta, case.residual.as_deref(), true);
        close(&down(&out), &want, |i| 2.0 * unit::<bf16>() * want[i].abs() + 1e-4).unwrap();
    }
}

#[test]
fn same_bits_under_all_schedules() {
    for case in [case::<bf16>(1030, 72, true, true), case::<bf16>(515, 11, false, true)] {
        same_under_all_schedules("norm", |device| run::<bf16>(device, &case, false).unwrap().flat());
    }
}

#[test]
fn too_few_pixels_and_a_missing_mask_are_errors() {
    let device = emulator();
    let one = case::<f32>(1, 8, false, false);
    assert!(run::<f32>(&device, &one, false).err().unwrap().to_string().contains("norm_train"));
    let relu = case::<f32>(4, 8, false, true);
    let mut d = output::<f32>(&device, 32);
    let (read, write) = (d.ptr(), d.ptr_mut());
    let arrays = norm::Backward {
        d: write,
        out: Ptr::null(),
        y: read,
        gamma: read,
        saved: read,
        dgamma: write,
        dbeta: write,
        dy: write,
        tiles: write,
        coefficients: write,
    };
    assert!(norm::backward(&device, &relu.problem, &arrays, false).unwrap_err().to_string().contains("mask"));
}
