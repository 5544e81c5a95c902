//! What the machine and its limits grant: threads, address space. Requests beyond the machine are refused, and what the operating system
//! refuses is an error that names the limit.

pub mod memory;

use crate::error::{Error, Result};
use rustix::process::{Resource, getrlimit};
use std::thread::available_parallelism;

/// Threads that may be asked for: some per core, and on a small machine as many as a test of many threads wants. Thousands would only
/// take memory and time from each other.
pub fn most_threads() -> usize {
    available_parallelism().map_or(1, |n| n.get()).saturating_mul(4).max(64)
}

/// # Errors
/// `Usage` when `flag` asks for more threads than make sense here.
pub fn check_threads(flag: &str, threads: usize) -> Result<()> {
    let most = most_threads();
    if threads > most {
        let cores = available_parallelism().map_or(1, |n| n.get());
        return Err(Error::usage(format!("{flag} {threads}: at most {most} on this machine of {cores} cores"))
            .next(format!("leave {flag} out: the number of cores decides")));
    }
    Ok(())
}

/// A pool of `threads` threads; 0 for one per core.
///
/// # Errors
/// `Device`, naming the limit, when they cannot be started.
pub fn thread_pool(threads: usize) -> Result<rayon::ThreadPool> {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().map_err(refused_threads)
}

/// Sizes the pool that all parallel work uses by default; 0 for one thread per core.
///
/// # Errors
/// As [`thread_pool`].
pub fn global_pool(threads: usize) -> Result<()> {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().map_err(refused_threads)
}

/// A thread that could not be started.
pub fn refused_threads(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    let shown = |limit: Option<u64>| limit.map_or_else(|| "unlimited".to_owned(), |n| n.to_string());
    let processes = shown(getrlimit(Resource::Nproc).current);
    let space = shown(getrlimit(Resource::As).current);
    let group = std::fs::read_to_string("/sys/fs/cgroup/pids.max").or_else(|_| std::fs::read_to_string("/sys/fs/cgroup/pids/pids.max"));
    let group = group.map_or_else(|_| String::new(), |text| format!(", pids.max of the container {}", text.trim()));
    Error::device("cannot start the threads of this command")
        .because(format!("limits: processes and threads (ulimit -u) {processes}, address space (ulimit -v) {space} bytes{group}"))
        .next("raise the limit, or ask for fewer threads (--threads, --workers or --jobs, whichever this command has)")
        .source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_of_threads_are_refused_with_the_bound() {
        assert!(check_threads("--threads", most_threads()).is_ok());
        let error = check_threads("--threads", 5000).unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().starts_with("--threads 5000: at most "), "{error}");
    }

    #[test]
    fn a_refused_thread_names_the_limits() {
        let error = refused_threads(std::io::Error::from_raw_os_error(11));
        assert!(error.exit_code() == 71 && error.to_string().contains("ulimit -u"), "{error}");
    }
}
