//! The CUDA side: the compiled kernels inside the program, the launch boundary with the emulator and the GPU behind it, the host side of
//! each kernel, and what the driver says about the machine.
//!
//! | file | what |
//! |---|---|
//! | [`launch`] | the boundary: [`launch::Driver`], typed kernels with their arguments |
//! | [`handles`] | one type a kernel, generated from its signature |
//! | [`memory`] | typed arrays in device memory |
//! | [`images`] | the compiled kernels, the choice among them, the hashes of their sources |
//! | [`gpu`] | the kernels on a GPU |
//! | `emulated` | the kernels on this CPU (feature `emulator`) |
//! | [`timed`], [`recorder`], [`guarded`] | drivers that can be measured, that remember what was launched, that guard what was allocated |
//! | the subjects | shapes to grids, tiles and arguments; each launches its kernels |
//! | [`update`], `update_rules` | the optimizer's step: the state of updates on the device, and which kernel is which rule's |
//!
//! Nothing here needs a GPU or the driver to link or to start; the driver is loaded when it is asked for.

mod account;
mod arguments;
pub mod augment;
pub mod backend;
pub mod conv;
pub mod conv_stem;
mod driver;
mod element;
pub mod elementwise;
#[cfg(feature = "emulator")]
pub mod emulated;
pub mod gemm;
pub mod gpu;
pub mod guarded;
pub mod handles;
pub mod images;
pub mod launch;
pub mod loss;
pub mod memory;
pub mod norm;
pub mod paper;
pub mod pool;
pub mod recorder;
pub mod stream;
pub mod timed;
pub mod update;
mod update_rules;

pub use element::Element;
pub use images::{KERNELS, KernelImage};

use crate::error::{Error, Result};
use cudarc::driver::CudaContext;
use timed::Properties;

/// The GPUs the driver offers.
///
/// # Errors
/// `Device` if there is no driver or it does not answer.
pub fn gpus() -> Result<Vec<Properties>> {
    gpu::need_driver()?;
    let failed = |e: cudarc::driver::DriverError| Error::device("the CUDA driver does not answer").source(e).next("nvidia-smi");
    let count = CudaContext::device_count().map_err(failed)?;
    (0..count).map(|i| CudaContext::new(i as usize).and_then(|context| gpu::properties(&context)).map_err(failed)).collect()
}
