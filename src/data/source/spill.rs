//! Pictures put by as they are first read, from sources that give them out only by the group.
//!
//! A row group of a Parquet file has to be decoded for any picture in it, and a pack takes pictures in another order than the file's:
//! each would cost its whole group. The pass that hashes them goes through the file in its own order, so each picture is written to a
//! nameless file of the output's disk then, and read from there afterwards: every group is decoded once. Costs the size of the
//! pictures on that disk while packing, and 40 bytes of memory for each; where the disk is too full, groups are decoded again instead.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Archive, row group, row.
type Row = (u32, u32, u32);

#[derive(Debug)]
struct Kept {
    file: Arc<File>,
    end: u64,
    rows: HashMap<Row, (u64, u32)>,
}

/// What was put by; nothing once it has failed or was let go.
#[derive(Debug, Default)]
pub struct Spill(Mutex<Option<Kept>>);

impl Spill {
    /// In a nameless file of `dir`, if that can be made.
    pub fn beside(dir: &Path) -> Self {
        let file = crate::files::nameless(dir).ok();
        Self(Mutex::new(file.map(|file| Kept { file: Arc::new(file), end: 0, rows: HashMap::new() })))
    }

    fn kept(&self) -> MutexGuard<'_, Option<Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets go of all of it, and of the room on the disk.
    pub fn forget(&self) {
        *self.kept() = None;
    }

    /// A picture that was put by, into `bytes`.
    pub fn read(&self, row: Row, bytes: &mut Vec<u8>) -> bool {
        let found = self.kept().as_ref().and_then(|k| k.rows.get(&row).map(|&at| (k.file.clone(), at)));
        let Some((file, (offset, len))) = found else { return false };
        bytes.resize(len as usize, 0);
        let whole = file.read_exact_at(bytes, offset).is_ok();
        if !whole {
            bytes.clear();
        }
        whole
    }

    /// Puts a picture by.
    pub fn put(&self, row: Row, bytes: &[u8]) {
        let Ok(len) = u32::try_from(bytes.len()) else { return };
        let reserved = self.kept().as_mut().map(|k| {
            k.end += u64::from(len);
            (k.file.clone(), k.end - u64::from(len))
        });
        let Some((file, offset)) = reserved else { return };
        if file.write_all_at(bytes, offset).is_err() {
            return self.forget(); // the shards need what room there is
        }
        if let Some(kept) = self.kept().as_mut() {
            kept.rows.insert(row, (offset, len));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_back_what_was_put_until_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let spill = Spill::beside(dir.path());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "it has no name");
        spill.put((0, 1, 2), b"one");
        spill.put((0, 1, 3), b"");
        let mut bytes = Vec::new();
        assert!(spill.read((0, 1, 2), &mut bytes) && bytes == b"one");
        assert!(spill.read((0, 1, 3), &mut bytes) && bytes.is_empty());
        assert!(!spill.read((1, 1, 2), &mut bytes));
        spill.forget();
        spill.put((0, 1, 2), b"one");
        assert!(!spill.read((0, 1, 2), &mut bytes));
    }
}
