//! Convolution: checks, and the way to the three kernels.

use super::memory::expect_len;
use super::{Cpu, Real, conv_dgrad, conv_fprop, conv_wgrad};
use crate::backend::Conv;
use crate::error::{Error, Result};
use crate::shape::ConvProblem;

fn check(op: &str, problem: &ConvProblem, x: usize, w: usize, y: usize) -> Result<()> {
    problem.check()?;
    expect_len(op, "x", x, problem.x_len())?;
    expect_len(op, "w", w, problem.w_len())?;
    expect_len(op, "y", y, problem.y_len())
}

/// The tile arithmetic and the GEMM disagree: a bug here, not the caller's.
pub(super) fn short(problem: &ConvProblem) -> Error {
    Error::internal("a matrix is shorter than its product needs").at(format!("convolution {problem:?}"))
}

impl<T: Real> Conv for Cpu<T> {
    fn conv_fprop(&self, problem: &ConvProblem, x: &[T], w: &[T], y: &mut [T]) -> Result<()> {
        check("conv_fprop", problem, x.len(), w.len(), y.len())?;
        conv_fprop::run(self, problem, x, w, y)
    }

    fn conv_dgrad(&self, problem: &ConvProblem, dy: &[T], w: &[T], dx: &mut [T], accumulate: bool) -> Result<()> {
        check("conv_dgrad", problem, dx.len(), w.len(), dy.len())?;
        conv_dgrad::run(self, problem, dy, w, dx, accumulate)
    }

    fn conv_wgrad(&self, problem: &ConvProblem, x: &[T], dy: &[T], dw: &mut [T], accumulate: bool) -> Result<()> {
        check("conv_wgrad", problem, x.len(), dw.len(), dy.len())?;
        conv_wgrad::run(self, problem, x, dy, dw, accumulate)
    }
}
