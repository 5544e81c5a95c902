//! The jpeg encoding: records are JPEG files, the original bytes where nothing has to change, and are decoded when they are read.
//!
//! It takes a tenth of the disk of raw pixels and a CPU core for every few hundred pictures a second. A picture is encoded anew when a
//! quality was asked for, its size changes, or it is no JPEG. The encoder also gives the sums of the pixels that its file decodes to, from the
//! same coefficients, so the channel sums are those of the pixels that training will see. One image in 64, chosen by the CRC of its bytes,
//! is decoded again and compared, pixels and sums: an encoder that errs is found while packing. `verify --decode` decodes all.

use super::advice;
use super::decode::{Decoder, Kind, Rgb, sniff};
use super::resize::{Fit, Scaler, stored_size};
use super::shard::Shard;
use super::sums::ChannelSums;
use crate::error::{Error, Result};
use crate::resample::Filter;
use std::cell::RefCell;

/// Quality of pictures that are made smaller, unless another was asked for.
pub const DEFAULT_QUALITY: u8 = 90;
/// Quality of a PNG that is kept at its size: next to nothing is lost.
const KEPT_QUALITY: u8 = 100;
/// One encoded image of so many is decoded again.
const CHECKED: u32 = 64;
/// What META says of the encoder.
pub const ENCODER: &str = "baseline as libjpeg (islow) 1, 4:2:0 (4:4:4 at quality 100)";

/// `--encoding jpeg`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JpegOptions {
    /// 1 to 100 encodes every picture anew; `None` keeps the original bytes where the size allows it.
    pub quality: Option<u8>,
    /// Longest side in pixels; 0 for no limit.
    pub max_side: u32,
}

impl JpegOptions {
    /// The size in which a picture is stored, after `--resize` and then `--max-side`.
    pub fn stored_size(&self, width: u32, height: u32, size: u32, fit: Fit) -> (u32, u32) {
        let (w, h) = stored_size(width, height, size, fit);
        let long = w.max(h);
        if self.max_side == 0 || long <= self.max_side {
            return (w, h);
        }
        let scaled = |side: u32| ((f64::from(side) * f64::from(self.max_side) / f64::from(long)).round() as u32).max(1);
        (scaled(w), scaled(h))
    }

    /// Bytes that a picture of this size will take, roughly: bits per pixel of ImageNet at that quality, interpolated between those
    /// that follow from FFCV's table of sizes (docs/benchmarks.rst: quality 50, 90, 100 at a longest side of 256).
    pub fn estimated_bytes(&self, original: u64, kept: bool, width: u32, height: u32) -> u64 {
        if kept && self.quality.is_none() {
            return original; // of a PNG too, which takes no more at quality 100
        }
        let q = f64::from(self.quality.unwrap_or(DEFAULT_QUALITY));
        let line = |(q0, v0): (f64, f64), (q1, v1): (f64, f64)| v0 + (v1 - v0) * (q - q0) / (q1 - q0);
        let per_pixel = if q <= 90.0 { line((50.0, 0.14), (90.0, 0.34)).max(0.05) } else { line((90.0, 0.34), (100.0, 0.9)) };
        (f64::from(width) * f64::from(height) * per_pixel) as u64 + 700
    }
}

/// An image as it is stored, and the sums of the pixels that will be seen.
pub struct Stored {
    pub payload: Vec<u8>,
    pub width: u32,
    pub height: u32,
    pub flags: u8,
    pub sums: ChannelSums,
}

/// What becomes of the picture in `file`, decoded as `picture`.
///
/// # Errors
/// A reason in words.
pub fn store(
    options: &JpegOptions,
    file: &[u8],
    picture: Rgb,
    (size, fit): (u32, Fit),
    tools: (&mut Decoder, &mut Scaler),
) -> std::result::Result<Stored, String> {
    let (decoder, scaler) = tools;
    let (width, height) = (picture.width, picture.height);
    let mut fitted = scaler.fit(picture, size, fit)?;
    let bounded = JpegOptions { quality: None, ..*options }.stored_size(fitted.width, fitted.height, 0, Fit::Short);
    if bounded != (fitted.width, fitted.height) {
        let pixels = scaler.resize(&fitted, Filter::Bilinear, (0, 0, fitted.width, fitted.height), bounded)?;
        fitted = Rgb { width: bounded.0, height: bounded.1, pixels, flags: fitted.flags };
    }
    let same = (fitted.width, fitted.height) == (width, height);
    if same && options.quality.is_none() && sniff(file) == Kind::Jpeg {
        let sums = ChannelSums::of(&fitted.pixels);
        decoder.recycle(fitted.pixels);
        return Ok(Stored { payload: file.to_vec(), width, height, flags: fitted.flags, sums });
    }
    let quality = options.quality.unwrap_or(if same { KEPT_QUALITY } else { DEFAULT_QUALITY });
    let (width, height, flags) = (fitted.width, fitted.height, fitted.flags);
    let checked = |file: &[u8]| crc32c::crc32c(file).is_multiple_of(CHECKED);
    let encoded = decoder.encode(fitted, quality, if quality >= 100 { 1 } else { 2 }, checked)?;
    if let Some(pixels) = encoded.pixels {
        let again = decoder.decode(&encoded.file, u64::from(width) * u64::from(height))?;
        if again.pixels != pixels || ChannelSums::of(&pixels) != encoded.sums {
            return Err(
                "JPEG encoder: the file decodes to other pixels than were encoded (a fault of this machine or of this program)".to_owned()
            );
        }
        decoder.recycle(again.pixels);
    }
    Ok(Stored { payload: encoded.file, width, height, flags, sums: encoded.sums })
}

thread_local! {
    static DECODER: RefCell<Decoder> = RefCell::default();
}

/// Decodes record `r` of `shard` from its bytes and hands the pixels to `each`.
///
/// # Errors
/// `Data` when they are no picture of the size that the index says.
pub fn decode_record<T>(shard: &Shard, r: usize, payload: &[u8], each: impl FnOnce(&[u8]) -> T) -> Result<T> {
    let entry = &shard.entries[r];
    DECODER.with_borrow_mut(|decoder| {
        // No more pixels than the index says: the header is held against it before memory is taken.
        let rgb = decoder.decode(payload, u64::from(entry.width) * u64::from(entry.height)).map_err(|e| {
            decoder.recycle(Vec::new()); // no more is kept than after one that can be decoded
            undecodable(shard, r, &e)
        })?;
        if (rgb.width, rgb.height) != (entry.width.into(), entry.height.into()) {
            let sizes = format!("{}x{}, the index says {}x{}", rgb.width, rgb.height, entry.width, entry.height);
            return Err(undecodable(shard, r, &sizes));
        }
        let result = each(&rgb.pixels);
        decoder.recycle(rgb.pixels);
        Ok(result)
    })
}

/// Decodes the pixels of `rect` (x, y, width, height) of record `r` alone into `out`, which has room for just those: the same as those of
/// [`decode_record`]. The bytes are those of a record whose checksum was right, so what the rectangle does not need is not looked at.
///
/// # Errors
/// As there.
pub fn decode_part(shard: &Shard, r: usize, payload: &[u8], rect: [u32; 4], out: &mut [u8]) -> Result<()> {
    let entry = &shard.entries[r];
    let size = (entry.width.into(), entry.height.into());
    DECODER.with_borrow_mut(|decoder| decoder.decode_region(payload, size, rect, out)).map_err(|e| undecodable(shard, r, &e))
}

fn undecodable(shard: &Shard, r: usize, reason: &str) -> Error {
    Error::data(format!("a stored image cannot be decoded: {}: {reason}", shard.describe(r)))
        .at(format!("{}, byte {}", shard.path().display(), shard.entries[r].offset))
        .because("the shard was made by another program, or changed together with its checksums")
        .next(advice::repair(advice::folder_of(shard.path())).replace("--full", "--decode"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_side_is_bounded() {
        let options = JpegOptions { quality: None, max_side: 400 };
        assert_eq!(options.stored_size(500, 375, 0, Fit::Short), (400, 300));
        assert_eq!(options.stored_size(3, 1200, 0, Fit::Short), (1, 400));
        assert_eq!(options.stored_size(400, 20, 0, Fit::Short), (400, 20));
        assert_eq!(JpegOptions::default().stored_size(500, 375, 256, Fit::Short), (341, 256));
    }
}
