//! What is said of a run whose numbers are no longer finite: the update, its pictures, and where to go back to.

use crate::error::Error;

/// What an update was.
pub struct Done {
    /// Mean over its pictures.
    pub loss: f64,
    /// Before clipping.
    pub grad_norm: f64,
    /// False if it was left out.
    pub finite: bool,
    /// Of its pictures.
    pub ids: Vec<u64>,
}

impl Done {
    fn pictures(&self) -> String {
        self.ids.iter().map(u64::to_string).collect::<Vec<_>>().join(",")
    }
}

/// An update from a loss or gradient that is not finite, after `left_out` others that were let pass.
pub fn not_finite(done: &Done, update: u64, left_out: u64, last_good: &str) -> Error {
    let after = if left_out > 0 { format!(", after {left_out} updates were left out") } else { String::new() };
    Error::non_finite(format!("the loss is {}, the gradients' norm {}{after}", done.loss, done.grad_norm))
        .at(format!("update {update} (changed nothing), pictures {}", done.pictures()))
        .because("the training diverged, most often from too high a learning rate; or a picture or a weight overflowed")
        .next(format!(
            "a lower --lr, a longer --warmup-epochs, --clip-grad-norm 1 or --on-nonfinite skip:10; last good checkpoint: {last_good}"
        ))
}

/// An update that made weights or optimizer state that are not finite. It was applied, so there is nothing to leave out.
pub fn overflowed(done: &Done, update: u64, name: Option<&str>, last_good: &str) -> Error {
    let name = name.unwrap_or("a weight");
    Error::non_finite(format!("{name} is not finite after an update by finite gradients (norm {})", done.grad_norm))
        .at(format!("update {update}, pictures {}", done.pictures()))
        .because("the update itself overflowed: the rate is far too high, or the gradients are")
        .next(go_back(last_good))
}

pub fn validation(loss: f64, updates: u64, last_good: &str) -> Error {
    Error::non_finite(format!("the validation loss is {loss}"))
        .at(format!("after {updates} updates"))
        .because("weights or running statistics have grown without bound")
        .next(go_back(last_good))
}

pub fn go_back(last_good: &str) -> String {
    format!("--resume with an earlier checkpoint and a lower --lr, or --clip-grad-norm 1; last good checkpoint: {last_good}")
}
