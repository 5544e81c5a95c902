//! Augmentation on the device: launches of kernels/augment.cu.

use super::Element;
use super::arguments::index;
use super::element::launch_for;
use super::handles::Picture;
use super::launch::{Dims, Driver, Ptr, PtrMut};
use crate::backend::PictureView;
use crate::error::{Error, Result};

const THREADS: u32 = 256;

/// The pictures as the kernel takes them, after looking that each crop lies in its picture and each picture in a buffer of `bytes`.
///
/// # Errors
/// `Internal`, naming the picture that does not.
pub fn pictures(views: &[PictureView], bytes: usize) -> Result<Vec<Picture>> {
    let one = |view: &PictureView| {
        let crop = view.crop;
        let inside = crop.width > 0
            && crop.height > 0
            && u64::from(crop.x) + u64::from(crop.width) <= u64::from(view.width)
            && u64::from(crop.y) + u64::from(crop.height) <= u64::from(view.height);
        let stored = (view.width as usize)
            .checked_mul(view.height as usize)
            .and_then(|n| n.checked_mul(3))
            .and_then(|n| n.checked_add(view.offset))
            .is_some_and(|end| end <= bytes);
        if !inside || !stored {
            let what = format!("{view:?} does not lie inside its picture or the buffer of {bytes} bytes");
            return Err(Error::internal(what).at("augment"));
        }
        Ok(Picture {
            offset: view.offset as u64,
            width: index("augment", view.width as usize)?,
            height: index("augment", view.height as usize)?,
            crop_x: crop.x as i32, // below the extents
            crop_y: crop.y as i32,
            crop_width: crop.width as i32,
            crop_height: crop.height as i32,
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
    let dims = Dims::linear(count * size * size, THREADS)?;
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
