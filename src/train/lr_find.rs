//! The learning-rate range test (Smith, "Cyclical learning rates for training neural networks", WACV 2017): the rate grows exponentially
//! from step to step until the loss diverges. Nothing is written and the weights it moves are thrown away.

use super::config::Config;
use super::eval;
use super::step::{Learner, LearnerOptions};
use super::trainer::{Datasets, pictures};
use crate::backend::{Backend, Counters, UpdateTable};
use crate::checkpoint::{State, Wanted, locate, safetensors, weights};
use crate::data::loader::{Loader, LoaderOptions};
use crate::error::{Error, Result};
use crate::models::Model;
use crate::text::counted;
use std::sync::atomic::{AtomicBool, Ordering};

/// Share of the smoothed loss that stays from one step to the next, as fastai displays it.
const SMOOTHING: f64 = 0.98;
/// The test ends where the loss of the last steps is so many times the least such mean (fastai ends at 4 times the least smoothed loss) ...
const BROKEN_AWAY: f64 = 4.0;
/// ... or so many times what it was at the start: a network with batch norm forgets what it learned, and stays there.
const FORGOTTEN: f64 = 1.5;
/// Steps in such a mean.
const RECENT: usize = 10;

/// What is tried.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    pub low: f64,
    pub high: f64,
    pub updates: u64,
}

impl Range {
    /// The rate of update `u`: `low * (high/low)^(u/(updates-1))`.
    pub fn rate(&self, u: u64) -> f64 {
        self.low * (self.high / self.low).powf(u as f64 / (self.updates - 1).max(1) as f64)
    }
}

/// One update of the test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trial {
    pub lr: f64,
    pub loss: f64,
    /// Exponential mean of the losses so far, corrected for its start.
    pub smoothed: f64,
}

/// What the test says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Suggestion {
    /// Where the loss falls steepest over the logarithm of the rate.
    pub steepest: f64,
    /// Where the loss is higher again than at the start; none if the range ended before.
    pub diverged: Option<f64>,
    /// The loss at rates too low to train.
    pub start: f64,
    /// The rate at which the loss is least, and that loss.
    pub least: (f64, f64),
}

impl Suggestion {
    /// What to give as `--lr`, the highest rate of a schedule. One that warms up to it and falls again stands more than a test without
    /// warm-up does, and trains best between the rate of the least loss and that of divergence: their geometric mean. A rate that never
    /// falls ends well only below: a tenth of divergence. Measured by tools/lr_find_grid.sh.
    pub fn max_lr(&self, constant: bool) -> f64 {
        match self.diverged {
            None => self.steepest,
            Some(lr) if constant => lr / 10.0,
            Some(lr) => (self.least.0 * lr).sqrt(),
        }
    }
}

/// Runs the test from fresh weights or `--init`'s. Ends early where the loss breaks away, is not finite, or `stop` is set.
///
/// # Errors
/// Those of the pictures, the weights and the device.
pub fn run<B: Backend>(
    backend: B,
    config: &Config,
    data: &Datasets,
    range: Range,
    stop: &AtomicBool,
    notice: &mut dyn FnMut(u64, &Trial),
) -> Result<Vec<Trial>> {
    let model = Model::new(&config.model, data.train.classes().len(), config.zero_init_residual)?;
    let state = match &config.init {
        Some(path) => {
            let (weights, running) = weights::load(&model, &safetensors::read(&locate(path, Wanted::Weights)?)?)?;
            State::fresh(weights, running)
        }
        None => State::fresh(model.layout.init(config.seed), model.layout.init_running()),
    };
    let [weight, norm, bias] = config.decays();
    let options = LearnerOptions {
        rule: config.rule(),
        groups: model.layout.groups(weight, norm, bias),
        table: UpdateTable {
            lr: (0..range.updates).map(|u| range.rate(u)).collect(),
            momentum: vec![config.first_momentum(); range.updates as usize],
            average_decay: Vec::new(),
        },
        clip: config.clip(),
        label_smoothing: config.label_smoothing,
        grad_accum: config.grad_accum,
    };
    let mut learner = Learner::new(backend, model, options, &state, Counters::default())?;
    drop(state); // the size of all weights
    let loader = LoaderOptions {
        policy: eval::crop_policy(config),
        mixing: config.mixing(),
        ..LoaderOptions::train(config.batch_size, config.train_crop_size as u32, (0.08, 1.0), config.seed, u32::MAX >> 5)
    };
    if loader.batches_per_epoch(data.train.len()) == 0 {
        return Err(Error::usage(format!(
            "{} do not fill one batch of {}",
            counted(data.train.len() as u64, "training image"),
            config.batch_size
        ))
        .at("--batch-size")
        .next(format!("--batch-size {}", data.train.len().clamp(1, 64))));
    }
    let mut batches = Loader::new(data.train.clone(), &loader)?;
    let (mut trials, mut mean, mut least): (Vec<Trial>, f64, f64) = (Vec::new(), 0.0, f64::INFINITY);
    for u in 0..range.updates {
        for _ in 0..config.grad_accum {
            let batch = batches.next().ok_or_else(|| Error::internal("the loader ended before the test"))??;
            learner.accumulate(pictures(batch, config.train_crop_size), None)?;
        }
        learner.apply()?;
        let report = learner.reports(true)?.pop().ok_or_else(|| Error::internal("a step without a report"))?;
        let loss = report.loss;
        if stop.load(Ordering::Relaxed) || !report.measured.finite || report.measured.overflowed {
            break;
        }
        mean = SMOOTHING * mean + (1.0 - SMOOTHING) * loss;
        let smoothed = mean / (1.0 - SMOOTHING.powf((u + 1) as f64));
        let trial = Trial { lr: range.rate(u), loss, smoothed };
        trials.push(trial);
        notice(u, &trial);
        if has_diverged(&trials, &mut least) {
            break;
        }
    }
    Ok(trials)
}

/// Whether the newest losses say that going on tells nothing more. `least` is kept from call to call: the least recent mean.
fn has_diverged(trials: &[Trial], least: &mut f64) -> bool {
    let Some(begin) = trials.len().checked_sub(RECENT) else { return false };
    let mean = |part: &[Trial]| part.iter().map(|t| t.loss).sum::<f64>() / RECENT as f64;
    let (recent, start) = (mean(&trials[begin..]), mean(&trials[..RECENT]));
    *least = least.min(recent);
    recent > BROKEN_AWAY * *least || recent > FORGOTTEN * start
}

/// Readings of the test: the rate at which the loss falls steepest over the logarithm of the rate, that at which it is least, and that at
/// which it diverges.
///
/// # Errors
/// `Usage` if the loss did not fall by more than its noise: the range is wrong, or the test too short.
pub fn suggest(trials: &[Trial]) -> Result<Suggestion> {
    let useless =
        |what: &str| Err(Error::usage(what).at("--lr-low, --lr-high, --steps").next("more --steps, a larger batch, or another range"));
    if trials.len() < 20 {
        return useless("the test ended before it could say anything");
    }
    let (losses, noise) = centred(trials);
    // The first tenth is at rates too low to change anything.
    let still = (losses.len() / 10).max(5);
    let start = losses[..still].iter().sum::<f64>() / still as f64;
    let (at, least) = losses.iter().copied().enumerate().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or((0, start));
    if start - least <= 3.0 * noise.max(1e-3 * start) {
        return useless("the loss did not fall by more than its noise");
    }
    let step = (trials[1].lr / trials[0].lr).ln();
    let slope = |i: usize| (losses[i + 1] - losses[i - 1]) / (2.0 * step);
    let steepest = (1..at.max(2).min(losses.len() - 1)).min_by(|a, b| slope(*a).total_cmp(&slope(*b))).unwrap_or(1);
    let steepest = trials[steepest].lr;
    // Diverged: worse than untrained, for good or until the test ended there.
    let worse = (at..losses.len()).find(|&i| losses[i] > start);
    let diverged = worse.map(|i| trials[i].lr);
    Ok(Suggestion { steepest, diverged, start, least: (trials[at].lr, least) })
}

/// The losses smoothed over neighbours on both sides, which unlike the running mean of the display lags behind nothing; and how far such a
/// mean strays by chance.
fn centred(trials: &[Trial]) -> (Vec<f64>, f64) {
    let half = (trials.len() / 30).max(2);
    let window = |i: usize| &trials[i.saturating_sub(half)..(i + half + 1).min(trials.len())];
    let mean = |window: &[Trial]| window.iter().map(|t| t.loss).sum::<f64>() / window.len() as f64;
    let smoothed: Vec<f64> = (0..trials.len()).map(|i| mean(window(i))).collect();
    // Differences of neighbours have twice the variance of one loss and nothing of the trend.
    let differences = trials.windows(2).map(|pair| (pair[1].loss - pair[0].loss).powi(2) / 2.0);
    let variance = median(differences.collect()) / 0.455; // the median of a squared normal variable is 0.455 of its mean
    (smoothed, (variance / (2 * half + 1) as f64).sqrt())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Losses that stay, fall around `fall` and explode after `least`, with noise around the smoothed ones.
    fn curve(fall: f64, least: f64, noise: f64) -> Vec<Trial> {
        let range = Range { low: 1e-5, high: 10.0, updates: 200 };
        let loss = |lr: f64| 2.3 - 1.0 / (1.0 + (fall / lr).powi(2)) + (lr / least / 2.0).powi(4);
        let wobble = |u: u64| if u.is_multiple_of(2) { noise } else { -noise };
        let trial = |u| Trial { lr: range.rate(u), loss: loss(range.rate(u)) + wobble(u), smoothed: loss(range.rate(u)) };
        (0..200).map(trial).collect()
    }

    #[test]
    fn rates_grow_exponentially_from_low_to_high() {
        let range = Range { low: 1e-4, high: 1.0, updates: 5 };
        for (u, rate) in [1e-4, 1e-3, 1e-2, 1e-1, 1.0].into_iter().enumerate() {
            assert!((range.rate(u as u64) - rate).abs() < 1e-12 * rate, "{u}");
        }
    }

    /// Against what the curve's formula gives: it falls steepest (over ln lr) at `fall`, and is above 2.3 again near `1.19 * 2 * least`.
    #[test]
    fn the_suggestion_lies_between_least_loss_and_divergence() {
        for noise in [0.0, 0.05] {
            let trials = curve(0.01, 1.0, noise);
            let found = suggest(&trials).unwrap();
            let diverged = found.diverged.unwrap();
            assert!((1.8..2.4).contains(&diverged) && found.max_lr(true) == diverged / 10.0, "{found:?}");
            // The loss is least near 0.4: there its two parts change alike.
            assert!((0.2..0.6).contains(&found.least.0) && (0.7..1.2).contains(&found.max_lr(false)), "{found:?}");
            assert!((0.006..0.017).contains(&found.steepest), "{found:?}");
            assert!((found.start - 2.3).abs() < 0.02 && found.least.1 < 1.4, "{found:?}");
        }
        let short: Vec<Trial> = curve(0.01, 1.0, 0.05).into_iter().take_while(|t| t.lr < 0.3).collect();
        let found = suggest(&short).unwrap();
        assert!(found.diverged.is_none() && found.max_lr(false) == found.steepest, "{found:?}");
    }

    #[test]
    fn the_test_ends_soon_after_the_loss_diverges() {
        let trials = curve(0.01, 0.3, 0.05);
        let mut least = f64::INFINITY;
        let end = (0..trials.len()).find(|&n| has_diverged(&trials[..n], &mut least)).unwrap();
        assert!((0.6..2.0).contains(&trials[end].lr), "{}", trials[end].lr);
        let (flat, mut least) = (vec![trials[0]; 200], f64::INFINITY);
        assert!((0..200).all(|n| !has_diverged(&flat[..n], &mut least)));
    }

    #[test]
    fn a_test_that_says_nothing_says_so() {
        let falling = curve(0.01, 1.0, 0.1);
        let flat: Vec<Trial> = falling.iter().map(|t| Trial { loss: 2.3, ..*t }).collect();
        let rising: Vec<Trial> = falling.iter().map(|t| Trial { loss: 2.3 + t.lr, ..*t }).collect();
        let noisy = curve(0.01, 1.0, 3.0);
        for useless in [&flat[..], &rising, &noisy, &falling[..9], &[]] {
            assert_eq!(suggest(useless).unwrap_err().exit_code(), 2);
        }
    }
}
