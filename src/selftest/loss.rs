//! Cross-entropy: losses within 1e-6, gradients within an ulp, ranks exact; ties, NaN, infinities, confident rows.
//!
//! The gradient is scale / rows (p - t), and p and t may cancel: then an ulp of the result is nothing beside what f32 keeps of the two.
//! p is an exponential (two ulps as CUDA's expf, one more for its argument) over a sum of such and one division; t rounds twice. The bound
//! adds 4e-7, or 6.7 roundings, of the larger of the two: where nothing is near one, it is as much smaller.

use super::case::{Case, Check, Expected};
use super::numbers::{integers, normal, rounded};
use super::on_driver::OnDriver;
use super::ops::{LossJob, Ops};
use super::oracle;
use super::tolerance::ulp;
use crate::cuda::Element;
use crate::cuda::launch::Driver;
use half::bf16;
use std::sync::Arc;

/// `(rows, classes)`.
const EDGES: [(usize, usize); 6] = [(1, 2), (5, 10), (9, 1000), (3, 33), (33, 40), (300, 4)];
const OP: (&str, &str) = ("loss", "cross_entropy");
/// Of `p` and `t`, beside an ulp of the gradient.
const CANCELLED: f64 = 4e-7;

pub fn edges<O: Ops>() -> Vec<Case<O>> {
    let mut all = Vec::new();
    for (rows, classes) in EDGES {
        all.extend(case::<f32, O>(rows, classes));
        all.extend(case::<bf16, O>(rows, classes));
    }
    all.extend([confident(), ties(), not_a_number()].into_iter().flatten());
    all
}

/// Labels spread over the classes.
pub fn labels(rows: usize, classes: usize) -> Vec<u32> {
    (0..rows).map(|i| (i * 7 % classes) as u32).collect()
}

pub fn case<T: Element, O: Ops>(rows: usize, classes: usize) -> Option<Case<O>> {
    O::has::<T>().then(|| Case::new(OP, format!("{rows} rows of {classes} classes"), T::NAME, move |_: &O| checks::<T, O>(rows, classes)))
}

fn checks<T: Element, O: Ops>(rows: usize, classes: usize) -> Vec<Check<O>> {
    let len = rows * classes;
    let wide = normal(3, len).iter().map(|v| v * 20.0).collect();
    let mut checks = Vec::new();
    for (numbers, logits) in [("integers", integers(2, len)), ("normal numbers", normal(1, len)), ("wide logits", wide)] {
        let logits = Arc::new(rounded::<T>(&logits));
        for (smoothing, scale) in [(0.0, 1.0), (0.1, 128.0)] {
            let detail = format!("{numbers}, smoothing {smoothing}, scale {scale}");
            checks.push(check::<T, O>(&detail, classes, smoothing, scale, &logits, labels(rows, classes)));
        }
    }
    checks
}

fn check<T: Element, O: Ops>(
    detail: &str,
    classes: usize,
    smoothing: f64,
    scale: f64,
    logits: &Arc<Vec<f64>>,
    labels: Vec<u32>,
) -> Check<O> {
    let (_, top1, top5, d) = oracle::cross_entropy(classes, smoothing, logits, &labels);
    let losses = oracle::row_losses(classes, smoothing, logits, &labels);
    let ranks = oracle::ranks(classes, logits, &labels);
    let factor = scale / labels.len() as f64;
    let dlogits: Vec<f64> = d.iter().map(|v| v * scale).collect();
    // p = (p - t) + t, from the reference's own gradient
    let target = |i: usize| smoothing / classes as f64 + if labels[i / classes] as usize == i % classes { 1.0 - smoothing } else { 0.0 };
    let larger = |i: usize| target(i).max(d[i] * labels.len() as f64 + target(i));
    let gradient = Expected::within("dlogits", dlogits.clone(), |i| ulp::<T>(dlogits[i]) + CANCELLED * factor.abs() * larger(i));
    let loss: f64 = losses.iter().sum();
    let mut expected = vec![
        Expected::within("loss", vec![loss], |_| 1e-6 * loss.abs()),
        Expected::exact("top1", vec![top1 as f64]),
        Expected::exact("top5", vec![top5 as f64]),
        gradient,
    ];
    expected.push(Expected::within("losses", losses.clone(), |i| 1e-6 * losses[i].abs() + 1e-30).optional());
    expected.push(Expected::exact("ranks", ranks).optional());
    let logits = logits.clone();
    Check::new(detail, &Arc::new(expected), move |device: &O| {
        device.cross_entropy::<T>(&LossJob { classes, smoothing, scale, logits: &logits, labels: &labels })
    })
}

/// Labels far ahead: the losses are tiny, and still precise. A difference of logarithms in f32 would give zero.
fn confident<O: Ops>() -> Option<Case<O>> {
    O::has::<f32>().then(|| {
        Case::new(OP, "1 row of 3 classes", "f32", |_: &O| {
            vec![check::<f32, O>("label far ahead", 3, 0.0, 1.0, &Arc::new(vec![20.0, 0.0, 1.0]), vec![0])]
        })
    })
}

/// Equal logits rank by index.
fn ties<O: Ops>() -> Option<Case<O>> {
    O::has::<f32>().then(|| {
        Case::new(OP, "4 rows of 8 classes", "f32", |_: &O| {
            vec![check::<f32, O>("all equal", 8, 0.0, 1.0, &Arc::new(vec![1.0; 32]), vec![0, 1, 4, 7])]
        })
    })
}

/// A row with a NaN, or with an infinite maximum, has a loss that is none, and is never counted as correct.
fn not_a_number<O: Ops>() -> Option<Case<O>> {
    O::has::<f32>().then(|| {
        Case::new(OP, "1 row of 40 classes", "f32", |_: &O| {
            let row = |at: usize| {
                (0..40)
                    .map(|i| {
                        if i == at {
                            f64::NAN
                        } else if i == 0 {
                            9.0
                        } else {
                            f64::from(i as u32 % 5)
                        }
                    })
                    .collect()
            };
            let nan = |name, len| Expected::exact(name, vec![f64::NAN; len]);
            let none = |name| Expected::exact(name, vec![0.0]);
            let no_rank = || Expected::exact("ranks", vec![f64::from(i32::MAX)]).optional();
            let mut checks = Vec::new();
            for at in 0..40 {
                for smoothing in [0.0, 0.1] {
                    let expected =
                        vec![nan("loss", 1), none("top1"), none("top5"), nan("dlogits", 40), nan("losses", 1).optional(), no_rank()];
                    let logits: Vec<f64> = row(at);
                    checks.push(Check::new(format!("NaN at {at}, smoothing {smoothing}"), &Arc::new(expected), move |device: &O| {
                        device.cross_entropy::<f32>(&LossJob { classes: 40, smoothing, scale: 1.0, logits: &logits, labels: &[0] })
                    }));
                }
            }
            checks
        })
    })
}

/// What the CPU backend refuses, and the kernel must survive: a label that is no class reads nothing outside its row, and an infinite
/// logit at the top has no loss.
pub fn refused<D: Driver>() -> Case<OnDriver<D>> {
    Case::new(OP, "1 row of 3 classes", "f32", |_: &OnDriver<D>| {
        let check = |detail, logits: [f64; 3], label: u32, hits: &[f64]| {
            let mut expected = vec![Expected::exact("losses", vec![f64::NAN]), Expected::exact("loss", vec![f64::NAN])];
            expected.extend(hits.iter().map(|&hit| Expected::exact("top5", vec![hit])));
            let wanted = expected.len();
            Check::new(detail, &Arc::new(expected), move |device: &OnDriver<D>| {
                let job = LossJob { classes: 3, smoothing: 0.0, scale: 1.0, logits: &logits, labels: &[label] };
                let mut outputs = device.cross_entropy::<f32>(&job)?;
                outputs.retain(|o| ["losses", "loss", "top5"][..wanted].contains(&o.name));
                Ok(outputs)
            })
        };
        vec![check("infinite", [f64::INFINITY, 0.0, 0.0], 0, &[]), check("label 2^20 of 3", [1.0, 0.0, 0.0], 1 << 20, &[0.0])]
    })
}
