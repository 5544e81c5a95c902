//! Augmentation on the device: launches of kernels/augment.cu.

use super::Element;
use super::arguments::index;
use super::element::launch_for;
use super::handles::Picture;
use super::launch::{Dims, Driver, Ptr, PtrMut, grid_extent};
use crate::backend::PictureView;
use crate::error::Result;

/// As in kernels/augment.cu: a tile's columns and rows, a thread a pixel, and the words kept in shared memory of each column and row.
const TILE: (usize, usize) = (32, 8);
const THREADS: u32 = 256;
const WORDS: usize = 2 + 16;

/// The pictures as the kernel takes them, after looking that each crop lies in its picture and each picture in a buffer of `bytes`.
///
/// # Errors
/// `Internal`, naming the picture that does not.
pub fn pictures(views: &[PictureView], bytes: usize) -> Result<Vec<Picture>> {
    let one = |view: &PictureView| {
        let crop = view.crop;
        view.check(bytes)?;
        Ok(Picture {
            offset: view.offset as u64,
            width: index("augment", view.width as usize)?,
            height: index("augment", view.height as usize)?,
            crop_x: crop.x as i32, // below the extents
            crop_y: crop.y as i32,
            crop_width: crop.width as i32,
            crop_height: crop.height as i32,
            to_width: index("augment", crop.to_width as usize)?,
            to_height: index("augment", crop.to_height as usize)?,
            left: crop.left as i32, // below the sizes
            top: crop.top as i32,
            flip: crop.flip.into(),
            pad: 0,
        })
    };
    views.iter().map(one).collect()
}

/// `out[n, size, size, 3]` from `count` pictures that [`pictures`] has checked.
#[allow(clippy::too_many_arguments)]
pub fn augment<T: Element, D: Driver>(
    driver: &D,
    count: usize,
    size: usize,
    pixels: Ptr<u8>,
    pictures: Ptr<Picture>,
    mean: [f32; 3],
    std: [f32; 3],
    out: PtrMut<T>,
) -> Result<()> {
    index("augment", count * size * size * 3)?;
    if count * size == 0 {
        return Ok(());
    }
    let tiles = count * size.div_ceil(TILE.0) * size.div_ceil(TILE.1);
    let shared_bytes = (4 * WORDS * (TILE.0 + TILE.1)) as u32;
    let dims = Dims { grid: [grid_extent(tiles)?, 1, 1], block: [THREADS, 1, 1], shared_bytes };
    launch_for!(
        T,
        driver,
        &dims,
        AugmentF32
            | AugmentBf16 {
                pixels,
                pictures,
                out: out.cast(),
                count: count as i32,
                size: size as i32,
                mean_r: mean[0],
                mean_g: mean[1],
                mean_b: mean[2],
                std_r: std[0],
                std_g: std[1],
                std_b: std[2],
            }
    )
}
