//! A run in numbers, settled before anything is computed: updates, rates, groups. One *update* is `--grad-accum` batches and one
//! application of the optimizer; everything else counts in updates.

use super::config::{Config, Opt, Sched};
use super::step::LearnerOptions;
use crate::error::{Error, Result};
use crate::models::Model;
use crate::optim::{Rule, Sgd};
use crate::schedule::{Curve, Schedule};

/// The rates of all updates are kept in a table.
const MOST_UPDATES: u64 = 1 << 28;

#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub updates_per_epoch: u64,
    /// Updates the schedule spans.
    pub total_updates: u64,
    /// Updates that will be done: fewer with `--max-steps`.
    pub last_update: u64,
    pub schedule: Schedule,
}

impl Plan {
    /// For `pictures` training pictures. Each epoch drops the last pictures that make no whole update.
    ///
    /// # Errors
    /// `Usage` naming the flag: fewer pictures than one update takes, or a schedule that makes no sense.
    pub fn new(config: &Config, pictures: u64) -> Result<Self> {
        let per_update = (config.batch_size * config.grad_accum) as u64;
        let whole = pictures / per_update;
        let updates_per_epoch = match config.limit_train_batches {
            Some(limit) if limit < config.grad_accum as u64 => {
                return Err(Error::usage(format!("{limit} batches do not make one update of {}", config.grad_accum))
                    .at("--limit-train-batches")
                    .next(format!("--limit-train-batches {}", config.grad_accum)));
            }
            Some(limit) => whole.min(limit / config.grad_accum as u64),
            None => whole,
        };
        if updates_per_epoch == 0 {
            return Err(Error::usage(format!("{pictures} training pictures do not fill one update of {per_update}"))
                .at("--batch-size")
                .because("each epoch drops the last pictures that make no whole batch")
                .next(format!("--batch-size {}", pictures.clamp(1, 64))));
        }
        let total_updates = config.epochs.saturating_mul(updates_per_epoch);
        if total_updates > MOST_UPDATES {
            return Err(Error::usage(format!("{total_updates} updates are more than {MOST_UPDATES}"))
                .at("--epochs")
                .next("fewer --epochs"));
        }
        let peak = config.peak_lr();
        let curve = match config.sched {
            Sched::Cosine => Curve::Cosine,
            Sched::Constant => Curve::Constant,
        };
        let warmup_epochs = config.warmup_epochs.unwrap_or(match config.sched {
            Sched::Constant => 0.0,
            Sched::Cosine => f64::min(5.0, config.epochs as f64 / 2.0),
        });
        let warmup = warmup_epochs * updates_per_epoch as f64;
        // A default that nobody typed must not fail the shortest runs.
        let warmup = if config.warmup_epochs.is_some() { warmup.round() } else { warmup.floor() } as u64;
        let schedule =
            Schedule { curve, peak, min: config.min_lr, warmup_lr: config.warmup_lr.unwrap_or(peak * 0.01), warmup, total: total_updates };
        schedule.check()?;
        let last_update = config.max_steps.map_or(total_updates, |m| m.min(total_updates));
        Ok(Self { updates_per_epoch, total_updates, last_update, schedule })
    }

    /// The epoch that update `u` belongs to, from 0.
    pub fn epoch_of(&self, u: u64) -> u64 {
        u / self.updates_per_epoch
    }

    pub fn learner_options(&self, config: &Config, model: &Model) -> LearnerOptions {
        let lr: Vec<f32> = self.schedule.table().into_iter().map(|v| v as f32).collect();
        LearnerOptions {
            rule: match config.opt {
                Opt::Sgd => Rule::Sgd(Sgd { nesterov: config.nesterov }),
            },
            groups: model.layout.groups(config.weight_decay as f32, config.norm_weight_decay as f32, config.bias_weight_decay as f32),
            momentum: vec![config.momentum as f32; lr.len()],
            lr,
            label_smoothing: config.label_smoothing,
            grad_accum: config.grad_accum,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_become_updates() {
        let config = Config { batch_size: 64, epochs: 12, lr: Some(0.05), warmup_epochs: Some(1.0), ..Config::default() };
        let plan = Plan::new(&config, 5000).unwrap();
        assert_eq!((plan.updates_per_epoch, plan.total_updates, plan.schedule.warmup), (78, 936, 78));
        assert_eq!((plan.epoch_of(77), plan.epoch_of(78)), (0, 1));
        let accumulated = Plan::new(&Config { grad_accum: 4, max_steps: Some(7), ..config.clone() }, 5000).unwrap();
        assert_eq!((accumulated.updates_per_epoch, accumulated.last_update), (19, 7));
        let limited = Plan::new(&Config { limit_train_batches: Some(3), ..config.clone() }, 5000).unwrap();
        assert_eq!(limited.updates_per_epoch, 3);
        let error = Plan::new(&config, 63).unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains("--batch-size 63"), "{error}");
    }

    #[test]
    fn the_peak_scales_with_the_batch_of_an_update() {
        let config = Config { batch_size: 128, grad_accum: 4, ..Config::default() };
        assert!((Plan::new(&config, 5000).unwrap().schedule.peak - 0.2).abs() < 1e-15);
    }
}
