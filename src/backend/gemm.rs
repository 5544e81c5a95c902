//! The linear layer as matrix products: `y[n,k] = x[n,c] * w[k,c]^T + bias[k]`.

use super::Memory;
use crate::error::Result;
use crate::shape::LinearProblem;

pub trait Gemm: Memory {
    fn linear_fprop(
        &self,
        problem: &LinearProblem,
        x: Self::Ref<'_>,
        w: Self::Ref<'_>,
        bias: Self::Ref<'_>,
        y: Self::Mut<'_>,
    ) -> Result<()>;

    /// `dx = dy * w`.
    fn linear_dgrad(&self, problem: &LinearProblem, dy: Self::Ref<'_>, w: Self::Ref<'_>, dx: Self::Mut<'_>, accumulate: bool)
    -> Result<()>;

    /// `dw = dy^T * x` and `dbias = column sums of dy`.
    fn linear_wgrad(
        &self,
        problem: &LinearProblem,
        x: Self::Ref<'_>,
        dy: Self::Ref<'_>,
        dw: Self::Mut<'_>,
        dbias: Self::Mut<'_>,
        accumulate: bool,
    ) -> Result<()>;
}
