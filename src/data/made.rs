//! Shards of noise, for measurements: as many pictures, as large and in as many shards as one likes, without a source to pack. Their
//! bytes are those of [`Synthetic`], so they are the same on every machine.

use super::format::{Encoding, hex};
use super::loader::Source;
use super::manifest::{Class, Manifest, Split};
use super::shard_writer::{Record, ShardPlan, ShardWriter};
use super::sums::ChannelSums;
use super::synthetic::Synthetic;
use crate::error::{Error, Result};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What to write.
#[derive(Clone, Copy, Debug)]
pub struct Made {
    pub count: usize,
    pub side: u16,
    pub classes: u32,
    pub records_per_shard: usize,
}

impl Made {
    /// Writes a packed folder. `dir` is made if missing.
    ///
    /// # Errors
    /// `Write` when `dir` holds a data set already or cannot be written.
    pub fn write(&self, dir: &Path) -> Result<()> {
        let Self { count, side, classes, records_per_shard } = *self;
        std::fs::create_dir_all(dir).map_err(|e| Error::writing(dir, e))?;
        // Fixed records begin on pages, which would be most of a small picture.
        let encoding = if side < 37 { Encoding::RawVar } else { Encoding::RawFixed };
        let options =
            serde_json::json!({ "source": "made", "version": 1, "count": count, "side": side, "resize": side, "classes": classes });
        let dataset_id: [u8; 32] = Sha256::digest(options.to_string()).into();
        let pictures = Synthetic::new(count, side.into(), side.into(), classes, 1);
        let names = Arc::new(pictures.classes().to_vec());
        let mut per_class = vec![0u64; names.len()];
        let (mut shards, mut sums) = (Vec::new(), ChannelSums::default());
        let shard_count = count.div_ceil(records_per_shard);
        for index in 0..shard_count {
            let first = index * records_per_shard;
            let records = records_per_shard.min(count - first);
            let mut writer = ShardWriter::create(
                dir,
                ShardPlan {
                    split: Split::Train.name().to_owned(),
                    dataset_id,
                    index: index as u32,
                    count: shard_count as u32,
                    first_global_id: first as u64,
                    capacity: records as u64,
                    names_capacity: 8 * records as u64,
                    encoding,
                    fixed: if encoding == Encoding::RawFixed { (side, side) } else { (0, 0) },
                    classes: names.clone(),
                    options: options.clone(),
                },
            )?;
            for i in first..first + records {
                let info = pictures.info(i)?;
                per_class[info.label as usize] += 1;
                let mut payload = vec![0; 3 * usize::from(side) * usize::from(side)];
                pictures.read_pixels(i, &mut payload)?;
                let of_record = ChannelSums::of(&payload);
                let (width, height, original) = (side, side, (side, side));
                let (label, global_id, name) = (info.label, info.global_id, format!("{i:08}"));
                let record = Record { payload, width, height, original, flags: 0, label, global_id, name, source_sha: [0; 8] };
                writer.append(&record, &of_record)?;
            }
            let (summary, of_shard) = writer.finish()?;
            sums.add(&of_shard);
            shards.push(summary);
        }
        let (mean, std) = sums.mean_std();
        let classes = names.iter().zip(per_class).map(|(name, records)| Class { name: name.clone(), words: None, records }).collect();
        Manifest {
            format_version: 1,
            dataset_id: hex(&dataset_id),
            split: Split::Train,
            source: Some("made".to_owned()),
            encoding: encoding.name().to_owned(),
            records: count as u64,
            skipped: 0,
            classes,
            mean,
            std,
            sums,
            shards,
            options,
        }
        .publish(dir)
    }
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
        let path = std::env::temp_dir().join(format!("imagenet-engine-{purpose}-{}", std::process::id()));
        std::fs::create_dir_all(&path).map_err(|e| Error::writing(&path, e))?;
        Ok(Self(path))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0); // what cannot be removed lies among the temporary files
    }
}
