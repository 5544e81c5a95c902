//! Batches, made ahead of time on background threads.
//!
//! What batch b of epoch e holds is a pure function of the source and [`LoaderOptions`]: the order gives the pictures, the crop policy
//! their rectangles. So a loader started anywhere gives the same batches as one that ran there, and thread k of T simply makes the
//! batches k, k + T, k + 2T...; the consumer takes them in turn. They run `prefetch` batches ahead, at least one each, which bounds
//! memory: of T threads T * ceil(prefetch / T) batches wait, T are being made and one is in use, which is [`LoaderOptions::batches_alive`].
//! Errors travel with the batches and end the iteration. Dropping the loader stops and joins the threads.

use super::batch::{At, Doing, KEPT, Maker};
use super::budget;
use super::crop::CropPolicy;
use super::dataset::Dataset;
use super::format::Encoding;
use super::order::Mixing;
use super::reading::{Ahead, Hint};
use super::ring::{Ring, Waited, Work};
use crate::backend::{Crop, PictureView, Pixels, Spare};
use crate::error::{Error, Result};
use crate::text::counted;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a batch may take before the threads are asked what they are at.
const PATIENCE: Duration = Duration::from_secs(120);

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
    /// Whether [`Source::read_pixels`] decodes, so that more threads than one are worth their cost.
    fn decodes(&self) -> bool {
        false
    }
    /// Bytes that reading image `i` takes beside where it is read to.
    ///
    /// # Errors
    /// As [`Source::info`].
    fn reading_bytes(&self, i: usize) -> Result<u64> {
        let info = self.info(i)?;
        Ok(if self.decodes() { budget::cost(info.width, info.height) } else { 0 })
    }
    /// Reads the HWC RGB bytes of picture `i` into `out`, which has room for exactly width * height * 3.
    ///
    /// # Errors
    /// `Data` when they are damaged.
    fn read_pixels(&self, i: usize, out: &mut [u8]) -> Result<()>;
    /// Reads only the pixels of `crop`, as they would be cut out of [`Source::read_pixels`]; `out` has room for exactly these. Called where
    /// [`Source::decodes`].
    ///
    /// # Errors
    /// As there.
    fn read_crop(&self, i: usize, crop: &Crop, out: &mut [u8]) -> Result<()> {
        read_and_cut(self, i, crop, out)
    }
    /// What [`Source::hint`] should be told.
    fn ahead(&self) -> Ahead {
        Ahead::Nothing
    }
    /// Tells the kernel what becomes of neighbouring pictures.
    fn hint(&self, _pictures: Range<usize>, _hint: Hint) {}
    /// Where picture `i` lies, for people.
    fn place(&self, i: usize) -> String {
        format!("image {i}")
    }
}

/// [`Source::read_crop`] by way of the whole image.
pub(super) fn read_and_cut<S: Source + ?Sized>(source: &S, i: usize, crop: &Crop, out: &mut [u8]) -> Result<()> {
    let info = source.info(i)?;
    let mut whole = vec![0; 3 * info.width as usize * info.height as usize];
    source.read_pixels(i, &mut whole)?;
    let (line, part) = (3 * info.width as usize, 3 * crop.width as usize);
    let lines = whole.chunks_exact(line.max(1)).skip(crop.y as usize);
    for (to, from) in out.chunks_exact_mut(part.max(1)).zip(lines) {
        to.copy_from_slice(&from[3 * crop.x as usize..][..part]);
    }
    Ok(())
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

    fn read_pixels(&self, i: usize, out: &mut [u8]) -> Result<()> {
        Self::read_pixels(self, i, out)
    }

    fn read_crop(&self, i: usize, crop: &Crop, out: &mut [u8]) -> Result<()> {
        self.decode_crop(i, crop, out)
    }

    fn ahead(&self) -> Ahead {
        self.reading().ahead
    }

    fn hint(&self, pictures: Range<usize>, hint: Hint) {
        Self::hint(self, pictures, hint);
    }

    fn place(&self, i: usize) -> String {
        Self::place(self, i)
    }
}

/// What decides the batches, and how they are made.
#[derive(Clone, Debug, PartialEq)]
pub struct LoaderOptions {
    pub batch_size: usize,
    /// Side of the network's input: the centre rule and the views are made for it.
    pub crop_size: u32,
    pub policy: CropPolicy,
    pub mixing: Mixing,
    pub seed: u64,
    /// Leave out the last batch of an epoch when it is not full. Training does, evaluation does not.
    pub drop_last: bool,
    /// Use only the first so many batches of each epoch.
    pub limit: Option<u64>,
    /// Start with this batch of the first epoch.
    pub first_batch: u64,
    pub epochs: Range<u32>,
    /// Batches that wait, by all threads together; of each thread at least one does.
    pub prefetch: usize,
    /// Threads, at least 1.
    pub threads: usize,
    /// Put the record after it in the place of a damaged one, instead of ending.
    pub replace_bad: bool,
    /// Which of so many devices this is: each takes its slice of every global batch, so the order does not depend on their number.
    pub rank: Rank,
    /// Pixels of an image that a batch keeps as they are stored; of a larger one it holds what the network sees.
    pub keep: usize,
    /// Without a batch for so long, [`Loader::wait`] says what its threads are at.
    pub patience: Duration,
}

/// `index` of `world` devices that share a global batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rank {
    pub index: usize,
    pub world: usize,
}

impl Rank {
    pub const ALONE: Self = Self { index: 0, world: 1 };
}

impl LoaderOptions {
    /// Training from the start of epoch 0 for `epochs` epochs.
    pub fn train(batch_size: usize, crop_size: u32, scale: (f64, f64), seed: u64, epochs: u32) -> Self {
        let policy = CropPolicy::standard(scale);
        let mixing = Mixing::Full;
        Self {
            batch_size,
            crop_size,
            policy,
            mixing,
            seed,
            drop_last: true,
            limit: None,
            first_batch: 0,
            epochs: 0..epochs,
            prefetch: 3,
            threads: 1,
            replace_bad: false,
            rank: Rank::ALONE,
            keep: KEPT,
            patience: PATIENCE,
        }
    }

    /// One pass over every picture as stored, centre crops.
    pub fn eval(batch_size: usize, crop_size: u32) -> Self {
        let (policy, mixing) = (CropPolicy::Centre, Mixing::None);
        Self {
            batch_size,
            crop_size,
            policy,
            mixing,
            seed: 0,
            drop_last: false,
            limit: None,
            first_batch: 0,
            epochs: 0..1,
            prefetch: 3,
            threads: 1,
            replace_bad: false,
            rank: Rank::ALONE,
            keep: KEPT,
            patience: PATIENCE,
        }
    }

    /// Batches that can be in memory at one time: waiting, being made, in use, and one that takes the place of that.
    pub fn batches_alive(&self) -> usize {
        let threads = self.threads.max(1);
        self.prefetch.div_ceil(threads).max(1) * threads + threads + 2
    }

    /// Batches in one epoch of `len` pictures.
    pub fn batches_per_epoch(&self, len: usize) -> u64 {
        let size = self.batch_size.max(1) * self.rank.world.max(1);
        let all = if self.drop_last { (len / size) as u64 } else { len.div_ceil(size) as u64 };
        self.limit.map_or(all, |limit| limit.min(all))
    }
}

/// A damaged record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRecord {
    /// Global id of its image; none where not even that can be read.
    pub id: Option<u64>,
    /// Where it is, and what is wrong.
    pub what: String,
}

/// Pictures on their way to the device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Whole images, one after the other; of those that had to be decoded, the crop alone; of those too large to be kept, what the
    /// network sees.
    pub pixels: Pixels,
    /// Where each picture lies in `pixels`, and the rectangle to use.
    pub views: Vec<PictureView>,
    pub labels: Vec<u32>,
    pub ids: Vec<u64>,
    /// Damaged records that others took the place of.
    pub bad: Vec<BadRecord>,
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

struct Worker {
    maker: Maker,
    at: Arc<At>,
    start: u64,
    per_epoch: u64,
}

impl Work for Worker {
    type Made = Result<Batch>;

    fn make(&mut self, number: u64) -> (Self::Made, bool) {
        let (epoch, index) = self.place(number);
        let result = self.maker.batch(epoch, index);
        self.at.set(Doing::Waiting(index));
        let goes_on = result.is_ok();
        (result, goes_on)
    }

    fn handed_over(&mut self, number: u64) {
        let (epoch, index) = self.place(number);
        self.maker.steer(epoch, index, number == 0);
    }
}

impl Worker {
    /// Epoch and batch within it.
    fn place(&self, number: u64) -> (u32, u64) {
        (((self.start + number) / self.per_epoch) as u32, (self.start + number) % self.per_epoch)
    }
}

/// An iterator over batches, made ahead. See the module.
pub struct Loader {
    source: Arc<dyn Source>,
    patience: Duration,
    ring: Ring<Result<Batch>>,
    /// What each thread is at.
    at: Vec<Arc<At>>,
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
            return Err(Error::usage(format!("no full batch of {} in {}", options.batch_size, counted(source.len() as u64, "image")))
                .next("take a smaller --batch-size or more data"));
        }
        if options.first_batch > per_epoch {
            return Err(Error::usage(format!("batch {} of an epoch of {per_epoch}", options.first_batch)));
        }
        let total = (u64::from(options.epochs.end.saturating_sub(options.epochs.start)) * per_epoch).saturating_sub(options.first_batch);
        let (threads, spare) = (options.threads.max(1), Spare::default());
        let at: Vec<Arc<At>> = (0..threads).map(|_| Arc::default()).collect();
        let start = options.first_batch + u64::from(options.epochs.start) * per_epoch;
        let work = |at: &Arc<At>| {
            let maker = Maker::new(source.clone(), options.clone(), at.clone(), spare.clone());
            Worker { maker, at: at.clone(), start, per_epoch }
        };
        let ring = Ring::start(at.iter().map(work).collect(), total, options.prefetch.div_ceil(threads));
        let ring = ring.map_err(crate::limits::refused_threads)?;
        Ok(Self { source, patience: options.patience, ring, at, batches_per_epoch: per_epoch })
    }

    pub fn batches_per_epoch(&self) -> u64 {
        self.batches_per_epoch
    }

    /// The next batch. Where none comes for long, `stalled` is told what each thread is at, again and again.
    pub fn wait(&mut self, stalled: &mut dyn FnMut(String)) -> Option<Result<Batch>> {
        let began = Instant::now();
        let result = loop {
            match self.ring.take(self.patience) {
                Waited::Made(result) => break result,
                Waited::Over => return None,
                Waited::NotYet => stalled(self.describe(began.elapsed())),
                Waited::Died => break Err(Error::internal("a loader thread died (message above)")),
            }
        };
        if result.is_err() {
            self.ring.end();
        }
        Some(result)
    }

    /// What every thread is at.
    fn describe(&self, waited: Duration) -> String {
        let each = self.at.iter().enumerate().map(|(k, at)| format!("thread {k} {}", at.describe(&*self.source)));
        format!("no batch for {:.0} s: {}", waited.as_secs_f64(), each.collect::<Vec<_>>().join("; "))
    }
}

impl Iterator for Loader {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.wait(&mut |_| {})
    }
}
