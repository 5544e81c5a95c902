//! Cross-entropy: losses within 1e-6, gradients within an ulp, ranks exact; ties, NaN, infinities, confident rows.

use crate::common::tolerance::close;
use crate::common::{integers, normal, oracle};
use crate::device::{down, emulator, output, rounded, same_under_all_schedules, unit, up};
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

fn check<T: Element>() {
    for (rows, classes) in [(1, 2), (5, 10), (9, 1000), (3, 33), (300, 4)] {
        let labels: Vec<u32> = (0..rows).map(|i| (i * 7 % classes) as u32).collect();
        for logits in [normal(1, rows * classes), integers(2, rows * classes), normal(3, rows * classes).iter().map(|v| v * 20.0).collect()]
        {
            let logits = rounded::<T>(&logits);
            for (smoothing, scale) in [(0.0, 1.0), (0.1, 128.0)] {
                let what = format!("{rows} x {classes}, smoothing {smoothing}, {}", T::NAME);
                let got = run::<T>(&emulator(), classes, smoothing, scale, &logits, &labels).unwrap();
                let (mut each, mut ranks) = (Vec::new(), Vec::new());
                for (z, &label) in logits.chunks(classes).zip(&labels) {
                    each.push(row_loss(smoothing, z, label as usize));
                    let ahead = |(k, v): &(usize, &f64)| **v > z[label as usize] || **v == z[label as usize] && *k < label as usize;
                    ranks.push(z.iter().enumerate().filter(ahead).count() as i32);
                }
                close(&got.losses, &each, |i| 1e-6 * each[i].abs() + 1e-30).unwrap_or_else(|e| panic!("losses, {what}: {e}"));
                assert_eq!(got.ranks, ranks, "{what}");
                close(&[each.iter().sum()], &[oracle::cross_entropy(classes, smoothing, &logits, &labels).0], |_| {
                    1e-11 * (1.0 + rows as f64)
                })
                .unwrap();
                let (loss, top1, top5, d) = oracle::cross_entropy(classes, smoothing, &logits, &labels);
                close(&got.sums, &[loss, top1 as f64, top5 as f64], |i| if i == 0 { 1e-6 * loss } else { 0.0 }).unwrap();
                // an ulp of the result, and of f32 for probability and target, which may cancel
                let want: Vec<f64> = d.iter().map(|v| v * scale).collect();
                let cancel = 4e-7 * scale / rows as f64;
                close(&got.dlogits, &want, |i| 2.0 * unit::<T>() * want[i].abs() + cancel)
                    .unwrap_or_else(|e| panic!("dlogits, {what}: {e}"));
            }
        }
    }
}

#[test]
fn formula_f32() {
    check::<f32>();
}

#[test]
fn formula_bf16() {
    check::<bf16>();
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

/// A label far ahead: the loss is tiny, and still precise. The difference of logarithms would give zero.
#[test]
fn confident_rows_keep_their_loss() {
    let got = run::<f32>(&emulator(), 3, 0.0, 1.0, &[20.0, 0.0, 1.0], &[0]).unwrap();
    let want = ((-20.0f64).exp() + (-19.0f64).exp()).ln_1p();
    close(&got.losses, &[want], |_| 1e-6 * want).unwrap();
    assert!(f64::from((20.0f32.exp() + 1.0 + 1.0f32.exp()).ln() - 20.0) == 0.0, "otherwise this row proves nothing");
}

#[test]
fn ties_go_to_the_lower_class() {
    for (label, rank) in [(0, 0), (1, 1), (4, 4), (7, 7)] {
        let got = run::<f32>(&emulator(), 8, 0.0, 1.0, &[1.0; 8], &[label]).unwrap();
        assert_eq!((got.ranks[0], got.sums[1], got.sums[2]), (rank, f64::from(u8::from(rank < 1)), f64::from(u8::from(rank < 5))));
    }
}

#[test]
fn not_a_number_is_never_correct_and_always_seen() {
    for at in 0..40 {
        let mut logits: Vec<f64> = (0..40).map(|i| if i == 0 { 9.0 } else { f64::from(i % 5) }).collect();
        logits[at] = f64::NAN;
        for smoothing in [0.0, 0.1] {
            let got = run::<f32>(&emulator(), 40, smoothing, 1.0, &logits, &[0]).unwrap();
            assert!(!got.sums[0].is_finite() && got.sums[1] == 0.0 && got.sums[2] == 0.0, "NaN at {at}");
            assert!(got.dlogits.iter().all(|v| v.is_nan()));
        }
    }
    let infinite = run::<f32>(&emulator(), 3, 0.0, 1.0, &[f64::INFINITY, 0.0, 0.0], &[0]).unwrap();
    assert!(!infinite.sums[0].is_finite());
    // a label that is no class reads nothing outside the row
    let wrong = run::<f32>(&emulator(), 3, 0.0, 1.0, &[1.0, 0.0, 0.0], &[1 << 20]).unwrap();
    assert!(wrong.losses[0].is_nan() && wrong.sums[2] == 0.0);
}

#[test]
fn same_bits_under_all_schedules() {
    let (logits, labels) = (normal(1, 37 * 1000), (0..37).map(|i| i * 13).collect::<Vec<u32>>());
    same_under_all_schedules("loss", |device| {
        let o = run::<bf16>(device, 1000, 0.1, 1.0, &logits, &labels).unwrap();
        [o.losses, o.sums, o.dlogits].concat()
    });
}
