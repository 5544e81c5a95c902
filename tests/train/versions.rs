//! Checkpoints whose metadata was changed: a later format, lost optimizer state, an impossible step.

use crate::engine::{demo_pictures, engine, run_code};
use imagenet_engine::checkpoint::safetensors::{self, TensorOut};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// `from` written again with changed metadata, and without the tensors of some prefix.
fn changed(from: &Path, to: PathBuf, without: &str, change: impl FnOnce(&mut Map<String, Value>)) -> PathBuf {
    let file = safetensors::read(from).unwrap();
    let kept = file.tensors.iter().filter(|(name, _)| without.is_empty() || !name.starts_with(without));
    let mut tensors: Vec<_> = kept.map(|(name, t)| TensorOut::f32(name.clone(), &t.shape, &t.values)).collect();
    let counters = file.tensors.keys().filter_map(|n| n.strip_suffix(".running_mean")).filter(|n| !n.starts_with("ema."));
    tensors.extend(counters.map(|n| TensorOut::i64_scalar(format!("{n}.num_batches_tracked"), file.batches as i64)));
    let mut meta = file.meta.clone();
    change(&mut meta);
    safetensors::write(&to, tensors, meta).unwrap();
    to
}

#[test]
fn what_cannot_be_resumed_exactly_is_refused_and_nothing_is_renamed() {
    let folder = tempfile::tempdir().unwrap();
    let data = demo_pictures(folder.path());
    let run = folder.path().join("run");
    let train = |more: &[&str]| {
        let mut command = engine();
        command.args(["train", "--data"]).arg(data.join("train")).arg("--output").arg(&run);
        command
            .args("--model resnet18 --epochs 2 -b 16 --lr 0.02 --train-crop-size 32 --threads 2 --save-every 3 --progress none".split(' '));
        command.args(more);
        command
    };
    assert_eq!(run_code(&mut train(&["--model-ema"])), Some(0));
    let from = run.join("checkpoints/00000006.safetensors");
    let at = |name: &str| folder.path().join(name);
    let unchanged = changed(&from, at("same"), "", |_| ());
    let cases = [
        (changed(&from, at("later"), "", |m| *m.get_mut("format").unwrap() = json!(999)), 65, "checkpoint format 999"),
        (changed(&from, at("word"), "", |m| *m.get_mut("format").unwrap() = json!("x")), 65, "checkpoint format \"x\""),
        (changed(&from, at("none"), "", |m| drop(m.remove("format"))), 65, "checkpoint format none"),
        (changed(&from, at("optimizer"), "optimizer.", |_| ()), 65, "holds no optimizer state"),
        (changed(&from, at("average"), "ema.", |_| ()), 65, "lost its moving average"),
        (changed(&from, at("step"), "", |m| m["progress"]["update"] = json!(1u64 << 63)), 2, "saved after step 9,223,372,036,854,775,808"),
    ];
    let listing = || {
        let all = std::fs::read_dir(run.join("checkpoints")).unwrap().map(|e| e.unwrap().file_name());
        all.collect::<std::collections::BTreeSet<_>>()
    };
    let before = listing();
    for (path, code, what) in &cases {
        let output = train(&["--model-ema", "--resume", path.to_str().unwrap()]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(*code) && text.contains(what), "{what}: {:?} {text}", output.status.code());
        assert_eq!(listing(), before, "{what}");
    }
    // The same file with nothing changed goes on.
    assert_eq!(run_code(&mut train(&["--model-ema", "--resume", unchanged.to_str().unwrap()])), Some(0));
}

#[test]
fn files_that_cannot_be_weights_are_refused_before_memory_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sparse");
    std::fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
    let error = safetensors::read(&path).err().unwrap();
    assert!(error.exit_code() == 65 && error.to_string().contains("header"), "{error}");
    let text = br#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(text);
    std::fs::write(&path, &bytes).unwrap();
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(1 << 40).unwrap();
    let error = safetensors::read(&path).err().unwrap();
    assert!(error.to_string().contains("its header accounts for 66"), "{error}");
    std::fs::remove_file(&path).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
    assert!(safetensors::read(&path).err().unwrap().to_string().contains("not a file"));
}
