//! `export`: the weights of a checkpoint, or their moving average, as a file that torchvision loads with `strict=True`.

use super::Outcome;
use super::output::{check_ending, check_outputs, out, remark};
use super::weights::Weights;
use crate::checkpoint::{self, State};
use crate::error::Result;
use crate::files::is_straight;
use crate::text::counted;
use clap::ValueEnum;
use std::path::PathBuf;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Safetensors,
}

#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// A checkpoint, a weight file, or the folder of a run
    #[arg(long, value_name = "FILE|RUN")]
    weights: PathBuf,
    /// The file to write, never over one that is there
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    /// Its format
    #[arg(long, value_enum, default_value_t = Format::Safetensors)]
    format: Format,
    /// The moving average that a checkpoint holds beside the weights
    #[arg(long)]
    ema: bool,
    /// The network [default: what the file says]
    #[arg(long)]
    model: Option<String>,
}

/// # Errors
/// `Data`: a file that cannot be read. `Usage`: no moving average in it. `Write`: the output is there already or cannot be written.
pub fn run(args: &Args) -> Result<Outcome> {
    let Format::Safetensors = args.format;
    check_ending("--output", &args.output, "safetensors")?;
    check_outputs(crate::files::Kind::Result, [Some(&args.output)])?;
    let weights = Weights::open(&args.weights, args.ema, args.model.as_deref(), None, None)?;
    let state = State::fresh(weights.weights, weights.running);
    checkpoint::save_weights(&args.output, &weights.model, &weights.card, &state, weights.batches)?;
    let classes = counted(weights.card.classes.len() as u64, "class");
    let line = format!("wrote {}: {} for {classes}", args.output.display(), weights.model.name);
    // Behind weights in a pipe a line would be a part of them.
    if is_straight(&args.output) {
        remark!("{line}")
    } else {
        out!("{line}")
    }
    Ok(Outcome::Done)
}
