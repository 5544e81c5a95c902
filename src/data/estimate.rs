//! What a pack would take, before it is begun: a sample of the pictures is read, decoded and stored in memory, and multiplied.

use super::budget;
use super::compressed::JpegOptions;
use super::decode;
use super::plan::{Item, Plan, PlanOptions};
use super::resize::Fit;
use super::source::{self, SourceOptions};
use super::workbench::Bench;
use crate::error::{Error, Result};
use crate::files::free_bytes;
use crate::limits::{check_threads, thread_pool};
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Pictures that are looked at, spread evenly over the names.
const SAMPLE: usize = 512;

/// Bytes of a file whose memory is kept for the next one.
const KEPT: usize = 1 << 20;

/// Sizes and time of one way to store the pictures.
#[derive(Clone, Debug)]
pub struct Choice {
    pub name: &'static str,
    pub bytes: u64,
    /// On this machine with all threads, without the first reading of the source from the disk.
    pub seconds: f64,
    /// This is what the options ask for.
    pub asked: bool,
}

#[derive(Clone, Debug)]
pub struct Estimate {
    pub kind: &'static str,
    pub pictures: usize,
    pub classes: usize,
    pub sampled: usize,
    /// Of the sample, those that cannot be read.
    pub bad: usize,
    /// Bytes of the picture files.
    pub source_bytes: u64,
    pub choices: Vec<Choice>,
    /// Bytes free where the output would be; `None` where that cannot be told.
    pub free: Option<u64>,
    pub notes: Vec<String>,
}

impl Estimate {
    /// Looks at `input`; `output` need not exist. `None` when `stop` was set.
    ///
    /// # Errors
    /// `Data` when the source cannot be listed; `Usage` for impossible options; `Device` when memory cannot hold an image.
    pub fn make(
        input: &Path,
        source: &SourceOptions,
        output: &Path,
        options: &PlanOptions,
        jobs: usize,
        stop: &AtomicBool,
    ) -> Result<Option<Self>> {
        options.check()?;
        check_threads("--jobs", jobs)?;
        let pool = thread_pool(jobs)?;
        let listing = source::open(input, source, options.split)?;
        let (kind, pictures, classes) = (listing.kind.name(), listing.files.len(), listing.classes.len());
        let step = pictures.div_ceil(SAMPLE).max(1);
        let store = Arc::new(listing.store);
        let item = |file: &source::SourceFile, bytes: &mut Vec<u8>| {
            let unreadable = file.trouble.clone().or_else(|| store.read(&file.place, bytes).err());
            if unreadable.is_some() {
                bytes.clear();
            }
            let (path, place) = (file.path.clone(), file.place.clone());
            let (sha256, crc) = (Sha256::digest(&*bytes).into(), crc32c::crc32c(bytes));
            let (len, pixels) = (bytes.len() as u64, decode::size(bytes).map_or(0, |(w, h)| u64::from(w) * u64::from(h)));
            // Of the encoding that takes the most.
            let memory = if pixels <= options.max_pixels { len + decode::memory(bytes) + 10 * pixels } else { len };
            Item { path, place, label: file.label, bytes: len, sha256, crc, estimated: 0, pixels, memory, unreadable }
        };
        let sample: Vec<&source::SourceFile> = listing.files.iter().step_by(step).collect();
        // As the plan of a pack reads them: of files of hundreds of megabytes as many at once as memory holds.
        let looked = |bytes: &mut Vec<u8>, file: &source::SourceFile| {
            let read = || {
                let item = item(file, bytes);
                bytes.clear();
                bytes.shrink_to(KEPT);
                Ok(item)
            };
            budget::taking(store.len_of(&file.place), || "reading a file".to_owned(), read)
                .map_err(|e| e.at(store.describe(&file.path, &file.place)).next("raise the limit, or leave the file out"))
        };
        let items: Result<Vec<Item>> = pool.install(|| sample.par_iter().map_init(Vec::new, |bytes, file| looked(bytes, file)).collect());
        let items = items?;
        let scale = pictures as f64 / items.len().max(1) as f64;
        let whole = |sampled: u64| (sampled as f64 * scale) as u64;
        let source_bytes = whole(items.iter().map(|i| i.bytes).sum());
        let mut plan = Plan {
            kind: listing.kind,
            store: store.clone(),
            options: options.clone(),
            classes: Arc::new(listing.classes),
            words: Vec::new(),
            items,
            dataset_id: [0; 32],
            notes: Vec::new(),
        };
        let (mut choices, mut bad) = (Vec::new(), 0);
        for (name, options, asked) in alternatives(options) {
            plan.options = options;
            let align = plan.options.encoding().align();
            let start = Instant::now();
            let each = |bench: &mut Bench, id: usize| -> Result<Option<u64>> {
                if stop.load(Ordering::Relaxed) {
                    return Ok(None);
                }
                bench.one(&plan, id).map(|o| {
                    o.ok().map(|(record, _)| (record.payload.len() as u64).next_multiple_of(align) + 64 + record.name.len() as u64)
                })
            };
            let stored: Result<Vec<Option<u64>>> =
                pool.install(|| (0..plan.items.len()).into_par_iter().map_init(Bench::default, each).collect());
            let stored = stored?;
            if stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            let seconds = start.elapsed().as_secs_f64() * scale;
            bad = stored.iter().filter(|s| s.is_none()).count();
            choices.push(Choice { name, bytes: whole(stored.into_iter().flatten().sum()), seconds, asked });
        }
        let free = existing(output).and_then(free_bytes);
        Ok(Some(Self { kind, pictures, classes, sampled: plan.items.len(), bad, source_bytes, choices, free, notes: listing.notes }))
    }

    /// The choice that the options ask for.
    pub fn asked(&self) -> Option<&Choice> {
        self.choices.iter().find(|c| c.asked)
    }

    /// # Errors
    /// `Write` when the disk cannot hold what was asked for.
    pub fn check_space(&self, output: &Path) -> Result<()> {
        match (self.asked(), self.free) {
            (Some(asked), Some(free)) if asked.bytes > free => {
                let fits = self.choices.iter().filter(|c| c.bytes <= free).map(|c| c.name).collect::<Vec<_>>().join("; ");
                let next = if fits.is_empty() {
                    "free some space, or choose another --output".to_owned()
                } else {
                    format!("what would fit: {fits}")
                };
                Err(Error::write(format!("the shards need about {} bytes, {free} are free", asked.bytes))
                    .at(output.display().to_string())
                    .next(next))
            }
            _ => Ok(()),
        }
    }
}

/// What was asked for, and the usual other ways.
fn alternatives(options: &PlanOptions) -> Vec<(&'static str, PlanOptions, bool)> {
    let raw = |fit| PlanOptions { jpeg: None, size: 256, fit, ..options.clone() };
    let jpeg =
        |quality, max_side| PlanOptions { jpeg: Some(JpegOptions { quality, max_side }), size: 0, fit: Fit::Short, ..options.clone() };
    let all = [
        ("raw, short side 256", raw(Fit::Short)),
        ("raw, square 256", raw(Fit::Square)),
        ("jpeg, original bytes", jpeg(None, 0)),
        ("jpeg, longest side 500, quality 90", jpeg(Some(90), 500)),
    ];
    let known = all.iter().any(|(_, o)| o == options);
    let asked = (!known).then(|| ("as asked", options.clone(), true));
    asked
        .into_iter()
        .chain(all.into_iter().map(|(name, o)| {
            let same = o == *options;
            (name, o, same)
        }))
        .collect()
}

/// `path`, or the nearest folder above it that exists.
fn existing(path: &Path) -> Option<&Path> {
    path.ancestors().map(|p| if p.as_os_str().is_empty() { Path::new(".") } else { p }).find(|p| p.exists())
}
