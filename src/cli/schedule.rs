//! `schedule`: the learning rate of every update before anything is trained. Needs no data and no GPU; takes every setting of `train`.

use super::Outcome;
use super::output::{check_ending, check_outputs, out, remark};
use super::plot::{Figure, Line};
use super::plot_text;
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::files::write_output;
use crate::schedule::Point;
use crate::text::{count, counted, wrapped};
use crate::train::config::{Config, Sched};
use crate::train::plan::Plan;
use clap::ValueEnum;
use serde_json::json;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// `--data` where none was given: no folder can have this name.
const NO_DATA: &str = "\0";
/// Training images of ImageNet-1K.
const IMAGENET: u64 = 1_281_167;
/// Points of a drawn line; more cannot be seen.
const MOST_POINTS: u64 = 2000;

#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    config: Config,
    /// Steps of an epoch [default: as many as --images and the batch give]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Curve", conflicts_with = "images")]
    updates_per_epoch: Option<u64>,
    /// Training images [default: those of --data, else ImageNet-1K's 1,281,167]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Curve")]
    images: Option<u64>,
    /// One line a step: update (the step, counted from 0),epoch,lr,momentum
    #[arg(long, value_name = "FILE", help_heading = "Curve")]
    csv: Option<PathBuf>,
    /// The same and the settings as one JSON object
    #[arg(long, value_name = "FILE", help_heading = "Curve")]
    json: Option<PathBuf>,
    /// The curve over epochs; momentum too where it moves
    #[arg(long, value_name = "FILE.svg", help_heading = "Curve")]
    plot: Option<PathBuf>,
    /// Draw several schedules over each other
    #[arg(long, value_name = "SCHED,SCHED,...", value_enum, value_delimiter = ',', help_heading = "Curve", conflicts_with_all = ["csv", "json"])]
    compare: Vec<Sched>,
}

/// Prints or writes the curve. `given` tells which flags were typed.
///
/// # Errors
/// `Usage` naming the flag that makes no sense; `Write`.
pub fn run(args: Args, given: impl Fn(&str) -> bool) -> Result<Outcome> {
    if let Some(flag) = ["resume", "output", "dry-run"].iter().find(|flag| given(&flag.replace('-', "_"))) {
        return Err(Error::usage(format!("--{flag} means nothing to schedule"))
            .because("it computes learning rates, and neither trains nor keeps anything but --csv, --json and --plot")
            .next(format!("leave --{flag} out; imagenet-engine schedule --help")));
    }
    for (flag, path, format) in [("--csv", &args.csv, "csv"), ("--json", &args.json, "json"), ("--plot", &args.plot, "svg")] {
        path.as_deref().map_or(Ok(()), |path| check_ending(flag, path, format))?;
    }
    check_outputs(crate::files::Kind::Report, [args.csv.as_ref(), args.json.as_ref(), args.plot.as_ref()])?;
    let mut flags = args.config;
    if !given("data") {
        flags.data = NO_DATA.into(); // not the demo, whose preset is for its pictures
    }
    let config = Config::resolve(flags, &given)?;
    let (updates_per_epoch, basis) = match (args.updates_per_epoch, args.images) {
        (Some(updates), _) => (updates, format!("{} per epoch (--updates-per-epoch)", counted(updates, "step"))),
        (None, given) => {
            let images = given.map_or_else(|| pictures(&config), Ok)?;
            let whose = match (given, config.data.as_str()) {
                (Some(_), _) => "--images".to_owned(),
                (None, NO_DATA | "synthetic") => "ImageNet-1K's; --images N or --data DIR for others".to_owned(),
                (None, data) => format!("those of {data}"),
            };
            let each = config.batch_size * config.grad_accum;
            let basis = format!("{} training images, {} per step ({whose})", count(images), count(each as u64));
            (Plan::new(&config, images)?.updates_per_epoch, basis)
        }
    };
    let scheds = if args.compare.is_empty() { vec![config.sched] } else { args.compare };
    let comparing = scheds.len() > 1;
    let of = |sched: Sched| {
        // one-cycle has no part in a warm-up typed for the others
        let own = comparing && sched == Sched::Onecycle;
        Config { sched, warmup_epochs: config.warmup_epochs.filter(|_| !own), ..config.clone() }
    };
    let plans: Vec<(Sched, Plan)> =
        scheds.into_iter().map(|sched| Plan::of(&of(sched), updates_per_epoch).map(|p| (sched, p))).collect::<Result<_>>()?;
    for (sched, plan) in &plans {
        plan.warnings
            .iter()
            .filter(|w| !(plans.len() > 1 && w.contains("does nothing")))
            .for_each(|w| remark!("warning: {}: {w}", word(*sched)));
    }
    let figure = figure(&config, &plans);
    let (_, plan) = &plans[0];
    if let Some(path) = &args.csv {
        write_output(path, crate::files::Kind::Report, |file| csv(plan, file))?;
    }
    if let Some(path) = &args.json {
        write_output(path, crate::files::Kind::Report, |file| json_of(&config, plan, file))?;
    }
    if let Some(path) = &args.plot {
        figure.write_svg(path)?;
    }
    let files: Vec<&Path> = [&args.csv, &args.json, &args.plot].into_iter().flatten().map(PathBuf::as_path).collect();
    if files.is_empty() {
        out!("{}", wrapped(&format!("for {basis}"), plot_text::columns(), 2));
        out!("{}", figure.text(plot_text::columns()).trim_end());
    }
    for (sched, plan) in &plans {
        let (all, each) = (counted(plan.total_updates, "step"), count(plan.updates_per_epoch));
        out!("{}: {all}, {each} per epoch", word(*sched));
        out!("  learning rate {}", plan.rates());
    }
    files.iter().for_each(|path| out!("wrote {}", path.display()));
    Ok(Outcome::Done)
}

/// How many images an epoch would draw from.
fn pictures(config: &Config) -> Result<u64> {
    match config.data.as_str() {
        NO_DATA | "synthetic" => Ok(IMAGENET),
        "demo" => Ok(super::datasets::DEMO_TRAIN as u64),
        dir => Dataset::open(Path::new(dir))
            .map(|d| d.manifest().records)
            .map_err(|e: Error| e.next("--images N or --updates-per-epoch N, without --data")),
    }
}

fn word(sched: Sched) -> String {
    sched.to_possible_value().map_or_else(String::new, |v| v.get_name().to_owned())
}

/// A run of ImageNet has half a million lines: they are written as they are made.
fn csv(plan: &Plan, file: &mut dyn Write) -> io::Result<()> {
    writeln!(file, "update,epoch,lr,momentum")?;
    for u in 0..plan.schedule.total {
        let Point { lr, momentum } = plan.schedule.at(u);
        writeln!(file, "{u},{},{lr},{momentum}", plan.epoch_of(u))?; // f64's shortest form that reads back the same
    }
    Ok(())
}

fn json_of(config: &Config, plan: &Plan, file: &mut dyn Write) -> io::Result<()> {
    let s = &plan.schedule;
    let marks: Vec<_> = s.marks().iter().map(|(u, what)| json!({ "update": u, "what": what })).collect();
    let head = json!({ "sched": config.sched, "opt": config.opt, "updates": s.total, "updates_per_epoch": plan.updates_per_epoch,
        "warmup_updates": s.warmup, "peak": s.peak, "marks": marks, "warnings": plan.warnings });
    write!(file, "{},\"points\":[", head.to_string().trim_end_matches('}'))?;
    for u in 0..s.total {
        let Point { lr, momentum } = s.at(u);
        let point = json!({ "update": u, "epoch": plan.epoch_of(u), "lr": lr, "momentum": momentum });
        write!(file, "{}{point}", if u > 0 { "," } else { "" })?;
    }
    writeln!(file, "]}}")
}

fn figure(config: &Config, plans: &[(Sched, Plan)]) -> Figure {
    let alone = plans.len() == 1;
    let line = |name: String, plan: &Plan, value: fn(Point) -> f64| {
        let point = |u: u64| (u as f64 / plan.updates_per_epoch as f64, value(plan.schedule.at(u)));
        // The last step lasts until the end of its epoch.
        let end = (plan.total_updates as f64 / plan.updates_per_epoch as f64, value(plan.schedule.at(plan.total_updates - 1)));
        Line { name, points: shown(plan).into_iter().map(point).chain([end]).collect() }
    };
    let moves = |plan: &Plan| shown(plan).iter().any(|u| plan.schedule.at(*u).momentum != plan.schedule.at(0).momentum);
    let first = &plans[0].1;
    let epochs = |u: u64| u as f64 / first.updates_per_epoch as f64;
    let marks = if alone { first.schedule.marks() } else { Vec::new() };
    let names: Vec<String> = plans.iter().map(|(sched, _)| word(*sched)).collect();
    let momentum =
        if config.opt == crate::train::config::Opt::Sgd || config.opt == crate::train::config::Opt::Lars { "momentum" } else { "beta1" };
    Figure {
        title: format!("{}: {} of {}", names.join(", "), counted(config.epochs, "epoch"), counted(first.updates_per_epoch, "step")),
        x: "epoch",
        y: "learning rate",
        log_x: false,
        lines: plans.iter().map(|(sched, plan)| line(word(*sched), plan, |p| p.lr)).collect(),
        right: (alone && moves(first)).then(|| line(momentum.into(), first, |p| p.momentum)),
        marks: if marks.len() > 40 { Vec::new() } else { marks.iter().map(|(u, what)| (epochs(*u), (*what).to_owned())).collect() },
    }
}

/// Steps worth a point: all of them, or of each of many stretches the first, the lowest and the highest, so that no jump and no cycle
/// is lost however long the run.
fn shown(plan: &Plan) -> Vec<u64> {
    let (total, schedule) = (plan.schedule.total, &plan.schedule);
    if total <= MOST_POINTS {
        return (0..total).collect();
    }
    let stretches = MOST_POINTS / 2;
    let mut all = vec![total - 1];
    for i in 0..stretches {
        let (begin, end) = (i * total / stretches, (i + 1) * total / stretches);
        let (mut low, mut high) = (begin, begin);
        for u in begin..end {
            low = if schedule.lr(u) < schedule.lr(low) { u } else { low };
            high = if schedule.lr(u) > schedule.lr(high) { u } else { high };
        }
        all.extend([begin, low, high]);
    }
    all.sort_unstable();
    all.dedup();
    all
}
