//! From stored pictures to the network's input: a batch on the device, then crop, antialiased bilinear resize, flip, normalise.

use super::{Memory, Pixels};
use crate::error::{Error, Result};

/// What the network sees of an image: a rectangle is cut out of it and resized, and the input is a window of the result.
///
/// torchvision's `RandomResizedCrop(S)` is a rectangle resized to S x S, all of which is the window ([`Crop::resized`]); its `Resize(R)`
/// and `CenterCrop(S)` are the whole image resized until its short side is R, and the window of S x S in the middle of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crop {
    /// The rectangle, in pixels of the image. Pixels outside it are not looked at.
    pub x: u32,
    pub y: u32,
    pub width: u32,
    pub height: u32,
    /// The size that the rectangle is resized to.
    pub to_width: u32,
    pub to_height: u32,
    /// Where in the resized rectangle the window begins; it is as large as the network's input and must lie inside.
    pub left: u32,
    pub top: u32,
    /// The window is mirrored, left to right.
    pub flip: bool,
}

impl Crop {
    /// The rectangle `(x, y, width, height)` resized to `size` x `size`, all of which is seen.
    pub const fn resized((x, y, width, height): (u32, u32, u32, u32), size: u32, flip: bool) -> Self {
        Self { x, y, width, height, to_width: size, to_height: size, left: 0, top: 0, flip }
    }
}

/// One RGB u8 picture (HWC, no padding) inside a byte buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureView {
    pub offset: usize,
    pub width: u32,
    pub height: u32,
    pub crop: Crop,
}

impl PictureView {
    /// That the picture lies in a buffer of `bytes`, the rectangle in the picture, and a window of at least one pixel in what the
    /// rectangle is resized to.
    ///
    /// # Errors
    /// `Internal`, naming the picture that does not.
    pub fn check(&self, bytes: usize) -> Result<()> {
        let c = self.crop;
        let within = |from: u32, length: u32, all: u32| length > 0 && u64::from(from) + u64::from(length) <= u64::from(all);
        let inside = within(c.x, c.width, self.width) && within(c.y, c.height, self.height);
        let stored = (self.width as usize)
            .checked_mul(self.height as usize)
            .and_then(|n| n.checked_mul(3))
            .and_then(|n| n.checked_add(self.offset))
            .is_some_and(|end| end <= bytes);
        if !inside || !stored {
            return Err(Error::internal(format!("{self:?} does not lie inside its picture or the buffer of {bytes} bytes")).at("augment"));
        }
        if self.window() == 0 {
            return Err(Error::internal(format!("the window of {self:?} begins outside what the rectangle is resized to")).at("augment"));
        }
        Ok(())
    }

    /// The side of the largest square window from the crop's left and top on.
    pub fn window(&self) -> u32 {
        let c = self.crop;
        c.to_width.saturating_sub(c.left).min(c.to_height.saturating_sub(c.top))
    }

    /// That a window of `size` x `size` lies in what the rectangle is resized to.
    ///
    /// # Errors
    /// `Internal`, naming the picture where it does not.
    pub fn check_window(&self, size: usize) -> Result<()> {
        if (self.window() as usize) < size {
            let what = format!("the window of {size}x{size} of {self:?} does not lie inside what the rectangle is resized to");
            return Err(Error::internal(what).at("augment"));
        }
        Ok(())
    }
}

/// Pictures as stored, how each becomes an input, and what it shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StoredBatch {
    pub pixels: Pixels,
    pub views: Vec<PictureView>,
    pub labels: Vec<u32>,
}

pub trait Augment: Memory {
    /// A batch in the device's memory. Its place is fixed from the first batch that needed so much room, so that recorded work finds the
    /// next one there.
    type Batch: Send;

    /// Without pictures.
    fn batch(&self) -> Result<Self::Batch>;

    /// Replaces what is in `batch`. True if its memory is another than before: work recorded on it is void.
    fn load(&self, stored: StoredBatch, batch: &mut Self::Batch) -> Result<bool>;

    fn labels(batch: &Self::Batch) -> &Self::Labels;

    /// Writes `out[n, size, size, 3] = (value/255 - mean) / std`, each operation rounded to f32, `value` being the u8 that Pillow's
    /// antialiased BILINEAR gives in the window of `size` x `size` of the crop's rectangle, cut out and resized ([`crate::resample`]
    /// says how): what torchvision's ToTensor and Normalize make of a PIL image, bit for bit. The f32 is then rounded to the device's type.
    fn augment(&self, batch: &Self::Batch, size: usize, mean: [f32; 3], std: [f32; 3], out: Self::Mut<'_>) -> Result<()>;
}
