//! `eval` and `predict` prepare images as the weights say, and as flags over that say; metadata that cannot be understood is no weights'.

use crate::engine::{demo_pictures, engine, events};
use imagenet_engine::checkpoint::safetensors::{self, TensorOut};
use imagenet_engine::data::decode::Rgb;
use imagenet_engine::data::sheet::write_png;
use imagenet_engine::data::validation::{Filter, ResizeCrop};
use imagenet_engine::resample::Resampler;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::process::Output;

/// A run of three steps below `folder`.
fn trained(folder: &Path, more: &[&str]) -> PathBuf {
    let (data, run) = (demo_pictures(folder), folder.join("run"));
    let mut command = engine();
    command.args(
        "train --progress none --model resnet18 --batch-size 32 --lr 0.02 --epochs 1 --train-crop-size 32 --log-interval 1".split(' '),
    );
    command.arg("--data").arg(data.join("train")).arg("--val").arg(data.join("val")).arg("--output").arg(&run).args(more);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    run
}

fn command(name: &str, weights: &Path, more: &[&str]) -> Output {
    engine().arg(name).arg("--weights").arg(weights).args(more).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What `predict --json` says of `image`, and its remarks.
fn predicted(weights: &Path, image: &Path, more: &[&str]) -> (Value, String) {
    let output = command("predict", weights, &[&["--json", "--top", "8", image.to_str().unwrap()], more].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    (serde_json::from_slice::<Value>(&output.stdout).unwrap()["top"].take(), text(&output.stderr))
}

fn photo() -> Rgb {
    let pixels = (0..90 * 70 * 3u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8 / 2 + (i / 160) as u8).collect();
    Rgb { width: 90, height: 70, pixels, flags: 0 }
}

type Change = Box<dyn FnOnce(&mut Map<String, Value>)>;

/// `weights` with other metadata.
fn with_meta(weights: &Path, to: &Path, change: impl FnOnce(&mut Map<String, Value>)) {
    let file = safetensors::read(weights).unwrap();
    let mut meta = file.meta;
    meta.remove("crc32c");
    change(&mut meta);
    let tensors = file.tensors.iter().map(|(name, t)| TensorOut::f32(name.clone(), &t.shape, &t.values)).collect();
    safetensors::write(to, tensors, meta).unwrap();
}

#[test]
fn flags_mean_torchvision_s_resize_and_center_crop() {
    let folder = tempfile::tempdir().unwrap();
    let weights = trained(folder.path(), &["--val-crop-size", "32"]).join("model.safetensors");
    let (image, cropped) = (folder.path().join("photo.png"), folder.path().join("cropped.png"));
    let photo = photo();
    write_png(&image, photo.width, photo.height, &photo.pixels).unwrap();
    let (transform, mut crop) = (ResizeCrop { resize: 48, crop: 40, filter: Filter::Bilinear }, Vec::new());
    assert!(transform.apply(&photo.pixels, (photo.width, photo.height), &mut Resampler::default(), &mut crop));
    write_png(&cropped, 40, 40, &crop).unwrap();
    let sizes = ["--val-resize-size", "48", "--val-crop-size", "40"];
    let (of_photo, said) = predicted(&weights, &image, &sizes);
    let said = said.split_whitespace().collect::<Vec<_>>().join(" "); // broken into lines
    assert!(said.contains("Resize(48, bilinear), CenterCrop(40), Normalize(mean 0.485, 0.456, 0.406; std 0.229"), "{said}");
    assert_eq!(of_photo, predicted(&weights, &cropped, &["--val-resize-size", "40", "--val-crop-size", "40"]).0);
    assert_eq!(of_photo, predicted(&weights, &image, &["--crop-pct", "0.83", "--val-crop-size", "40"]).0, "floor(40 / 0.83) is 48");
    for other in [&["--interpolation", "lanczos"][..], &["--val-interpolation", "bicubic"], &["--mean", "0.5"], &["--std", "0.5,0.5,0.25"]]
    {
        assert_ne!(of_photo, predicted(&weights, &image, &[&sizes, other].concat()).0, "{other:?}");
    }
    // A crop that is typed alone goes with the size of the weights, or where that is below it with its own.
    assert!(predicted(&weights, &image, &["--val-crop-size", "24"]).1.contains("Resize(32, bilinear), CenterCrop(24)"));
    assert!(predicted(&weights, &image, &["--val-crop-size", "56"]).1.contains("Resize(64, bilinear), CenterCrop(56)"));
    let names = folder.path().join("names.txt");
    std::fs::write(&names, (0..8).map(|i| format!("class {i}\n")).collect::<String>()).unwrap();
    let named = predicted(&weights, &image, &["--class-names", names.to_str().unwrap()]).0;
    assert!(named[0]["class"].as_str().unwrap().starts_with("class "), "{named}");
    std::fs::write(&names, "only one\n").unwrap();
    for (wrong, word) in [
        (&["--val-resize-size", "39", "--val-crop-size", "40"][..], "crop of 40"),
        (&["--val-resize-size", "48", "--crop-pct", "0.9"], "--crop-pct"),
        (&["--val-resize-size", "8192"], "8,191"),
        (&["--std", "0"], "--std"),
        (&["--mean", "a,b,c"], "--mean"),
        (&["--mean", "nan"], "--mean"),
        (&["--class-names", names.to_str().unwrap()], "1 class name for 8 outputs"),
    ] {
        let output = command("predict", &weights, &[&[image.to_str().unwrap()], wrong].concat());
        assert!([2, 65].contains(&output.status.code().unwrap()) && text(&output.stderr).contains(word), "{}", text(&output.stderr));
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn what_a_run_validated_with_is_what_eval_and_predict_do() {
    let folder = tempfile::tempdir().unwrap();
    let run = trained(folder.path(), &["--val-resize-size", "44", "--val-crop-size", "36", "--val-interpolation", "bicubic"]);
    let (weights, val) = (run.join("model.safetensors"), folder.path().join("data/val"));
    let score = |more: &[&str]| -> Value {
        let output = command("eval", &weights, &[&["--json", "--data", val.to_str().unwrap()], more].concat());
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output.stderr)))
    };
    let own = score(&[]);
    let event = events(&run).into_iter().find(|e| e["event"] == "eval").unwrap();
    assert_eq!(["top1", "top5", "images"].map(|k| &own[k]), ["top1", "top5", "images"].map(|k| &event[k]));
    assert!((own["loss"].as_f64().unwrap() - event["loss"].as_f64().unwrap()).abs() < 1e-6);
    assert_eq!((&own["val_resize_size"], &own["val_crop_size"], &own["val_interpolation"]), (&json!(44), &json!(36), &json!("bicubic")));
    assert_eq!((&own["mean"], &own["std"]), (&json!([0.485, 0.456, 0.406]), &json!([0.229, 0.224, 0.225])));
    for flags in [
        &["--val-interpolation", "bilinear"][..],
        &["--val-resize-size", "36"],
        &["--crop-pct", "0.9"],
        &["--mean", "0.4"],
        &["--std", "0.3"],
    ] {
        assert_ne!(score(flags)["loss"], own["loss"], "{flags:?}");
    }
    // config.toml says what was asked for.
    let config = std::fs::read_to_string(run.join("config.toml")).unwrap();
    assert!(config.contains("val-resize-size = 44\n") && config.contains("val-interpolation = \"bicubic\"\n"), "{config}");
    // An export keeps it.
    let exported = folder.path().join("exported.safetensors");
    assert_eq!(command("export", &weights, &["--output", exported.to_str().unwrap()]).status.code(), Some(0));
    assert_eq!(safetensors::read(&exported).unwrap().meta["card"]["val_resize_size"], 44);
}

#[test]
fn metadata_that_cannot_be_understood_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let weights = trained(folder.path(), &["--val-crop-size", "32", "--max-steps", "1"]).join("model.safetensors");
    let (altered, val, image) =
        (folder.path().join("altered.safetensors"), folder.path().join("data/val"), folder.path().join("photo.png"));
    let photo = photo();
    write_png(&image, photo.width, photo.height, &photo.pixels).unwrap();
    let set = |key: &'static str, value: Value| move |meta: &mut Map<String, Value>| meta["card"][key] = value;
    let changes: Vec<(&str, Change)> = vec![
        ("says nothing about the model", Box::new(|meta| drop(meta.remove("card")))),
        ("val_crop_size", Box::new(|meta| drop(meta["card"].as_object_mut().unwrap().remove("val_crop_size")))),
        ("invalid type", Box::new(set("mean", json!("grey")))),
        ("makes no sense", Box::new(set("val_crop_size", json!(0)))),
        ("makes no sense", Box::new(set("val_crop_size", json!(5000)))),
        ("a crop of 32 of images resized to 31", Box::new(set("val_resize_size", json!(31)))),
        ("makes no sense", Box::new(set("std", json!([0.2, 0.0, 0.2])))),
        ("names the interpolation 'nearest'", Box::new(set("interpolation", json!("nearest")))),
        ("2 class names for 8 outputs", Box::new(set("classes", json!(["a", "b"])))),
    ];
    for (word, change) in changes {
        with_meta(&weights, &altered, change);
        for (name, more) in [("eval", ["--data", val.to_str().unwrap()]), ("predict", ["--model=resnet18", image.to_str().unwrap()])] {
            let output = command(name, &altered, &more);
            let said = text(&output.stderr);
            assert!(output.status.code() == Some(65) && said.contains(word) && output.stdout.is_empty(), "{name} {word}: {said}");
        }
    }
    // What a flag says does not have to be understood.
    with_meta(&weights, &altered, set("interpolation", json!("nearest")));
    predicted(&altered, &image, &["--val-interpolation", "bilinear"]);
    // Weights of others say nothing: torchvision's defaults, and the plan says so.
    with_meta(&weights, &altered, Map::clear);
    let bytes = std::fs::read(&altered).unwrap();
    let header = u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
    let mut json: Value = serde_json::from_slice(&bytes[8..8 + header]).unwrap();
    json["__metadata__"].as_object_mut().unwrap().remove("imagenet_engine");
    let mut plain = json.to_string().into_bytes();
    plain.resize(header, b' ');
    std::fs::write(&altered, [&bytes[..8], &plain, &bytes[8 + header..]].concat()).unwrap();
    let said = predicted(&altered, &image, &["--model", "resnet18"]).1;
    assert!(said.contains("Resize(256, bilinear), CenterCrop(224)") && said.contains("no metadata"), "{said}");
    let v2 = predicted(&altered, &image, &["--model", "resnet18", "--val-resize-size", "232"]).1;
    assert!(v2.contains("Resize(232, bilinear), CenterCrop(224)"), "{v2}");
    // A damaged name of our metadata does not make it a file of others.
    let mut damaged = std::fs::read(&weights).unwrap();
    let at = damaged.windows(15).position(|w| w == b"imagenet_engine").unwrap();
    damaged[at + 3] ^= 1;
    std::fs::write(&altered, damaged).unwrap();
    let output = command("predict", &altered, &["--model=resnet18", image.to_str().unwrap()]);
    assert!(output.status.code() == Some(65) && text(&output.stderr).contains("metadata"), "{}", text(&output.stderr));
}
