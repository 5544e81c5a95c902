//! Making one batch: which pictures, their bytes one after the other, their rectangles; and, for who waits, what is being done.

use super::ahead;
use super::loader::{Batch, LoaderOptions, PictureInfo, Source};
use super::order::{EpochOrder, Order};
use super::reading::{Ahead, Hint};
use crate::backend::{PictureView, Spare};
use crate::error::{Error, Result};
use rayon::prelude::*;
use std::ops::Range;
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
    spare: Spare,
}

impl Maker {
    /// `at` is kept up to date; the bytes of batches come from `spare`.
    pub fn new(source: Arc<dyn Source>, options: LoaderOptions, at: Arc<At>, spare: Spare) -> Self {
        let order = Order::new(source.len() as u64, options.seed, options.mixing);
        Self { source, options, order, of_epoch: None, at, spare }
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
        let infos = chosen.iter().map(|&i| self.source.info(i)).collect::<Result<Vec<_>>>()?;
        let ahead = self.source.ahead();
        if ahead != Ahead::Nothing {
            chosen.iter().for_each(|&i| self.source.hint(i..i + 1, Hint::Need));
        }
        let mut pixels = self.spare.take(infos.iter().map(bytes).sum());
        let mut rooms = Vec::with_capacity(chosen.len());
        let mut rest = &mut *pixels;
        for info in &infos {
            let (room, after) = std::mem::take(&mut rest).split_at_mut(bytes(info));
            rooms.push(room);
            rest = after;
        }
        let read = |(&i, room): (&usize, &mut [u8])| {
            self.at.set(Doing::Reading, i as u64);
            self.source.read_pixels(i, room)
        };
        // Pictures to be decoded are decoded side by side.
        let read: Vec<Result<()>> = if self.source.decodes() {
            chosen.par_iter().zip(rooms).map(read).collect()
        } else {
            chosen.iter().zip(rooms).map(read).collect()
        };
        let mut batch = Batch { epoch, index, pixels, ..Batch::default() };
        let mut offset = 0;
        for ((i, mut info), read) in chosen.into_iter().zip(infos).zip(read) {
            let mut at = offset;
            offset += bytes(&info);
            if let Err(error) = read {
                (info, at) = self.replace(i, error, &mut batch)?;
            }
            let crop = o.policy.crop(info.width, info.height, o.crop_size, o.seed, epoch, info.global_id);
            batch.views.push(PictureView { offset: at, width: info.width, height: info.height, crop });
            batch.labels.push(info.label);
            batch.ids.push(info.global_id);
        }
        if ahead == Ahead::Windows {
            // After the batch: for the first one somebody waits.
            let begins = (epoch, index) == (o.epochs.start, o.first_batch);
            let this = if begins { ahead::window(&self.order, epoch, first) } else { Vec::new() };
            let hints = this.into_iter().map(|block| (Hint::Need, block)).chain(ahead::hints(&self.order, epoch, first..last));
            hints.for_each(|(hint, Range { start, end })| self.source.hint(start as usize..end as usize, hint));
        }
        Ok(batch)
    }

    /// Puts the next whole record behind all others and says what and where it is: in the place of the damaged `i` always the same one.
    fn replace(&self, i: usize, error: Error, batch: &mut Batch) -> Result<(PictureInfo, usize)> {
        if !self.options.replace_bad || !matches!(error, Error::Data(_)) {
            return Err(error);
        }
        batch.bad.push(one_line(&error));
        let at = batch.pixels.len();
        for next in (i + 1..).take(MOST_REPLACED).map(|next| next % self.source.len()) {
            let info = self.source.info(next)?;
            batch.pixels.resize(at + bytes(&info));
            match self.source.read_pixels(next, &mut batch.pixels[at..]) {
                Ok(()) => return Ok((info, at)),
                Err(Error::Data(_)) => {}
                Err(other) => return Err(other),
            }
        }
        Err(error)
    }
}

/// Of a picture's pixels.
fn bytes(info: &PictureInfo) -> usize {
    3 * info.width as usize * info.height as usize
}

/// What is wrong, and where.
fn one_line(error: &Error) -> String {
    let report = error.report();
    report.place.as_ref().map_or(report.what.clone(), |place| format!("{} ({place})", report.what))
}
