//! Making one batch: which pictures, their bytes one after the other, their rectangles; and, for who waits, what is being done.

use super::ahead::Windows;
use super::budget;
use super::loader::{BadRecord, Batch, LoaderOptions, PictureInfo, Source};
use super::order::{EpochOrder, Order};
use super::reading::{Ahead, Hint};
use crate::backend::{Crop, PictureView, Spare};
use crate::error::{Error, Result};
use crate::resample::{Filter, Image, Resampler, Resize};
use rayon::prelude::*;
use std::cell::RefCell;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Records looked at in the place of a damaged one: more damage in a row is no accident.
const MOST_REPLACED: usize = 16;

/// What a loading thread does when it reads no picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// Tells the kernel which pictures it wants around this batch.
    Asking(u64),
    /// This batch is done, and not taken yet.
    Waiting(u64),
}

/// What a loading thread is at, written by it and read by who waits for it.
#[derive(Debug)]
pub struct At(Mutex<Now>);

#[derive(Debug)]
struct Now {
    doing: Doing,
    since: Instant,
    /// Pictures that are being read, several where they are decoded.
    reading: Vec<(usize, Instant)>,
}

impl Default for At {
    fn default() -> Self {
        Self(Mutex::new(Now { doing: Doing::Waiting(0), since: Instant::now(), reading: Vec::new() }))
    }
}

impl At {
    fn now(&self) -> MutexGuard<'_, Now> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set(&self, doing: Doing) {
        let mut now = self.now();
        (now.doing, now.since) = (doing, Instant::now());
    }

    /// Reads picture `i` by `read`.
    fn reading<T>(&self, i: usize, read: impl FnOnce() -> T) -> T {
        self.now().reading.push((i, Instant::now()));
        let done = read();
        self.now().reading.retain(|(of, _)| *of != i);
        done
    }

    /// For people. Of several pictures, the one that is read longest.
    pub fn describe(&self, source: &dyn Source) -> String {
        let now = self.now();
        let seconds = |since: &Instant| since.elapsed().as_secs_f64();
        match (now.reading.iter().min_by_key(|(_, since)| *since), now.doing) {
            (Some((i, since)), _) => format!("has been reading {} for {:.0} s", source.place(*i), seconds(since)),
            (None, Doing::Asking(batch)) => {
                format!("has been asking the disk for images of batch {batch} for {:.0} s", seconds(&now.since))
            }
            (None, Doing::Waiting(batch)) => format!("finished batch {batch} {:.0} s ago and waits for its turn", seconds(&now.since)),
        }
    }
}

/// Makes any batch of a source.
pub struct Maker {
    source: Arc<dyn Source>,
    options: LoaderOptions,
    order: Order,
    windows: Option<Windows>,
    of_epoch: Option<(u32, EpochOrder)>,
    at: Arc<At>,
    spare: Spare,
}

impl Maker {
    /// `at` is kept up to date; the bytes of batches come from `spare`.
    pub fn new(source: Arc<dyn Source>, options: LoaderOptions, at: Arc<At>, spare: Spare) -> Self {
        let order = Order::new(source.len() as u64, options.seed, options.mixing);
        let used = options.batches_per_epoch(source.len()) * (options.batch_size * options.rank.world) as u64;
        let windows = (source.ahead() == Ahead::Windows).then(|| Windows::new(order.clone(), used));
        Self { source, options, order, windows, of_epoch: None, at, spare }
    }

    /// Batch `index` of this device in `epoch`.
    ///
    /// # Errors
    /// Those of the pictures, unless damaged ones are to be replaced and the next one is whole.
    pub fn batch(&mut self, epoch: u32, index: u64) -> Result<Batch> {
        let positions = self.positions(index);
        let order = match &mut self.of_epoch {
            Some((of, order)) if *of == epoch => order,
            other => &other.insert((epoch, self.order.epoch(epoch))).1,
        };
        let chosen: Vec<usize> = positions.map(|position| order.at(position) as usize).collect();
        let infos = chosen.iter().map(|&i| self.source.info(i)).collect::<Result<Vec<_>>>()?;
        if self.source.ahead() != Ahead::Nothing {
            self.at.set(Doing::Asking(index));
            chosen.iter().for_each(|&i| self.source.hint(i..i + 1, Hint::Need));
        }
        let parts: Vec<Part> = infos.iter().map(|info| self.part(info, epoch)).collect();
        let bytes: usize = parts.iter().map(Part::bytes).sum();
        budget::check(bytes as u64, &format!("a batch of {} images", parts.len()))?;
        let mut pixels = self.spare.take(bytes);
        let mut rooms = Vec::with_capacity(chosen.len());
        let mut rest = &mut *pixels;
        for part in &parts {
            let (room, after) = std::mem::take(&mut rest).split_at_mut(part.bytes());
            rooms.push((part, room));
            rest = after;
        }
        let read = |(&i, (part, room)): (&usize, (&Part, &mut [u8]))| self.at.reading(i, || part.read(&*self.source, i, room));
        // Images to be decoded are decoded side by side.
        let read: Vec<Result<()>> = if self.source.decodes() {
            chosen.par_iter().zip(rooms).map(read).collect()
        } else {
            chosen.iter().zip(rooms).map(read).collect()
        };
        let mut batch = Batch { epoch, index, pixels, ..Batch::default() };
        let mut offset = 0;
        for (((i, mut info), mut part), read) in chosen.into_iter().zip(infos).zip(parts).zip(read) {
            let mut at = offset;
            offset += part.bytes();
            if let Err(error) = read {
                (info, part, at) = self.replace(i, error, epoch, &mut batch)?;
            }
            batch.views.push(PictureView { offset: at, ..part.view });
            batch.labels.push(info.label);
            batch.ids.push(info.global_id);
        }
        Ok(batch)
    }

    fn part(&self, info: &PictureInfo, epoch: u32) -> Part {
        Part::new(&self.options, self.source.decodes(), info, epoch)
    }

    /// Tells the page cache what becomes of the windows around batch `index`. `begins`: nothing was asked for before it. Takes as long as
    /// the disk makes it, so it comes after the batch was handed over.
    pub fn steer(&self, epoch: u32, index: u64, begins: bool) {
        let Some(windows) = &self.windows else { return };
        self.at.set(Doing::Asking(index));
        let positions = self.positions(index);
        let this = if begins { windows.window(epoch, positions.start) } else { Vec::new() };
        let hints = this.into_iter().map(|block| (Hint::Need, block)).chain(windows.hints(epoch, positions));
        hints.for_each(|(hint, Range { start, end })| self.source.hint(start as usize..end as usize, hint));
        self.at.set(Doing::Waiting(index));
    }

    /// Positions of the epoch that make batch `index` of this device.
    fn positions(&self, index: u64) -> Range<u64> {
        let o = &self.options;
        let first = (index * o.rank.world as u64 + o.rank.index as u64) * o.batch_size as u64;
        first..(first + o.batch_size as u64).min(self.source.len() as u64)
    }

    /// Puts the next whole record behind all others and says what and where it is: in the place of the damaged `i` always the same one.
    fn replace(&self, i: usize, error: Error, epoch: u32, batch: &mut Batch) -> Result<(PictureInfo, Part, usize)> {
        if !self.options.replace_bad || !matches!(error, Error::Data(_)) {
            return Err(error);
        }
        batch.bad.push(BadRecord { id: self.source.info(i).ok().map(|info| info.global_id), what: one_line(&error) });
        let at = batch.pixels.len();
        for next in (i + 1..).take(MOST_REPLACED).map(|next| next % self.source.len()) {
            let info = self.source.info(next)?;
            let part = self.part(&info, epoch);
            batch.pixels.resize(at + part.bytes());
            match part.read(&*self.source, next, &mut batch.pixels[at..]) {
                Ok(()) => return Ok((info, part, at)),
                Err(Error::Data(_)) => {}
                Err(other) => return Err(other),
            }
        }
        Err(error)
    }
}

/// Pixels of an image that a batch keeps as they are stored. Of a larger one the batch holds the network's input, made here, in u8: by the
/// code, and so to the bits, that makes it on the device.
pub const KEPT: usize = 1 << 20;

/// What of an image goes into the batch, and how it comes there.
pub struct Part {
    /// Of what is in the batch; its offset is not set.
    view: PictureView,
    size: (u32, u32),
    how: How,
}

enum How {
    Whole,
    /// Of an image that has to be decoded the crop is enough: it is known before, and becomes the whole of what is seen.
    Decoded(Crop),
    /// Too large to be kept until the device needs it. The crop is of the image; it is decoded alone where the source decodes.
    Reduced(Crop, bool),
}

thread_local! {
    static RESAMPLER: RefCell<Resampler> = RefCell::default();
}

impl Part {
    /// Of an image in `epoch`, by loader `o`.
    pub fn new(o: &LoaderOptions, decodes: bool, info: &PictureInfo, epoch: u32) -> Self {
        let crop = o.policy.crop(info.width, info.height, o.crop_size, o.seed, epoch, info.global_id);
        let (width, height) = if decodes { (crop.width, crop.height) } else { (info.width, info.height) };
        let size = (info.width, info.height);
        let most = o.keep.max(4 * o.crop_size as usize * o.crop_size as usize);
        if width as usize * height as usize > most {
            let side = o.crop_size;
            let all = Crop::resized((0, 0, side, side), side, false);
            return Self { view: PictureView { offset: 0, width: side, height: side, crop: all }, size, how: How::Reduced(crop, decodes) };
        }
        let (seen, how) = if decodes { (Crop { x: 0, y: 0, ..crop }, How::Decoded(crop)) } else { (crop, How::Whole) };
        Self { view: PictureView { offset: 0, width, height, crop: seen }, size, how }
    }

    /// Bytes in the batch.
    pub fn bytes(&self) -> usize {
        3 * self.view.width as usize * self.view.height as usize
    }

    /// Width and height of what is in the batch.
    pub fn size_in_batch(&self) -> (u32, u32) {
        (self.view.width, self.view.height)
    }

    /// Bytes that reading takes beside the batch, where the source itself takes none.
    pub fn own_bytes(&self) -> u64 {
        if matches!(self.how, How::Reduced(..)) { budget::cost(self.size.0, self.size.1) } else { 0 }
    }

    fn read(&self, source: &dyn Source, i: usize, room: &mut [u8]) -> Result<()> {
        let ((width, height), bytes) = (self.size, source.reading_bytes(i)?.max(self.own_bytes()));
        match &self.how {
            How::Whole if bytes == 0 => source.read_pixels(i, room),
            How::Whole => budget::reading(bytes, || source.read_pixels(i, room)),
            How::Decoded(crop) => budget::reading(bytes, || source.read_crop(i, crop, room)),
            How::Reduced(crop, decodes) => budget::reading(bytes, || {
                let (w, h) = if *decodes { (crop.width, crop.height) } else { (width, height) };
                let mut pixels = vec![0; 3 * w as usize * h as usize];
                if *decodes {
                    source.read_crop(i, crop, &mut pixels)?;
                } else {
                    source.read_pixels(i, &mut pixels)?;
                }
                let seen = if *decodes { Crop { x: 0, y: 0, ..*crop } } else { *crop };
                let done = RESAMPLER.with_borrow_mut(|resampler| {
                    let done = reduce(resampler, &pixels, (w, h), &seen, self.view.width, room);
                    if pixels.len() > 3 * KEPT {
                        *resampler = Resampler::default(); // its rows are as large
                    }
                    done
                });
                done.ok_or_else(|| Error::internal(format!("{seen:?} of {w}x{h} cannot be resized")).at(source.place(i)))
            }),
        }
    }
}

/// What the network sees of `crop`, as a device makes it, mirrored where the crop says so; none if the crop does not fit the image.
fn reduce(resampler: &mut Resampler, pixels: &[u8], image: (u32, u32), crop: &Crop, size: u32, out: &mut [u8]) -> Option<()> {
    let [all, height, x, y, w, h, to_width, to_height, left, top, size] =
        [image.0, image.1, crop.x, crop.y, crop.width, crop.height, crop.to_width, crop.to_height, crop.left, crop.top, size]
            .map(|n| n as usize);
    let image = Image::whole(pixels, all, height).rectangle((x, y, w, h));
    let whole = Resize::whole(Filter::Bilinear, (w, h), (to_width, to_height));
    let rows = resampler.start(image, &Resize { window: (left, top, size, size), flip: crop.flip, ..whole })?;
    out.chunks_exact_mut(3 * size.max(1)).enumerate().for_each(|(i, out)| rows.row(i, out));
    Some(())
}

/// What is wrong, and where.
fn one_line(error: &Error) -> String {
    let report = error.report();
    report.place.as_ref().map_or(report.what.clone(), |place| format!("{} ({place})", report.what))
}
