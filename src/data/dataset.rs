//! A packed folder, opened: the manifest and its shards, cross-checked.

use super::advice;
use super::compressed::{decode_part, decode_record};
use super::format::Encoding;
use super::manifest::{Manifest, Split};
use super::reading::{Hint, Reading};
use super::record_room::{self, Sizes};
use super::shard::Shard;
use crate::backend::Crop;
use crate::error::{Error, Result};
use std::borrow::Cow;
use std::cell::RefCell;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// One picture: HWC RGB u8.
#[derive(Clone, Debug)]
pub struct Picture<'a> {
    /// `width * height * 3` bytes; borrowed where the shard holds pixels.
    pub pixels: Cow<'a, [u8]>,
    pub width: u32,
    pub height: u32,
    pub label: u32,
    /// Its place in the packing order; the augmentation is keyed by it. Not contiguous where pictures were left out.
    pub global_id: u64,
    /// Source-relative, with `/`.
    pub name: &'a str,
}

/// Bytes of a record whose memory is kept for the next one.
const KEPT: usize = 8 << 20;

thread_local! {
    /// The bytes of the record that is being decoded.
    static STORED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// An opened packed folder.
#[derive(Debug)]
pub struct Dataset {
    dir: PathBuf,
    manifest: Manifest,
    shards: Vec<Shard>,
    classes: Vec<String>,
    /// First record of each shard, and the total.
    starts: Vec<usize>,
}

/// What `dataset.json` and its shard `i` contradict each other in, with the byte of the shard.
pub(super) fn disagreements(manifest: &Manifest, i: usize, shard: &Shard) -> Vec<String> {
    let (h, listed) = (&shard.header, &manifest.shards[i]);
    let encoding = Encoding::from_byte(h.encoding).map_or("", Encoding::name);
    let differ = manifest.classes.iter().map(|c| &c.name).ne(&shard.classes);
    let classes = (manifest.classes.len(), shard.classes.len());
    let checks = [
        ("dataset_id", 192, manifest.dataset_id.clone(), super::format::hex(&h.dataset_id)),
        ("shard_index", 136, i.to_string(), h.shard_index.to_string()),
        ("shard_count", 140, manifest.shards.len().to_string(), h.shard_count.to_string()),
        ("record_count", 32, listed.records.to_string(), h.record_count.to_string()),
        ("first_global_id", 144, listed.first_global_id.to_string(), h.first_global_id.to_string()),
        ("file_len", 128, listed.bytes.to_string(), h.file_len.to_string()),
        ("encoding", 160, manifest.encoding.clone(), encoding.to_owned()),
        ("classes", h.labels.off, format!("{} names", classes.0), format!("{} {}names", classes.1, if differ { "other " } else { "" })),
    ];
    let differing = checks.into_iter().filter(|(_, _, expected, found)| expected != found);
    differing
        .map(|(what, at, expected, found)| format!("{}: {what} @{at}: dataset.json says {expected}, the shard says {found}", listed.name))
        .collect()
}

impl Dataset {
    /// Opens `dir`, which holds `dataset.json` and its shards, and checks everything but the pixels.
    ///
    /// # Errors
    /// `Data`: which file, where in it, what was expected and what was found.
    pub fn open(dir: &Path) -> Result<Self> {
        let manifest = Manifest::read(dir)?;
        let classes: Vec<String> = manifest.classes.iter().map(|c| c.name.clone()).collect();
        let mut starts = vec![0];
        let mut shards = Vec::with_capacity(manifest.shards.len());
        let mut per_class = vec![0u64; classes.len()];
        for (i, listed) in manifest.shards.iter().enumerate() {
            let path = dir.join(&listed.name);
            let gone = |e: Error| if path.exists() { e } else { e.next(advice::repair(dir)) };
            let shard = Shard::open(&path).map_err(gone)?;
            if let Some(what) = disagreements(&manifest, i, &shard).into_iter().next() {
                return Err(Error::data(what)
                    .at(shard.path().display().to_string())
                    .because("shards of different packs are mixed in this folder, or a file was damaged")
                    .next(advice::verify(dir)));
            }
            for entry in &shard.entries {
                per_class[entry.label as usize] += 1;
            }
            starts.push(starts[i] + shard.entries.len());
            shards.push(shard);
        }
        for (class, &found) in manifest.classes.iter().zip(&per_class) {
            if class.records != found {
                let what = format!("class {}: dataset.json says {} images, the shards hold {found}", class.name, class.records);
                return Err(Error::data(what).at(dir.display().to_string()).next(advice::verify(dir)));
            }
        }
        Ok(Self { dir: dir.to_owned(), manifest, shards, classes, starts })
    }

    /// The same, to be read so from now on.
    #[must_use]
    pub fn read_as(mut self, reading: Reading) -> Self {
        self.shards.iter_mut().for_each(|shard| shard.set_reading(reading));
        self
    }

    /// How it is read.
    pub fn reading(&self) -> Reading {
        self.shards.first().map_or_else(Reading::default, Shard::reading)
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Number of pictures.
    pub fn len(&self) -> usize {
        self.starts[self.shards.len()]
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Class names; the index is the label.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    pub fn split(&self) -> Split {
        self.manifest.split
    }

    /// Per channel, in [0, 1], measured over all stored pixels. (Training normalises with ImageNet's constants, [`super::MEAN`].)
    pub fn mean(&self) -> [f64; 3] {
        self.manifest.mean
    }

    /// As [`Dataset::mean`].
    pub fn std(&self) -> [f64; 3] {
        self.manifest.std
    }

    /// Short side the pictures were resized to when packed; 256 where the manifest does not say.
    pub fn resize(&self) -> usize {
        self.manifest.options.get("resize").and_then(serde_json::Value::as_u64).map_or(256, |v| v as usize)
    }

    /// SHA-256 of the pack plan, hexadecimal.
    pub fn dataset_id(&self) -> &str {
        &self.manifest.dataset_id
    }

    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    pub fn shards(&self) -> &[Shard] {
        &self.shards
    }

    /// Shard and record of picture `i`.
    fn locate(&self, i: usize) -> Result<(&Shard, usize)> {
        if i >= self.len() {
            return Err(Error::internal(format!("image {i} of {}", self.len())).at(self.dir.display().to_string()));
        }
        let shard = self.starts.partition_point(|&s| s <= i) - 1;
        Ok((&self.shards[shard], i - self.starts[shard]))
    }

    /// How the records are stored.
    pub fn encoding(&self) -> Encoding {
        self.shards.first().and_then(|s| Encoding::from_byte(s.header.encoding)).unwrap_or(Encoding::RawVar)
    }

    /// The bytes of picture `i` as they are stored, pixels or a JPEG file, borrowed from the memory map.
    ///
    /// # Errors
    /// As [`Dataset::record`].
    pub fn stored(&self, i: usize) -> Result<&[u8]> {
        let (shard, r) = self.locate(i)?;
        shard.payload(r)
    }

    /// Picture `i` (below [`Dataset::len`]), in the stored order, borrowed from the memory map or decoded.
    ///
    /// # Errors
    /// `Data` when its bytes are damaged or the file was cut; `Internal` when `i` is too large.
    pub fn record(&self, i: usize) -> Result<Picture<'_>> {
        let (shard, r) = self.locate(i)?;
        let stored = shard.payload(r)?;
        let pixels = match self.encoding() {
            Encoding::Jpeg => Cow::Owned(decode_record(shard, r, stored, <[u8]>::to_vec)?),
            _ => Cow::Borrowed(stored),
        };
        Ok(Picture { pixels, ..self.without_pixels(shard, r) })
    }

    /// Does `work` with image `i` as soon as memory has room for the `bytes` that it takes; `doing` says what it is where it never will.
    ///
    /// # Errors
    /// `Device`, naming the record; those of `work`.
    pub fn with_room<T>(&self, i: usize, doing: &str, bytes: fn(Sizes) -> u64, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let (shard, r) = self.locate(i)?;
        record_room::with(shard, r, doing, bytes(Sizes::of(shard, r)), work)
    }

    /// Picture `i` without its pixels.
    ///
    /// # Errors
    /// `Internal` when `i` is too large.
    pub fn describe(&self, i: usize) -> Result<Picture<'_>> {
        self.locate(i).map(|(shard, r)| self.without_pixels(shard, r))
    }

    /// Reads the pixels of picture `i` into `out`, which has room for exactly them, as [`Reading`] says: by `pread`, a file cut while in use
    /// is an error and never a signal. Pixels are copied once by either way. Decodes where the shard holds JPEG files.
    ///
    /// # Errors
    /// As [`Dataset::record`].
    pub fn read_pixels(&self, i: usize, out: &mut [u8]) -> Result<()> {
        let (shard, r) = self.locate(i)?;
        if self.encoding() != Encoding::Jpeg {
            return shard.read_payload(r, out);
        }
        let mut stored = Vec::new();
        shard.copy_payload(r, &mut stored)?;
        decode_record(shard, r, &stored, |pixels| {
            let fits = pixels.len() == out.len();
            if fits {
                out.copy_from_slice(pixels);
            }
            fits
        })?
        .then_some(())
        .ok_or_else(|| Error::internal(format!("{} bytes of room for an image", out.len())).at(shard.describe(r)))
    }

    /// Decodes only the pixels of `crop` of the JPEG record `i` into `out`, which has room for exactly them. As [`Dataset::read_pixels`]
    /// and a cut, for the cost of the crop.
    ///
    /// # Errors
    /// As [`Dataset::record`]; `Internal` where the shard does not hold JPEG files.
    pub fn decode_crop(&self, i: usize, crop: &Crop, out: &mut [u8]) -> Result<()> {
        let (shard, r) = self.locate(i)?;
        if self.encoding() != Encoding::Jpeg {
            return Err(Error::internal("a crop to decode of records that are no JPEG files").at(shard.describe(r)));
        }
        let rect = [crop.x, crop.y, crop.width, crop.height];
        STORED.with_borrow_mut(|stored| {
            stored.clear();
            shard.copy_payload(r, stored)?;
            let done = decode_part(shard, r, stored, rect, out);
            stored.truncate(KEPT);
            stored.shrink_to(KEPT);
            done
        })
    }

    /// Shard, record, source and byte of picture `i`, for people.
    pub fn place(&self, i: usize) -> String {
        self.locate(i).map_or_else(|_| format!("image {i}"), |(shard, r)| shard.describe(r))
    }

    /// Tells the kernel of neighbouring pictures.
    pub fn hint(&self, mut pictures: Range<usize>, hint: Hint) {
        pictures.end = pictures.end.min(self.len());
        while pictures.start < pictures.end {
            let shard = self.starts.partition_point(|&s| s <= pictures.start) - 1;
            let end = pictures.end.min(self.starts[shard + 1]);
            self.shards[shard].hint(pictures.start - self.starts[shard]..end - self.starts[shard], hint);
            pictures.start = end;
        }
    }

    fn without_pixels<'a>(&self, shard: &'a Shard, r: usize) -> Picture<'a> {
        let e = &shard.entries[r];
        let (width, height) = (e.width.into(), e.height.into());
        Picture { pixels: Cow::Borrowed(&[]), width, height, label: e.label, global_id: e.global_id, name: shard.record_name(r) }
    }
}
