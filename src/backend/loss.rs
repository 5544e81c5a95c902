//! Softmax cross-entropy with label smoothing, its gradient and the top-k counts, in one pass over the logits.

use super::Memory;
use crate::error::Result;

/// Sums over one batch, on the host.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BatchMetrics {
    /// Sum (not mean) of the rows' losses.
    pub loss: f64,
    /// Rows whose label has the highest logit. Ties go to the lower class index, as `torch.topk` on the CPU in practice.
    pub top1: u64,
    /// Rows whose label is among the five highest.
    pub top5: u64,
    pub rows: u64,
}

pub trait Loss: Memory {
    /// Sums of a batch still on the device.
    type Metrics: Send;

    /// For `rows` x `classes` logits: the target of a row is `1-smoothing` on its label plus `smoothing/classes` everywhere, as
    /// `torch.nn.functional.cross_entropy(label_smoothing=...)`. `dlogits`, if given, is the gradient of the *mean* loss over rows
    /// times `scale`.
    #[allow(clippy::too_many_arguments)]
    fn softmax_cross_entropy(
        &self,
        rows: usize,
        classes: usize,
        smoothing: f64,
        scale: f64,
        logits: Self::Ref<'_>,
        labels: &Self::Labels,
        dlogits: Option<Self::Mut<'_>>,
    ) -> Result<Self::Metrics>;

    /// Waits for the device and brings the sums to the host.
    fn metrics(&self, metrics: Self::Metrics) -> Result<BatchMetrics>;
}
