//! `doctor`: what this machine has, and what to fix.

use super::Outcome;
use super::device::open_gpu;
use super::output::out;
use super::plot_text::columns;
use super::smi;
use crate::bench::records;
use crate::cuda::images::choose;
use crate::cuda::stream::Stream;
use crate::cuda::timed::{Properties, Timed};
use crate::cuda::{self, KERNELS, handles};
use crate::error::Result;
use crate::text::{count, counted, wrapped};
use std::path::PathBuf;

#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Which kernels a GPU has run since they changed, as Markdown
    #[arg(long)]
    kernels: bool,
    /// Where records are
    #[arg(long, value_name = "DIR", default_value = "benches/records", requires = "kernels")]
    records: PathBuf,
}

/// # Errors
/// `Data` for a damaged record; of the machine none: what is missing is told, not failed on.
pub fn run(args: &Args) -> Result<Outcome> {
    if args.kernels {
        out!("{}", records::listing(&records::read_all(&args.records)?).trim_end());
        return Ok(Outcome::Done);
    }
    out!("cpu      {}", counted(rayon::current_num_threads() as u64, "thread"));
    let gpus = match cuda::gpus() {
        Ok(gpus) => {
            if gpus.is_empty() {
                out!("gpu      none offered by the driver");
            }
            gpus
        }
        Err(error) => {
            out!("gpu      {}", error.to_string().replace('\n', "\n       "));
            Vec::new()
        }
    };
    for (i, gpu) in gpus.iter().enumerate() {
        describe(i, gpu);
        look_at(i);
    }
    images(&gpus);
    Ok(Outcome::Done)
}

fn describe(i: usize, gpu: &Properties) {
    let gib = gpu.memory_bytes as f64 / f64::from(1 << 30);
    let (major, minor) = gpu.capability;
    out!("gpu {i}    {}, compute capability {major}.{minor}, {gib:.1} GiB, {}", gpu.name, gpu.driver);
    out!(
        "         {} multiprocessors at up to {} MHz, L2 {} MiB, memory {} bits at up to {} MHz, {} KiB of shared memory a block",
        gpu.multiprocessors,
        gpu.clock_mhz,
        gpu.l2_bytes >> 20,
        gpu.memory_bus_bits,
        gpu.memory_clock_mhz,
        gpu.shared_bytes >> 10
    );
}

/// What only shows on the device itself, and what to fix.
fn look_at(i: usize) {
    let gpu = match open_gpu(i) {
        Ok(gpu) => gpu,
        Err(error) => return out!("         cannot be used: {}", error.to_string().replace('\n', "\n       ")),
    };
    let gib = |bytes: usize| bytes as f64 / f64::from(1 << 30);
    if let Ok(Some(free)) = gpu.free_memory() {
        out!("         {:.1} of {:.1} GiB are free", gib(free), gib(gpu.properties().memory_bytes));
    }
    let rates = gpu.link_rates().ok();
    if let Some(rates) = rates {
        out!("         page-locked copies: {:.1} GB/s to the device, {:.1} GB/s back", rates.to_device * 1e-9, rates.to_host * 1e-9);
    }
    let Some(health) = gpu.bus_id().as_deref().and_then(smi::ask) else {
        return out!("         no nvidia-smi: clocks, link and temperature are not known");
    };
    health.lines().iter().for_each(|line| out!("         {line}"));
    let advice = health.advice(rates);
    advice.iter().for_each(|what| out!("  fix    {what}"));
    if advice.is_empty() {
        out!("         nothing to fix");
    }
}

/// What is built in for each architecture, and what each GPU would run.
fn images(gpus: &[Properties]) {
    if KERNELS.is_empty() {
        out!("kernels  none built in: nvcc was not found when this program was built (set NVCC or CUDA_HOME and build again)");
        return;
    }
    let mut targets: Vec<&str> = KERNELS.iter().map(|k| k.target).collect();
    targets.sort_unstable();
    targets.dedup();
    out!("kernels  {} in {} files", handles::ALL.len(), KERNELS.iter().filter(|k| k.target == targets[0]).count());
    for target in targets {
        let of_target = || KERNELS.iter().filter(|k| k.target == target);
        let kib = of_target().map(|k| k.bytes.len()).sum::<usize>() >> 10;
        let names: Vec<_> = of_target().map(|k| k.name).collect();
        let line = format!("  {target:<7} {:>6} KiB: {}", count(kib as u64), names.join(", "));
        out!("{}", wrapped(&line, columns(), 4));
    }
    for (i, gpu) in gpus.iter().enumerate() {
        match choose(KERNELS, KERNELS[0].name, gpu.capability) {
            Ok(image) => out!("  gpu {i} runs {}", image.target),
            Err(error) => out!("  gpu {i}: {}", error.to_string().replace('\n', "\n       ")),
        }
    }
    out!("  which of them a GPU has run: doctor --kernels");
}
