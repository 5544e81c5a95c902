//! `lr-find`: the learning-rate range test on your pictures, with every flag of `train`. Writes nothing but the files asked for.

use super::Outcome;
use super::datasets::{self, Opened};
use super::device::{Job, open_device, set_threads};
use super::output::{check_ending, check_outputs, out};
use super::plot::{Figure, Line};
use super::plot_text;
use super::progress::ProgressMode;
use super::room::Asked;
use super::run_facts;
use super::signals;
use super::train_report::Report;
use super::which_images;
use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::files::write_output;
use crate::fit::host::Work;
use crate::limits::check_threads;
use crate::models::Model;
use crate::text::{counted, number};
use crate::train::config::{Config, Sched};
use crate::train::lr_find::{self, Range, Trial};
use crate::train::trainer::Datasets;
use clap::ValueEnum;
use serde_json::json;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    config: Config,
    /// First learning rate [default: a ten-thousandth of the optimizer's usual one]
    #[arg(long, value_name = "RATE", help_heading = "Range test")]
    lr_low: Option<f64>,
    /// Last learning rate [default: a hundred times the optimizer's usual one]
    #[arg(long, value_name = "RATE", help_heading = "Range test")]
    lr_high: Option<f64>,
    /// Steps
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u64).range(20..=1_000_000), help_heading = "Range test")]
    steps: u64,
    /// One line a step: lr,loss,smoothed
    #[arg(long, value_name = "FILE", help_heading = "Range test")]
    csv: Option<PathBuf>,
    /// The suggestion and every step as one JSON object
    #[arg(long, value_name = "FILE", help_heading = "Range test")]
    json: Option<PathBuf>,
    /// Loss over rate, the suggestion marked
    #[arg(long, value_name = "FILE.svg", help_heading = "Range test")]
    plot: Option<PathBuf>,
    /// What the terminal shows
    #[arg(long, value_enum, default_value_t = ProgressMode::Auto, help_heading = "Run")]
    progress: ProgressMode,
}

/// # Errors
/// `Usage` for a range that makes no sense or says nothing; those of the images and the device.
pub fn run(args: Args, given: impl Fn(&str) -> bool) -> Result<Outcome> {
    if let Some(flag) = NOT_HERE.iter().find(|flag| given(&flag.replace('-', "_"))) {
        return Err(Error::usage(format!("--{flag} means nothing to lr-find"))
            .because("it tries rates from --lr-low to --lr-high for --steps steps, validates nothing and keeps nothing")
            .next(format!("leave --{flag} out; imagenet-engine lr-find --help")));
    }
    for (flag, path, format) in [("--csv", &args.csv, "csv"), ("--json", &args.json, "json"), ("--plot", &args.plot, "svg")] {
        path.as_deref().map_or(Ok(()), |path| check_ending(flag, path, format))?;
    }
    check_outputs(crate::files::Kind::Report, [args.csv.as_ref(), args.json.as_ref(), args.plot.as_ref()])?;
    let (open, named) = (args.config.leaves_batch_open(&given)?, given("data") || args.config.names_data()?);
    let mut config = Config::resolve(args.config, &given)?;
    set_threads(config.threads)?;
    config.workers.map_or(Ok(()), |workers| check_threads("--workers", workers as usize))?;
    let device = open_device(&config.device)?;
    let precision = device.precision(config.precision)?;
    let usual = config.usual_lr();
    let range = Range { low: args.lr_low.unwrap_or(usual * 1e-4), high: args.lr_high.unwrap_or(usual * 100.0), updates: args.steps };
    if !(range.low.is_finite() && range.high.is_finite() && range.low > 0.0 && range.high > range.low) {
        return Err(Error::usage(format!("invalid learning-rate range: {} to {}", number(range.low), number(range.high)))
            .at("--lr-low, --lr-high")
            .next("0 < low < high, such as --lr-low 1e-5 --lr-high 10"));
    }
    which_images::check("lr-find", named, false, given)?;
    let report = Report::new(args.progress);
    let folder = std::env::temp_dir().join(format!("imagenet-engine-lr-find-{}", std::process::id()));
    let stop = signals::stop_on_signal("finishing this step", Outcome::Interrupted)?;
    let asked = Asked { device: &device, precision, work: Work::Trial, open };
    let trials = datasets::open(&config, &folder, &report).and_then(|opened| {
        let model = Model::new(&config.model, opened.data.train.classes().len(), config.zero_init_residual)?;
        let said;
        (config, said) = asked.settle(config.clone(), &model, &opened.data)?;
        let opened = Opened { said: opened.said.into_iter().take_while(|(word, _)| *word != "val").collect(), ..opened };
        report.facts(&run_facts::settled(&config, (&device, precision), &model, Some(&opened), said)?);
        let data = opened.data;
        device.run(precision, RangeTest { config: &config, data: &data, range, stop: &stop, report: &report })
    });
    if folder.exists() {
        std::fs::remove_dir_all(&folder).map_err(|e| Error::writing(&folder, e))?; // the demo's pictures
    }
    let trials = trials?;
    let suggestion = lr_find::suggest(&trials);
    let constant = config.sched == Sched::Constant;
    let figure = figure(&config, &trials, suggestion.as_ref().ok().map(|s| s.max_lr(constant)));
    if let Some(path) = &args.csv {
        write_output(path, crate::files::Kind::Report, |file| {
            writeln!(file, "lr,loss,smoothed")?;
            trials.iter().try_for_each(|t| writeln!(file, "{},{},{}", t.lr, t.loss, t.smoothed))
        })?;
    }
    if let Some(path) = &args.json {
        let points: Vec<_> = trials.iter().map(|t| json!({ "lr": t.lr, "loss": t.loss, "smoothed": t.smoothed })).collect();
        let found = suggestion.as_ref().ok();
        let json = json!({ "suggested_lr": found.map(|s| s.max_lr(constant)), "steepest_lr": found.map(|s| s.steepest),
            "diverged_lr": found.and_then(|s| s.diverged), "points": points });
        write_output(path, crate::files::Kind::Report, |file| writeln!(file, "{json}"))?;
    }
    if let Some(path) = &args.plot {
        figure.write_svg(path)?;
    }
    let files: Vec<&PathBuf> = [&args.csv, &args.json, &args.plot].into_iter().flatten().collect();
    if files.is_empty() && trials.len() > 1 {
        out!("{}", figure.text(plot_text::columns()).trim_end());
    }
    if stop.load(Ordering::Relaxed) {
        out!("stopped after {} of {}: too early to suggest a rate", trials.len(), counted(range.updates, "step"));
        return Ok(Outcome::Interrupted);
    }
    let found = suggestion.map_err(|e| e.next(more(&config, args.steps)))?;
    let (least_lr, least) = found.least;
    let (steepest, least_lr) = (number(found.steepest), number(least_lr));
    out!("loss {:.3} at first, falling steepest at lr {steepest}, least {least:.3} at lr {least_lr}", found.start);
    out!("  (means over neighbouring steps; the curve is a running mean, which lags)");
    match found.diverged {
        Some(lr) => out!("diverged (worse than at first) at lr {}; a tenth of it is {}", number(lr), number(lr / 10.0)),
        None => out!("did not diverge up to lr {}: --lr-high {} tells more", number(range.high), number(range.high * 10.0)),
    }
    let why = match (found.diverged, constant) {
        (None, _) => "where the loss falls steepest",
        (_, true) => "a tenth of where it diverges",
        _ => "halfway from the least loss to divergence",
    };
    // The rate belongs to the step it was found with.
    let parts = match config.grad_accum {
        1 => String::new(),
        parts => format!(" --batch-size {} --grad-accum {parts}", config.batch_size),
    };
    out!("suggestion: --lr {}{parts}", number(found.max_lr(constant)));
    out!("  ({why}; the max lr of the {} schedule)", schedule_name(&config));
    let each = counted((config.batch_size * config.grad_accum) as u64, "image");
    out!("from {} of {each} each; no weights were kept", counted(trials.len() as u64, "step"));
    files.iter().for_each(|path| out!("wrote {}", path.display()));
    Ok(Outcome::Done)
}

/// What tells more than a test of `steps` steps that said nothing: a larger step is made by the flag that was given.
fn more(config: &Config, steps: u64) -> String {
    let larger = match config.grad_accum {
        1 => format!("--batch-size {}", 2 * config.batch_size),
        parts => format!("--grad-accum {}", 2 * parts),
    };
    format!("--steps {}, or {larger}; or another range (--lr-low, --lr-high)", 2 * steps)
}

fn schedule_name(config: &Config) -> String {
    config.sched.to_possible_value().map_or_else(String::new, |v| v.get_name().to_owned())
}

/// Settings of `train` that mean nothing here: typed, they are refused.
const NOT_HERE: [&str; 10] =
    ["resume", "output", "epochs", "max-steps", "val", "val-interval", "save-every", "checkpoint-hist", "dry-run", "lr"];

struct RangeTest<'a> {
    config: &'a Config,
    data: &'a Datasets,
    range: Range,
    stop: &'a AtomicBool,
    report: &'a Report,
}

impl Job for RangeTest<'_> {
    type Output = Vec<Trial>;

    fn run<B: Backend>(self, backend: B) -> Result<Vec<Trial>> {
        let Self { config, data, range, stop, report } = self;
        lr_find::run(backend, config, data, range, stop, &mut |u, t: &Trial| {
            if u.is_multiple_of(config.log_interval) {
                report.line(&format!(
                    "step {}/{}  lr {}  loss {:.4}  smoothed {:.4}",
                    u + 1,
                    range.updates,
                    number(t.lr),
                    t.loss,
                    t.smoothed
                ));
            }
        })
    }
}

fn figure(config: &Config, trials: &[Trial], suggested: Option<f64>) -> Figure {
    let line = |name: &str, value: fn(&Trial) -> f64| Line { name: name.into(), points: trials.iter().map(|t| (t.lr, value(t))).collect() };
    Figure {
        title: format!(
            "{} with {}, {} a step",
            config.model,
            config.rule().name(),
            counted((config.batch_size * config.grad_accum) as u64, "image")
        ),
        x: "learning rate",
        y: "loss",
        log_x: true,
        lines: vec![line("smoothed loss", |t| t.smoothed)],
        right: None,
        marks: suggested.map(|lr| (lr, format!("suggested {}", number(lr)))).into_iter().collect(),
    }
}
