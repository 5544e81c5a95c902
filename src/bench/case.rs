//! A case: one operation on one shape, and the arrays it works on.

use crate::cuda::Element;
use crate::cuda::handles::{NoiseBf16, NoiseF32};
use crate::cuda::launch::{Dims, PtrMut, launch};
use crate::cuda::memory::Array;
use crate::cuda::timed::Timed;
use crate::error::Result;
use bytemuck::Pod;
use half::bf16;

type Prepare<D> = Box<dyn Fn(&D) -> Result<Prepared>>;

/// What can be measured. Its arrays exist only while it is.
pub struct Case<D> {
    pub op: String,
    pub shape: String,
    /// Which of the kernels that do this job.
    pub variant: &'static str,
    /// Times per training step; 0 for what a step does not use.
    pub times: usize,
    prepare: Prepare<D>,
}

/// Ready to run, as often as one likes.
pub struct Prepared {
    /// Floating-point operations that the result needs, a multiply-add counted as two.
    pub flop: f64,
    /// Bytes that must be moved, each array once a pass over it; see [`Operands`].
    pub bytes: f64,
    pub run: Box<dyn FnMut() -> Result<()>>,
}

impl<D: Timed> Case<D> {
    pub fn new(op: impl Into<String>, shape: impl Into<String>, prepare: impl Fn(&mut Operands<D>) -> Result<Job> + 'static) -> Self {
        let prepare = move |driver: &D| {
            let mut operands = Operands::new(driver);
            let job = prepare(&mut operands)?;
            Ok(Prepared { flop: job.flop, bytes: operands.bytes as f64, run: job.run })
        };
        Self { op: op.into(), shape: shape.into(), variant: "", times: 0, prepare: Box::new(prepare) }
    }

    #[must_use]
    pub fn times(self, times: usize) -> Self {
        Self { times, ..self }
    }

    #[must_use]
    pub fn variant(self, variant: &'static str) -> Self {
        Self { variant, ..self }
    }

    /// What `--only` is looked for in.
    pub fn label(&self) -> String {
        format!("{} {} {}", self.op, self.shape, self.variant).trim_end().to_owned()
    }

    /// # Errors
    /// Of the allocations.
    pub fn prepare(&self, driver: &D) -> Result<Prepared> {
        (self.prepare)(driver)
    }
}

/// The launches of a case, and the operations of its result.
pub struct Job {
    flop: f64,
    run: Box<dyn FnMut() -> Result<()>>,
}

impl Job {
    /// Bound by memory alone.
    pub fn moving(run: impl FnMut() -> Result<()> + 'static) -> Self {
        Self::computing(0, run)
    }

    pub fn computing(flop: u64, run: impl FnMut() -> Result<()> + 'static) -> Self {
        Self { flop: flop as f64, run: Box::new(run) }
    }
}

/// Allocates a case's arrays and counts the bytes its kernels cannot do without.
pub struct Operands<D> {
    pub driver: D,
    bytes: usize,
}

const THREADS: u32 = 256;
/// Enough to fill any GPU; the kernels loop.
const MOST_BLOCKS: usize = 1 << 12;

impl<D: Timed> Operands<D> {
    pub fn new(driver: &D) -> Self {
        Self { driver: driver.clone(), bytes: 0 }
    }

    /// Read once: noise.
    pub fn read<T: Element>(&mut self, len: usize) -> Result<Array<T, D>> {
        self.pass::<T>(len);
        self.noise(len)
    }

    /// Written once; of unspecified content before.
    pub fn write<T: Pod>(&mut self, len: usize) -> Result<Array<T, D>> {
        self.pass::<T>(len);
        Array::new(&self.driver, len)
    }

    /// Read once, of `host`'s content.
    pub fn given<T: Pod>(&mut self, host: &[T]) -> Result<Array<T, D>> {
        self.pass::<T>(host.len());
        Array::from_host(&self.driver, host)
    }

    /// A kernel's own, not counted.
    pub fn scratch<T: Pod>(&self, len: usize) -> Result<Array<T, D>> {
        Array::new(&self.driver, len)
    }

    /// A kernel's own, which begins as zeros, not counted.
    pub fn zeros<T: Pod>(&self, len: usize) -> Result<Array<T, D>> {
        let array = Array::new(&self.driver, len)?;
        self.driver.fill(array.address(), 0, len * size_of::<T>())?;
        Ok(array)
    }

    /// Counts a pass over `len` elements.
    pub fn pass<T>(&mut self, len: usize) {
        self.bytes += len * size_of::<T>();
    }

    /// Numbers between a half and two of either sign, not counted.
    pub fn noise<T: Element>(&self, len: usize) -> Result<Array<T, D>> {
        // bf16 is written in pairs
        let mut array = Array::<T, D>::new(&self.driver, len.next_multiple_of(2))?;
        let words = array.len() * size_of::<T>() / 4;
        let (count, seed) = (words as u64, len as u32);
        let dims = Dims::linear(words.min(MOST_BLOCKS * THREADS as usize), THREADS)?;
        let out: PtrMut<u32> = array.ptr_mut().cast();
        if size_of::<T>() == size_of::<bf16>() {
            launch(&self.driver, &dims, &NoiseBf16 { out, count, seed })?;
        } else {
            launch(&self.driver, &dims, &NoiseF32 { out, count, seed })?;
        }
        Ok(array)
    }
}
