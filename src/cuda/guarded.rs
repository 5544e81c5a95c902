//! A driver that puts poisoned bytes before, inside and after every allocation, and looks whether those around it are still there.
//!
//! For devices without pages that guard an allocation: a GPU lets a kernel write past an array and into its neighbour. Poison is 0xFF in
//! every byte, which is NaN in f32, f64 and bf16 and -1 in integers: an element that nobody wrote, or that was read from outside, shows in
//! the result. The emulator has guard pages of its own, which see reads too; this wrapper would hide them, so it asks for no room there.

use super::launch::{Dims, Driver, KernelInfo};
use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::ffi::c_void;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const POISON: u8 = 0xFF;
/// Bytes written by one copy.
const PIECE: usize = 1 << 20;

/// `D` with `room` bytes on either side of every allocation. Clones share the list of allocations.
#[derive(Clone)]
pub struct Guarded<D> {
    inner: D,
    room: usize,
    /// Bytes by address, as the user of this driver sees it.
    live: Arc<Mutex<BTreeMap<u64, usize>>>,
}

impl<D: Driver> Guarded<D> {
    /// `room` keeps allocations aligned if it is a multiple of what they are aligned to; 0 is no guard at all.
    pub fn new(inner: D, room: usize) -> Self {
        Self { inner, room, live: Arc::default() }
    }

    pub fn inner(&self) -> &D {
        &self.inner
    }

    fn live(&self) -> MutexGuard<'_, BTreeMap<u64, usize>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner) // a list of addresses stays one even after a panic elsewhere
    }

    fn poison(&self, address: u64, bytes: usize) -> Result<()> {
        let poison = vec![POISON; bytes.min(PIECE)];
        for at in (0..bytes).step_by(PIECE) {
            self.inner.write(address + at as u64, &poison[..(bytes - at).min(PIECE)])?;
        }
        Ok(())
    }

    /// Reads the bytes around everything allocated now.
    ///
    /// # Errors
    /// `Internal` if one has changed, and the device's own.
    pub fn check(&self) -> Result<()> {
        if self.room == 0 {
            return Ok(());
        }
        let mut guard = vec![0; self.room];
        for (&address, &bytes) in &*self.live() {
            let found = |at: usize, place: &str| {
                Error::internal(format!("a kernel wrote {at} bytes {place} an allocation of {bytes} bytes"))
                    .because("its bounds or the size of the array are wrong")
            };
            self.inner.read(address - self.room as u64, &mut guard)?;
            if let Some(at) = guard.iter().rposition(|&b| b != POISON) {
                return Err(found(self.room - at, "before"));
            }
            self.inner.read(address + bytes as u64, &mut guard)?;
            if let Some(at) = guard.iter().position(|&b| b != POISON) {
                return Err(found(at, "after the end of"));
            }
        }
        Ok(())
    }
}

impl<D: Driver> Driver for Guarded<D> {
    fn allocate(&self, bytes: usize) -> Result<u64> {
        if self.room == 0 {
            return self.inner.allocate(bytes);
        }
        let begin = self.inner.allocate(bytes + 2 * self.room)?;
        if let Err(error) = self.poison(begin, bytes + 2 * self.room) {
            self.inner.free(begin);
            return Err(error);
        }
        let address = begin + self.room as u64;
        self.live().insert(address, bytes);
        Ok(address)
    }

    fn free(&self, address: u64) {
        self.live().remove(&address);
        self.inner.free(address - self.room as u64);
    }

    fn write(&self, address: u64, host: &[u8]) -> Result<()> {
        self.inner.write(address, host)
    }

    fn read(&self, address: u64, host: &mut [u8]) -> Result<()> {
        self.inner.read(address, host)
    }

    unsafe fn launch(&self, kernel: &KernelInfo, dims: &Dims, arguments: &[*const c_void]) -> Result<()> {
        // SAFETY: the caller vouches for `arguments`, which go on as they came.
        unsafe { self.inner.launch(kernel, dims, arguments) }
    }
}
