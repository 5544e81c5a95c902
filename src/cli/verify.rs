//! `verify`: is every byte still as it was packed?

use super::Outcome;
use super::output::out;
use super::progress::{ProgressMode, Terminal};
use crate::data::manifest::MAKE_ANEW;
use crate::data::source::{Kind, SourceOptions};
use crate::data::verify::{Depth, repair, verify};
use crate::error::{Error, Result};
use indicatif::DecimalBytes;
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
    /// Make damaged shards again from the pictures they were packed from
    #[arg(long, value_name = "PATH", conflicts_with = "quick")]
    pub repair_from: Option<PathBuf>,
    /// With --repair-from: what PATH is, as for pack
    #[arg(long, value_enum, requires = "repair_from")]
    pub source: Option<Kind>,
    /// With --repair-from: labels, as for pack
    #[arg(long, value_name = "FILE", requires = "repair_from")]
    pub labels: Option<PathBuf>,
    /// With --repair-from: class names, as for pack
    #[arg(long, value_name = "FILE", requires = "repair_from")]
    pub class_names: Option<PathBuf>,
    /// With --repair-from: column of the images, as for pack
    #[arg(long, value_name = "NAME|N", requires = "repair_from")]
    pub image_column: Option<String>,
    /// With --repair-from: column of the class, as for pack
    #[arg(long, value_name = "NAME|N", requires = "repair_from")]
    pub label_column: Option<String>,
    /// What to show meanwhile
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
    let terminal = Terminal::new(args.progress);
    let mut report = verify(&args.dir, depth, &terminal)?;
    for line in &report.damage {
        out!("{line}");
    }
    if let (Some(source), false) = (&args.repair_from, report.damaged_shards.is_empty()) {
        let stop = super::signals::stop_on_signal("finishing the images under way", Outcome::Stopped)?;
        let options = SourceOptions {
            kind: args.source,
            labels: args.labels.clone(),
            class_names: args.class_names.clone(),
            image_column: args.image_column.clone(),
            label_column: args.label_column.clone(),
            scratch: None,
        };
        let repaired = repair(&args.dir, source, &options, &report.damaged_shards, &terminal, &stop)?;
        out!("{repaired} shards made again from {}", source.display());
        report = verify(&args.dir, depth, &terminal)?;
        for line in &report.damage {
            out!("{line}");
        }
    }
    if report.damage.is_empty() {
        let how = if depth == Depth::Quick { "structure" } else { "every byte" };
        out!("ok: {} pictures in {} shards, {} ({how})", report.records, report.shards, DecimalBytes(report.bytes));
        return Ok(Outcome::Done);
    }
    let next = if report.damaged_shards.is_empty() {
        MAKE_ANEW.to_owned()
    } else {
        format!("imagenet-engine verify {} --repair-from PICTURES, or pack again into a new folder", args.dir.display())
    };
    Err(Error::data(format!(
        "{} damages in {} of {} shards (listed above)",
        report.damage.len(),
        report.damaged_shards.len(),
        report.shards
    ))
    .at(args.dir.display().to_string())
    .because("the files changed after packing (disk or copy error)")
    .next(next))
}
