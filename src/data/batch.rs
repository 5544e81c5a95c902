//! Making one batch: which pictures, their bytes one after the other, their rectangles; and, for who waits, what is being done.

use super::loader::{Batch, LoaderOptions, Source};
use super::order::{EpochOrder, Order};
use crate::backend::PictureView;
use crate::error::{Error, Result};
use rayon::prelude::*;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Records looked at in the place of a damaged one: more damage in a row is no accident.
const MOST_REPLACED: usize = 16;

/// What a loading thread does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// Picture `of` is read, and decoded where that is needed.
    Reading,
    /// Batch `of` is done, and not taken yet.
    Waiting,
}

/// What a loading thread is at, written by it and read by who waits for it.
#[derive(Debug)]
pub struct At {
    of: AtomicU64,
    doing: Mutex<(Doing, Instant)>,
}

impl Default for At {
    fn default() -> Self {
        Self { of: AtomicU64::new(0), doing: Mutex::new((Doing::Waiting, Instant::now())) }
    }
}

impl At {
    pub fn set(&self, doing: Doing, of: u64) {
        self.of.store(of, Ordering::Relaxed);
        *self.doing.lock().unwrap_or_else(PoisonError::into_inner) = (doing, Instant::now());
    }

    /// For people.
    pub fn describe(&self, source: &dyn Source) -> String {
        let (doing, since) = *self.doing.lock().unwrap_or_else(PoisonError::into_inner);
        let (of, seconds) = (self.of.load(Ordering::Relaxed), since.elapsed().as_secs_f64());
        match doing {
            Doing::Reading => format!("has been reading {} for {seconds:.0} s", source.place(of as usize)),
            Doing::Waiting => format!("finished batch {of} {seconds:.0} s ago and waits for its turn"),
        }
    }
}

/// Makes any batch of a source.
pub struct Maker {
    source: Arc<dyn Source>,
    options: LoaderOptions,
    order: Order,
    of_epoch: Option<(u32, EpochOrder)>,
    at: Arc<At>,
}

impl Maker {
    /// `at` is kept up to date.
    pub fn new(source: Arc<dyn Source>, options: LoaderOptions, at: Arc<At>) -> Self {
        let order = Order::new(source.len() as u64, options.seed, options.mixing);
        Self { source, options, order, of_epoch: None, at }
    }

    /// Batch `index` of this device in `epoch`.
    ///
    /// # Errors
    /// Those of the pictures, unless damaged ones are to be replaced and the next one is whole.
    pub fn batch(&mut self, epoch: u32, index: u64) -> Result<Batch> {
        let o = &self.options;
        let order = match &mut self.of_epoch {
            Some((of, order)) if *of == epoch => order,
            other => &other.insert((epoch, self.order.epoch(epoch))).1,
        };
        let first = (index * o.rank.world as u64 + o.rank.index as u64) * o.batch_size as u64;
        let last = (first + o.batch_size as u64).min(self.source.len() as u64);
        let chosen: Vec<usize> = (first..last).map(|position| order.at(position) as usize).collect();
        // Pictures to be decoded are decoded side by side; they go into the batch in order, whoever was first.
        let decode = |&i: &usize| {
            self.at.set(Doing::Reading, i as u64);
            let mut pixels = Vec::new();
            self.source.copy_pixels(i, &mut pixels).map(|()| pixels)
        };
        let mut decoded: Vec<Result<Vec<u8>>> = if self.source.decodes() { chosen.par_iter().map(decode).collect() } else { Vec::new() };
        let mut decoded = decoded.drain(..);
        let mut batch = Batch { epoch, index, ..Batch::default() };
        for &i in &chosen {
            let offset = batch.pixels.len();
            self.at.set(Doing::Reading, i as u64);
            let copied = match decoded.next() {
                Some(pixels) => pixels.map(|p| batch.pixels.extend_from_slice(&p)),
                None => self.source.copy_pixels(i, &mut batch.pixels),
            };
            let i = match copied {
                Ok(()) => i,
                Err(error) => self.replace(i, error, &mut batch)?,
            };
            let info = self.source.info(i)?;
            let crop = o.policy.crop(info.width, info.height, o.crop_size, o.seed, epoch, info.global_id);
            batch.views.push(PictureView { offset, width: info.width, height: info.height, crop });
            batch.labels.push(info.label);
            batch.ids.push(info.global_id);
        }
        Ok(batch)
    }

    /// Puts the next whole record in the place of the damaged `i` and gives its number: always the same one.
    fn replace(&self, i: usize, error: Error, batch: &mut Batch) -> Result<usize> {
        if !self.options.replace_bad || !matches!(error, Error::Data(_)) {
            return Err(error);
        }
        batch.bad.push(one_line(&error));
        for next in (i + 1..).take(MOST_REPLACED).map(|next| next % self.source.len()) {
            match self.source.copy_pixels(next, &mut batch.pixels) {
                Ok(()) => return Ok(next),
                Err(Error::Data(_)) => {}
                Err(other) => return Err(other),
            }
        }
        Err(error)
    }
}

/// What is wrong, and where.
fn one_line(error: &Error) -> String {
    let report = error.report();
    report.place.as_ref().map_or(report.what.clone(), |place| format!("{} ({place})", report.what))
}
