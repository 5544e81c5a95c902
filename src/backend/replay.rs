//! Work that is recorded once and repeated without the host: the training step as one CUDA graph.

use super::Memory;
use crate::error::Result;

pub trait Replay: Memory {
    /// Recorded work, and the memory it takes while it runs.
    type Recording: Send;

    /// Whether this device gains by recording. If not, `record` is never called.
    fn records(&self) -> bool;

    /// Records what `work` would do, without doing it. Everything that changes between repetitions must be in device memory that stays
    /// where it is; `work` must not read from the device.
    fn record(&self, work: &mut dyn FnMut() -> Result<()>) -> Result<Self::Recording>;

    /// Does the recorded work.
    fn replay(&self, recording: &Self::Recording) -> Result<()>;
}
