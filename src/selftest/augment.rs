//! Crop, resize, mirror, normalise: the very bits of a dense reference.

use super::case::{Case, Check, Expected, Output};
use super::numbers::{bytes, rounded};
use super::ops::{AugmentJob, Ops};
use super::oracle;
use crate::backend::{Crop, PictureView};
use crate::cuda::Element;
use half::bf16;
use std::sync::Arc;

const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const STD: [f32; 3] = [0.229, 0.224, 0.225];
const OP: (&str, &str) = ("augment", "augment");

/// Resized to one pixel, until [`to`] says otherwise.
pub const fn view(offset: usize, width: u32, height: u32, (x, y, w, h): (u32, u32, u32, u32), flip: bool) -> PictureView {
    PictureView { offset, width, height, crop: Crop::resized((x, y, w, h), 1, flip) }
}

/// `views`, each rectangle resized to `size` x `size`.
pub fn to(size: usize, views: &[PictureView]) -> Vec<PictureView> {
    let sized = |v: &PictureView| Crop { to_width: size as u32, to_height: size as u32, ..v.crop };
    views.iter().map(|v| PictureView { crop: sized(v), ..*v }).collect()
}

const SECOND: usize = 3 * 61 * 47;
/// Two pictures in one buffer, and crops that enlarge, reduce, copy, mirror, and touch every border.
pub const VIEWS: [PictureView; 7] = [
    view(0, 61, 47, (0, 0, 61, 47), false),
    view(0, 61, 47, (5, 3, 40, 44), true),
    view(0, 61, 47, (60, 46, 1, 1), false),
    view(SECOND, 30, 90, (1, 2, 17, 80), false),
    view(SECOND, 30, 90, (0, 89, 30, 1), true),
    view(SECOND, 30, 90, (7, 50, 16, 16), false),
    view(SECOND, 30, 90, (7, 50, 16, 37), true),
];
/// Bytes of both.
pub const BYTES: usize = SECOND + 3 * 30 * 90;

pub fn edges<O: Ops>() -> Vec<Case<O>> {
    let mut all = Vec::new();
    for size in [1, 7, 16, 24, 64] {
        all.extend(case::<f32, O>(size).into_iter().chain(case::<bf16, O>(size)));
    }
    all.extend([copied(), windows(), reduced()].into_iter().flatten());
    all
}

/// A photograph of 500 x 375 to `size`, as training crops it.
pub fn photograph<T: Element, O: Ops>(size: usize) -> Option<Case<O>> {
    O::has::<T>().then(|| {
        Case::new(OP, format!("2x375x500 to {size}"), T::NAME, move |_: &O| {
            let second = 3 * 375 * 500;
            let views = [view(0, 500, 375, (83, 20, 310, 287), true), view(second, 500, 375, (0, 0, 500, 375), false)];
            vec![check::<T, O>("", bytes(5, 2 * second), to(size, &views), size)]
        })
    })
}

/// Every crop of [`VIEWS`] to `size`.
pub fn case<T: Element, O: Ops>(size: usize) -> Option<Case<O>> {
    let shape = format!("{} crops to {size}", VIEWS.len());
    O::has::<T>().then(|| {
        Case::new(OP, shape, T::NAME, move |_: &O| vec![check::<T, O>("", bytes(1, BYTES), to(size, &VIEWS), size)]) //
    })
}

/// The values 0..255 of the windows, by the dense reference.
pub fn reference(bytes: &[u8], views: &[PictureView], size: usize) -> Vec<u8> {
    let mut all = Vec::new();
    for view in views {
        let (w, c) = (view.width as usize, view.crop);
        let row = |y: u32| view.offset + (y as usize * w + c.x as usize) * 3;
        let cropped: Vec<u8> = (c.y..c.y + c.height).flat_map(|y| bytes[row(y)..row(y) + c.width as usize * 3].to_vec()).collect();
        let [width, height, to_width, to_height, left, top] =
            [c.width, c.height, c.to_width, c.to_height, c.left, c.top].map(|n| n as usize);
        let resized = oracle::resize(&cropped, width, height, (to_width, to_height));
        for line in resized.chunks(3 * to_width).skip(top).take(size) {
            let window = line[3 * left..3 * (left + size)].chunks(3);
            let pixels: Vec<&[u8]> = if c.flip { window.rev().collect() } else { window.collect() };
            all.extend(pixels.concat());
        }
    }
    all
}

/// What the network is given for values of pixels, in f32.
pub fn normalised(values: &[u8], mean: [f32; 3], std: [f32; 3]) -> Vec<f64> {
    values.iter().enumerate().map(|(i, &v)| f64::from((f32::from(v) / 255.0 - mean[i % 3]) / std[i % 3])).collect()
}

fn check<T: Element, O: Ops>(detail: &str, bytes: Vec<u8>, views: Vec<PictureView>, size: usize) -> Check<O> {
    let want = rounded::<T>(&normalised(&reference(&bytes, &views, size), MEAN, STD));
    let expected = Arc::new(vec![Expected::exact("out", want)]);
    Check::new(detail, &expected, move |device: &O| {
        let job = AugmentJob { bytes: &bytes, views: &views, size, mean: MEAN, std: STD };
        Ok(vec![Output::new("out", device.augment::<T>(&job)?)])
    })
}

/// A crop of the output's size is no resizing, said without the reference.
fn copied<O: Ops>() -> Option<Case<O>> {
    O::has::<f32>().then(|| {
        Case::new(OP, "a 16x16 crop to 16", "f32", |_: &O| {
            let bytes = Arc::new(bytes(3, 20 * 20 * 3));
            let one = |flip: bool| {
                let want = (0..16 * 16 * 3).map(|i| {
                    let (y, x, c) = (i / 48 + 4, i / 3 % 16, i % 3);
                    let x = 3 + if flip { 15 - x } else { x };
                    f64::from((f32::from(bytes[(y * 20 + x) * 3 + c]) / 255.0 - MEAN[c]) / STD[c])
                });
                let (expected, bytes) = (Arc::new(vec![Expected::exact("out", want.collect())]), bytes.clone());
                Check::new(if flip { "mirrored" } else { "" }, &expected, move |device: &O| {
                    let views = to(16, &[view(0, 20, 20, (3, 4, 16, 16), flip)]);
                    let job = AugmentJob { bytes: &bytes, views: &views, size: 16, mean: MEAN, std: STD };
                    Ok(vec![Output::new("out", device.augment::<f32>(&job)?)])
                })
            };
            vec![one(false), one(true)]
        })
    })
}

/// Windows of what a rectangle is resized to, as evaluation sees: not square, smaller and larger than the rectangle, at every border;
/// shapes on either side of where the order of the directions changes.
pub fn windows<O: Ops>() -> Option<Case<O>> {
    O::has::<f32>().then(|| {
        Case::new(OP, "windows of 20", "f32", |_: &O| {
            let window = |view: PictureView, (to_width, to_height): (u32, u32), (left, top): (u32, u32)| PictureView {
                crop: Crop { to_width, to_height, left, top, ..view.crop },
                ..view
            };
            let first = |rectangle, flip| view(0, 61, 47, rectangle, flip);
            let second = |rectangle, flip| view(SECOND, 30, 90, rectangle, flip);
            let views = vec![
                window(first((0, 0, 61, 47), false), (42, 32), (11, 6)),
                window(first((0, 0, 61, 47), true), (42, 32), (22, 12)),
                window(first((3, 2, 50, 40), true), (75, 60), (55, 0)),
                window(first((3, 2, 50, 40), false), (50, 40), (7, 20)),
                window(second((0, 0, 30, 90), false), (20, 60), (0, 40)),
                window(second((2, 1, 27, 80), true), (33, 79), (5, 31)),
                window(second((2, 1, 27, 80), false), (24, 74), (4, 54)), // 6 > 2 * 3 is not: rows first
                window(second((2, 1, 27, 80), false), (24, 73), (4, 53)), // 7 is: columns first
                window(second((2, 1, 27, 80), false), (29, 90), (9, 60)),
            ];
            vec![check::<f32, O>("", bytes(6, BYTES), views, 20)]
        })
    })
}

/// Strong reductions along either direction: coordinates need more than f32, and taps are more than a block keeps.
pub fn reduced<O: Ops>() -> Option<Case<O>> {
    O::has::<f32>().then(|| {
        Case::new(OP, "crops of 3000x7 and 7x400 to 9", "f32", |_: &O| {
            let wide = 3001 * 7 * 3;
            let views = [view(0, 3001, 7, (1, 0, 3000, 7), false), view(wide, 7, 401, (0, 1, 7, 400), true)];
            vec![check::<f32, O>("", bytes(4, wide + 7 * 401 * 3), to(9, &views), 9)]
        })
    })
}
