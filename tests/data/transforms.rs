//! Validation against torchvision, to the last bit: `Resize`, `CenterCrop`, `ToTensor` and `Normalize` of images drawn by a formula
//! (golden/make_transforms.py), as `predict` prepares a photo and as `pack` and `eval` prepare a packed one.

use super::common::{golden, options, run};
use clap::ValueEnum;
use imagenet_engine::backend::{Augment, Memory, PictureView, StoredBatch};
use imagenet_engine::cpu::Cpu;
use imagenet_engine::data::crop::centre_crop;
use imagenet_engine::data::decode::Rgb;
use imagenet_engine::data::loader::{Loader, LoaderOptions, Source};
use imagenet_engine::data::plan::PlanOptions;
use imagenet_engine::data::prepared::Prepared;
use imagenet_engine::data::resize::{Fit, MAX_ASPECT, Scaler};
use imagenet_engine::data::sheet::write_png;
use imagenet_engine::data::validation::{Filter, ResizeCrop, Stored};
use imagenet_engine::data::{Dataset, MEAN, STD, Split};
use imagenet_engine::resample::Resampler;
use sha2::{Digest, Sha256};
use std::path::Path;
use std::sync::Arc;

struct Case {
    width: u32,
    height: u32,
    transform: ResizeCrop,
    mean: [f32; 3],
    std: [f32; 3],
    kind: String,
    hash: String,
}

fn cases(kind: &str) -> Vec<Case> {
    let text = std::fs::read_to_string(golden("transforms.txt")).unwrap();
    let case = |line: &str| {
        let f: Vec<&str> = line.split(' ').collect();
        let n = |i: usize| f[i].parse().unwrap();
        let (mean, std) = if f[5] == "half" { ([0.5; 3], [0.5; 3]) } else { (MEAN, STD) };
        let transform = ResizeCrop { resize: n(2), crop: n(3), filter: Filter::from_str(f[4], false).unwrap() };
        Case { width: n(0), height: n(1), transform, mean, std, kind: f[6].into(), hash: f[7].into() }
    };
    text.lines().map(case).filter(|c| c.kind == kind).collect()
}

/// The image of make_transforms.py: noise, slopes and bars.
fn drawn(width: u32, height: u32) -> Rgb {
    let value = |x: u32, y: u32, c: u32| {
        let mut n = x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(2_246_822_519) ^ c.wrapping_mul(3_266_489_917);
        n ^= n >> 15;
        n = n.wrapping_mul(2_246_822_519);
        n ^= n >> 13;
        match (x / 16 + y / 16) % 3 {
            0 => n as u8,
            1 => (x * 255 / width + y * 3 * (c + 1)) as u8,
            _ => ((x / 7) ^ (y / 5)) as u8 % 2 * 255,
        }
    };
    let pixels = (0..height).flat_map(|y| (0..width).flat_map(move |x| (0..3).map(move |c| value(x, y, c)))).collect();
    Rgb { width, height, pixels, flags: 0 }
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(8).map(|b| format!("{b:02x}")).collect()
}

/// The network's inputs of a batch, as bytes, image by image.
fn inputs(stored: &StoredBatch, size: u32, mean: [f32; 3], std: [f32; 3]) -> Vec<Vec<u8>> {
    let (cpu, each) = (Cpu::<f32>::new(), 3 * size as usize * size as usize);
    let mut out = cpu.zeros(stored.views.len() * each).unwrap();
    cpu.augment(stored, size as usize, mean, std, Cpu::<f32>::all_mut(&mut out)).unwrap();
    let mut host = vec![0.0; stored.views.len() * each];
    cpu.read(Cpu::<f32>::all(&out), &mut host).unwrap();
    host.chunks(each).map(|image| image.iter().flat_map(|v| v.to_le_bytes()).collect()).collect()
}

#[test]
fn photos_become_what_torchvision_makes_of_them() {
    let (all, mut resampler) = (cases("photo"), Resampler::default());
    let mut wrong = Vec::new();
    for c in &all {
        let (size, mut pixels) = (c.transform.crop, Vec::new());
        assert!(c.transform.apply(&drawn(c.width, c.height).pixels, (c.width, c.height), &mut resampler, &mut pixels));
        let view = PictureView { offset: 0, width: size, height: size, crop: centre_crop(size, size, size) };
        let stored = StoredBatch { pixels: pixels.into(), views: vec![view], labels: vec![0] };
        if hash(&inputs(&stored, c.transform.crop, c.mean, c.std)[0]) != c.hash {
            wrong.push(format!("{}x{} {}", c.width, c.height, c.transform));
        }
    }
    assert!(all.len() > 350 && wrong.is_empty(), "{} of {} differ: {:#?}", wrong.len(), all.len(), &wrong[..wrong.len().min(20)]);
}

#[test]
fn packing_resizes_as_torchvision_does() {
    let (all, mut scaler, mut wrong, mut seen) = (cases("pack"), Scaler::default(), Vec::new(), 0);
    for c in all.iter().filter(|c| c.width.max(c.height) <= MAX_ASPECT * c.width.min(c.height)) {
        seen += 1;
        let packed = scaler.fit(drawn(c.width, c.height), c.transform.resize, Fit::Short).unwrap();
        if hash(&packed.pixels) != c.hash {
            wrong.push(format!("{}x{} {}", c.width, c.height, c.transform.resize));
        }
    }
    assert!(seen > 100 && wrong.is_empty(), "{} of {seen} differ: {:#?}", wrong.len(), &wrong[..wrong.len().min(20)]);
}

/// Hashes of what `eval` gives the network of the images of `dir`, in their order.
fn evaluated(dir: &Path, c: &Case, remarks: usize) -> Vec<String> {
    let dataset = Dataset::open(dir).unwrap();
    let said = Stored::of(&dataset).remarks(&c.transform).unwrap();
    assert_eq!(said.len(), remarks, "{said:?}");
    let source: Arc<dyn Source> = Arc::new(Prepared::new(Arc::new(dataset), c.transform).unwrap());
    let loader = Loader::new(source, &LoaderOptions::eval(3, c.transform.crop)).unwrap();
    let batch = |b: imagenet_engine::data::Batch| StoredBatch { pixels: b.pixels, views: b.views, labels: b.labels };
    loader.flat_map(|b| inputs(&batch(b.unwrap()), c.transform.crop, c.mean, c.std)).map(|bytes| hash(&bytes)).collect()
}

/// Packed at their own size (any transform), and at the size that validation resizes to (bilinear): the same values as from the photos.
#[test]
fn packed_images_are_evaluated_as_torchvision_evaluates_photos() {
    let sizes = [(500, 375), (375, 500), (256, 341), (100, 80), (640, 427)];
    let tmp = tempfile::tempdir().unwrap();
    let input = tmp.path().join("images");
    std::fs::create_dir_all(input.join("class")).unwrap();
    for (i, &(w, h)) in sizes.iter().enumerate() {
        write_png(&input.join(format!("class/{i}.png")), w, h, &drawn(w, h).pixels).unwrap();
    }
    let all = cases("photo");
    for (resize, crop) in [(256, 224), (232, 224), (235, 224), (320, 288)] {
        for filter in [Filter::Bilinear, Filter::Bicubic, Filter::Lanczos] {
            let transform = ResizeCrop { resize, crop, filter };
            let find = |&(w, h): &(u32, u32)| all.iter().find(|c| c.transform == transform && (c.width, c.height) == (w, h)).unwrap();
            let wanted: Vec<&Case> = sizes.iter().map(find).collect();
            for size in [0, resize] {
                if size > 0 && filter != Filter::Bilinear {
                    continue;
                }
                let out = tmp.path().join(format!("{resize}-{crop}-{}-{size}", filter.name()));
                let base = options(&input, &out);
                run(&imagenet_engine::data::pack::PackOptions { plan: PlanOptions { size, ..PlanOptions::new(Split::Val) }, ..base })
                    .unwrap();
                for norm in [true, false] {
                    // one normalisation at a time: each case was made with one of the two
                    let of_norm = |c: &&&Case| (c.mean == MEAN) == norm;
                    let Some(first) = wanted.iter().find(of_norm) else { continue };
                    let enlarged = usize::from(size == 0 && crop > 80);
                    let got = evaluated(&out, first, enlarged);
                    for (c, got) in wanted.iter().zip(got).filter(|(c, _)| (c.mean == MEAN) == norm) {
                        assert_eq!(got, c.hash, "{}x{} {transform}, packed at {size}", c.width, c.height);
                    }
                }
            }
        }
    }
}
