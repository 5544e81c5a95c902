//! Batches, made ahead of time on background threads.
//!
//! What batch b of epoch e holds is a pure function of the source and [`LoaderOptions`]: the order gives the pictures, the crop policy
//! their rectangles. So a loader started anywhere gives the same batches as one that ran there, and thread k of T simply makes the
//! batches k, k + T, k + 2T...; the consumer takes them in turn. Each thread runs at most `prefetch` batches ahead, which bounds
//! memory. Errors travel with the batches and end the iteration. Dropping the loader stops and joins the threads.

use super::crop::CropPolicy;
use super::dataset::Dataset;
use super::format::Encoding;
use super::order::{Order, Permutation, Shuffle};
use crate::backend::PictureView;
use crate::error::{Error, Result};
use rayon::prelude::*;
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

/// What a picture is, without its pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureInfo {
    pub width: u32,
    pub height: u32,
    pub label: u32,
    pub global_id: u64,
}

/// Pictures by index: a packed folder, or made up.
pub trait Source: Send + Sync {
    fn len(&self) -> usize;
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Class names; the index is the label.
    fn classes(&self) -> &[String];
    /// What a checkpoint remembers the data by.
    fn id(&self) -> String;
    /// # Errors
    /// `Internal` when `i` is not below `len`.
    fn info(&self, i: usize) -> Result<PictureInfo>;
    /// Whether [`Source::copy_pixels`] decodes, so that more threads than one are worth their cost.
    fn decodes(&self) -> bool {
        false
    }
    /// Appends the HWC RGB bytes of picture `i`.
    ///
    /// # Errors
    /// `Data` when they are damaged.
    fn copy_pixels(&self, i: usize, out: &mut Vec<u8>) -> Result<()>;
}

impl Source for Dataset {
    fn len(&self) -> usize {
        Self::len(self)
    }

    fn classes(&self) -> &[String] {
        Self::classes(self)
    }

    fn id(&self) -> String {
        self.dataset_id().to_owned()
    }

    fn info(&self, i: usize) -> Result<PictureInfo> {
        self.describe(i).map(|p| PictureInfo { width: p.width, height: p.height, label: p.label, global_id: p.global_id })
    }

    fn decodes(&self) -> bool {
        self.encoding() == Encoding::Jpeg
    }

    fn copy_pixels(&self, i: usize, out: &mut Vec<u8>) -> Result<()> {
        Self::copy_pixels(self, i, out)
    }
}

/// What decides the batches, and how they are made.
#[derive(Clone, Debug, PartialEq)]
pub struct LoaderOptions {
    pub batch_size: usize,
    /// Side of the network's input: the centre rule and the views are made for it.
    pub crop_size: u32,
    pub policy: CropPolicy,
    pub shuffle: Shuffle,
    pub seed: u64,
    /// Leave out the last batch of an epoch when it is not full. Training does, evaluation does not.
    pub drop_last: bool,
    /// Use only the first so many batches of each epoch.
    pub limit: Option<u64>,
    /// Start with this batch of the first epoch.
    pub first_batch: u64,
    pub epochs: Range<u32>,
    /// Batches that each thread makes ahead, at least 1.
    pub prefetch: usize,
    /// Threads, at least 1.
    pub threads: usize,
}

impl LoaderOptions {
    /// Training from the start of epoch 0 for `epochs` epochs.
    pub fn train(batch_size: usize, crop_size: u32, scale: (f64, f64), seed: u64, epochs: u32) -> Self {
        let policy = CropPolicy::standard(scale);
        let shuffle = Shuffle::Full;
        Self {
            batch_size,
            crop_size,
            policy,
            shuffle,
            seed,
            drop_last: true,
            limit: None,
            first_batch: 0,
            epochs: 0..epochs,
            prefetch: 3,
            threads: 1,
        }
    }

    /// One pass over every picture as stored, centre crops.
    pub fn eval(batch_size: usize, crop_size: u32) -> Self {
        let (policy, shuffle) = (CropPolicy::Centre, Shuffle::None);
        Self {
            batch_size,
            crop_size,
            policy,
            shuffle,
            seed: 0,
            drop_last: false,
            limit: None,
            first_batch: 0,
            epochs: 0..1,
            prefetch: 3,
            threads: 1,
        }
    }

    /// Batches in one epoch of `len` pictures.
    pub fn batches_per_epoch(&self, len: usize) -> u64 {
        let size = self.batch_size.max(1);
        let all = if self.drop_last { (len / size) as u64 } else { len.div_ceil(size) as u64 };
        self.limit.map_or(all, |limit| limit.min(all))
    }
}

/// Pictures on their way to the device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Whole pictures, one after the other.
    pub pixels: Vec<u8>,
    /// Where each picture lies in `pixels`, and the rectangle to use.
    pub views: Vec<PictureView>,
    pub labels: Vec<u32>,
    pub ids: Vec<u64>,
    pub epoch: u32,
    /// Within the epoch.
    pub index: u64,
}

impl Batch {
    /// Number of pictures.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }
}

/// Makes any batch of a source.
struct Maker {
    source: Arc<dyn Source>,
    options: LoaderOptions,
    order: Order,
    permutation: Option<(u32, Permutation)>,
}

impl Maker {
    fn new(source: Arc<dyn Source>, options: LoaderOptions) -> Self {
        let order = Order::new(source.len() as u64, options.seed, options.shuffle);
        Self { source, options, order, permutation: None }
    }

    fn batch(&mut self, epoch: u32, index: u64) -> Result<Batch> {
        let mut batch = Batch { epoch, index, ..Batch::default() };
        let o = &self.options;
        let order = match &mut self.permutation {
            Some((of, permutation)) if *of == epoch => permutation,
            other => &other.insert((epoch, self.order.epoch(epoch))).1,
        };
        let first = index * o.batch_size as u64;
        let last = (first + o.batch_size as u64).min(self.source.len() as u64);
        let chosen: Vec<usize> = (first..last).map(|position| order.at(position) as usize).collect();
        // Pictures to be decoded are decoded side by side; they go into the batch in order, whoever was first.
        let decode = |&i: &usize| {
            let mut pixels = Vec::new();
            self.source.copy_pixels(i, &mut pixels).map(|()| pixels)
        };
        let mut decoded: Vec<Result<Vec<u8>>> = if self.source.decodes() { chosen.par_iter().map(decode).collect() } else { Vec::new() };
        let mut decoded = decoded.drain(..);
        for &i in &chosen {
            let info = self.source.info(i)?;
            let offset = batch.pixels.len();
            match decoded.next() {
                Some(pixels) => batch.pixels.extend_from_slice(&pixels?),
                None => self.source.copy_pixels(i, &mut batch.pixels)?,
            }
            let crop = o.policy.crop(info.width, info.height, o.crop_size, o.seed, epoch, info.global_id);
            batch.views.push(PictureView { offset, width: info.width, height: info.height, crop });
            batch.labels.push(info.label);
            batch.ids.push(info.global_id);
        }
        Ok(batch)
    }
}

struct Worker {
    batches: Receiver<Result<Batch>>,
    thread: JoinHandle<()>,
}

/// An iterator over batches, made ahead. See the module.
pub struct Loader {
    workers: Vec<Worker>,
    next: usize,
    left: u64,
    batches_per_epoch: u64,
}

impl Loader {
    /// Starts the threads.
    ///
    /// # Errors
    /// `Usage` when an epoch would hold no batch or `first_batch` lies beyond it; `Internal` when a thread cannot be started.
    pub fn new(source: Arc<dyn Source>, options: &LoaderOptions) -> Result<Self> {
        let per_epoch = if options.batch_size == 0 { 0 } else { options.batches_per_epoch(source.len()) };
        if per_epoch == 0 {
            return Err(Error::usage(format!("no full batch of {} in {} pictures", options.batch_size, source.len()))
                .next("take a smaller --batch-size or more data"));
        }
        if options.first_batch > per_epoch {
            return Err(Error::usage(format!("batch {} of an epoch of {per_epoch}", options.first_batch)));
        }
        let total = (u64::from(options.epochs.end.saturating_sub(options.epochs.start)) * per_epoch).saturating_sub(options.first_batch);
        let threads = options.threads.max(1);
        let workers = (0..threads)
            .map(|k| {
                let (send, batches) = sync_channel(options.prefetch.max(1));
                let (source, options) = (source.clone(), options.clone());
                let start = options.first_batch + u64::from(options.epochs.start) * per_epoch;
                let work = move || {
                    let mut maker = Maker::new(source, options);
                    for number in (k as u64..total).step_by(threads) {
                        let (epoch, index) = ((start + number) / per_epoch, (start + number) % per_epoch);
                        let result = maker.batch(epoch as u32, index);
                        let failed = result.is_err();
                        // The receiver is gone when the loader was dropped: then this thread ends too.
                        if send.send(result).is_err() || failed {
                            return;
                        }
                    }
                };
                let thread = std::thread::Builder::new().name(format!("loader-{k}")).spawn(work);
                let thread = thread.map_err(|e| Error::internal("cannot start a loader thread").source(e))?;
                Ok(Worker { batches, thread })
            })
            .collect::<Result<_>>()?;
        Ok(Self { workers, next: 0, left: total, batches_per_epoch: per_epoch })
    }

    pub fn batches_per_epoch(&self) -> u64 {
        self.batches_per_epoch
    }
}

impl Iterator for Loader {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        let received = self.workers.get(self.next)?.batches.recv();
        let result = received.unwrap_or_else(|_| Err(Error::internal("a loader thread died (message above)")));
        self.left = if result.is_ok() { self.left - 1 } else { 0 };
        self.next = (self.next + 1) % self.workers.len();
        Some(result)
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        for Worker { batches, thread } in self.workers.drain(..) {
            drop(batches); // a thread waiting to send is released by this
            let _ = thread.join();
        }
    }
}
