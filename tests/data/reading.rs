//! Ways of reading: every way gives the same batches, `--verify-reads` checks when it says, and hints reach the page cache.

use super::common::*;
use imagenet_engine::data::loader::Source;
use imagenet_engine::data::order::Mixing;
use imagenet_engine::data::place::Place;
use imagenet_engine::data::reading::{Ahead, Hint, Io, PageCache, ReadOptions, VerifyReads};
use imagenet_engine::data::{Dataset, Loader, LoaderOptions};
use imagenet_engine::error::Error;
use std::fs::File;
use std::io::IoSliceMut;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

const BLOCKS: Mixing = Mixing::Block { block: 4, window: 2 };

fn packed(tmp: &Path) -> PathBuf {
    let (input, out) = (tmp.join("in"), tmp.join("out"));
    tree(&input, 5, 11, 40, 3);
    run(&options(&input, &out)).unwrap();
    out
}

fn open(dir: &Path, options: ReadOptions, mixing: Mixing) -> (Dataset, Place) {
    Place::open(dir, options, mixing).unwrap()
}

#[test]
fn every_way_of_reading_gives_the_same_batches() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = packed(tmp.path());
    for mixing in [Mixing::Full, BLOCKS, Mixing::None] {
        let loaded = |options: ReadOptions, threads: usize| {
            let (dataset, place) = open(&dir, options, mixing);
            let steered = options.page_cache == PageCache::Stream;
            let expected = match mixing {
                Mixing::Full if steered => Ahead::Batch,
                Mixing::Block { .. } if steered => Ahead::Windows,
                _ => Ahead::Nothing,
            };
            assert_eq!((dataset.ahead(), place.reading.mapped), (expected, options.io != Io::Pread), "{place}");
            let options = LoaderOptions { mixing, threads, ..LoaderOptions::train(8, 24, (0.08, 1.0), 7, 3) };
            Loader::new(Arc::new(dataset), &options).unwrap().map(Result::unwrap).collect::<Vec<_>>()
        };
        let plain = loaded(ReadOptions::default(), 1);
        assert_eq!(plain.len(), 18);
        for (io, threads) in [(Io::Pread, 1), (Io::Mmap, 1), (Io::Mmap, 3), (Io::Pread, 3)] {
            for verify in [VerifyReads::First, VerifyReads::Always, VerifyReads::Off] {
                for page_cache in [PageCache::Keep, PageCache::Stream] {
                    let options = ReadOptions { io, verify, page_cache };
                    assert!(loaded(options, threads) == plain, "{options:?}, {mixing:?}, {threads} threads");
                }
            }
        }
    }
}

/// A byte that changes after the first look: seen again or not, as was asked for.
#[test]
fn records_are_checked_as_often_as_asked_for() {
    assert_eq!(ReadOptions::default().verify, VerifyReads::Always, "never trained on, as README says");
    for io in [Io::Pread, Io::Mmap] {
        for (verify, caught) in
            [(VerifyReads::First, [false, true]), (VerifyReads::Always, [true, true]), (VerifyReads::Off, [false, false])]
        {
            let tmp = tempfile::tempdir().unwrap();
            let dir = packed(tmp.path());
            let (dataset, _) = open(&dir, ReadOptions { io, verify, ..ReadOptions::default() }, Mixing::Full);
            let read = |dataset: &Dataset| dataset.read_pixels(9, &mut vec![0; room(dataset, 9)]);
            read(&dataset).unwrap();
            let entry = dataset.shards()[1].entries[1];
            let file = File::options().read(true).write(true).open(dataset.shards()[1].path()).unwrap();
            let mut byte = [0];
            file.read_exact_at(&mut byte, entry.offset + 5).unwrap();
            file.write_all_at(&[byte[0] ^ 1], entry.offset + 5).unwrap();
            let opened_after = open(&dir, ReadOptions { io, verify, ..ReadOptions::default() }, Mixing::Full).0;
            for (dataset, caught) in [&dataset, &opened_after].into_iter().zip(caught) {
                let result = read(dataset);
                let named = matches!(&result, Err(e @ Error::Data(_)) if e.to_string().contains("record 1 (global 9"));
                assert_eq!((result.is_err(), named), (caught, caught), "{io:?} {verify:?}: {result:?}");
            }
        }
    }
}

/// From a map too, a file cut before the read is an error.
#[test]
fn a_cut_file_is_an_error_by_every_call() {
    for io in [Io::Pread, Io::Mmap] {
        let tmp = tempfile::tempdir().unwrap();
        let dir = packed(tmp.path());
        let (dataset, _) = open(&dir, ReadOptions { io, ..ReadOptions::default() }, Mixing::Full);
        let shard = &dataset.shards()[1];
        dataset.read_pixels(8, &mut vec![0; room(&dataset, 8)]).unwrap();
        File::options().write(true).open(shard.path()).unwrap().set_len(shard.entries[1].offset + 3).unwrap();
        let error = dataset.read_pixels(9, &mut vec![0; room(&dataset, 9)]).unwrap_err();
        assert!(error.to_string().contains("shard cut while in use") && error.exit_code() == 65, "{io:?}: {error}");
    }
}

/// Whether the page cache holds the first bytes of each picture; none where that cannot be asked (old kernels, some file systems).
fn cached(dataset: &Dataset) -> Option<Vec<bool>> {
    let mut found = Vec::new();
    for shard in dataset.shards() {
        let file = File::open(shard.path()).unwrap();
        for entry in &shard.entries {
            let mut byte = [0; 1];
            let flags = rustix::io::ReadWriteFlags::NOWAIT;
            match rustix::io::preadv2(&file, &mut [IoSliceMut::new(&mut byte)], entry.offset, flags) {
                Ok(1) => found.push(true),
                Err(rustix::io::Errno::AGAIN) => found.push(false),
                other => {
                    eprintln!("skipped: the page cache cannot be asked what it holds ({other:?})");
                    return None;
                }
            }
        }
    }
    Some(found)
}

#[test]
fn hints_fill_and_empty_the_page_cache() {
    // Beside the build and not in a temporary folder, which may lie in memory.
    let tmp = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    // Pictures larger than what the kernel keeps or drops at once.
    let (input, dir) = (tmp.path().join("in"), tmp.path().join("out"));
    tree(&input, 5, 11, 40, 3);
    let mut large = options(&input, &dir);
    large.plan.size = 256;
    run(&large).unwrap();
    for io in [Io::Pread, Io::Mmap] {
        let (dataset, place) = open(&dir, ReadOptions { io, page_cache: PageCache::Stream, ..ReadOptions::default() }, BLOCKS);
        let all = dataset.len();
        (0..all).for_each(|i| dataset.read_pixels(i, &mut vec![0; room(&dataset, i)]).unwrap());
        dataset.shards().iter().for_each(|s| File::open(s.path()).unwrap().sync_all().unwrap());
        dataset.hint(0..all, Hint::Done);
        let Some(after) = cached(&dataset) else { return };
        if matches!(place.file_system.as_str(), "tmpfs" | "overlay") {
            eprintln!("skipped: {} keeps what it holds, or does not say", place.file_system);
            return;
        }
        let stayed = after.iter().filter(|&&held| held).count();
        assert!(stayed <= all / 2, "{io:?}: {stayed} of {all} stayed; pages at the ends of shards may");
        // Two shards, the second in part; and beyond the end, which means nothing.
        dataset.hint(4..13, Hint::Need);
        dataset.hint(all..all + 9, Hint::Need);
        let began = Instant::now();
        while !cached(&dataset).unwrap()[4..13].iter().all(|&held| held) {
            assert!(began.elapsed() < Duration::from_secs(20), "{io:?}: asked for and not there");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A shard is an open file: the limit that can be raised is raised, the one that cannot is named.
#[test]
fn many_shards_need_many_open_files() {
    let tmp = tempfile::tempdir().unwrap();
    let (input, out) = (tmp.path().join("in"), tmp.path().join("out"));
    tree(&input, 2, 30, 32, 3);
    let mut options = options(&input, &out);
    options.plan.records_per_shard = 1;
    run(&options).unwrap();
    let (engine, dir) = (env!("CARGO_BIN_EXE_imagenet-engine"), out.to_str().unwrap());
    let under = |limit: &str| {
        let done = std::process::Command::new("sh").args(["-c", &format!("{limit}; exec {engine} inspect {dir}")]).output().unwrap();
        (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned())
    };
    assert_eq!(under("ulimit -S -n 40"), (Some(0), String::new()));
    let (code, said) = under("ulimit -n 40");
    assert!(code == Some(65) && said.contains("too many files are open") && said.contains("ulimit -n"), "{said}");
}
