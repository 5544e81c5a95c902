//! What is said of a run whose numbers are no longer finite: the update, its pictures, and where to go back to.

use super::config::Config;
use crate::error::Error;
use crate::text::{counted, number, pasted};
use std::path::Path;

/// A lower rate to go on with: the peak of the run divided by this.
const LOWER: f64 = 10.0;

/// How a run that diverged can be gone on with.
pub struct Back {
    /// Goes on with a lower rate.
    command: String,
    last_good: String,
}

impl Back {
    /// Of the run in `output`, whose newest checkpoint is `saved`.
    pub fn of(config: &Config, output: &Path, saved: Option<&Path>) -> Self {
        let resumed = config.resume.as_deref().map(Path::new).filter(|from| *from != Path::new("auto"));
        let from = if saved.is_some() { None } else { resumed }.map_or_else(|| "auto".to_owned(), pasted);
        let lr = number(config.peak_lr() / LOWER);
        let command = format!("imagenet-engine train --resume {from} --output {} --lr {lr}", pasted(output));
        Self { command, last_good: saved.or(resumed).map_or_else(|| "none yet".to_owned(), |path| path.display().to_string()) }
    }
}

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
    /// Which step it was; the images themselves are too many for a line.
    fn place(&self, update: u64, effect: &str) -> String {
        let ids = counted(self.ids.len() as u64, "image id");
        format!("step {update}{effect}; its {ids} {} in metrics.jsonl", if self.ids.len() == 1 { "is" } else { "are" })
    }
}

/// An update from a loss or gradient that is not finite, after `left_out` others that were let pass.
pub fn not_finite(done: &Done, update: u64, left_out: u64, back: &Back) -> Error {
    let after = if left_out > 0 { format!(", after {} were skipped", counted(left_out, "step")) } else { String::new() };
    Error::non_finite(format!(
        "training diverged: the loss is {}, the gradients' norm {}{after}",
        number(done.loss),
        number(done.grad_norm)
    ))
    .at(done.place(update, " (changed nothing)"))
    .next(format!(
        "{}  # or longer --warmup-epochs, --clip-grad-norm 1, --on-nonfinite skip:10; last good checkpoint: {}",
        back.command, back.last_good
    ))
}

/// An update that made weights or optimizer state that are not finite. It was applied, so there is nothing to leave out.
pub fn overflowed(done: &Done, update: u64, name: Option<&str>, back: &Back) -> Error {
    let name = name.unwrap_or("a weight");
    let norm = number(done.grad_norm);
    Error::non_finite(format!("training diverged: {name} is not finite after a step with finite gradients (norm {norm})"))
        .at(done.place(update, ""))
        .next(go_back(back))
}

pub fn validation(loss: f64, updates: u64, back: &Back) -> Error {
    Error::non_finite(format!("training diverged: the validation loss is {}", number(loss)))
        .at(format!("after {}", counted(updates, "step")))
        .next(go_back(back))
}

pub fn go_back(back: &Back) -> String {
    let Back { command, last_good } = back;
    format!("{command}  # or with an earlier checkpoint, or --clip-grad-norm 1; last good checkpoint: {last_good}")
}
