//! `--data` and `--val` that do not go together, and what the plan says about their images: all told before anything runs.

use crate::engine::{demo_pictures, engine};
use std::path::Path;
use std::process::Output;

/// `count` PNG images from number `first` on, of two classes, each with content of its own.
fn images(root: &Path, numbers: std::ops::Range<u8>, side: u32) {
    for n in numbers {
        let dir = root.join(["even", "odd"][usize::from(n % 2)]);
        std::fs::create_dir_all(&dir).unwrap();
        let pixels: Vec<u8> = (0..side * side * 3).map(|i| (i % 251) as u8 ^ n.wrapping_mul(7)).collect();
        imagenet_engine::data::sheet::write_png(&dir.join(format!("{n}.png")), side, side, &pixels).unwrap();
    }
}

fn pack(input: &Path, output: &Path, more: &str) {
    let mut command = engine();
    command.args(["pack", "--progress", "none", "--input"]).arg(input).arg("--output").arg(output).args(more.split(' '));
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A dry run; its exit code, and all that it says.
fn plan(data: &Path, val: &Path, more: &[&str]) -> (Option<i32>, String) {
    let mut command = engine();
    command.args(["train", "--dry-run", "--model", "resnet18", "--batch-size", "2", "--train-crop-size", "32", "--val-crop-size", "32"]);
    let Output { status, stdout, stderr } = command.arg("--data").arg(data).arg("--val").arg(val).args(more).output().unwrap();
    (status.code(), format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr)))
}

fn says((code, text): &(Option<i32>, String), expected: i32, words: &[&str]) {
    assert_eq!(*code, Some(expected), "{text}");
    let text = text.split_whitespace().collect::<Vec<_>>().join(" "); // broken into lines
    for word in words {
        assert!(text.contains(word), "should say '{word}': {text}");
    }
}

#[test]
fn the_same_dataset_twice_is_refused_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let data = demo_pictures(folder.path());
    let train = data.join("train");
    says(&plan(&train, &train, &[]), 2, &["the same dataset", "--allow-same", train.to_str().unwrap()]);
    says(&plan(&train, &train, &["--allow-same"]), 0, &["warning", "hold the same images"]);
    // A copy of the folder is the same dataset, and a run makes no folder before it is refused.
    let copy = folder.path().join("copy");
    std::fs::create_dir(&copy).unwrap();
    for entry in std::fs::read_dir(&train).unwrap().flatten() {
        std::fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
    }
    let run = folder.path().join("run");
    // A run that goes on is checked alike, and its own settings may allow it.
    let settings = |text: &str| {
        let old = folder.path().join("old");
        std::fs::create_dir_all(&old).unwrap();
        std::fs::write(old.join("config.toml"), text).unwrap();
        plan(&train, &copy, &["--resume", "auto", "--output", old.to_str().unwrap()])
    };
    says(&settings("epochs = 3\n"), 2, &["the same dataset", "--allow-same"]);
    says(&settings("allow-same = true\n"), 0, &["warning", "allow-same = true"]);
    let mut command = engine();
    command.args(["train", "--progress", "none", "--data"]).arg(&train).arg("--val").arg(&copy).arg("--output").arg(&run);
    let output = command.output().unwrap();
    assert!(output.status.code() == Some(2) && !run.exists(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_same_images_packed_otherwise_are_refused_and_shared_ones_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    images(&path("a"), 0..8, 40);
    images(&path("b"), 5..11, 40);
    images(&path("c"), 20..26, 40);
    for (input, output, options) in [
        ("a", "train", "--resize 40"),
        ("a", "again", "--resize 32 --split val"),
        ("b", "some", "--resize 32 --split val"),
        ("c", "none", "--resize 32 --split val"),
    ] {
        pack(&path(input), &path(output), options);
    }
    let with = |val: &str, more: &[&str]| plan(&path("train"), &path(val), more);
    says(&with("again", &[]), 2, &["hold the same 8 images, packed with different options", "--allow-same"]);
    says(&with("again", &["--allow-same"]), 0, &["warning"]);
    says(&with("some", &[]), 0, &["3 of 6 validation images are also in --data"]);
    let none = with("none", &[]);
    says(&none, 0, &["Resize(32, bilinear), CenterCrop(32)"]);
    assert!(!none.1.contains("warning"), "{}", none.1);
}

#[test]
fn splits_the_wrong_way_round_are_refused_with_the_command_that_is_right() {
    let folder = tempfile::tempdir().unwrap();
    let data = demo_pictures(folder.path());
    let (train, val) = (data.join("train"), data.join("val"));
    let right = format!("--data {} --val {}", train.display(), val.display());
    says(&plan(&val, &train, &[]), 2, &["as the split val", "as the split train", &right, "--allow-swapped"]);
    says(&plan(&val, &train, &["--allow-swapped"]), 0, &["warning"]);
    // One of the two: said, not refused.
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    images(&path("a"), 0..8, 32);
    images(&path("b"), 8..14, 32);
    for (input, output, options) in [("a", "train", "--resize 32"), ("b", "forgot", "--resize 32"), ("b", "val", "--resize 32 --split val")]
    {
        pack(&path(input), &path(output), options);
    }
    says(&plan(&path("train"), &path("forgot"), &[]), 0, &["was packed as the split train (pack --split val)"]);
    pack(&path("a"), &path("val2"), "--resize 32 --split val");
    says(&plan(&path("val2"), &path("val"), &[]), 0, &["val2 was packed as the split val"]);
}

#[test]
fn what_packed_images_cannot_give_is_said_once_with_both_sizes() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    images(&path("a"), 0..8, 60);
    images(&path("b"), 8..14, 60);
    for (input, output, options) in [
        ("a", "train", "--resize 24"),
        ("b", "val", "--resize 48 --split val"),
        ("b", "whole", "--resize 0 --split val"),
        ("b", "square", "--resize 48 --fit square --split val"),
        ("b", "jpeg", "--encoding jpeg --quality 80 --split val"),
        ("b", "png", "--encoding jpeg --split val"),
    ] {
        pack(&path(input), &path(output), options);
    }
    let with = |val: &str, more: &[&str]| plan(&path("train"), &path(val), more);
    let one = with("val", &[]);
    // 48 is more than 8/7 of 32, so the crop of 32 is of images resized to 36.
    says(&one, 0, &["--train-crop-size 32 is larger than all 8 packed images (short side 24)", "Resize(36, bilinear), CenterCrop(32)"]);
    says(
        &one,
        0,
        &["all 6 packed images (short side 48) were resized by pack already and are resized again to 36", "# val-resize-size = 36"],
    );
    assert_eq!(one.1.matches("is larger than").count(), 1, "{}", one.1);
    says(&with("val", &["--val-resize-size", "48"]), 0, &["Resize(48, bilinear), CenterCrop(32) batch"]);
    says(&with("val", &["--val-crop-size", "64"]), 0, &["--val-crop-size 64 is larger than all 6 packed images (short side 48)"]);
    says(&with("val", &["--crop-pct", "0.7"]), 0, &["Resize(45, bilinear)"]);
    says(&with("whole", &[]), 0, &["Resize(36, bilinear), CenterCrop(32) batch"]);
    for name in ["jpeg", "png"] {
        says(&with(name, &[]), 0, &["pack encoded all 6 packed images anew as JPEG: values differ from the originals"]);
    }
    says(&with("square", &["--val-resize-size", "48", "--val-crop-size", "33"]), 0, &["one pixel"]);
    // A filter is used, or refused where pack used another.
    says(&with("whole", &["--val-interpolation", "lanczos"]), 0, &["Resize(36, lanczos), CenterCrop(32) batch"]);
    says(&with("val", &["--val-interpolation", "bicubic"]), 0, &["Resize(36, bicubic)", "resized again"]);
    let refused = with("val", &["--val-interpolation", "bicubic", "--val-resize-size", "48"]);
    says(&refused, 2, &["bicubic was asked for, but pack resized all 6 packed images to 48 with bilinear", "--resize 0"]);
    // A crop beyond the resized image, two sizes at once, and sizes out of bounds.
    says(&with("val", &["--val-resize-size", "31"]), 2, &["resized to 31", "crop of 32", "black"]);
    says(&with("val", &["--val-resize-size", "48", "--crop-pct", "0.9"]), 2, &["--val-resize-size and --crop-pct"]);
    says(&with("val", &["--crop-pct", "1.5"]), 2, &["--crop-pct"]);
    says(&with("val", &["--val-resize-size", "8192"]), 2, &["--val-resize-size", "8,191"]);
    // Without augmentation, training images are cropped by the same rule.
    says(&with("whole", &["--augment", "none"]), 0, &["--augment none: Resize(32, bilinear), CenterCrop(32)"]);
}
