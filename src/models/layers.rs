//! What a network computes, as a list: for benchmarks and estimates, which need no tape.

use crate::backend::NormProblem;
use crate::shape::{ConvProblem, LinearProblem, PoolProblem};

/// One layer on pictures of a given size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Layer {
    Conv(ConvProblem),
    /// With the ReLU if the problem says so, after adding a residual if `residual`.
    Norm {
        problem: NormProblem,
        residual: bool,
    },
    MaxPool(PoolProblem),
    AveragePool {
        n: usize,
        pixels: usize,
        c: usize,
    },
    Linear(LinearProblem),
}

/// The different layers in order of first use, and how often each occurs.
pub fn distinct(layers: &[Layer]) -> Vec<(Layer, usize)> {
    let mut found: Vec<(Layer, usize)> = Vec::new();
    for layer in layers {
        match found.iter_mut().find(|(l, _)| l == layer) {
            Some((_, count)) => *count += 1,
            None => found.push((*layer, 1)),
        }
    }
    found
}
