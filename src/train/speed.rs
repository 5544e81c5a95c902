//! Images per second over a stretch of a run.

use std::time::Duration;

/// Images over time.
#[derive(Default)]
pub struct Speed {
    pub images: u64,
    pub time: Duration,
    /// What is said where no time has passed.
    pub before: f64,
}

impl Speed {
    pub fn add(&mut self, images: u64, time: Duration) {
        self.images += images;
        self.time += time;
    }

    pub fn rate(&self) -> f64 {
        if self.time.is_zero() { self.before } else { self.images as f64 / self.time.as_secs_f64() }
    }
}
