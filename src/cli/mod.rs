//! The command line: one file per subcommand, each with its `Args` and a `run`.

mod bench;
mod datasets;
mod device;
mod doctor;
mod eval;
mod export;
mod foreign;
mod images;
mod inspect;
mod lr_find;
mod output;
mod pack;
mod plot;
mod plot_text;
mod predict;
mod preprocess;
pub mod progress;
mod room;
mod run_facts;
mod run_table;
mod schedule;
mod selftest;
mod signals;
mod smi;
mod source_args;
mod train;
mod train_report;
mod unpack;
mod usage;
mod verify;
mod weights;
mod which_images;

use crate::error::{Error, Result};
use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use std::ffi::OsString;

/// How a command that did not fail ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// Packed, but some images were left out.
    SkippedImages,
    /// Stopped by a signal after writing what is needed to go on.
    Stopped,
    /// Stopped by a signal, with nothing to go on from.
    Interrupted,
}

impl Outcome {
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::SkippedImages => 3,
            Self::Stopped => 75,
            Self::Interrupted => 130,
        }
    }
}

/// How the user called this program, for the commands we suggest.
fn program() -> String {
    std::env::args().next().unwrap_or_else(|| "imagenet-engine".into())
}

#[derive(Parser)]
#[command(name = "imagenet-engine", version, about, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
#[allow(clippy::large_enum_variant)] // one value per process
enum Command {
    /// Turn a folder of images into shards, once
    #[command(allow_negative_numbers = true)]
    Pack(pack::Args),
    /// Read shards back and check every byte
    #[command(allow_negative_numbers = true)]
    Verify(verify::Args),
    /// Say what is in packed shards; a contact sheet
    #[command(allow_negative_numbers = true)]
    Inspect(inspect::Args),
    /// Turn shards back into images
    #[command(allow_negative_numbers = true)]
    Unpack(unpack::Args),
    /// Train a network
    #[command(args_override_self = true, allow_negative_numbers = true)] // scripts append flags; the last one counts, as in argparse
    Train(train::Args),
    /// The learning rate of every step: a curve, CSV, JSON, a plot
    #[command(args_override_self = true, allow_negative_numbers = true)]
    Schedule(schedule::Args),
    /// A peak learning rate, from a short test on your images
    #[command(args_override_self = true, allow_negative_numbers = true)]
    LrFind(lr_find::Args),
    /// Exact accuracy of weights on packed images
    #[command(allow_negative_numbers = true)]
    Eval(eval::Args),
    /// Weights of a checkpoint, or their moving average, as a file for others
    #[command(allow_negative_numbers = true)]
    Export(export::Args),
    /// The classes of images
    #[command(allow_negative_numbers = true)]
    Predict(predict::Args),
    /// How fast this machine does the work
    Bench(bench::Args),
    /// What this machine has, and what to fix
    #[command(allow_negative_numbers = true)]
    Doctor(doctor::Args),
    #[command(allow_negative_numbers = true)]
    Selftest(selftest::Args),
}

/// Runs `args`, prints the error if there is one, and returns the exit code of the process.
pub fn exit_code(args: impl IntoIterator<Item = OsString>) -> u8 {
    match run(args) {
        Ok(outcome) => outcome.exit_code(),
        Err(error) => {
            output::note(format_args!("error: {error}"));
            error.exit_code()
        }
    }
}

/// Parses `args` (the program's name first) and runs the command.
///
/// # Errors
/// `Usage` for what the parser refuses; those of the command.
pub fn run(args: impl IntoIterator<Item = OsString>) -> Result<Outcome> {
    crate::files::raise_open_files();
    signals::survive_file_size_limit();
    crate::data::fault::install();
    let args: Vec<OsString> = args.into_iter().collect();
    let mut command = Cli::command();
    command.build(); // so that what is global stands at every subcommand
    let matches = command.try_get_matches_from_mut(&args).map_err(|e| usage::refused(&e, &command, &args))?;
    let cli = Cli::from_arg_matches(&matches).map_err(|e| usage::refused(&e, &command, &args))?;
    let typed = |id: &str| {
        let of_command = matches.subcommand().map(|(_, m)| m);
        of_command.is_some_and(|m| m.try_contains_id(id).unwrap_or(false) && m.value_source(id) == Some(ValueSource::CommandLine))
    };
    if matches!(cli.command, Command::Verify(_) | Command::Inspect(_) | Command::Unpack(_) | Command::Selftest(_)) {
        crate::limits::global_pool(0)?; // the other commands size it by their flags
    }
    if matches!(cli.command, Command::Export(_) | Command::Inspect(_) | Command::Schedule(_) | Command::Bench(_) | Command::Selftest(_)) {
        signals::clean_up_on_signal(); // the others stop at a place of their own, or write nothing
    }
    let command = std::panic::AssertUnwindSafe(|| match &cli.command {
        Command::Pack(args) => pack::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Inspect(args) => inspect::run(args),
        Command::Unpack(args) => unpack::run(args),
        Command::Train(args) => train::run(args.clone(), typed),
        Command::Schedule(args) => schedule::run(args.clone(), typed),
        Command::LrFind(args) => lr_find::run(args.clone(), typed),
        Command::Export(args) => export::run(args),
        Command::Eval(args) => eval::run(args),
        Command::Predict(args) => predict::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Doctor(args) => doctor::run(args),
        Command::Selftest(args) => selftest::run(args),
    });
    let done = std::panic::catch_unwind(command).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map_or("", String::as_str);
        if text.contains("failed to spawn thread") {
            return Err(crate::limits::refused_threads(std::io::Error::other(text.to_owned())));
        }
        Err(Error::internal("the program ran into a bug of its own (message above)").next("please report it with the command line"))
    });
    let told = output::finish();
    done.and_then(|outcome| told.map(|()| outcome))
}
