//! Recorded work and late results of the emulator: what the host may do when is the same as on a GPU.

use super::Emulator;
use crate::cuda::account::Account;
use crate::cuda::launch::{Dims, KernelInfo};
use crate::cuda::stream::Stream;
use crate::error::{Error, Result};
use std::sync::{MutexGuard, PoisonError};

/// What was sent comes when so many more results have been sent: on a GPU it comes late too.
const LATE: u64 = 2;

/// What the host asked of the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    pub allocations: u64,
    /// Calls that wait for the device.
    pub synchronisations: u64,
    pub launches: u64,
    pub replays: u64,
    /// Copies that do not wait: to the device, to the host.
    pub staged: u64,
    pub sent: u64,
}

/// Something done on the device.
#[derive(Clone, Debug)]
enum Op {
    Launch { kernel: KernelInfo, dims: Dims, arguments: Vec<Vec<u64>> },
    Copy { from: u64, to: u64, bytes: usize },
    Zero { address: u64, bytes: usize },
}

/// Recorded work.
#[derive(Debug)]
pub struct Graph {
    ops: Vec<Op>,
}

/// Bytes sent, and which result they are.
#[derive(Debug)]
pub struct Arriving {
    bytes: Option<Vec<u8>>,
    number: u64,
}

/// The host's side of a device.
#[derive(Default)]
pub(super) struct Host {
    recording: Option<Vec<Op>>,
    calls: Calls,
    pub account: Account,
    /// Results sent so far.
    sent: u64,
}

impl Emulator {
    pub(super) fn side(&self) -> MutexGuard<'_, Host> {
        self.host.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the host asked for since the last look.
    pub fn take_calls(&self) -> Calls {
        std::mem::take(&mut self.side().calls)
    }

    pub(super) fn count(&self, how: impl FnOnce(&mut Calls)) {
        how(&mut self.side().calls);
    }

    pub(super) fn is_recording(&self) -> bool {
        self.side().recording.is_some()
    }

    /// A call that waits for the device.
    pub(super) fn waits(&self, what: &str) -> Result<()> {
        self.count(|calls| calls.synchronisations += 1);
        self.not_recorded(what)
    }

    fn not_recorded(&self, what: &str) -> Result<()> {
        if self.is_recording() {
            return Err(Error::internal(format!("{what} while work is recorded")).at("emulated device"));
        }
        Ok(())
    }

    pub(super) fn record_launch(&self, kernel: &KernelInfo, dims: &Dims, arguments: Vec<Vec<u64>>) {
        if let Some(ops) = &mut self.side().recording {
            ops.push(Op::Launch { kernel: *kernel, dims: *dims, arguments });
        }
    }

    /// Records `op`, or does it.
    fn record(&self, op: Op) -> Result<()> {
        if let Some(ops) = &mut self.side().recording {
            ops.push(op);
            return Ok(());
        }
        self.perform(&op)
    }

    fn perform(&self, op: &Op) -> Result<()> {
        match op {
            Op::Launch { kernel, dims, arguments } => self.launch_recorded(kernel, dims, arguments),
            Op::Copy { from, to, bytes } => {
                let mut held = vec![0; *bytes];
                self.read_now(*from, &mut held)?;
                self.write_now(*to, &held)
            }
            Op::Zero { address, bytes } => self.write_now(*address, &vec![0; *bytes]),
        }
    }
}

impl Stream for Emulator {
    type Graph = Graph;
    type Arriving = Arriving;

    fn describe(&self) -> String {
        "emulated GPU".to_owned()
    }

    fn free_memory(&self) -> Result<Option<usize>> {
        Ok(self.side().account.free())
    }

    fn stage(&self, address: u64, host: &[u8]) -> Result<()> {
        self.count(|calls| calls.staged += 1);
        self.not_recorded("a copy from the host")?;
        self.side().account.staged(host.len());
        self.write_now(address, host)
    }

    fn copy(&self, from: u64, to: u64, bytes: usize) -> Result<()> {
        self.record(Op::Copy { from, to, bytes })
    }

    fn zero(&self, address: u64, bytes: usize) -> Result<()> {
        self.record(Op::Zero { address, bytes })
    }

    fn send(&self, address: u64, bytes: usize) -> Result<Arriving> {
        self.count(|calls| calls.sent += 1);
        self.not_recorded("a copy to the host")?;
        let mut held = vec![0; bytes];
        self.read_now(address, &mut held)?;
        let mut side = self.side();
        side.sent += 1;
        Ok(Arriving { bytes: Some(held), number: side.sent })
    }

    fn arrived(&self, arriving: &mut Arriving, wait: bool) -> Result<Option<Vec<u8>>> {
        let early = self.side().sent < arriving.number + LATE;
        if early && !wait {
            return Ok(None);
        }
        if early && arriving.bytes.is_some() {
            self.waits("waiting for the device")?;
        }
        Ok(arriving.bytes.take())
    }

    fn begin_recording(&self) -> Result<()> {
        self.not_recorded("another recording")?;
        self.side().recording = Some(Vec::new());
        Ok(())
    }

    fn end_recording(&self) -> Result<Graph> {
        let ops = self.side().recording.take();
        ops.map(|ops| Graph { ops }).ok_or_else(|| Error::internal("nothing was being recorded").at("emulated device"))
    }

    fn replay(&self, graph: &Graph) -> Result<()> {
        self.count(|calls| calls.replays += 1);
        self.not_recorded("a replay")?;
        graph.ops.iter().try_for_each(|op| self.perform(op))
    }

    fn addresses(graph: &Graph) -> Vec<u64> {
        let of = |op: &Op| match op {
            Op::Launch { arguments, .. } => arguments.iter().flatten().copied().collect(),
            Op::Copy { from, to, .. } => vec![*from, *to],
            Op::Zero { address, .. } => vec![*address],
        };
        graph.ops.iter().flat_map(of).collect()
    }
}
