//! From stored pictures to the network's input: a batch on the device, then crop, antialiased bilinear resize, flip, normalise.

use super::{Memory, Pixels};
use crate::error::Result;

/// A rectangle of a picture, in pixels, and whether to mirror it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crop {
    pub x: u32,
    pub y: u32,
    pub width: u32,
    pub height: u32,
    pub flip: bool,
}

/// One RGB u8 picture (HWC, no padding) inside a byte buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureView {
    pub offset: usize,
    pub width: u32,
    pub height: u32,
    pub crop: Crop,
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

    /// Writes `out[n, size, size, 3] = (value/255 - mean) / std`, `value` being the crop resized with the triangle filter whose
    /// support grows with the reduction (Pillow's and torchvision's antialiased BILINEAR), in f32 without rounding to u8 in between;
    /// a crop of `size` x `size` is copied exactly.
    fn augment(&self, batch: &Self::Batch, size: usize, mean: [f32; 3], std: [f32; 3], out: Self::Mut<'_>) -> Result<()>;
}
