//! The size an image is stored in, and the resizing: Pillow's antialiased filters, to the same bits ([`crate::resample`]).

use super::decode::Rgb;
use super::format::flags;
use crate::resample::{Filter, Image, Resampler, Resize};

/// Pictures longer than this ratio keep only the middle of their long side, before resizing. Without a bound a 1200x3 strip would
/// become 102400x256. Random crops have a ratio of at most 4:3 and evaluation looks at the centre, so little is lost.
pub const MAX_ASPECT: u32 = 8;

/// `--fit`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// The short side becomes N, the aspect is kept, the whole image is stored.
    #[default]
    Short,
    /// The same, and then the centre N x N is kept: exactly Resize(N) + CenterCrop(N).
    Square,
}

/// Width and height after torchvision's `Resize(short)`: the long side is `floor(short * long / short_side)`.
pub fn short_side(width: u32, height: u32, short: u32) -> (u32, u32) {
    let long = |l: u32, s: u32| (u64::from(short) * u64::from(l) / u64::from(s.max(1))) as u32;
    if width <= height { (short, long(height, width)) } else { (long(width, height), short) }
}

/// Where torchvision's `CenterCrop` starts: `int(round((have - want) / 2.0))`, Python's round, halves to even.
pub fn centre(have: u32, want: u32) -> u32 {
    let twice = have.saturating_sub(want);
    let half = twice / 2;
    if twice % 2 == 1 && half % 2 == 1 { half + 1 } else { half }
}

/// The part of the picture that is kept before resizing: all of it, or the middle `MAX_ASPECT : 1`.
fn bounded(width: u32, height: u32) -> (u32, u32, u32, u32) {
    let (w, h) = (width.min(height.saturating_mul(MAX_ASPECT)), height.min(width.saturating_mul(MAX_ASPECT)));
    (centre(width, w), centre(height, h), w, h)
}

/// Width and height in which a picture of `width` x `height` is stored; `size` 0 keeps it as it is.
pub fn stored_size(width: u32, height: u32, size: u32, fit: Fit) -> (u32, u32) {
    let (_, _, w, h) = bounded(width, height);
    match fit {
        _ if size == 0 => (width, height),
        Fit::Short => short_side(w, h, size),
        Fit::Square => (size, size),
    }
}

/// One thread's resampler; keeps its buffers.
#[derive(Default)]
pub struct Scaler {
    resampler: Resampler,
    spare: Vec<u8>,
}

impl Scaler {
    /// The memory of the last picture that [`Scaler::fit`] used up, if it is still there.
    pub fn spare(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.spare)
    }

    /// `picture` as it is to be stored; `size` 0 keeps it as it is.
    ///
    /// # Errors
    /// A reason in words; none is known that the checks before it let through.
    pub fn fit(&mut self, picture: Rgb, size: u32, fit: Fit) -> Result<Rgb, String> {
        if size == 0 {
            return Ok(picture);
        }
        let (left, top, w, h) = bounded(picture.width, picture.height);
        let whole = (w, h) == (picture.width, picture.height);
        let (width, height) = short_side(w, h, size);
        let mut flag = picture.flags;
        if !whole {
            flag |= flags::LONG_SIDE_CROPPED;
        }
        if w.min(h) < size {
            flag |= flags::UPSCALED;
        }
        let pixels = if whole && (width, height) == (w, h) {
            picture.pixels
        } else {
            let resized = self.resize(&picture, Filter::Bilinear, (left, top, w, h), (width, height))?;
            self.spare = picture.pixels;
            resized
        };
        let mut out = Rgb { width, height, pixels, flags: flag };
        if fit == Fit::Square {
            out = crop(&out, centre(width, size), centre(height, size), size, size);
        }
        Ok(out)
    }

    /// The rectangle `(left, top, width, height)` of `image`, cut out and then resized by `filter` to `to`: HWC RGB.
    ///
    /// # Errors
    /// As [`Scaler::fit`].
    pub fn resize(
        &mut self,
        image: &Rgb,
        filter: Filter,
        (left, top, width, height): (u32, u32, u32, u32),
        to: (u32, u32),
    ) -> Result<Vec<u8>, String> {
        let [all, left, top, w, h, to_width, to_height] = [image.width, left, top, width, height, to.0, to.1].map(|n| n as usize);
        let source = Image::whole(&image.pixels, all, image.height as usize).rectangle((left, top, w, h));
        let inside = left + w <= all && top + h <= image.height as usize;
        let mut pixels = Vec::new();
        if !inside || !self.resampler.resize(source, &Resize::whole(filter, (w, h), (to_width, to_height)), &mut pixels) {
            let (w, h) = (image.width, image.height);
            return Err(format!("{width}x{height} at {left},{top} of an image of {w}x{h} cannot be resized to {}x{}", to.0, to.1));
        }
        Ok(pixels)
    }
}

/// A rectangle of a picture. It must lie inside.
pub fn crop(picture: &Rgb, left: u32, top: u32, width: u32, height: u32) -> Rgb {
    let (stride, row) = (picture.width as usize * 3, width as usize * 3);
    let mut pixels = Vec::with_capacity(row * height as usize);
    for line in picture.pixels.chunks_exact(stride).skip(top as usize).take(height as usize) {
        pixels.extend_from_slice(&line[left as usize * 3..][..row]);
    }
    Rgb { width, height, pixels, flags: picture.flags }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_as_torchvision() {
        assert_eq!(short_side(500, 375, 256), (341, 256)); // 341.33 cut
        assert_eq!(short_side(375, 500, 256), (256, 341));
        assert_eq!(short_side(1, 1, 256), (256, 256));
        // int(round(x / 2.0)): 0.5 -> 0, 1.5 -> 2, 2.5 -> 2, 42.5 -> 42
        assert_eq!([1, 3, 5, 85].map(|d| centre(256 + d, 256)), [0, 2, 2, 42]);
        assert_eq!(stored_size(1200, 3, 256, Fit::Short), (2048, 256));
        assert_eq!(stored_size(1200, 3, 0, Fit::Short), (1200, 3));
    }
}
