//! `bench loader`: how fast packed pictures come, and what that takes.

use super::super::Outcome;
use super::super::device::set_threads;
use super::super::output::{check_outputs, out};
use crate::bench::host::Watch;
use crate::bench::loading::{self, Options, Rate};
use crate::data::crop::{MOST_SIDE, parse_side};
use crate::data::loader::Source;
use crate::data::made::{Scratch, write_noise};
use crate::data::order::Mixing;
use crate::data::order::Shuffle;
use crate::data::place::Place;
use crate::data::reading::{Io, PageCache, ReadOptions, VerifyReads};
use crate::data::synthetic::Synthetic;
use crate::error::{Error, Result};
use crate::files;
use crate::text::{count, counted};
use crate::train::config::Config;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;

#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Packed images [default: those of --made]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Images of noise, made in a temporary folder: COUNTxSIDE
    #[arg(long, value_name = "COUNTxSIDE", default_value = "2048x256", conflicts_with = "data")]
    made: String,
    #[arg(long, short = 'b', value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    batch_size: u32,
    #[arg(long, value_name = "PIXELS", value_parser = parse_side, default_value_t = 224)]
    train_crop_size: u32,
    #[arg(long, value_enum, default_value_t = Shuffle::Full)]
    shuffle: Shuffle,
    #[arg(long, value_enum, default_value_t = Io::Pread)]
    io: Io,
    #[arg(long, value_enum, default_value_t = VerifyReads::Always)]
    verify_reads: VerifyReads,
    #[arg(long, value_enum, default_value_t = PageCache::Auto)]
    page_cache: PageCache,
    #[arg(long, value_name = "RECORDS", value_parser = clap::value_parser!(u64).range(1..=1 << 32))]
    shuffle_block: Option<u64>,
    #[arg(long, value_name = "BLOCKS", value_parser = clap::value_parser!(u64).range(1..=1 << 24))]
    shuffle_window: Option<u64>,
    /// Threads that read
    #[arg(long, short = 'j', value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=256))]
    workers: u64,
    /// Threads that crop and resize, and that decode
    /// CPU threads [default: all]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Passes, of which the median counts
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=1000))]
    repeats: u64,
    /// Batches of a pass, at most
    #[arg(long, value_name = "N", default_value_t = 1 << 20, value_parser = clap::value_parser!(u64).range(1..))]
    limit_batches: u64,
    /// The figures as one JSON object
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// The figures as CSV
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
}

/// # Errors
/// Those of the images; `Write` for the files.
pub fn run(args: &Args) -> Result<Outcome> {
    check_outputs(crate::files::Kind::Report, [args.json.as_ref(), args.csv.as_ref()])?;
    set_threads(args.threads)?;
    let Args { shuffle, shuffle_block, shuffle_window, io, verify_reads: verify, page_cache, .. } = *args;
    let mixing = Config { shuffle, shuffle_block, shuffle_window, ..Config::default() }.mixing();
    let options = Options {
        batch_size: args.batch_size as usize,
        crop_size: args.train_crop_size,
        mixing,
        threads: args.workers as usize,
        repeats: args.repeats as usize,
        most_batches: args.limit_batches,
    };
    let scratch = if args.data.is_some() { None } else { Some(make(&args.made, &options)?) };
    let Some(dir) = args.data.as_deref().or(scratch.as_ref().map(Scratch::path)) else {
        return Err(Error::internal("no images").at("bench loader"));
    };
    let watch = Watch::start();
    let (dataset, place) = Place::open(dir, ReadOptions { io, verify, page_cache }, mixing)?;
    let open_s = watch.spent().wall_s;
    let encoding = dataset.encoding().name();
    let source: Arc<dyn Source> = Arc::new(dataset);
    let r = loading::measure(&source, &options)?;
    out!("{}, {place}", counted(place.pictures as u64, "image"));
    let shuffle = match options.mixing {
        Mixing::Full => "full".to_owned(),
        Mixing::Block { block, window } => format!("block (windows of {} of {block})", counted(window, "block")),
        Mixing::None => "none".to_owned(),
    };
    out!(
        "{encoding}, {} of {} a pass, {}, shuffle {shuffle}",
        counted(r.batches, "batch"),
        args.batch_size,
        counted(args.workers, "worker")
    );
    out!("opened in {:.1} ms; first batch of a resumed epoch after {:.1} ms", 1e3 * open_s, 1e3 * r.first_batch_s);
    let [first, again] = match args.verify_reads {
        VerifyReads::First => ["read and checked", "read again"],
        VerifyReads::Always => ["read and checked", "read and checked again"],
        VerifyReads::Off => ["read", "read again"],
    };
    let rows = [(first, r.checked), (again, r.again), ("and augmented to f32", r.augmented)];
    out!("{:<24} {:>12} {:>16}", "", "images/s", "images/s a core");
    for (name, Rate { wall, per_core }) in rows {
        out!("{name:<24} {:>12} {:>16}", count(wall.round() as u64), count(per_core.round() as u64));
    }
    if let Some(bytes) = r.anonymous_bytes {
        out!("memory while reading, files' pages left out: {:.0} MB at most", bytes as f64 * 1e-6);
    }
    let rate = |rate: Rate| json!({ "images_per_s": rate.wall, "images_per_s_per_core": rate.per_core });
    if let Some(path) = &args.json {
        let text = json!({ "pictures": r.pictures, "bytes": place.bytes, "file_system": place.file_system, "encoding": encoding,
            "batch": args.batch_size, "workers": args.workers, "open_s": open_s, "first_batch_s": r.first_batch_s,
            "checked": rate(r.checked), "again": rate(r.again), "augmented": rate(r.augmented), "anonymous_bytes": r.anonymous_bytes });
        files::write_output(path, crate::files::Kind::Report, |file| writeln!(file, "{text}"))?;
    }
    if let Some(path) = &args.csv {
        let mut text = String::from("what,images_per_s,images_per_s_per_core\n");
        rows.iter().for_each(|(name, Rate { wall, per_core })| text.push_str(&format!("{name},{wall},{per_core}\n")));
        files::write_output(path, crate::files::Kind::Report, |file| file.write_all(text.as_bytes()))?;
    }
    Ok(Outcome::Done)
}

/// `COUNTxSIDE` of noise, where there is room to measure them.
fn make(text: &str, options: &Options) -> Result<Scratch> {
    let numbers = text.split_once('x').and_then(|(count, side)| Some((count.parse().ok()?, side.parse().ok()?)));
    let Some((count, side)) = numbers.filter(|&(count, side): &(usize, u16)| count > 0 && (1..=MOST_SIDE).contains(&side.into())) else {
        return Err(Error::usage(format!("'{text}' is not COUNTxSIDE")).at("--made").next("--made 2048x256"));
    };
    options.check_room(&Synthetic::of_size(count, side.into(), side.into()))?;
    let scratch = Scratch::new("bench-loader")?;
    write_noise(scratch.path(), count, side, 1000, 1 << 16)?;
    Ok(scratch)
}
