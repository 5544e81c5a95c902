//! What a training step needs of a device beside launches: work that is not waited for, and work that is recorded once and repeated.

use super::timed::Timed;
use crate::error::Result;

/// A driver that a whole step can run on. Like launches, everything here happens in the order of the calls.
pub trait Stream: Timed {
    /// Launches, copies and fills recorded, to be repeated.
    type Graph: Send;
    /// Bytes on their way to the host.
    type Arriving: Send;

    /// For people.
    fn describe(&self) -> String;

    /// Bytes that nobody holds, where the device tells.
    fn free_memory(&self) -> Result<Option<usize>>;

    /// Copies `host` to the device without waiting; the copy comes before everything launched later.
    fn stage(&self, address: u64, host: &[u8]) -> Result<()>;
    /// Copies within the device.
    fn copy(&self, from: u64, to: u64, bytes: usize) -> Result<()>;
    /// Fills with zeros.
    fn zero(&self, address: u64, bytes: usize) -> Result<()>;
    /// Sends what the memory holds after everything launched before, without waiting.
    fn send(&self, address: u64, bytes: usize) -> Result<Self::Arriving>;
    /// What was sent, once, if it has come or after waiting for it.
    fn arrived(&self, arriving: &mut Self::Arriving, wait: bool) -> Result<Option<Vec<u8>>>;

    /// From here on launches, copies within the device and fills are recorded instead of done; other calls but allocations are errors.
    fn begin_recording(&self) -> Result<()>;
    /// What was recorded. Ends the recording even if it fails.
    fn end_recording(&self) -> Result<Self::Graph>;
    /// Does what was recorded.
    fn replay(&self, graph: &Self::Graph) -> Result<()>;
    /// Values among the recorded arguments that may be addresses. Empty where the driver does not know them.
    fn addresses(graph: &Self::Graph) -> Vec<u64>;
}
