//! Whether a run fits the host's memory: the run's own host code on a CPU of paper, and what is beside it.
//!
//! Beside the backend's pool there are: the batches that the loaders hold, images that are being read, the copies that a checkpoint is
//! written from, the tables of rates, and what each thread takes. What the process holds when it is asked is counted as it is. On a GPU
//! the same is true of the host but for the pool; there the loaders bound themselves.

use super::{MOST_BATCHES, gib};
use crate::backend::{Backend, Counters, StoredBatch, UpdateTable};
use crate::checkpoint::State;
use crate::cpu::Paper;
use crate::data::budget::BUDGET;
use crate::data::held::Held;
use crate::data::loader::{LoaderOptions, Source};
use crate::data::validation::ResizeCrop;
use crate::error::{Error, Result};
use crate::limits::memory::{Room, addresses, resident, room};
use crate::models::Model;
use crate::text::count;
use crate::train::config::Config;
use crate::train::loading;
use crate::train::plan::Plan;
use crate::train::score::Scorer;
use crate::train::step::{Learner, LearnerOptions, Pictures};
use crate::train::trainer::Datasets;

/// Bytes of a thread that computes: the blocks of the GEMM and scratch of rows.
const THREAD: usize = 3 << 20;
/// Addresses that the allocator reserves for a thread, with its stack.
const THREAD_ADDRESSES: usize = 72 << 20;
/// What is too small to be counted one by one, in evaluation and in training.
const REST: [usize; 2] = [8 << 20, 32 << 20];

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Training that saves checkpoints.
    Train,
    /// Training that keeps nothing.
    Trial,
    Evaluate,
}

/// Images of one loader.
#[derive(Clone, Debug)]
pub struct Loading {
    held: Held,
    options: LoaderOptions,
    images: u64,
    size: usize,
}

impl Loading {
    /// Of training on `source` as `config` says.
    ///
    /// # Errors
    /// Those of the images.
    pub fn train(source: &dyn Source, config: &Config) -> Result<Self> {
        let options = loading::options(config, 0, 1);
        Ok(Self { held: Held::of(source, &options)?, options, images: source.len() as u64, size: config.train_crop_size })
    }

    /// Of evaluation on `source`.
    ///
    /// # Errors
    /// Those of the images.
    pub fn evaluation(source: &dyn Source, transform: ResizeCrop) -> Result<Self> {
        let (held, options) = (Held::prepared(source, transform)?, LoaderOptions::eval(1, transform.crop));
        Ok(Self { held, options, images: source.len() as u64, size: transform.crop as usize })
    }

    /// Of one image after the other at `side`, as `predict` takes them.
    pub fn single(side: usize) -> Self {
        let held = Held { mean: 0.0, most: 3 * side * side, size: (side as u32, side as u32), reading: 0 };
        Self { held, options: LoaderOptions { prefetch: 1, ..LoaderOptions::eval(1, side as u32) }, images: 1, size: side }
    }

    /// Bytes of the batches that it holds at one time.
    fn batches(&self, batch: usize) -> usize {
        let alive = (self.options.batches_alive() as u64).min(self.images.div_ceil(batch.max(1) as u64) + 1);
        alive as usize * self.held.batch(batch.min(self.images as usize))
    }
}

/// What a run asks of the host.
#[derive(Clone, Debug)]
pub struct HostDemand<'a> {
    pub work: Work,
    pub config: &'a Config,
    pub model: Model,
    pub train: Option<Loading>,
    pub val: Option<Loading>,
    pub threads: usize,
}

/// Bytes more than the process holds now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Need {
    /// Weights, gradients, optimizer state, activations and the scratch of kernels.
    pub pool: usize,
    /// Batches of the loaders.
    pub batches: usize,
    /// Images being read.
    pub reading: usize,
    /// The copies that a checkpoint is written from.
    pub saving: usize,
    /// Tables and threads.
    pub rest: usize,
    /// Addresses beyond what is in memory: reserved, and never used.
    pub reserved: usize,
}

impl Need {
    pub fn bytes(&self) -> usize {
        self.pool + self.batches + self.reading + self.saving + self.rest
    }

    pub fn addresses(&self) -> usize {
        self.bytes() + self.reserved
    }
}

impl<'a> HostDemand<'a> {
    /// Of a run of `model` on `data`.
    ///
    /// # Errors
    /// Those of the images.
    pub fn run(work: Work, config: &'a Config, model: Model, data: &Datasets, threads: usize) -> Result<Self> {
        let train = Some(Loading::train(&*data.train, config)?);
        let val = data.val.as_ref().filter(|_| work == Work::Train).map(|val| Loading::evaluation(&**val, data.transform)).transpose()?;
        Ok(Self { work, config, model, train, val, threads })
    }

    /// Of evaluating `model`, whose weights are held already, on the images of `val`.
    pub fn evaluation(config: &'a Config, model: Model, val: Loading, threads: usize) -> Self {
        Self { work: Work::Evaluate, config, model, train: None, val: Some(val), threads }
    }

    /// What batches of `batch` take.
    ///
    /// # Errors
    /// Those of the settings.
    pub fn need(&self, batch: usize) -> Result<Need> {
        let paper = Paper::new(self.threads);
        match &self.train {
            Some(train) => self.training(&paper, train, batch)?,
            None => self.evaluating(&paper, batch)?,
        }
        let (held, used) = paper.held();
        let loaders = [&self.train, &self.val].into_iter().flatten();
        let batches: usize = loaders.clone().map(|l| l.batches(batch)).sum();
        let one = loaders.clone().map(|l| l.held.reading).max().unwrap_or(0);
        let reading = one.saturating_mul(self.threads.min(batch).max(1) as u64).min(BUDGET.max(one)) as usize;
        let numbers = if self.work == Work::Train { 1 + self.config.rule().state() + usize::from(self.config.model_ema) } else { 0 };
        let arena = 4 * self.model.layout.len();
        let threads = self.threads + loaders.map(|l| l.options.threads).sum::<usize>();
        let reserved = held.saturating_sub(used) + THREAD_ADDRESSES * threads;
        let rest = self.tables() + THREAD * self.threads + REST[usize::from(self.work != Work::Evaluate)];
        // The state read from the device, and its tensors.
        Ok(Need { pool: used, batches, reading, saving: 2 * numbers * arena, rest, reserved })
    }

    /// Bytes of the tables of rates: of the plan, and of the optimizer.
    fn tables(&self) -> usize {
        let plan = self.train.as_ref().and_then(|train| Plan::new(self.config, train.images).ok());
        plan.map_or(0, |plan| plan.total_updates as usize * 8 * 2 * (2 + usize::from(self.config.model_ema)))
    }

    /// Two updates, so that everything has been met, and an evaluation with its last batch.
    fn training(&self, paper: &Paper, train: &Loading, batch: usize) -> Result<()> {
        let state = State::fresh(vec![0.0; self.model.layout.len()], self.model.layout.init_running());
        let [weight, norm, bias] = self.config.decays();
        // Tables are counted by themselves.
        let average_decay = if self.config.model_ema { vec![0.0] } else { Vec::new() };
        let options = LearnerOptions {
            rule: self.config.rule(),
            groups: self.model.layout.groups(weight, norm, bias),
            table: UpdateTable { lr: vec![0.0], momentum: vec![0.0], average_decay },
            clip: self.config.clip(),
            label_smoothing: self.config.label_smoothing,
            grad_accum: self.config.grad_accum,
        };
        let mut learner = Learner::new(paper.clone(), self.model.clone(), options, &state, Counters::default())?;
        for _ in 0..2 {
            for _ in 0..self.config.grad_accum.min(2) {
                learner.accumulate(images(train.size, batch), None)?;
            }
            learner.apply()?;
        }
        self.val.as_ref().map_or(Ok(()), |val| score(&mut learner.scorer(false)?, val, batch))
    }

    fn evaluating(&self, paper: &Paper, batch: usize) -> Result<()> {
        use crate::backend::Memory;
        let (weights, running) = (paper.empty_full(self.model.layout.len())?, paper.empty_full(self.model.layout.init_running().len())?);
        let Some(val) = &self.val else { return Ok(()) };
        score(&mut Scorer::new(paper, &self.model, &weights, &running)?, val, batch)
    }

    /// What the process would hold at most with batches of `batch`.
    ///
    /// # Errors
    /// Those of the settings.
    pub fn peak(&self, batch: usize) -> Result<usize> {
        Ok(resident() as usize + self.need(batch)?.bytes())
    }

    /// The bytes that batches of `batch` need where there is no room for them, and the room.
    ///
    /// # Errors
    /// Those of the settings.
    pub fn lacks(&self, batch: usize, host: &Host) -> Result<Option<(usize, Room)>> {
        let need = self.need(batch)?;
        let short = |bytes: usize, room: Option<Room>| room.filter(|room| bytes as u64 > room.bytes).map(|room| (bytes, room));
        Ok(short(need.bytes(), host.memory).or(short(need.addresses(), host.addresses)))
    }

    /// The largest batch below `above` for which there is room; none if one image is too many.
    ///
    /// # Errors
    /// Those of the settings.
    pub fn largest_batch(&self, above: usize, host: &Host) -> Result<Option<usize>> {
        let (mut too_few, mut too_many, mut fits) = (0, above, None);
        while too_few + 1 < too_many {
            let middle = usize::midpoint(too_few, too_many);
            match self.lacks(middle, host) {
                Ok(Some(_)) => too_many = middle,
                Ok(None) => (too_few, fits) = (middle, Some(middle)),
                // Batch norm wants more than one value a channel.
                Err(Error::Usage(_)) => too_few = middle,
                Err(other) => return Err(other),
            }
        }
        Ok(fits)
    }

    /// Refuses what does not fit, with the batch that does.
    ///
    /// # Errors
    /// `Device` if it does not fit, and those of the settings.
    pub fn check(&self, batch: usize, host: &Host) -> Result<()> {
        let Some((needed, room)) = self.lacks(batch, host)? else { return Ok(()) };
        let there = gib(room.bytes as usize);
        let reading = self.need(batch)?.reading;
        if reading as u64 > room.bytes {
            return Err(Error::device(format!("out of memory: reading the largest image needs {}, {there} are available", gib(reading)))
                .because(format!("{}; the images are larger than training needs, or the index is damaged", room.bound))
                .next("pack them smaller (pack --resize 256, or pack --encoding jpeg --max-side 500)"));
        }
        let what = match batch > 1 || self.work != Work::Evaluate {
            true => format!("out of memory: a batch of {} needs {}, {there} are available", count(batch as u64), gib(needed)),
            false => format!("out of memory: one image needs {}, {there} are available", gib(needed)),
        };
        let size = self.train.as_ref().or(self.val.as_ref()).map_or(0, |l| l.size);
        let error = Error::device(what).at(format!("CPU, {} at {size} pixels", self.model.name)).because(room.bound.to_string());
        let smaller = if self.work == Work::Evaluate { "a smaller --val-crop-size" } else { "a smaller --model or --train-crop-size" };
        let Some(largest) = self.largest_batch(batch, host)? else {
            let few = if batch > 1 { "not even one image fits; " } else { "" };
            return Err(error.next(format!("{few}{smaller}, fewer --threads, or a machine with more memory")));
        };
        if self.work == Work::Evaluate {
            return Err(error.next(format!("--batch-size {largest} fits")));
        }
        let (part, times) = parts(batch, largest);
        Err(error.next(format!(
            "--batch-size {largest} fits; --batch-size {part} --grad-accum {} makes the same steps",
            times * self.config.grad_accum
        )))
    }
}

/// `batch` in the fewest equal parts of at most `largest`: their size and number. So the update, and the run, is as asked for.
pub fn parts(batch: usize, largest: usize) -> (usize, usize) {
    let part = (1..=largest.min(batch)).rev().find(|part| batch.is_multiple_of(*part)).unwrap_or(1);
    (part, batch / part)
}

/// What there is to be taken.
#[derive(Clone, Copy, Debug, Default)]
pub struct Host {
    pub memory: Option<Room>,
    pub addresses: Option<Room>,
}

impl Host {
    /// Of this process, now.
    pub fn now() -> Self {
        Self { memory: room(), addresses: addresses() }
    }
}

/// Some whole batches and the last one.
fn score<B: Backend>(scorer: &mut Scorer<'_, B>, val: &Loading, batch: usize) -> Result<()> {
    let (whole, rest) = (val.images / batch as u64, (val.images % batch as u64) as usize);
    let whole = (0..whole.min(MOST_BATCHES)).map(|_| batch);
    for count in whole.chain([rest]).filter(|&count| count > 0) {
        scorer.begin(images(val.size, count))?;
        scorer.sums(false)?;
    }
    scorer.sums(true).map(drop)
}

/// A batch without pixels: the loaders' bytes are counted by themselves.
fn images(size: usize, count: usize) -> Pictures {
    use crate::backend::{Crop, PictureView};
    let side = size as u32;
    let view = PictureView { offset: 0, width: side, height: side, crop: Crop::resized((0, 0, side, side), side, false) };
    let stored = StoredBatch { views: vec![view; count], labels: vec![0; count], ..StoredBatch::default() };
    Pictures { stored, size, mean: [0.0; 3], std: [1.0; 3] }
}
