//! Signals. SIGINT (Ctrl-C), SIGTERM and SIGHUP: the first asks for a clean stop, a second exits at once with 75. SIGUSR1: training saves
//! a checkpoint and goes on. SIGXFSZ is ignored, so that a limit on file sizes is an error of the write that meets it.
//!
//! A SIGHUP that the caller had ignored (`nohup`) stays ignored. SIGINT does not: shells ignore it in what they start in the background,
//! where `kill -INT` is still meant.

use crate::error::{Error, Result};
use crate::train::trainer::Requests;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGXFSZ};
use signal_hook::flag;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

fn failed(e: std::io::Error) -> Error {
    Error::internal("signal handlers cannot be installed").source(e)
}

/// A flag that the first signal sets. Exit code 75 for the second: what was saved before can be resumed.
///
/// # Errors
/// `Internal` if the handlers cannot be installed.
pub fn stop_on_signal() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|&s| s != SIGHUP || !ignored(s)) {
        // In this order: the shutdown looks at the flag before the same signal sets it.
        flag::register_conditional_shutdown(signal, 75, Arc::clone(&stop))
            .and_then(|_| flag::register(signal, Arc::clone(&stop)))
            .map_err(failed)?;
    }
    Ok(stop)
}

/// What signals ask of a training run.
///
/// # Errors
/// As [`stop_on_signal`].
pub fn requests() -> Result<Requests> {
    let save = Arc::new(AtomicBool::new(false));
    flag::register(SIGUSR1, Arc::clone(&save)).map_err(failed)?;
    Ok(Requests { stop: stop_on_signal()?, save })
}

/// Writes beyond `ulimit -f` fail from now on, where they would end the process.
pub fn survive_file_size_limit() {
    let _ = flag::register(SIGXFSZ, Arc::default()); // without it the process ends as by default
}

/// Whether the caller set the signal to be ignored, by the mask that the kernel shows.
fn ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).and_then(|m| u64::from_str_radix(m.trim(), 16).ok());
    mask.is_some_and(|m| m >> (signal - 1) & 1 == 1)
}
