//! Slow, obvious references in f64, written straight from the formulas.

use imagenet_engine::shape::{ConvProblem, LinearProblem, PoolProblem};

/// Calls `f(index of y, index of x, index of w)` for every product of the convolution.
pub fn conv_products(pr: &ConvProblem, mut f: impl FnMut(usize, usize, usize)) {
    let (p, q) = (pr.p(), pr.q());
    for n in 0..pr.n {
        for i in 0..p {
            for j in 0..q {
                for r in 0..pr.r {
                    for s in 0..pr.s {
                        let (y, x) = ((i * pr.stride + r) as isize - pr.pad as isize, (j * pr.stride + s) as isize - pr.pad as isize);
                        if y < 0 || x < 0 || y >= pr.h as isize || x >= pr.w as isize {
                            continue;
                        }
                        for k in 0..pr.k {
                            for c in 0..pr.c {
                                f(
                                    ((n * p + i) * q + j) * pr.k + k,
                                    ((n * pr.h + y as usize) * pr.w + x as usize) * pr.c + c,
                                    ((k * pr.r + r) * pr.s + s) * pr.c + c,
                                );
                            }
                        }
                    }
                }
            }
        }
    }
}

pub fn conv_fprop(pr: &ConvProblem, x: &[f64], w: &[f64]) -> Vec<f64> {
    let mut out = vec![0.0; pr.y_len()];
    conv_products(pr, |iy, ix, iw| out[iy] += x[ix] * w[iw]);
    out
}

pub fn conv_dgrad(pr: &ConvProblem, dy: &[f64], w: &[f64]) -> Vec<f64> {
    let mut out = vec![0.0; pr.x_len()];
    conv_products(pr, |iy, ix, iw| out[ix] += dy[iy] * w[iw]);
    out
}

pub fn conv_wgrad(pr: &ConvProblem, x: &[f64], dy: &[f64]) -> Vec<f64> {
    let mut out = vec![0.0; pr.w_len()];
    conv_products(pr, |iy, ix, iw| out[iw] += dy[iy] * x[ix]);
    out
}

/// `y[n,k] = x w^T + bias`.
pub fn linear(pr: &LinearProblem, x: &[f64], w: &[f64], bias: &[f64]) -> Vec<f64> {
    let mut y = vec![0.0; pr.n * pr.k];
    for n in 0..pr.n {
        for k in 0..pr.k {
            y[n * pr.k + k] = bias[k] + (0..pr.c).map(|c| x[n * pr.c + c] * w[k * pr.c + c]).sum::<f64>();
        }
    }
    y
}

pub fn linear_dx(pr: &LinearProblem, dy: &[f64], w: &[f64]) -> Vec<f64> {
    let mut dx = vec![0.0; pr.n * pr.c];
    for n in 0..pr.n {
        for c in 0..pr.c {
            dx[n * pr.c + c] = (0..pr.k).map(|k| dy[n * pr.k + k] * w[k * pr.c + c]).sum();
        }
    }
    dx
}

pub fn linear_dw(pr: &LinearProblem, x: &[f64], dy: &[f64]) -> Vec<f64> {
    let mut dw = vec![0.0; pr.k * pr.c];
    for k in 0..pr.k {
        for c in 0..pr.c {
            dw[k * pr.c + c] = (0..pr.n).map(|n| dy[n * pr.k + k] * x[n * pr.c + c]).sum();
        }
    }
    dw
}

/// Mean and biased variance of every channel.
pub fn moments(c: usize, y: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let rows = (y.len() / c) as f64;
    let mean: Vec<f64> = (0..c).map(|i| y.iter().skip(i).step_by(c).sum::<f64>() / rows).collect();
    let variance = (0..c).map(|i| y.iter().skip(i).step_by(c).map(|v| (v - mean[i]).powi(2)).sum::<f64>() / rows).collect();
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

/// Values and first positions of the maxima; NaN is greater than everything, the last NaN wins (as torch).
pub fn max_pool(pr: &PoolProblem, x: &[f64]) -> (Vec<f64>, Vec<u8>) {
    let (mut y, mut position) = (Vec::new(), Vec::new());
    for n in 0..pr.n {
        for i in 0..pr.p() {
            for j in 0..pr.q() {
                for c in 0..pr.c {
                    let mut best = (f64::NEG_INFINITY, None);
                    for r in 0..pr.window {
                        for s in 0..pr.window {
                            let (Some(a), Some(b)) = ((i * pr.stride + r).checked_sub(pr.pad), (j * pr.stride + s).checked_sub(pr.pad))
                            else {
                                continue;
                            };
                            if a < pr.h && b < pr.w {
                                let v = x[((n * pr.h + a) * pr.w + b) * pr.c + c];
                                if best.1.is_none() || v > best.0 || v.is_nan() {
                                    best = (v, Some((r * pr.window + s) as u8));
                                }
                            }
                        }
                    }
                    y.push(best.0);
                    position.push(best.1.unwrap());
                }
            }
        }
    }
    (y, position)
}

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
        let rank = order.iter().position(|&k| k == label).unwrap();
        top1 += u64::from(rank < 1);
        top5 += u64::from(rank < 5);
    }
    (loss, top1, top5, d)
}

/// Triangle filter with antialias from `from` to `to` samples as a dense matrix: every weight from its distance, no windows.
pub fn triangle(from: usize, to: usize) -> Vec<Vec<f64>> {
    let scale = from as f64 / to as f64;
    let support = scale.max(1.0);
    (0..to)
        .map(|i| {
            let centre = (i as f64 + 0.5) * scale;
            let row: Vec<f64> = (0..from).map(|t| (1.0 - ((t as f64 + 0.5 - centre) / support).abs()).max(0.0)).collect();
            let total: f64 = row.iter().sum();
            row.iter().map(|w| w / total).collect()
        })
        .collect()
}

/// HWC u8 crop to `size` x `size` x 3, in f64, values still 0..255.
pub fn resize(crop: &[u8], width: usize, height: usize, size: usize) -> Vec<f64> {
    let (across, down) = (triangle(width, size), triangle(height, size));
    let mut out = Vec::new();
    for row in &down {
        for column in &across {
            for channel in 0..3 {
                let mut sum = 0.0;
                for (y, wy) in row.iter().enumerate().filter(|w| *w.1 != 0.0) {
                    for (x, wx) in column.iter().enumerate().filter(|w| *w.1 != 0.0) {
                        sum += wy * wx * f64::from(crop[(y * width + x) * 3 + channel]);
                    }
                }
                out.push(sum);
            }
        }
    }
    out
}
