//! What a run tells whoever shows it.

use super::eval::Score;
use super::metrics::{EmaScore, Event};
use super::plan::Plan;
use super::speed::Speed;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What happens in a run.
pub enum Notice<'a> {
    /// Before the first step: the plan, and the number of steps done already.
    Plan(&'a Plan, u64),
    /// Every step, logged or not.
    Update {
        update: u64,
        epoch: u64,
        loss: f64,
        lr: f64,
        images_per_s: f64,
        logged: bool,
    },
    /// `done` of `total` validation batches.
    Evaluating {
        done: u64,
        total: u64,
    },
    /// After an epoch's last step and the evaluation that belongs to it.
    Epoch(&'a EpochEnd),
    Event(&'a Event),
    Saved(PathBuf),
    Line(String),
}

/// One epoch, or the part of it that this process computed.
#[derive(Clone, Debug, PartialEq)]
pub struct EpochEnd {
    /// Counted from 1.
    pub epoch: u64,
    pub epochs: u64,
    /// Mean training loss; none where this process only evaluated.
    pub loss: Option<f64>,
    /// Learning rate of the last step.
    pub lr: f64,
    /// Of the steps alone.
    pub images_per_s: Option<f64>,
    /// With the evaluation.
    pub time: Duration,
    pub eval: Option<(Score, Option<EmaScore>)>,
    /// Highest top-1 so far, of the moving average where one is kept.
    pub best_top1: Option<f64>,
    /// Time to the end of the run, evaluations included, at the pace of this process.
    pub left: Option<Duration>,
}

/// Sums over the steps of an epoch in this process.
pub struct EpochSums {
    began: Instant,
    steps: u64,
    loss: f64,
    pub speed: Speed,
    pub eval: Option<(Score, Option<EmaScore>)>,
}

impl EpochSums {
    pub fn begin() -> Self {
        Self { began: Instant::now(), steps: 0, loss: 0.0, speed: Speed::default(), eval: None }
    }

    pub fn add(&mut self, loss: f64) {
        self.steps += 1;
        self.loss += loss;
    }

    /// Whether nothing happened.
    pub fn is_empty(&self) -> bool {
        self.steps == 0 && self.eval.is_none()
    }

    /// The epoch of which these are the sums; `run` knows the rest.
    pub fn end(self, epoch: u64, epochs: u64, lr: f64, best_top1: Option<f64>, left: Option<Duration>) -> EpochEnd {
        let loss = (self.steps > 0).then(|| self.loss / self.steps as f64);
        let images_per_s = (self.steps > 0).then(|| self.speed.rate());
        EpochEnd { epoch, epochs, loss, lr, images_per_s, time: self.began.elapsed(), eval: self.eval, best_top1, left }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_has_the_mean_of_its_steps() {
        let mut sums = EpochSums::begin();
        assert!(sums.is_empty());
        [1.0, 2.0, 6.0].into_iter().for_each(|loss| sums.add(loss));
        sums.speed.add(96, Duration::from_secs(3));
        let end = sums.end(3, 90, 0.02, Some(0.5), None);
        assert_eq!((end.loss, end.images_per_s, end.epoch, end.epochs), (Some(3.0), Some(32.0), 3, 90));
    }

    #[test]
    fn an_epoch_that_was_only_evaluated_has_no_loss_and_no_rate() {
        let score = Score { loss: 1.0, top1: 0.5, top5: 1.0, images: 8 };
        let sums = EpochSums { eval: Some((score, None)), ..EpochSums::begin() };
        assert!(!sums.is_empty());
        let end = sums.end(1, 2, 0.1, None, None);
        assert_eq!((end.loss, end.images_per_s), (None, None));
    }
}
