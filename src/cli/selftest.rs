//! `selftest`: every kernel against its oracle, on the device it is to run on.

use super::Outcome;
use super::device::{cuda_ordinal, open_gpu, unknown_device};
use super::output::{check_outputs, out};
use super::progress::{ProgressMode, Terminal};
use crate::bench::records::{COMMIT_VARIABLE, Record};
use crate::cuda::handles::ALL;
use crate::cuda::timed::{Properties, Timed};
use crate::error::{Error, Result};
use crate::selftest::{self, Case, Extent, OnCpu, Ops, Report};
use serde_json::Value;
use std::path::PathBuf;

/// Check every kernel against f64 references
///
/// Integers whose sums are exact first, then numbers that round, at shapes around every edge of a tile and at those of every ResNet layer.
/// Prints a line a kernel; `worst` is the largest error over what is allowed to it. Exit code 70 when a result is wrong, 71 when the
/// device fails.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// cpu: the CPU backend; emulated: the CUDA kernels on this CPU; cuda, cuda:N: on a GPU
    #[arg(long, default_value = "cpu", value_name = "cpu|emulated|cuda")]
    device: String,
    /// Every result, with its kernels, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Only cases whose subject, operation, element type or shape contain this, such as norm, conv_dgrad, bf16, or "conv_fprop bf16 2x7x7"
    #[arg(long, value_name = "PATTERN")]
    only: Option<String>,
    /// The layers as they are, on eight images, also where that takes long (the default on cuda)
    #[arg(long)]
    full: bool,
    /// Of the source this program was built from, for the record in the JSON [default: IMAGENET_ENGINE_COMMIT]
    #[arg(long, value_name = "HASH")]
    commit: Option<String>,
    /// What to show meanwhile
    #[arg(long, value_enum, default_value = "auto")]
    progress: ProgressMode,
}

/// # Errors
/// `Internal` if a result is wrong, `Device` if the device is missing or fails, `Usage` for a device that this build does not have.
pub fn run(args: &Args) -> Result<Outcome> {
    check_outputs(crate::files::Kind::Report, [args.json.as_ref()])?;
    let (report, properties) = match args.device.as_str() {
        "cpu" => (on(args, &OnCpu::new(), &selftest::cases(extent(args))?)?, None),
        "emulated" => emulated(args)?,
        name => match cuda_ordinal(name) {
            Some(ordinal) => cuda(args, ordinal)?,
            None => return Err(unknown_device(name, "cpu, emulated, cuda, cuda:N")),
        },
    };
    print(&report);
    if let Some(path) = &args.json {
        let json = with_record(report.json(), &report, properties.as_ref(), args);
        crate::files::write_output(path, crate::files::Kind::Report, |file| writeln!(file, "{json}"))?;
    }
    verdict(&report, args)
}

fn extent(args: &Args) -> Extent {
    if args.full { Extent::Full } else { Extent::Reduced }
}

#[cfg(feature = "emulator")]
fn emulated(args: &Args) -> Result<(Report, Option<Properties>)> {
    use crate::cuda::emulated::{Emulator, Schedule};
    let schedule = Schedule::default();
    let name = format!("emulator, {} threads", schedule.workers);
    let emulator = Emulator::new(schedule);
    let properties = emulator.properties().clone();
    let device = selftest::OnDriver::new(emulator, selftest::Machine::Emulator, name);
    Ok((on(args, &device, &selftest::kernel_cases(extent(args))?)?, Some(properties)))
}

#[cfg(not(feature = "emulator"))]
fn emulated(_: &Args) -> Result<(Report, Option<Properties>)> {
    Err(Error::usage("this build has no emulator")
        .at("--device emulated")
        .because("it was built without the feature `emulator`, which needs a C++20 compiler")
        .next("cargo build --release --features emulator, or --device cpu"))
}

fn cuda(args: &Args, ordinal: usize) -> Result<(Report, Option<Properties>)> {
    let gpu = open_gpu(ordinal)?;
    let name = format!("{}, {}", gpu.properties().name, gpu.properties().driver);
    let properties = gpu.properties().clone();
    let machine = selftest::Machine::Gpu { wgmma: gpu.has_wgmma("conformance") };
    let device = selftest::OnDriver::new(gpu, machine, name);
    Ok((on(args, &device, &selftest::kernel_cases(Extent::Full)?)?, Some(properties)))
}

/// Before the results, a record of the kernels that passed all their cases, so that `doctor --kernels` can tell which those are.
fn with_record(results: Value, report: &Report, properties: Option<&Properties>, args: &Args) -> Value {
    let Some(properties) = properties else { return results };
    let right = |name: &str| {
        let mut of = report.outcomes.iter().filter(|o| o.kernels.contains(&name)).peekable();
        of.peek().is_some() && of.all(|o| o.failure.is_none())
    };
    let passed = ALL.iter().filter(|k| right(k.name));
    let commit = args.commit.clone().or_else(|| std::env::var(COMMIT_VARIABLE).ok()).unwrap_or_else(|| "unknown".into());
    let record = Record::new("selftest", &crate::date::iso(), &commit, properties, passed);
    match (serde_json::to_value(record), results) {
        (Ok(Value::Object(mut record)), Value::Object(results)) => {
            record.extend(results);
            Value::Object(record)
        }
        (_, results) => results,
    }
}

fn on<O: Ops>(args: &Args, device: &O, cases: &[Case<O>]) -> Result<Report> {
    let report = selftest::run(device, cases, args.only.as_deref(), &Terminal::new(args.progress));
    if report.outcomes.is_empty() {
        let pattern = args.only.clone().unwrap_or_default();
        return Err(Error::usage(format!("no case contains '{pattern}'")).at("--only").next(
            "a subject (conv, gemm, norm, pool, loss, augment, elementwise, conformance), or part of a name in the --json of a whole run",
        ));
    }
    Ok(report)
}

fn print(report: &Report) {
    out!("{}", report.device);
    out!("{:<22} {:<28} {:>6} {:>6} {:>10} {:>8}", "op", "kernel", "cases", "passed", "worst", "s");
    for row in report.rows() {
        out!("{:<22} {:<28} {:>6} {:>6} {:>10.3} {:>8.2}", row.op, row.kernel, row.cases, row.passed, row.worst, row.seconds);
    }
    for outcome in report.failures() {
        let name = format!("{} {} {}, {}", outcome.op, outcome.element, outcome.shape, outcome.detail);
        out!("FAILED {name}: {}", outcome.failure.as_deref().unwrap_or_default().replace('\n', "\n  "));
    }
    let (all, failed) = (report.outcomes.len(), report.failures().count());
    out!("{} of {all} cases passed in {:.0} s", all - failed, report.seconds);
}

fn verdict(report: &Report, args: &Args) -> Result<Outcome> {
    let (all, failed) = (report.outcomes.len(), report.failures().count());
    if failed == 0 {
        return Ok(Outcome::Done);
    }
    let place = format!("selftest --device {}, {}", args.device, report.device);
    if report.device_failed {
        let last = report.failures().last();
        let during = last.map_or(String::new(), |o| format!("{} {} {}, {}", o.op, o.element, o.shape, o.detail));
        return Err(Error::device(format!("the device failed in case {all} (above), and nothing was run after it"))
            .at(place)
            .because(format!("during {during}"))
            .next("nvidia-smi; then the same again with --only and the case's name"));
    }
    Err(Error::internal(format!("{failed} of {all} cases failed (above)"))
        .at(place)
        .because("a kernel is wrong for this device, or the device computes wrongly")
        .next("the same again: a failure that moves is the machine's; then please report it with the --json"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selftest::Outcome as Checked;

    /// 70 for a wrong result, 71 for a device that failed; nothing wrong is no error.
    #[test]
    fn failures_have_their_exit_codes() {
        let args = Args { device: "cuda".into(), json: None, only: None, full: false, commit: None, progress: ProgressMode::None };
        let outcome = |failure: Option<&str>| Checked {
            subject: "conv",
            op: "conv_fprop",
            shape: "1x2x2x8".into(),
            element: "bf16",
            detail: "m64n64".into(),
            kernels: vec!["conv_fprop_m64n64"],
            worst: 0.5,
            seconds: 0.0,
            failure: failure.map(Into::into),
        };
        let report =
            |failure, device_failed| Report { device: "a GPU".into(), outcomes: vec![outcome(failure)], seconds: 0.0, device_failed };
        assert_eq!(verdict(&report(None, false), &args).unwrap(), Outcome::Done);
        let wrong = verdict(&report(Some("out: element 3"), false), &args).unwrap_err();
        assert!(wrong.exit_code() == 70 && wrong.to_string().contains("1 of 1 cases failed"), "{wrong}");
        let gone = verdict(&report(Some("an illegal address"), true), &args).unwrap_err();
        assert!(gone.exit_code() == 71 && gone.to_string().contains("conv_fprop bf16 1x2x2x8, m64n64"), "{gone}");
    }
}
