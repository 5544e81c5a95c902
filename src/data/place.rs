//! Where packed pictures lie: how large they are, what kind of file system holds them, and whether the page cache can.

use super::dataset::Dataset;
use rustix::fs::{StatFs, statfs};
use std::fmt;
use std::path::Path;

/// What a run should know of its pictures before it reads them.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    pub pictures: usize,
    pub shards: usize,
    pub bytes: u64,
    /// ext4, nfs...; the number of an unknown one.
    pub file_system: String,
    /// Over a network, where reads wait longer and mapped files can vanish.
    pub remote: bool,
    /// Bytes that the kernel says it could give, page cache included.
    pub memory: Option<u64>,
}

/// Of what could be given, so much is left to everything else.
const LEFT_ALONE: f64 = 0.2;

/// Names of `statfs`'s magic numbers (statfs(2)), and whether they lie behind a network.
const FILE_SYSTEMS: [(u64, &str, bool); 16] = [
    (0xEF53, "ext4", false),
    (0x5846_5342, "xfs", false),
    (0x9123_683E, "btrfs", false),
    (0x2FC1_2FC1, "zfs", false),
    (0xF2F5_2010, "f2fs", false),
    (0x0102_1994, "tmpfs", false),
    (0x794C_7630, "overlay", false),
    (0x7371_7368, "squashfs", false),
    (0x5346_544E, "ntfs", false),
    (0x6969, "nfs", true),
    (0xFF53_4D42, "cifs", true),
    (0xFE53_4D42, "smb2", true),
    (0x0BD0_0BD0, "lustre", true),
    (0x6573_5546, "fuse", true),
    (0x00C3_6400, "ceph", true),
    (0x0102_1997, "9p", true),
];

impl Place {
    /// Of an opened folder.
    pub fn of(dataset: &Dataset) -> Self {
        let (file_system, remote) =
            statfs(dataset.dir()).map_or(("an unknown file system".to_owned(), false), |s: StatFs| name(s.f_type as u64));
        let bytes = dataset.manifest().shards.iter().map(|s| s.bytes).sum();
        let memory = std::fs::read_to_string(Path::new("/proc/meminfo")).ok().and_then(|text| available(&text));
        Self { pictures: dataset.len(), shards: dataset.shards().len(), bytes, file_system, remote, memory }
    }

    /// Whether every epoch after the first can come from memory; none where that is not known.
    pub fn fits_memory(&self) -> Option<bool> {
        self.memory.map(|memory| self.bytes as f64 <= memory as f64 * (1.0 - LEFT_ALONE))
    }

    /// What to do about it, if anything; `mixed_in_blocks` where that is done already.
    pub fn advice(&self, mixed_in_blocks: bool) -> Option<String> {
        if mixed_in_blocks || self.fits_memory() != Some(false) {
            return None;
        }
        let slow = if self.remote { " over the network" } else { "" };
        Some(format!(
            "they do not fit memory, so every epoch reads them{slow} in random order: --shuffle block reads whole blocks, \
             and packing with --resize 224 or --encoding jpeg makes them smaller"
        ))
    }
}

fn name(magic: u64) -> (String, bool) {
    let magic = magic & 0xFFFF_FFFF;
    let known = FILE_SYSTEMS.iter().find(|(m, ..)| *m == magic);
    known.map_or_else(|| (format!("file system {magic:#x}"), false), |(_, name, remote)| ((*name).to_owned(), *remote))
}

/// `MemAvailable` of /proc/meminfo.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|l| l.strip_prefix("MemAvailable:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib << 10)
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pictures, shards, bytes, file_system, memory, .. } = self;
        let gb = |bytes: u64| bytes as f64 * 1e-9;
        write!(f, "{pictures} pictures, {:.2} GB in {shards} shards on {file_system}, read by pread", gb(*bytes))?;
        memory.map_or(Ok(()), |memory| write!(f, "; {:.1} GB of memory available", gb(memory)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_names_and_advice() {
        assert_eq!(name(0xEF53), ("ext4".into(), false));
        assert_eq!(name(0xFFFF_FFFF_FF53_4D42), ("cifs".into(), true));
        assert_eq!(name(7), ("file system 0x7".into(), false));
        assert_eq!(available("MemTotal: 9 kB\nMemAvailable:   1024 kB\n"), Some(1 << 20));
        let place = Place { pictures: 5, shards: 2, bytes: 100, file_system: "ext4".into(), remote: false, memory: Some(200) };
        assert!(place.fits_memory() == Some(true) && place.advice(false).is_none());
        let large = Place { memory: Some(110), remote: true, ..place.clone() };
        assert!(large.advice(false).unwrap().contains("over the network") && large.advice(true).is_none());
        assert_eq!(Place { memory: None, ..place }.advice(false), None);
    }
}
