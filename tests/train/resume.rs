//! Nothing is lost when a run is killed: it ends with the same bytes, the same losses and the same order of pictures.

use crate::engine::{demo_pictures, engine, events, run_code};
use imagenet_engine::rng::{Purpose, Stream};
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

/// Arguments of a run of 24 updates in 4 epochs, a checkpoint every 3.
fn arguments(data: &Path, output: &Path) -> Vec<String> {
    let path = |p: &Path| p.to_str().unwrap().to_owned();
    let fixed = "--model resnet18 --epochs 4 --batch-size 16 --lr 0.02 --warmup-epochs 1 --train-crop-size 32 --val-crop-size 32 \
                 --save-every 3 --checkpoint-hist 2 --log-interval 1 --progress none";
    let mut all = vec!["train".to_owned(), "--data".into(), path(&data.join("train")), "--val".into(), path(&data.join("val"))];
    all.extend(["--output".into(), path(output), "--resume".into(), "auto".into()]);
    all.extend(fixed.split_whitespace().map(str::to_owned));
    all
}

/// The part of the log that must not depend on interruptions: everything but speeds.
fn facts(output: &Path) -> Vec<String> {
    events(output)
        .into_iter()
        .filter(|e| e["event"] != "end")
        .map(|mut e| {
            ["images_per_s", "time"].iter().for_each(|key| drop(e.as_object_mut().unwrap().remove(*key)));
            e.to_string()
        })
        .collect()
}

fn spawn(data: &Path, output: &Path) -> Child {
    engine().args(arguments(data, output)).spawn().unwrap()
}

/// Waits up to `limit`; kills with SIGKILL after that. The exit code, or `None` if killed.
fn run_at_most(mut child: Child, limit: Duration) -> Option<i32> {
    let start = Instant::now();
    while start.elapsed() < limit {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap().code()
}

#[test]
fn killed_at_twenty_random_moments_it_ends_like_a_run_never_killed() {
    let folder = tempfile::tempdir().unwrap();
    let data = demo_pictures(folder.path());
    let undisturbed = folder.path().join("undisturbed");
    let start = Instant::now();
    assert_eq!(run_code(engine().args(arguments(&data, &undisturbed))), Some(0));
    let whole = start.elapsed();
    let bytes = std::fs::read(undisturbed.join("model.safetensors")).unwrap();
    let expected = facts(&undisturbed);
    assert_eq!(expected.len(), 24 + 4);

    let mut moments = Stream::new(5, Purpose::Test, 0, 0);
    let most = if std::env::var_os("IE_LONG_TESTS").is_some() { 300 } else { 20 };
    let (mut kills, mut finished) = (0, 0);
    while kills < most || finished == 0 {
        let output = folder.path().join(format!("killed-{finished}"));
        loop {
            // Past them, let the last one end.
            let limit = if kills < most { whole.mul_f32(moments.uniform_f32() * 0.6) } else { Duration::from_secs(300) };
            match run_at_most(spawn(&data, &output), limit) {
                None => kills += 1,
                code => {
                    assert_eq!(code, Some(0));
                    break;
                }
            }
        }
        finished += 1;
        assert!(std::fs::read(output.join("model.safetensors")).unwrap() == bytes, "other weights after {kills} kills");
        assert_eq!(facts(&output), expected, "other losses after {kills} kills");
        std::fs::remove_dir_all(&output).unwrap();
    }
}

/// The comparison above can fail: another seed gives other bytes and another order.
#[test]
fn another_seed_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let data = demo_pictures(folder.path());
    let run = |name: &str, seed: &str| {
        let output = folder.path().join(name);
        assert_eq!(run_code(engine().args(arguments(&data, &output)).args(["--seed", seed, "--max-steps", "2"])), Some(0));
        (std::fs::read(output.join("model.safetensors")).unwrap(), facts(&output))
    };
    let (a, b, again) = (run("a", "1"), run("b", "2"), run("again", "1"));
    assert!(a.0 != b.0 && a.1 != b.1);
    assert!(a == again);
}

#[test]
fn sigterm_writes_a_checkpoint_and_exits_75_and_the_run_goes_on_from_it() {
    let folder = tempfile::tempdir().unwrap();
    let data = demo_pictures(folder.path());
    let (whole, stopped) = (folder.path().join("whole"), folder.path().join("stopped"));
    let never_saves = |output: &Path| {
        let mut command = engine();
        command.args(arguments(&data, output)).args(["--save-every", "1000"]);
        command
    };
    assert_eq!(run_code(&mut never_saves(&whole)), Some(0));
    let mut child = never_saves(&stopped).spawn().unwrap();
    let log = stopped.join("metrics.jsonl");
    while std::fs::read_to_string(&log).unwrap_or_default().lines().count() < 5 {
        std::thread::sleep(Duration::from_millis(5));
    }
    let pid = rustix::process::Pid::from_raw(child.id() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(75));
    assert_eq!(std::fs::read_dir(stopped.join("checkpoints")).unwrap().count(), 1);
    assert!(!stopped.join("model.safetensors").exists());
    assert_eq!(run_code(&mut never_saves(&stopped)), Some(0));
    assert!(std::fs::read(whole.join("model.safetensors")).unwrap() == std::fs::read(stopped.join("model.safetensors")).unwrap());
    assert_eq!(facts(&whole), facts(&stopped));
}

#[test]
fn a_damaged_newest_checkpoint_is_set_aside_and_the_one_before_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let data = demo_pictures(folder.path());
    let output = folder.path().join("run");
    assert_eq!(run_code(engine().args(arguments(&data, &output))), Some(0));
    let bytes = std::fs::read(output.join("model.safetensors")).unwrap();
    let newest = output.join("checkpoints/00000024.safetensors");
    let mut damaged = std::fs::read(&newest).unwrap();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 4;
    std::fs::write(&newest, damaged).unwrap();
    let explicit = engine().args(arguments(&data, &output)).args(["--resume", newest.to_str().unwrap()]).output().unwrap();
    assert_eq!(explicit.status.code(), Some(65));
    assert!(String::from_utf8_lossy(&explicit.stderr).contains("crc32c"), "{explicit:?}");
    assert_eq!(run_code(engine().args(arguments(&data, &output))), Some(0));
    assert!(output.join("checkpoints/00000024.safetensors.corrupt").exists());
    assert!(std::fs::read(output.join("model.safetensors")).unwrap() == bytes);
}

#[test]
fn settings_that_change_the_order_are_refused_and_others_told() {
    let folder = tempfile::tempdir().unwrap();
    let data = demo_pictures(folder.path());
    let output = folder.path().join("run");
    let run = |more: &[&str]| engine().args(arguments(&data, &output)).args(more).args(["--progress", "plain"]).output().unwrap();
    assert_eq!(run(&["--max-steps", "3"]).status.code(), Some(0));
    for (flag, value) in
        [("--batch-size", "8"), ("--seed", "7"), ("--shuffle", "none"), ("--shuffle-block", "8"), ("--shuffle-window", "2")]
    {
        let refused = run(&[flag, value]);
        let text = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(refused.status.code() == Some(2) && text.contains(flag), "{text}");
    }
    let told = run(&["--max-steps", "4", "--momentum", "0.8"]);
    let text = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(told.status.code() == Some(0) && text.contains("--momentum is now 0.8"), "{text}");
}

#[test]
fn a_second_run_in_the_same_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = demo_pictures(folder.path());
    let output = folder.path().join("run");
    let mut first = spawn(&data, &output);
    while !output.join("config.toml").exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let second = engine().args(arguments(&data, &output)).output().unwrap();
    let text = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(second.status.code() == Some(73) && text.contains(&first.id().to_string()), "{text}");
    first.kill().unwrap();
    first.wait().unwrap();
    let without_resume: Vec<String> = arguments(&data, &output).into_iter().filter(|a| a != "--resume" && a != "auto").collect();
    assert_eq!(run_code(engine().args(without_resume)), Some(73));
}

/// Going back to an earlier checkpoint leaves the later ones behind, so that nothing takes them for the run's own.
#[test]
fn going_back_abandons_what_came_after() {
    let folder = tempfile::tempdir().unwrap();
    let data = demo_pictures(folder.path());
    let output = folder.path().join("run");
    let run = |more: &[&str]| run_code(engine().args(arguments(&data, &output)).args(["--checkpoint-hist", "9"]).args(more));
    assert_eq!(run(&[]), Some(0));
    let bytes = std::fs::read(output.join("model.safetensors")).unwrap();
    let back = output.join("checkpoints/00000012.safetensors");
    assert_eq!(run(&["--resume", back.to_str().unwrap(), "--max-steps", "13", "--checkpoint-hist", "1"]), Some(0));
    let last = std::fs::read_to_string(output.join("last")).unwrap();
    assert_eq!(last.trim(), "checkpoints/00000013.safetensors");
    assert!(output.join(last.trim()).exists() && output.join("checkpoints/00000024.safetensors.abandoned").exists());
    // And from there the run ends as it would have.
    assert_eq!(run(&[]), Some(0));
    assert!(std::fs::read(output.join("model.safetensors")).unwrap() == bytes);
}

/// The best checkpoint whose numbered twin was pruned: going on from it must leave a run that `auto` finds.
#[test]
fn going_back_to_the_best_leaves_a_run_that_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let data = demo_pictures(folder.path());
    let output = folder.path().join("run");
    let run = |more: &[&str]| run_code(engine().args(arguments(&data, &output)).args(["--checkpoint-hist", "9"]).args(more));
    assert_eq!(run(&["--max-steps", "12"]), Some(0));
    let best = output.join("best.safetensors");
    let checkpoints = output.join("checkpoints");
    std::fs::copy(checkpoints.join("00000006.safetensors"), folder.path().join("x")).unwrap();
    std::fs::remove_file(&best).unwrap();
    std::fs::rename(folder.path().join("x"), &best).unwrap();
    for update in ["03", "06"] {
        std::fs::remove_file(checkpoints.join(format!("000000{update}.safetensors"))).unwrap();
    }
    assert_eq!(run(&["--resume", best.to_str().unwrap(), "--max-steps", "7"]), Some(0));
    assert!(checkpoints.join("00000012.safetensors.abandoned").exists() && checkpoints.join("00000006.safetensors").exists());
    assert!(best.exists());
    assert_eq!(run(&[]), Some(0));
    let whole = folder.path().join("whole");
    assert_eq!(run_code(engine().args(arguments(&data, &whole))), Some(0));
    assert!(std::fs::read(output.join("model.safetensors")).unwrap() == std::fs::read(whole.join("model.safetensors")).unwrap());
}

#[test]
fn all_checkpoints_damaged_is_an_error_and_not_a_fresh_start() {
    let folder = tempfile::tempdir().unwrap();
    let data = demo_pictures(folder.path());
    let output = folder.path().join("run");
    let run = || run_code(engine().args(arguments(&data, &output)).args(["--max-steps", "2"]));
    assert_eq!(run(), Some(0));
    let log = std::fs::read(output.join("metrics.jsonl")).unwrap();
    for entry in std::fs::read_dir(output.join("checkpoints")).unwrap() {
        std::fs::write(entry.unwrap().path(), b"damaged").unwrap();
    }
    // The second time they have been set aside already, the third time they are gone but for the best.
    for remains in [".corrupt", ".corrupt", "best.safetensors"] {
        let refused = engine().args(arguments(&data, &output)).output().unwrap();
        let text = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(refused.status.code() == Some(65) && text.contains(remains), "{remains}: {text}");
        assert!(std::fs::read(output.join("metrics.jsonl")).unwrap() == log);
        if remains == ".corrupt" && text.contains("had some") {
            for entry in std::fs::read_dir(output.join("checkpoints")).unwrap() {
                std::fs::remove_file(entry.unwrap().path()).unwrap();
            }
            std::fs::write(output.join("best.safetensors"), b"something").unwrap();
        }
    }
}
