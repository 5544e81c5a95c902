//! `unpack`: shards back to files.

use super::Outcome;
use super::output::out;
use super::progress::{ProgressMode, Terminal};
use crate::data::Dataset;
use crate::data::unpack::unpack;
use crate::error::Result;
use crate::progress::Progress;
use crate::text::counted;
use std::path::PathBuf;

/// Write the images of a packed folder as PNG files, <class>/<name>.png, and index.csv (global_id,label,path) in stored order
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A folder with dataset.json
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// Folder for the files; made if missing
    #[arg(long, value_name = "DIR")]
    pub output: PathBuf,
    /// Only the first N images
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// What to show meanwhile
    #[arg(long, value_enum, default_value = "auto")]
    pub progress: ProgressMode,
}

/// # Errors
/// Those of [`unpack`].
pub fn run(args: &Args) -> Result<Outcome> {
    let terminal = Terminal::new(args.progress);
    let stop = super::signals::stop_on_signal("finishing the images under way", Outcome::Interrupted)?;
    let dataset = Dataset::open(&args.dir)?;
    let Some(count) = unpack(&dataset, &args.output, args.limit, &terminal, &stop)? else {
        terminal.note("stopped; what was written so far was removed again");
        return Ok(Outcome::Interrupted);
    };
    out!("{}: {count} of {}, and index.csv", args.output.display(), counted(dataset.len() as u64, "image"));
    Ok(Outcome::Done)
}
