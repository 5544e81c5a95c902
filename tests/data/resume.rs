//! Killed, stopped and repeated packs: what is published is whole, and the second run gives the bytes of an undisturbed one.

use super::common::*;
use imagenet_engine::data::pack::{PackEnd, PackOptions, pack};
use imagenet_engine::data::plan::PlanOptions;
use imagenet_engine::data::shard::Shard;
use imagenet_engine::files::POINTS;
use imagenet_engine::progress::Progress;
use imagenet_engine::rng::{Purpose, Stream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

fn arguments(input: &Path, output: &Path) -> Vec<String> {
    let text = |p: &Path| p.to_str().unwrap().to_owned();
    let rest = ["--resize", "128", "--records-per-shard", "16", "--on-bad", "skip", "--progress", "none"].map(str::to_owned);
    [vec!["pack".into(), "--input".into(), text(input), "--output".into(), text(output)], rest.to_vec()].concat()
}

fn setting(tmp: &Path) -> (PathBuf, std::collections::BTreeMap<String, Vec<u8>>, Duration) {
    let input = tmp.join("in");
    tree(&input, 4, 40, 60, 1);
    std::fs::copy(golden("bad_half.jpg"), input.join("class02/bad.jpg")).unwrap();
    let whole = tmp.join("whole");
    let start = Instant::now();
    let args = arguments(&input, &whole);
    assert_eq!(call(&args.iter().map(String::as_str).collect::<Vec<_>>()).0, 3);
    (input, files(&whole), start.elapsed())
}

/// After a kill: every file of a final name is whole; no data set is there unless it is complete; and the rerun completes it.
fn check_and_finish(args: &[&str], out: &Path, expected: &std::collections::BTreeMap<String, Vec<u8>>, what: &str) {
    for (name, bytes) in files(out) {
        if name.ends_with(".ies") && !name.starts_with('.') {
            assert!(Shard::open(&out.join(&name)).is_ok() && bytes == expected[&name], "{what}: {name} is not whole");
        }
    }
    if !out.join("dataset.json").exists() {
        let (code, text) = call(args);
        assert_eq!(code, 3, "{what}: {text}");
    }
    let got = files(out);
    let got: std::collections::BTreeMap<_, _> = got.into_iter().filter(|(name, _)| name != "pack.lock").collect();
    assert!(got == *expected, "{what}: {:?} differ from {:?}", got.keys(), expected.keys());
}

#[test]
fn killed_at_any_time_the_rerun_gives_the_same_bytes() {
    let tmp = tempfile::tempdir().unwrap();
    let (input, expected, whole) = setting(tmp.path());
    let mut s = Stream::new(5, Purpose::Test, 0, 0);
    let mut interrupted = 0;
    for round in 0..rounds(12, 300) {
        let out = tmp.path().join(format!("killed{round}"));
        let args = arguments(&input, &out);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let mut child = program(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(whole.mul_f64(s.uniform_f64()));
        child.kill().unwrap();
        interrupted += u32::from(child.wait().unwrap().code().is_none());
        if !out.exists() {
            continue; // killed before it had begun
        }
        check_and_finish(&args, &out, &expected, &format!("round {round}"));
        std::fs::remove_dir_all(&out).unwrap();
    }
    eprintln!("{interrupted} kills at random times, all finished to the same bytes");
    assert!(interrupted > 0, "no round was interrupted: the test shows nothing");
}

#[test]
fn killed_at_every_named_point() {
    let tmp = tempfile::tempdir().unwrap();
    let (input, expected, _) = setting(tmp.path());
    let passings: Vec<u64> = if long() { vec![1, 2, 3, 4, 5, 40, 200] } else { vec![1, 3] };
    let mut killed = 0;
    for (point, &n) in POINTS.iter().flat_map(|point| passings.iter().map(move |n| (point, n))) {
        let what = format!("{point}:{n}");
        let out = tmp.path().join(&what);
        let args = arguments(&input, &out);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let status = program(&args).env("IE_FAILPOINT", &what).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
        assert!(status.code().is_none() || n > 1 && status.code() == Some(3), "{what}: it should have died there: {status}");
        killed += u32::from(status.code().is_none());
        check_and_finish(&args, &out, &expected, &what);
        std::fs::remove_dir_all(&out).unwrap();
    }
    eprintln!("{killed} kills at {} named points, all finished to the same bytes", POINTS.len());
}

/// Sets a flag after some progress.
struct StopAfter<'a> {
    left: AtomicU64,
    stop: &'a AtomicBool,
}

impl Progress for StopAfter<'_> {
    fn start(&self, _: &str, _: u64) {}
    fn advance(&self, units: u64) {
        if self.left.fetch_sub(units.min(self.left.load(Ordering::Relaxed)), Ordering::Relaxed) <= units {
            self.stop.store(true, Ordering::Relaxed);
        }
    }
    fn finish(&self) {}
    fn note(&self, _: &str) {}
}

#[test]
fn stopped_it_leaves_no_temporaries_and_goes_on_later() {
    let tmp = tempfile::tempdir().unwrap();
    let (input, out) = (tmp.path().join("in"), tmp.path().join("out"));
    tree(&input, 4, 20, 40, 1);
    let base = options(&input, &out);
    run(&PackOptions { output: tmp.path().join("whole"), ..base.clone() }).unwrap();
    let mut kept_some = false;
    for after in [10, 90, 120, 150] {
        let stop = AtomicBool::new(false);
        let end = pack(&base, &StopAfter { left: AtomicU64::new(after), stop: &stop }, &stop).unwrap();
        assert!(matches!(end, PackEnd::Stopped));
        let names: Vec<String> = files(&out).into_keys().collect();
        assert!(names.iter().all(|n| n.ends_with(".ies") && !n.starts_with('.')), "{names:?}");
        kept_some |= !names.is_empty();
    }
    assert!(kept_some, "no shard was finished before a stop: the test shows nothing");
    let report = run(&base).unwrap();
    assert!(report.kept > 0 && files(&out) == files(&tmp.path().join("whole")));
}

#[test]
fn a_signal_stops_it_with_code_75() {
    let tmp = tempfile::tempdir().unwrap();
    let (input, expected, whole) = setting(tmp.path());
    let mut stopped = 0;
    for part in [0.5, 0.7, 0.9] {
        let out = tmp.path().join(format!("signal{part}"));
        let args = arguments(&input, &out);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let mut child = program(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(whole.mul_f64(part));
        let pid = rustix::process::Pid::from_child(&child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        match child.wait().unwrap().code() {
            Some(75) => stopped += 1,
            Some(3) => {} // it was done before the signal came
            // Before the handlers are installed a signal ends the process as usual.
            other => assert_eq!(other, None),
        }
        if out.exists() {
            assert!(files(&out).keys().all(|n| !n.contains(".ie-tmp-")) || stopped == 0);
            check_and_finish(&args, &out, &expected, "after a signal");
        }
    }
}

#[test]
fn other_options_or_sources_are_not_mixed_in() {
    let tmp = tempfile::tempdir().unwrap();
    let (input, out) = (tmp.path().join("in"), tmp.path().join("out"));
    tree(&input, 2, 20, 40, 1);
    let base = options(&input, &out);
    run(&base).unwrap();
    std::fs::remove_file(out.join("dataset.json")).unwrap();
    let other = PackOptions { plan: PlanOptions { size: 24, ..base.plan.clone() }, ..base.clone() };
    let error = run(&other).unwrap_err();
    assert!(error.exit_code() == 73 && error.to_string().contains("resize was 32, now 24"), "{error}");
    std::fs::remove_file(input.join("class00/p0000.png")).unwrap();
    let error = run(&base).unwrap_err();
    assert!(error.exit_code() == 73 && error.to_string().contains("source images"), "{error}");
}

#[test]
fn two_packs_into_one_folder_are_refused() {
    let tmp = tempfile::tempdir().unwrap();
    let (input, out) = (tmp.path().join("in"), tmp.path().join("out"));
    tree(&input, 2, 2, 40, 1);
    std::fs::create_dir_all(&out).unwrap();
    let lock = imagenet_engine::files::Lock::take(&out.join("pack.lock"), true, "is packing").unwrap();
    let error = run(&options(&input, &out)).unwrap_err();
    assert!(error.exit_code() == 73 && error.to_string().contains(&std::process::id().to_string()), "{error}");
    let (code, text) = call(&["pack", "--input", input.to_str().unwrap(), "--output", out.to_str().unwrap()]);
    assert!(code == 73 && text.contains(&format!("another process is packing here (process {})", std::process::id())), "{text}");
    drop(lock);
    run(&options(&input, &out)).unwrap();
}

/// What was told of each job: its name, its size, how far it came.
#[derive(Default)]
struct Told(std::sync::Mutex<Vec<(String, u64, u64)>>);

impl Progress for Told {
    fn start(&self, what: &str, total: u64) {
        self.0.lock().unwrap().push((what.to_owned(), total, 0));
    }
    fn advance(&self, units: u64) {
        self.0.lock().unwrap().last_mut().unwrap().2 += units;
    }
    fn finish(&self) {}
    fn note(&self, _: &str) {}
}

#[test]
fn finished_shards_are_checked_with_progress_and_every_byte() {
    let tmp = tempfile::tempdir().unwrap();
    let (input, out) = (tmp.path().join("in"), tmp.path().join("out"));
    tree(&input, 4, 10, 40, 1);
    let base = options(&input, &out);
    run(&base).unwrap();
    let whole = files(&out);
    std::fs::remove_file(out.join("dataset.json")).unwrap();
    let (told, stop) = (Told::default(), AtomicBool::new(false));
    assert!(matches!(pack(&base, &told, &stop).unwrap(), PackEnd::Finished(report) if report.kept == 5));
    let jobs = told.0.into_inner().unwrap();
    assert_eq!(jobs, [("reading images".into(), 40, 40), ("checking finished shards".into(), 5, 5), ("packing images".into(), 40, 40)]);
    assert!(files(&out) == whole);

    // A padding byte, which no checksum but the SHA-256 of the file covers; of two such shards the first is named.
    std::fs::remove_file(out.join("dataset.json")).unwrap();
    for name in ["train-00001-of-00005.ies", "train-00003-of-00005.ies"] {
        let mut bytes = whole[name].clone();
        bytes[4096 + 8 * 64] ^= 1;
        std::fs::write(out.join(name), bytes).unwrap();
    }
    for _ in 0..3 {
        let error = run(&base).unwrap_err().to_string();
        assert!(error.contains("train-00001") && error.contains(&format!("byte {}", 4096 + 8 * 64)), "{error}");
    }
}
