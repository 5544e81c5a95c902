//! Signals. SIGINT (Ctrl-C), SIGTERM and SIGHUP: the first asks for a clean stop and is answered at once with a line, however long the stop
//! takes; a second exits at once. SIGUSR1: training saves a checkpoint and goes on. SIGXFSZ is ignored, so that a limit on file sizes is an error of the write that meets it.
//!
//! A SIGHUP that the caller had ignored (`nohup`) stays ignored. SIGINT does not: shells ignore it in what they start in the background,
//! where `kill -INT` is still meant.

use super::Outcome;
use super::output::remark;
use crate::error::{Error, Result};
use crate::train::trainer::Requests;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGXFSZ};
use signal_hook::flag;
use signal_hook::iterator::Signals;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

fn failed(e: std::io::Error) -> Error {
    Error::internal("signal handlers cannot be installed").source(e)
}

/// A flag that the first signal sets; `then` is what the command does about it, said at once. A second signal ends the process with the
/// exit code of `outcome`.
///
/// # Errors
/// `Internal` if the handlers cannot be installed.
pub fn stop_on_signal(then: &'static str, outcome: Outcome) -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let signals: Vec<i32> = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|&s| s != SIGHUP || !ignored(s)).collect();
    for &signal in &signals {
        // In this order: the shutdown looks at the flag before the same signal sets it.
        flag::register_conditional_shutdown(signal, outcome.exit_code().into(), Arc::clone(&stop))
            .and_then(|_| flag::register(signal, Arc::clone(&stop)))
            .map_err(failed)?;
    }
    let mut arrivals = Signals::new(&signals).map_err(failed)?;
    // A handler may not print: a thread of its own does. Without it (a limit on threads) the stop is only silent.
    let _ = std::thread::Builder::new().name("signals".into()).spawn(move || {
        if let Some(signal) = arrivals.forever().next() {
            let name = signal_hook::low_level::signal_name(signal).unwrap_or("signal");
            remark!("\n{name}: {then}; again to quit now");
        }
    });
    Ok(stop)
}

/// What signals ask of a training run.
///
/// # Errors
/// As [`stop_on_signal`].
pub fn requests() -> Result<Requests> {
    let save = Arc::new(AtomicBool::new(false));
    flag::register(SIGUSR1, Arc::clone(&save)).map_err(failed)?;
    Ok(Requests { stop: stop_on_signal("finishing this step, then saving a checkpoint", Outcome::Stopped)?, save })
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
