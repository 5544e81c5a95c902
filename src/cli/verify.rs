//! `verify`: is every byte still as it was packed?

use super::Outcome;
use super::output::out;
use super::progress::{ProgressMode, Terminal};
use super::source_args::SourceArgs;
use crate::data::manifest::MAKE_ANEW;
use crate::data::verify::{Depth, repair, verify};
use crate::error::{Error, Result};
use crate::text::{counted, pasted};
use indicatif::BinaryBytes;
use std::path::PathBuf;

/// Check a packed folder: structure, checksums of every record and file
///
/// Prints a line for each damage: file, record, global id, source name and byte. Exit code 0 when all is well, 65 otherwise.
/// `sha256sum -c SHA256SUMS` inside the folder checks the same files without this program.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A folder with dataset.json
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// Only headers, indexes, footers and the manifest
    #[arg(long, group = "depth")]
    pub quick: bool,
    /// Every record's CRC32C and every file's SHA-256 (the default)
    #[arg(long, group = "depth")]
    pub full: bool,
    /// And decode every compressed record (raw ones have nothing to decode)
    #[arg(long, group = "depth")]
    pub decode: bool,
    /// Make damaged shards again from the images they were packed from; the flags for the source below are those of pack
    #[arg(long, value_name = "PATH", conflicts_with = "quick")]
    pub repair_from: Option<PathBuf>,
    #[command(flatten)]
    pub source: SourceArgs,
    /// How progress is shown; notes about the data are printed either way
    #[arg(long, value_enum, default_value = "auto")]
    pub progress: ProgressMode,
}

/// # Errors
/// `Data` when something is damaged and was not repaired.
pub fn run(args: &Args) -> Result<Outcome> {
    let depth = match (args.quick, args.decode) {
        (true, _) => Depth::Quick,
        (_, true) => Depth::Decode,
        _ => Depth::Full,
    };
    if args.repair_from.is_none() && args.source != SourceArgs::default() {
        return Err(Error::usage("--source, --labels, --class-names and the columns say how --repair-from PATH is read")
            .next("add --repair-from PATH, or leave them out"));
    }
    let terminal = Terminal::new(args.progress);
    let mut report = verify(&args.dir, depth, &terminal)?;
    for line in &report.damage {
        out!("{line}");
    }
    if let (Some(source), false) = (&args.repair_from, report.damaged_shards.is_empty()) {
        let stop = super::signals::stop_on_signal("finishing the images under way", Outcome::Stopped)?;
        let repaired = repair(&args.dir, source, &args.source.options(), &report.damaged_shards, &terminal, &stop)?;
        out!("{} made again from {}", counted(repaired as u64, "shard"), source.display());
        report = verify(&args.dir, depth, &terminal)?;
        for line in &report.damage {
            out!("{line}");
        }
    }
    if report.damage.is_empty() {
        let how = if depth == Depth::Quick { "structure only" } else { "every byte" };
        let (images, shards) = (counted(report.records, "image"), counted(report.shards as u64, "shard"));
        out!("ok: {images} in {shards}, {} ({how} checked)", BinaryBytes(report.bytes));
        return Ok(Outcome::Done);
    }
    let next = if report.damaged_shards.is_empty() {
        MAKE_ANEW.to_owned()
    } else {
        format!("imagenet-engine verify {} --repair-from IMAGES, or pack again into a new folder", pasted(&args.dir))
    };
    let gone = report.damaged_shards.iter().filter(|name| !args.dir.join(name).exists()).count();
    Err(Error::data(format!(
        "{} in {} of {} (listed above)",
        counted(report.damage.len() as u64, "error"),
        report.damaged_shards.len(),
        counted(report.shards as u64, "shard")
    ))
    .at(args.dir.display().to_string())
    .because(match gone {
        0 => "the files changed after packing (disk or copy error)".to_owned(),
        _ if gone == report.damaged_shards.len() => "missing: deleted, or not copied".to_owned(),
        _ => format!("{}; others changed after packing (disk or copy error)", counted(gone as u64, "missing file")),
    })
    .next(next))
}
