//! `predict`: the classes of images, prepared as at evaluation.

use super::Outcome;
use super::device::{Job, open_device, set_threads};
use super::images::Images;
use super::output::{name, out, remark};
use super::plot_text::columns;
use super::preprocess::{self, Preprocessing};
use super::room;
use super::weights::Weights;
use crate::backend::{Backend, Crop, PictureView, StoredBatch};
use crate::data::budget;
use crate::data::decode::{DEFAULT_MAX_PIXELS, decode, memory, size};
use crate::data::manifest::Manifest;
use crate::data::source::MAX_FILE;
use crate::error::{Error, Result};
use crate::files;
use crate::resample::Resampler;
use crate::text::{exact, wrapped};
use crate::train::config::Precision;
use crate::train::step::{self, Pictures};
use serde_json::json;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Weights: a run's folder (its best), a checkpoint, model.safetensors, or torchvision's weights as safetensors
    #[arg(long, value_name = "FILE|RUN")]
    weights: PathBuf,
    /// Images, folders (all images below, in order), or - for paths on standard input, one a line, each answered as it comes
    #[arg(required = true, value_name = "IMAGE|DIR|-")]
    images: Vec<PathBuf>,
    /// Classes shown for each image
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    top: u32,
    /// A packed folder: what it calls the classes is shown beside their names
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// JSON Lines: one object an image
    #[arg(long)]
    json: bool,
    /// CSV: image,rank,class,words,probability,logit
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    #[command(flatten)]
    preprocess: preprocess::Args,
    /// The moving average that a checkpoint holds beside the weights
    #[arg(long)]
    ema: bool,
    /// The network, where the weights are to be of this one [default: what the file says]
    #[arg(long)]
    model: Option<String>,
    /// auto, cpu, cuda, cuda:N, emulated
    #[arg(long, default_value = "auto")]
    device: String,
    /// Arithmetic [default: bf16 on cuda, fp32 on cpu]
    #[arg(long, value_enum)]
    precision: Option<Precision>,
    /// CPU threads [default: all]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

/// An image that cannot be read is told on standard error, and the others go on.
///
/// # Errors
/// `Data`: weights that cannot be read, or no image that can.
pub fn run(args: &Args) -> Result<Outcome> {
    if args.images.iter().filter(|path| path.as_os_str() == "-").count() > 1 {
        return Err(Error::usage("'-' is given twice, and standard input can be read once").next("one '-' among the images"));
    }
    set_threads(args.threads)?;
    let device = open_device(&args.device)?;
    let named = args.preprocess.class_names()?;
    let names = named.as_ref().map(|names| names.iter().map(|(name, _)| name.clone()).collect());
    let weights = Weights::open(&args.weights, args.ema, args.model.as_deref(), names, None)?;
    let (preprocessing, plan) = args.preprocess.settle(&weights, None)?;
    remark!("{}", weights.describe());
    remark!("{}", wrapped(&plan, columns(), 2));
    room::check_evaluation(&device, &weights.model, None, preprocessing.transform, 1)?;
    let listed = args.data.as_deref().map(Manifest::read).transpose()?.map_or_else(Vec::new, |m| m.classes);
    let named = named.unwrap_or_default().into_iter().filter(|(_, words)| !words.is_empty());
    let words = listed.into_iter().filter_map(|c| Some((c.name, c.words?))).chain(named).collect();
    let images = Images::of(&args.images)?;
    device.run(device.precision(args.precision)?, Prediction { args, images, weights, preprocessing, words })
}

struct Prediction<'a> {
    args: &'a Args,
    images: Images,
    weights: Weights,
    preprocessing: Preprocessing,
    /// Of classes, by name.
    words: HashMap<String, String>,
}

impl Job for Prediction<'_> {
    type Output = Outcome;

    fn run<B: Backend>(self, backend: B) -> Result<Outcome> {
        let Self { images, weights, preprocessing, .. } = &self;
        let (w, r) = (backend.upload_weights(&weights.weights)?, backend.upload(&weights.running)?);
        if self.args.csv {
            out!("image,rank,class,words,probability,logit");
        }
        let mut bad = 0;
        let mut seen = 0;
        for path in images.each() {
            let path = &path?;
            seen += 1;
            let pictures = match prepare(path, preprocessing) {
                Ok(pictures) => pictures,
                Err(error) if images.one() => return Err(error),
                Err(error) => {
                    bad += 1;
                    remark!("error: {error}");
                    continue;
                }
            };
            let logits = step::logits(&backend, &weights.model, &w, &r, pictures)?;
            if let Some(at) = logits.iter().position(|v| !v.is_finite()) {
                return Err(Error::non_finite(format!("the prediction is not finite: logit {at} is {}", logits[at]))
                    .at(path.display().to_string())
                    .because("the weights are too large for the precision, or damaged")
                    .next("--precision fp32, or weights of an earlier checkpoint"));
            }
            self.show(path, &logits);
        }
        if bad == seen {
            return Err(Error::data(format!("none of the {bad} images could be read (each is named above)")));
        }
        if bad > 0 {
            remark!("{bad} of {seen} images could not be read");
            return Ok(Outcome::SkippedImages);
        }
        Ok(Outcome::Done)
    }
}

impl Prediction<'_> {
    /// One image's likeliest classes, in the form asked for.
    fn show(&self, path: &Path, logits: &[f32]) {
        let ranked = rank(logits);
        let classes = &self.weights.card.classes;
        let top = ranked.iter().take(self.args.top as usize).map(|&(class, p)| (&classes[class], p, logits[class]));
        let words = |class: &String| self.words.get(class);
        if self.args.json {
            let top: Vec<_> =
                top.map(|(class, p, logit)| json!({ "class": class, "words": words(class), "probability": p, "logit": logit })).collect();
            out!("{}", json!({ "image": exact(path.as_os_str()), "top": top }));
        } else if self.args.csv {
            let path = exact(path.as_os_str());
            for (i, (class, p, logit)) in top.enumerate() {
                let words = words(class).map_or("", String::as_str);
                out!("{},{},{},{},{p},{logit}", field(&path), i + 1, field(class), field(words));
            }
        } else {
            out!("{}", name(&exact(path.as_os_str())));
            top.for_each(|(class, p, _)| match words(class) {
                Some(words) => out!("  {:6.2}%  {}  {}", 100.0 * p, name(class), name(words)),
                None => out!("  {:6.2}%  {}", 100.0 * p, name(class)),
            });
        }
    }
}

/// A field of CSV (RFC 4180).
fn field(text: &str) -> String {
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}

/// Decodes, resizes and crops, as torchvision does.
fn prepare(path: &Path, preprocessing: &Preprocessing) -> Result<Pictures> {
    let Preprocessing { transform, mean, std } = *preprocessing;
    let unfit = |e: Error| e.at(path.display().to_string()).next("raise the limit, or make the image smaller");
    let stored = std::fs::metadata(path).map_or(0, |m| m.len().min(MAX_FILE));
    budget::check(stored, "the file of an image").map_err(unfit)?;
    let bytes = files::read_file(path, MAX_FILE)?;
    let unreadable = |reason: String| {
        // What a limit refuses, and what says itself why, has no other cause.
        let plain = ["above", "not supported", "not an image", "is empty", "cannot be resized"].iter().any(|word| reason.contains(word));
        let error = Error::data(reason).at(path.display().to_string());
        if plain { error } else { error.because("the file is damaged or was cut short") }
    };
    let (width, height) = size(&bytes).map_err(unreadable)?;
    if u64::from(width) * u64::from(height) <= DEFAULT_MAX_PIXELS {
        // Decoded, and the rows between the passes of the resize.
        let bytes = memory(&bytes) + 3 * u64::from(transform.resize) * u64::from(width.max(height));
        budget::check(bytes, "the image").map_err(unfit)?;
    }
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
