//! `--device`, `--precision` and `--threads`. The only place that chooses a backend.

use super::output::remark;
use crate::backend::Backend;
use crate::cpu::Cpu;
use crate::cuda::backend::Cuda;
#[cfg(feature = "emulator")]
use crate::cuda::emulated::{Emulator, Schedule};
use crate::cuda::gpu::{Gpu, need_driver};
use crate::cuda::images;
use crate::cuda::stream::Stream;
use crate::cuda::timed::Timed;
use crate::error::{Error, Result};
use crate::fit::Demand;
use crate::limits::{check_threads, global_pool};
use crate::text::counted;
use crate::train::config::Precision;

/// What `--device` came to.
#[derive(Clone)]
pub enum Device {
    Cpu,
    Cuda(Gpu),
    /// The CUDA kernels, run by the emulator on this CPU.
    #[cfg(feature = "emulator")]
    Emulated(Emulator),
}

/// Something to do on whatever backend was chosen.
pub trait Job {
    type Output;
    fn run<B: Backend>(self, backend: B) -> Result<Self::Output>;
}

impl Device {
    pub fn describe(&self, precision: Precision) -> String {
        format!("{}, {}", self.name(), precision.name())
    }

    /// What it is.
    pub fn name(&self) -> String {
        match self {
            Self::Cpu => format!("CPU, {}", counted(rayon::current_num_threads() as u64, "thread")),
            Self::Cuda(gpu) => gpu.describe(),
            #[cfg(feature = "emulator")]
            Self::Emulated(_) => "emulated GPU".to_owned(),
        }
    }

    /// Why it is not a GPU, where `--device` was `asked` and left that open.
    pub fn why(&self, asked: &str) -> Option<String> {
        let (Self::Cpu, "auto") = (self, asked) else { return None };
        let error = open_gpu(0).err()?;
        let report = error.report();
        let cause = report.cause.as_ref().map_or_else(String::new, |cause| format!(", {cause}"));
        Some(format!("no GPU: {}{cause}", report.what))
    }

    /// `--precision`, or what the device computes in by itself.
    ///
    /// # Errors
    /// `Usage` for one that it does not.
    pub fn precision(&self, asked: Option<Precision>) -> Result<Precision> {
        match (self, asked) {
            (Self::Cpu, Some(Precision::Bf16)) => {
                Err(Error::usage("the CPU computes in fp32 only").at("--precision bf16").next("--precision fp32"))
            }
            (Self::Cpu, _) => Ok(Precision::Fp32),
            (Self::Cuda(_), asked) => Ok(asked.unwrap_or(Precision::Bf16)),
            #[cfg(feature = "emulator")]
            (Self::Emulated(_), asked) => Ok(asked.unwrap_or(Precision::Bf16)),
        }
    }

    /// Refuses a run for which the device has no room, before it begins.
    ///
    /// # Errors
    /// `Device`, with the largest batch that fits.
    pub fn check_room(&self, demand: &Demand<'_>) -> Result<()> {
        let (free, properties) = match self {
            Self::Cpu => return Ok(()),
            Self::Cuda(gpu) => (gpu.free_memory()?, gpu.properties()),
            #[cfg(feature = "emulator")]
            Self::Emulated(emulator) => (emulator.free_memory()?, emulator.properties()),
        };
        free.map_or(Ok(()), |free| demand.check(free, properties))
    }

    /// Does `job` on this device.
    ///
    /// # Errors
    /// Those of the device and of the job.
    pub fn run<J: Job>(&self, precision: Precision, job: J) -> Result<J::Output> {
        match (self, precision) {
            (Self::Cpu, _) => job.run(Cpu::<f32>::new()),
            (Self::Cuda(gpu), Precision::Fp32) => job.run(Cuda::<_, f32>::new(gpu.clone())?),
            (Self::Cuda(gpu), Precision::Bf16) => job.run(Cuda::<_, half::bf16>::new(gpu.clone())?),
            #[cfg(feature = "emulator")]
            (Self::Emulated(emulator), Precision::Fp32) => job.run(Cuda::<_, f32>::new(emulator.clone())?),
            #[cfg(feature = "emulator")]
            (Self::Emulated(emulator), Precision::Bf16) => job.run(Cuda::<_, half::bf16>::new(emulator.clone())?),
        }
    }
}

/// `auto` is the first GPU that this program has kernels for, or the CPU.
///
/// # Errors
/// `Device` for a GPU that cannot be used, `Usage` for a name that is none.
pub fn open_device(name: &str) -> Result<Device> {
    match name {
        "cpu" => Ok(Device::Cpu),
        "auto" => Ok(open_gpu(0).map_or_else(|error| cpu_instead(&error), Device::Cuda)),
        #[cfg(feature = "emulator")]
        "emulated" => emulated().map(Device::Emulated),
        #[cfg(not(feature = "emulator"))]
        "emulated" => Err(Error::usage("this program was built without the emulator")
            .at("--device emulated")
            .next("cargo build --release --features emulator, or --device cpu")),
        _ => match cuda_ordinal(name) {
            Some(ordinal) => open_gpu(ordinal).map(Device::Cuda),
            None => Err(unknown_device(name, "auto, cpu, cuda, cuda:N, emulated")),
        },
    }
}

/// The CPU, said aloud where there is a driver and so, one would think, a GPU.
fn cpu_instead(error: &Error) -> Device {
    if need_driver().is_ok() {
        remark!("the CPU is used: {error}");
    }
    Device::Cpu
}

/// The emulator, with as much memory as `IMAGENET_ENGINE_EMULATED_MIB` says: running out of it can then be tried without a GPU.
#[cfg(feature = "emulator")]
fn emulated() -> Result<Emulator> {
    const ROOM: &str = "IMAGENET_ENGINE_EMULATED_MIB";
    let emulator = Emulator::new(Schedule::default());
    let Ok(text) = std::env::var(ROOM) else { return Ok(emulator) };
    let mib: usize = text.parse().map_err(|e| Error::usage(format!("{ROOM}={text} is no number of MiB")).source(e))?;
    Ok(emulator.with_memory(mib << 20))
}

/// A GPU whose kernels are in this program.
///
/// # Errors
/// `Device`.
pub fn open_gpu(ordinal: usize) -> Result<Gpu> {
    let gpu = Gpu::open(ordinal)?;
    images::choose(images::KERNELS, "conv_fprop", gpu.properties().capability)?;
    Ok(gpu)
}

/// N of `cuda:N`, 0 of `cuda`.
pub fn cuda_ordinal(name: &str) -> Option<usize> {
    if name == "cuda" { Some(0) } else { name.strip_prefix("cuda:").and_then(|n| n.parse::<u32>().ok()).map(|n| n as usize) }
}

pub fn unknown_device(name: &str, known: &str) -> Error {
    Error::usage(format!("unknown device '{name}'")).at("--device").next(format!("one of: {known}"))
}

/// Starts the CPU thread pool, by default with one thread per core.
///
/// # Errors
/// `Usage` for no threads or too many; `Device` when they cannot be started.
pub fn set_threads(threads: Option<usize>) -> Result<()> {
    if threads == Some(0) {
        return Err(Error::usage("--threads 0: at least one thread is needed"));
    }
    check_threads("--threads", threads.unwrap_or(1))?;
    global_pool(threads.unwrap_or(0))
}
