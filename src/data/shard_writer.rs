//! Writing one shard: records in order, then index, names, classes, META, header and footer, then the name.
//!
//! The room for INDEX to META is set by the plan ([`ShardPlan`]), so records go straight to their final place. The SHA-256 of the
//! footer covers the header, which is known last; it is taken by reading the finished file once more (from the page cache).
//! Bytes are a pure function of the plan and the records.

use super::format::*;
use super::sums::ChannelSums;
use crate::error::{Error, Result};
use crate::files::{NewFile, failpoint};
use sha2::{Digest, Sha256};
use std::io::{BufReader, Read, Seek};
use std::path::Path;

/// What is known of a shard before its first record.
#[derive(Clone, Debug)]
pub struct ShardPlan {
    pub split: String,
    pub dataset_id: [u8; 32],
    pub index: u32,
    pub count: u32,
    pub first_global_id: u64,
    /// Most records that may come.
    pub capacity: u64,
    /// Most bytes that their names may take together.
    pub names_capacity: u64,
    pub encoding: Encoding,
    /// Side lengths for `RawFixed`, zeros otherwise.
    pub fixed: (u16, u16),
    pub classes: std::sync::Arc<Vec<String>>,
    /// Canonical options and tool versions; goes into META.
    pub options: serde_json::Value,
}

/// One picture on its way into a shard.
#[derive(Clone, Debug)]
pub struct Record {
    /// The bytes to store: pixels, or a JPEG file of them.
    pub payload: Vec<u8>,
    pub width: u16,
    pub height: u16,
    pub original: (u16, u16),
    pub flags: u8,
    pub label: u32,
    pub global_id: u64,
    pub name: String,
    pub source_sha: [u8; 8],
}

/// A finished shard, as the manifest lists it.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ShardSummary {
    pub name: String,
    pub bytes: u64,
    pub records: u64,
    pub first_global_id: u64,
    /// SHA-256 of the whole file, as `sha256sum` prints it.
    pub sha256: String,
}

/// What META holds, beside the options.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Meta {
    pub options: serde_json::Value,
    pub sums: ChannelSums,
    /// How many pictures the plan had for this shard.
    pub planned: u64,
}

/// A shard under construction. Dropped unfinished, its file is removed.
pub struct ShardWriter {
    plan: ShardPlan,
    file: NewFile,
    entries: Vec<Entry>,
    names: Vec<u8>,
    labels: Vec<u8>,
    sums: ChannelSums,
    starts: [u64; 4],
    data_off: u64,
    at: u64,
}

impl ShardWriter {
    /// Starts the shard in `dir`.
    ///
    /// # Errors
    /// `Write` when the file cannot be created; `Usage` for a class name that is too long.
    pub fn create(dir: &Path, plan: ShardPlan) -> Result<Self> {
        Self::create_expecting(dir, plan, 0)
    }

    /// As [`ShardWriter::create`], for a shard of about so many bytes: told when the disk is full.
    ///
    /// # Errors
    /// As [`ShardWriter::create`].
    pub fn create_expecting(dir: &Path, plan: ShardPlan, expected: u64) -> Result<Self> {
        let name = shard_name(&plan.split, plan.index, plan.count);
        let file = NewFile::create(dir, &name, false, expected)?;
        let labels = class_table(&plan.classes)?;
        if plan.classes.len() as u64 > MOST_CLASSES || labels.len() as u64 > MOST_NAMES {
            return Err(Error::usage(format!("{} classes are more than a shard can name", plan.classes.len())));
        }
        if plan.capacity > MOST_RECORDS || plan.names_capacity > MOST_NAMES {
            let what = format!("{} records with {} bytes of names are too many for a shard", plan.capacity, plan.names_capacity);
            return Err(Error::usage(what).next("a smaller --records-per-shard"));
        }
        let most = u64::MAX;
        let widest = Meta {
            options: plan.options.clone(),
            sums: ChannelSums { pixels: most, sum: [most; 3], sum_of_squares: [most; 3] },
            planned: plan.capacity,
        };
        let widest = serde_json::to_string(&widest).map_err(|e| Error::internal(e.to_string()))?;
        if widest.len() as u64 > MOST_META {
            return Err(Error::internal(format!("META of {} bytes", widest.len())));
        }
        let index = HEADER_LEN;
        let strings = align_up(index + plan.capacity * ENTRY_LEN, PAGE);
        let classes = align_up(strings + plan.names_capacity, PAGE);
        let meta = align_up(classes + labels.len() as u64, PAGE);
        let data_off = align_up(meta + widest.len() as u64, PAGE);
        Ok(Self {
            plan,
            file,
            entries: Vec::new(),
            names: Vec::new(),
            labels,
            sums: ChannelSums::default(),
            starts: [index, strings, classes, meta],
            data_off,
            at: data_off,
        })
    }

    /// Adds a record; global ids must increase.
    ///
    /// # Errors
    /// `Write` when the disk refuses; `Internal` when a record breaks the plan.
    pub fn append(&mut self, record: &Record, sums: &ChannelSums) -> Result<()> {
        let stored = record.payload.len();
        let names = (self.names.len() + record.name.len()) as u64;
        let expected = usize::from(record.width) * usize::from(record.height) * CHANNELS;
        let fits = if self.plan.encoding == Encoding::Jpeg { stored > 0 && u32::try_from(stored).is_ok() } else { stored == expected };
        if !fits || expected == 0 || self.entries.len() as u64 >= self.plan.capacity || names > self.plan.names_capacity {
            return Err(Error::internal("a record does not fit the plan of its shard").at(record.name.clone()));
        }
        self.at = align_up(self.at, self.plan.encoding.align());
        self.file.write_at(&record.payload, self.at)?;
        let entry = Entry {
            offset: self.at,
            stored_len: stored as u32,
            crc: crc32c::crc32c(&record.payload),
            label: record.label,
            encoding: self.plan.encoding as u8,
            flags: record.flags,
            zero0: 0,
            width: record.width,
            height: record.height,
            orig_width: record.original.0,
            orig_height: record.original.1,
            global_id: record.global_id,
            name_off: self.names.len() as u32,
            name_len: record.name.len() as u16,
            zero1: 0,
            source_sha: record.source_sha,
            zero2: 0,
            entry_crc: 0,
        };
        self.entries.push(entry.sealed());
        self.names.extend_from_slice(record.name.as_bytes());
        self.sums.add(sums);
        self.at += stored as u64;
        failpoint("record");
        Ok(())
    }

    /// Writes everything but the records and gives the file its name.
    ///
    /// # Errors
    /// `Write`.
    pub fn finish(self) -> Result<(ShardSummary, ChannelSums)> {
        let Self { plan, file, entries, names, labels, sums, starts, data_off, at } = self;
        let meta = Meta { options: plan.options.clone(), sums, planned: plan.capacity };
        let meta = serde_json::to_vec(&meta).map_err(|e| Error::internal(e.to_string()))?;
        let index: &[u8] = bytemuck::cast_slice(&entries);
        let sections = [index, &names, &labels, &meta];
        for (bytes, start) in sections.iter().zip(starts) {
            file.write_at(bytes, start)?;
        }
        let [index_crc, strings_crc, labels_crc, meta_crc] = sections.map(crc32c::crc32c);
        let [index_range, strings_range, labels_range, meta_range] =
            std::array::from_fn(|i| Range { off: starts[i], len: sections[i].len() as u64 });
        let footer_off = align_up(at, FOOTER_LEN);
        let file_len = footer_off + FOOTER_LEN;
        let (mean, std) = sums.mean_std();
        let (version_minor, required_features) = plan.encoding.needs();
        let header = Header {
            magic: MAGIC,
            version_major: VERSION_MAJOR,
            version_minor,
            header_len: HEADER_LEN as u32,
            endian: ENDIAN_TAG,
            required_features,
            optional_features: 0,
            entry_len: ENTRY_LEN as u32,
            record_count: entries.len() as u64,
            index: index_range,
            strings: strings_range,
            labels: labels_range,
            meta: meta_range,
            data: Range { off: data_off, len: at - data_off },
            footer_off,
            file_len,
            shard_index: plan.index,
            shard_count: plan.count,
            first_global_id: plan.first_global_id,
            num_classes: plan.classes.len() as u32,
            record_align: plan.encoding.align() as u32,
            encoding: plan.encoding as u8,
            layout: 0,
            channels: CHANNELS as u8,
            colorspace: 0,
            fixed_w: plan.fixed.0,
            fixed_h: plan.fixed.1,
            mean: mean.map(|v| v as f32),
            std: std.map(|v| v as f32),
            dataset_id: plan.dataset_id,
            index_crc,
            strings_crc,
            labels_crc,
            meta_crc,
        };
        let page = header.encode();
        file.write_at(&page, 0)?;
        failpoint("before-footer");
        let name = shard_name(&plan.split, plan.index, plan.count);
        // The room between the last record and the footer must exist before it is hashed.
        file.set_len(footer_off)?;
        let mut hasher = hash_file(file.file(), &name)?;
        let footer = Footer {
            magic: FOOTER_MAGIC,
            file_len,
            header_crc: crc32c::crc32c(&page[..HEADER_CRC_AT]),
            index_crc,
            sha256: hasher.clone().finalize().into(),
            zero: 0,
            footer_crc: 0,
        }
        .sealed();
        file.write_at(bytemuck::bytes_of(&footer), footer_off)?;
        hasher.update(bytemuck::bytes_of(&footer));
        file.publish()?;
        let summary = ShardSummary {
            name,
            bytes: file_len,
            records: entries.len() as u64,
            first_global_id: plan.first_global_id,
            sha256: hex(&hasher.finalize()),
        };
        Ok((summary, sums))
    }
}

/// SHA-256 over all that `file` holds.
fn hash_file(mut file: &std::fs::File, name: &str) -> Result<Sha256> {
    let fail = |e| Error::writing(Path::new(name), e);
    file.rewind().map_err(fail)?;
    let mut hasher = Sha256::new();
    let mut reader = BufReader::with_capacity(0, file);
    let mut block = vec![0; 128 << 10]; // stays in the cache between the copy and the hash
    loop {
        let n = reader.read(&mut block).map_err(fail)?;
        if n == 0 {
            return Ok(hasher);
        }
        hasher.update(&block[..n]);
    }
}

/// The LABELS section.
fn class_table(classes: &[String]) -> Result<Vec<u8>> {
    let mut table = Vec::new();
    let mut names = Vec::new();
    for class in classes {
        let name_len = u16::try_from(class.len()).map_err(|_| Error::usage("a class name is longer than 65535 bytes"))?;
        let entry = ClassEntry { name_off: names.len() as u32, name_len, synset_len: 0 };
        table.extend_from_slice(bytemuck::bytes_of(&entry));
        names.extend_from_slice(class.as_bytes());
    }
    table.extend(names);
    Ok(table)
}
