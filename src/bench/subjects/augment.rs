//! Augmentation: crops of stored pictures, half of them mirrored.

use super::Workload;
use crate::backend::{Crop, PictureView};
use crate::bench::case::{Case, Job, Operands};
use crate::cuda::Element;
use crate::cuda::augment::{augment, pictures};
use crate::cuda::handles::Picture;
use crate::cuda::memory::Array;
use crate::cuda::timed::Timed;
use half::bf16;

pub fn cases<D: Timed>(w: &Workload) -> Vec<Case<D>> {
    vec![case::<bf16, D>(w.batch, w.side).times(1)]
}

/// Pictures as `pack --resize` leaves them, an eighth longer than the crop's side and a third wider; crops of five quarters of the side
/// by its whole.
pub fn case<T: Element, D: Timed>(n: usize, side: usize) -> Case<D> {
    let (height, width) = (side * 8 / 7, side * 3 / 2);
    let (crop_height, crop_width) = (side, side * 5 / 4);
    Case::new("augment", format!("{crop_width}x{crop_height} -> {side}x{side}"), move |o: &mut Operands<D>| {
        let stored = height * width * 3;
        let view = |i: usize| PictureView {
            offset: i * stored,
            width: width as u32,
            height: height as u32,
            crop: Crop::resized(((i % 8) as u32, 1, crop_width as u32, crop_height as u32), side as u32, i % 2 == 1),
        };
        let views: Vec<Picture> = pictures(&(0..n).map(view).collect::<Vec<_>>(), n * stored)?;
        let bytes: Vec<u8> = (0..n * stored).map(|i| (i * 167 % 251) as u8).collect();
        let pixels = Array::from_host(&o.driver, &bytes)?;
        o.pass::<u8>(n * crop_height * crop_width * 3);
        let (views, mut out, d) = (o.given(&views)?, o.write::<T>(n * side * side * 3)?, o.driver.clone());
        let (mean, std) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
        Ok(Job::moving(move || augment(&d, n, side, pixels.ptr(), views.ptr(), mean, std, out.ptr_mut())))
    })
}
