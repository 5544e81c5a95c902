//! The CUDA side. So far: the compiled kernels inside the program, the launch boundary with the emulator behind it, the host side of
//! each kernel, and what the driver says about the machine.
//!
//! | file | what |
//! |---|---|
//! | [`launch`] | the boundary: [`launch::Driver`], typed kernels with their arguments |
//! | [`handles`] | one type a kernel, generated from its signature |
//! | [`memory`] | typed arrays in device memory |
//! | `emulated` | the kernels on this CPU (feature `emulator`) |
//! | the subjects | shapes to grids, tiles and arguments; each launches its kernels |
//!
//! Nothing here needs a GPU or the driver to link or to start; the driver is loaded when it is asked for.

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
pub mod handles;
pub mod launch;
pub mod loss;
pub mod memory;
pub mod norm;
pub mod pool;
pub mod stream;

pub use element::Element;

use crate::error::{Error, Result};
use cudarc::driver::CudaContext;

/// One kernel file compiled for one target.
#[derive(Clone, Copy, Debug)]
pub struct KernelImage {
    /// The file's name without `.cu`.
    pub name: &'static str,
    /// `sm_90a` for a cubin, `ptx` for the fallback.
    pub target: &'static str,
    pub bytes: &'static [u8],
}

/// What build.rs compiled; empty where there was no nvcc.
pub static KERNELS: &[KernelImage] = &include!(concat!(env!("OUT_DIR"), "/kernels.rs"));

/// One GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gpu {
    pub name: String,
    /// Compute capability, such as (9, 0).
    pub capability: (i32, i32),
    pub memory_bytes: usize,
}

/// The GPUs the driver offers.
///
/// # Errors
/// `Device` if there is no driver or it does not answer.
pub fn gpus() -> Result<Vec<Gpu>> {
    // cudarc panics at the first driver call where the library is missing.
    if !driver::is_present() {
        return Err(Error::device("no CUDA driver").because("libcuda was not found").next("--device cpu, or install NVIDIA's driver"));
    }
    let failed = |e: cudarc::driver::DriverError| Error::device("the CUDA driver does not answer").source(e).next("nvidia-smi");
    let count = CudaContext::device_count().map_err(failed)?;
    (0..count)
        .map(|i| {
            let context = CudaContext::new(i as usize).map_err(failed)?;
            Ok(Gpu {
                name: context.name().map_err(failed)?,
                capability: context.compute_capability().map_err(failed)?,
                memory_bytes: context.total_mem().map_err(failed)?,
            })
        })
        .collect()
}

/// Why `--device cuda` cannot train here.
pub fn unavailable() -> Error {
    match gpus() {
        Err(error) => error,
        Ok(gpus) if gpus.is_empty() => Error::device("the CUDA driver offers no GPU").next("nvidia-smi, or --device cpu"),
        Ok(gpus) => Error::device("this version has no CUDA backend yet")
            .at(gpus[0].name.clone())
            .because("its kernels are being written; training runs on the CPU")
            .next("--device cpu"),
    }
}
