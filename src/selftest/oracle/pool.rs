//! Pooling.

use crate::shape::PoolProblem;

/// Values and first positions of the maxima; NaN is greater than everything, the last NaN wins (as torch). A window lies in the picture
/// at least in part.
pub fn max_pool(pr: &PoolProblem, x: &[f64]) -> (Vec<f64>, Vec<u8>) {
    let (mut y, mut position) = (Vec::new(), Vec::new());
    for n in 0..pr.n {
        for i in 0..pr.p() {
            for j in 0..pr.q() {
                for c in 0..pr.c {
                    let mut best: Option<(f64, u8)> = None;
                    for r in 0..pr.window {
                        for s in 0..pr.window {
                            let (Some(a), Some(b)) = ((i * pr.stride + r).checked_sub(pr.pad), (j * pr.stride + s).checked_sub(pr.pad))
                            else {
                                continue;
                            };
                            if a < pr.h && b < pr.w {
                                let v = x[((n * pr.h + a) * pr.w + b) * pr.c + c];
                                if best.is_none_or(|(top, _)| v > top || v.is_nan()) {
                                    best = Some((v, (r * pr.window + s) as u8));
                                }
                            }
                        }
                    }
                    let (v, at) = best.unwrap_or((f64::NAN, u8::MAX));
                    y.push(v);
                    position.push(at);
                }
            }
        }
    }
    (y, position)
}

/// Every window's gradient to where its maximum was.
pub fn max_pool_backward(pr: &PoolProblem, position: &[u8], dy: &[f64]) -> Vec<f64> {
    let mut dx = vec![0.0; pr.x_len()];
    for (i, (&at, &d)) in position.iter().zip(dy).enumerate() {
        let (c, q, p, n) = (i % pr.c, i / pr.c % pr.q(), i / pr.c / pr.q() % pr.p(), i / pr.c / pr.q() / pr.p());
        let (r, s) = (at as usize / pr.window, at as usize % pr.window);
        dx[((n * pr.h + p * pr.stride + r - pr.pad) * pr.w + q * pr.stride + s - pr.pad) * pr.c + c] += d;
    }
    dx
}

/// Means over `pixels` of `x[n, pixels, c]`, and the means of the magnitudes.
pub fn average_pool(n: usize, pixels: usize, c: usize, x: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let (mut y, mut size) = (vec![0.0; n * c], vec![0.0; n * c]);
    for (i, v) in x.iter().enumerate() {
        let at = i / c / pixels * c + i % c;
        y[at] += v / pixels as f64;
        size[at] += v.abs() / pixels as f64;
    }
    (y, size)
}
