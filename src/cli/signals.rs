//! Signals. SIGINT (Ctrl-C), SIGTERM and SIGHUP: the first asks for a clean stop and is answered at once with a line, however long the stop
//! takes; a second exits at once, and says what is there to go on from. SIGUSR1: training saves a checkpoint and goes on. SIGXFSZ is ignored, so that a limit on file sizes is an error of the write that meets it.
//!
//! Signals within [`ONE`] of the first are the same request: `timeout` sends one to the process and to its group, and both arrive.
//! A SIGHUP that the caller had ignored (`nohup`) stays ignored. SIGINT does not: shells ignore it in what they start in the background,
//! where `kill -INT` is still meant.

use super::Outcome;
use super::output::remark;
use crate::error::{Error, Result};
use crate::files;
use crate::train::trainer::{Left, Requests};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGXFSZ};
use signal_hook::flag;
use signal_hook::iterator::Signals;
use signal_hook::low_level::{emulate_default_handler, exit, signal_name};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long after the first signal others are still the same request.
const ONE: Duration = Duration::from_millis(500);

fn failed(e: std::io::Error) -> Error {
    Error::internal("signal handlers cannot be installed").source(e)
}

/// A flag that the first signal sets; `then` is what the command does about it, said at once. A second signal ends the process with the
/// exit code of `outcome`.
///
/// # Errors
/// `Internal` if the handlers cannot be installed.
pub fn stop_on_signal(then: &'static str, outcome: Outcome) -> Result<Arc<AtomicBool>> {
    listen(then, move || (outcome, "quit at once"))
}

/// As [`stop_on_signal`]; `end` says at the second signal how the process ends.
fn listen(then: &'static str, end: impl Fn() -> (Outcome, &'static str) + Send + 'static) -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let signals = ending(false);
    for &signal in &signals {
        flag::register(signal, Arc::clone(&stop)).map_err(failed)?;
    }
    let mut arrivals = Signals::new(&signals).map_err(failed)?;
    // A handler may not print: a thread of its own does.
    let thread = std::thread::Builder::new().name("signals".into()).spawn(move || {
        let mut first: Option<Instant> = None;
        for signal in arrivals.forever() {
            let name = signal_name(signal).unwrap_or("signal");
            let Some(first) = first else {
                first = Some(Instant::now());
                remark!("\n{name}: {then}; again to quit now");
                continue;
            };
            if first.elapsed() >= ONE {
                let (outcome, left) = end();
                remark!("{name} again: {left}");
                files::end_cleanly(|| exit(outcome.exit_code().into()));
            }
        }
    });
    if thread.is_err() {
        // A limit on threads: the stop is silent, and a second signal ends the process from within its handler.
        let again = Arc::new(AtomicBool::new(false));
        for &signal in &signals {
            flag::register_conditional_shutdown(signal, Outcome::Interrupted.exit_code().into(), Arc::clone(&again))
                .and_then(|_| flag::register(signal, Arc::clone(&again)))
                .map_err(failed)?;
        }
    }
    Ok(stop)
}

/// The signals that end a process, less a SIGHUP (and with `quietly` others too) that the caller had ignored.
fn ending(quietly: bool) -> Vec<i32> {
    [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|&s| !(quietly || s == SIGHUP) || !ignored(s)).collect()
}

/// For commands that need no clean stop: a signal ends them as it does by default, but what they were writing is removed first.
pub fn clean_up_on_signal() {
    let Ok(mut arrivals) = Signals::new(ending(true)) else { return };
    let end = |signal| files::end_cleanly(|| drop(emulate_default_handler(signal)));
    let thread = std::thread::Builder::new().name("signals".into()).spawn(move || arrivals.forever().for_each(end));
    if thread.is_err() {
        // A limit on threads: as by default, from within the handler.
        let always = Arc::new(AtomicBool::new(true));
        ending(true).into_iter().for_each(|signal| drop(flag::register_conditional_default(signal, Arc::clone(&always))));
    }
}

/// What signals ask of a training run.
///
/// # Errors
/// As [`stop_on_signal`].
pub fn requests() -> Result<Requests> {
    let requests = Requests::default();
    flag::register(SIGUSR1, Arc::clone(&requests.save)).map_err(failed)?;
    let left = Arc::clone(&requests.left);
    let stop = listen("finishing this step, then saving a checkpoint", move || match Left::of(left.load(Ordering::Relaxed)) {
        Left::Nothing => (Outcome::Interrupted, "quit at once, with nothing trained or saved; give the same command to begin again"),
        Left::Settings => {
            (Outcome::Interrupted, "quit at once, before the first checkpoint; --resume auto begins the run again at its start")
        }
        Left::Checkpoint => (Outcome::Stopped, "quit at once; --resume auto goes on from the newest checkpoint"),
    })?;
    Ok(Requests { stop, ..requests })
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
