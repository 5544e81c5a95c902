//! Power cuts and failing calls while checkpoints are saved: the last good one is never lost.

#[path = "../common/disk.rs"]
mod disk;

use disk::{Disk, Event, Fault, crashes, out_of_order};
use imagenet_engine::checkpoint::safetensors::{TensorOut, parse, write};
use imagenet_engine::error::Result;
use imagenet_engine::train::run_dir::RunDir;
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where fsync costs nothing, if there is such a place.
fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

/// Saves as a run does after each of `updates`, of which every second is the best; one older checkpoint is kept. `saved` is told of each.
fn save(run: &Path, updates: std::ops::RangeInclusive<u64>, mut saved: impl FnMut(u64)) -> Result<()> {
    let dir = RunDir::open(run, true)?;
    dir.write_config("[run]\n")?;
    for update in updates {
        let values: Vec<f32> = (0..40).map(|i| (update * 100 + i) as f32).collect();
        let tensors = vec![TensorOut::f32("weight".into(), &[5, 8], &values), TensorOut::f32("bias".into(), &[40], &values)];
        write(&run.join(format!("checkpoints/{update:08}.safetensors")), tensors, serde_json::Map::new())?;
        dir.settle(update, update % 2 == 0, 2)?;
        saved(update);
    }
    Ok(())
}

fn contents(run: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for dir in [run.to_owned(), run.join("checkpoints")] {
        for path in std::fs::read_dir(dir).into_iter().flatten().map(|e| e.unwrap().path()).filter(|p| p.is_file()) {
            found.insert(path.strip_prefix(run).unwrap().to_owned(), std::fs::read(&path).unwrap());
        }
    }
    found.remove(Path::new(".lock")); // it holds the number of a process
    found
}

/// Every file of a final name is whole; returns the newest checkpoint.
fn newest(run: &Path, what: &str) -> Option<u64> {
    let mut newest = None;
    for (path, bytes) in contents(run) {
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.ends_with(".safetensors") && !name.starts_with('.') {
            parse(&path, &bytes).unwrap_or_else(|e| panic!("{what}: {e}"));
            newest = newest.max(name.trim_end_matches(".safetensors").parse::<u64>().ok());
        }
        if name == "last" {
            let text = String::from_utf8(bytes).unwrap();
            assert!(text.ends_with(".safetensors\n") && text.len() == 33, "{what}: {text:?}");
        }
    }
    newest
}

#[test]
fn a_power_cut_at_any_call_of_saving_keeps_the_last_checkpoint() {
    let tmp = scratch();
    let root = tmp.path().join("whole");
    std::fs::create_dir(&root).unwrap();
    let (disk, watch) = Disk::watch(&root, None);
    // How many calls had been made when each save had returned.
    let mut marks = Vec::new();
    save(&root.join("run"), 1..=4, |update| marks.push((disk.events().len(), update))).unwrap();
    drop(watch);
    let (events, expected) = (disk.events(), contents(&root.join("run")));
    assert!(expected.len() == 5 && events.len() > 60, "{:?} by {} calls", expected.keys(), events.len());
    assert_eq!(out_of_order(&events), Vec::<String>::new());
    let mut states = 0;
    for k in 0..=events.len() {
        // Each start of the calls on its own, so that it is known what had been saved by then.
        let durable = marks.iter().filter(|(calls, _)| *calls <= k).map(|m| m.1).max();
        states += crashes_of_last(&events[..k], tmp.path(), |dir, what| {
            let run = dir.join("run");
            let found = newest(&run, what);
            assert!(found >= durable, "{what}: checkpoint {durable:?} had been saved, {found:?} is the newest");
            save(&run, found.map_or(1, |f| f + 1)..=4, |_| ()).unwrap_or_else(|e| panic!("{what}: {e}"));
            let again = contents(&run);
            let weights = |c: &BTreeMap<PathBuf, Vec<u8>>| {
                c.iter().filter(|(p, _)| p.starts_with("checkpoints")).map(|(p, b)| (p.clone(), b.clone())).collect::<Vec<_>>()
            };
            // An older one that was to be removed may be back; the newest are the same.
            assert!(weights(&expected).iter().all(|w| weights(&again).contains(w)), "{what}: {:?}", again.keys());
        });
    }
    eprintln!("{states} states after power cuts during {} calls of four saves: the last checkpoint is there in each", events.len());
    // Without its flushes it would be lost.
    let unflushed: Vec<Event> = events.iter().filter(|e| !matches!(e, Event::Sync(_))).cloned().collect();
    assert!(!out_of_order(&unflushed).is_empty());
    let mut lost = 0;
    crashes(&unflushed, tmp.path(), |dir, _, _| {
        let broken =
            |(p, b): (PathBuf, Vec<u8>)| !p.to_str().unwrap().contains("/.") && p.starts_with("checkpoints") && parse(&p, &b).is_err();
        lost += usize::from(contents(&dir.join("run")).into_iter().any(broken));
    });
    assert!(lost > 0, "the test shows nothing");
}

/// The states of a cut after the last of `events`.
fn crashes_of_last(events: &[Event], scratch: &Path, mut check: impl FnMut(&Path, &str)) -> usize {
    let mut count = 0;
    crashes(events, scratch, |dir, last, what| {
        if last {
            count += 1;
            check(dir, what);
        }
    });
    count
}

#[test]
fn any_call_of_saving_that_fails_is_told_and_keeps_the_last_checkpoint() {
    let tmp = scratch();
    let (mut tried, mut told) = (0, 0);
    for fault in [Fault::Error(Errno::NOSPC), Fault::Full, Fault::Error(Errno::DQUOT), Fault::Error(Errno::IO), Fault::Error(Errno::INTR)] {
        for n in 0.. {
            let run = tmp.path().join("run");
            save(&run, 1..=2, |_| ()).unwrap();
            let (disk, watch) = Disk::watch(&run, Some((n, fault)));
            let mut saved = 2;
            let result = save(&run, 3..=4, |update| saved = update);
            drop(watch);
            let Some(failed) = disk.failed() else { break };
            let what = format!("{fault:?} of call {n}, {failed}");
            tried += 1;
            if let Err(e) = &result {
                let full = matches!(fault, Fault::Full | Fault::Error(Errno::NOSPC));
                told += 1;
                let text = e.to_string();
                assert!(e.exit_code() == 73 && text.contains(run.to_str().unwrap()), "{what}: {text}");
                assert!(!full || text.contains("the disk is full") && text.contains("bytes are free"), "{what}: {text}");
            }
            assert!(contents(&run).keys().all(|p| !p.to_str().unwrap().contains(".ie-tmp-")), "{what}: {:?}", contents(&run).keys());
            let found = newest(&run, &what).unwrap();
            assert!(found >= saved, "{what}: {saved} had been saved, {found} is the newest");
            save(&run, found + 1..=4, |_| ()).unwrap();
            assert_eq!(newest(&run, &what), Some(4), "{what}");
            std::fs::remove_dir_all(&run).unwrap();
        }
        std::fs::remove_dir_all(tmp.path().join("run")).unwrap();
    }
    eprintln!(
        "{tried} failing calls while saving: {told} told with exit code 73, the others overcome; the last checkpoint is there after each"
    );
}

#[test]
fn a_second_run_in_one_folder_is_refused_by_process() {
    let tmp = tempfile::tempdir().unwrap();
    let run = tmp.path().join("run");
    let first = RunDir::open(&run, false).unwrap();
    first.write_config("[run]\n").unwrap();
    let error = RunDir::open(&run, true).err().expect("two at once");
    let words = format!("another process trains here (process {})", std::process::id());
    assert!(error.exit_code() == 73 && error.to_string().contains(&words), "{error}");
    drop(first);
    assert!(RunDir::open(&run, true).is_ok());
}
