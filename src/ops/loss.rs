//! Softmax cross-entropy over logits `[rows, classes]`. The forward kernel computes the gradient as well, so the op ends the tape:
//! it returns the batch's sums and the gradient to start the backward pass from.

use crate::autograd::{Tape, Value};
use crate::backend::Backend;
use crate::error::Result;

/// The sums of a batch, and the gradient of its mean loss times `scale` by the logits.
///
/// `scale` is 1 for a whole batch, and 1/m where m micro-batches make one update.
pub fn cross_entropy<B: Backend>(
    tape: &Tape<'_, B>,
    logits: &Value<B>,
    labels: &B::Labels,
    smoothing: f64,
    scale: f64,
) -> Result<(B::Metrics, B::Buffer)> {
    let (rows, classes) = logits.shape().matrix("cross_entropy")?;
    let mut grad = tape.backend().empty(rows * classes)?;
    let metrics =
        tape.backend().softmax_cross_entropy(rows, classes, smoothing, scale, logits.view(), labels, Some(B::all_mut(&mut grad)))?;
    Ok((metrics, grad))
}

/// The sums of a batch alone, without smoothing: what evaluation reports.
pub fn score<B: Backend>(tape: &Tape<'_, B>, logits: &Value<B>, labels: &B::Labels) -> Result<B::Metrics> {
    let (rows, classes) = logits.shape().matrix("score")?;
    tape.backend().softmax_cross_entropy(rows, classes, 0.0, 1.0, logits.view(), labels, None)
}
