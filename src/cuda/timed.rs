//! Drivers that can be measured: what their device is, and how long work on it took.

use super::launch::Driver;
use crate::backend::Launched;
use crate::error::Result;

/// What a driver says of its device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    pub name: String,
    /// The driver's version.
    pub driver: String,
    pub capability: (i32, i32),
    pub multiprocessors: usize,
    /// At most, of the multiprocessors and of the memory.
    pub clock_mhz: usize,
    pub memory_clock_mhz: usize,
    pub memory_bus_bits: usize,
    pub memory_bytes: usize,
    pub l2_bytes: usize,
    /// Shared memory that a block may ask for.
    pub shared_bytes: usize,
}

/// The name of a device that is none.
pub const EMULATOR: &str = "emulator";

/// A driver that can time what it runs.
pub trait Timed: Driver {
    fn properties(&self) -> &Properties;
    /// Whether kernels/`file`.cu runs from code for sm_90a.
    fn has_wgmma(&self, file: &str) -> bool;
    /// Sets `bytes` bytes from `address` on.
    fn fill(&self, address: u64, byte: u8, bytes: usize) -> Result<()>;
    /// Waits for everything launched.
    fn synchronize(&self) -> Result<()>;
    /// Runs `before` and `work` in turn, `repeats` times, and gives the seconds that the device spent in each `work`; none where that
    /// would say nothing about a GPU.
    ///
    /// # Errors
    /// Of `before` and `work`, of what they launched, and of the clock.
    fn time(
        &self,
        repeats: usize,
        before: &mut dyn FnMut() -> Result<()>,
        work: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Option<Vec<f64>>>;
    /// Does `work`, and gives its launches, in order; none where their time would say nothing about a GPU. What is recorded and replayed is no launch.
    ///
    /// # Errors
    /// As [`Timed::time`].
    fn time_launches(&self, work: &mut dyn FnMut() -> Result<()>) -> Result<Option<Vec<Launched>>>;
}
