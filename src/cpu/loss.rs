//! Softmax cross-entropy with label smoothing: per row the maximum, the sum of exponentials, the loss, the gradient and the rank of
//! the label. Sums in f64. A row is small (1000 logits); rows go in parallel and their results are added in order.

use super::memory::expect_len;
use super::{Cpu, Real};
use crate::backend::{BatchMetrics, Loss};
use crate::error::{Error, Result};
use rayon::prelude::*;

impl<T: Real> Loss for Cpu<T> {
    type Metrics = BatchMetrics;
    type Arriving = Option<BatchMetrics>;

    fn softmax_cross_entropy(
        &self,
        rows: usize,
        classes: usize,
        smoothing: f64,
        scale: f64,
        logits: &[T],
        labels: &Vec<u32>,
        dlogits: Option<&mut [T]>,
    ) -> Result<BatchMetrics> {
        const OP: &str = "softmax_cross_entropy";
        expect_len(OP, "logits", logits.len(), rows * classes)?;
        expect_len(OP, "labels", labels.len(), rows)?;
        if let Some(bad) = labels.iter().find(|&&l| l as usize >= classes) {
            return Err(Error::internal(format!("label {bad} with {classes} classes")).at(OP));
        }
        if rows == 0 {
            return Ok(BatchMetrics::default());
        }
        let row = |(logits, &label): (&[T], &u32)| row_loss(logits, label as usize, smoothing);
        let each: Vec<Row> = logits.par_chunks_exact(classes).zip(labels).map(row).collect();
        if let Some(dlogits) = dlogits {
            expect_len(OP, "dlogits", dlogits.len(), rows * classes)?;
            let scale = scale / rows as f64;
            let sources = logits.par_chunks_exact(classes).zip(labels).zip(&each);
            dlogits.par_chunks_exact_mut(classes).zip(sources).for_each(|(d, ((logits, &label), row))| {
                let even = smoothing / classes as f64;
                for (class, (d, &z)) in d.iter_mut().zip(logits).enumerate() {
                    let target = if class == label as usize { 1.0 - smoothing + even } else { even };
                    *d = T::of_f64(scale * ((z.to_f64() - row.log_sum).exp() - target));
                }
            });
        }
        let mut sum = BatchMetrics { rows: rows as u64, ..BatchMetrics::default() };
        for row in each {
            sum.loss += row.loss;
            sum.top1 += u64::from(row.rank < 1);
            sum.top5 += u64::from(row.rank < 5);
        }
        Ok(sum)
    }

    fn send_metrics(&self, metrics: BatchMetrics) -> Result<Option<BatchMetrics>> {
        Ok(Some(metrics))
    }

    fn arrived_metrics(&self, arriving: &mut Option<BatchMetrics>, _wait: bool) -> Result<Option<BatchMetrics>> {
        Ok(arriving.take())
    }
}

struct Row {
    loss: f64,
    /// ln of the sum of exp(logit).
    log_sum: f64,
    /// Classes ranked ahead of the label; all of them where the row holds a NaN.
    rank: usize,
}

fn row_loss<T: Real>(logits: &[T], label: usize, smoothing: f64) -> Row {
    let truth = logits[label];
    let mut top = truth;
    let mut rank = 0;
    let mut total = 0.0;
    for (class, &z) in logits.iter().enumerate() {
        top = if z > top { z } else { top };
        rank += usize::from(z > truth || (z == truth && class < label));
        total += z.to_f64();
    }
    if total.is_nan() && logits.iter().any(|z| z.is_nan()) {
        return Row { loss: f64::NAN, log_sum: f64::NAN, rank: usize::MAX };
    }
    let top = top.to_f64();
    let log_sum = top + logits.iter().map(|&z| (z.to_f64() - top).exp()).sum::<f64>().ln();
    // sum over classes of -target * (z - log_sum), the targets adding up to one
    let mut loss = (1.0 - smoothing) * (log_sum - truth.to_f64());
    if smoothing != 0.0 {
        loss += smoothing * (log_sum - total / logits.len() as f64);
    }
    Row { loss, log_sum, rank }
}
