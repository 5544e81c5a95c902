//! Crop, resize, mirror, normalise: against a dense f64 filter.

use super::case::{Case, Check, Expected, Output};
use super::numbers::bytes;
use super::ops::{AugmentJob, Ops};
use super::oracle;
use super::tolerance::unit;
use crate::backend::{Crop, PictureView};
use crate::cuda::Element;
use half::bf16;
use std::sync::Arc;

/// Bound on value / 255 in f32. The design's table allows 0.5 / 255, fifty times the rounding to bf16.
pub const BOUND: f64 = 40.0 / 16_777_216.0;
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
    all.extend([copied(), reduced()].into_iter().flatten());
    all
}

/// A photograph of 500 x 375 to `size`, as training crops it.
pub fn photograph<T: Element, O: Ops>(size: usize) -> Option<Case<O>> {
    O::has::<T>().then(|| {
        Case::new(OP, format!("2x375x500 to {size}"), T::NAME, move |_: &O| {
            let second = 3 * 375 * 500;
            let views = vec![view(0, 500, 375, (83, 20, 310, 287), true), view(second, 500, 375, (0, 0, 500, 375), false)];
            vec![check::<T, O>("", bytes(5, 2 * second), views, size, BOUND)]
        })
    })
}

/// Every crop of [`VIEWS`] to `size`.
pub fn case<T: Element, O: Ops>(size: usize) -> Option<Case<O>> {
    let shape = format!("{} crops to {size}", VIEWS.len());
    O::has::<T>().then(|| {
        Case::new(OP, shape, T::NAME, move |_: &O| vec![check::<T, O>("", bytes(1, BYTES), VIEWS.to_vec(), size, BOUND)]) //
    })
}

/// value / 255 by the dense filter.
pub fn reference(bytes: &[u8], views: &[PictureView], size: usize) -> Vec<f64> {
    let mut all = Vec::new();
    for view in views {
        let (w, c) = (view.width as usize, view.crop);
        let row = |y: u32| view.offset + (y as usize * w + c.x as usize) * 3;
        let cropped: Vec<u8> = (c.y..c.y + c.height).flat_map(|y| bytes[row(y)..row(y) + c.width as usize * 3].to_vec()).collect();
        let out = oracle::resize(&cropped, c.width as usize, c.height as usize, size);
        for line in out.chunks(size * 3) {
            let pixels: Vec<&[f64]> = if c.flip { line.chunks(3).rev().collect() } else { line.chunks(3).collect() };
            all.extend(pixels.concat().iter().map(|v| v / 255.0));
        }
    }
    all
}

fn check<T: Element, O: Ops>(detail: &str, bytes: Vec<u8>, views: Vec<PictureView>, size: usize, bound: f64) -> Check<O> {
    let want = reference(&bytes, &views, size);
    let narrow = if T::IS_BF16 { unit::<bf16>() } else { 0.0 };
    let expected = Arc::new(vec![Expected::within("out", want.clone(), |i| narrow * want[i].abs() + bound)]);
    Check::new(detail, &expected, move |device: &O| {
        let views = to(size, &views);
        let job = AugmentJob { bytes: &bytes, views: &views, size, mean: [0.0; 3], std: [1.0; 3] };
        Ok(vec![Output::new("out", device.augment::<T>(&job)?)])
    })
}

/// A crop of the output's size is no resizing: the formula in f32, bit for bit.
fn copied<O: Ops>() -> Option<Case<O>> {
    O::has::<f32>().then(|| {
        Case::new(OP, "a 16x16 crop to 16", "f32", |_: &O| {
            let bytes = Arc::new(bytes(3, 20 * 20 * 3));
            let (mean, std) = ([0.485, 0.456, 0.406], [0.229f32, 0.224, 0.225]);
            let one = |flip: bool| {
                let want = (0..16 * 16 * 3).map(|i| {
                    let (y, x, c) = (i / 48 + 4, i / 3 % 16, i % 3);
                    let x = 3 + if flip { 15 - x } else { x };
                    f64::from((f32::from(bytes[(y * 20 + x) * 3 + c]) / 255.0 - mean[c]) / std[c])
                });
                let (expected, bytes) = (Arc::new(vec![Expected::exact("out", want.collect())]), bytes.clone());
                Check::new(if flip { "mirrored" } else { "" }, &expected, move |device: &O| {
                    let views = to(16, &[view(0, 20, 20, (3, 4, 16, 16), flip)]);
                    Ok(vec![Output::new("out", device.augment::<f32>(&AugmentJob { bytes: &bytes, views: &views, size: 16, mean, std })?)])
                })
            };
            vec![one(false), one(true)]
        })
    })
}

/// A strong reduction, where coordinates need more than f32. Seven hundred taps a sum: twenty times the roundings of the others.
fn reduced<O: Ops>() -> Option<Case<O>> {
    O::has::<f32>().then(|| {
        Case::new(OP, "a 3000x7 crop to 9", "f32", |_: &O| {
            vec![check::<f32, O>("", bytes(4, 3001 * 7 * 3), vec![view(0, 3001, 7, (1, 0, 3000, 7), false)], 9, 20.0 * BOUND)]
        })
    })
}
