//! Runs stopped and taken up at every point end with the bytes of a run left alone: stopped after k updates, or by a signal at any time.

use crate::engine::{demo_pictures, engine, events, run_code};
use imagenet_engine::checkpoint::safetensors::read;
use imagenet_engine::rng::{Purpose, Stream};
use rustix::process::{Pid, Signal, kill_process};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const UPDATES: u64 = 24;
const PER_EPOCH: u64 = 6;

fn count(sample: usize, long: usize) -> usize {
    if std::env::var_os("IE_LONG_TESTS").is_some() { long } else { sample }
}

/// Four epochs of six updates, with all that a checkpoint must carry: momentum, a moving average, warmup.
fn train(data: &Path, output: &Path, more: &[String]) -> Command {
    let mut command = engine();
    command.args(["train", "--data"]).arg(data.join("train")).arg("--output").arg(output).args(["--resume", "auto"]);
    let fixed = "--model resnet18 --epochs 4 -b 16 --lr 0.02 --warmup-epochs 1 --model-ema --model-ema-decay 0.9 --train-crop-size 32 \
                 --save-every 1000 --checkpoint-hist 2 --log-interval 1 --progress none";
    command.args(fixed.split_whitespace()).args(more);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// Metadata, and each tensor's bits by name.
type Saved = (String, Vec<(String, Vec<u32>)>);

/// The last checkpoint, and what was logged of each update. Left out is the number of the run, a hash of the settings that it began with:
/// `--max-steps` is one of them.
fn outcome(output: &Path) -> (Saved, Vec<String>) {
    let mut steps = Vec::new();
    for mut event in events(output) {
        if event["event"] == "step" {
            ["images_per_s", "time"].iter().for_each(|key| drop(event.as_object_mut().unwrap().remove(*key)));
            steps.push(event.to_string());
        }
    }
    assert_eq!(steps.len() as u64, UPDATES);
    let mut file = read(&output.join(format!("checkpoints/{UPDATES:08}.safetensors"))).unwrap();
    let id = file.meta["progress"].as_object_mut().unwrap().remove("run_id");
    assert!(id.is_some_and(|id| id.as_str().is_some_and(|text| text.len() == 16)));
    let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect();
    let tensors = file.tensors.iter().map(|(name, t)| (name.clone(), bits(&t.values))).collect();
    ((serde_json::to_string(&file.meta).unwrap(), tensors), steps)
}

#[test]
fn stopped_after_any_number_of_updates_it_ends_with_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let data = demo_pictures(folder.path());
    let whole = folder.path().join("whole");
    assert_eq!(run_code(&mut train(&data, &whole, &[])), Some(0));
    let expected = outcome(&whole);
    let mut s = Stream::new(71, Purpose::Test, 0, 0);
    let most = count(5, 50);
    // Around the edges of epochs and at both ends; every k; then two stops a run.
    let edges = [PER_EPOCH, PER_EPOCH - 1, PER_EPOCH + 1, 1, UPDATES - 1];
    let others = (1..UPDATES).filter(|k| !edges.contains(k));
    let single = edges.into_iter().chain(others).map(|k| vec![k]);
    let mut stops: Vec<Vec<u64>> = single.take(most).collect();
    while stops.len() < most || stops.len() < 6 {
        let first = 1 + u64::from(s.below(UPDATES as u32 - 2));
        stops.push(vec![first, first + 1 + u64::from(s.below((UPDATES - first - 1) as u32))]);
    }
    for stops in &stops {
        let output = folder.path().join("stopped");
        for k in stops {
            // How many threads load and compute must not matter.
            let threads = (1 + s.below(3)).to_string();
            let at = [["--max-steps".into(), k.to_string()], ["--threads".into(), threads]].concat();
            assert_eq!(run_code(&mut train(&data, &output, &at)), Some(0), "{stops:?}");
            assert!(output.join(format!("checkpoints/{k:08}.safetensors")).exists(), "{stops:?}");
        }
        std::fs::remove_file(output.join("model.safetensors")).unwrap();
        assert_eq!(run_code(&mut train(&data, &output, &[])), Some(0));
        let (state, steps) = outcome(&output);
        assert_eq!(steps, expected.1, "stopped after {stops:?}: other losses or another order");
        assert!(state == expected.0, "stopped after {stops:?}: another checkpoint");
        std::fs::remove_dir_all(&output).unwrap();
    }
    eprintln!("{} runs stopped after k updates, some twice: checkpoints, losses and order as those of a run left alone", stops.len());
}

/// Whether the process has handlers for SIGTERM and SIGUSR1.
fn ready(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let mask = status.lines().find_map(|l| l.strip_prefix("SigCgt:")).and_then(|m| u64::from_str_radix(m.trim(), 16).ok());
    mask.is_some_and(|m| [15, 10, 2, 1].iter().all(|s| m >> (s - 1) & 1 == 1))
}

#[test]
fn signals_at_random_times_stop_soon_and_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = demo_pictures(folder.path());
    let whole = folder.path().join("whole");
    let began = Instant::now();
    assert_eq!(run_code(&mut train(&data, &whole, &[])), Some(0));
    let time = began.elapsed();
    let expected = outcome(&whole);
    let mut s = Stream::new(72, Purpose::Test, 0, 0);
    let most = count(8, 100);
    let (mut sent, mut saves, mut stops, mut slowest, mut runs) = (0, 0, 0, Duration::ZERO, 0);
    let output = folder.path().join("run");
    while sent < most || runs == 0 {
        let mut child = train(&data, &output, &[]).stderr(Stdio::null()).spawn().unwrap();
        let pid = Pid::from_raw(child.id() as i32).unwrap();
        while !ready(child.id()) && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        let mut code = None;
        while sent < most && code.is_none() {
            std::thread::sleep(time.mul_f32(0.5 * s.uniform_f32()));
            code = child.try_wait().unwrap();
            if code.is_some() {
                break;
            }
            sent += 1;
            let signal = [Signal::USR1, Signal::TERM, Signal::INT, Signal::HUP][s.below(4) as usize];
            let asked = Instant::now();
            kill_process(pid, signal).unwrap();
            if signal == Signal::USR1 {
                saves += 1;
                continue;
            }
            stops += 1;
            code = Some(child.wait().unwrap());
            slowest = slowest.max(asked.elapsed());
        }
        match code.unwrap_or_else(|| child.wait().unwrap()).code() {
            Some(75) => {}
            Some(0) => {
                runs += 1;
                assert!(outcome(&output) == expected, "after {sent} signals: another end");
                std::fs::remove_dir_all(&output).unwrap();
            }
            other => panic!("after {sent} signals: {other:?}"),
        }
    }
    // A step, a checkpoint and a second; a busy machine is allowed more.
    assert!(slowest < Duration::from_secs(10), "a signal took {slowest:?}");
    eprintln!(
        "{sent} signals ({saves} to save, {stops} to stop) in {runs} runs: the slowest stop took {slowest:.2?}; all ended as one left alone"
    );
}
