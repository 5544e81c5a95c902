//! `predict`: the classes of images, prepared as at evaluation.

use super::Outcome;
use super::device::{Job, open_device, set_threads};
use super::output::{name, out, remark};
use super::preprocess::{self, Preprocessing};
use super::room;
use super::weights::Weights;
use crate::backend::{Backend, Crop, PictureView, StoredBatch};
use crate::data::budget;
use crate::data::decode::{DEFAULT_MAX_PIXELS, decode, size};
use crate::data::manifest::Manifest;
use crate::data::source::MAX_FILE;
use crate::error::{Error, Result};
use crate::files;
use crate::resample::Resampler;
use crate::train::config::Precision;
use crate::train::step::{self, Pictures};
use serde_json::json;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Weights: model.safetensors of a run, a checkpoint, or torchvision's weights as safetensors
    #[arg(long, value_name = "FILE")]
    weights: PathBuf,
    /// JPEG or PNG files
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
    /// Classes shown for each image
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    top: u32,
    /// A packed folder: what it calls the classes is shown beside their names
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// One JSON object an image and line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    preprocess: preprocess::Args,
    /// The moving average that a checkpoint holds beside the weights
    #[arg(long)]
    ema: bool,
    /// The network [default: what the file says]
    #[arg(long)]
    model: Option<String>,
    #[arg(long, default_value = "auto")]
    device: String,
    /// [default: bf16 on cuda, fp32 on cpu]
    #[arg(long, value_enum)]
    precision: Option<Precision>,
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

/// # Errors
/// `Data`: weights or an image that cannot be read.
pub fn run(args: &Args) -> Result<Outcome> {
    set_threads(args.threads)?;
    let device = open_device(&args.device)?;
    let named = args.preprocess.class_names()?;
    let names = named.as_ref().map(|names| names.iter().map(|(name, _)| name.clone()).collect());
    let weights = Weights::open(&args.weights, args.ema, args.model.as_deref(), names, None)?;
    let (preprocessing, plan) = args.preprocess.settle(&weights, None)?;
    remark!("{plan}");
    room::check_evaluation(&device, &weights.model, None, preprocessing.transform, 1)?;
    let listed = args.data.as_deref().map(Manifest::read).transpose()?.map_or_else(Vec::new, |m| m.classes);
    let named = named.unwrap_or_default().into_iter().filter(|(_, words)| !words.is_empty());
    let words = listed.into_iter().filter_map(|c| Some((c.name, c.words?))).chain(named).collect();
    device.run(device.precision(args.precision)?, Prediction { args, weights, preprocessing, words })
}

struct Prediction<'a> {
    args: &'a Args,
    weights: Weights,
    preprocessing: Preprocessing,
    /// Of classes, by name.
    words: HashMap<String, String>,
}

impl Job for Prediction<'_> {
    type Output = Outcome;

    fn run<B: Backend>(self, backend: B) -> Result<Outcome> {
        let Self { args, weights, preprocessing, words } = self;
        let (w, r) = (backend.upload_weights(&weights.weights)?, backend.upload(&weights.running)?);
        for path in &args.images {
            let pictures = prepare(path, &preprocessing)?;
            let logits = step::logits(&backend, &weights.model, &w, &r, pictures)?;
            if let Some(at) = logits.iter().position(|v| !v.is_finite()) {
                return Err(Error::non_finite(format!("the prediction is not finite: logit {at} is {}", logits[at]))
                    .at(path.display().to_string())
                    .because("the weights are too large for the precision, or damaged")
                    .next("--precision fp32, or weights of an earlier checkpoint"));
            }
            let ranked = rank(&logits);
            let top = ranked.iter().take(args.top as usize).map(|&(class, p)| (&weights.card.classes[class], p, logits[class]));
            if args.json {
                let top: Vec<_> = top
                    .map(|(class, p, logit)| json!({ "class": class, "words": words.get(class), "probability": p, "logit": logit }))
                    .collect();
                out!("{}", json!({ "image": path, "top": top }));
            } else {
                out!("{}", path.display());
                top.for_each(|(class, p, _)| match words.get(class) {
                    Some(words) => out!("  {:6.2}%  {}  {}", 100.0 * p, name(class), name(words)),
                    None => out!("  {:6.2}%  {}", 100.0 * p, name(class)),
                });
            }
        }
        Ok(Outcome::Done)
    }
}

/// Decodes, resizes and crops, as torchvision does.
fn prepare(path: &Path, preprocessing: &Preprocessing) -> Result<Pictures> {
    let Preprocessing { transform, mean, std } = *preprocessing;
    let bytes = files::read_file(path, MAX_FILE)?;
    let unreadable = |reason: String| Error::data(reason).at(path.display().to_string()).because("no JPEG or PNG image, or a damaged one");
    let (width, height) = size(&bytes).map_err(unreadable)?;
    budget::check(budget::cost(width, height).min(budget::cost(1000, 1000).saturating_mul(DEFAULT_MAX_PIXELS / 1_000_000)), "the image")
        .map_err(|e| e.at(path.display().to_string()))?;
    let image = decode(&bytes, DEFAULT_MAX_PIXELS).map_err(unreadable)?;
    let mut pixels = Vec::new();
    if !transform.apply(&image.pixels, (image.width, image.height), &mut Resampler::default(), &mut pixels) {
        return Err(unreadable(format!("an image of {}x{} cannot be resized", image.width, image.height)));
    }
    let side = transform.crop;
    let crop = Crop::resized((0, 0, side, side), side, false);
    let view = PictureView { offset: 0, width: side, height: side, crop };
    let stored = StoredBatch { pixels: pixels.into(), views: vec![view], labels: vec![0] };
    Ok(Pictures { stored, size: side as usize, mean, std })
}

/// Classes with their softmax probabilities, the likeliest first.
fn rank(logits: &[f32]) -> Vec<(usize, f64)> {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weights: Vec<f64> = logits.iter().map(|&v| f64::from(v - highest).exp()).collect();
    let sum: f64 = weights.iter().sum();
    let mut ranked: Vec<_> = weights.into_iter().map(|w| w / sum).enumerate().collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    ranked
}
