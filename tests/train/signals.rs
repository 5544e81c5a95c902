//! Signals and limits: what each asks of a run, and with which code it ends.

use crate::engine::{demo_pictures, engine};
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const LONG: &str = "--model resnet18 --epochs 500 -b 16 --lr 0.02 --train-crop-size 32 --log-interval 1 --threads 2 --progress none";

fn train(data: &Path, output: &Path) -> Command {
    let mut command = engine();
    command.args(["train", "--data"]).arg(data.join("train")).arg("--output").arg(output).args(LONG.split_whitespace());
    command.stderr(Stdio::null()).stdout(Stdio::null());
    command
}

/// Waits until the run has logged a step.
fn wait_for_steps(output: &Path) {
    let start = Instant::now();
    while std::fs::metadata(output.join("metrics.jsonl")).map_or(0, |m| m.len()) == 0 {
        assert!(start.elapsed() < Duration::from_secs(120), "no step in two minutes");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn send(child: &Child, signal: &str) {
    assert!(Command::new("kill").args(["-s", signal, &child.id().to_string()]).status().unwrap().success());
}

fn checkpoints(output: &Path) -> usize {
    let names = std::fs::read_dir(output.join("checkpoints")).into_iter().flatten().flatten().map(|e| e.file_name());
    names.filter(|n| n.to_string_lossy().ends_with(".safetensors") && !n.to_string_lossy().starts_with('.')).count()
}

#[test]
fn usr1_saves_and_goes_on_and_hup_stops_resumably() {
    let folder = tempfile::tempdir().unwrap();
    let data = demo_pictures(folder.path());
    let output = folder.path().join("run");
    let mut child = train(&data, &output).args(["--limit-train-batches", "6"]).spawn().unwrap();
    wait_for_steps(&output);
    let before = checkpoints(&output);
    send(&child, "USR1");
    let start = Instant::now();
    while checkpoints(&output) == before {
        assert!(start.elapsed() < Duration::from_secs(120) && child.try_wait().unwrap().is_none(), "no checkpoint came");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(child.try_wait().unwrap().is_none(), "the run goes on");
    send(&child, "HUP");
    assert_eq!(child.wait().unwrap().code(), Some(75));
    assert!(output.join("last").exists());
}

#[test]
fn a_hangup_that_the_caller_ignores_stays_ignored_and_an_interrupt_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let data = demo_pictures(folder.path());
    let output = folder.path().join("run");
    let run = train(&data, &output);
    let mut nohup = Command::new("sh");
    nohup.args(["-c", "trap '' HUP INT; exec \"$0\" \"$@\""]).arg(run.get_program()).args(run.get_args());
    let mut child = nohup.stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    wait_for_steps(&output);
    send(&child, "HUP");
    std::thread::sleep(Duration::from_millis(500));
    assert!(child.try_wait().unwrap().is_none(), "nohup is not respected");
    send(&child, "INT");
    assert_eq!(child.wait().unwrap().code(), Some(75));
}

/// The command under `limit` of the shell; exit code and standard error.
fn limited(limit: &str, run: &Command) -> (Option<i32>, String) {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{limit} && exec \"$0\" \"$@\"")]).arg(run.get_program()).args(run.get_args()).arg0("sh");
    let output = shell.output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_limit_on_file_sizes_is_a_write_error() {
    let folder = tempfile::tempdir().unwrap();
    let data = demo_pictures(folder.path());
    let output = folder.path().join("run");
    let mut run = train(&data, &output);
    run.args(["--max-steps", "2"]);
    let (code, text) = limited("ulimit -f 2000", &run);
    assert!(code == Some(73) && text.contains("ulimit -f"), "{code:?} {text}");
    let left = std::fs::read_dir(output.join("checkpoints")).unwrap().count();
    assert_eq!(left, 0, "no temporary is left");
}

#[test]
fn memory_that_cannot_be_had_is_71_with_a_number() {
    let folder = tempfile::tempdir().unwrap();
    let data = demo_pictures(folder.path());
    let (code, text) = limited("ulimit -v 150000", train(&data, &folder.path().join("run")).args(["--threads", "1"]));
    assert!(code == Some(71) && text.contains("bytes") && !text.contains("panicked"), "{code:?} {text}");
}

#[test]
fn numbers_beyond_the_settings_file_are_usage_errors() {
    let folder = tempfile::tempdir().unwrap();
    let data = demo_pictures(folder.path());
    let output = folder.path().join("run");
    for flag in ["--seed", "--checkpoint-hist", "--log-interval"] {
        let result = train(&data, &output).args([flag, "18446744073709551615"]).stderr(Stdio::piped()).output().unwrap();
        let text = String::from_utf8_lossy(&result.stderr).into_owned();
        assert!(result.status.code() == Some(2) && text.contains(flag) && text.contains("at most 9223372036854775807"), "{text}");
    }
    let result = train(&data, &output).args(["--threads", "5000"]).stderr(Stdio::piped()).output().unwrap();
    assert!(result.status.code() == Some(2) && String::from_utf8_lossy(&result.stderr).contains("--threads 5000: at most"));
    assert!(!output.exists(), "nothing is written");
}

/// An evaluation has nothing to go on from: it ends with a word, without a result, and with 130.
#[test]
fn an_evaluation_that_is_interrupted_says_so_and_has_no_result() {
    let folder = tempfile::tempdir().unwrap();
    let (data, run) = (demo_pictures(folder.path()), folder.path().join("run"));
    assert_eq!(train(&data, &run).args(["--max-steps", "1"]).status().unwrap().code(), Some(0));
    let mut command = engine();
    command.arg("eval").arg("--data").arg(data.join("val")).arg("--weights").arg(&run);
    command.args("--batch-size 1 --val-crop-size 512 --threads 1".split(' ')).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.starts_with("memory: ")), "the evaluation begins");
    send(&child, "INT");
    let rest: Vec<String> = lines.collect();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.code() == Some(130) && output.stdout.is_empty(), "{rest:?}");
    assert!(rest.iter().any(|line| line.starts_with("SIGINT: ")) && rest.iter().any(|line| line == "stopped: no result"), "{rest:?}");
}

/// `timeout` sends its signal to the process and to its group: two arrive at once, and mean one.
#[test]
fn two_signals_at_once_are_one_and_two_apart_before_a_checkpoint_are_130() {
    let folder = tempfile::tempdir().unwrap();
    let data = demo_pictures(folder.path());
    let output = folder.path().join("run");
    let mut child = train(&data, &output).spawn().unwrap();
    wait_for_steps(&output);
    send(&child, "INT");
    send(&child, "INT");
    send(&child, "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(75));
    assert!(output.join("last").exists(), "it was saved");

    // A step of seconds: the second signal comes before anything is saved.
    let output = folder.path().join("slow");
    let slow = "--model resnet50 --train-crop-size 192 -b 96 --threads 1";
    let interrupted = || {
        let mut child = train(&data, &output).args(slow.split(' ')).stderr(Stdio::piped()).spawn().unwrap();
        while !output.join("config.toml").exists() {
            assert!(child.try_wait().unwrap().is_none());
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_millis(1500));
        send(&child, "INT");
        std::thread::sleep(Duration::from_millis(600));
        send(&child, "INT");
        let done = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        (done, said)
    };
    let (mut done, mut said) = interrupted();
    // A busy machine may not have begun the first step: then step 0 is saved, and to be gone on from.
    for _ in 0..4 {
        if done.status.code() == Some(75) && checkpoints(&output) == 1 {
            std::fs::remove_dir_all(&output).unwrap();
            (done, said) = interrupted();
        }
    }
    assert!(done.status.code() == Some(130) && said.contains("before the first checkpoint"), "{:?} {said}", done.status);
    assert_eq!(checkpoints(&output), 0);
    // What it says to do does it.
    let small = "train --resume auto --max-steps 1 -b 8 --train-crop-size 32 --model resnet18 --progress none --output";
    assert_eq!(engine().args(small.split(' ')).arg(&output).output().unwrap().status.code(), Some(0));
}
