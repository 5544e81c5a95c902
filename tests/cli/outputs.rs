//! Files that hold results: reports replace a file, weights and images none, nothing cut is left, and what is no file is written straight into.

#[path = "../common/namespace.rs"]
mod namespace;

use crate::{engine, refuses, stderr};
use namespace::{inside, mount, run_inside};
use rustix::process::{Pid, Signal, kill_process};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const SCHEDULE: [&str; 5] = ["schedule", "--epochs", "40", "--updates-per-epoch", "25"];

fn packed(folder: &Path) -> String {
    let data = folder.join("packed");
    imagenet_engine::data::demo::write(&data, imagenet_engine::data::Split::Train, 40, 1).unwrap();
    data.to_str().unwrap().to_owned()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Each command that writes a result, and the flag before its path.
fn writers<'a>(data: &'a str, weights: &'a str) -> Vec<(Vec<&'a str>, &'a str, &'static str)> {
    let find =
        vec!["lr-find", "--data", data, "--model", "resnet18", "--train-crop-size", "32", "-b", "8", "--steps", "20", "--device", "cpu"];
    let bench = |what| vec!["bench", what];
    let mut all = vec![(vec!["inspect", data], "--sheet", "png"), (vec!["export", "--weights", weights], "--output", "safetensors")];
    for (flag, ending) in [("--csv", "csv"), ("--json", "json"), ("--plot", "svg")] {
        all.push((SCHEDULE.to_vec(), flag, ending));
        all.push((find.clone(), flag, ending));
    }
    for (flag, ending) in [("--csv", "csv"), ("--json", "json")] {
        all.push(([bench("loader"), vec!["--data", data]].concat(), flag, ending));
        all.push(([bench("pack"), vec!["--input", data]].concat(), flag, ending));
        all.push((bench("step"), flag, ending));
        all.push((bench("kernels"), flag, ending));
    }
    all.push((vec!["selftest", "--device", "cpu"], "--json", "json"));
    all
}

#[test]
fn what_cannot_be_written_is_said_before_the_work() {
    let folder = tempfile::tempdir().unwrap();
    let data = packed(folder.path());
    for (command, flag, ending) in writers(&data, "no-such-weights") {
        let path = |name: &str| folder.path().join(format!("{name}.{ending}")).to_str().unwrap().to_owned();
        let (there, link, below) = (path("there"), path("link"), path("none/x"));
        std::fs::write(&there, "precious").unwrap();
        std::os::unix::fs::symlink("nowhere", &link).unwrap();
        let slash = format!("{}/", path("zz"));
        let start = Instant::now();
        // Weights and images replace nothing; reports do, below.
        let kept = matches!(flag, "--output" | "--sheet").then_some((&there, "exists"));
        for (to, word) in kept.into_iter().chain([(&link, "exists"), (&slash, "a folder's"), (&below, "no such folder")]) {
            let output = engine(&[command.as_slice(), &[flag, to]].concat());
            let said = stderr(&output).to_lowercase();
            assert!(output.status.code() == Some(73) && said.contains(word), "{command:?} {flag} {to}: {said}");
        }
        assert!(start.elapsed() < Duration::from_secs(20), "{command:?} works before it looks");
        assert_eq!(std::fs::read(&there).unwrap(), b"precious");
        std::fs::remove_file(&link).unwrap();
    }
    let report = folder.path().join("there.json").to_str().unwrap().to_owned();
    for _ in 0..2 {
        assert_eq!(engine(&[SCHEDULE.as_slice(), &["--json", &report]].concat()).status.code(), Some(0), "a report is made again");
    }
    assert!(std::fs::read_to_string(&report).unwrap().starts_with('{'));
    let two = folder.path().join("two").to_str().unwrap().to_owned();
    refuses(&[SCHEDULE.as_slice(), &["--csv", &two, "--json", &two]].concat(), 2, &["two results"]);
    assert!(!Path::new(&two).exists());
}

/// The first export is halted when its file is written and has no name yet; meanwhile another takes the name.
#[test]
fn what_appears_while_a_result_is_made_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let weights = crate::received::weights(folder.path(), ["a", "b"], 0.01);
    let to = folder.path().join("out.safetensors");
    let export = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_imagenet-engine"));
        command.args(["export", "--weights"]).arg(&weights).arg("--output").arg(&to).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    };
    let first = export().env("IE_FAILPOINT", "stop:before-fsync").spawn().unwrap();
    let status = format!("/proc/{}/stat", first.id());
    while !std::fs::read_to_string(&status).unwrap().contains(") T ") {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(export().output().unwrap().status.code(), Some(0));
    let whole = std::fs::read(&to).unwrap();
    kill_process(Pid::from_child(&first), Signal::CONT).unwrap();
    let first = first.wait_with_output().unwrap();
    assert!(first.status.code() == Some(73) && stderr(&first).contains("refusing to overwrite"), "{}", stderr(&first));
    assert!(std::fs::read(&to).unwrap() == whole);
    assert_eq!(names(folder.path()).len(), 2, "{:?}", names(folder.path()));
}

#[test]
fn devices_and_pipes_are_written_straight_into() {
    let folder = tempfile::tempdir().unwrap();
    let csv = |to: &str| [SCHEDULE.as_slice(), &["--csv", to]].concat().into_iter().map(str::to_owned).collect::<Vec<_>>();
    let plain = folder.path().join("plain.csv");
    assert_eq!(engine(&csv(plain.to_str().unwrap()).iter().map(String::as_str).collect::<Vec<_>>()).status.code(), Some(0));
    let expected = std::fs::read_to_string(&plain).unwrap();
    assert_eq!(expected.lines().count(), 1001);
    for to in ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"] {
        // Into a file that already holds something, and stays the same file.
        let file = folder.path().join("redirected");
        std::fs::write(&file, "before\n").unwrap();
        let out = std::fs::OpenOptions::new().append(true).open(&file).unwrap();
        let done = Command::new(env!("CARGO_BIN_EXE_imagenet-engine")).args(csv(to)).stdout(out).status().unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(done.success() && text.starts_with("before\n") && text.contains(&expected), "{to}: {}", &text[..200]);
    }
    refuses(&["schedule", "--epochs", "3", "--csv", "/dev/fd/77"], 73, &["/dev/fd/77", "nothing is open"]);
    assert_eq!(engine(&["schedule", "--epochs", "3", "--csv", "/dev/null"]).status.code(), Some(0));
    let pipe = folder.path().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
    let reader = {
        let pipe = pipe.clone();
        std::thread::spawn(move || std::fs::read_to_string(pipe).unwrap())
    };
    assert_eq!(
        Command::new(env!("CARGO_BIN_EXE_imagenet-engine")).args(csv(pipe.to_str().unwrap())).output().unwrap().status.code(),
        Some(0)
    );
    assert_eq!(reader.join().unwrap(), expected);
    let start = Instant::now();
    refuses(&["schedule", "--epochs", "3", "--csv", pipe.to_str().unwrap()], 73, &["nobody read this pipe"]);
    assert!(start.elapsed() < Duration::from_secs(60));
}

#[test]
fn a_full_disk_leaves_no_cut_result() {
    run_inside("outputs::inside_a_full_disk");
}

#[test]
#[ignore = "run by a_full_disk_leaves_no_cut_result in a mount namespace"]
fn inside_a_full_disk() {
    let Some(tmp) = inside() else { return };
    let data = packed(&tmp);
    let weights = crate::received::weights(&tmp, ["a", "b"], 0.01);
    let disk = tmp.join("disk");
    mount(&disk, 24, false);
    let at = |name: &str| disk.join(name).to_str().unwrap().to_owned();
    let weights = weights.to_str().unwrap().to_owned();
    let plan = ["schedule", "--epochs", "40", "--updates-per-epoch", "50"];
    let commands: [Vec<&str>; 5] = [
        [&plan[..], &["--csv"]].concat(),
        [&plan[..], &["--json"]].concat(),
        vec!["inspect", &data, "--sheet"],
        vec!["unpack", &data, "--output"],
        vec!["export", "--weights", &weights, "--output"],
    ];
    for command in &commands {
        let output = engine(&[command.as_slice(), &[&at("x")]].concat());
        assert!(output.status.code() == Some(73) && stderr(&output).contains("full"), "{command:?}: {}", stderr(&output));
        assert!(names(&disk).is_empty(), "{command:?} leaves {:?}", names(&disk));
    }
    // With room the same command does it.
    mount(&disk, 100 * 1024, true);
    for (i, command) in commands.iter().enumerate() {
        assert_eq!(engine(&[command.as_slice(), &[&at(&format!("{i}"))]].concat()).status.code(), Some(0), "{command:?}");
    }
    assert_eq!(names(&disk), ["0", "1", "2", "3", "4"]);
    eprintln!("disk of 24 KiB: {} results refused with 73, nothing left, all written with room", commands.len());
}

#[test]
fn help_that_cannot_be_written_is_a_write_error() {
    if !Path::new("/dev/full").exists() {
        return;
    }
    for args in [&["--help"][..], &["train", "--help"], &["--version"]] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let done = Command::new(env!("CARGO_BIN_EXE_imagenet-engine")).args(args).stdout(full).stderr(Stdio::piped()).output().unwrap();
        assert!(done.status.code() == Some(73) && stderr(&done).contains("standard output"), "{args:?}: {}", stderr(&done));
    }
    let help = engine(&["--help"]);
    assert!(help.status.code() == Some(0) && !help.stdout.is_empty());
}
