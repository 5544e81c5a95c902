//! Reading a picture from where it lies. Archives are opened for each read: there may be more of them than a process may hold open.

use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Larger files are no pictures that could be decoded (64 megapixels of 16-bit RGBA are half of it).
pub const MAX_FILE: u64 = 1 << 30;
/// A huge picture's memory is not kept for the next one.
const KEPT: usize = 8 << 20;

/// Where the bytes of a picture lie.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// This file below the root.
    File(Box<str>),
    /// Bytes of an archive: its index in the store, from where, how many.
    Range { archive: u32, offset: u64, len: u64 },
    /// A member of a zip: the byte of its header, its stored and real length, its CRC-32.
    Zip { archive: u32, offset: u64, packed: u32, len: u32, crc: u32, deflated: bool },
    /// A row of a Parquet file: its index in the store, row group, row within the group.
    Row { archive: u32, group: u32, row: u32 },
}

impl Place {
    /// The index of the archive or table that it lies in.
    pub fn archive(&self) -> Option<u32> {
        match self {
            Self::File(_) => None,
            Self::Range { archive, .. } | Self::Zip { archive, .. } | Self::Row { archive, .. } => Some(*archive),
        }
    }
}

/// The files behind a listing.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    archives: Vec<PathBuf>,
    #[cfg(feature = "parquet")]
    tables: super::parquet::Tables,
    #[cfg(feature = "parquet")]
    spill: super::spill::Spill,
}

impl Store {
    /// Pictures that are files below `root`, or lie in `archives`.
    pub fn new(root: PathBuf, archives: Vec<PathBuf>) -> Self {
        Self {
            root,
            archives,
            #[cfg(feature = "parquet")]
            tables: super::parquet::Tables::default(),
            #[cfg(feature = "parquet")]
            spill: super::spill::Spill::default(),
        }
    }

    /// The path of a file on the disk.
    pub fn path(&self, place: &Place) -> Option<PathBuf> {
        if let Place::File(file) = place { Some(self.root.join(&**file)) } else { None }
    }

    /// The tables that the archives are.
    #[cfg(feature = "parquet")]
    pub fn set_tables(&mut self, tables: super::parquet::Tables) {
        self.tables = tables;
    }

    /// Puts pictures of Parquet files by in `dir` when they are first read, so that no order of reading decodes a row group again.
    #[cfg(feature = "parquet")]
    pub fn spill_into(&mut self, dir: &Path) {
        self.spill = super::spill::Spill::beside(dir);
    }

    /// Gives back the room of what was put by.
    pub fn forget_spilled(&self) {
        #[cfg(feature = "parquet")]
        self.spill.forget();
    }

    /// Row groups of Parquet files that were decoded so far.
    #[cfg(feature = "parquet")]
    pub fn row_groups_read(&self) -> u64 {
        self.tables.groups_read()
    }

    /// Reads a picture into `bytes`, replacing what they were.
    ///
    /// # Errors
    /// Why it cannot be read, in words for `bad_images.jsonl`.
    pub fn read(&self, place: &Place, bytes: &mut Vec<u8>) -> Result<(), String> {
        bytes.clear();
        bytes.shrink_to(KEPT);
        match place {
            Place::File(file) => read_file(&self.root.join(&**file), bytes),
            Place::Range { archive, offset, len } => {
                let path = self.archive(*archive)?;
                if *len > MAX_FILE {
                    return Err(format!("an image of {len} bytes, above {MAX_FILE}"));
                }
                let file = File::open(path).map_err(|e| format!("the archive cannot be read: {e}"))?;
                bytes.resize(*len as usize, 0);
                file.read_exact_at(bytes, *offset).map_err(|e| of_archive(&e))
            }
            Place::Zip { archive, offset, packed, len, crc, deflated } => {
                let file = File::open(self.archive(*archive)?).map_err(|e| format!("the archive cannot be read: {e}"))?;
                let mut fill = |at, into: &mut [u8]| file.read_exact_at(into, at).map_err(|e| of_archive(&e));
                super::zip::read(&mut fill, *offset, *packed, *len, *crc, *deflated, bytes)
            }
            #[cfg(feature = "parquet")]
            Place::Row { archive, group, row } => {
                if !self.spill.read((*archive, *group, *row), bytes) {
                    self.tables.read(self.archive(*archive)?, *archive, *group, *row, bytes)?;
                    self.spill.put((*archive, *group, *row), bytes);
                }
                Ok(())
            }
            #[cfg(not(feature = "parquet"))]
            Place::Row { .. } => Err("this build reads no Parquet (cargo feature `parquet`)".to_owned()),
        }
    }

    /// Bytes that reading a picture takes, as far as that is known before.
    pub fn len_of(&self, place: &Place) -> u64 {
        match place {
            Place::File(file) => fs::metadata(self.root.join(&**file)).map_or(0, |m| m.len().min(MAX_FILE)),
            Place::Range { len, .. } => (*len).min(MAX_FILE),
            Place::Zip { packed, len, .. } => u64::from(*packed) + u64::from(*len),
            Place::Row { .. } => 0,
        }
    }

    fn archive(&self, index: u32) -> Result<&Path, String> {
        self.archives.get(index as usize).map(PathBuf::as_path).ok_or_else(|| "no such archive".to_owned())
    }

    /// Where a picture is, for a person.
    pub fn describe(&self, name: &str, place: &Place) -> String {
        let archive = |i: &u32| self.archives.get(*i as usize).map_or_else(String::new, |p| p.display().to_string());
        match place {
            Place::File(file) => self.root.join(&**file).display().to_string(),
            Place::Range { archive: a, offset, .. } | Place::Zip { archive: a, offset, .. } => {
                format!("{}, byte {offset} ({name})", archive(a))
            }
            Place::Row { archive: a, group, row } => format!("{}, row group {group}, row {row} ({name})", archive(a)),
        }
    }

    /// The archive and the place in it, or the file where it is not called like the record; without folders: for reports that should be the same on every machine.
    pub fn within(&self, name: &str, place: &Place) -> Option<String> {
        let archive = |i: &u32| self.archives.get(*i as usize).and_then(|p| p.file_name()).unwrap_or_default().to_string_lossy();
        match place {
            Place::File(file) => (**file != *name).then(|| file.to_string()),
            Place::Range { archive: a, offset, .. } | Place::Zip { archive: a, offset, .. } => {
                Some(format!("{}, byte {offset}", archive(a)))
            }
            Place::Row { archive: a, group, row } => Some(format!("{}, row group {group}, row {row}", archive(a))),
        }
    }
}

fn of_archive(e: &std::io::Error) -> String {
    match e.kind() {
        std::io::ErrorKind::UnexpectedEof => "the archive was cut".to_owned(),
        _ => format!("the archive cannot be read: {e}"),
    }
}

fn read_file(path: &Path, bytes: &mut Vec<u8>) -> Result<(), String> {
    let reason = |e: std::io::Error| match e.kind() {
        _ if fs::symlink_metadata(path).is_ok_and(|m| m.is_symlink()) => format!("a link that leads to no file that can be read: {e}"),
        std::io::ErrorKind::PermissionDenied => "no permission to read the file".to_owned(),
        std::io::ErrorKind::NotFound => "no such file".to_owned(),
        _ => format!("the file cannot be read: {e}"),
    };
    let metadata = fs::metadata(path).map_err(reason)?;
    if !metadata.is_file() {
        return Err("not a file but a pipe, socket or device".to_owned()); // opening it could wait for ever
    }
    if metadata.len() > MAX_FILE {
        return Err(format!("a file of {} bytes, above {MAX_FILE}", metadata.len()));
    }
    bytes.reserve(metadata.len() as usize + 1);
    // Some files of /proc are called files and wait for what never comes.
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    let file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path);
    file.and_then(|f| f.take(MAX_FILE).read_to_end(bytes)).map_err(reason)?;
    Ok(())
}
