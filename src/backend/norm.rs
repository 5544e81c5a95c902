//! Batch normalisation over NHWC, fused with the residual add and the ReLU that follow it in a ResNet.
//!
//! `out = act(gamma * (y - mean) * invstd + beta [+ residual])`, statistics per channel. As `torch.nn.BatchNorm2d`: the batch
//! statistics use the biased variance; the running variance takes the unbiased one, `running += momentum * (batch - running)`.

use super::Memory;
use crate::error::Result;

/// `pixels = n*h*w` rows of `channels`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NormProblem {
    pub pixels: usize,
    pub channels: usize,
    pub eps: f64,
    /// Weight of the newest batch in the running statistics.
    pub momentum: f64,
    /// `act` is ReLU; otherwise the identity.
    pub relu: bool,
}

pub trait Norm: Memory {
    /// With batch statistics. Writes `out`, updates `running` (`[mean; channels][variance; channels]`), and leaves
    /// `[mean][invstd]` in `saved` for the backward pass. Needs `pixels > 1`.
    #[allow(clippy::too_many_arguments)] // each is an array of its own
    fn norm_train(
        &self,
        problem: &NormProblem,
        y: Self::Ref<'_>,
        gamma: Self::Ref<'_>,
        beta: Self::Ref<'_>,
        residual: Option<Self::Ref<'_>>,
        running: Self::Mut<'_>,
        saved: Self::Mut<'_>,
        out: Self::Mut<'_>,
    ) -> Result<()>;

    /// With the running statistics.
    #[allow(clippy::too_many_arguments)]
    fn norm_eval(
        &self,
        problem: &NormProblem,
        y: Self::Ref<'_>,
        gamma: Self::Ref<'_>,
        beta: Self::Ref<'_>,
        residual: Option<Self::Ref<'_>>,
        running: Self::Ref<'_>,
        out: Self::Mut<'_>,
    ) -> Result<()>;

    /// `d` holds the gradient by `out` and leaves holding the gradient by the sum before `act` (which is the residual's gradient
    /// too). Writes `dy`, `dgamma`, `dbeta`. `out` is needed where `relu` is set: its zeros are the mask.
    #[allow(clippy::too_many_arguments)]
    fn norm_backward(
        &self,
        problem: &NormProblem,
        d: Self::Mut<'_>,
        out: Option<Self::Ref<'_>>,
        y: Self::Ref<'_>,
        gamma: Self::Ref<'_>,
        saved: Self::Ref<'_>,
        dgamma: Self::Mut<'_>,
        dbeta: Self::Mut<'_>,
        dy: Self::Mut<'_>,
        accumulate_params: bool,
    ) -> Result<()>;
}
