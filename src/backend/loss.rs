//! Softmax cross-entropy with label smoothing, its gradient and the top-k counts, in one pass over the logits.

use super::Memory;
use crate::error::{Error, Result};

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

impl BatchMetrics {
    /// Adds the sums of another batch.
    pub fn add(&mut self, other: Self) {
        self.loss += other.loss;
        self.top1 += other.top1;
        self.top5 += other.top5;
        self.rows += other.rows;
    }
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

    /// Sums on their way to the host.
    type Arriving: Send;

    /// Sends the sums to the host, without waiting.
    fn send_metrics(&self, metrics: Self::Metrics) -> Result<Self::Arriving>;

    /// What was sent, once, if it has come or after waiting for it.
    fn arrived_metrics(&self, arriving: &mut Self::Arriving, wait: bool) -> Result<Option<BatchMetrics>>;

    /// Waits for the device and brings the sums to the host.
    fn metrics(&self, metrics: Self::Metrics) -> Result<BatchMetrics> {
        let come = self.arrived_metrics(&mut self.send_metrics(metrics)?, true)?;
        come.ok_or_else(|| Error::internal("the sums of a batch did not come").at("metrics"))
    }
}
