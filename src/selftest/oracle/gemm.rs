//! The linear layer.

use crate::shape::LinearProblem;

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
