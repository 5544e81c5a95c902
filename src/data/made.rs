//! Packed folders of pictures that are made instead of packed: the demo's, and noise of any number and size for measurements.

use super::format::{Encoding, hex};
use super::loader::Source;
use super::manifest::{Class, Manifest, Split};
use super::shard_writer::{Record, ShardPlan, ShardWriter};
use super::sums::ChannelSums;
use super::synthetic::Synthetic;
use crate::error::{Error, Result};
use crate::files;
use rayon::prelude::*;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Pictures made at once, in parallel, and their bytes.
const AT_ONCE: usize = 1024;
const BYTES_AT_ONCE: usize = 32 << 20;

/// Square pictures, each a function of its number.
pub struct Made<'a> {
    pub split: Split,
    pub source: &'a str,
    /// What decides the bytes: the data set is named by it.
    pub options: Value,
    pub classes: Vec<String>,
    pub count: usize,
    pub side: u16,
    pub records_per_shard: usize,
    pub name: &'a (dyn Fn(usize) -> String + Sync),
    pub label: &'a (dyn Fn(usize) -> u32 + Sync),
    pub pixels: &'a (dyn Fn(usize) -> Result<Vec<u8>> + Sync),
}

impl Made<'_> {
    /// Writes them as a packed folder. `dir` is made if missing.
    ///
    /// # Errors
    /// `Write` when `dir` holds a data set already or cannot be written.
    pub fn write(&self, dir: &Path) -> Result<()> {
        std::fs::create_dir_all(dir).map_err(|e| Error::writing(dir, e))?;
        let dataset_id: [u8; 32] = Sha256::digest(self.options.to_string()).into();
        let classes = Arc::new(self.classes.clone());
        // Fixed records begin on pages, which would be most of a picture below one.
        let encoding = if self.side < 32 { Encoding::RawVar } else { Encoding::RawFixed };
        let fixed = if encoding == Encoding::RawFixed { (self.side, self.side) } else { (0, 0) };
        let (mut shards, mut sums, mut per_class) = (Vec::new(), ChannelSums::default(), vec![0u64; classes.len()]);
        let shard_count = self.count.div_ceil(self.records_per_shard);
        let at_once = AT_ONCE.min(BYTES_AT_ONCE / (3 * usize::from(self.side).pow(2)).max(1)).max(1);
        for index in 0..shard_count {
            let first = index * self.records_per_shard;
            let numbers: Vec<usize> = (first..(first + self.records_per_shard).min(self.count)).collect();
            let plan = ShardPlan {
                split: self.split.name().to_owned(),
                dataset_id,
                index: index as u32,
                count: shard_count as u32,
                first_global_id: first as u64,
                capacity: numbers.len() as u64,
                names_capacity: numbers.iter().map(|&i| (self.name)(i).len() as u64).sum(),
                encoding,
                fixed,
                classes: classes.clone(),
                options: self.options.clone(),
            };
            let mut writer = ShardWriter::create(dir, plan)?;
            for numbers in numbers.chunks(at_once) {
                let pictures: Vec<_> = numbers.par_iter().map(|&i| (self.pixels)(i)).collect();
                for (&i, pixels) in numbers.iter().zip(pictures) {
                    let record = self.record(i, pixels?);
                    per_class[record.label as usize] += 1;
                    writer.append(&record, &ChannelSums::of(&record.payload))?;
                }
            }
            let (summary, of_shard) = writer.finish()?;
            sums.add(&of_shard);
            shards.push(summary);
        }
        let (mean, std) = sums.mean_std();
        let classes = classes.iter().zip(per_class).map(|(name, records)| Class { name: name.clone(), words: None, records }).collect();
        Manifest {
            format_version: 1,
            dataset_id: hex(&dataset_id),
            split: self.split,
            source: Some(self.source.to_owned()),
            encoding: encoding.name().to_owned(),
            records: self.count as u64,
            skipped: 0,
            classes,
            mean,
            std,
            sums,
            shards,
            options: self.options.clone(),
        }
        .publish(dir)
    }

    fn record(&self, i: usize, payload: Vec<u8>) -> Record {
        let (width, height, original) = (self.side, self.side, (self.side, self.side));
        let (label, global_id, name) = ((self.label)(i), i as u64, (self.name)(i));
        Record { payload, width, height, original, flags: 0, label, global_id, name, source_sha: [0; 8] }
    }
}

/// Writes `count` pictures of noise, those of [`Synthetic`], of so many classes.
///
/// # Errors
/// As [`Made::write`].
pub fn write_noise(dir: &Path, count: usize, side: u16, classes: u32, records_per_shard: usize) -> Result<()> {
    let noise = Synthetic::new(count, side.into(), side.into(), classes, 1);
    let pixels = |i: usize| {
        let mut pixels = vec![0; 3 * usize::from(side) * usize::from(side)];
        noise.read_pixels(i, &mut pixels).map(|()| pixels)
    };
    Made {
        split: Split::Train,
        source: "noise",
        options: serde_json::json!({ "source": "noise", "version": 1, "count": count, "side": side, "resize": side, "classes": classes }),
        classes: noise.classes().to_vec(),
        count,
        side,
        records_per_shard,
        name: &|i| format!("{i:08}"),
        label: &|i| (i % classes.max(1) as usize) as u32,
        pixels: &pixels,
    }
    .write(dir)
}

/// A folder of this process's own, gone when dropped.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// In the folder for temporary files.
    ///
    /// # Errors
    /// `Write`.
    pub fn new(purpose: &str) -> Result<Self> {
        let name = |k: u32| format!("imagenet-engine-{purpose}-{}-{k}", std::process::id());
        // In containers every process may bear the same number, and another's folder is never taken.
        for path in (0..1000).map(|k| std::env::temp_dir().join(name(k))) {
            match files::made_for_passing_use(&path) {
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
                made => return made.map(|()| Self(path.clone())).map_err(|e| Error::writing(&path, e)),
            }
        }
        Err(Error::write("a thousand folders of earlier runs are in the way")
            .at(std::env::temp_dir().join(name(0)).display().to_string())
            .next("remove them"))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        files::forget_folder(&self.0);
        let _ = std::fs::remove_dir_all(&self.0); // what cannot be removed lies among the temporary files
    }
}
