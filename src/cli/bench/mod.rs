//! `bench`: how fast this machine does the work.

mod kernels;
mod loader;
mod pack;
mod step;
mod step_report;

use super::Outcome;
use crate::error::Result;

#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum What {
    /// The whole training step, on synthetic images and on packed ones
    Step(step::Args),
    /// Every CUDA kernel at the shapes of ResNet-50, against the ceilings of this GPU
    Kernels(kernels::Args),
    /// Reading packed images, and cropping and resizing them for the CPU
    Loader(loader::Args),
    /// Decoding, resizing and writing images
    Pack(pack::Args),
}

/// # Errors
/// Those of the work; `Write` for the files.
pub fn run(args: &Args) -> Result<Outcome> {
    match &args.what {
        What::Step(args) => step::run(args),
        What::Kernels(args) => kernels::run(args),
        What::Loader(args) => loader::run(args),
        What::Pack(args) => pack::run(args),
    }
}
