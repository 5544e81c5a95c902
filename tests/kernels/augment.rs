//! Crop, resize, mirror, normalise: against a dense f64 filter, and the CPU backend.

use crate::common::oracle;
use crate::common::tolerance::{close, equal};
use crate::device::{down, emulator, output, same_under_all_schedules, unit};
use half::bf16;
use imagenet_engine::backend::{Crop, PictureView};
use imagenet_engine::cuda::emulated::Emulator;
use imagenet_engine::cuda::memory::Array;
use imagenet_engine::cuda::{Element, augment};
use imagenet_engine::error::Result;
use imagenet_engine::rng::{Purpose, Stream};

pub fn run<T: Element>(
    device: &Emulator,
    bytes: &[u8],
    views: &[PictureView],
    size: usize,
    mean: [f32; 3],
    std: [f32; 3],
) -> Result<Vec<f64>> {
    let pixels = Array::from_host(device, bytes)?;
    let pictures = Array::from_host(device, &augment::pictures(views, bytes.len())?)?;
    let mut out = output::<T>(device, views.len() * size * size * 3);
    augment::augment(device, views.len(), size, pixels.ptr(), pictures.ptr(), mean, std, out.ptr_mut())?;
    Ok(down(&out))
}

pub fn picture(seed: u64, len: usize) -> Vec<u8> {
    let mut stream = Stream::new(seed, Purpose::Test, 2, 0);
    (0..len).map(|_| stream.below(256) as u8).collect()
}

fn view(offset: usize, width: u32, height: u32, (x, y, w, h): (u32, u32, u32, u32), flip: bool) -> PictureView {
    PictureView { offset, width, height, crop: Crop { x, y, width: w, height: h, flip } }
}

/// Two pictures in one buffer, and crops that enlarge, reduce, copy, mirror, and touch every border.
pub fn views() -> (Vec<u8>, Vec<PictureView>) {
    let second = 3 * 61 * 47;
    let views = vec![
        view(0, 61, 47, (0, 0, 61, 47), false),
        view(0, 61, 47, (5, 3, 40, 44), true),
        view(0, 61, 47, (60, 46, 1, 1), false),
        view(second, 30, 90, (1, 2, 17, 80), false),
        view(second, 30, 90, (0, 89, 30, 1), true),
        view(second, 30, 90, (7, 50, 16, 16), false),
        view(second, 30, 90, (7, 50, 16, 37), true),
    ];
    (picture(1, second + 3 * 30 * 90), views)
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

/// Bound on value / 255 in f32: as the CPU backend's. The design's table allows 0.5 / 255, fifty times the rounding to bf16.
pub const BOUND: f64 = 40.0 / 16_777_216.0;

#[test]
fn dense_filter_in_f64() {
    let (bytes, views) = views();
    for size in [1, 7, 16, 64] {
        let want = reference(&bytes, &views, size);
        let got = run::<f32>(&emulator(), &bytes, &views, size, [0.0; 3], [1.0; 3]).unwrap();
        close(&got, &want, |_| BOUND).unwrap_or_else(|e| panic!("to {size}: {e}"));
        let got = run::<bf16>(&emulator(), &bytes, &views, size, [0.0; 3], [1.0; 3]).unwrap();
        close(&got, &want, |i| unit::<bf16>() * want[i] + BOUND).unwrap_or_else(|e| panic!("bf16, to {size}: {e}"));
    }
}

#[test]
fn a_crop_of_the_size_is_copied_exactly() {
    let bytes = picture(3, 20 * 20 * 3);
    let (mean, std) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
    for flip in [false, true] {
        let got = run::<f32>(&emulator(), &bytes, &[view(0, 20, 20, (3, 4, 16, 16), flip)], 16, mean, std).unwrap();
        let want: Vec<f64> = (0..16 * 16 * 3)
            .map(|i| {
                let (y, x, c) = (i / 48 + 4, i / 3 % 16, i % 3);
                let x = 3 + if flip { 15 - x } else { x };
                f64::from((f32::from(bytes[(y * 20 + x) * 3 + c]) / 255.0 - mean[c]) / std[c])
            })
            .collect();
        equal(&got, &want).unwrap();
    }
}

/// A strong reduction of a large picture, where coordinates need more than f32.
#[test]
fn large_pictures() {
    let bytes = picture(4, 3001 * 7 * 3);
    let views = [view(0, 3001, 7, (1, 0, 3000, 7), false)];
    let got = run::<f32>(&emulator(), &bytes, &views, 9, [0.0; 3], [1.0; 3]).unwrap();
    // seven hundred taps a sum: more roundings than BOUND is made for
    close(&got, &reference(&bytes, &views, 9), |_| 20.0 * BOUND).unwrap();
}

#[test]
fn same_bits_under_all_schedules() {
    let (bytes, views) = views();
    same_under_all_schedules("augment", |device| run::<bf16>(device, &bytes, &views, 24, [0.5; 3], [0.25; 3]).unwrap());
}

#[test]
fn crops_outside_are_errors() {
    let good = view(0, 10, 10, (2, 2, 8, 8), false);
    assert!(augment::pictures(&[good], 300).is_ok());
    for bad in [
        PictureView { offset: 1, ..good },
        PictureView { offset: usize::MAX, ..good },
        view(0, 10, 10, (3, 2, 8, 8), false),
        view(0, 10, 10, (2, 2, 0, 8), false),
        view(0, 10, 10, (2, u32::MAX, 8, 8), false),
    ] {
        assert!(augment::pictures(&[bad], 300).unwrap_err().to_string().contains("augment"), "{bad:?}");
    }
}
