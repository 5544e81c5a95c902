//! Batch norm: statistics, their running values, both passes in every fused form, against the formulas in f64.
//!
//! # What f32 may lose
//! The design's table allows the mean 1e-5 sigma, the variance 1e-5 relative, dgamma and dbeta 1e-5 of their sums of magnitudes, and
//! "one ulp" to what is applied. Nothing computed in f32 keeps one ulp of a result whose terms cancel, so the bounds of `out` and `dy` add
//! the first-order error of the terms, in roundings u = 2^-24 (x = gamma (y - mean) invstd, sigma = 1 / invstd):
//!
//! - running statistics given: invstd is stored (1u), gamma * invstd, y - mean and their product round (3u), and the sums with beta and
//!   the residual round what they have so far (2u, 2u, 1u): 6u |x| + 2u |beta| + u |residual|.
//! - statistics of the batch: besides, mean and invstd carry what their f32 sums lose. A tile of 256 rows is summed by 7 additions a
//!   thread, 2 across a warp and 8 across warps, so at worst 17u of the mean magnitude; that is 18u |gamma| (1 + |mean| / sigma) for the
//!   mean and about 10u |x| for invstd. Errors of sums do not all point one way: 8u is asked for of every term, less than the worst case.
//!   The CPU backend adds up to 512 rows one after the other: 24u, the root of their number instead of the number.
//! - dy = a d + b (y - mean) + e: a is a product of stored numbers (5u with the sums it goes through); b and e hold the sums of d and
//!   d x^, at worst 17u and three roundings a term of the means of their magnitudes, and a stored coefficient each: 32u. A mean stored
//!   with u |mean| shifts every x^ by u |mean| / sigma.
//!
//! Statistics stored in f32 round once more: u of the running values. invstd is 1 / sqrt(variance + eps), so half of the variance's 1e-5 is
//! its bound.

use super::case::{Case, Check, Expected, Output};
use super::numbers::{normal, rounded};
use super::ops::{NormBackward, NormForward, Ops};
use super::oracle;
use super::tolerance::{U32, ulp};
use crate::backend::NormProblem;
use crate::cuda::Element;
use half::bf16;
use std::sync::Arc;

/// One tile and several, tails of 1 and 255 rows, channels with and without vectors, several blocks of channels.
const EDGES: [(usize, usize); 10] = [(2, 1), (7, 3), (16, 8), (37, 9), (49, 64), (257, 5), (511, 72), (515, 72), (1030, 16), (67, 136)];

/// What is fused into a batch norm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fused {
    pub residual: bool,
    pub relu: bool,
}

const FUSED: [Fused; 3] =
    [Fused { residual: false, relu: false }, Fused { residual: false, relu: true }, Fused { residual: true, relu: true }];

pub fn edges<O: Ops>() -> Vec<Case<O>> {
    let mut all = Vec::new();
    for (pixels, channels) in EDGES {
        for fused in FUSED {
            all.extend(cases::<f32, O>(pixels, channels, fused));
            all.extend(cases::<bf16, O>(pixels, channels, fused));
        }
    }
    all.extend(large_mean());
    all
}

/// Both forward passes and the backward one.
pub fn cases<T: Element, O: Ops>(pixels: usize, channels: usize, fused: Fused) -> Vec<Case<O>> {
    [train::<T, O>(pixels, channels, fused), eval::<T, O>(pixels, channels, fused), backward::<T, O>(pixels, channels, fused)]
        .into_iter()
        .flatten()
        .collect()
}

struct Numbers {
    problem: NormProblem,
    y: Vec<f64>,
    gamma: Vec<f64>,
    beta: Vec<f64>,
    residual: Option<Vec<f64>>,
    running: Vec<f64>,
    mean: Vec<f64>,
    variance: Vec<f64>,
}

impl Numbers {
    fn new<T: Element>(pixels: usize, channels: usize, fused: Fused) -> Self {
        let len = pixels * channels;
        let spread = |(i, v): (usize, f64)| v * (1.0 + (i % channels) as f64 / 8.0) + (i % channels) as f64 / 4.0 - 1.0;
        let y = rounded::<T>(&normal(1, len).into_iter().enumerate().map(spread).collect::<Vec<_>>());
        Self::of::<T>(pixels, channels, fused, y)
    }

    fn of<T: Element>(pixels: usize, channels: usize, fused: Fused, y: Vec<f64>) -> Self {
        let (mean, variance) = oracle::moments(channels, &y);
        let running =
            [rounded::<f32>(&normal(6, channels)), rounded::<f32>(&normal(7, channels).iter().map(|v| v * v + 0.1).collect::<Vec<_>>())];
        Self {
            problem: NormProblem { pixels, channels, eps: 1e-5, momentum: 0.1, relu: fused.relu },
            gamma: rounded::<f32>(&normal(2, channels)),
            beta: rounded::<f32>(&normal(3, channels)),
            residual: fused.residual.then(|| rounded::<T>(&normal(4, y.len()))),
            running: running.concat(),
            y,
            mean,
            variance,
        }
    }

    fn sigma(&self, variance: &[f64]) -> Vec<f64> {
        variance.iter().map(|v| (v + self.problem.eps).sqrt()).collect()
    }

    fn forward(&self) -> NormForward<'_> {
        NormForward {
            problem: &self.problem,
            y: &self.y,
            gamma: &self.gamma,
            beta: &self.beta,
            residual: self.residual.as_deref(),
            running: &self.running,
        }
    }

    fn apply(&self, mean: &[f64], variance: &[f64]) -> Vec<f64> {
        let (residual, relu) = (self.residual.as_deref(), self.problem.relu);
        oracle::norm_apply(&self.y, mean, variance, self.problem.eps, &self.gamma, &self.beta, residual, relu)
    }

    /// `out` within an ulp and, of the magnitudes of x, beta, residual and gamma (1 + |mean| / sigma), `roundings` each.
    fn out<T: Element>(&self, mean: &[f64], variance: &[f64], roundings: [f64; 4]) -> Expected {
        let (want, sigma, c) = (self.apply(mean, variance), self.sigma(variance), self.problem.channels);
        let bound = |i: usize| {
            let j = i % c;
            let terms = [
                self.gamma[j] * (self.y[i] - mean[j]) / sigma[j],
                self.beta[j],
                self.residual.as_ref().map_or(0.0, |r| r[i]),
                self.gamma[j] * (1.0 + mean[j].abs() / sigma[j]),
            ];
            ulp::<T>(want[i]) + U32 * terms.iter().zip(roundings).map(|(t, r)| r * t.abs()).sum::<f64>()
        };
        Expected::within("out", want.clone(), bound)
    }

    /// The shape, as the table of results names it.
    fn shape(pixels: usize, channels: usize, fused: Fused) -> String {
        let with = [(fused.residual, ", residual"), (fused.relu, ", relu")];
        format!("{pixels} rows of {channels}{}", with.iter().filter(|w| w.0).map(|w| w.1).collect::<String>())
    }
}

fn case<T: Element, O: Ops>(
    op: &'static str,
    (pixels, channels, fused): (usize, usize, Fused),
    prepare: impl Fn(&O) -> Vec<Check<O>> + Send + Sync + 'static,
) -> Option<Case<O>> {
    O::has::<T>().then(|| Case::new(("norm", op), Numbers::shape(pixels, channels, fused), T::NAME, prepare))
}

/// With the statistics of the batch: `saved`, `running`, `out`.
pub fn train<T: Element, O: Ops>(pixels: usize, channels: usize, fused: Fused) -> Option<Case<O>> {
    case::<T, O>("norm_train", (pixels, channels, fused), move |device| {
        train_checks::<T, O>(device, Numbers::new::<T>(pixels, channels, fused), "")
    })
}

fn train_checks<T: Element, O: Ops>(device: &O, numbers: Numbers, detail: &str) -> Vec<Check<O>> {
    let (c, n, momentum) = (numbers.problem.channels, numbers.problem.pixels as f64, numbers.problem.momentum);
    let (mean, variance, sigma) = (&numbers.mean, &numbers.variance, numbers.sigma(&numbers.variance));
    let carried = device.statistics_roundings();
    let saved = [mean.clone(), sigma.iter().map(|s| 1.0 / s).collect()].concat();
    let saved = Expected::within("saved", saved, |i| if i < c { 1e-5 * sigma[i] } else { 0.5e-5 / sigma[i - c] });
    let batch: Vec<f64> = mean.iter().copied().chain(variance.iter().map(|v| v * n / (n - 1.0))).collect();
    let running: Vec<f64> = batch.iter().zip(&numbers.running).map(|(new, old)| old + momentum * (new - old)).collect();
    let running = Expected::within("running", running.clone(), |i| {
        let of_batch = if i < c { 1e-5 * sigma[i] } else { 1e-5 * batch[i] };
        momentum * of_batch + U32 * running[i].abs()
    });
    let out = numbers.out::<T>(mean, variance, [carried, 8.0, 8.0, carried]);
    let expected = Arc::new(vec![saved, running, out]);
    vec![Check::new(detail, &expected, move |device: &O| device.norm_train::<T>(&numbers.forward()))]
}

/// With running statistics.
pub fn eval<T: Element, O: Ops>(pixels: usize, channels: usize, fused: Fused) -> Option<Case<O>> {
    case::<T, O>("norm_eval", (pixels, channels, fused), move |_| {
        let numbers = Numbers::new::<T>(pixels, channels, fused);
        let (mean, variance) = numbers.running.split_at(channels);
        let expected = Arc::new(vec![numbers.out::<T>(mean, variance, [6.0, 2.0, 1.0, 0.0])]);
        vec![Check::new("", &expected, move |device: &O| Ok(vec![Output::new("out", device.norm_eval::<T>(&numbers.forward())?)]))]
    })
}

/// From the f64 forward pass, rounded: `d` exact, `dy`, `dgamma`, `dbeta`.
pub fn backward<T: Element, O: Ops>(pixels: usize, channels: usize, fused: Fused) -> Option<Case<O>> {
    case::<T, O>("norm_backward", (pixels, channels, fused), move |_| backward_checks::<T, O>(Numbers::new::<T>(pixels, channels, fused)))
}

fn backward_checks<T: Element, O: Ops>(numbers: Numbers) -> Vec<Check<O>> {
    let (c, n, len) = (numbers.problem.channels, numbers.problem.pixels as f64, numbers.y.len());
    let (mean, sigma) = (&numbers.mean, numbers.sigma(&numbers.variance));
    let saved = rounded::<f32>(&[mean.clone(), sigma.iter().map(|s| 1.0 / s).collect()].concat());
    let out = rounded::<T>(&numbers.apply(mean, &numbers.variance));
    let upstream = rounded::<T>(&normal(5, len));
    let d: Vec<f64> = upstream.iter().zip(&out).map(|(d, o)| if numbers.problem.relu && *o <= 0.0 { 0.0 } else { *d }).collect();
    let (dy, dgamma, dbeta) = oracle::norm_backward(&numbers.y, numbers.problem.eps, &numbers.gamma, &d);

    let hat = |i: usize| (numbers.y[i] - mean[i % c]) / sigma[i % c];
    let (mut of_gamma, mut of_beta) = (vec![0.0; c], vec![0.0; c]);
    for i in 0..len {
        of_gamma[i % c] += (d[i] * hat(i)).abs();
        of_beta[i % c] += d[i].abs();
    }
    let bound = |i: usize| {
        let j = i % c;
        let (beta, gamma, hat, shift) = (of_beta[j] / n, of_gamma[j] / n, hat(i).abs(), mean[j].abs() / sigma[j]);
        let terms = 5.0 * d[i].abs() + 32.0 * (beta + hat * gamma) + 2.0 * shift * (hat * beta + gamma);
        ulp::<T>(dy[i]) + U32 * (numbers.gamma[j] / sigma[j]).abs() * terms
    };
    let gradients = [Expected::exact("d", d.clone()), Expected::within("dy", dy.clone(), bound)];
    let start = normal(8, 2 * c).iter().map(|&v| f64::from(v as f32)).collect::<Vec<_>>();
    let parameters = |start: &[f64]| {
        let (dgamma, dbeta) = (super::numbers::plus(&dgamma, &start[..c]), super::numbers::plus(&dbeta, &start[c..]));
        let allowed = |size: f64, want: f64, start: f64| 1e-5 * size + if start == 0.0 { 0.0 } else { U32 * want.abs() };
        [
            Expected::within("dgamma", dgamma.clone(), |i| allowed(of_gamma[i], dgamma[i], start[i])),
            Expected::within("dbeta", dbeta.clone(), |i| allowed(of_beta[i], dbeta[i], start[c + i])),
        ]
    };
    let with = |start: &[f64]| Arc::new(gradients.iter().cloned().chain(parameters(start)).collect::<Vec<_>>());
    let (plain, added) = (with(&vec![0.0; 2 * c]), with(&start));
    let all = Arc::new((numbers, saved, out, upstream, start));
    let check = |detail: &str, expected: &Arc<Vec<Expected>>, add: bool| {
        let all = all.clone();
        Check::new(detail, expected, move |device: &O| {
            let (numbers, saved, out, d, start) = &*all;
            let start = add.then_some(start.as_slice());
            let (problem, y, gamma) = (&numbers.problem, &numbers.y, &numbers.gamma);
            device.norm_backward::<T>(&NormBackward { problem, y, gamma, saved, out, d, start })
        })
    };
    vec![check("", &plain, false), check("added", &added, true)]
}

/// mean / sigma = 100: sums of squares about zero would lose four digits of the variance.
fn large_mean<O: Ops>() -> Option<Case<O>> {
    let (pixels, channels, fused) = (3136, 16, FUSED[0]);
    case::<f32, O>("norm_train", (pixels, channels, fused), move |device| {
        let y: Vec<f64> = normal(9, pixels * channels).iter().map(|v| 100.0 + v).collect();
        train_checks::<f32, O>(device, Numbers::of::<f32>(pixels, channels, fused, rounded::<f32>(&y)), "mean 100 sigma")
    })
}
