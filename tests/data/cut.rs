//! Shards that another program cuts while they are mapped: a message with file and byte and exit code 65, no signal and no zeros.
//!
//! The cut is made between the look at the file's length and the use of the bytes, where only the handler of SIGBUS can tell it: the test
//! binary runs itself, as a process that may die.

use super::common::*;
use imagenet_engine::data::fault::install;
use imagenet_engine::data::order::Mixing;
use imagenet_engine::data::place::Place;
use imagenet_engine::data::reading::{Io, ReadOptions};
use imagenet_engine::rng::{Purpose, Stream};
use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output};

const PAGE: u64 = 4096;
const BUS: i32 = 7;

fn child(dir: &Path, case: &str) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "cut::inside", "--nocapture"]).env("IE_CUT_FOLDER", dir).env("IE_CUT", case);
    command.output().unwrap()
}

/// `IE_CUT`: what is done; `cut RECORD LENGTH` borrows a record, cuts its shard, and sums the borrowed bytes.
#[test]
#[ignore = "run by the tests of this file as a process of its own"]
fn inside() {
    let (Some(dir), Ok(case)) = (std::env::var_os("IE_CUT_FOLDER"), std::env::var("IE_CUT")) else { return };
    let dir = Path::new(&dir);
    if !case.ends_with("without") {
        install();
    }
    let words: Vec<&str> = case.split(' ').collect();
    match words[0] {
        "cut" => {
            let (dataset, _) = Place::open(dir, ReadOptions { io: Io::Mmap, ..ReadOptions::default() }, Mixing::Full).unwrap();
            let (record, len) = (words[1].parse().unwrap(), words[2].parse().unwrap());
            let bytes = dataset.stored(record).unwrap();
            File::options().write(true).open(dataset.shards()[0].path()).unwrap().set_len(len).unwrap();
            println!("sum {}", bytes.iter().map(|&b| u64::from(b)).sum::<u64>());
        }
        "foreign" => {
            let path = dir.join("foreign");
            std::fs::write(&path, [1; 2 * PAGE as usize]).unwrap();
            let file = File::options().read(true).write(true).open(&path).unwrap();
            #[allow(unsafe_code)]
            // SAFETY: it is meant to fault.
            let map = unsafe { memmap2::Mmap::map(&file) }.unwrap();
            file.set_len(0).unwrap();
            println!("sum {}", map.iter().map(|&b| u64::from(b)).sum::<u64>());
        }
        "sent" => {
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::BUS).unwrap();
            std::thread::sleep(std::time::Duration::from_secs(20));
        }
        other => panic!("{other}"),
    }
}

#[test]
fn a_shard_cut_while_borrowed_is_told_by_name_and_byte() {
    let tmp = tempfile::tempdir().unwrap();
    let (input, out) = (tmp.path().join("in"), tmp.path().join("out"));
    tree(&input, 2, 4, 160, 3);
    let mut options = options(&input, &out);
    options.plan.size = 128; // records of a dozen pages
    run(&options).unwrap();
    let shard = "train-00000-of-00001.ies";
    let whole = std::fs::read(out.join(shard)).unwrap();
    let (dataset, _) = Place::open(&out, ReadOptions::default(), Mixing::Full).unwrap();
    let entries = dataset.shards()[0].entries.clone();
    drop(dataset);
    let mut s = Stream::new(61, Purpose::Test, 0, 0);
    let (each, mut faults) = (rounds(4, 50), 0);
    for round in 0..each {
        let record = s.below(entries.len() as u32) as usize;
        let (start, end) = (entries[record].offset, entries[record].offset + u64::from(entries[record].stored_len));
        let inner = (start / PAGE + 1..end / PAGE).nth(round % 8).unwrap();
        // The first byte that is gone for good is that of the page after the last one that is left, wherever in it the file ends.
        for (len, first) in [(0, start), (inner * PAGE, inner * PAGE), (inner * PAGE - 1 - s.below(4000) as u64, inner * PAGE)] {
            let done = child(&out, &format!("cut {record} {len}"));
            let said = String::from_utf8_lossy(&done.stderr).into_owned();
            assert_eq!(done.status.code(), Some(65), "cut to {len}: {:?} {said}", done.status);
            for words in [format!("error: shard cut while in use: {shard}"), format!("{}/{shard}, byte {first}\n", out.display())] {
                assert!(said.contains(&words), "{words}: {said}");
            }
            assert!(said.contains("next:  imagenet-engine verify --full DIR"), "{said}");
            std::fs::write(out.join(shard), &whole).unwrap();
            faults += 1;
        }
    }
    // The test can fail: without the handler it is the signal.
    let without = child(&out, "cut 1 0 without");
    assert_eq!((without.status.code(), without.status.signal()), (None, Some(BUS)));
    eprintln!("{faults} shards cut while borrowed, each told by name and byte with 65");
}

#[test]
fn other_bus_errors_end_the_process_as_ever() {
    let tmp = tempfile::tempdir().unwrap();
    for case in ["foreign", "sent"] {
        let done = child(tmp.path(), case);
        assert_eq!(done.status.signal(), Some(BUS), "{case}: {done:?}");
        assert!(!String::from_utf8_lossy(&done.stderr).contains("shard"), "{done:?}");
    }
}
