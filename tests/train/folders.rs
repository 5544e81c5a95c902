//! Folders that others filled: another run's checkpoints, links in the place of our files, lost settings.

use crate::engine::{demo_pictures, engine, run_code};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

fn train(data: &Path, output: &Path, more: &str) -> Command {
    let mut command = engine();
    command.args(["train", "--data"]).arg(data.join("train")).arg("--output").arg(output);
    command.args("--model resnet18 -b 16 --lr 0.02 --train-crop-size 32 --threads 2 --progress none".split_whitespace());
    command.args(more.split_whitespace());
    command
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn names(folder: &Path) -> BTreeSet<String> {
    std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_fresh_run_refuses_a_folder_with_checkpoints_and_never_removes_those_of_others() {
    let folder = tempfile::tempdir().unwrap();
    let data = demo_pictures(folder.path());
    let (first, other) = (folder.path().join("first"), folder.path().join("other"));
    assert_eq!(run_code(&mut train(&data, &first, "--epochs 1 --save-every 2")), Some(0));
    let third = folder.path().join("third");
    assert_eq!(run_code(&mut train(&data, &third, "--epochs 1 --lr 0.03")), Some(0));
    let saved = third.join("checkpoints/00000006.safetensors");
    std::fs::create_dir_all(other.join("checkpoints")).unwrap();
    let foreign = other.join("checkpoints/00001000.safetensors");
    std::fs::copy(&saved, &foreign).unwrap();
    let refused = train(&data, &other, "--epochs 1").output().unwrap();
    assert!(refused.status.code() == Some(73) && text(&refused).contains("already holds a run"), "{}", text(&refused));
    assert_eq!(names(&other), BTreeSet::from(["checkpoints".to_owned()]));

    // Taken up by name, the run that begins from it prunes its own checkpoints and no others.
    std::fs::rename(&foreign, other.join("checkpoints/00000001.safetensors")).unwrap(); // a number below all of ours
    let from = first.join("checkpoints/00000004.safetensors");
    let more = format!("--epochs 4 --save-every 2 --checkpoint-hist 2 --resume {}", from.display());
    assert_eq!(run_code(&mut train(&data, &other, &more)), Some(0));
    let left = names(&other.join("checkpoints"));
    assert_eq!(left, ["00000001", "00000022", "00000024"].map(|n| format!("{n}.safetensors")).into());
    let last = std::fs::read_to_string(other.join("last")).unwrap();
    assert!(other.join(last.trim()).exists());
}

#[test]
fn links_in_a_received_folder_lead_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let data = demo_pictures(folder.path());
    let (run, victim) = (folder.path().join("run"), folder.path().join("victim"));
    assert_eq!(run_code(&mut train(&data, &run, "--epochs 1")), Some(0));
    std::fs::write(&victim, "precious").unwrap();
    for name in [".lock", "metrics.jsonl"] {
        let path = run.join(name);
        let kept = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(&victim, &path).unwrap();
        let resumed = train(&data, &run, "--epochs 2 --resume auto").output().unwrap();
        assert_eq!(std::fs::read(&victim).unwrap(), b"precious", "{name}: {}", text(&resumed));
        std::fs::remove_file(&path).ok();
        std::fs::write(&path, kept).unwrap();
    }
    let plot = folder.path().join("plots");
    std::fs::create_dir(&plot).unwrap();
    std::os::unix::fs::symlink(&victim, plot.join(".a.svg.tmp-new")).unwrap();
    let schedule = ["schedule", "--epochs", "3", "--updates-per-epoch", "10", "--plot"];
    assert_eq!(run_code(engine().args(schedule).arg(plot.join("a.svg"))), Some(0));
    assert_eq!(std::fs::read(&victim).unwrap(), b"precious");
}

#[test]
fn a_removed_lock_lets_no_second_run_in() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let first = imagenet_engine::train::run_dir::RunDir::open(&run, false).unwrap();
    std::fs::remove_file(run.join(".lock")).unwrap();
    let error = imagenet_engine::train::run_dir::RunDir::open(&run, true).err().expect("two at once");
    assert!(error.exit_code() == 73 && error.to_string().contains("another process trains here"), "{error}");
    drop(first);
}

#[test]
fn a_mistyped_run_is_not_the_demo() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("first");
    std::fs::create_dir(&run).unwrap();
    std::fs::write(run.join("config.toml"), "epochs = 1\n").unwrap();
    let typo = folder.path().join("frist");
    let output = engine().args(["train", "--resume", "auto", "--output"]).arg(&typo).output().unwrap();
    assert!(output.status.code() == Some(2) && text(&output).contains(run.to_str().unwrap()), "{}", text(&output));
    assert!(!typo.exists());
    std::fs::write(run.join("config.toml"), "").unwrap();
    let output = engine().args(["train", "--resume", "auto", "--output"]).arg(&run).output().unwrap();
    assert!(output.status.code() == Some(2) && text(&output).contains("settings of that run are gone"), "{}", text(&output));
    assert_eq!(names(&run).len(), 1);
}

/// Begins a run of many saves and returns when the first checkpoint is named.
fn begun(data: &Path, output: &Path) -> std::process::Child {
    let mut command = train(data, output, "--epochs 200 --save-every 2 --checkpoint-hist 2");
    let child = command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let start = std::time::Instant::now();
    while !output.join("last").exists() {
        assert!(start.elapsed() < std::time::Duration::from_secs(120), "no checkpoint in two minutes");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    child
}

#[test]
fn a_run_whose_folder_is_moved_ends_with_73_and_touches_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let data = demo_pictures(folder.path());
    let (run, moved) = (folder.path().join("run"), folder.path().join("moved"));
    let first = begun(&data, &run);
    std::fs::rename(&run, &moved).unwrap();
    // Another run takes the path while the first still trains.
    assert_eq!(run_code(&mut train(&data, &run, "--epochs 1 --lr 0.03")), Some(0));
    let second = names(&run.join("checkpoints"));
    let said = first.wait_with_output().unwrap();
    assert!(said.status.code() == Some(73) && text(&said).contains("moved or replaced"), "{}", text(&said));
    assert!(text(&said).contains(moved.to_str().unwrap()), "says where it is: {}", text(&said));
    assert_eq!(
        (names(&run.join("checkpoints")), second),
        (["00000006.safetensors".to_owned()].into(), ["00000006.safetensors".to_owned()].into())
    );
    let metrics = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    assert_eq!(metrics.matches("\"end\"").count(), 1);
    // What the first saved is whole, and goes on from its new place.
    let last = std::fs::read_to_string(moved.join("last")).unwrap();
    let last: u64 = last.trim().trim_start_matches("checkpoints/").trim_end_matches(".safetensors").parse().unwrap();
    let more = format!("--epochs 200 --save-every 2 --resume auto --max-steps {}", last + 2);
    assert_eq!(run_code(&mut train(&data, &moved, &more)), Some(0));
}

#[test]
fn checkpoints_that_is_a_link_is_refused_at_any_time() {
    let folder = tempfile::tempdir().unwrap();
    let data = demo_pictures(folder.path());
    let (run, others) = (folder.path().join("run"), folder.path().join("others"));
    std::fs::create_dir(&others).unwrap();
    let foreign = ["00000002.safetensors", "00000040.safetensors", ".00000002.safetensors.ie-tmp-0000002a-0001"];
    foreign.iter().for_each(|name| std::fs::write(others.join(name), "precious").unwrap());
    let untouched = |when: &str| {
        assert_eq!(names(&others), foreign.map(str::to_owned).into(), "{when}");
        assert!(foreign.iter().all(|name| std::fs::read(others.join(name)).unwrap() == b"precious"), "{when}");
    };
    let link = |run: &Path| std::os::unix::fs::symlink(&others, run.join("checkpoints")).unwrap();
    // At the start.
    let fresh = folder.path().join("fresh");
    std::fs::create_dir(&fresh).unwrap();
    let empty = folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    std::os::unix::fs::symlink(&empty, fresh.join("checkpoints")).unwrap();
    let refused = train(&data, &fresh, "--epochs 1").output().unwrap();
    assert!(refused.status.code() == Some(73) && text(&refused).contains("is a link"), "{}", text(&refused));
    assert_eq!(names(&empty), BTreeSet::new());
    // While it trains.
    let child = begun(&data, &run);
    std::fs::rename(run.join("checkpoints"), run.join("old")).unwrap();
    link(&run);
    let said = child.wait_with_output().unwrap();
    assert!(said.status.code() == Some(73) && text(&said).contains("moved or replaced"), "{}", text(&said));
    untouched("while it trains");
    // When it is taken up.
    let refused = train(&data, &run, "--epochs 200 --save-every 2 --resume auto").output().unwrap();
    assert!(refused.status.code() == Some(73) && text(&refused).contains("is a link"), "{}", text(&refused));
    untouched("when it is taken up");
}

#[test]
fn what_stands_in_the_place_of_the_lock_is_named() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    std::fs::create_dir_all(run.join(".lock/full")).unwrap();
    let open = || imagenet_engine::train::run_dir::RunDir::open(&run, false).err().expect("refused").to_string();
    let said = open();
    assert!(said.contains("the lock file is a folder") && said.contains("rmdir") && !said.contains("(rm "), "{said}");
    std::fs::remove_dir_all(run.join(".lock")).unwrap();
    mknodat(CWD, run.join(".lock"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    let said = open();
    assert!(said.contains("the lock file is a named pipe") && said.contains("(rm "), "{said}");
}
