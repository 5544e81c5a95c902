//! `eval`: exact top-1, top-5 and loss of weights on packed pictures.

use super::Outcome;
use super::device::{Job, open_device, set_threads};
use super::output::out;
use super::progress::ProgressMode;
use super::signals;
use super::train_report::Report;
use super::weights::Weights;
use crate::backend::Backend;
use crate::data::Dataset;
use crate::data::loader::Source;
use crate::error::{Error, Result};
use crate::train::config::Precision;
use crate::train::eval::{self, Options, Score};
use crate::train::score::Scorer;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Packed pictures
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Weights: model.safetensors of a run, a checkpoint, or torchvision's weights as safetensors
    #[arg(long, value_name = "FILE")]
    weights: PathBuf,
    /// The moving average that a checkpoint holds beside the weights
    #[arg(long)]
    ema: bool,
    /// The network [default: what the file says]
    #[arg(long)]
    model: Option<String>,
    /// Side of the pictures [default: what the file says, else 224]
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(1..=4096))]
    val_crop_size: Option<u32>,
    #[arg(long, short = 'b', value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    batch_size: u32,
    /// Use only the first N batches
    #[arg(long, value_name = "N")]
    limit_val_batches: Option<u64>,
    #[arg(long, default_value = "auto")]
    device: String,
    /// [default: bf16 on cuda, fp32 on cpu]
    #[arg(long, value_enum)]
    precision: Option<Precision>,
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// One JSON object on stdout
    #[arg(long)]
    json: bool,
    #[arg(long, value_enum, default_value_t = ProgressMode::Auto)]
    progress: ProgressMode,
}

/// # Errors
/// `Data`: weights or pictures that cannot be read or do not fit each other.
pub fn run(args: &Args) -> Result<Outcome> {
    set_threads(args.threads)?;
    let device = open_device(&args.device)?;
    let dataset: Arc<dyn Source> = Arc::new(Dataset::open(&args.data)?);
    let weights = Weights::open(&args.weights, args.ema, args.model.as_deref(), Some(dataset.classes()))?;
    let crop_size = args.val_crop_size.map_or(weights.card.val_crop_size, |side| side as usize);
    let options = Options { batch_size: args.batch_size as usize, crop_size, limit_batches: args.limit_val_batches };
    let (report, stop) = (Report::new(args.progress), signals::stop_on_signal()?);
    let job = Evaluation { dataset: &dataset, weights: &weights, options: &options, stop: &stop, report: &report };
    let score = device.run(device.precision(args.precision)?, job)?;
    let Some(score) = score else { return Ok(Outcome::Stopped) };
    if args.json {
        let json = serde_json::json!({ "top1": score.top1, "top5": score.top5, "loss": score.loss, "images": score.images,
            "model": weights.model.name, "val_crop_size": crop_size });
        out!("{json}");
    } else {
        let (top1, top5) = (100.0 * score.top1, 100.0 * score.top5);
        out!("top-1 {top1:.2}%  top-5 {top5:.2}%  loss {:.4}  {} images at {crop_size}x{crop_size}", score.loss, score.images);
    }
    if !score.loss.is_finite() {
        return Err(Error::non_finite("the loss is not finite").at(args.weights.display().to_string()));
    }
    Ok(Outcome::Done)
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
