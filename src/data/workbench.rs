//! One picture of a pack: read, decoded, resized; one after the other in the same memory.

use super::bad::BadPicture;
use super::budget;
use super::compressed;
use super::decode::{Decoder, Rgb};
use super::format::hex;
use super::plan::{Item, Plan};
use super::resize::Scaler;
use super::shard_writer::Record;
use super::sums::ChannelSums;
use crate::error::{Error, Result};
use std::sync::{Mutex, PoisonError};

/// A stored picture, or why there is none.
pub type Outcome = std::result::Result<(Record, ChannelSums), BadPicture>;

/// What takes more than this is not kept in memory for the next image.
const LARGE: u64 = 32 << 20;

fn megapixels(pixels: u64) -> String {
    format!("{}.{} megapixels", pixels / 1_000_000, pixels / 100_000 % 10)
}

/// The tools of one thread, with their memory.
#[derive(Default)]
pub struct Bench {
    decoder: Decoder,
    scaler: Scaler,
    file: Vec<u8>,
}

/// Benches that no thread is at.
#[derive(Default)]
pub struct Benches(Mutex<Vec<Bench>>);

impl Benches {
    /// Lends one for the time of `work`.
    pub fn at<T>(&self, work: impl FnOnce(&mut Bench) -> T) -> T {
        let free = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bench = free().pop().unwrap_or_default();
        let result = work(&mut bench);
        free().push(bench);
        result
    }
}

impl Bench {
    /// One picture: read, decoded, resized.
    ///
    /// # Errors
    /// `Data` when the file is no longer what the plan has seen. A picture that cannot be read or decoded is an outcome.
    pub fn one(&mut self, plan: &Plan, id: usize) -> Result<Outcome> {
        let item: &Item = &plan.items[id];
        let bad = |error: String| {
            let sha256 = if item.unreadable.is_some() { String::new() } else { hex(&item.sha256) };
            BadPicture {
                path: item.path.clone(),
                within: plan.store.within(&item.path, &item.place),
                size: item.bytes,
                sha256,
                error,
                action: String::new(),
            }
        };
        if let Some(reason) = &item.unreadable {
            return Ok(Err(bad(reason.clone())));
        }
        // Many at once where memory allows it; one alone that it cannot hold is an error, and no bad image.
        let what = || format!("packing an image that decodes to {}", megapixels(item.pixels));
        let decoded = budget::taking(item.memory, what, || {
            let read = plan.store.read(&item.place, &mut self.file);
            if read.is_err() || self.file.len() as u64 != item.bytes || crc32c::crc32c(&self.file) != item.crc {
                return Err(Error::data("an image changed while it was being packed")
                    .because(read.err().unwrap_or_else(|| "its bytes are others than when the plan was made".to_owned()))
                    .next("wait until the source is at rest and run the same command again"));
            }
            let decoded = self.decode(plan);
            if item.memory > LARGE {
                *self = Self::default(); // its memory is given back with the budget
            }
            Ok(decoded)
        });
        let decoded = decoded.map_err(|e| match e {
            Error::Device(_) => e.at(plan.describe(id)).next(format!(
                "raise the limit; or leave such images out: --on-bad skip --max-size {}",
                (item.pixels.saturating_sub(1) / 1_000_000).max(1)
            )),
            other => other.at(plan.describe(id)),
        })?;
        Ok(match decoded {
            Ok((picture, sums, original)) => {
                let mut source_sha = [0; 8];
                source_sha.copy_from_slice(&item.sha256[..8]);
                let record = Record {
                    width: picture.width as u16,
                    height: picture.height as u16,
                    original,
                    flags: picture.flags,
                    label: item.label,
                    global_id: id as u64,
                    name: item.path.clone(),
                    source_sha,
                    payload: picture.pixels,
                };
                Ok((record, sums))
            }
            Err(error) => Err(bad(error)),
        })
    }

    /// The file that was read, decoded and made what is stored; its sums, and its size before.
    fn decode(&mut self, plan: &Plan) -> std::result::Result<(Rgb, ChannelSums, (u16, u16)), String> {
        self.decoder.decode(&self.file, plan.options.max_pixels).and_then(|picture| {
            let original = (picture.width as u16, picture.height as u16);
            let fit = (plan.options.size, plan.options.fit);
            if let Some(options) = &plan.options.jpeg {
                let stored = compressed::store(options, &self.file, picture, fit, (&mut self.decoder, &mut self.scaler))?;
                let compressed::Stored { payload, width, height, flags, sums } = stored;
                return Ok((Rgb { width, height, pixels: payload, flags }, sums, original));
            }
            let stored = self.scaler.fit(picture, fit.0, fit.1)?;
            self.decoder.recycle(self.scaler.spare());
            let sums = ChannelSums::of(&stored.pixels);
            Ok((stored, sums, original))
        })
    }
}
