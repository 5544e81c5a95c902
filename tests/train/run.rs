//! One run: what it leaves, that threads do not matter, and how it ends when the numbers go wrong.

use crate::engine::{demo_pictures, engine, events, run_code};
use std::path::Path;

fn train(data: &Path, output: &Path, more: &[&str]) -> std::process::Output {
    let (train, val) = (data.join("train"), data.join("val"));
    let mut command = engine();
    command.args(["train", "--data", train.to_str().unwrap(), "--val", val.to_str().unwrap(), "--output", output.to_str().unwrap()]);
    command
        .args("--model resnet18 --epochs 2 --batch-size 16 --lr 0.02 --train-crop-size 32 --val-crop-size 32 --log-interval 1".split(' '));
    command.args(["--progress", "none"]).args(more).output().unwrap()
}

#[test]
fn leaves_what_the_contract_says_and_eval_repeats_its_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let data = demo_pictures(folder.path());
    let run = folder.path().join("run");
    assert_eq!(train(&data, &run, &[]).status.code(), Some(0));
    for file in ["config.toml", "metrics.jsonl", "model.safetensors", "best.safetensors", "last", "checkpoints/00000012.safetensors"] {
        assert!(run.join(file).exists(), "{file}");
    }
    let events = events(&run);
    let of = |name: &str| events.iter().filter(|e| e["event"] == name).cloned().collect::<Vec<_>>();
    let (steps, evals, ends) = (of("step"), of("eval"), of("end"));
    assert_eq!((steps.len(), evals.len(), ends.len()), (12, 2, 1));
    for (i, step) in steps.iter().enumerate() {
        assert_eq!(step["update"], i);
        assert!(step["loss"].is_f64() && step["lr"].is_f64() && step["images_per_s"].is_f64() && step["epoch"] == i / 6);
    }
    assert!(ends[0]["wall_s"].is_f64() && ends[0]["best_top1"].is_f64());
    assert_eq!(evals[1]["images"], 40);
    let times: Vec<&str> = events.iter().map(|e| e["time"].as_str().unwrap()).collect();
    assert!(times.is_sorted() && times.iter().all(|t| t.len() == 24 && t.starts_with("20") && t.ends_with('Z')), "{times:?}");
    let left = engine().args(["train", "--dry-run", "--resume", "auto", "--output", run.to_str().unwrap()]).output().unwrap();
    let left = String::from_utf8_lossy(&left.stdout).into_owned();
    assert!(left.contains("steps         6 per epoch, 12 in 2 epochs; 12 done, 0 left") && left.contains("going on from "), "{left}");

    let model = run.join("model.safetensors");
    let eval = engine()
        .args(["eval", "--json", "--progress", "none", "--batch-size", "7", "--data", data.join("val").to_str().unwrap()])
        .args(["--weights", model.to_str().unwrap()])
        .output()
        .unwrap();
    let score: serde_json::Value = serde_json::from_slice(&eval.stdout).unwrap();
    assert_eq!((&score["top1"], &score["top5"], &score["images"]), (&evals[1]["top1"], &evals[1]["top5"], &evals[1]["images"]));
    let (a, b) = (score["loss"].as_f64().unwrap(), evals[1]["loss"].as_f64().unwrap());
    assert!((a - b).abs() < 1e-6 * b, "{a} {b}");

    // Its own config.toml reproduces the run.
    let config = run.join("config.toml");
    let again = folder.path().join("again");
    let code =
        run_code(engine().args(["train", "--progress", "none", "--config", config.to_str().unwrap(), "--output", again.to_str().unwrap()]));
    assert_eq!(code, Some(0));
    assert!(std::fs::read(&model).unwrap() == std::fs::read(again.join("model.safetensors")).unwrap());
}

#[test]
fn the_number_of_threads_changes_no_byte() {
    let folder = tempfile::tempdir().unwrap();
    let data = demo_pictures(folder.path());
    let bytes = |threads: &str| {
        let run = folder.path().join(format!("threads-{threads}"));
        assert_eq!(train(&data, &run, &["--threads", threads, "--max-steps", "4", "--grad-accum", "1"]).status.code(), Some(0));
        std::fs::read(run.join("model.safetensors")).unwrap()
    };
    let one = bytes("1");
    assert!(one == bytes("2") && one == bytes("3"));
}

#[test]
fn a_loss_that_is_not_finite_ends_the_run_with_76_and_keeps_the_last_good_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let data = demo_pictures(folder.path());
    let run = folder.path().join("run");
    let output = train(&data, &run, &["--lr", "1e18", "--warmup-epochs", "0", "--save-every", "1"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(76), "{text}");
    assert!(!run.join("model.safetensors").exists());
    // The message, `last` and the folder agree on the checkpoint, and it is whole.
    let last = std::fs::read_to_string(run.join("last")).unwrap();
    let good = run.join(last.trim());
    assert!(text.contains(&format!("last good checkpoint: {}", good.display())), "{text}");
    let kept: Vec<_> = std::fs::read_dir(run.join("checkpoints")).unwrap().map(|e| e.unwrap().path()).collect();
    assert!(kept.len() == 1 && kept[0] == good, "{kept:?}");
    let weights = folder.path().join("weights.safetensors");
    let path = |p: &Path| p.to_str().unwrap().to_owned();
    assert_eq!(run_code(engine().args(["export", "--weights", &path(&good), "--output", &path(&weights)])), Some(0));
}

#[test]
fn a_run_that_cannot_begin_leaves_no_folder() {
    let folder = tempfile::tempdir().unwrap();
    let data = demo_pictures(folder.path());
    let run = folder.path().join("run");
    for wrong in [&["--model", "resnet51"][..], &["--batch-size", "1000"], &["--init", "/nowhere.safetensors"]] {
        assert_ne!(train(&data, &run, wrong).status.code(), Some(0));
        assert!(!run.exists(), "{wrong:?}");
    }
}

#[test]
fn pictures_of_other_classes_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = demo_pictures(folder.path());
    let tree = folder.path().join("tree");
    for class in ["a", "b"] {
        std::fs::create_dir_all(tree.join(class)).unwrap();
        let png = folder.path().join("x.png");
        let mut encoder = png::Encoder::new(std::fs::File::create(&png).unwrap(), 8, 8);
        encoder.set_color(png::ColorType::Rgb);
        encoder.write_header().unwrap().write_image_data(&[7; 192]).unwrap();
        std::fs::copy(&png, tree.join(class).join("x.png")).unwrap();
    }
    let other = folder.path().join("other");
    let code = run_code(engine().args(["pack", "--resize", "8", "--input", tree.to_str().unwrap(), "--output", other.to_str().unwrap()]));
    assert_eq!(code, Some(0));
    let output = train(&data, &folder.path().join("run"), &["--val", other.to_str().unwrap()]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(65) && text.contains("different classes"), "{text}");
    assert!(text.contains("8 classes in training, 2 in validation; class 0 is ") && text.contains(" and \"a\""), "{text}");
}
