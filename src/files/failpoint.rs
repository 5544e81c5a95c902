//! Points at which a test may have the process killed: `IE_FAILPOINT=NAME[:N]` in the environment raises SIGKILL at the N-th passing.
//!
//! Nothing else sets that variable, and no file, flag or input can. Without it a point costs one look at a static.

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
    static WANTED: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static PASSED: AtomicU64 = AtomicU64::new(0);
    let wanted = WANTED.get_or_init(|| {
        let text = std::env::var("IE_FAILPOINT").ok()?;
        let (point, n) = text.split_once(':').unwrap_or((&text, "1"));
        Some((point.to_owned(), n.parse().unwrap_or(1)))
    });
    wanted.as_ref().is_some_and(|(point, n)| point == name && PASSED.fetch_add(1, Ordering::Relaxed) + 1 == *n)
}

pub(super) fn die() {
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
}
