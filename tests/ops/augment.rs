//! Crop, resize, flip, normalise: the bits of torchvision's transforms of PIL images, and of a dense reference.

use crate::common::oracle;
use crate::common::tolerance::equal;
use crate::images::{hash, image};
use crate::{bits, down, on_threads, poison};
use half::bf16;
use imagenet_engine::backend::{Augment, Crop, Memory, PictureView, StoredBatch};
use imagenet_engine::cpu::{Cpu, Real};
use imagenet_engine::rng::{Purpose, Stream};
use imagenet_engine::selftest::augment::{BYTES, VIEWS, normalised, reference, to};
use serde_json::Value;

const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const STD: [f32; 3] = [0.229, 0.224, 0.225];

/// Whole output of one call.
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

/// Cases of golden/augment.json: the first nine numbers, and the hashes of the output in f32 and in bf16.
fn cases(kind: &str) -> Vec<([u32; 9], [String; 2])> {
    let all: Value = serde_json::from_str(include_str!("golden/augment.json")).unwrap();
    assert!(all["torchvision"].as_str().unwrap().starts_with("0.29.2") && all["pillow"] == "13.0.0");
    let one = |c: &Value| (std::array::from_fn(|i| c[i].as_u64().unwrap() as u32), [9, 10].map(|i| c[i].as_str().unwrap().to_owned()));
    all[kind].as_array().unwrap().iter().map(one).collect()
}

fn is_torchvisions(view: PictureView, number: u32, size: u32, hashes: &[String; 2], what: &str) {
    let bytes = image(number.into(), 3 * (view.width * view.height) as usize);
    let got = run::<f32>(&bytes, &[view], size as usize, MEAN, STD);
    let f32s: Vec<u8> = got.iter().flat_map(|&v| (v as f32).to_le_bytes()).collect();
    let bf16s: Vec<u8> = got.iter().flat_map(|&v| bf16::from_f32(v as f32).to_le_bytes()).collect();
    assert_eq!([hash(&f32s, 16), hash(&bf16s, 16)], *hashes, "{what}: {view:?}");
    // in f64 the same numbers
    equal(&run::<f64>(&bytes, &[view], size as usize, MEAN, STD), &got).unwrap();
    // and the reference of the self-test, which does not resize by the same code
    equal(&normalised(&reference(&bytes, &[view], size as usize), MEAN, STD), &got).unwrap();
}

#[test]
fn random_crops_are_exactly_torchvisions() {
    let cases = cases("random");
    assert_eq!(cases.len(), 80);
    for ([number, width, height, x, y, w, h, size, flip], hashes) in cases {
        let crop = Crop::resized((x, y, w, h), size, flip == 1);
        is_torchvisions(PictureView { offset: 0, width, height, crop }, number, size, &hashes, "resized_crop");
    }
}

#[test]
fn centres_are_exactly_torchvisions() {
    let cases = cases("centre");
    assert_eq!(cases.len(), 40);
    for ([number, width, height, resize, size, to_width, to_height, left, top], hashes) in cases {
        let crop = Crop { x: 0, y: 0, width, height, to_width, to_height, left, top, flip: false };
        let what = format!("Resize({resize}), CenterCrop({size})");
        is_torchvisions(PictureView { offset: 0, width, height, crop }, number, size, &hashes, &what);
    }
}

#[test]
fn dense_reference() {
    let bytes = picture(1, BYTES);
    for size in [1, 7, 16, 64] {
        let views = to(size, &VIEWS);
        let got = run::<f32>(&bytes, &views, size, MEAN, STD);
        equal(&got, &normalised(&reference(&bytes, &views, size), MEAN, STD)).unwrap_or_else(|e| panic!("to {size}: {e}"));
    }
}

/// What the comparisons must catch: bilinear without antialias, flipping before a shifted crop, a window one pixel off.
#[test]
fn a_wrong_filter_is_rejected() {
    let bytes = picture(4, 32 * 32 * 3);
    let view = PictureView { offset: 0, width: 32, height: 32, crop: Crop::resized((0, 0, 32, 32), 8, false) };
    let got = run::<f32>(&bytes, &[view], 8, [0.0; 3], [1.0; 3]);
    let aliased: Vec<u8> = (0..8 * 8 * 3)
        .map(|i| {
            let (y, x, c) = (i / 24 * 4 + 1, i / 3 % 8 * 4 + 1, i % 3);
            let at = |y: usize, x: usize| u32::from(bytes[(y * 32 + x) * 3 + c]);
            ((at(y, x) + at(y + 1, x) + at(y, x + 1) + at(y + 1, x + 1) + 2) / 4) as u8
        })
        .collect();
    assert!(equal(&got, &normalised(&aliased, [0.0; 3], [1.0; 3])).is_err());
    let flipped = PictureView { crop: Crop { flip: true, ..view.crop }, ..view };
    assert!(equal(&got, &run::<f32>(&bytes, &[flipped], 8, [0.0; 3], [1.0; 3])).is_err());
    let shifted = PictureView { crop: Crop { to_width: 9, to_height: 9, left: 1, ..view.crop }, ..view };
    assert!(equal(&got, &run::<f32>(&bytes, &[shifted], 8, [0.0; 3], [1.0; 3])).is_err());
    assert_eq!(oracle::resize(&bytes, 32, 32, (32, 32)), bytes);
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
