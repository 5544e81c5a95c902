//! The kernels behind a driver, as [`Ops`]: arrays to the device, the launches of `cuda`, arrays back, guard bytes looked at.

mod ops;

use super::tolerance::Sums;
use crate::cuda::Element;
use crate::cuda::guarded::Guarded;
use crate::cuda::launch::Driver;
use crate::cuda::memory::Array;
use crate::cuda::recorder::Recorder;
use crate::error::Result;
use bytemuck::Pod;

/// Bytes around every allocation on devices without guard pages: more than a tile of rows, and a multiple of every alignment.
const GUARD_BYTES: usize = 1 << 16;

/// What runs the kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// Has guard pages, fills new memory with NaN, and adds the products of tensor cores in f32, in order.
    Emulator,
    /// Whether the kernels of conformance.cu run from code for sm_90a.
    Gpu { wgmma: bool },
}

/// A driver that notes what was launched and guards what was allocated. Clones share both.
#[derive(Clone)]
pub struct OnDriver<D: Driver> {
    driver: Recorder<Guarded<D>>,
    machine: Machine,
    name: String,
}

/// An array on the device of `D`.
pub(super) type OnDevice<T, D> = Array<T, Recorder<Guarded<D>>>;

impl<D: Driver> OnDriver<D> {
    pub fn new(driver: D, machine: Machine, name: impl Into<String>) -> Self {
        let room = if machine == Machine::Emulator { 0 } else { GUARD_BYTES };
        Self { driver: Recorder::new(Guarded::new(driver, room)), machine, name: name.into() }
    }

    pub fn driver(&self) -> &Recorder<Guarded<D>> {
        &self.driver
    }

    pub(super) fn has_wgmma(&self) -> bool {
        self.machine != Machine::Gpu { wgmma: false }
    }

    /// How the tensor-core kernels sum.
    pub(super) fn tensor_cores(&self) -> Sums {
        if self.machine == Machine::Emulator { Sums::EmulatedTensorCores } else { Sums::TensorCores }
    }

    pub(super) fn raw<T: Pod>(&self, host: &[T]) -> Result<OnDevice<T, D>> {
        Array::from_host(&self.driver, host)
    }

    pub(super) fn up<T: Element>(&self, values: &[f64]) -> Result<OnDevice<T, D>> {
        self.raw(&values.iter().map(|&v| T::of_f64(v)).collect::<Vec<_>>())
    }

    /// Poisoned: by the emulator, or by the guard.
    pub(super) fn output<T: Pod>(&self, len: usize) -> Result<OnDevice<T, D>> {
        Array::new(&self.driver, len)
    }

    /// Holding `start`, or poison.
    pub(super) fn output_from<T: Element>(&self, len: usize, start: Option<&[f64]>) -> Result<OnDevice<T, D>> {
        start.map_or_else(|| self.output(len), |s| self.up(s))
    }

    /// After the launches, with every array still there: what the guard bytes say.
    pub(super) fn check_guards(&self) -> Result<()> {
        self.driver.inner().check()
    }
}

pub(super) fn down<T: Element, D: Driver>(array: &OnDevice<T, D>) -> Result<Vec<f64>> {
    Ok(array.to_host()?.into_iter().map(Element::to_f64).collect())
}
