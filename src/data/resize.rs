//! The size a picture is stored in, and the resampling: Pillow's antialiased BILINEAR (a triangle filter whose support grows with the
//! reduction), by `fast_image_resize`, which differs from Pillow by at most one level.

use super::decode::Rgb;
use super::format::flags;
use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};

/// Pictures longer than this ratio keep only the middle of their long side, before resizing. Without a bound a 1200x3 strip would
/// become 102400x256. Random crops have a ratio of at most 4:3 and evaluation looks at the centre, so little is lost.
pub const MAX_ASPECT: u32 = 8;

/// `--fit`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// The short side becomes N, the aspect is kept, the whole picture is stored.
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
    resizer: Resizer,
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
            let resized = self.bilinear(&picture, (left, top, w, h), width, height)?;
            self.spare = picture.pixels;
            resized
        };
        let mut out = Rgb { width, height, pixels, flags: flag };
        if fit == Fit::Square {
            out = crop(&out, centre(width, size), centre(height, size), size, size);
        }
        Ok(out)
    }

    /// The rectangle `(left, top, w, h)` of `picture`, resampled to `width` x `height`: HWC RGB.
    ///
    /// # Errors
    /// As [`Scaler::fit`].
    pub fn bilinear(&mut self, picture: &Rgb, from: (u32, u32, u32, u32), width: u32, height: u32) -> Result<Vec<u8>, String> {
        // Typed, not dynamic, images: the dynamic ones compile the resampler for every pixel type there is, which takes a minute.
        let source = TypedImageRef::<U8x3>::from_buffer(picture.width, picture.height, &picture.pixels).map_err(|e| e.to_string())?;
        let mut pixels = vec![0; width as usize * height as usize * 3];
        let mut target = TypedImage::<U8x3>::from_buffer(width, height, &mut pixels).map_err(|e| e.to_string())?;
        let (left, top, w, h) = from;
        let options = ResizeOptions::new()
            .resize_alg(ResizeAlg::Convolution(FilterType::Bilinear))
            .crop(f64::from(left), f64::from(top), f64::from(w), f64::from(h))
            .use_alpha(false);
        self.resizer.resize_typed(&source, &mut target, &options).map_err(|e| e.to_string())?;
        drop(target);
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
