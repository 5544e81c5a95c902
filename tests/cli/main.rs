//! The command line as a user meets it: wrong flags, missing and damaged input, and what is told about each.

mod bench;
mod gpu_check;
mod groups;
mod mistakes;
mod outputs;
mod received;
mod schedule;
mod selftest;
mod transcript;

use std::path::Path;
use std::process::{Command, Output, Stdio};

pub fn engine(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_imagenet-engine")).args(args).stdin(Stdio::null()).output().unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Fails with `code`, says every one of `words`, and shows no panic.
pub fn refuses(args: &[&str], code: i32, words: &[&str]) {
    let output = engine(args);
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {text}");
    for word in words {
        assert!(text.contains(word), "{args:?} should say '{word}': {text}");
    }
    assert!(!text.contains("panicked"), "{text}");
}

#[test]
fn wrong_usage_is_code_2_and_names_the_flag() {
    refuses(&["train", "--epoch", "3"], 2, &["--epoch"]);
    refuses(&["train", "--dry-run", "--data", "demo", "--model", "resnet51"], 2, &["resnet51", "resnet50"]);
    refuses(&["train", "--dry-run", "--device", "tpu"], 2, &["tpu", "cuda"]);
    refuses(&["train", "--dry-run", "--precision", "bf16"], 2, &["bf16"]);
    refuses(&["train", "--dry-run", "--epochs", "0"], 2, &["--epochs"]);
    refuses(&["train", "--dry-run", "--lr", "0"], 2, &["--lr"]);
    refuses(&["train", "--dry-run", "--data", "demo", "--warmup-epochs", "99"], 2, &["--warmup-epochs"]);
    refuses(&["train", "--dry-run", "--data", "demo", "--batch-size", "1000000"], 2, &["--batch-size"]);
    refuses(&["train", "--resume", "auto"], 2, &["--output"]);
    if std::thread::available_parallelism().is_ok_and(|cores| cores.get() < 50) {
        for command in ["train", "lr-find"] {
            refuses(&[command, "--data", "synthetic", "--workers", "250"], 2, &["--workers 250: at most"]);
        }
    }
    refuses(&["eval", "--data", "x"], 2, &["--weights"]);
    refuses(&["train", "--list-params"], 2, &["--dry-run"]);
    refuses(&["export", "--weights", "x", "--output", "y", "--format", "onnx"], 2, &["--format onnx: expected safetensors"]);
    refuses(&["export", "--weights", "x", "--output", "y.onnx"], 2, &["--output y.onnx", "next:  --output y.safetensors"]);
    refuses(&["inspect", "x", "--sheet", "y.jpg"], 2, &["--sheet y.jpg", "next:  --sheet y.png"]);
    refuses(&["nonsense"], 2, &["nonsense"]);
    // A file of settings has the same limits as flags.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.toml");
    for (key, value) in [("shuffle-block", "4611686018427387904"), ("shuffle-window", "0"), ("workers", "1000000")] {
        std::fs::write(&file, format!("{key} = {value}\n")).unwrap();
        refuses(&["train", "--config", file.to_str().unwrap()], 2, &[key, "expected a whole number from 1 to"]);
    }
}

#[test]
fn missing_input_is_code_65_and_names_the_path() {
    refuses(&["train", "--data", "/nowhere/at/all", "--dry-run"], 65, &["/nowhere/at/all"]);
    refuses(&["train", "--config", "/nowhere.toml"], 65, &["/nowhere.toml"]);
    refuses(&["predict", "--weights", "/nowhere.safetensors", "x.png"], 65, &["/nowhere.safetensors"]);
    refuses(&["verify", "/nowhere/at/all"], 65, &["/nowhere/at/all"]);
    refuses(&["inspect", "/nowhere/at/all"], 65, &["/nowhere/at/all"]);
}

#[test]
fn files_that_are_no_weights_are_code_65() {
    let folder = tempfile::tempdir().unwrap();
    let picture = folder.path().join("x.png");
    std::fs::write(&picture, b"").unwrap();
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 102400000\n".as_slice();
    for (name, bytes) in [("empty", &b""[..]), ("lfs", pointer), ("html", b"<!DOCTYPE html><html>not found</html>"), ("huge", &[0xFF; 64])]
    {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        refuses(&["predict", "--weights", path.to_str().unwrap(), picture.to_str().unwrap()], 65, &[path.to_str().unwrap()]);
    }
    refuses(
        &["predict", "--weights", folder.path().to_str().unwrap(), picture.to_str().unwrap()],
        65,
        &["no checkpoint or weights in this folder"],
    );
}

/// `| head` reads a line and goes; `2>&1 | tee` may die: neither is a failure of ours. A full disk is.
#[test]
fn a_reader_that_goes_away_is_no_failure_and_a_full_disk_is() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_imagenet-engine"));
    let gone = command.args(["schedule", "--compare", "cosine,step"]).stdout(writer.try_clone().unwrap()).output().unwrap();
    assert!(gone.status.code() == Some(0) && gone.stderr.is_empty(), "{}", stderr(&gone));
    let mut command = Command::new(env!("CARGO_BIN_EXE_imagenet-engine"));
    let deaf = command.args(["schedule", "--poly-power", "3"]).stderr(writer).stdout(Stdio::null()).status().unwrap();
    assert_eq!(deaf.code(), Some(0), "a warning that nobody reads");
    if Path::new("/dev/full").exists() {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_imagenet-engine"));
        let full = command.args(["schedule", "--epochs", "3"]).stdout(full).stderr(Stdio::piped()).output().unwrap();
        assert!(full.status.code() == Some(73) && stderr(&full).contains("standard output"), "{}", stderr(&full));
        refuses(&["schedule", "--csv", "/dev/full"], 73, &["/dev/full"]);
    }
}

/// Only where there is no GPU: elsewhere the backend itself decides.
#[test]
fn a_gpu_that_is_not_there_is_code_71() {
    if Path::new("/dev/nvidia0").exists() {
        println!("this machine has a GPU: not tested here");
        return;
    }
    refuses(&["train", "--dry-run", "--device", "cuda"], 71, &["cause", "--device cpu"]);
    assert_eq!(engine(&["doctor"]).status.code(), Some(0));
}

#[test]
fn a_dry_run_tells_the_plan_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_imagenet-engine"))
        .args(["train", "--dry-run", "--data", "demo", "--epochs", "2"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    for word in ["epochs = 2", "resnet18", "steps", "learning rate", "weight decay 5e-5", "weight-decay = 0.00005", "lr-base = 0.1"] {
        assert!(text.contains(word), "{text}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// Every parameter with its kind: also the norms and the bias that a filter by name ("bn") would miss.
#[test]
fn parameters_are_listed_with_their_decay() {
    let output =
        engine(&["train", "--dry-run", "--data", "demo", "--list-params", "--opt", "adamw", "--lr", "1e-3", "--bias-weight-decay", "0.5"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = |name: &str| text.lines().find(|l| l.starts_with(&format!("{name} "))).unwrap_or_else(|| panic!("{name}: {text}"));
    for (name, words) in [
        ("layer2.0.conv1.weight", ["weight", "0.01"]), // adamw's own, not the demo's for sgd
        ("layer2.0.downsample.1.weight", ["norm", " 0"]),
        ("bn1.bias", ["norm", " 0"]),
        ("fc.bias", ["bias", "0.5"]),
        ("fc.weight", ["weight", "0.01"]),
    ] {
        assert!(words.iter().all(|w| line(name).contains(w)), "{}", line(name));
    }
}

#[test]
fn help_lists_the_contract() {
    let text = String::from_utf8_lossy(&engine(&["train", "--help"]).stdout).into_owned();
    for flag in [
        "--data",
        "--val",
        "--model",
        "--epochs",
        "--max-steps",
        "--batch-size",
        "--grad-accum",
        "--lr-base",
        "--lr-base-size",
        "--lr",
        "--sched",
        "--warmup-epochs",
        "--warmup-lr",
        "--min-lr",
        "--decay-epochs",
        "--decay-rate",
        "--decay-milestones",
        "--cycle-epochs",
        "--cycle-mul",
        "--cycle-decay",
        "--poly-power",
        "--pct-start",
        "--div-factor",
        "--final-div-factor",
        "--three-phase",
        "--anneal",
        "--cycle-momentum",
        "--base-momentum",
        "--max-momentum",
        "--opt",
        "--clip-grad-norm",
        "--model-ema",
        "--model-ema-decay",
        "--on-nonfinite",
        "--momentum",
        "--nesterov",
        "--weight-decay",
        "--norm-weight-decay",
        "--bias-weight-decay",
        "--label-smoothing",
        "--zero-init-residual",
        "--train-crop-size",
        "--val-crop-size",
        "--augment",
        "--rrc-scale",
        "--shuffle",
        "--seed",
        "--device",
        "--precision",
        "--threads",
        "--output",
        "--resume",
        "--init",
        "--save-every",
        "--checkpoint-hist",
        "--val-interval",
        "--config",
        "--dry-run",
        "--limit-train-batches",
        "--limit-val-batches",
        "--log-interval",
        "--progress",
    ] {
        assert!(text.contains(flag), "{flag}");
    }
}

/// The listing of kernels that no GPU has run is committed; it says so after every change of a kernel.
#[test]
fn the_listing_of_kernels_is_up_to_date() {
    let records = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/records");
    let output = engine(&["doctor", "--kernels", "--records", records.to_str().unwrap()]);
    assert!(output.status.success(), "{}", stderr(&output));
    let committed = std::fs::read_to_string(records.join("README.md")).unwrap_or_default();
    let now = String::from_utf8_lossy(&output.stdout);
    assert!(committed == now, "benches/records/README.md is old: imagenet-engine doctor --kernels > benches/records/README.md\n{now}");
}

#[test]
fn kernels_are_measured_on_gpus_only() {
    refuses(&["bench", "kernels", "--device", "tpu"], 2, &["tpu", "emulated"]);
    refuses(&["bench", "kernels", "--device", "cpu"], 2, &["cpu", "cuda"]);
    refuses(&["bench", "kernels", "--batch-size", "0"], 2, &["--batch-size"]);
    refuses(&["doctor", "--records", "x"], 2, &["--kernels"]);
    if cfg!(not(feature = "emulator")) {
        refuses(&["bench", "kernels", "--device", "emulated"], 2, &["emulator"]);
    }
    if imagenet_engine::cuda::gpus().is_err() {
        refuses(&["bench", "kernels"], 71, &["CUDA driver", "libcuda"]);
    }
}
