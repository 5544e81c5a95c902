//! `eval`: exact top-1, top-5 and loss of weights on packed images.

use super::Outcome;
use super::device::{Job, open_device, set_threads};
use super::output::out;
use super::plot_text::columns;
use super::preprocess::{self, Preprocessing};
use super::progress::ProgressMode;
use super::room;
use super::signals;
use super::train_report::Report;
use super::weights::Weights;
use crate::backend::Backend;
use crate::data::Dataset;
use crate::data::loader::Source;
use crate::data::validation::Stored;
use crate::error::{Error, Result};
use crate::text::{counted, wrapped};
use crate::train::config::Precision;
use crate::train::eval::{self, Options, Score};
use crate::train::score::Scorer;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Packed images
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Weights: a run's folder (its best), a checkpoint, model.safetensors, or torchvision's weights as safetensors
    #[arg(long, value_name = "FILE|RUN")]
    weights: PathBuf,
    /// The moving average that a checkpoint holds beside the weights
    #[arg(long)]
    ema: bool,
    /// The network [default: what the file says]
    #[arg(long)]
    model: Option<String>,
    #[command(flatten)]
    preprocess: preprocess::Args,
    /// Images per batch
    #[arg(long, short = 'b', value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    batch_size: u32,
    /// Use only the first N batches
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit_val_batches: Option<u64>,
    /// auto, cpu, cuda, cuda:N, emulated
    #[arg(long, default_value = "auto")]
    device: String,
    /// Arithmetic [default: bf16 on cuda, fp32 on cpu]
    #[arg(long, value_enum)]
    precision: Option<Precision>,
    /// CPU threads [default: all]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// One JSON object on stdout
    #[arg(long)]
    json: bool,
    /// What the terminal shows
    #[arg(long, value_enum, default_value_t = ProgressMode::Auto)]
    progress: ProgressMode,
}

/// # Errors
/// `Data`: weights or images that cannot be read or do not fit each other.
pub fn run(args: &Args) -> Result<Outcome> {
    set_threads(args.threads)?;
    let device = open_device(&args.device)?;
    let dataset = Dataset::open(&args.data)?;
    let names = args.preprocess.class_names()?.map(|names| names.into_iter().map(|(name, _)| name).collect());
    let weights = Weights::open(&args.weights, args.ema, args.model.as_deref(), names, Some(dataset.classes()))?;
    let (Preprocessing { transform, mean, std }, plan) = args.preprocess.settle(&weights, Some(&Stored::of(&dataset)))?;
    let options = Options { batch_size: args.batch_size as usize, transform, mean, std, limit_batches: args.limit_val_batches };
    let dataset: Arc<dyn Source> = Arc::new(dataset);
    let memory = room::check_evaluation(&device, &weights.model, Some(&*dataset), transform, options.batch_size)?;
    let (report, stop) = (Report::new(args.progress), signals::stop_on_signal("stopping, there will be no result", Outcome::Interrupted)?);
    let device_line = format!("device: {}", device.describe(device.precision(args.precision)?));
    [&device_line, &weights.describe(), &plan].into_iter().chain(&memory).for_each(|line| report.note(&wrapped(line, columns(), 2)));
    let job = Evaluation { dataset: &dataset, weights: &weights, options: &options, stop: &stop, report: &report };
    let score = device.run(device.precision(args.precision)?, job)?;
    report.end();
    let Some(score) = score else {
        report.note("stopped: no result");
        return Ok(Outcome::Interrupted);
    };
    if args.json {
        let json = serde_json::json!({ "top1": score.top1, "top5": score.top5, "loss": score.loss, "images": score.images,
            "model": weights.model.name, "val_crop_size": transform.crop, "val_resize_size": transform.resize,
            "val_interpolation": transform.filter.name(), "mean": mean.map(shortest), "std": std.map(shortest) });
        out!("{json}");
    } else {
        let (top1, top5) = (100.0 * score.top1, 100.0 * score.top5);
        let side = transform.crop;
        let images = counted(score.images, "image");
        out!("top-1 {top1:.2}%  top-5 {top5:.2}%  loss {:.4}  {images} at {side} x {side}", score.loss);
    }
    if !score.loss.is_finite() {
        return Err(Error::non_finite("the loss is not finite, so the accuracy means nothing")
            .at(weights.path.display().to_string())
            .because("the run that wrote these weights diverged, or the file was altered")
            .next("an earlier file of the run's checkpoints folder"));
    }
    Ok(Outcome::Done)
}

/// 0.485 and not 0.48500001430511475.
fn shortest(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}

struct Evaluation<'a> {
    dataset: &'a Arc<dyn Source>,
    weights: &'a Weights,
    options: &'a Options,
    stop: &'a AtomicBool,
    report: &'a Report,
}

impl Job for Evaluation<'_> {
    type Output = Option<Score>;

    fn run<B: Backend>(self, backend: B) -> Result<Option<Score>> {
        let Self { dataset, weights, options, stop, report } = self;
        let (w, r) = (backend.upload_weights(&weights.weights)?, backend.upload(&weights.running)?);
        eval::run(dataset, options, stop, &mut |n| report.show(n), &mut Scorer::new(&backend, &weights.model, &w, &r)?)
    }
}
