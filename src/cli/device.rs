//! `--device` and `--threads`. The only place that chooses a backend.

use crate::cuda;
use crate::error::{Error, Result};

/// What `--device` came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    Cpu,
}

impl Device {
    pub fn describe(self) -> String {
        match self {
            Self::Cpu => format!("cpu, {} threads, fp32", rayon::current_num_threads()),
        }
    }
}

/// # Errors
/// `Device` for a GPU that cannot be used, `Usage` for a name that is none.
pub fn open_device(name: &str) -> Result<Device> {
    match name {
        "auto" | "cpu" => Ok(Device::Cpu),
        "emulated" => Err(Error::usage("this build has no emulator").at("--device emulated").next("--device cpu")),
        _ if name == "cuda" || name.strip_prefix("cuda:").is_some_and(|n| n.parse::<u32>().is_ok()) => Err(cuda::unavailable()),
        _ => Err(Error::usage(format!("unknown device '{name}'")).at("--device").next("one of: auto, cpu, cuda, cuda:N, emulated")),
    }
}

/// Sizes the CPU thread pool.
///
/// # Errors
/// `Usage` for no threads, `Internal` if the pool is already running.
pub fn set_threads(threads: Option<usize>) -> Result<()> {
    match threads {
        None => Ok(()),
        Some(0) => Err(Error::usage("at least one thread is needed").at("--threads")),
        Some(n) => rayon::ThreadPoolBuilder::new()
            .num_threads(n)
            .build_global()
            .map_err(|e| Error::internal("the thread pool cannot be sized").at("--threads").source(e)),
    }
}
