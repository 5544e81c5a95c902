//! A run whose disk is full when it saves: told with 73, the checkpoints before it whole, and with room it goes on.

#[path = "../common/namespace.rs"]
mod namespace;

use crate::engine::{demo_pictures, engine, run_code};
use imagenet_engine::checkpoint::safetensors::read;
use namespace::{inside, mount, run_inside};
use std::path::Path;

#[test]
fn a_full_disk_stops_a_run_with_73_and_keeps_its_checkpoints() {
    run_inside("full_disk::inside_training");
}

#[test]
#[ignore = "run by a_full_disk_stops_a_run_with_73_and_keeps_its_checkpoints in a mount namespace"]
fn inside_training() {
    let Some(tmp) = inside() else { return };
    let data = demo_pictures(&tmp);
    let train = |output: &Path| {
        let path = |p: &Path| p.to_str().unwrap().to_owned();
        let mut command = engine();
        command.args(["train", "--data", &path(&data.join("train")), "--output", &path(output), "--resume", "auto", "--progress", "none"]);
        command.args("--model resnet18 --batch-size 2 --max-steps 3 --save-every 1 --train-crop-size 32 --val-crop-size 32".split(' '));
        command
    };
    let whole = tmp.join("whole");
    assert_eq!(run_code(&mut train(&whole)), Some(0));
    // A checkpoint has 90 MB: two fit, the third does not.
    let (disk, mib) = (tmp.join("disk"), 200);
    mount(&disk, mib * 1024, false);
    let run = disk.join("run");
    let output = train(&run).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(73), "{said}");
    for words in ["cannot write", "00000003.safetensors", "the disk is full: this file needs ", "bytes are free there"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let mut kept: Vec<String> =
        std::fs::read_dir(run.join("checkpoints")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    kept.sort();
    assert_eq!(kept, ["00000001.safetensors", "00000002.safetensors"]);
    for name in &kept {
        read(&run.join("checkpoints").join(name)).unwrap();
    }
    assert_eq!(std::fs::read_to_string(run.join("last")).unwrap(), "checkpoints/00000002.safetensors\n");
    mount(&disk, 2 * mib * 1024, true);
    assert_eq!(run_code(&mut train(&run)), Some(0));
    assert!(std::fs::read(run.join("model.safetensors")).unwrap() == std::fs::read(whole.join("model.safetensors")).unwrap());
    eprintln!("disk of {mib} MiB: the third checkpoint refused with 73, two kept, the run went on to the same weights");
}
