//! Shards that are cut, taken away or replaced under a run that reads them, by either way of reading.

use crate::engine::{demo_pictures, engine};
use imagenet_engine::rng::{Purpose, Stream};
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

const SHARD: &str = "train-00000-of-00001.ies";

fn train(data: &Path, output: &Path, io: &str, steps: &str) -> Child {
    let mut command = engine();
    command.args(["train", "--data"]).arg(data).arg("--output").arg(output).args(["--io", io, "--max-steps", steps]);
    command.args("--model resnet18 -b 8 --lr 0.01 --epochs 10000 --train-crop-size 32 --log-interval 1 --progress none".split(' '));
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

fn lines(output: &Path) -> usize {
    fs::read_to_string(output.join("metrics.jsonl")).map_or(0, |t| t.lines().count())
}

/// Waits for the second step and a random moment more, does `harm` to the shard, and waits for the end.
fn harmed(mut child: Child, output: &Path, pause: Duration, harm: impl FnOnce()) -> Output {
    let began = Instant::now();
    while lines(output) < 2 && child.try_wait().unwrap().is_none() {
        assert!(began.elapsed() < Duration::from_secs(120), "no step in two minutes");
        std::thread::sleep(Duration::from_millis(3));
    }
    std::thread::sleep(pause);
    harm();
    child.wait_with_output().unwrap()
}

#[test]
fn a_shard_cut_under_a_run_ends_it_with_65_by_either_way_of_reading() {
    let tmp = tempfile::tempdir().unwrap();
    let data = demo_pictures(tmp.path()).join("train");
    let path = data.join(SHARD);
    let whole = fs::read(&path).unwrap();
    let mut s = Stream::new(63, Purpose::Test, 0, 0);
    let each = if std::env::var_os("IE_LONG_TESTS").is_some() { 50 } else { 1 };
    for (io, round) in ["pread", "mmap"].into_iter().flat_map(|io| (0..each).map(move |r| (io, r))) {
        for kind in ["0", "edge", "middle"] {
            let edge = 4096 * u64::from(4 + s.below(whole.len() as u32 / 4096 / 4));
            let len = if kind == "0" { 0 } else { edge + u64::from(kind == "middle") * (1 + u64::from(s.below(4095))) };
            let output = tmp.path().join("run");
            let pause = Duration::from_micros(u64::from(s.below(100_000)));
            let child = train(&data, &output, io, "100000");
            let done = harmed(child, &output, pause, || File::options().write(true).open(&path).unwrap().set_len(len).unwrap());
            let said = String::from_utf8_lossy(&done.stderr).into_owned();
            let place = said.contains(&format!("shard cut while in use: {SHARD}")) && said.contains(", byte ");
            assert!(done.status.code() == Some(65) && place, "{io}, cut to {len} ({kind}), round {round}: {:?} {said}", done.status);
            fs::write(&path, &whole).unwrap();
            fs::remove_dir_all(&output).unwrap();
        }
    }
    eprintln!("{each} runs for each of two ways of reading and three kinds of cut: all ended with 65, shard and byte");
}

/// What is open stays open: taken away, replaced or forbidden, a run ends with the weights of one left alone.
#[test]
fn a_shard_taken_away_under_a_run_changes_nothing() {
    let tmp = tempfile::tempdir().unwrap();
    let data = demo_pictures(tmp.path()).join("train");
    let path = data.join(SHARD);
    let whole = fs::read(&path).unwrap();
    let calm = tmp.path().join("calm");
    assert_eq!(train(&data, &calm, "pread", "14").wait().unwrap().code(), Some(0));
    let expected = fs::read(calm.join("model.safetensors")).unwrap();
    let mut s = Stream::new(64, Purpose::Test, 0, 0);
    let each = if std::env::var_os("IE_LONG_TESTS").is_some() { 50 } else { 1 };
    for (io, round) in ["pread", "mmap"].into_iter().flat_map(|io| (0..each).map(move |r| (io, r))) {
        for kind in ["unlink", "rename", "chmod"] {
            let output = tmp.path().join("run");
            let done = harmed(train(&data, &output, io, "14"), &output, Duration::from_micros(u64::from(s.below(20_000))), || match kind {
                "unlink" => fs::remove_file(&path).unwrap(),
                "rename" => {
                    let other = tmp.path().join("other");
                    fs::write(&other, b"something else").unwrap();
                    fs::rename(&other, &path).unwrap();
                }
                _ => fs::set_permissions(&path, fs::Permissions::from_mode(0o0)).unwrap(),
            });
            let said = String::from_utf8_lossy(&done.stderr).into_owned();
            assert!(done.status.code() == Some(0), "{io}, {kind}, round {round}: {:?} {said}", done.status);
            assert!(fs::read(output.join("model.safetensors")).unwrap() == expected, "{io}, {kind}: other weights");
            fs::remove_file(&path).ok();
            fs::write(&path, &whole).unwrap();
            fs::remove_dir_all(&output).unwrap();
        }
    }
    eprintln!("{each} runs for each of two ways of reading and unlink, rename over and chmod: all ended with the same weights");
}
