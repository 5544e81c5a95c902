//! The bytes of a pack do not depend on threads or timing.

use super::common::*;
use imagenet_engine::data::pack::{PackEnd, PackOptions, pack};
use imagenet_engine::files::calls::{Call, Watcher, watch};
use imagenet_engine::progress::Progress;
use imagenet_engine::rng::{Purpose, Stream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
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
