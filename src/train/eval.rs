//! Exact evaluation: every validation image once, sums in f64 and integers.

use super::config::{Augment, Config};
use super::score::Scorer;
use super::step::Pictures;
use super::trainer::{self, Notice};
use crate::backend::{Backend, BatchMetrics};
use crate::data::loader::{Loader, LoaderOptions, Source};
use crate::data::prepared::Prepared;
use crate::data::validation::ResizeCrop;
use crate::data::{self, CropPolicy};
use crate::error::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Means over all images looked at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    pub loss: f64,
    /// Fractions.
    pub top1: f64,
    pub top5: f64,
    pub images: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    pub batch_size: usize,
    pub transform: ResizeCrop,
    pub mean: [f32; 3],
    pub std: [f32; 3],
    pub limit_batches: Option<u64>,
}

impl Options {
    /// Those of a run whose validation does `transform`.
    pub fn of(config: &Config, transform: ResizeCrop) -> Self {
        let (batch_size, limit_batches) = (config.batch_size, config.limit_val_batches);
        Self { batch_size, transform, mean: data::MEAN, std: data::STD, limit_batches }
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
        return Err(Error::data("there are no validation images").next("imagenet-engine inspect DIR"));
    }
    let Options { transform, mean, std, .. } = *options;
    let loader = LoaderOptions { limit: options.limit_batches, ..LoaderOptions::eval(options.batch_size, transform.crop) };
    let total = loader.batches_per_epoch(source.len());
    let mut sum = BatchMetrics::default();
    let mut batches = Loader::new(Arc::new(Prepared::new(source.clone(), transform)?), &loader)?;
    for done in 0..total {
        let Some(batch) = batches.wait(&mut |line| notice(Notice::Line(line))) else { break };
        if stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        scorer.begin(Pictures { mean, std, ..trainer::pictures(batch?, transform.crop as usize) })?;
        scorer.sums(false)?.into_iter().for_each(|m| sum.add(m));
        notice(Notice::Evaluating { done: done + 1, total });
    }
    scorer.sums(true)?.into_iter().for_each(|m| sum.add(m));
    let rows = sum.rows as f64;
    Ok(Some(Score { loss: sum.loss / rows, top1: sum.top1 as f64 / rows, top5: sum.top5 as f64 / rows, images: sum.rows }))
}
