//! A driver that remembers which kernels were launched, and how: for records of what ran, and for tests of launches.

use super::launch::{Dims, Driver, KernelInfo};
use super::timed::{Properties, Timed};
use crate::backend::Launched;
use crate::error::Result;
use std::ffi::c_void;
use std::sync::{Arc, Mutex, PoisonError};

/// `D`, with every successful launch noted. Clones share the list.
#[derive(Clone)]
pub struct Recorder<D> {
    inner: D,
    launches: Arc<Mutex<Vec<(KernelInfo, Dims)>>>,
}

impl<D> Recorder<D> {
    pub fn new(inner: D) -> Self {
        Self { inner, launches: Arc::default() }
    }

    pub fn inner(&self) -> &D {
        &self.inner
    }

    /// What was launched since the last call, each kernel with the same dimensions once, in order of first launch.
    pub fn take(&self) -> Vec<(KernelInfo, Dims)> {
        std::mem::take(&mut self.launches.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<D: Driver> Driver for Recorder<D> {
    fn allocate(&self, bytes: usize) -> Result<u64> {
        self.inner.allocate(bytes)
    }

    fn free(&self, address: u64) {
        self.inner.free(address);
    }

    fn write(&self, address: u64, host: &[u8]) -> Result<()> {
        self.inner.write(address, host)
    }

    fn read(&self, address: u64, host: &mut [u8]) -> Result<()> {
        self.inner.read(address, host)
    }

    unsafe fn launch(&self, kernel: &KernelInfo, dims: &Dims, arguments: &[*const c_void]) -> Result<()> {
        // SAFETY: the caller vouches for `arguments`, which go on as they came.
        unsafe { self.inner.launch(kernel, dims, arguments) }?;
        let mut launches = self.launches.lock().unwrap_or_else(PoisonError::into_inner);
        if !launches.iter().any(|(k, d)| k == kernel && d == dims) {
            launches.push((*kernel, *dims));
        }
        Ok(())
    }
}

impl<D: Timed> Timed for Recorder<D> {
    fn properties(&self) -> &Properties {
        self.inner.properties()
    }

    fn has_wgmma(&self, file: &str) -> bool {
        self.inner.has_wgmma(file)
    }

    fn fill(&self, address: u64, byte: u8, bytes: usize) -> Result<()> {
        self.inner.fill(address, byte, bytes)
    }

    fn synchronize(&self) -> Result<()> {
        self.inner.synchronize()
    }

    fn time(
        &self,
        repeats: usize,
        before: &mut dyn FnMut() -> Result<()>,
        work: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Option<Vec<f64>>> {
        self.inner.time(repeats, before, work)
    }

    fn time_launches(&self, work: &mut dyn FnMut() -> Result<()>) -> Result<Option<Vec<Launched>>> {
        self.inner.time_launches(work)
    }
}
