//! How long jobs tell what they are doing, without the library ever printing. The command line implements it.

/// Receives the progress of one job. Called from many threads.
pub trait Progress: Sync {
    /// A job of `total` units named `what` begins (again).
    fn start(&self, what: &str, total: u64);
    /// `units` more are done.
    fn advance(&self, units: u64);
    /// The job is over.
    fn finish(&self);
    /// One line worth reading.
    fn note(&self, line: &str);
}

/// Says nothing.
pub struct Silent;

impl Progress for Silent {
    fn start(&self, _: &str, _: u64) {}
    fn advance(&self, _: u64) {}
    fn finish(&self) {}
    fn note(&self, _: &str) {}
}
