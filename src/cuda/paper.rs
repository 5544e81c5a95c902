//! A device of paper: it gives out addresses, runs nothing, and remembers. What a step takes of memory and launches on a device is found
//! out by running the step's own host code on it, in milliseconds and without a GPU.

use super::account::Account;
use super::launch::{Dims, Driver, KernelInfo};
use super::stream::Stream;
use super::timed::{Properties, Timed};
use crate::backend::Launched;
use crate::error::{Error, Result};
use std::ffi::c_void;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Where addresses begin: none is null.
const FIRST: u64 = 1 << 20;

#[derive(Default)]
struct State {
    next: u64,
    account: Account,
}

/// A handle; clones are the same device.
#[derive(Clone)]
pub struct Paper {
    properties: Arc<Properties>,
    state: Arc<Mutex<State>>,
}

impl Paper {
    /// As divided into multiprocessors as the device of `properties`.
    pub fn new(properties: &Properties) -> Self {
        Self { properties: Arc::new(properties.clone()), state: Arc::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner) // no invariant spans two statements that may panic
    }

    /// With so many bytes of memory, as a GPU has.
    #[must_use]
    pub fn with_memory(self, bytes: usize) -> Self {
        self.state().account.limit = Some(bytes);
        self
    }

    /// The most bytes that were allocated at one time.
    pub fn peak(&self) -> usize {
        self.state().account.peak
    }
}

impl Driver for Paper {
    fn allocate(&self, bytes: usize) -> Result<u64> {
        let mut state = self.state();
        if !state.account.has_room(bytes) {
            return Err(Error::device(format!("no room for {bytes} bytes")).at("device of paper"));
        }
        let address = FIRST + state.next;
        state.next += bytes.next_multiple_of(256).max(256) as u64;
        state.account.allocated(address, bytes);
        Ok(address)
    }

    fn free(&self, address: u64) {
        self.state().account.freed(address);
    }

    fn write(&self, _address: u64, _host: &[u8]) -> Result<()> {
        Ok(())
    }

    fn read(&self, _address: u64, host: &mut [u8]) -> Result<()> {
        host.fill(0);
        Ok(())
    }

    /// # Safety
    /// SAFETY: none is needed; the arguments are not looked at.
    unsafe fn launch(&self, _kernel: &KernelInfo, _dims: &Dims, _arguments: &[*const c_void]) -> Result<()> {
        Ok(())
    }
}

impl Timed for Paper {
    fn properties(&self) -> &Properties {
        &self.properties
    }

    fn has_wgmma(&self, _file: &str) -> bool {
        self.properties.capability == (9, 0)
    }

    fn fill(&self, _address: u64, _byte: u8, _bytes: usize) -> Result<()> {
        Ok(())
    }

    fn synchronize(&self) -> Result<()> {
        Ok(())
    }

    fn time(
        &self,
        _repeats: usize,
        _before: &mut dyn FnMut() -> Result<()>,
        _work: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Option<Vec<f64>>> {
        Ok(None)
    }

    fn time_launches(&self, work: &mut dyn FnMut() -> Result<()>) -> Result<Option<Vec<Launched>>> {
        work().map(|()| None)
    }
}

impl Stream for Paper {
    type Graph = ();
    type Arriving = usize;

    fn describe(&self) -> String {
        self.properties.name.clone()
    }

    fn free_memory(&self) -> Result<Option<usize>> {
        Ok(self.state().account.free())
    }

    fn stage(&self, _address: u64, host: &[u8]) -> Result<()> {
        self.state().account.staged(host.len());
        Ok(())
    }

    fn copy(&self, _from: u64, _to: u64, _bytes: usize) -> Result<()> {
        Ok(())
    }

    fn zero(&self, _address: u64, _bytes: usize) -> Result<()> {
        Ok(())
    }

    fn send(&self, _address: u64, bytes: usize) -> Result<usize> {
        Ok(bytes)
    }

    fn arrived(&self, arriving: &mut usize, _wait: bool) -> Result<Option<Vec<u8>>> {
        Ok(Some(vec![0; *arriving]))
    }

    fn begin_recording(&self) -> Result<()> {
        Ok(())
    }

    fn end_recording(&self) -> Result<()> {
        Ok(())
    }

    fn replay(&self, _graph: &()) -> Result<()> {
        Ok(())
    }

    fn addresses(_graph: &()) -> Vec<u64> {
        Vec::new()
    }
}
