//! Memory for work with single records of a packed folder: taken from the budget of images before the work is begun, so that large
//! records are read as few at a time as memory asks for, and one that it cannot hold alone is refused by name.

use super::budget;
use super::format::{Encoding, flags};
use super::shard::Shard;
use crate::error::{Error, Result};

/// What a record is made of, in bytes, by the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// As it lies in the shard.
    pub stored: u64,
    /// What decoding takes beside that, the pixels included; 0 for a record of pixels.
    pub decoding: u64,
    /// Of RGB.
    pub pixels: u64,
}

impl Sizes {
    /// Of record `r`.
    pub fn of(shard: &Shard, r: usize) -> Self {
        let entry = &shard.entries[r];
        let (stored, count) = (u64::from(entry.stored_len), u64::from(entry.width) * u64::from(entry.height));
        // The planes of four or of three colours and the pixels, and what is coded once more: as `decode::memory`.
        let each = if entry.flags & flags::WAS_CMYK != 0 { 9 } else { 7 };
        let decoding = if shard.header.encoding == Encoding::Jpeg as u8 { each * count + stored } else { 0 };
        Self { stored, decoding, pixels: 3 * count }
    }
}

/// Does `work` with record `r` of `shard` as soon as the budget has `bytes` for it; `doing` says what it is in the refusal.
///
/// # Errors
/// `Device` when memory cannot hold it even alone; those of `work`.
pub fn with<T>(shard: &Shard, r: usize, doing: &str, bytes: u64, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let entry = &shard.entries[r];
    let what = || format!("{doing} a record of {}x{} pixels", entry.width, entry.height);
    budget::taking(bytes, what, work).map_err(|e| match e {
        Error::Device(_) => e.at(format!("{}, {}", shard.path().display(), shard.describe(r))).next(
            "raise the limit, or use a machine with more memory; packed smaller (pack --max-side 500, pack --resize 256) it takes less",
        ),
        other => other,
    })
}
