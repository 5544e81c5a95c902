//! Where packed pictures lie: how large they are, what kind of file system holds them, and whether the page cache can.

use super::ahead::HELD;
use super::dataset::Dataset;
use super::format::Encoding;
use super::order::Mixing;
use super::reading::{Ahead, Io, PageCache, ReadOptions, Reading};
use crate::error::Result;
use crate::text::counted;
use indicatif::BinaryBytes;
use rustix::fs::{StatFs, statfs};
use std::fmt;
use std::path::Path;

/// What a run should know of its pictures before it reads them.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    pub pictures: usize,
    pub shards: usize,
    pub bytes: u64,
    /// They are JPEG files.
    pub compressed: bool,
    /// ext4, nfs...; the number of an unknown one.
    pub file_system: String,
    pub kind: Kind,
    /// Bytes that the kernel says it could give, page cache included; no more than the limit of a container.
    pub memory: Option<u64>,
    /// How they are read.
    pub reading: Reading,
}

/// Of a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Local,
    /// Over a network or through another program: reads wait longer, and mapped files can vanish.
    Remote,
    /// Unknown, or a layer over others.
    Other,
}

/// Of what could be given, so much is left to everything else.
const LEFT_ALONE: f64 = 0.2;

/// Names of `statfs`'s magic numbers (statfs(2)).
const FILE_SYSTEMS: [(u64, &str, Kind); 16] = [
    (0xEF53, "ext4", Kind::Local),
    (0x5846_5342, "xfs", Kind::Local),
    (0x9123_683E, "btrfs", Kind::Local),
    (0x2FC1_2FC1, "zfs", Kind::Local),
    (0xF2F5_2010, "f2fs", Kind::Local),
    (0x0102_1994, "tmpfs", Kind::Local),
    (0x794C_7630, "overlay", Kind::Other),
    (0x7371_7368, "squashfs", Kind::Local),
    (0x5346_544E, "ntfs", Kind::Local),
    (0x6969, "nfs", Kind::Remote),
    (0xFF53_4D42, "cifs", Kind::Remote),
    (0xFE53_4D42, "smb2", Kind::Remote),
    (0x0BD0_0BD0, "lustre", Kind::Remote),
    (0x6573_5546, "fuse", Kind::Remote),
    (0x00C3_6400, "ceph", Kind::Remote),
    (0x0102_1997, "9p", Kind::Remote),
];

impl Place {
    /// Of an opened folder.
    pub fn of(dataset: &Dataset) -> Self {
        let unknown = || ("an unknown file system".to_owned(), Kind::Other);
        let (file_system, kind) = statfs(dataset.dir()).map_or_else(|_| unknown(), |s: StatFs| name(s.f_type as u64));
        let bytes = dataset.manifest().shards.iter().map(|s| s.bytes).sum();
        let memory = available_memory();
        Self {
            pictures: dataset.len(),
            shards: dataset.shards().len(),
            bytes,
            compressed: dataset.encoding() == Encoding::Jpeg,
            file_system,
            kind,
            memory,
            reading: dataset.reading(),
        }
    }

    /// Opens `dir` to be read as asked, in an order of this kind.
    ///
    /// # Errors
    /// Those of [`Dataset::open`].
    pub fn open(dir: &Path, options: ReadOptions, mixing: Mixing) -> Result<(Dataset, Self)> {
        let dataset = Dataset::open(dir)?;
        let mut place = Self::of(&dataset);
        let mapped = match options.io {
            Io::Pread => false,
            Io::Mmap => true,
            Io::Auto => place.kind == Kind::Local,
        };
        place.reading = Reading { mapped, verify: options.verify, ahead: place.ahead(options.page_cache, mixing) };
        Ok((dataset.read_as(place.reading), place))
    }

    /// What to tell the page cache in an order of this kind.
    pub fn ahead(&self, page_cache: PageCache, mixing: Mixing) -> Ahead {
        let wanted = match page_cache {
            PageCache::Keep => false,
            PageCache::Stream => true,
            PageCache::Auto => self.fits_memory() == Some(false),
        };
        match mixing {
            // The kernel sees that files are read from end to end.
            Mixing::None => Ahead::Nothing,
            _ if !wanted => Ahead::Nothing,
            Mixing::Full => Ahead::Batch,
            Mixing::Block { block, window } => {
                let fits = |memory| self.held(block, window) <= memory;
                if page_cache == PageCache::Stream || self.usable().is_none_or(fits) { Ahead::Windows } else { Ahead::Batch }
            }
        }
    }

    /// Bytes that the page cache holds in a block shuffle.
    fn held(&self, block: u64, window: u64) -> f64 {
        let records = (block as f64 * window as f64).min(self.pictures as f64);
        HELD * records * self.bytes as f64 / self.pictures.max(1) as f64
    }

    /// Bytes of memory for pictures.
    fn usable(&self) -> Option<f64> {
        self.memory.map(|memory| memory as f64 * (1.0 - LEFT_ALONE))
    }

    /// Whether every epoch after the first can come from memory; none where that is not known.
    pub fn fits_memory(&self) -> Option<bool> {
        self.usable().map(|memory| self.bytes as f64 <= memory)
    }

    /// What to do about it, if anything, in an order of this kind.
    pub fn advice(&self, mixing: Mixing) -> Option<String> {
        let memory = self.usable().filter(|&memory| self.bytes as f64 > memory)?;
        match mixing {
            Mixing::Full => Some(format!(
                "they do not fit memory, so every epoch reads them{} in random order: --shuffle block reads whole blocks, \
                 and packing with {} makes them smaller",
                if self.kind == Kind::Remote { " over the network" } else { "" },
                if self.compressed { "--max-side 400" } else { "--resize 224 or --encoding jpeg" }
            )),
            Mixing::Block { block, window } if self.held(block, window) > memory => {
                let fits = match (memory / self.held(block, 1)) as u64 {
                    0 => format!("--shuffle-block {} with --shuffle-window 1", ((memory / self.held(1, 1)) as u64).max(1)),
                    windows => format!("--shuffle-window {windows}"),
                };
                let so = if self.reading.ahead == Ahead::Batch { ", so blocks are read in parts" } else { "" };
                let size = BinaryBytes((self.held(block, window) / HELD) as u64);
                Some(format!("windows of {size} do not fit memory either{so}: {fits} fits"))
            }
            _ => None,
        }
    }
}

fn name(magic: u64) -> (String, Kind) {
    let magic = magic & 0xFFFF_FFFF;
    let known = FILE_SYSTEMS.iter().find(|(m, ..)| *m == magic);
    known.map_or_else(|| (format!("file system {magic:#x}"), Kind::Other), |(_, name, kind)| ((*name).to_owned(), *kind))
}

/// Bytes of memory for this process: what the machine has left, and what the limits of its container leave.
pub fn available_memory() -> Option<u64> {
    crate::limits::memory::room().map(|room| room.bytes)
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { shards, bytes, file_system, reading, .. } = self;
        let shards = counted(*shards as u64, "shard");
        write!(f, "{} in {shards} on {file_system}, {}", BinaryBytes(*bytes), reading.describe())?;
        write!(f, "{}", reading.ahead.describe())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_names_and_advice() {
        assert_eq!(name(0xEF53), ("ext4".into(), Kind::Local));
        assert_eq!(name(0xFFFF_FFFF_FF53_4D42), ("cifs".into(), Kind::Remote));
        assert_eq!(name(7), ("file system 0x7".into(), Kind::Other));
        let reading = Reading::default();
        let place = Place {
            pictures: 5,
            shards: 2,
            bytes: 100,
            compressed: false,
            file_system: "ext4".into(),
            kind: Kind::Local,
            memory: Some(200),
            reading,
        };
        let blocks = Mixing::Block { block: 1, window: 2 };
        assert!(place.fits_memory() == Some(true) && place.advice(Mixing::Full).is_none());
        let large = Place { memory: Some(120), kind: Kind::Remote, ..place.clone() };
        assert!(large.advice(Mixing::Full).unwrap().contains("over the network"));
        // Two windows and a quarter of 2 pictures of 20 bytes are 90 bytes, of 96 that may be used.
        assert_eq!((large.advice(blocks), large.advice(Mixing::None)), (None, None));
        let small = Place { memory: Some(110), ..large.clone() };
        assert_eq!(small.advice(blocks).unwrap(), "windows of 40 B do not fit memory either: --shuffle-window 1 fits");
        let tiny = Place { memory: Some(100), reading: Reading { ahead: Ahead::Batch, ..reading }, ..large.clone() };
        let said = tiny.advice(Mixing::Block { block: 2, window: 1 }).unwrap();
        assert!(said.ends_with("memory either, so blocks are read in parts: --shuffle-block 1 with --shuffle-window 1 fits"), "{said}");
        let ahead = |place: &Place, mixing| [PageCache::Auto, PageCache::Keep, PageCache::Stream].map(|how| place.ahead(how, mixing));
        let [nothing, batch, windows] = [Ahead::Nothing, Ahead::Batch, Ahead::Windows];
        assert_eq!(ahead(&place, blocks), [nothing, nothing, windows]);
        assert_eq!(ahead(&large, blocks), [windows, nothing, windows]);
        assert_eq!(ahead(&small, blocks), [batch, nothing, windows]);
        assert_eq!((ahead(&large, Mixing::Full), ahead(&large, Mixing::None)), ([batch, nothing, batch], [nothing; 3]));
        assert_eq!((place.memory, Place { memory: None, ..place.clone() }.advice(Mixing::Full)), (Some(200), None));
    }
}
