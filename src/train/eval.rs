//! Exact evaluation: every validation picture once, sums in f64 and integers.

use super::config::{Augment, Config};
use super::score::Scorer;
use super::trainer::{self, Notice};
use crate::backend::{Backend, BatchMetrics};
use crate::data::crop::CropPolicy;
use crate::data::loader::{Loader, LoaderOptions, Source};
use crate::error::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Means over all pictures looked at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    pub loss: f64,
    /// Fractions.
    pub top1: f64,
    pub top5: f64,
    pub images: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    pub batch_size: usize,
    pub crop_size: usize,
    pub limit_batches: Option<u64>,
}

impl Options {
    pub fn of(config: &Config) -> Self {
        Self { batch_size: config.batch_size, crop_size: config.val_crop_size, limit_batches: config.limit_val_batches }
    }
}

/// How `config` crops training pictures.
pub fn crop_policy(config: &Config) -> CropPolicy {
    match config.augment {
        Augment::Standard => CropPolicy::standard((config.rrc_scale[0], config.rrc_scale[1])),
        Augment::None => CropPolicy::Centre,
    }
}

/// Sums over the batches of `source`, scored by `scorer`. `None` if stopped on the way.
///
/// # Errors
/// Those of the pictures and of the device; `Data` if there are no pictures.
pub fn run<B: Backend>(
    source: &Arc<dyn Source>,
    options: &Options,
    stop: &AtomicBool,
    notice: &mut dyn FnMut(Notice<'_>),
    scorer: &mut Scorer<'_, B>,
) -> Result<Option<Score>> {
    if source.is_empty() {
        return Err(Error::data("there are no validation pictures").next("imagenet-engine inspect DIR"));
    }
    let loader = LoaderOptions { limit: options.limit_batches, ..LoaderOptions::eval(options.batch_size, options.crop_size as u32) };
    let total = loader.batches_per_epoch(source.len());
    let mut sum = BatchMetrics::default();
    let mut batches = Loader::new(source.clone(), &loader)?;
    for done in 0..total {
        let Some(batch) = batches.wait(&mut |line| notice(Notice::Line(line))) else { break };
        if stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        scorer.begin(trainer::pictures(batch?, options.crop_size))?;
        scorer.sums(false)?.into_iter().for_each(|m| sum.add(m));
        notice(Notice::Evaluating { done: done + 1, total });
    }
    scorer.sums(true)?.into_iter().for_each(|m| sum.add(m));
    let rows = sum.rows as f64;
    Ok(Some(Score { loss: sum.loss / rows, top1: sum.top1 as f64 / rows, top5: sum.top5 as f64 / rows, images: sum.rows }))
}
