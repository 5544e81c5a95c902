//! Batch norm.

/// Sums over rows of `f(index)`, channel by channel.
fn sums(c: usize, len: usize, f: impl Fn(usize) -> f64) -> Vec<f64> {
    let mut sums = vec![0.0; c];
    (0..len).for_each(|i| sums[i % c] += f(i));
    sums
}

/// Mean and biased variance of every channel.
pub fn moments(c: usize, y: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let rows = (y.len() / c) as f64;
    let mean: Vec<f64> = sums(c, y.len(), |i| y[i]).iter().map(|s| s / rows).collect();
    let variance = sums(c, y.len(), |i| (y[i] - mean[i % c]).powi(2)).iter().map(|s| s / rows).collect();
    (mean, variance)
}

/// `act(gamma * (y-mean)/sqrt(variance+eps) + beta + residual)`.
#[allow(clippy::too_many_arguments)]
pub fn norm_apply(
    y: &[f64],
    mean: &[f64],
    variance: &[f64],
    eps: f64,
    gamma: &[f64],
    beta: &[f64],
    residual: Option<&[f64]>,
    relu: bool,
) -> Vec<f64> {
    let c = mean.len();
    let one = |(i, v): (usize, &f64)| {
        let j = i % c;
        let z = gamma[j] * (v - mean[j]) / (variance[j] + eps).sqrt() + beta[j] + residual.map_or(0.0, |r| r[i]);
        if relu { z.max(0.0) } else { z }
    };
    y.iter().enumerate().map(one).collect()
}

/// `(dy, dgamma, dbeta)` for the gradient `d` by the sum before the activation; three terms written out.
pub fn norm_backward(y: &[f64], eps: f64, gamma: &[f64], d: &[f64]) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let c = gamma.len();
    let rows = (y.len() / c) as f64;
    let (mean, variance) = moments(c, y);
    let hat = |i: usize| (y[i] - mean[i % c]) / (variance[i % c] + eps).sqrt();
    let (mut dgamma, mut dbeta) = (vec![0.0; c], vec![0.0; c]);
    for i in 0..y.len() {
        dgamma[i % c] += d[i] * hat(i);
        dbeta[i % c] += d[i];
    }
    let one = |i: usize| gamma[i % c] / (variance[i % c] + eps).sqrt() * (d[i] - dbeta[i % c] / rows - hat(i) * dgamma[i % c] / rows);
    ((0..y.len()).map(one).collect(), dgamma, dbeta)
}
