//! Points at which a test may have the process killed: `IE_FAILPOINT=NAME[:N]` in the environment raises SIGKILL at the N-th passing,
//! `IE_FAILPOINT=stop:NAME[:N]` SIGSTOP, until somebody lets it go on.
//!
//! Nothing else sets that variable, and no file, flag or input can. Without it a point costs one look at a static.

use rustix::process::{Signal, getpid, kill_process};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Every point, about in the order in which a pack passes them.
pub const POINTS: [&str; 14] = [
    "locked",
    "temp-created",
    "mid-write",
    "record",
    "before-footer",
    "before-fsync",
    "after-fsync",
    "after-rename",
    "after-dir-fsync",
    "before-bad-images",
    "before-sums",
    "before-manifest",
    "after-manifest",
    "unlocking",
];

/// Dies here if the environment asks for it.
pub fn failpoint(name: &str) {
    if reached(name) {
        die();
    }
}

/// Whether the process is to die at this passing of the point.
pub(super) fn reached(name: &str) -> bool {
    static PASSED: AtomicU64 = AtomicU64::new(0);
    wanted().is_some_and(|w| w.point == name && PASSED.fetch_add(1, Ordering::Relaxed) + 1 == w.passing)
}

/// What the environment asks for.
struct Wanted {
    signal: Signal,
    point: String,
    passing: u64,
}

fn wanted() -> Option<&'static Wanted> {
    static WANTED: OnceLock<Option<Wanted>> = OnceLock::new();
    let read = || {
        let text = std::env::var("IE_FAILPOINT").ok()?;
        let (signal, text) = text.strip_prefix("stop:").map_or((Signal::KILL, text.as_str()), |rest| (Signal::STOP, rest));
        let (point, passing) = text.split_once(':').unwrap_or((text, "1"));
        Some(Wanted { signal, point: point.to_owned(), passing: passing.parse().unwrap_or(1) })
    };
    WANTED.get_or_init(read).as_ref()
}

/// The signal asked for, to this process.
pub(super) fn die() {
    let _ = wanted().map(|w| kill_process(getpid(), w.signal));
}
