//! The CUDA backend: the contract of `crate::backend` by the launches of the subjects in `crate::cuda`, on any [`Stream`].
//!
//! Activations and their gradients are `T` (bf16, or f32 for parity); weights, their gradients, statistics and optimizer state are f32.
//! A buffer of weights also holds them rounded to bf16, which convolutions read and the optimizer's kernel keeps in step.
//!
//! Everything runs in one stream, in the order of the calls; memory that is given back may be handed out again at once.

mod augment;
mod conv;
mod elementwise;
mod gemm;
mod loss;
mod memory;
mod norm;
mod pool;
mod replay;
mod reserve;
mod update;
mod view;

pub use augment::Batch;
pub use loss::{Arriving, Metrics};
pub use memory::{Buffer, Bytes, Labels};
pub use replay::Recording;
pub use reserve::Usage;
pub use update::Control;
pub use view::{View, ViewMut};

use super::Element;
use super::stream::Stream;
use crate::error::Result;
use reserve::{Block, Home, Reserve};
use std::marker::PhantomData;
use std::sync::Arc;

/// Blocks of output that one convolution's gradient may be divided into at most; see [`Cuda::tickets`].
const TICKETS: usize = 1 << 16;

/// A GPU, or the emulator, computing in `T`. Clones are handles of the same device and memory.
pub struct Cuda<D: Stream, T> {
    driver: D,
    reserve: Reserve<D>,
    /// Counters of finished blocks, zero between launches: every kernel that counts in them sets them back.
    tickets: Arc<Block<D>>,
    records: bool,
    element: PhantomData<fn() -> T>,
}

impl<D: Stream, T> Clone for Cuda<D, T> {
    fn clone(&self) -> Self {
        Self {
            driver: self.driver.clone(),
            reserve: self.reserve.clone(),
            tickets: self.tickets.clone(),
            records: self.records,
            element: PhantomData,
        }
    }
}

impl<D: Stream, T: Element> Cuda<D, T> {
    /// # Errors
    /// `Device` if there is no memory.
    pub fn new(driver: D) -> Result<Self> {
        let reserve = Reserve::new(&driver);
        let tickets = reserve.take(TICKETS * 4, Home::Lasting)?;
        driver.zero(tickets.address(), TICKETS * 4)?;
        Ok(Self { driver, reserve, tickets: Arc::new(tickets), records: true, element: PhantomData })
    }

    /// The same device, launching every kernel by itself.
    #[must_use]
    pub fn without_recording(self) -> Self {
        Self { records: false, ..self }
    }

    pub fn driver(&self) -> &D {
        &self.driver
    }

    /// Memory in use, at most so far, and taken from the device.
    pub fn usage(&self) -> Usage {
        self.reserve.usage()
    }

    /// Memory for the duration of a launch or two.
    fn scratch(&self, bytes: usize) -> Result<Block<D>> {
        self.reserve.take(bytes, Home::Passing)
    }
}
