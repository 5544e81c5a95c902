//! `doctor`: what this machine has, and what to fix.

use super::Outcome;
use super::output::out;
use crate::cuda;
use crate::error::Result;

#[derive(Clone, Debug, clap::Args)]
pub struct Args {}

/// # Errors
/// None so far: what is missing is told, not failed on.
pub fn run(_: &Args) -> Result<Outcome> {
    out!("cpu      {} threads", rayon::current_num_threads());
    match cuda::gpus() {
        Ok(gpus) if gpus.is_empty() => out!("gpu      none offered by the driver"),
        Ok(gpus) => {
            for (i, gpu) in gpus.iter().enumerate() {
                let gib = gpu.memory_bytes as f64 / f64::from(1 << 30);
                out!("gpu {i}    {}, compute capability {}.{}, {gib:.1} GiB", gpu.name, gpu.capability.0, gpu.capability.1);
            }
        }
        Err(error) => out!("gpu      {}", error.to_string().replace('\n', "\n       ")),
    }
    match cuda::KERNELS {
        [] => out!("kernels  none built in: nvcc was not found when this program was built (set NVCC or CUDA_HOME and build again)"),
        images => {
            let list: Vec<_> = images.iter().map(|k| format!("{}.{} ({} bytes)", k.name, k.target, k.bytes.len())).collect();
            out!("kernels  {}", list.join(", "));
        }
    }
    Ok(Outcome::Done)
}
