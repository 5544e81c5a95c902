//! Exact evaluation: every validation picture once, sums in f64 and integers.

use super::config::{Augment, Config};
use super::trainer::Notice;
use crate::backend::BatchMetrics;
use crate::data::crop::CropPolicy;
use crate::data::loader::{Batch, Loader, LoaderOptions, Source};
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

/// Sums `score` over the batches of `source`. `None` if stopped on the way.
///
/// # Errors
/// Those of the pictures and of `score`; `Data` if there are no pictures.
pub fn run(
    source: &Arc<dyn Source>,
    options: &Options,
    stop: &AtomicBool,
    notice: &mut dyn FnMut(Notice<'_>),
    score: impl Fn(Batch) -> Result<BatchMetrics>,
) -> Result<Option<Score>> {
    if source.is_empty() {
        return Err(Error::data("there are no validation pictures").next("imagenet-engine inspect DIR"));
    }
    let loader = LoaderOptions { limit: options.limit_batches, ..LoaderOptions::eval(options.batch_size, options.crop_size as u32) };
    let total = loader.batches_per_epoch(source.len());
    let mut sum = BatchMetrics::default();
    for (done, batch) in (0..total).zip(Loader::new(source.clone(), &loader)?) {
        if stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let m = score(batch?)?;
        sum.loss += m.loss;
        sum.top1 += m.top1;
        sum.top5 += m.top5;
        sum.rows += m.rows;
        notice(Notice::Evaluating { done: done + 1, total });
    }
    let rows = sum.rows as f64;
    Ok(Some(Score { loss: sum.loss / rows, top1: sum.top1 as f64 / rows, top5: sum.top5 as f64 / rows, images: sum.rows }))
}
