//! `train`: settles the settings, opens or generates the images, trains, and says where everything is.

use super::Outcome;
use super::datasets::{self, DEMO_TRAIN, Opened};
use super::device::{Job, open_device, set_threads};
use super::output::out;
use super::plot_text::columns;
use super::progress::ProgressMode;
use super::room::Asked;
use super::run_facts;
use super::signals;
use super::train_report::Report;
use super::which_images;
use crate::backend::Backend;
use crate::checkpoint::{Wanted, locate, safetensors, weights};
use crate::data::demo;
use crate::error::{Error, Result};
use crate::fit::host::Work;
use crate::limits::check_threads;
use crate::models::Model;
use crate::nn::Kind;
use crate::text::{count, counted, number, pasted, rate};
use crate::train::config::Config;
use crate::train::metrics::EmaScore;
use crate::train::plan::Plan;
use crate::train::resume;
use crate::train::run_dir::RunDir;
use crate::train::trainer::{self, Datasets, Finish, Requests};
use std::path::{Path, PathBuf};

#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub config: Config,
    /// With --dry-run, list every parameter: name, shape, kind, weight decay
    #[arg(long, requires = "dry_run", help_heading = "Run")]
    list_params: bool,
    /// What the terminal shows
    #[arg(long, value_enum, default_value_t = ProgressMode::Auto, help_heading = "Run")]
    pub progress: ProgressMode,
}

/// Trains. `given` tells which flags were typed.
///
/// # Errors
/// See [`trainer::run`].
pub fn run(args: Args, given: impl Fn(&str) -> bool) -> Result<Outcome> {
    let (progress, list_params) = (args.progress, args.list_params);
    one_process()?;
    let requests = signals::requests()?;
    let mut flags = args.config;
    resume_with_its_own_settings(&mut flags, given("data"))?;
    let (open, named) = (flags.leaves_batch_open(&given)?, given("data") || flags.names_data()?);
    let mut config = Config::resolve(flags, &given)?;
    set_threads(config.threads)?;
    config.workers.map_or(Ok(()), |workers| check_threads("--workers", workers as usize))?;
    let device = open_device(&config.device)?;
    let precision = device.precision(config.precision)?;
    config.precision = Some(precision);
    which_images::check("train", named, true, given)?;
    check_folder(config.output.as_deref())?;
    let output = config.output.clone().unwrap_or_else(|| default_output(&config));
    let asked = Asked { device: &device, precision, work: Work::Train, open };
    if config.dry_run {
        return dry_run(config, &asked, &output, list_params);
    }
    // What can be seen to be wrong is seen before the output folder is made.
    let report = Report::new(progress);
    let demo = config.data == "demo";
    let opened = if demo { None } else { Some(datasets::open(&config, &output, &report)?) };
    let (classes, images) = size(opened.as_ref());
    let (model, _) = settle(&config, classes, images)?;
    let mut said = None;
    if let Some(Opened { data, .. }) = &opened {
        (config, said) = asked.settle(config, &model, data)?;
    }
    let dir = RunDir::open(&output, config.resume.is_some())?;
    let opened = match opened {
        Some(opened) => opened,
        None => {
            let made = datasets::open(&config, &output, &report)?;
            (config, said) = asked.settle(config, &model, &made.data)?;
            made
        }
    };
    report.facts(&run_facts::settled(&config, (&device, precision), &model, Some(&opened), said)?);
    report.facts(&[run_facts::rules(&config), ("output", output.display().to_string())]);
    let run = Training { config: &config, datasets: &opened.data, dir: &dir, requests: &requests, report: &report };
    let finish = device.run(precision, run)?;
    report.end();
    Ok(tell(&config, &output, &finish, report.shows_epochs()))
}

/// # Errors
/// `Write` for an `--output` that is a file.
fn check_folder(output: Option<&Path>) -> Result<()> {
    match output.filter(|path| path.is_file()) {
        None => Ok(()),
        Some(file) => Err(Error::write(format!("--output {}: this is a file, and a run needs a folder", file.display()))
            .next("--output of a new folder, such as runs/first")),
    }
}

/// Refuses to be one of several: launchers (torchrun, srun, mpirun) say so in the environment, and each process would train alone, into
/// one folder.
fn one_process() -> Result<()> {
    for name in ["WORLD_SIZE", "SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE"] {
        if let Some(size) = std::env::var(name).ok().filter(|size| size.trim().parse::<u64>().is_ok_and(|n| n > 1)) {
            return Err(Error::usage(format!("this version trains in one process, and {name} is {size}"))
                .at("the environment")
                .because("it was started by torchrun, srun or mpirun; each process would train the whole run by itself")
                .next(format!("start it once, without the launcher; or: env -u {name} {} train ...", super::program())));
        }
    }
    Ok(())
}

struct Training<'a> {
    config: &'a Config,
    datasets: &'a Datasets,
    dir: &'a RunDir,
    requests: &'a Requests,
    report: &'a Report,
}

impl Job for Training<'_> {
    type Output = Finish;

    fn run<B: Backend>(self, backend: B) -> Result<Finish> {
        let Self { config, datasets, dir, requests, report } = self;
        trainer::run(backend, config, datasets, dir, requests, &mut |notice| report.show(notice))
    }
}

/// `--resume auto` without `--config` starts from the settings the run was started with; `data`: --data was typed.
fn resume_with_its_own_settings(flags: &mut Config, data: bool) -> Result<()> {
    if flags.resume.is_none() {
        return Ok(());
    }
    let Some(output) = &flags.output else {
        let run = flags.resume.as_deref().map(Path::new).filter(|path| path.join("config.toml").is_file());
        let dir = run.map_or_else(|| "DIR, DIR being the run's folder".to_owned(), pasted);
        return Err(Error::usage("--resume without --output: where does the run go on?")
            .at("--output")
            .next(format!("{} train --resume auto --output {dir}", super::program())));
    };
    let own = output.join("config.toml");
    if flags.config.is_some() {
        return Ok(());
    }
    if std::fs::metadata(&own).is_ok_and(|m| m.len() > 0) {
        flags.config = Some(own);
        return Ok(());
    }
    if data {
        return Ok(()); // a script's first start: its flags say everything
    }
    let cause = match output.is_dir() {
        true => "the settings of that run are gone, and no --data says what to train on".to_owned(),
        false => similar_runs(output).map_or_else(|| "no such folder".to_owned(), |runs| format!("no such folder; there are {runs}")),
    };
    Err(Error::usage("nothing to resume: no config.toml with settings")
        .at(own.display().to_string())
        .because(cause)
        .next("--resume auto --output of a run that is there; or --data and the other settings to begin one"))
}

/// Folders beside `output` that hold runs, the likeliest to have been meant first.
fn similar_runs(output: &Path) -> Option<String> {
    let parent = output.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let wanted = output.file_name()?.to_string_lossy().into_owned();
    let common = |name: &str| wanted.chars().filter(|c| name.contains(*c)).count();
    let entries = std::fs::read_dir(parent).ok()?.flatten().filter(|e| e.path().join("config.toml").exists());
    let mut names: Vec<String> = entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.sort_by_key(|name| (std::cmp::Reverse(common(name)), name.clone()));
    names.truncate(3);
    (!names.is_empty()).then(|| names.iter().map(|n| parent.join(n).display().to_string()).collect::<Vec<_>>().join(", "))
}

fn default_output(config: &Config) -> PathBuf {
    let base = format!("runs/{}-{}", crate::date::today(), config.model);
    let taken = |p: &PathBuf| p.exists();
    let numbered = (2..).map(|i| PathBuf::from(format!("{base}-{i}")));
    std::iter::once(PathBuf::from(&base)).chain(numbered).find(|p| !taken(p)).unwrap_or_else(|| base.into())
}

/// Classes and training images; `opened` is none for a demo not generated yet.
fn size(opened: Option<&Opened>) -> (usize, usize) {
    opened.map_or((demo::CLASSES.len(), DEMO_TRAIN), |o| (o.data.train.classes().len(), o.data.train.len()))
}

/// The network and the plan, or what is wrong with them.
fn settle(config: &Config, classes: usize, images: usize) -> Result<(Model, Plan)> {
    Ok((Model::new(&config.model, classes, config.zero_init_residual)?, Plan::new(config, images as u64)?))
}

fn dry_run(mut config: Config, asked: &Asked<'_>, output: &Path, list_params: bool) -> Result<Outcome> {
    let opened = match config.data.as_str() {
        "demo" => None,
        _ => Some(datasets::open(&config, output, &Report::silent())?),
    };
    let mut said = None;
    if let Some(Opened { data, .. }) = &opened {
        let (model, _) = settle(&config, data.train.classes().len(), data.train.len())?;
        (config, said) = asked.settle(config, &model, data)?;
    }
    let config = &config;
    let (classes, images) = size(opened.as_ref());
    let transform = opened.as_ref().map_or_else(|| datasets::demo_transform(config), |o| Ok(o.data.transform))?;
    let (model, plan) = settle(config, classes, images)?;
    if let Some(init) = &config.init {
        weights::load(&model, &safetensors::read(&locate(init, Wanted::Weights)?)?)?;
    }
    let from = resume::newest(config, output)?;
    let done = from.as_ref().map_or(0, |(_, done)| *done);
    plan.check_progress(done)?;
    let mut facts = run_facts::settled(config, (asked.device, asked.precision), &model, opened.as_ref(), said)?;
    facts.extend([run_facts::rules(config), ("output", output.display().to_string())]);
    facts.extend(from.map(|(path, done)| ("going on from", format!("{} after {}", path.display(), counted(done, "step")))));
    facts.extend(run_facts::plan(&plan, done));
    facts.iter().for_each(|fact| out!("{}", run_facts::line(fact, columns())));
    out!("\nThe settings, as config.toml would hold them (nothing is written):\n");
    out!("{}", plan.config_toml(config, transform.resize)?.trim_end());
    out!("");
    print_parameters(config, &model, list_params);
    Ok(Outcome::Done)
}

/// What the optimizer is told of each kind of parameter; with `all`, of each parameter.
fn print_parameters(config: &Config, model: &Model, all: bool) {
    let decays = config.decays();
    let kinds = [Kind::Weight, Kind::Norm, Kind::Bias];
    for (kind, decay) in kinds.into_iter().zip(decays) {
        let of_kind = model.layout.params.iter().filter(|p| p.kind == kind);
        let (tensors, numbers) = of_kind.fold((0, 0), |(t, n), p| (t + 1, n + p.param.range.len()));
        let (numbers, tensors) = (count(numbers as u64), counted(tensors, "tensor"));
        out!("{:<13} {numbers} parameters in {tensors}, weight decay {}", kind.name(), number(decay));
    }
    if all {
        out!("\n{:<40} {:<20} {:<7} weight decay", "name", "shape", "kind");
        for p in &model.layout.params {
            let decay = kinds.iter().position(|k| *k == p.kind).map_or(0.0, |i| decays[i]);
            out!("{:<40} {:<20} {:<7} {}", p.name, format!("{:?}", p.shape), p.kind.name(), number(decay));
        }
    }
}

/// The last lines: what was reached, where it lies, what to type next. `shown`: the last evaluation stands in the rows above.
fn tell(config: &Config, output: &Path, finish: &Finish, shown: bool) -> Outcome {
    let (run, program) = (pasted(output), pasted(Path::new(&super::program())));
    let done = counted(finish.updates, "step");
    if !finish.complete {
        out!("stopped after {done}; everything needed to go on is in {}", output.display());
        out!("next: {program} train --resume auto --output {run}");
        return Outcome::Stopped;
    }
    if let Some(score) = finish.last_eval.as_ref().filter(|_| !shown) {
        let (top1, top5, images) = (100.0 * score.top1, 100.0 * score.top5, counted(score.images, "image"));
        out!("validation: top-1 {top1:.2}%, top-5 {top5:.2}%, loss {:.4} over {images}", score.loss);
    }
    if let Some(EmaScore { loss, top1, top5 }) = finish.last_ema.as_ref().filter(|_| !shown) {
        out!("moving average: top-1 {:.2}%, top-5 {:.2}%, loss {loss:.4}", 100.0 * top1, 100.0 * top5);
    }
    if let (Some(top1), Some(update)) = (finish.best_top1, finish.best_update.filter(|_| finish.last_ema.is_none())) {
        out!("best top-1 {:.2}%, after {} (best.safetensors)", 100.0 * top1, counted(update, "step"));
    }
    if finish.failed_saves > 0 {
        out!("{} could not be written (save_error in metrics.jsonl)", counted(finish.failed_saves, "checkpoint"));
    }
    match finish.steps {
        0 => out!("all {done} were done already; saved to {}", output.display()),
        now if now < finish.updates => {
            let (now, rate) = (count(now), rate(finish.images_per_s));
            out!("{done}, {now} of them in this process at {rate} images/s; saved to {}", output.display());
        }
        _ => out!("{done} at {} images/s; saved to {}", rate(finish.images_per_s), output.display()),
    }
    let val = match (&config.val, config.data.as_str()) {
        (Some(val), _) => Some(val.clone()),
        (None, "demo") => Some(output.join("demo").join("val")),
        _ => None,
    };
    match val {
        Some(val) => out!("next: {program} eval --data {} --weights {run}", pasted(&val)),
        None => out!("next: {program} predict --weights {run} IMAGE  # a file, or a folder of images"),
    }
    Outcome::Done
}
