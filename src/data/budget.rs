//! Memory for reading large images: a stated bound for the whole process.
//!
//! An image that is decoded, or read whole to be made smaller, takes memory beside its place in the batch. Threads take it from one
//! budget: many small images are read side by side, of large ones as many as fit, one that is larger than the budget by itself. So the
//! loader takes [`BUDGET`] or what the largest image of all takes, however many threads and loaders there are. Where memory is short
//! (a container's limit) the budget is half of what there was when the first image was read.

use crate::error::{Error, Result};
use crate::limits::memory::{addresses, room};
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};

/// Bytes for images that are being read.
pub const BUDGET: u64 = 1 << 30;
/// An image of more is held against what memory there is before it is begun.
const SURELY: u64 = 8 << 20;

/// Bytes for reading an image of this size, at most: planes and coefficients of a JPEG and its pixels (see `decode::jpeg`), and the rows
/// between two passes of a resize.
pub const fn cost(width: u32, height: u32) -> u64 {
    12 * width as u64 * height as u64
}

struct Budget {
    left: Mutex<u64>,
    given_back: Condvar,
}

/// The budget of the process, and how much it is.
fn all() -> &'static (Budget, u64) {
    static ALL: OnceLock<(Budget, u64)> = OnceLock::new();
    ALL.get_or_init(|| {
        let bytes = BUDGET.min(there() / 2).max(1);
        (Budget::new(bytes), bytes)
    })
}

/// Bytes that can still be had.
fn there() -> u64 {
    room().into_iter().chain(addresses()).map(|room| room.bytes).min().unwrap_or(u64::MAX)
}

/// Bytes of stored images that a pack may hold beside those that are being read.
pub fn for_stored() -> u64 {
    there() / 4
}

impl Budget {
    fn new(bytes: u64) -> Self {
        Self { left: Mutex::new(bytes), given_back: Condvar::new() }
    }

    /// Does `work` when so much of the budget of `all` bytes is there.
    fn within<T>(&self, bytes: u64, all: u64, work: impl FnOnce() -> T) -> T {
        let bytes = bytes.min(all);
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        while *left < bytes {
            left = self.given_back.wait(left).unwrap_or_else(PoisonError::into_inner);
        }
        *left -= bytes;
        drop(left);
        let _back = GiveBack(self, bytes); // also where the work panics
        work()
    }
}

struct GiveBack<'a>(&'a Budget, u64);

impl Drop for GiveBack<'_> {
    fn drop(&mut self) {
        *self.0.left.lock().unwrap_or_else(PoisonError::into_inner) += self.1;
        self.0.given_back.notify_all();
    }
}

/// Reads an image that takes `bytes` meanwhile by `read`, which must not wait for another thread: that may be waiting here.
///
/// # Errors
/// `Device` when memory cannot hold it; those of `read`.
pub fn reading(bytes: u64, read: impl FnOnce() -> Result<()>) -> Result<()> {
    taking(bytes, || format!("an image of {} megapixels", bytes / cost(1000, 1000)), read)
}

/// As [`reading`], for what takes `bytes` under the name of `what`.
///
/// # Errors
/// As there.
pub fn taking<T>(bytes: u64, what: impl FnOnce() -> String, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let (budget, all) = all();
    budget.within(bytes, *all, || {
        if bytes > SURELY {
            check(bytes, &what())?;
        }
        work()
    })
}

/// Refuses to take `bytes` for `what` where memory does not hold them.
///
/// # Errors
/// `Device`, with the bytes asked for and there.
pub fn check(bytes: u64, what: &str) -> Result<()> {
    let there = if bytes > SURELY { room() } else { None };
    match there.filter(|there| bytes > there.bytes) {
        None => Ok(()),
        Some(there) => Err(Error::device(format!("out of memory: {what} takes {bytes} bytes, {} are available", there.bytes))
            .because(there.bound.to_string())
            .next("raise the limit, or pack the images smaller (pack --resize 256, or pack --encoding jpeg --max-side 500)")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn threads_share_the_budget_and_one_alone_may_exceed_it() {
        let budget = Budget::new(100);
        let (held, most) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for i in 0..40u64 {
                let (budget, held, most) = (&budget, &held, &most);
                scope.spawn(move || {
                    let bytes = [30, 60, 500, 1][i as usize % 4];
                    budget.within(bytes, 100, || {
                        let now = held.fetch_add(bytes, Ordering::SeqCst) + bytes;
                        // The largest counts alone.
                        assert!(now <= 100 || now == 500, "{now}");
                        most.fetch_max(now, Ordering::SeqCst);
                        std::thread::sleep(std::time::Duration::from_millis(1));
                        held.fetch_sub(bytes, Ordering::SeqCst);
                    });
                });
            }
        });
        assert_eq!((*budget.left.lock().unwrap(), most.into_inner()), (100, 500));
    }

    #[test]
    fn what_memory_cannot_hold_is_refused_with_both_numbers() {
        let error = check(1 << 60, "an image").unwrap_err();
        let text = error.to_string();
        assert!(error.exit_code() == 71 && text.contains("1152921504606846976 bytes") && text.contains("are available"), "{text}");
        assert!(check(SURELY, "an image").is_ok());
    }
}
