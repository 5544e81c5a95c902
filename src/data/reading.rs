//! How bytes come from shards: by which call, how often their CRC is looked at, and what the page cache is told.
//!
//! Neither way saves a copy: bytes go from the page cache straight to their place in a batch. `pread` turns a file that is cut, or a disk
//! that fails, into an error that names file and byte. From a map the length of the file is looked at before each record; a file cut
//! between that look and the copy, or a disk that fails, ends the process at once, with a message from [`super::fault`]. Hence `pread` is
//! the default, and `auto` maps only what lies on a local file system.

use serde::{Deserialize, Serialize};

/// `--io`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Io {
    /// Read: a file that is cut or a disk that fails is an error that names it.
    #[default]
    Pread,
    /// Map: the same failures end the process at once, with a message.
    Mmap,
    /// Map on known local file systems, read on all others.
    Auto,
}

/// `--verify-reads`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VerifyReads {
    /// The CRC of a record the first time that this process reads it. What changes on the disk later is not seen.
    First,
    /// Every time: 5% of the time of reading.
    #[default]
    Always,
    /// Never.
    Off,
}

/// `--page-cache`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PageCache {
    /// Steer where the images do not fit memory.
    #[default]
    Auto,
    /// Leave it to the kernel.
    Keep,
    /// Ask for each batch at once; in a block shuffle ask for the next window ahead, and give back the last one.
    Stream,
}

/// The three flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadOptions {
    pub io: Io,
    pub verify: VerifyReads,
    pub page_cache: PageCache,
}

/// What the page cache is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ahead {
    #[default]
    Nothing,
    /// All records of a batch, before the first of them is read: the disk sees many requests at a time.
    Batch,
    /// Also the next window of a block shuffle while this one is used, and that the last one is over.
    Windows,
}

impl Ahead {
    /// For people, behind [`Reading::describe`].
    pub fn describe(self) -> &'static str {
        match self {
            Self::Nothing => "",
            Self::Batch => ", each batch asked for at once",
            Self::Windows => ", windows asked for ahead and given back",
        }
    }
}

/// How one data set is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// From the map instead of by `pread`.
    pub mapped: bool,
    pub verify: VerifyReads,
    pub ahead: Ahead,
}

impl Reading {
    /// For people.
    pub fn describe(self) -> &'static str {
        match (self.mapped, self.verify) {
            (false, VerifyReads::First) => "read by pread, each record checked once",
            (false, VerifyReads::Always) => "read by pread, checked at every read",
            (false, VerifyReads::Off) => "read by pread, not checked",
            (true, VerifyReads::First) => "read through a map, each record checked once",
            (true, VerifyReads::Always) => "read through a map, checked at every read",
            (true, VerifyReads::Off) => "read through a map, not checked",
        }
    }
}

/// What the kernel is told of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    /// They are wanted soon.
    Need,
    /// They are not wanted again for long.
    Done,
}
