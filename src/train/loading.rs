//! What the loop asks of the loader: where to begin, how to mix, and what damaged records come to.

use super::config::{Config, StopOrSkip};
use super::eval;
use super::metrics::Event;
use super::step::Pictures;
use crate::backend::StoredBatch;
use crate::data::advice;
use crate::data::loader::{BadRecord, Batch, LoaderOptions};
use crate::data::order::Mixing;
use crate::data::reading::ReadOptions;
use crate::data::{MEAN, STD};
use crate::error::{Error, Result};
use crate::text::counted;
use std::path::Path;

/// Records that stay together on disk, and blocks of them that are mixed: 50 MB and 1.6 GB of 256x256 pictures.
const BLOCK: u64 = 256;
const WINDOW: u64 = 32;
/// Threads that load at most, unless another number was asked for: with checks each copies some thousand pictures a second.
const MOST_WORKERS: usize = 8;

impl Config {
    /// How pictures are read.
    pub fn reading(&self) -> ReadOptions {
        ReadOptions { io: self.io, verify: self.verify_reads, page_cache: self.page_cache }
    }

    /// `--shuffle` with its numbers.
    pub fn mixing(&self) -> Mixing {
        self.shuffle.mixing(self.shuffle_block.unwrap_or(BLOCK), self.shuffle_window.unwrap_or(WINDOW))
    }

    /// Threads that load.
    pub fn loading_threads(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
        self.workers.map_or((cores / 4).clamp(1, MOST_WORKERS), |n| n as usize)
    }
}

/// The training batches from update `done` to the end of the run.
pub fn options(config: &Config, done: u64, updates_per_epoch: u64) -> LoaderOptions {
    let accum = config.grad_accum as u64;
    LoaderOptions {
        policy: eval::crop_policy(config),
        mixing: config.mixing(),
        limit: Some(updates_per_epoch * accum),
        first_batch: done % updates_per_epoch * accum,
        epochs: (done / updates_per_epoch) as u32..config.epochs as u32,
        replace_bad: config.on_bad_record != StopOrSkip::Stop,
        threads: config.loading_threads(),
        ..LoaderOptions::train(config.batch_size, config.train_crop_size as u32, (0.08, 1.0), config.seed, 0)
    }
}

/// The damaged records of `batch`, as update `update` sees it, after `before` others.
pub fn bad_records(batch: &Batch, update: u64, before: u64) -> Vec<Event> {
    let epoch = batch.epoch.into();
    let event = |(bad, count): (&BadRecord, u64)| Event::BadRecord { update, epoch, what: bad.what.clone(), id: bad.id, count };
    batch.bad.iter().zip(before + 1..).map(event).collect()
}

/// Whether a run may go on after `count` damaged records of the folder `data`, the last of them in `batch`.
///
/// # Errors
/// `Data` when there were more than `allowed`, naming the last.
pub fn check_bad(batch: &Batch, data: &str, allowed: StopOrSkip, count: u64) -> Result<()> {
    match batch.bad.last() {
        Some(last) if count > allowed.most() => {
            Err(Error::data(format!("{}, and --on-bad-record {allowed}", counted(count, "damaged record")))
                .at(last.what.clone())
                .because("the disk or the copy is damaged")
                .next(advice::repair(Path::new(data))))
        }
        _ => Ok(()),
    }
}

/// What a batch is to the step.
pub fn pictures(batch: Batch, size: usize) -> Pictures {
    let stored = StoredBatch { pixels: batch.pixels, views: batch.views, labels: batch.labels };
    Pictures { stored, size, mean: MEAN, std: STD }
}
