//! The bytes of a pack do not depend on threads or timing, and a pack tells early what training would refuse.

use super::common::*;
use imagenet_engine::data::Split;
use imagenet_engine::data::pack::{PackEnd, PackOptions, pack};
use imagenet_engine::data::plan::PlanOptions;
use imagenet_engine::files::calls::{Call, Watcher, watch};
use imagenet_engine::progress::Progress;
use imagenet_engine::rng::{Purpose, Stream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Holds up whoever comes by for a random time: pictures being hashed or decoded, and calls that write.
struct Delays {
    seed: u64,
    passed: AtomicU64,
}

impl Delays {
    fn wait(&self) {
        let mut s = Stream::new(self.seed, Purpose::Test, 0, self.passed.fetch_add(1, Ordering::Relaxed));
        // Mostly none, sometimes long: a thread then falls behind all others.
        std::thread::sleep(Duration::from_micros([0, 0, 100, 3000][s.below(4) as usize]));
    }
}

impl Progress for Delays {
    fn start(&self, _: &str, _: u64) {}
    fn advance(&self, _: u64) {
        self.wait();
    }
    fn finish(&self) {}
    fn note(&self, _: &str) {}
}

impl Watcher for Delays {
    fn about(&self, _: &Call<'_>) -> std::io::Result<usize> {
        self.wait();
        Ok(usize::MAX)
    }
}

#[test]
fn any_number_of_threads_with_any_delays_gives_the_same_bytes() {
    let tmp = tempfile::tempdir().unwrap();
    let input = tmp.path().join("in");
    tree(&input, 3, 12, 24, 1);
    std::fs::copy(golden("bad_half.jpg"), input.join("class01/bad.jpg")).unwrap();
    let of = |jobs, out: &std::path::Path| {
        let base = options(&input, out);
        PackOptions { jobs, on_bad: imagenet_engine::data::bad::OnBad::Skip, ..base }
    };
    let whole = tmp.path().join("whole");
    run(&of(1, &whole)).unwrap();
    let expected = files(&whole);
    for (i, jobs) in [1, 2, 3, 8, 16].into_iter().cycle().take(rounds(10, 100)).enumerate() {
        let out = tmp.path().join("delayed");
        let delays = Arc::new(Delays { seed: i as u64, passed: AtomicU64::new(0) });
        let watched = watch(&out, delays.clone());
        let end = pack(&of(jobs, &out), &*delays, &AtomicBool::new(false)).unwrap();
        drop(watched);
        assert!(matches!(end, PackEnd::Finished(_)) && delays.passed.load(Ordering::Relaxed) > 100);
        assert!(files(&out) == expected, "{jobs} threads, delays {i}");
        std::fs::remove_dir_all(&out).unwrap();
    }
}

/// What was noted.
#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl Progress for Notes {
    fn start(&self, _: &str, _: u64) {}
    fn advance(&self, _: u64) {}
    fn finish(&self) {}
    fn note(&self, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }
}

#[test]
fn other_classes_than_the_split_beside_are_noted_before_packing() {
    let tmp = tempfile::tempdir().unwrap();
    let (input, packed) = (tmp.path().join("in"), tmp.path().join("packed"));
    tree(&input, 3, 2, 20, 1);
    run(&options(&input, &packed.join("train"))).unwrap();
    let val = |input: &std::path::Path, out: &str| {
        let base = options(input, &packed.join(out));
        let (notes, stop) = (Notes::default(), AtomicBool::new(false));
        let plan = PlanOptions { size: 32, ..PlanOptions::new(Split::Val) };
        assert!(matches!(pack(&PackOptions { plan, ..base }, &notes, &stop).unwrap(), PackEnd::Finished(_)));
        notes.0.into_inner().unwrap().join("\n")
    };
    assert_eq!(val(&input, "val"), "");
    std::fs::remove_dir_all(packed.join("val")).unwrap();
    std::fs::rename(input.join("class01"), input.join("class09")).unwrap();
    let notes = val(&input, "val");
    for words in
        ["the classes differ from those of", "class 1 is \"class02\" here and \"class01\" there (3 classes and 3)", "train refuses"]
    {
        assert!(notes.contains(words), "{words}: {notes}");
    }
}
