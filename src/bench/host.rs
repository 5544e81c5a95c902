//! What measuring on a CPU needs: its time, which others on the machine cannot take away as they do the clock's, and memory that is ours.

use rustix::time::{ClockId, clock_gettime};
use std::time::Instant;

/// Wall and CPU seconds since the start.
#[derive(Clone, Copy, Debug)]
pub struct Watch {
    began: Instant,
    cpu: f64,
}

/// What went by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spent {
    pub wall_s: f64,
    /// Of all threads of the process, in user and kernel.
    pub cpu_s: f64,
}

fn cpu_seconds() -> f64 {
    let t = clock_gettime(ClockId::ProcessCPUTime);
    t.tv_sec as f64 + t.tv_nsec as f64 * 1e-9
}

impl Watch {
    pub fn start() -> Self {
        Self { began: Instant::now(), cpu: cpu_seconds() }
    }

    pub fn spent(&self) -> Spent {
        Spent { wall_s: self.began.elapsed().as_secs_f64(), cpu_s: cpu_seconds() - self.cpu }
    }
}

/// Bytes of this process that are no file's pages: what a growing loader would grow by. None where Linux does not tell.
pub fn anonymous_bytes() -> Option<u64> {
    of_status(&std::fs::read_to_string("/proc/self/status").ok()?, "RssAnon:")
}

fn of_status(status: &str, key: &str) -> Option<u64> {
    let line = status.lines().find_map(|l| l.strip_prefix(key))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib << 10)
}

/// The middle of several figures, or between the two of an even number.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    let (low, high) = (figures.len().saturating_sub(1) / 2, figures.len() / 2);
    figures.get(low).zip(figures.get(high)).map_or(f64::NAN, |(a, b)| (a + b) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_and_memory_are_told() {
        let watch = Watch::start();
        let held = vec![1u8; 64 << 20];
        assert_eq!(held.iter().map(|&v| u64::from(v)).sum::<u64>(), 64 << 20);
        let spent = watch.spent();
        assert!(spent.cpu_s > 0.0 && spent.wall_s > 0.0);
        assert!(anonymous_bytes().is_none_or(|bytes| bytes > 64 << 20));
        assert_eq!(of_status("VmRSS: 3 kB\nRssAnon:\t  12 kB\n", "RssAnon:"), Some(12 << 10));
        assert_eq!((median(vec![3.0, 1.0, 2.0]), median(vec![4.0, 1.0, 2.0, 9.0])), (2.0, 3.0));
        assert!(median(Vec::new()).is_nan());
    }
}
