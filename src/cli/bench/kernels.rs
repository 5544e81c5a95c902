//! `bench kernels`: every CUDA kernel at the shapes of a training step.

use super::super::Outcome;
use super::super::device::{cuda_ordinal, unknown_device};
use super::super::output::{check_outputs, out};
use crate::bench::ceilings::Ceilings;
use crate::bench::records::{COMMIT_VARIABLE, Record};
use crate::bench::subjects::Workload;
use crate::bench::{self, Options, Progress, report};
use crate::cuda::gpu::Gpu;
use crate::cuda::timed::Timed;
use crate::error::{Error, Result};
use std::path::PathBuf;

#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// cuda, cuda:N, or emulated: the launches on small problems, without times
    #[arg(long, default_value = "cuda")]
    device: String,
    /// Images of a step [default: 256, 2 emulated]
    #[arg(long, short = 'b', value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    batch_size: Option<u32>,
    /// Only operations, shapes and kernels that contain this
    #[arg(long, value_name = "PATTERN")]
    only: Option<String>,
    /// Timed runs of each
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..=1000))]
    repeats: u32,
    /// Everything measured, and the record of what ran
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// A line for each operation, as CSV
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Of the source this program was built from, for the record [default: $IMAGENET_ENGINE_COMMIT]
    #[arg(long, value_name = "HASH")]
    commit: Option<String>,
}

const BATCH: u32 = 256;
const EMULATED_BATCH: u32 = 2;

/// # Errors
/// Of the device; `Usage` if nothing matches `--only`; `Write` for the files.
pub fn run(args: &Args) -> Result<Outcome> {
    check_outputs(crate::files::Kind::Report, [args.json.as_ref(), args.csv.as_ref()])?;
    if args.device == "emulated" {
        return emulated(args);
    }
    let ordinal = cuda_ordinal(&args.device).ok_or_else(|| unknown_device(&args.device, "cuda, cuda:N, emulated"))?;
    let open = || {
        Gpu::open(ordinal).map_err(|error| match error.report().next.as_ref().is_some_and(|next| next.contains("--device cpu")) {
            true => error.next("a machine with an NVIDIA GPU and its driver; or --device emulated of a build with --features emulator"),
            false => error,
        })
    };
    measure(args, &open()?, Workload::resnet50(args.batch_size.unwrap_or(BATCH) as usize)?)
}

#[cfg(feature = "emulator")]
fn emulated(args: &Args) -> Result<Outcome> {
    let once = Args { repeats: 1, ..args.clone() };
    let workload = Workload::tiny(args.batch_size.unwrap_or(EMULATED_BATCH) as usize)?;
    measure(&once, &crate::cuda::emulated::Emulator::new(Default::default()), workload)
}

#[cfg(not(feature = "emulator"))]
fn emulated(args: &Args) -> Result<Outcome> {
    let _ = (args, EMULATED_BATCH);
    Err(Error::usage("this build has no emulator")
        .at("--device emulated")
        .because("it was built without the feature `emulator`")
        .next("cargo build --release --features emulator"))
}

fn measure<D: Timed>(args: &Args, driver: &D, workload: Workload) -> Result<Outcome> {
    let properties = driver.properties();
    out!("{}, {}, batch {}, images of {}", properties.name, properties.driver, workload.batch, workload.side);
    let options = Options { workload, only: args.only.clone(), repeats: args.repeats as usize };
    let report = bench::run(driver, &options, &mut |progress| match progress {
        Progress::Ceilings(ceilings) => heading(ceilings),
        Progress::Row(row, ceilings) => out!("{}", report::line(row, ceilings)),
    })?;
    out!("");
    out!("{}", report.summary().trim_end());
    let commit = args.commit.clone().or_else(|| std::env::var(COMMIT_VARIABLE).ok()).unwrap_or_else(|| "unknown".into());
    let record = Record::new("bench kernels", &crate::date::iso(), &commit, properties, report.launches().map(|(kernel, _)| kernel));
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&report.json(&record, properties))
            .map_err(|e| Error::internal("the results are no JSON").source(e))?;
        crate::files::write_output(path, crate::files::Kind::Report, |file| writeln!(file, "{text}"))?;
    }
    if let Some(path) = &args.csv {
        crate::files::write_output(path, crate::files::Kind::Report, |file| write!(file, "{}", report.csv()))?;
    }
    Ok(Outcome::Done)
}

fn heading(ceilings: &Ceilings) {
    for (name, value, unit) in ceilings.list() {
        if let Some(value) = value {
            out!("{name:<26} {value:>8.0} {unit}");
        }
    }
    if ceilings.copy.is_none() {
        out!("emulated: no performance. Every case is launched once on a small problem.");
    }
    out!("\n{}", report::heading());
}
