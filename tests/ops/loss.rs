//! Cross-entropy: against the formula and PyTorch; ranks, ties, non-finite logits.

use crate::common::tolerance::close;
use crate::common::{integers, normal, oracle};
use crate::golden::{golden, numbers};
use crate::{bits, down, on_threads, poison, up};
use imagenet_engine::backend::{BatchMetrics, Loss, Memory};
use imagenet_engine::cpu::{Cpu, Real};

fn run<T: Real>(classes: usize, smoothing: f64, scale: f64, logits: &[f64], labels: &[u32]) -> (BatchMetrics, Vec<f64>) {
    let cpu = Cpu::<T>::new();
    let (logits_d, labels_d, mut d) = (up(&cpu, logits), cpu.upload_labels(labels).unwrap(), poison(&cpu, logits.len()));
    let (rows, z) = (labels.len(), Cpu::<T>::all(&logits_d));
    let metrics = cpu.softmax_cross_entropy(rows, classes, smoothing, scale, z, &labels_d, Some(Cpu::<T>::all_mut(&mut d))).unwrap();
    let alone = cpu.softmax_cross_entropy(rows, classes, smoothing, scale, z, &labels_d, None).unwrap();
    let (metrics, alone) = (cpu.metrics(metrics).unwrap(), cpu.metrics(alone).unwrap());
    assert_eq!((metrics.loss.to_bits(), metrics.top1, metrics.top5), (alone.loss.to_bits(), alone.top1, alone.top5));
    (metrics, down(&cpu, &d))
}

#[test]
fn formula() {
    for (rows, classes) in [(1, 2), (5, 10), (33, 1000), (3, 4)] {
        let labels: Vec<u32> = (0..rows).map(|i| (i * 7 % classes) as u32).collect();
        for logits in [normal(1, rows * classes), integers(2, rows * classes), normal(3, rows * classes).iter().map(|v| v * 90.0).collect()]
        {
            let logits: Vec<f64> = logits.iter().map(|&v| f64::from(v as f32)).collect();
            for smoothing in [0.0, 0.1] {
                let (loss, top1, top5, d) = oracle::cross_entropy(classes, smoothing, &logits, &labels);
                let (got, gradient) = run::<f64>(classes, smoothing, 1.0, &logits, &labels);
                close(&[got.loss], &[loss], |_| 1e-11 * (1.0 + loss)).unwrap();
                close(&gradient, &d, |_| 1e-13).unwrap();
                assert_eq!((got.top1, got.top5, got.rows), (top1, top5, rows as u64));
                let (got, gradient) = run::<f32>(classes, smoothing, 128.0, &logits, &labels);
                close(&[got.loss], &[loss], |_| 1e-11 * (1.0 + loss)).unwrap(); // sums are f64 in both
                let scaled: Vec<f64> = d.iter().map(|v| v * 128.0).collect();
                close(&gradient, &scaled, |i| 2e-7 * scaled[i].abs() + 1e-12).unwrap();
                assert_eq!((got.top1, got.top5), (top1, top5));
            }
        }
    }
}

#[test]
fn agrees_with_torch() {
    let g = golden("loss");
    let labels: Vec<u32> = numbers(&g["labels"]).iter().map(|&v| v as u32).collect();
    let mut losses = Vec::new();
    for case in g["cases"].as_array().unwrap() {
        let (got, d) = run::<f64>(7, case["smoothing"].as_f64().unwrap(), 1.0, &numbers(&g["logits"]), &labels);
        let mean = case["mean"].as_f64().unwrap();
        close(&[got.loss / 4.0], &[mean], |_| 1e-13 * mean).unwrap();
        close(&d, &numbers(&case["dlogits"]), |_| 1e-14).unwrap();
        losses.push(mean);
    }
    assert!(close(&losses[..1], &losses[1..], |_| 1e-13).is_err(), "smoothing must matter");
}

#[test]
fn ties_go_to_the_lower_class() {
    let equal = vec![1.0; 8];
    for (label, top1, top5) in [(0, 1, 1), (1, 0, 1), (4, 0, 1), (5, 0, 0), (7, 0, 0)] {
        let got = run::<f32>(8, 0.0, 1.0, &equal, &[label]).0;
        assert_eq!((got.top1, got.top5), (top1, top5), "label {label}");
    }
}

#[test]
fn not_a_number_is_never_correct_and_always_seen() {
    for at in 0..6 {
        let mut logits = vec![9.0, 1.0, 2.0, 3.0, 4.0, 5.0];
        logits[at] = f64::NAN;
        for smoothing in [0.0, 0.1] {
            let (got, d) = run::<f32>(6, smoothing, 1.0, &logits, &[0]);
            assert!(!got.loss.is_finite() && got.top1 == 0 && got.top5 == 0, "NaN at {at}");
            assert!(d.iter().any(|v| !v.is_finite()));
        }
    }
    let infinite = run::<f32>(3, 0.0, 1.0, &[f64::INFINITY, 0.0, 0.0], &[0]).0;
    assert!(!infinite.loss.is_finite());
}

#[test]
fn same_bits_for_any_number_of_threads() {
    let (logits, labels) = (normal(1, 64 * 1000), (0..64).map(|i| i * 13).collect::<Vec<u32>>());
    let results = on_threads(|| {
        let (m, d) = run::<f32>(1000, 0.1, 1.0, &logits, &labels);
        (m.loss.to_bits(), m.top1, m.top5, bits(&d))
    });
    assert!(results[0] == results[1] && results[0] == results[2]);
}

#[test]
fn wrong_labels_and_lengths_are_errors() {
    let cpu = Cpu::<f32>::new();
    let labels = cpu.upload_labels(&[3]).unwrap();
    assert!(cpu.softmax_cross_entropy(1, 3, 0.0, 1.0, &[0.0; 3], &labels, None).unwrap_err().to_string().contains("label 3"));
    assert!(cpu.softmax_cross_entropy(1, 4, 0.0, 1.0, &[0.0; 3], &labels, None).is_err());
    assert!(cpu.softmax_cross_entropy(2, 4, 0.0, 1.0, &[0.0; 8], &labels, None).is_err());
    assert!(cpu.softmax_cross_entropy(1, 4, 0.0, 1.0, &[0.0; 4], &labels, Some(&mut [0.0; 5])).is_err());
}
