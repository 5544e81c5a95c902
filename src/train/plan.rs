//! A run in numbers, settled before anything is computed: updates, rates, groups. One *update* is `--grad-accum` batches and one
//! application of the optimizer; everything else counts in updates.

use super::config::{Config, Resolved};
use super::step::LearnerOptions;
use crate::backend::UpdateTable;
use crate::error::{Error, Result};
use crate::models::Model;
use crate::schedule::{Curve, Schedule};
use crate::text::{count, counted, number};

/// The rates of all updates are kept in a table.
const MOST_UPDATES: u64 = 1 << 26;

#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub updates_per_epoch: u64,
    /// Updates the schedule spans.
    pub total_updates: u64,
    /// Updates that will be done: fewer with `--max-steps`.
    pub last_update: u64,
    pub schedule: Schedule,
    /// What is odd about the settings, each naming its flag.
    pub warnings: Vec<String>,
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
                return Err(Error::usage(format!(
                    "{} do not make one step of {} of --grad-accum",
                    counted(limit, "batch"),
                    config.grad_accum
                ))
                .at("--limit-train-batches")
                .next(format!("--limit-train-batches {}", config.grad_accum)));
            }
            Some(limit) => whole.min(limit / config.grad_accum as u64),
            None => whole,
        };
        if updates_per_epoch == 0 {
            return Err(Error::usage(format!("{} do not fill one step of {}", counted(pictures, "training image"), count(per_update)))
                .at("--batch-size")
                .because("each epoch drops the last images that make no whole batch")
                .next(match (pictures / config.grad_accum as u64).min(64) {
                    0 => "fewer --grad-accum".to_owned(),
                    batch => format!("--batch-size {batch}"),
                }));
        }
        Self::of(config, updates_per_epoch)
    }

    /// Refuses to go on from a checkpoint saved after more steps than the schedule spans.
    ///
    /// # Errors
    /// `Usage`.
    pub fn check_progress(&self, done: u64) -> Result<()> {
        if done <= self.total_updates {
            return Ok(());
        }
        Err(Error::usage(format!(
            "the checkpoint was saved after step {}, and this run ends at step {}",
            count(done),
            count(self.total_updates)
        ))
        .at("--resume")
        .because("--epochs or --limit-train-batches is lower than in the run that saved it, or the checkpoint was changed")
        .next("the settings of that run; or --init FILE to start a new run from the weights"))
    }

    /// As [`Self::new`], for so many updates an epoch.
    ///
    /// # Errors
    /// `Usage` naming the flag.
    pub fn of(config: &Config, updates_per_epoch: u64) -> Result<Self> {
        let total_updates = config.epochs.saturating_mul(updates_per_epoch);
        if total_updates > MOST_UPDATES {
            return Err(Error::usage(format!("{} are more than {}", counted(total_updates, "step"), count(MOST_UPDATES)))
                .at("--epochs")
                .next("fewer --epochs"));
        }
        let Resolved { schedule, warnings } = config.schedule(updates_per_epoch)?;
        let last_update = config.max_steps.map_or(total_updates, |m| m.min(total_updates));
        Ok(Self { updates_per_epoch, total_updates, last_update, schedule, warnings })
    }

    /// The epoch that update `u` belongs to, from 0.
    pub fn epoch_of(&self, u: u64) -> u64 {
        u / self.updates_per_epoch
    }

    /// The rates in one line: first, highest, last.
    pub fn rates(&self) -> String {
        let last = self.last_update.saturating_sub(1);
        let rate = |u: u64| self.schedule.lr(u);
        let peak = (0..=last).fold(0, |best, u| if rate(u) > rate(best) { u } else { best });
        let [first, highest, end] = [0, peak, last].map(|u| number(rate(u)));
        match peak {
            0 if first == end => format!("{first} at each step"),
            0 => format!("{first} at step 0, {end} at the last step"),
            peak if peak == last => format!("{first} at step 0, {end} at the last step"),
            peak => format!("{first} at step 0, {highest} at step {}, {end} at the last step", count(peak)),
        }
    }

    /// The run's `config.toml`: the settings, and as comments what those left open come to here, so that another `--epochs` or `--sched`
    /// with this file derives its own. `resize` is the size that validation resizes to.
    ///
    /// # Errors
    /// `Internal` only.
    pub fn config_toml(&self, config: &Config, resize: u32) -> Result<String> {
        let (s, epochs) = (&self.schedule, |updates: u64| updates as f64 / self.updates_per_epoch as f64);
        let mut open = Vec::new();
        if config.lr.is_none() {
            open.push(format!("lr = {:?}", s.peak));
        }
        if config.warmup_epochs.is_none() {
            open.push(format!("warmup-epochs = {:?}", epochs(s.warmup)));
        }
        if config.warmup_lr.is_none() && s.warmup > 0 {
            open.push(format!("warmup-lr = {:?}", s.warmup_lr));
        }
        if let (None, Curve::Sgdr(sgdr)) = (config.cycle_epochs, &s.curve) {
            open.push(format!("cycle-epochs = {:?}", epochs(sgdr.first)));
        }
        if config.val_resize_size.is_none() && config.crop_pct.is_none() {
            open.push(format!("val-resize-size = {resize}"));
        }
        if config.save_every.is_none() {
            open.push(format!("save-every = {}", self.updates_per_epoch));
        }
        let comments: String = open.iter().map(|line| format!("# {line}\n")).collect();
        let head = if open.is_empty() { "" } else { "\n# Left open above, and so here:\n" };
        Ok(format!("{}{head}{comments}", config.to_toml()?))
    }

    pub fn learner_options(&self, config: &Config, model: &Model) -> LearnerOptions {
        let (lr, momentum) = self.schedule.table().into_iter().map(|p| (p.lr, p.momentum)).unzip();
        let average_decay = if config.model_ema { (0..self.total_updates).map(|t| config.average_decay(t)).collect() } else { Vec::new() };
        let [weight, norm, bias] = config.decays();
        LearnerOptions {
            rule: config.rule(),
            groups: model.layout.groups(weight, norm, bias),
            table: UpdateTable { lr, momentum, average_decay },
            clip: config.clip(),
            label_smoothing: config.label_smoothing,
            grad_accum: config.grad_accum,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::config::Sched;
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
        for (grad_accum, remedy) in [(1, "--batch-size 63"), (4, "--batch-size 15"), (100, "fewer --grad-accum")] {
            let error = Plan::new(&Config { grad_accum, ..config.clone() }, 63).unwrap_err();
            assert!(error.exit_code() == 2 && error.to_string().contains(remedy), "{error}");
        }
    }

    #[test]
    fn the_file_says_what_was_left_open() {
        let config = Config { epochs: 12, sched: Sched::Sgdr, ..Config::default() };
        let plan = Plan::new(&config, 256 * 10).unwrap();
        let text = plan.config_toml(&config, 256).unwrap();
        for line in [
            "# lr = 0.1",
            "# warmup-epochs = 5.0",
            "# warmup-lr = 0.001",
            "# cycle-epochs = 1.0",
            "# val-resize-size = 256",
            "# save-every = 10",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}: {text}");
        }
        let said: Config = toml::from_str(&text).unwrap();
        assert!(said == config, "comments must not count");
        let spoken = text.replace("# Left", "## Left").replace("\n# ", "\n");
        let said: Config = toml::from_str(&spoken).unwrap();
        let again = Plan::new(&said, 256 * 10).unwrap();
        assert!(again.schedule == plan.schedule && again.updates_per_epoch == plan.updates_per_epoch);
        let full = Config {
            val_resize_size: Some(256),
            lr: Some(0.1),
            warmup_epochs: Some(0.0),
            save_every: Some(3),
            sched: Sched::Cosine,
            ..config
        };
        assert!(!Plan::new(&full, 256 * 10).unwrap().config_toml(&full, 256).unwrap().contains("Left open"));
    }

    #[test]
    fn the_peak_scales_with_the_batch_of_an_update() {
        let config = Config { batch_size: 128, grad_accum: 4, ..Config::default() };
        assert!((Plan::new(&config, 5000).unwrap().schedule.peak - 0.2).abs() < 1e-15);
    }
}
