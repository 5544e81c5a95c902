//! Cross-entropy with two labels a row, in shares of one number a batch, as mixup and cutmix make them.

use crate::arrays::{down, output, rounded, unit, up};
use crate::common::tolerance::close;
use crate::common::{normal, oracle};
use crate::device::emulator;
use half::bf16;
use imagenet_engine::cuda::Element;
use imagenet_engine::cuda::emulated::Emulator;
use imagenet_engine::cuda::launch::{Ptr, PtrMut};
use imagenet_engine::cuda::loss::{CrossEntropy, Mixed, cross_entropy, mixed_cross_entropy};
use imagenet_engine::cuda::memory::Array;
use imagenet_engine::error::Result;

pub struct Outcome {
    pub losses: Vec<f64>,
    pub ranks: Vec<i32>,
    /// Loss, top-1, top-5.
    pub sums: Vec<f64>,
    pub dlogits: Vec<f64>,
}

pub fn run<T: Element>(device: &Emulator, classes: usize, smoothing: f64, scale: f64, logits: &[f64], labels: &[u32]) -> Result<Outcome> {
    run_mixed::<T>(device, classes, smoothing, scale, logits, labels, None)
}

/// With second labels, and the share of the first.
pub fn run_mixed<T: Element>(
    device: &Emulator,
    classes: usize,
    smoothing: f64,
    scale: f64,
    logits: &[f64],
    labels: &[u32],
    second: Option<(&[u32], f32)>,
) -> Result<Outcome> {
    let rows = labels.len();
    let second = second.map(|(labels, share)| (Array::from_host(device, labels).unwrap(), up::<f32>(device, &[share.into()])));
    let launch = |arrays: &CrossEntropy<T>| match &second {
        None => cross_entropy(device, rows, classes, smoothing, scale, arrays),
        Some((labels, share)) => {
            mixed_cross_entropy(device, rows, classes, smoothing, scale, arrays, &Mixed { labels: labels.ptr(), share: share.ptr() })
        }
    };
    let (logits, labels) = (up::<T>(device, logits), Array::from_host(device, labels)?);
    let (mut losses, mut ranks) = (output::<f32>(device, rows), Array::<i32, _>::new(device, rows)?);
    let (mut sums, mut dlogits) = (Array::<f64, _>::new(device, 3)?, output::<T>(device, rows * classes));
    let mut arrays = CrossEntropy {
        logits: logits.ptr(),
        labels: labels.ptr(),
        dlogits: dlogits.ptr_mut(),
        losses: losses.ptr_mut(),
        ranks: ranks.ptr_mut(),
        sums: sums.ptr_mut(),
    };
    launch(&arrays)?;
    let outcome = Outcome { losses: down(&losses), ranks: ranks.to_host()?, sums: sums.to_host()?, dlogits: down(&dlogits) };
    arrays.dlogits = PtrMut::null();
    launch(&arrays)?;
    assert!(sums.to_host()?.iter().zip(&outcome.sums).all(|(a, b)| a.to_bits() == b.to_bits()), "the loss alone differs");
    Ok(outcome)
}

/// One row's loss in f64, without the oracle's difference of logarithms, which cancels where the label is far ahead.
fn row_loss(smoothing: f64, z: &[f64], label: usize) -> f64 {
    let first_top = (0..z.len()).rev().max_by(|&a, &b| z[a].total_cmp(&z[b])).unwrap();
    let top = z[first_top];
    let rest = (0..z.len()).filter(|&k| k != first_top).map(|k| (z[k] - top).exp()).sum::<f64>().ln_1p();
    (1.0 - smoothing) * (top - z[label] + rest) + smoothing * (z.iter().map(|v| top - v).sum::<f64>() / z.len() as f64 + rest)
}

/// What a mixed batch must give: loss and gradient are linear in the target, ranks are the first label's.
pub fn mixed_reference(classes: usize, smoothing: f64, logits: &[f64], labels: &[u32], second: &[u32], share: f32) -> (Vec<f64>, Vec<f64>) {
    let share = f64::from(share);
    let mix = |a: f64, b: f64| share * a + (1.0 - share) * b;
    let row = |((z, &a), &b): ((&[f64], &u32), &u32)| mix(row_loss(smoothing, z, a as usize), row_loss(smoothing, z, b as usize));
    let losses = logits.chunks(classes).zip(labels).zip(second).map(row).collect();
    let gradient = |labels: &[u32]| oracle::cross_entropy(classes, smoothing, logits, labels).3;
    let d = gradient(labels).iter().zip(gradient(second)).map(|(a, b)| mix(*a, b)).collect();
    (losses, d)
}

fn check_mixed<T: Element>() {
    for (rows, classes) in [(1, 2), (9, 1000), (34, 33)] {
        let logits = rounded::<T>(&normal(1, rows * classes).iter().map(|v| v * 5.0).collect::<Vec<_>>());
        let labels: Vec<u32> = (0..rows).map(|i| (i * 7 % classes) as u32).collect();
        let second: Vec<u32> = labels.iter().rev().copied().collect(); // as timm flips the batch; the middle of an odd one meets itself
        for (smoothing, share) in [(0.0, 0.7f32), (0.1, 0.3), (0.1, 1.0), (0.1, 0.0)] {
            let what = format!("{rows} x {classes}, smoothing {smoothing}, share {share}, {}", T::NAME);
            let got = run_mixed::<T>(&emulator(), classes, smoothing, 1.0, &logits, &labels, Some((&second, share))).unwrap();
            let (losses, d) = mixed_reference(classes, smoothing, &logits, &labels, &second, share);
            close(&got.losses, &losses, |i| 1e-6 * losses[i].abs() + 1e-30).unwrap_or_else(|e| panic!("losses, {what}: {e}"));
            close(&got.dlogits, &d, |i| 2.0 * unit::<T>() * d[i].abs() + 4e-7 / rows as f64)
                .unwrap_or_else(|e| panic!("dlogits, {what}: {e}"));
            let alone = run::<T>(&emulator(), classes, smoothing, 1.0, &logits, &labels).unwrap();
            assert_eq!(got.ranks, alone.ranks, "{what}");
            if share == 1.0 {
                close(&got.losses, &alone.losses, |_| 0.0).unwrap();
                close(&got.dlogits, &alone.dlogits, |_| 0.0).unwrap();
            }
        }
    }
}

#[test]
fn mixed_labels_f32() {
    check_mixed::<f32>();
}

#[test]
fn mixed_labels_bf16() {
    check_mixed::<bf16>();
}

#[test]
fn mixed_labels_need_both_arrays_and_real_classes() {
    let (device, labels) = (emulator(), Array::from_host(&emulator(), &[0u32]).unwrap());
    let arrays = CrossEntropy::<f32> {
        logits: Ptr::null(),
        labels: labels.ptr(),
        dlogits: PtrMut::null(),
        losses: PtrMut::null(),
        ranks: PtrMut::null(),
        sums: PtrMut::null(),
    };
    let half = Mixed { labels: labels.ptr(), share: Ptr::null() };
    assert!(mixed_cross_entropy(&device, 1, 3, 0.0, 1.0, &arrays, &half).unwrap_err().to_string().contains("need a share"));
    let wrong = run_mixed::<f32>(&device, 3, 0.0, 1.0, &[1.0, 0.0, 0.0], &[0], Some((&[3], 0.5))).unwrap();
    assert!(wrong.losses[0].is_nan() && wrong.sums[2] == 0.0 && wrong.dlogits.iter().all(|v| v.is_nan()));
}
