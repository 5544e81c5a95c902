//! From stored pictures to the network's input: crop, antialiased bilinear resize, flip, normalise.

use super::Memory;
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

pub trait Augment: Memory {
    /// Writes `out[n, size, size, 3] = (value/255 - mean) / std`, `value` being the crop resized with the triangle filter whose
    /// support grows with the reduction (Pillow's and torchvision's antialiased BILINEAR), in f32 without rounding to u8 in between;
    /// a crop of `size` x `size` is copied exactly.
    fn augment(
        &self,
        pixels: &Self::Bytes,
        pictures: &[PictureView],
        size: usize,
        mean: [f32; 3],
        std: [f32; 3],
        out: Self::Mut<'_>,
    ) -> Result<()>;
}
