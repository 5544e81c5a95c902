//! `pack`: from a folder of pictures to shards.

use super::Outcome;
use super::output::out;
use super::plot_text::columns;
use super::progress::{ProgressMode, Terminal};
use super::source_args::SourceArgs;
use crate::data::Dataset;
use crate::data::bad::{BAD_IMAGES, OnBad};
use crate::data::compressed::JpegOptions;
use crate::data::crop::MOST_SIDE;
use crate::data::estimate::Estimate;
use crate::data::manifest::Split;
use crate::data::pack::{PackEnd, PackOptions, pack};
use crate::data::plan::{DEFAULT_SHUFFLE_SEED, PlanOptions};
use crate::data::resize::Fit;
use crate::data::source::{Part, split_named};
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::text::{count, counted, duration, number, wrapped};
use indicatif::BinaryBytes;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum EncodingArg {
    Raw,
    Jpeg,
}

/// Decode and resize images once, into checked shards that training reads at full speed
///
/// PATH is ImageNet as you have it, found out by looking: a folder per class (or PATH/<split>/<class>), the original tars with the
/// development kit, Kaggle's tree, Hugging Face's Parquet files, WebDataset tars, or a list of lines PATH CLASS or JSON. Nothing is unpacked.
/// The same images give the same shards from each of them. The output is the same, byte for byte, for any number of jobs. An interrupted pack goes on when the same command is run again.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The images: a folder, an archive or a list; .jpg, .jpeg, .png, .webp in any case, types are found by content
    #[arg(long, value_name = "PATH")]
    pub input: PathBuf,
    #[command(flatten)]
    pub source: SourceArgs,
    /// Folder for the shards of this split; made if missing, never overwritten
    #[arg(long, value_name = "DIR")]
    pub output: PathBuf,
    /// Which split this is; train is stored in a permuted order, val in the order of names [default: as PATH is named, else train]
    #[arg(long, value_enum)]
    pub split: Option<Split>,
    /// raw: RGB bytes, which training reads at full speed; jpeg: files of a tenth of the size, which training decodes
    #[arg(long, value_enum, default_value = "raw")]
    pub encoding: EncodingArg,
    /// Short side in pixels after resizing, 0 keeps every image at its size [default: 256 for raw, 0 for jpeg]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=i64::from(MOST_SIDE)))]
    pub resize: Option<u32>,
    /// jpeg: encode every image anew at this quality [default: keep the original bytes; 90 for what is made smaller]
    #[arg(long, value_name = "1-100")]
    pub quality: Option<u8>,
    /// jpeg: make images smaller whose longest side is above this
    #[arg(long, value_name = "PIXELS")]
    pub max_side: Option<u32>,
    /// Print sizes and time of this and other encodings, from a sample, and stop; exit code 73 if the disk cannot hold it
    #[arg(long)]
    pub estimate: bool,
    /// short: keep the whole image, its short side N (longer than 8:1 is cut to its middle); square: and of that the centre N x N
    #[arg(long, value_enum, default_value = "short")]
    pub fit: Fit,
    /// Images in each shard file
    #[arg(long, value_name = "N", default_value_t = 4096)]
    pub records_per_shard: u64,
    /// Threads [default: one per core]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub jobs: usize,
    /// Images that cannot be read: fail at the first, skip any number, or skip up to limit=FRACTION of all; they are listed in
    /// bad_images.jsonl, and the exit code is 3 when some were skipped
    #[arg(long, value_name = "fail|skip|limit=FRACTION", default_value = "limit=0.0001", value_parser = parse_on_bad)]
    pub on_bad: OnBad,
    /// Seed of the stored order; given for val, it is permuted too [default: 1 for train, none for val]
    #[arg(long, value_name = "N")]
    pub shuffle_seed: Option<u64>,
    /// Largest image to decode, in megapixels; the header is looked at before memory is taken
    #[arg(long, value_name = "MEGAPIXELS", default_value_t = 64.0)]
    pub max_size: f64,
    /// How progress is shown; notes about the data are printed either way
    #[arg(long, value_enum, default_value = "auto")]
    pub progress: ProgressMode,
}

fn parse_on_bad(text: &str) -> std::result::Result<OnBad, String> {
    let fraction = text.strip_prefix("limit=").and_then(|f| f.parse::<f64>().ok()).filter(|f| (0.0..=1.0).contains(f));
    match (text, fraction) {
        ("fail", _) => Ok(OnBad::Fail),
        ("skip", _) => Ok(OnBad::Skip),
        (_, Some(fraction)) => Ok(OnBad::Limit(fraction)),
        _ => Err("expected fail, skip, or limit=FRACTION with a fraction from 0 to 1".to_owned()),
    }
}

/// The split, and what to say about it. A folder named `val` is hardly meant to be packed as train without a word.
fn split(args: &Args) -> Result<(Split, Option<String>)> {
    let input = args.input.display();
    match (args.split, split_named(&args.input)) {
        (None, Some(Part::Test)) => Err(Error::usage("the input is named as a test split: is it to be packed as train or as val?")
            .at(input.to_string())
            .next("--split val, if it has labels and is to be evaluated on")),
        (None, Some(Part::Val)) => {
            Ok((Split::Val, Some(format!("packed as the split val, as {input} is named (--split train otherwise)"))))
        }
        (None, _) => Ok((Split::Train, None)),
        (Some(Split::Train), Some(named @ (Part::Val | Part::Test))) => {
            Ok((Split::Train, Some(format!("{input} is named as the split {}, and is packed as train", named.name()))))
        }
        (Some(Split::Val), Some(Part::Train)) => {
            Ok((Split::Val, Some(format!("{input} is named as the split train, and is packed as val"))))
        }
        (Some(split), _) => Ok((split, None)),
    }
}

/// # Errors
/// Those of [`pack`].
pub fn run(args: &Args) -> Result<Outcome> {
    if args.max_size.is_nan() || args.max_size <= 0.0 {
        return Err(Error::usage("--max-size must be above 0 megapixels"));
    }
    let jpeg = args.encoding == EncodingArg::Jpeg;
    if !jpeg && (args.quality.is_some() || args.max_side.is_some()) {
        return Err(Error::usage("--quality and --max-side are of --encoding jpeg").next("add --encoding jpeg, or leave them out"));
    }
    let terminal = Terminal::new(args.progress);
    let (split, note) = split(args)?;
    if let Some(note) = note {
        terminal.note(&format!("note: {note}"));
    }
    let plan = PlanOptions {
        split,
        size: args.resize.unwrap_or(if jpeg { 0 } else { 256 }),
        jpeg: jpeg.then(|| JpegOptions { quality: args.quality, max_side: args.max_side.unwrap_or(0) }),
        fit: args.fit,
        records_per_shard: args.records_per_shard,
        shuffle_seed: args.shuffle_seed.or((split == Split::Train).then_some(DEFAULT_SHUFFLE_SEED)),
        max_pixels: (args.max_size * 1e6).round() as u64,
    };
    let options = PackOptions {
        input: args.input.clone(),
        source: args.source.options(),
        output: args.output.clone(),
        plan,
        on_bad: args.on_bad,
        jobs: args.jobs,
    };
    let stop = super::signals::stop_on_signal("finishing the shards under way", Outcome::Stopped)?;
    if args.estimate {
        return estimate(&options, &stop);
    }
    let end = pack(&options, &terminal, &stop)?;
    let PackEnd::Finished(report) = end else {
        terminal.finish();
        terminal.note("stopped; finished shards are kept. Run the same command to go on.");
        return Ok(Outcome::Stopped);
    };
    let m = &report.manifest;
    let bytes: u64 = m.shards.iter().map(|s| s.bytes).sum();
    let line = format!(
        "{}: {} of {} in {}, {}, dataset {}",
        args.output.display(),
        counted(m.records, "image"),
        counted(m.classes.len() as u64, "class"),
        counted(m.shards.len() as u64, "shard"),
        BinaryBytes(bytes),
        &m.dataset_id[..12]
    );
    out!("{}", wrapped(&line, columns(), 2));
    if report.kept > 0 {
        let were = if report.kept == 1 { "was" } else { "were" };
        out!("{} of an earlier run {were} kept", counted(report.kept as u64, "shard"));
    }
    let odd: Vec<String> =
        super::inspect::odd(&Dataset::open(&args.output)?).iter().map(|(what, n)| format!("{} {what}", count(*n as u64))).collect();
    if !odd.is_empty() {
        out!("of note: {}", odd.join(", "));
    }
    if report.bad.is_empty() {
        return Ok(Outcome::Done);
    }
    let (bad, list) = (counted(report.bad.len() as u64, "image"), args.output.join(BAD_IMAGES));
    out!("{bad} could not be read, left out: see {}", list.display());
    Ok(Outcome::SkippedImages)
}

/// Prints what the pack would take.
fn estimate(options: &PackOptions, stop: &AtomicBool) -> Result<Outcome> {
    let made = Estimate::make(&options.input, &options.source, &options.output, &options.plan, options.jobs, stop)?;
    let Some(e) = made else { return Ok(Outcome::Stopped) };
    let (images, classes) = (counted(e.pictures as u64, "image"), counted(e.classes as u64, "class"));
    out!("{}: {}, {images} of {classes}, {}", options.input.display(), e.kind, BinaryBytes(e.source_bytes));
    e.notes.iter().for_each(|note| out!("  note: {note}"));
    out!(
        "{}",
        wrapped(
            &format!(
                "  from a sample: {}, spread evenly over the names, read, decoded and stored in memory here, multiplied by {}; \
                 a slow disk to read from or write to comes on top",
                counted(e.sampled as u64, "image"),
                number(e.pictures as f64 / e.sampled.max(1) as f64)
            ),
            columns(),
            2
        )
    );
    if e.bad > 0 {
        out!("  {} of them cannot be read", count(e.bad as u64));
    }
    for c in &e.choices {
        let mark = if c.asked { "->" } else { "  " };
        out!("  {mark} {:<36} {:>12} {:>14}", c.name, BinaryBytes(c.bytes).to_string(), duration(c.seconds));
    }
    if let Some(free) = e.free {
        out!("  {} free at {}", BinaryBytes(free), options.output.display());
    }
    e.check_space(&options.output)?;
    Ok(Outcome::Done)
}
