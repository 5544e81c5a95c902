//! `bench step`: the whole training step.

use super::super::Outcome;
use super::super::device::{Job, open_device, set_threads};
use super::super::output::out;
use crate::autograd::Profile;
use crate::backend::{Backend, Counters};
use crate::checkpoint::State;
use crate::data::loader::{Loader, LoaderOptions, Source};
use crate::error::{Error, Result};
use crate::models::Model;
use crate::train::config::{Config, Precision};
use crate::train::plan::Plan;
use crate::train::step::Learner;
use crate::train::trainer;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[arg(long, default_value = "auto")]
    device: String,
    #[arg(long, default_value = "resnet50")]
    model: String,
    #[arg(long, short = 'b', value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    batch_size: u32,
    /// Side of the pictures
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(1..=4096), default_value_t = 224)]
    train_crop_size: u32,
    /// Steps timed, after two that are not
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    steps: u32,
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
}

/// Augmentation from raw bytes, forward, loss, backward and SGD, as `train` does them; the median step counts.
///
/// # Errors
/// Those of the step; `Write` for the files.
pub fn run(args: &Args) -> Result<Outcome> {
    set_threads(args.threads)?;
    let device = open_device(&args.device)?;
    let precision = device.precision(None)?;
    device.run(precision, Step { args, device: device.describe(precision), precision })
}

struct Step<'a> {
    args: &'a Args,
    device: String,
    precision: Precision,
}

impl Job for Step<'_> {
    type Output = Outcome;

    fn run<B: Backend>(self, backend: B) -> Result<Outcome> {
        timed_steps(backend, self.args, &self.device, self.precision)
    }
}

fn timed_steps<B: Backend>(backend: B, args: &Args, device: &str, precision: Precision) -> Result<Outcome> {
    let (batch, side) = (args.batch_size as usize, args.train_crop_size as usize);
    let config = Config {
        model: args.model.clone(),
        batch_size: batch,
        train_crop_size: side,
        warmup_epochs: Some(0.0),
        lr: Some(0.01),
        epochs: 1,
        ..Config::default()
    };
    let source: Arc<dyn Source> = Arc::new(super::super::train::synthetic(side, config.seed));
    let model = Model::new(&config.model, source.classes().len(), false)?;
    let plan = Plan::new(&config, source.len() as u64)?;
    let state = State::fresh(model.layout.init(config.seed), model.layout.init_running());
    let parameters = model.layout.len();
    let options = plan.learner_options(&config, &model);
    let mut learner = Learner::new(backend, model, options, &state, Counters::default())?;
    let steps = u64::from(args.steps) + 2;
    let options = LoaderOptions::train(batch, args.train_crop_size, (0.08, 1.0), config.seed, 1);
    let loader = Loader::new(source, &options)?.take(steps as usize);
    let (mut times, mut profile, mut update_s) = (Vec::new(), Profile::default(), 0.0);
    for (i, batch) in loader.enumerate() {
        let pictures = trainer::pictures(batch?, side);
        let start = Instant::now();
        let timed = i >= 2;
        learner.accumulate(pictures, timed.then_some(&mut profile))?;
        let before_update = Instant::now();
        learner.apply()?;
        if learner.reports(true)?.iter().any(|r| !r.measured.finite || r.measured.overflowed) {
            return Err(Error::non_finite("the loss is not finite").at(format!("step {i}")));
        }
        if timed {
            update_s += before_update.elapsed().as_secs_f64();
            times.push(start.elapsed().as_secs_f64());
        }
    }
    times.sort_by(f64::total_cmp);
    let (median, count) = (times[times.len() / 2], times.len() as f64);
    let rate = batch as f64 / median;
    let total: f64 = times.iter().sum();
    let mut kernels: Vec<_> = profile
        .rows()
        .iter()
        .map(|r| (format!("{}.{}", r.op, if r.backward { "backward" } else { "forward" }), r.calls as f64 / count, r.total.as_secs_f64()))
        .collect();
    kernels.push(("update".into(), 1.0, update_s));

    out!("{} {parameters} parameters, {}x{}, batch {batch}, {}", args.model, args.train_crop_size, args.train_crop_size, device);
    out!(
        "{rate:.2} images/s (median of {} steps: {:.1} ms, min {:.1}, max {:.1})",
        times.len(),
        1e3 * median,
        1e3 * times[0],
        1e3 * times[times.len() - 1]
    );
    out!("{:<24} {:>6} {:>10} {:>7}", "op", "calls", "ms/step", "share");
    for (name, calls, seconds) in &kernels {
        out!("{name:<24} {calls:>6.0} {:>10.2} {:>6.1}%", 1e3 * seconds / count, 100.0 * seconds / total);
    }
    let rows: Vec<_> = kernels
        .iter()
        .map(|(name, calls, s)| json!({ "name": name, "calls": calls, "ms_per_step": 1e3 * s / count, "share": s / total }))
        .collect();
    if let Some(path) = &args.json {
        let out = json!({ "images_per_s": rate, "batch": batch, "device": device, "precision": precision.name(), "model": args.model,
            "crop_size": args.train_crop_size, "median_s": median, "min_s": times[0], "max_s": times[times.len() - 1], "kernels": rows });
        crate::files::write_atomically(path, &[format!("{out}\n").as_bytes()])?;
    }
    if let Some(path) = &args.csv {
        let mut text = String::from("name,calls,ms_per_step,share\n");
        for (name, calls, s) in &kernels {
            text.push_str(&format!("{name},{calls},{},{}\n", 1e3 * s / count, s / total));
        }
        crate::files::write_atomically(path, &[text.as_bytes()])?;
    }
    Ok(Outcome::Done)
}
