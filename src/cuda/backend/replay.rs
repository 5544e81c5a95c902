//! Recorded work: a graph of the driver, and the memory it counts on.

use super::Cuda;
use super::reserve::Lease;
use crate::backend::{Launched, Replay};
use crate::cuda::Element;
use crate::cuda::stream::Stream;
use crate::error::{Error, Result};

/// A graph, with what must be true of memory when it runs.
pub struct Recording<D: Stream> {
    graph: D::Graph,
    /// Blocks that nobody may use meanwhile.
    free: Vec<u64>,
    /// Blocks that must be as they were, where the driver knows which are used.
    held: Vec<Lease>,
}

impl<D: Stream, T: Element> Replay for Cuda<D, T> {
    type Recording = Recording<D>;

    fn records(&self) -> bool {
        self.records
    }

    fn record(&self, work: &mut dyn FnMut() -> Result<()>) -> Result<Recording<D>> {
        self.driver.begin_recording()?;
        self.reserve.begin_noting();
        let done = work();
        let graph = self.driver.end_recording();
        let free = self.reserve.end_noting();
        done?;
        let graph = graph?;
        let held = self.reserve.lasting(&D::addresses(&graph));
        Ok(Recording { graph, free, held })
    }

    fn time_launches(&self, work: &mut dyn FnMut() -> Result<()>) -> Result<Option<Vec<Launched>>> {
        self.driver.time_launches(work)
    }

    fn replay(&self, recording: &Recording<D>) -> Result<()> {
        if let Some(address) = self.reserve.conflict(&recording.free, &recording.held) {
            return Err(Error::internal("recorded work would use memory that now holds something else")
                .at(format!("device address {address:#x}"))
                .because("a buffer was kept from one step to the next, or one that the work reads was given back"));
        }
        self.driver.replay(&recording.graph)
    }
}
