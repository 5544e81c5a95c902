//! `bench pack`: how many pictures a second are decoded, resized, checked and written.

use super::super::Outcome;
use super::super::output::{check_outputs, out};
use crate::bench::host::{Watch, median};
use crate::data::Split;
use crate::data::compressed::JpegOptions;
use crate::data::made::Scratch;
use crate::data::pack::{PackEnd, PackOptions, pack};
use crate::data::plan::PlanOptions;
use crate::error::{Error, Result};
use crate::files;
use crate::progress::Silent;
use crate::text::{self, counted};
use serde_json::json;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Images in any form that `pack` takes
    #[arg(long, value_name = "PATH")]
    input: PathBuf,
    /// Short side, 0 to keep the size
    #[arg(long, value_name = "PIXELS", default_value_t = 256)]
    resize: u32,
    /// Store JPEG files instead of pixels
    #[arg(long)]
    jpeg: bool,
    /// With --jpeg: encode every image anew at this quality
    #[arg(long, value_name = "1-100", requires = "jpeg")]
    quality: Option<u8>,
    /// With --jpeg: make images smaller whose longest side is above this
    #[arg(long, value_name = "PIXELS", requires = "jpeg", default_value_t = 0)]
    max_side: u32,
    /// Threads [default: one per core]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    jobs: usize,
    /// Packs, of which the median counts
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=1000))]
    repeats: u64,
    /// The figures as one JSON object
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// The figures as CSV
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
}

/// # Errors
/// Those of the pack; `Write` for the files.
pub fn run(args: &Args) -> Result<Outcome> {
    check_outputs(crate::files::Kind::Report, [args.json.as_ref(), args.csv.as_ref()])?;
    let scratch = Scratch::new("bench-pack")?;
    let (mut rates, mut per_core, mut busy, mut pictures) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for repeat in 0..=args.repeats {
        let output = scratch.path().join(repeat.to_string());
        let options = PackOptions {
            input: args.input.clone(),
            source: Default::default(),
            output: output.clone(),
            plan: PlanOptions {
                size: args.resize,
                jpeg: args.jpeg.then_some(JpegOptions { quality: args.quality, max_side: args.max_side }),
                ..PlanOptions::new(Split::Train)
            },
            on_bad: crate::data::bad::OnBad::Skip,
            jobs: args.jobs,
        };
        let watch = Watch::start();
        let PackEnd::Finished(report) = pack(&options, &Silent, &AtomicBool::new(false))? else {
            return Err(Error::internal("the pack stopped").at("bench pack"));
        };
        let spent = watch.spent();
        pictures = report.manifest.records;
        // The first fills the page cache.
        if repeat > 0 {
            rates.push(pictures as f64 / spent.wall_s);
            per_core.push(pictures as f64 / spent.cpu_s);
            busy.push(spent.cpu_s / spent.wall_s);
        }
        std::fs::remove_dir_all(&output).map_err(|e| Error::writing(&output, e))?;
    }
    let (rate, per_core, busy) = (median(rates), median(per_core), median(busy));
    let (images, per_s, per_core_s) = (counted(pictures, "image"), text::rate(rate), text::rate(per_core));
    out!("{images} at --resize {}: {per_s} images/s, {per_core_s} images/s a core, {busy:.2} cores busy", args.resize);
    if let Some(path) = &args.json {
        let text = json!({ "pictures": pictures, "resize": args.resize, "images_per_s": rate, "images_per_s_per_core": per_core,
            "cores_busy": busy });
        files::write_output(path, crate::files::Kind::Report, |file| writeln!(file, "{text}"))?;
    }
    if let Some(path) = &args.csv {
        let text = format!("pictures,resize,images_per_s,images_per_s_per_core\n{pictures},{},{rate},{per_core}\n", args.resize);
        files::write_output(path, crate::files::Kind::Report, |file| file.write_all(text.as_bytes()))?;
    }
    Ok(Outcome::Done)
}
