//! The command line: one file per subcommand, each with its `Args` and a `run`.

pub mod pack;
pub mod progress;
pub mod verify;

use crate::error::{Error, Result};
use clap::{Parser, Subcommand};
use std::ffi::OsString;

/// How a command that did not fail ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// Packed, but some pictures were left out.
    SkippedImages,
    /// Stopped by a signal after writing what is needed to go on.
    Stopped,
}

impl Outcome {
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::SkippedImages => 3,
            Self::Stopped => 75,
        }
    }
}

#[derive(Parser)]
#[command(name = "imagenet-engine", version, about, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
#[allow(clippy::large_enum_variant)]
enum Command {
    Pack(pack::Args),
    Verify(verify::Args),
}

/// Parses `args` (the program's name first) and runs the command.
///
/// # Errors
/// Those of the command; a wrong flag ends the process in clap, with code 2.
pub fn run(args: impl IntoIterator<Item = OsString>) -> Result<Outcome> {
    let cli = Cli::parse_from(args);
    std::panic::catch_unwind(|| match &cli.command {
        Command::Pack(args) => pack::run(args),
        Command::Verify(args) => verify::run(args),
    })
    .unwrap_or_else(|_| {
        Err(Error::internal("the program ran into a bug of its own (message above)").next("please report it with the command line"))
    })
}
