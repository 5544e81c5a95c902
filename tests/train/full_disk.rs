//! A run whose disk is full when it saves: told with 73, the checkpoints before it whole, and with room it goes on.

#[path = "../common/namespace.rs"]
mod namespace;

use crate::engine::{demo_pictures, engine, events, run_code};
use imagenet_engine::checkpoint::safetensors::read;
use namespace::{fill, inside, mount, run_inside};
use rustix::process::{Pid, Signal, kill_process};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

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

#[test]
fn a_full_disk_is_let_pass_where_that_is_asked_for() {
    run_inside("full_disk::inside_training_on");
}

/// The disk fills up in the middle of the run and is emptied again.
#[test]
#[ignore = "run by a_full_disk_is_let_pass_where_that_is_asked_for in a mount namespace"]
fn inside_training_on() {
    let Some(tmp) = inside() else { return };
    let data = demo_pictures(&tmp);
    let train = |output: &Path| {
        let mut command = engine();
        command.args(["train", "--data"]).arg(data.join("train")).arg("--output").arg(output).args(["--on-save-error", "warn"]);
        command.args("--model resnet18 -b 2 --max-steps 40 --save-every 2 --checkpoint-hist 1 --log-interval 1".split(' '));
        command.args("--train-crop-size 32 --progress plain".split(' ')).stderr(Stdio::null());
        command
    };
    let whole = tmp.join("whole");
    assert_eq!(run_code(&mut train(&whole)), Some(0));
    let disk = tmp.join("disk");
    mount(&disk, 500 * 1024, false);
    let (run, ballast) = (disk.join("run"), disk.join("ballast"));
    let child = train(&run).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let signal = |signal| kill_process(Pid::from_raw(child.id() as i32).unwrap(), signal).unwrap();
    let log = || std::fs::read_to_string(run.join("metrics.jsonl")).unwrap_or_default();
    let wait_for = |words: &str| {
        let began = Instant::now();
        while !log().contains(words) {
            assert!(began.elapsed() < Duration::from_secs(120), "no {words}: {}", log());
            std::thread::sleep(Duration::from_millis(2));
        }
    };
    wait_for("\"update\":3");
    signal(Signal::STOP);
    fill(&ballast);
    let file = std::fs::File::options().write(true).open(&ballast).unwrap();
    file.set_len(file.metadata().unwrap().len() - (4 << 20)).unwrap(); // room for the log
    drop(file); // what is open stays on the disk
    signal(Signal::CONT);
    wait_for("save_error");
    std::fs::remove_file(&ballast).unwrap();
    let done = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
    assert!(
        done.status.code() == Some(0) && said.contains("could not be written (save_error in metrics.jsonl)"),
        "{:?} {said}",
        done.status
    );
    let all = events(&run);
    let failed: Vec<_> = all.iter().filter(|e| e["event"] == "save_error").collect();
    assert!(failed[0]["what"].as_str().unwrap().contains("the disk is full") && failed[0]["count"] == 1, "{failed:?}");
    assert_eq!(all.last().unwrap()["failed_saves"], failed.len());
    assert!(std::fs::read(run.join("model.safetensors")).unwrap() == std::fs::read(whole.join("model.safetensors")).unwrap());
    let last = std::fs::read_to_string(run.join("last")).unwrap();
    assert_eq!(last, "checkpoints/00000040.safetensors\n");
    // What a run ends with must be written.
    std::fs::remove_dir_all(&run).unwrap();
    let large = 200 << 10;
    mount(&disk, large, true);
    let refused = train(&run).args(["--max-steps", "2"]).status().unwrap();
    assert_eq!(refused.code(), Some(0), "room for one");
    std::fs::remove_dir_all(&run).unwrap();
    mount(&disk, 40 << 10, true);
    assert_eq!(train(&run).args(["--max-steps", "2"]).status().unwrap().code(), Some(73));
    eprintln!("disk full for {} of 20 checkpoints: the run went on to the same weights; the last one must be written", failed.len());
}
