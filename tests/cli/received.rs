//! Files that others made: weights that claim too much, names that steer a terminal, logits that are no numbers, files that never end.

use crate::{engine, stderr};
use imagenet_engine::checkpoint::{ModelCard, State, save_weights};
use imagenet_engine::models::Model;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn golden(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/golden").join(name).display().to_string()
}

/// ResNet-18 weights for two classes of these names, those of the last layer of this size.
pub fn weights(folder: &Path, names: [&str; 2], size: f32) -> PathBuf {
    let model = Model::new("resnet18", 2, false).unwrap();
    let mut weights = model.layout.init(1);
    let last = model.layout.params.iter().find(|p| p.name == "fc.weight").unwrap().param.range.clone();
    weights[last].iter_mut().for_each(|w| *w = w.signum() * size);
    let card = ModelCard {
        model: "resnet18".into(),
        classes: names.map(str::to_owned).to_vec(),
        val_crop_size: 32,
        val_resize_size: 32,
        interpolation: "bilinear".into(),
        mean: [0.5; 3],
        std: [0.2; 3],
    };
    let path = folder.join("weights.safetensors");
    save_weights(&path, &model, &card, &State::fresh(weights, model.layout.init_running()), 0).unwrap();
    path
}

#[test]
fn names_from_a_file_neither_steer_the_terminal_nor_break_lines() {
    let folder = tempfile::tempdir().unwrap();
    let weights = weights(folder.path(), ["\u{1b}]0;PWNED\u{7}", "a\nb\u{202e}c"], 0.01);
    let output = engine(&["predict", "--device", "cpu", "--weights", weights.to_str().unwrap(), &golden("gray.jpg")]);
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(text.contains("\\u001b]0;PWNED\\u0007") && text.contains("a\\nb\\u202ec"), "{text}");
    assert_eq!(text.lines().count(), 3, "{text}");
}

#[test]
fn a_prediction_that_is_no_number_is_code_76() {
    let folder = tempfile::tempdir().unwrap();
    let weights = weights(folder.path(), ["a", "b"], 3e38);
    let output = engine(&["predict", "--device", "cpu", "--weights", weights.to_str().unwrap(), &golden("gray.jpg")]);
    assert!(output.status.code() == Some(76) && stderr(&output).contains("not finite: logit"), "{}", stderr(&output));
}

#[test]
fn a_bias_alone_does_not_claim_millions_of_classes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("claims.safetensors");
    let header = format!(r#"{{"fc.bias":{{"dtype":"F32","shape":[{}],"data_offsets":[0,{}]}}}}"#, 1 << 22, 1 << 24);
    let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; 1 << 24]].concat();
    std::fs::write(&path, bytes).unwrap();
    let start = Instant::now();
    let output = engine(&["predict", "--model", "resnet50", "--weights", path.to_str().unwrap(), &golden("gray.jpg")]);
    assert!(output.status.code() == Some(65) && stderr(&output).contains("fc.weight is missing"), "{}", stderr(&output));
    assert!(start.elapsed() < Duration::from_secs(30));
}

#[test]
fn a_file_that_never_ends_does_not_hold_a_pack() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(golden("gray.jpg"), folder.path().join("a.jpg")).unwrap();
    std::fs::write(folder.path().join("list.txt"), "/proc/kmsg c1\na.jpg c2\n").unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_imagenet-engine"))
        .args(["pack", "--resize", "16", "--on-bad", "skip", "--progress", "none", "--label-column", "2", "--image-column", "1"])
        .args([Path::new("--input"), &folder.path().join("list.txt"), Path::new("--output"), &folder.path().join("out")])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        assert!(start.elapsed() < Duration::from_secs(60), "it waits for a file that never ends");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(child.wait().unwrap().code(), Some(3));
}

/// File names are bytes: what is no UTF-8 is shown as far as it goes, or refused where it has to be written down.
#[test]
fn names_that_are_no_utf8_end_in_no_panic() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    let weights = weights(folder.path(), ["a", "b"], 0.01);
    let odd = folder.path().join(std::ffi::OsStr::from_bytes(b"im\xff.jpg"));
    std::fs::copy(golden("gray.jpg"), &odd).unwrap();
    for form in [None, Some("--json"), Some("--csv")] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_imagenet-engine"));
        let output = command.args(["predict", "--device", "cpu", "--weights"]).arg(&weights).args(form).arg(&odd).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.code() == Some(0) && text.contains("im\\") && text.contains("xff.jpg'"),
            "{form:?}: {text} {}",
            stderr(&output)
        );
    }
    // Two names are two names, also where neither is UTF-8.
    let other = folder.path().join(std::ffi::OsStr::from_bytes(b"im\xfe.jpg"));
    std::fs::copy(golden("gray.jpg"), &other).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_imagenet-engine"));
    let output =
        command.args(["predict", "--csv", "--top", "1", "--device", "cpu", "--weights"]).arg(&weights).args([&odd, &other]).output();
    let text = String::from_utf8(output.unwrap().stdout).unwrap();
    let images: Vec<&str> = text.lines().skip(1).map(|line| line.split(',').next().unwrap()).collect();
    assert!(images.len() == 2 && images[0] != images[1] && !text.contains('\u{fffd}'), "{text}");
    // A folder of such a name, as input and as a class.
    let class = folder.path().join(std::ffi::OsStr::from_bytes(b"src\xff/c\xff"));
    std::fs::create_dir_all(&class).unwrap();
    std::fs::copy(golden("gray.jpg"), class.join("a.jpg")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_imagenet-engine"));
    let output = command.args(["pack", "--progress", "none", "--output"]).arg(folder.path().join("out"));
    let output = output.arg("--input").arg(class.parent().unwrap()).output().unwrap();
    let said = stderr(&output);
    assert!(
        output.status.code() == Some(65) && said.contains("not UTF-8") && said.contains(r"c\xff") && !said.contains("no such file"),
        "{said}"
    );
    for flag in ["--init", "--val"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_imagenet-engine"));
        let output = command.args(["train", "--dry-run", "--data", "synthetic", flag]).arg(&odd).output().unwrap();
        assert!(output.status.code() == Some(2) && stderr(&output).contains(flag), "{flag}: {}", stderr(&output));
    }
}

/// Who writes the list may wait for each answer before the next line.
#[test]
fn predict_answers_each_line_of_standard_input_as_it_comes() {
    use std::io::{BufRead, BufReader, Write};
    let folder = tempfile::tempdir().unwrap();
    let weights = weights(folder.path(), ["a", "b"], 0.01);
    let mut child = Command::new(env!("CARGO_BIN_EXE_imagenet-engine"))
        .args(["predict", "--csv", "--top", "1", "--device", "cpu", "--weights"])
        .arg(&weights)
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (mut lines, mut answers) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()).lines());
    let (told, said) = std::sync::mpsc::channel();
    std::thread::spawn(move || answers.by_ref().for_each(|line| drop(told.send(line.unwrap()))));
    let wait = || said.recv_timeout(Duration::from_secs(60)).expect("no answer while the list is open");
    assert_eq!(wait(), "image,rank,class,words,probability,logit");
    for _ in 0..3 {
        writeln!(lines, "{}", golden("gray.jpg")).unwrap();
        assert!(wait().starts_with(&golden("gray.jpg")));
    }
    drop(lines);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
