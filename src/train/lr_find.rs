//! The learning-rate range test (Smith, "Cyclical learning rates for training neural networks", WACV 2017): the rate grows exponentially
//! from update to update until the loss breaks away. Nothing is written and the weights it moves are thrown away.

use super::config::Config;
use super::eval;
use super::step::{Learner, LearnerOptions};
use super::trainer::{Datasets, pictures};
use crate::backend::{Backend, Counters, UpdateTable};
use crate::checkpoint::{State, safetensors, weights};
use crate::data::loader::{Loader, LoaderOptions};
use crate::error::{Error, Result};
use crate::models::Model;
use std::sync::atomic::{AtomicBool, Ordering};

/// Share of the smoothed loss that stays from one update to the next.
const SMOOTHING: f64 = 0.9;
/// The test ends where the smoothed loss is so many times its least.
const BROKEN_AWAY: f64 = 3.0;

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

/// A peak for the schedule, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Suggestion {
    pub peak: f64,
    pub reason: String,
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
            let (weights, running) = weights::load(&model, &safetensors::read(path)?)?;
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
        return Err(Error::usage(format!("{} training pictures do not fill one batch", data.train.len()))
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
        let report = learner.reports(true)?.pop().ok_or_else(|| Error::internal("an update without a report"))?;
        let loss = report.loss;
        if stop.load(Ordering::Relaxed) || !report.measured.finite || report.measured.overflowed {
            break;
        }
        mean = SMOOTHING * mean + (1.0 - SMOOTHING) * loss;
        let smoothed = mean / (1.0 - SMOOTHING.powf((u + 1) as f64));
        least = least.min(smoothed);
        let trial = Trial { lr: range.rate(u), loss, smoothed };
        trials.push(trial);
        notice(u, &trial);
        if u >= 10 && smoothed > BROKEN_AWAY * least {
            break;
        }
    }
    Ok(trials)
}

/// Half the rate at which the smoothed loss is least: the highest that still helps, with a margin, since the smoothed loss lags behind. A
/// long run with a warm-up may stand more, up to where the loss breaks away.
///
/// # Errors
/// `Usage` if the loss did not fall by more than its noise: the range is wrong, or the test too short.
pub fn suggest(trials: &[Trial]) -> Result<Suggestion> {
    let useless =
        |what: &str| Err(Error::usage(what).at("--lr-low, --lr-high, --steps").next("more --steps, a larger batch, or another range"));
    // The first losses are an average of little.
    let skip = (trials.len() / 10).min(10);
    let Some(usable) = trials.get(skip..).filter(|t| t.len() >= 10) else {
        return useless("the test ended before it could say anything");
    };
    let lowest = usable.iter().enumerate().min_by(|a, b| a.1.smoothed.total_cmp(&b.1.smoothed));
    let (at, least) = lowest.map_or((0, usable[0]), |(i, t)| (i, *t));
    let start = usable[..=at].iter().map(|t| t.smoothed).fold(f64::NEG_INFINITY, f64::max);
    // An exponential mean keeps (1-s)/(1+s) of the variance of what it averages.
    let scatter = usable[..=at].iter().map(|t| (t.loss - t.smoothed).powi(2)).sum::<f64>() / (at + 1) as f64;
    let noise = (scatter * (1.0 - SMOOTHING) / (1.0 + SMOOTHING)).sqrt();
    if start - least.smoothed <= 3.0 * noise.max(1e-3 * start) {
        return useless("the loss did not fall by more than its noise");
    }
    let away = usable[at..].iter().find(|t| t.smoothed > start);
    let end = away.map_or("does not break away in the range tested".to_owned(), |t| format!("has broken away at {:.1e}", t.lr));
    let reason = format!(
        "the smoothed loss falls from {start:.3} to its least, {:.3}, at {:.1e} and {end}: half of the former",
        least.smoothed, least.lr
    );
    Ok(Suggestion { peak: least.lr / 2.0, reason })
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

    #[test]
    fn the_suggestion_is_half_of_where_the_loss_is_least() {
        let trials = curve(0.01, 1.0, 0.1);
        let least = trials.iter().min_by(|a, b| a.smoothed.total_cmp(&b.smoothed)).unwrap().lr;
        let found = suggest(&trials).unwrap();
        assert!((0.05..0.5).contains(&found.peak) && found.peak == least / 2.0, "{found:?}");
        assert!(found.reason.contains("broken away at 2."), "{found:?}");
        let short: Vec<Trial> = trials.into_iter().take_while(|t| t.lr < 0.3).collect();
        assert!(suggest(&short).unwrap().reason.contains("does not break away"));
    }

    #[test]
    fn a_test_that_says_nothing_says_so() {
        let falling = curve(0.01, 1.0, 0.1);
        let flat: Vec<Trial> = falling.iter().map(|t| Trial { smoothed: 2.3, ..*t }).collect();
        let rising: Vec<Trial> = falling.iter().map(|t| Trial { smoothed: 2.3 + t.lr, ..*t }).collect();
        let noisy = curve(0.01, 1.0, 3.0);
        for useless in [&flat[..], &rising, &noisy, &falling[..9], &[]] {
            assert_eq!(suggest(useless).unwrap_err().exit_code(), 2);
        }
    }
}
