//! Large images: what a batch holds of them is bounded, and the network sees the same bits as if they had been kept whole.

use super::common::*;
use imagenet_engine::backend::{Augment, Memory, StoredBatch};
use imagenet_engine::cpu::Cpu;
use imagenet_engine::data::compressed::JpegOptions;
use imagenet_engine::data::crop::MOST_SIDE;
use imagenet_engine::data::manifest::Split;
use imagenet_engine::data::plan::PlanOptions;
use imagenet_engine::data::prepared::Prepared;
use imagenet_engine::data::sheet::write_png;
use imagenet_engine::data::validation::{Filter, ResizeCrop};
use imagenet_engine::data::{Dataset, Loader, LoaderOptions, MEAN, STD, Source};
use std::path::Path;
use std::sync::Arc;

fn packed(tmp: &Path, jpeg: bool) -> Arc<dyn Source> {
    let (input, out) = (tmp.join("in"), tmp.join(if jpeg { "jpeg" } else { "raw" }));
    tree(&input, 3, 6, 150, 5);
    let jpeg = jpeg.then_some(JpegOptions { quality: Some(90), max_side: 0 });
    let mut options = options(&input, &out);
    options.plan = PlanOptions { size: 0, jpeg, ..options.plan };
    run(&options).unwrap();
    Arc::new(Dataset::open(&out).unwrap())
}

/// What the network sees of all batches, and the bytes of the largest of them.
fn seen(source: &Arc<dyn Source>, options: &LoaderOptions) -> (Vec<f32>, usize) {
    let (cpu, side) = (Cpu::<f32>::new(), options.crop_size as usize);
    let (mut all, mut most) = (Vec::new(), 0);
    for batch in Loader::new(source.clone(), options).unwrap() {
        let batch = batch.unwrap();
        most = most.max(batch.pixels.len());
        let mut out = cpu.empty(batch.len() * side * side * 3).unwrap();
        let stored = StoredBatch { pixels: batch.pixels, views: batch.views, labels: batch.labels };
        cpu.augment(&stored, side, MEAN, STD, Cpu::<f32>::all_mut(&mut out)).unwrap();
        let mut host = vec![0.0; Cpu::<f32>::len(&out)];
        cpu.read(Cpu::<f32>::all(&out), &mut host).unwrap();
        all.extend(host);
    }
    (all, most)
}

/// Random crops with their flips, and centres; pixels and JPEG; smaller and larger than the input.
#[test]
fn what_is_made_smaller_while_loading_is_the_same_to_the_last_bit() {
    let tmp = tempfile::tempdir().unwrap();
    for jpeg in [false, true] {
        let source = packed(tmp.path(), jpeg);
        for side in [16, 60] {
            let train = LoaderOptions::train(6, side, (0.08, 1.0), 3, 3);
            for options in [train, LoaderOptions::eval(5, side)] {
                let whole = seen(&source, &LoaderOptions { keep: usize::MAX / 8, ..options.clone() });
                let reduced = seen(&source, &LoaderOptions { keep: 0, ..options.clone() });
                assert!(whole.0 == reduced.0, "jpeg {jpeg}, {side} pixels, {:?}", options.policy);
                let bound = options.batch_size * 3 * 4 * (side * side) as usize;
                assert!(reduced.1 <= bound && (side > 16 || whole.1 > bound || jpeg), "{} bytes, {} at most", reduced.1, bound);
                assert_eq!(seen(&source, &options), whole, "images of this size are kept as they are");
            }
        }
        let transform = ResizeCrop { resize: 20, crop: 16, filter: Filter::Bilinear };
        let prepared: Arc<dyn Source> = Arc::new(Prepared::new(source, transform).unwrap());
        let options = LoaderOptions::eval(5, 16);
        let whole = seen(&prepared, &LoaderOptions { keep: usize::MAX / 8, ..options.clone() });
        assert!(whole == seen(&prepared, &LoaderOptions { keep: 0, ..options }));
    }
}

/// Photographs of 24 megapixels as JPEG, eight a batch: `bench loader` stays below what five whole images take, with two
/// threads that make batches. `IE_LONG_TESTS`: of 63 megapixels.
#[test]
fn large_photographs_stay_within_the_bound() {
    let long = std::env::var_os("IE_LONG_TESTS").is_some();
    let (width, height) = if long { (9200, 6900) } else { (6000, 4000) };
    let tmp = tempfile::tempdir().unwrap();
    let (input, out) = (tmp.path().join("in"), tmp.path().join("out"));
    std::fs::create_dir_all(input.join("a")).unwrap();
    let line: Vec<u8> = (0..width * 3).map(|k| (k / 37 % 251) as u8).collect();
    let rgb: Vec<u8> = (0..height).flat_map(|y| line.iter().map(move |&v| v.wrapping_add((y / 16) as u8))).collect();
    write_png(&input.join("a/0.png"), width, height, &rgb).unwrap();
    drop(rgb);
    for i in 1..16 {
        std::fs::hard_link(input.join("a/0.png"), input.join(format!("a/{i}.png"))).unwrap();
    }
    let mut options = options(&input, &out);
    let jpeg = Some(JpegOptions { quality: Some(80), max_side: 0 });
    options.plan = PlanOptions { size: 0, jpeg, ..PlanOptions::new(Split::Train) };
    run(&options).unwrap();
    // Every crop of such an image is larger than what a batch keeps.
    let source: Arc<dyn Source> = Arc::new(Dataset::open(&out).unwrap());
    let first = Loader::new(source, &LoaderOptions::train(8, 224, (0.08, 1.0), 1, 1)).unwrap().next().unwrap().unwrap();
    assert_eq!(first.pixels.len(), 8 * 3 * 224 * 224);
    let json = tmp.path().join("r.json");
    let out = out.to_str().unwrap();
    let args = ["bench", "loader", "--data", out, "-b", "8", "-j", "2", "--threads", "2", "--repeats", "1", "--json"];
    let done = program(&[&args[..], &[json.to_str().unwrap()]].concat()).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    let held = report["anonymous_bytes"].as_u64().unwrap();
    let (whole, budget) = (3 * u64::from(width * height), 2 * 12 * u64::from(width * height));
    println!("{held} bytes held; eight images are {}", 8 * whole);
    // Two threads at an image each, or the budget; and 64 MiB for everything else.
    let bound = budget.min((1 << 30).max(budget / 2)) + (64 << 20);
    assert!(held < bound, "{held} bytes, {bound} at most");
    assert!(held < 5 * whole, "{held} bytes, of {whole} an image");
}

/// One bound for all sizes, said in the same words wherever a size is given.
#[test]
fn one_bound_of_sizes() {
    assert_eq!(MOST_SIDE, 8191);
    let tmp = tempfile::tempdir().unwrap();
    let path = |name: &str| tmp.path().join(name).to_str().unwrap().to_owned();
    let (config, input) = (path("c.toml"), path("in"));
    tree(Path::new(&input), 1, 1, 8, 1);
    let said = |args: &[&str]| {
        let done = program(args).output().unwrap();
        (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned())
    };
    let too_large = "8192";
    let out = path("out");
    let dry = ["train", "--data", "synthetic", "--device", "cpu", "--dry-run"];
    let train = |flag| [&dry[..], &[flag, too_large]].concat();
    let fixed: [&[&str]; 8] = [
        &["pack", "--input", &input, "--output", &out, "--resize", too_large],
        &["pack", "--input", &input, "--output", &out, "--resize", too_large, "--fit", "square"],
        &["pack", "--input", &input, "--output", &out, "--resize", too_large, "--estimate"],
        &["eval", "--data", "x", "--weights", "y", "--val-crop-size", too_large],
        &["predict", "--weights", "y", "--val-resize-size", too_large, "x"],
        &["bench", "step", "--train-crop-size", too_large],
        &["bench", "loader", "--train-crop-size", too_large],
        &["bench", "pack", "--input", &input, "--resize", too_large],
    ];
    let flags = ["--train-crop-size", "--val-crop-size", "--val-resize-size"].map(train);
    for args in fixed.into_iter().chain(flags.iter().map(Vec::as_slice)) {
        let (code, text) = said(args);
        assert!(code == Some(2) && text.contains("expected a whole number from") && text.contains("8,191"), "{args:?}: {code:?} {text}");
    }
    for key in ["train-crop-size", "val-crop-size", "val-resize-size"] {
        std::fs::write(&config, format!("{key} = {too_large}\n")).unwrap();
        let (code, text) = said(&[&dry[..], &["--config", &config]].concat());
        assert!(code == Some(2) && text.contains("expected a whole number from") && text.contains("8,191"), "{key}: {code:?} {text}");
    }
    // What is accepted is accepted by all: the estimate of a pack, and the sizes that follow from such a pack.
    let (code, text) = said(&["pack", "--input", &input, "--output", &out, "--resize", "8191", "--estimate"]);
    assert_eq!(code, Some(0), "{text}");
    for side in ["4097", "8191"] {
        let (code, text) = said(&[&dry[..], &["--model", "resnet18", "-b", "1", "--epochs", "1", "--val-crop-size", side]].concat());
        assert_eq!(code, Some(0), "{side}: {text}");
    }
}
