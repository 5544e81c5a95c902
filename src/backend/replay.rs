//! Work that is recorded once and repeated without the host: the training step as one CUDA graph.

use super::Memory;
use crate::error::Result;

/// A kernel that was launched, and the device's seconds in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Launched {
    pub kernel: &'static str,
    pub grid: [u32; 3],
    pub seconds: f64,
}

pub trait Replay: Memory {
    /// Recorded work, and the memory it takes while it runs.
    type Recording: Send;

    /// Whether this device gains by recording. If not, `record` is never called.
    fn records(&self) -> bool;

    /// Records what `work` would do, without doing it. Everything that changes between repetitions must be in device memory that stays
    /// where it is; `work` must not read from the device.
    fn record(&self, work: &mut dyn FnMut() -> Result<()>) -> Result<Self::Recording>;

    /// Does `work`, and gives its launches, in order; none where work is no sequence of launches, or
    /// its time says nothing.
    fn time_launches(&self, work: &mut dyn FnMut() -> Result<()>) -> Result<Option<Vec<Launched>>>;

    /// Does the recorded work.
    fn replay(&self, recording: &Self::Recording) -> Result<()>;
}
