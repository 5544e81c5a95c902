//! A range of a file, or bytes in memory, read by position. Positions count from the start of the range; messages give those of the file.

use crate::error::{Error, Result};
use crate::files::open_file;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(Clone)]
pub struct Span {
    path: Arc<PathBuf>,
    bytes: Bytes,
    start: u64,
    len: u64,
}

#[derive(Clone)]
enum Bytes {
    File(Arc<File>),
    Memory(Arc<Vec<u8>>),
}

impl Span {
    /// A whole file.
    ///
    /// # Errors
    /// `Data` when it cannot be opened.
    pub fn open(path: &Path) -> Result<Self> {
        let (file, metadata) = open_file(path)?;
        Ok(Self { path: Arc::new(path.to_owned()), bytes: Bytes::File(Arc::new(file)), start: 0, len: metadata.len() })
    }

    /// Bytes that were read or unpacked from `path`.
    pub fn memory(path: &Path, bytes: Vec<u8>) -> Self {
        let len = bytes.len() as u64;
        Self { path: Arc::new(path.to_owned()), bytes: Bytes::Memory(Arc::new(bytes)), start: 0, len }
    }

    /// The part that begins at `at`; cut at the end of this one.
    pub fn part(&self, at: u64, len: u64) -> Self {
        let at = at.min(self.len);
        Self { start: self.start + at, len: len.min(self.len - at), ..self.clone() }
    }

    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The position within the file.
    pub fn in_file(&self, at: u64) -> u64 {
        self.start + at
    }

    /// File and byte, for a message.
    pub fn place(&self, at: u64) -> String {
        format!("{}, byte {}", self.path.display(), self.start + at)
    }

    /// # Errors
    /// `Data` when the bytes do not all lie inside or cannot be read.
    pub fn fill(&self, at: u64, into: &mut [u8]) -> Result<()> {
        let outside = || Error::data("cannot read: the file ends here").at(self.place(at)).because("the file was cut");
        let end = at.checked_add(into.len() as u64).filter(|&end| end <= self.len).ok_or_else(outside)?;
        match &self.bytes {
            Bytes::File(file) => file.read_exact_at(into, self.start + at).map_err(|e| Error::reading(&self.path, e).at(self.place(at))),
            Bytes::Memory(bytes) => {
                let range = (self.start + at) as usize..(self.start + end) as usize;
                into.copy_from_slice(bytes.get(range).ok_or_else(outside)?);
                Ok(())
            }
        }
    }

    /// # Errors
    /// As [`Span::fill`]. Memory is taken only for bytes that lie inside.
    pub fn read(&self, at: u64, len: u64) -> Result<Vec<u8>> {
        let fits = at.checked_add(len).is_some_and(|end| end <= self.len);
        let mut bytes = vec![0; if fits { len as usize } else { 0 }];
        if !fits {
            return Err(Error::data("cannot read: the file ends here").at(self.place(at)).because("the file was cut"));
        }
        self.fill(at, &mut bytes)?;
        Ok(bytes)
    }
}
