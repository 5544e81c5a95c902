//! Which rectangle of a picture the network sees: random resized crop and flip for training, the centre for evaluation.
//!
//! Random: torchvision's `RandomResizedCrop.get_params` step by step: ten attempts at an area uniform in `scale` and a ratio
//! log-uniform in `ratio`, `w = round(sqrt(A r))`, `h = round(sqrt(A / r))`, a uniform position; then the largest centred rectangle of
//! an allowed ratio. Every number comes from the stream of (seed, epoch, global id), so a crop depends on nothing else.

use super::resize::{MAX_ASPECT, centre};
use crate::backend::Crop;
use crate::error::Error;
use crate::rng::{Purpose, Stream};
use crate::text::count;

/// The one bound of sizes: of the network's input, of what validation resizes to, and of what `pack` makes the short side. With the
/// ratio of 8:1 that `pack` keeps, the long side of what is stored then fits 16 bits.
pub const MOST_SIDE: u32 = u16::MAX as u32 / MAX_ASPECT;

/// What is said of a size beyond it.
pub fn side_out_of_range(flag: &str, side: impl std::fmt::Display, least: u32) -> Error {
    Error::usage(format!("{flag} {side}: expected a whole number from {least} to {}", count(MOST_SIDE.into())))
}

/// The parser of flags that are sizes.
///
/// # Errors
/// What is wrong with the number, in the words of [`side_out_of_range`].
pub fn parse_side(text: &str) -> Result<u32, String> {
    let wrong = || format!("expected a whole number from 1 to {}", count(MOST_SIDE.into()));
    text.parse().ok().filter(|side| (1..=MOST_SIDE).contains(side)).ok_or_else(wrong)
}

/// How an image is cut.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum CropPolicy {
    /// Random resized crop and a flip with probability one half.
    Random { scale: (f64, f64), ratio: (f64, f64) },
    /// The centre: see [`centre_crop`].
    Centre,
}

impl CropPolicy {
    /// `--augment standard`, with `--rrc-scale`.
    pub fn standard(scale: (f64, f64)) -> Self {
        Self::Random { scale, ratio: (3.0 / 4.0, 4.0 / 3.0) }
    }

    /// The crop of one picture for a network input of `size` x `size`.
    pub fn crop(&self, width: u32, height: u32, size: u32, seed: u64, epoch: u32, global_id: u64) -> Crop {
        match *self {
            Self::Centre => centre_crop(width, height, size),
            Self::Random { scale, ratio } => {
                let mut stream = Stream::new(seed, Purpose::Augment, epoch, global_id);
                random_resized_crop(width, height, size, scale, ratio, &mut stream)
            }
        }
    }
}

/// Python's `int(round(x))`: halves to even.
fn round(x: f64) -> u32 {
    x.round_ties_even() as u32
}

/// torchvision's random resized crop, then the flip. The draws of an attempt are area, ratio, and only for one that fits, row and
/// column; the flip is the next draw after.
pub fn random_resized_crop(width: u32, height: u32, size: u32, scale: (f64, f64), ratio: (f64, f64), stream: &mut Stream) -> Crop {
    let area = f64::from(width) * f64::from(height);
    let log_ratio = (ratio.0.ln(), ratio.1.ln());
    let uniform = |stream: &mut Stream, (low, high): (f64, f64)| low + (high - low) * stream.uniform_f64();
    let mut found = None;
    for _ in 0..10 {
        let target = area * uniform(stream, scale);
        let r = uniform(stream, log_ratio).exp();
        let (w, h) = (round((target * r).sqrt()), round((target / r).sqrt()));
        if 0 < w && w <= width && 0 < h && h <= height {
            let y = stream.below(height - h + 1);
            let x = stream.below(width - w + 1);
            found = Some((x, y, w, h));
            break;
        }
    }
    let rectangle = found.unwrap_or_else(|| fallback(width, height, ratio));
    Crop::resized(rectangle, size, stream.next_u32() >> 31 == 1)
}

/// The largest centred rectangle whose ratio lies within bounds.
fn fallback(width: u32, height: u32, ratio: (f64, f64)) -> (u32, u32, u32, u32) {
    let r = f64::from(width) / f64::from(height);
    let (w, h) = if r < ratio.0 {
        (width, round(f64::from(width) / ratio.0).clamp(1, height))
    } else if r > ratio.1 {
        (round(f64::from(height) * ratio.1).clamp(1, width), height)
    } else {
        (width, height)
    };
    ((width - w) / 2, (height - h) / 2, w, h)
}

/// The centre square of `size`, as torchvision's `CenterCrop`; of an image with a side below that the largest there is, which the device
/// resizes ([`super::prepared`] hands over none such).
pub fn centre_crop(width: u32, height: u32, size: u32) -> Crop {
    let side = size.min(width).min(height);
    Crop::resized((centre(width, side), centre(height, side), side, side), size, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn centre_rule() {
        let side = |short, size| centre_crop(short + 50, short, size).width;
        assert_eq!([side(256, 224), side(224, 224), side(512, 224), side(64, 64), side(48, 64)], [224, 224, 224, 64, 48]);
        assert_eq!(centre_crop(341, 256, 224), Crop::resized((58, 16, 224, 224), 224, false)); // 58.5 to even
    }

    #[test]
    fn extreme_pictures_fall_back_to_the_centre() {
        let crop = CropPolicy::standard((0.08, 1.0)).crop(2000, 2, 224, 1, 2, 3);
        assert!(crop.width <= 3 && crop.height <= 2 && crop.x + crop.width <= 2000, "{crop:?}");
        let all = CropPolicy::standard((1.0, 1.0)).crop(100, 1000, 224, 1, 2, 3);
        assert_eq!((all.x, all.y, all.width, all.height), (0, 433, 100, 133));
        for id in 0..50 {
            let one = CropPolicy::standard((0.08, 1.0)).crop(1, 1, 224, 1, 2, id);
            assert_eq!((one.x, one.y, one.width, one.height), (0, 0, 1, 1));
        }
    }

    /// Means over many crops of a 400x300 picture, against the distribution's own.
    #[test]
    fn statistics() {
        let n = 20_000u32;
        let (mut area, mut log_ratio, mut flips, mut left) = (0.0, 0.0, 0, 0.0);
        for id in 0..n {
            let c = CropPolicy::standard((0.08, 0.5)).crop(400, 300, 224, 9, 1, id.into());
            assert!(c.x + c.width <= 400 && c.y + c.height <= 300);
            area += f64::from(c.width * c.height) / 120_000.0;
            log_ratio += (f64::from(c.width) / f64::from(c.height)).ln();
            flips += u32::from(c.flip);
            left += (f64::from(c.x) + 0.5) / f64::from(400 - c.width + 1);
        }
        let n = f64::from(n);
        // Area uniform in [0.08, 0.5], nothing rejected; ratio symmetric; position uniform; flip one half.
        assert!((area / n - 0.29).abs() < 0.004, "area {}", area / n);
        assert!((log_ratio / n).abs() < 0.006, "log ratio {}", log_ratio / n);
        assert!((f64::from(flips) / n - 0.5).abs() < 0.015 && (left / n - 0.5).abs() < 0.01);
    }

    #[test]
    fn a_crop_depends_on_seed_epoch_and_id_alone() {
        let crop = |seed, epoch, id| CropPolicy::standard((0.08, 1.0)).crop(500, 375, 224, seed, epoch, id);
        assert_eq!(crop(1, 2, 3), crop(1, 2, 3));
        assert!([crop(2, 2, 3), crop(1, 3, 3), crop(1, 2, 4)].iter().all(|&c| c != crop(1, 2, 3)));
    }
}
