//! Loading, measured: how long until the first batch in the middle of an epoch, how many pictures a second one core reads and checks, and
//! how many it crops and resizes for the CPU backend; and the memory that takes.

use super::host::{Watch, anonymous_bytes, median};
use crate::backend::{Augment, Memory, StoredBatch};
use crate::cpu::Cpu;
use crate::data::budget;
use crate::data::held::Held;
use crate::data::loader::{Batch, Loader, LoaderOptions, Source};
use crate::data::order::Mixing;
use crate::data::{MEAN, STD};
use crate::error::{Error, Result};
use std::sync::Arc;

/// Threads, and what is too small to be counted one by one.
const REST: u64 = 16 << 20;

/// What to measure.
#[derive(Clone, Debug)]
pub struct Options {
    pub batch_size: usize,
    pub crop_size: u32,
    pub mixing: Mixing,
    pub threads: usize,
    /// Passes over the same pictures, or the first so many batches of them, after the one that checks them.
    pub repeats: usize,
    pub most_batches: u64,
}

/// Pictures a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    pub wall: f64,
    /// A second of one core.
    pub per_core: f64,
}

#[derive(Clone, Debug)]
pub struct Report {
    pub pictures: usize,
    pub batches: u64,
    /// From nothing but the opened folder to the first batch, in the middle of epoch 7.
    pub first_batch_s: f64,
    /// The pass that checks every record, medians of the passes after it, and these with crop, resize and normalisation to f32.
    pub checked: Rate,
    pub again: Rate,
    pub augmented: Rate,
    /// The most that the process held while it read, the pages of files left out.
    pub anonymous_bytes: Option<u64>,
}

impl Options {
    /// As the loader takes them.
    fn loader(&self) -> LoaderOptions {
        LoaderOptions {
            mixing: self.mixing,
            threads: self.threads,
            limit: Some(self.most_batches),
            ..LoaderOptions::train(self.batch_size, self.crop_size, (0.08, 1.0), 1, 1)
        }
    }

    /// That memory has room for measuring `source`: the batches that the loader holds, images that are read, and a batch as f32.
    ///
    /// # Errors
    /// `Device`, with the bytes needed and there; those of the images.
    pub fn check_room(&self, source: &dyn Source) -> Result<()> {
        let (loader, batch) = (self.loader(), self.batch_size.min(source.len()));
        let held = Held::of(source, &loader)?;
        let alive = (loader.batches_alive() as u64).min(loader.batches_per_epoch(source.len()).max(1));
        let augmented = 12 * u64::from(self.crop_size).pow(2) * batch as u64;
        let need = alive * held.batch(batch) as u64 + augmented + held.reading + REST;
        budget::check(need, &format!("measuring with batches of {}", self.batch_size))
            .map_err(|e| e.at("bench loader").next("a smaller --batch-size, fewer --workers, or a higher limit"))
    }
}

/// Measures `source`.
///
/// # Errors
/// Those of the pictures; `Usage` if they fill no batch; `Device` as [`Options::check_room`].
pub fn measure(source: &Arc<dyn Source>, options: &Options) -> Result<Report> {
    let base = options.loader();
    options.check_room(&**source)?;
    let batches = base.batches_per_epoch(source.len());
    let mut most = anonymous_bytes();
    let checked = pass(source, &base, &mut most, |_| Ok(()))?;
    let mut again = Vec::new();
    for _ in 0..options.repeats.max(1) {
        again.push(pass(source, &base, &mut most, |_| Ok(()))?);
    }
    let first_batch_s = first_batch(source, &base)?;
    let while_reading = most;
    let cpu = Cpu::<f32>::new();
    let size = options.crop_size as usize;
    let mut augmented = Vec::new();
    for _ in 0..options.repeats.max(1) {
        let augment = |batch: Batch| {
            let mut out = cpu.empty(batch.len() * size * size * 3)?;
            let stored = StoredBatch { pixels: batch.pixels, views: batch.views, labels: batch.labels };
            cpu.augment(&stored, size, MEAN, STD, Cpu::<f32>::all_mut(&mut out))
        };
        augmented.push(pass(source, &base, &mut most, augment)?);
    }
    Ok(Report {
        pictures: source.len(),
        batches,
        first_batch_s,
        checked,
        again: middle(&again),
        augmented: middle(&augmented),
        anonymous_bytes: while_reading,
    })
}

/// One epoch; the most memory on the way.
fn pass(source: &Arc<dyn Source>, options: &LoaderOptions, most: &mut Option<u64>, work: impl Fn(Batch) -> Result<()>) -> Result<Rate> {
    let (watch, mut pictures) = (Watch::start(), 0);
    for batch in Loader::new(source.clone(), options)? {
        let batch = batch?;
        pictures += batch.len();
        work(batch)?;
        *most = (*most).max(anonymous_bytes());
    }
    let spent = watch.spent();
    Ok(Rate { wall: pictures as f64 / spent.wall_s, per_core: pictures as f64 / spent.cpu_s })
}

fn middle(rates: &[Rate]) -> Rate {
    let of = |pick: fn(&Rate) -> f64| median(rates.iter().map(pick).collect());
    Rate { wall: of(|r| r.wall), per_core: of(|r| r.per_core) }
}

/// Of several starts in the middle of an epoch: what a resumed run waits for.
fn first_batch(source: &Arc<dyn Source>, base: &LoaderOptions) -> Result<f64> {
    let per_epoch = LoaderOptions { limit: None, ..base.clone() }.batches_per_epoch(source.len());
    let mut times = Vec::new();
    for start in 1..=5 {
        let options = LoaderOptions { limit: None, epochs: 7..9, first_batch: per_epoch * start / 6, ..base.clone() };
        let watch = Watch::start();
        let mut loader = Loader::new(source.clone(), &options)?;
        loader.next().ok_or_else(|| Error::internal("no first batch").at("bench loader"))??;
        times.push(watch.spent().wall_s);
    }
    Ok(median(times))
}
