//! The plan of a pack: what goes where, fixed before the first picture is decoded.
//!
//! Every file is read once for its SHA-256 and its header; the pictures are put into their packed order; the position there is the
//! global id, and each run of `records_per_shard` positions is a shard. So file names, shard limits and the dataset id depend on the
//! source bytes and the options alone, never on timing or threads. A picture that turns out unreadable leaves its position empty: its
//! id leaves the plan, all others stay. Hashing is a pass of its own because the id stands in every header, and because it lets a
//! second run of an interrupted pack know at once which shards it may keep; it costs one more read of the source (3% of the time of
//! decoding from the page cache).

use super::budget;
use super::compressed::{ENCODER, JpegOptions};
use super::crop::{MOST_SIDE, side_out_of_range};
use super::decode;
use super::format::{Encoding, MOST_RECORDS, hex};
use super::manifest::Split;
use super::order::{Mixing, Order};
use super::resize::{Fit, stored_size};
use super::shard_writer::ShardPlan;
use super::source::{self, Kind, Place, SourceFile, SourceOptions, Store};
use crate::error::{Error, Result};
use crate::progress::Progress;
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What decides the bytes of a pack, beside the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanOptions {
    pub split: Split,
    /// Short side in pixels; 0 keeps every picture as it is.
    pub size: u32,
    pub fit: Fit,
    /// Store JPEG files instead of pixels.
    pub jpeg: Option<JpegOptions>,
    pub records_per_shard: u64,
    /// Seed of the packed order; `None` keeps the order of names.
    pub shuffle_seed: Option<u64>,
    /// Larger pictures count as bad.
    pub max_pixels: u64,
}

/// The seed of the packed order unless another is given.
pub const DEFAULT_SHUFFLE_SEED: u64 = 1;
/// Bytes of a file whose memory is kept for the next one.
const KEPT: usize = 8 << 20;
/// The packed order takes its keys from an epoch that training never reaches, so that equal seeds do not meet.
const PACK_EPOCH: u32 = (1 << 28) - 1;

impl PlanOptions {
    /// The defaults of `pack` for a split.
    pub fn new(split: Split) -> Self {
        let shuffle_seed = (split == Split::Train).then_some(DEFAULT_SHUFFLE_SEED);
        Self {
            split,
            size: 256,
            fit: Fit::Short,
            jpeg: None,
            records_per_shard: 4096,
            shuffle_seed,
            max_pixels: decode::DEFAULT_MAX_PIXELS,
        }
    }

    /// # Errors
    /// `Usage` for values outside what the format can hold.
    pub fn check(&self) -> Result<()> {
        if self.size > MOST_SIDE {
            return Err(side_out_of_range("--resize", self.size, 0));
        }
        if self.size == 0 && self.fit == Fit::Square {
            return Err(Error::usage("--fit square needs a size").next("add --resize 256"));
        }
        if self.records_per_shard == 0 || self.records_per_shard > MOST_RECORDS {
            return Err(Error::usage(format!("--records-per-shard {}: from 1 to {MOST_RECORDS}", self.records_per_shard)));
        }
        if let Some(jpeg) = self.jpeg {
            if let Some(quality) = jpeg.quality.filter(|q| !(1..=100).contains(q)) {
                return Err(Error::usage(format!("--quality {quality}: expected a whole number from 1 to 100")));
            }
            if jpeg.max_side > u32::from(u16::MAX) {
                return Err(Error::usage(format!("--max-side {}: at most {}", jpeg.max_side, u16::MAX)));
            }
            if jpeg.max_side > 0 && self.size > 0 {
                return Err(Error::usage("--resize sets the short side, --max-side bounds the long one: one of them"));
            }
        }
        if self.max_pixels == 0 || self.max_pixels > 1_000_000_000 {
            return Err(Error::usage("--max-size: from 1 pixel to 1000 megapixels"));
        }
        Ok(())
    }

    pub fn encoding(&self) -> Encoding {
        match self.fit {
            _ if self.jpeg.is_some() => Encoding::Jpeg,
            Fit::Square => Encoding::RawFixed,
            Fit::Short => Encoding::RawVar,
        }
    }

    /// What META and `dataset.json` say about how the shards were made; part of the dataset id.
    pub fn canonical(&self) -> serde_json::Value {
        let mut options = serde_json::json!({
            "colors": "RGB u8 HWC, as Pillow convert(\"RGB\"), EXIF orientation not applied",
            "decoder": "jpeg as libjpeg (islow, fancy upsampling) 1, png 0.18",
            "encoding": self.encoding().name(),
            "filter": "bilinear antialiased, as Pillow 13",
            "fit": self.fit,
            "max_pixels": self.max_pixels,
            "records_per_shard": self.records_per_shard,
            "resize": self.size,
            "shuffle_seed": self.shuffle_seed,
            "source": "image_folder", // that is how records are named and ordered, whatever they were read from
            "split": self.split,
            "version": 1,
        });
        if let Some(jpeg) = self.jpeg {
            options["encoder"] = ENCODER.into();
            options["max_side"] = jpeg.max_side.into();
            options["quality"] = jpeg.quality.into();
        }
        options
    }

    /// The size in which a picture is stored.
    pub fn stored_size(&self, width: u32, height: u32) -> (u32, u32) {
        self.jpeg.map_or_else(|| stored_size(width, height, self.size, self.fit), |j| j.stored_size(width, height, self.size, self.fit))
    }

    /// Bytes that making an image of this size what is stored takes, beside what decoding it does.
    pub fn fitting_memory(&self, (width, height): (u32, u32)) -> u64 {
        let (w, h) = self.stored_size(width, height);
        let [width, height, w, h] = [width, height, w, h].map(u64::from);
        // The rows between the two passes, and the result; for JPEG the encoder's planes, the file, and the pixels that it decodes to.
        let resized = if (w, h) == (width, height) { 0 } else { 3 * (w * height).max(width * h) + 3 * w * h };
        resized + if self.jpeg.is_some() { 7 * w * h } else { 0 }
    }

    /// Bytes that a stored picture takes, near enough for a look at the free disk; `original` is what its file has.
    pub fn estimated_record(&self, original: u64, size: (u32, u32), stored: (u32, u32)) -> u64 {
        let (w, h) = stored;
        let raw = u64::from(w) * u64::from(h) * 3;
        let bytes = self.jpeg.map_or(raw, |j| j.estimated_bytes(original, size == stored, w, h));
        bytes.next_multiple_of(self.encoding().align()) + 128
    }
}

/// One picture of the plan.
#[derive(Clone, Debug)]
pub struct Item {
    /// The name of the record.
    pub path: String,
    pub place: Place,
    pub label: u32,
    pub bytes: u64,
    pub sha256: [u8; 32],
    /// CRC32C of the file: cheap enough to see that it is still the same when it is decoded.
    pub crc: u32,
    /// Bytes in the shard, roughly, where the header could be read.
    pub estimated: u64,
    /// Of its width and height, where the header could be read.
    pub pixels: u64,
    /// Bytes that making the record takes, at most.
    pub memory: u64,
    /// Why it cannot be read, if so. It is a bad picture then, of no bytes.
    pub unreadable: Option<String>,
}

/// The whole plan.
#[derive(Clone, Debug)]
pub struct Plan {
    pub kind: Kind,
    pub store: Arc<Store>,
    pub options: PlanOptions,
    pub classes: Arc<Vec<String>>,
    /// What people call the classes; as long as `classes`, or empty. No part of the id.
    pub words: Vec<String>,
    /// In the packed order: the index is the global id.
    pub items: Vec<Item>,
    pub dataset_id: [u8; 32],
    pub notes: Vec<String>,
}

impl Plan {
    /// Lists and hashes the source. `None` when `stop` was set meanwhile.
    ///
    /// # Errors
    /// `Data` when the source's folders cannot be listed, `Usage` for impossible options.
    pub fn make(
        input: &Path,
        source: &SourceOptions,
        options: &PlanOptions,
        progress: &dyn Progress,
        stop: &AtomicBool,
    ) -> Result<Option<Self>> {
        options.check()?;
        let listing = source::open(input, source, options.split)?;
        let store = Arc::new(listing.store);
        progress.start("reading images", listing.files.len() as u64);
        let hash = |bytes: &mut Vec<u8>, file: &SourceFile| -> Item {
            let unreadable = file.trouble.clone().or_else(|| store.read(&file.place, bytes).err());
            if unreadable.is_some() {
                bytes.clear();
            }
            let allowed = |&(w, h): &(u32, u32)| u64::from(w) * u64::from(h) <= options.max_pixels && w > 0 && h > 0;
            let len = bytes.len() as u64;
            let size = decode::size(bytes).ok().filter(allowed);
            let estimate = |size: (u32, u32)| options.estimated_record(len, size, options.stored_size(size.0, size.1));
            progress.advance(1);
            Item {
                path: file.path.clone(),
                place: file.place.clone(),
                label: file.label,
                bytes: len,
                sha256: Sha256::digest(&*bytes).into(),
                crc: crc32c::crc32c(bytes),
                estimated: size.map_or(0, estimate),
                pixels: size.map_or(0, |(w, h)| u64::from(w) * u64::from(h)),
                memory: len + size.map_or(0, |size| decode::memory(bytes) + options.fitting_memory(size)),
                unreadable,
            }
        };
        let item = |bytes: &mut Vec<u8>, file: &SourceFile| -> std::result::Result<Item, Option<Error>> {
            if stop.load(Ordering::Relaxed) {
                return Err(None);
            }
            // Files of hundreds of megabytes are read as many at once as memory holds.
            let hashed = budget::taking(
                store.len_of(&file.place),
                || "reading a file".to_owned(),
                || {
                    let item = hash(bytes, file);
                    bytes.shrink_to(KEPT);
                    Ok(item)
                },
            );
            Ok(hashed.map_err(|e| e.at(store.describe(&file.path, &file.place)).next("raise the limit, or leave the file out"))?)
        };
        // In the order of the bytes on the disk: an archive is then read from front to back.
        let mut by_place: Vec<&SourceFile> = listing.files.iter().collect();
        by_place.sort_by(|a, b| a.place.cmp(&b.place));
        let items: std::result::Result<Vec<Item>, Option<Error>> =
            by_place.par_iter().map_init(Vec::new, |bytes, file| item(bytes, file)).collect();
        progress.finish();
        let mut sorted = match items {
            Ok(items) => items,
            Err(None) => return Ok(None),
            Err(Some(error)) => return Err(error),
        };
        // Names first; of equal ones the order of places, as in the listing.
        sorted.sort_by(|a, b| a.path.as_bytes().cmp(b.path.as_bytes()));

        let mut id = Sha256::new();
        id.update(options.canonical().to_string());
        for class in &listing.classes {
            id.update(format!("\nclass {class}"));
        }
        for item in &sorted {
            // An unreadable file is not an empty one: when it can be read later, that is another pack.
            let sha = if item.unreadable.is_some() { "unreadable".to_owned() } else { hex(&item.sha256) };
            id.update(format!("\n{sha} {} {}", item.bytes, item.path));
        }
        let items = match options.shuffle_seed {
            None => sorted,
            Some(seed) => {
                let order = Order::new(sorted.len() as u64, seed, Mixing::Full).epoch(PACK_EPOCH);
                (0..sorted.len()).map(|p| sorted[order.at(p as u64) as usize].clone()).collect()
            }
        };
        let classes = Arc::new(listing.classes);
        let dataset_id = id.finalize().into();
        let (kind, words, notes) = (listing.kind, listing.words, listing.notes);
        Ok(Some(Self { kind, store, options: options.clone(), classes, words, items, dataset_id, notes }))
    }

    pub fn shard_count(&self) -> u32 {
        (self.items.len() as u64).div_ceil(self.options.records_per_shard) as u32
    }

    /// Where a picture is, for a person.
    pub fn describe(&self, id: usize) -> String {
        self.store.describe(&self.items[id].path, &self.items[id].place)
    }

    /// The global ids of one shard.
    pub fn ids(&self, shard: u32) -> std::ops::Range<usize> {
        let first = (u64::from(shard) * self.options.records_per_shard) as usize;
        first..self.items.len().min(first + self.options.records_per_shard as usize)
    }

    /// What the writer of one shard needs.
    pub fn shard(&self, shard: u32) -> ShardPlan {
        let ids = self.ids(shard);
        let side = if self.options.encoding() == Encoding::RawFixed { self.options.size as u16 } else { 0 };
        ShardPlan {
            split: self.options.split.name().to_owned(),
            dataset_id: self.dataset_id,
            index: shard,
            count: self.shard_count(),
            first_global_id: ids.start as u64,
            capacity: ids.len() as u64,
            names_capacity: self.items[ids].iter().map(|i| i.path.len() as u64).sum(),
            encoding: self.options.encoding(),
            fixed: (side, side),
            classes: self.classes.clone(),
            options: self.options.canonical(),
        }
    }

    /// Bytes that the shards will take, near enough for a look at the free disk.
    pub fn estimated_bytes(&self, shards: impl Iterator<Item = u32>) -> u64 {
        let classes: u64 = self.classes.iter().map(|c| c.len() as u64 + 8).sum();
        let one = |i: &Item| i.estimated + i.path.len() as u64;
        shards.map(|s| self.items[self.ids(s)].iter().map(one).sum::<u64>() + classes + 32_768).sum()
    }
}
