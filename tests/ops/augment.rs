//! Crop, resize, flip, normalise: against a dense f64 filter and PyTorch's antialiased interpolation.

use crate::common::oracle;
use crate::common::tolerance::{close, equal};
use crate::golden::{golden, numbers};
use crate::{bits, down, on_threads, poison};
use imagenet_engine::backend::{Augment, Crop, Memory, PictureView, StoredBatch};
use imagenet_engine::cpu::{Cpu, Real};
use imagenet_engine::rng::{Purpose, Stream};

/// Whole output of one call; identity normalisation leaves value/255.
fn run<T: Real>(bytes: &[u8], views: &[PictureView], size: usize, mean: [f32; 3], std: [f32; 3]) -> Vec<f64> {
    let cpu = Cpu::<T>::new();
    let mut out = poison(&cpu, views.len() * size * size * 3);
    let batch = StoredBatch { pixels: bytes.to_vec().into(), views: views.to_vec(), labels: Vec::new() };
    cpu.augment(&batch, size, mean, std, Cpu::<T>::all_mut(&mut out)).unwrap();
    down(&cpu, &out)
}

fn picture(seed: u64, len: usize) -> Vec<u8> {
    let mut stream = Stream::new(seed, Purpose::Test, 2, 0);
    (0..len).map(|_| stream.below(256) as u8).collect()
}

fn cropped(bytes: &[u8], view: &PictureView) -> Vec<u8> {
    let (w, c) = (view.width as usize, view.crop);
    let row = |y: u32| view.offset + (y as usize * w + c.x as usize) * 3;
    (c.y..c.y + c.height).flat_map(|y| bytes[row(y)..row(y) + c.width as usize * 3].to_vec()).collect()
}

/// Bound on `value/255`: a few roundings of f32 for each of the two filters' sums, all terms being positive.
const BOUND: f64 = 40.0 / 16_777_216.0;

#[test]
fn dense_filter_in_f64() {
    let bytes = picture(1, 3 * 61 * 47 + 3 * 30 * 90);
    let view = |offset, width, height, rectangle, flip| PictureView { offset, width, height, crop: Crop::resized(rectangle, 1, flip) };
    let second = 3 * 61 * 47;
    let views = [
        view(0, 61, 47, (0, 0, 61, 47), false),
        view(0, 61, 47, (5, 3, 40, 44), true),
        view(0, 61, 47, (60, 46, 1, 1), false),
        view(second, 30, 90, (1, 2, 17, 80), false),
        view(second, 30, 90, (0, 89, 30, 1), true),
        view(second, 30, 90, (7, 50, 16, 16), false),
        view(second, 30, 90, (7, 50, 16, 37), true),
    ];
    for size in [1, 7, 16, 64] {
        let sized = |v: &PictureView| Crop { to_width: size as u32, to_height: size as u32, ..v.crop };
        let views: Vec<_> = views.iter().map(|v| PictureView { crop: sized(v), ..*v }).collect();
        let got = run::<f32>(&bytes, &views, size, [0.0; 3], [1.0; 3]);
        for (view, got) in views.iter().zip(got.chunks(size * size * 3)) {
            let crop = view.crop;
            let mut want = oracle::resize(&cropped(&bytes, view), crop.width as usize, crop.height as usize, size);
            if crop.flip {
                want = want.chunks(size * 3).flat_map(|row| row.chunks(3).rev().flatten().copied().collect::<Vec<_>>()).collect();
            }
            want.iter_mut().for_each(|v| *v /= 255.0);
            close(got, &want, |_| BOUND).unwrap_or_else(|e| panic!("{view:?} to {size}: {e}"));
        }
    }
}

#[test]
fn agrees_with_torch() {
    for case in golden("resize").as_array().unwrap() {
        let number = |name: &str| case[name].as_u64().unwrap() as u32;
        let (width, height, size) = (number("width"), number("height"), number("size") as usize);
        let bytes: Vec<u8> = numbers(&case["picture"]).iter().map(|&v| v as u8).collect();
        let crop = Crop::resized((0, 0, width, height), size as u32, false);
        let got = run::<f64>(&bytes, &[PictureView { offset: 0, width, height, crop }], size, [0.0; 3], [1.0; 3]);
        let want: Vec<f64> = numbers(&case["out"]).iter().map(|v| v / 255.0).collect();
        close(&got, &want, |_| BOUND).unwrap_or_else(|e| panic!("{height}x{width} to {size}: {e}"));
    }
}

#[test]
fn a_crop_of_the_size_is_copied_exactly() {
    let bytes = picture(3, 20 * 20 * 3);
    let (mean, std) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
    for flip in [false, true] {
        let view = PictureView { offset: 0, width: 20, height: 20, crop: Crop::resized((3, 4, 16, 16), 16, flip) };
        let got = run::<f32>(&bytes, &[view], 16, mean, std);
        let crop = cropped(&bytes, &view);
        let want: Vec<f64> = (0..16 * 16 * 3)
            .map(|i| {
                let (y, x, c) = (i / 48, i / 3 % 16, i % 3);
                let x = if flip { 15 - x } else { x };
                f64::from((f32::from(crop[(y * 16 + x) * 3 + c]) / 255.0 - mean[c]) / std[c])
            })
            .collect();
        equal(&got, &want).unwrap();
    }
}

/// What the guard must catch: bilinear without antialias, and flipping before a shifted crop.
#[test]
fn a_wrong_filter_is_rejected() {
    let bytes = picture(4, 32 * 32 * 3);
    let view = PictureView { offset: 0, width: 32, height: 32, crop: Crop::resized((0, 0, 32, 32), 8, false) };
    let got = run::<f32>(&bytes, &[view], 8, [0.0; 3], [1.0; 3]);
    let aliased: Vec<f64> = (0..8 * 8 * 3)
        .map(|i| {
            let (y, x, c) = (i / 24 * 4 + 1, i / 3 % 8 * 4 + 1, i % 3);
            let at = |y: usize, x: usize| f64::from(bytes[(y * 32 + x) * 3 + c]);
            (at(y, x) + at(y + 1, x) + at(y, x + 1) + at(y + 1, x + 1)) / 4.0 / 255.0
        })
        .collect();
    assert!(close(&got, &aliased, |_| BOUND).is_err());
    let flipped = PictureView { crop: Crop { flip: true, ..view.crop }, ..view };
    assert!(close(&got, &run::<f32>(&bytes, &[flipped], 8, [0.0; 3], [1.0; 3]), |_| BOUND).is_err());
}

#[test]
fn same_bits_for_any_number_of_threads() {
    let bytes = picture(5, 50 * 40 * 3);
    let view = |x| PictureView { offset: 0, width: 50, height: 40, crop: Crop::resized((x, 1, 33, 29), 24, x % 2 == 0) };
    let views: Vec<_> = (0..9).map(view).collect();
    let results = on_threads(|| bits(&run::<f32>(&bytes, &views, 24, [0.5; 3], [0.25; 3])));
    assert!(results[0] == results[1] && results[0] == results[2]);
}

#[test]
fn crops_outside_are_errors() {
    let cpu = Cpu::<f32>::new();
    let batch = |view: PictureView| StoredBatch { pixels: vec![0; 300].into(), views: vec![view], labels: Vec::new() };
    let good = PictureView { offset: 0, width: 10, height: 10, crop: Crop::resized((2, 2, 8, 8), 4, false) };
    let mut out = vec![0.0; 48];
    let mut call = |view: PictureView| cpu.augment(&batch(view), 4, [0.0; 3], [1.0; 3], &mut out);
    call(good).unwrap();
    for bad in [
        PictureView { offset: 1, ..good },
        PictureView { offset: usize::MAX, ..good },
        PictureView { crop: Crop { x: 3, ..good.crop }, ..good },
        PictureView { crop: Crop { width: 0, ..good.crop }, ..good },
        PictureView { crop: Crop { y: u32::MAX, ..good.crop }, ..good },
        PictureView { crop: Crop { left: 1, ..good.crop }, ..good },
        PictureView { crop: Crop { top: u32::MAX, ..good.crop }, ..good },
        PictureView { crop: Crop { to_height: 3, ..good.crop }, ..good },
    ] {
        assert!(call(bad).unwrap_err().to_string().contains("augment"), "{bad:?}");
    }
    assert!(cpu.augment(&batch(good), 4, [0.0; 3], [1.0; 3], &mut [0.0; 47]).is_err());
}
