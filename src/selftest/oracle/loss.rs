//! Softmax cross-entropy.

/// Sum of losses, top-1 and top-5 counts, gradient of the mean loss.
pub fn cross_entropy(classes: usize, smoothing: f64, logits: &[f64], labels: &[u32]) -> (f64, u64, u64, Vec<f64>) {
    let (mut loss, mut top1, mut top5, mut d) = (0.0, 0, 0, Vec::new());
    for (z, &label) in logits.chunks(classes).zip(labels) {
        let label = label as usize;
        let top = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = z.iter().map(|v| (v - top).exp()).sum();
        for (k, v) in z.iter().enumerate() {
            let target = smoothing / classes as f64 + if k == label { 1.0 - smoothing } else { 0.0 };
            loss -= target * (v - top - total.ln());
            d.push(((v - top).exp() / total - target) / labels.len() as f64);
        }
        let mut order: Vec<usize> = (0..classes).collect();
        order.sort_by(|&a, &b| z[b].total_cmp(&z[a])); // stable: ties stay in index order
        let rank = order.iter().position(|&k| k == label).unwrap_or(classes);
        top1 += u64::from(rank < 1);
        top5 += u64::from(rank < 5);
    }
    (loss, top1, top5, d)
}

/// Every row's loss, without the difference of logarithms above, which cancels where the label is far ahead.
pub fn row_losses(classes: usize, smoothing: f64, logits: &[f64], labels: &[u32]) -> Vec<f64> {
    let one = |(z, &label): (&[f64], &u32)| {
        let first_top = (0..z.len()).rev().max_by(|&a, &b| z[a].total_cmp(&z[b])).unwrap_or(0);
        let top = z[first_top];
        let rest = (0..z.len()).filter(|&k| k != first_top).map(|k| (z[k] - top).exp()).sum::<f64>().ln_1p();
        let even = z.iter().map(|v| top - v).sum::<f64>() / z.len() as f64;
        (1.0 - smoothing) * (top - z[label as usize] + rest) + smoothing * (even + rest)
    };
    logits.chunks(classes).zip(labels).map(one).collect()
}

/// How many classes are ahead of the label: greater, or equal and of a lower index.
pub fn ranks(classes: usize, logits: &[f64], labels: &[u32]) -> Vec<f64> {
    let one = |(z, &label): (&[f64], &u32)| {
        let label = label as usize;
        z.iter().enumerate().filter(|&(k, &v)| v > z[label] || v == z[label] && k < label).count() as f64
    };
    logits.chunks(classes).zip(labels).map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selftest::numbers::normal;

    #[test]
    fn both_ways_of_writing_the_loss_agree() {
        let labels: Vec<u32> = (0..9).map(|i| i * 7 % 40).collect();
        let logits = normal(1, 9 * 40);
        for smoothing in [0.0, 0.1] {
            let (sum, top1, top5, _) = cross_entropy(40, smoothing, &logits, &labels);
            assert!((row_losses(40, smoothing, &logits, &labels).iter().sum::<f64>() - sum).abs() < 1e-12 * sum);
            let ranks = ranks(40, &logits, &labels);
            let below = |most: f64| ranks.iter().filter(|r| **r < most).count() as u64;
            assert_eq!((below(1.0), below(5.0)), (top1, top5));
        }
    }
}
