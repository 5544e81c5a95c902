//! Convolution and its two gradients. `y[n,p,q,k] = sum over r,s,c of x[n, p*stride-pad+r, q*stride-pad+s, c] * w[k,r,s,c]`,
//! pictures zero outside.

use super::Memory;
use crate::error::Result;
use crate::shape::ConvProblem;

pub trait Conv: Memory {
    /// `y` from `x` and `w`.
    fn conv_fprop(&self, problem: &ConvProblem, x: Self::Ref<'_>, w: Self::Ref<'_>, y: Self::Mut<'_>) -> Result<()>;

    /// The gradient by the input, `dx`, from `dy` and `w`.
    fn conv_dgrad(&self, problem: &ConvProblem, dy: Self::Ref<'_>, w: Self::Ref<'_>, dx: Self::Mut<'_>, accumulate: bool) -> Result<()>;

    /// The gradient by the filters, `dw`, from `x` and `dy`.
    fn conv_wgrad(&self, problem: &ConvProblem, x: Self::Ref<'_>, dy: Self::Ref<'_>, dw: Self::Mut<'_>, accumulate: bool) -> Result<()>;
}
