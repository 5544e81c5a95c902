//! A file locked by one process at a time. The lock ends with the process, however that ends.

use super::calls;
use super::failpoint::failpoint;
use crate::error::{Error, Result};
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A lock that is held.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
    passing: bool,
}

impl Lock {
    /// Takes `path`; `passing` removes it afterwards. `doing` is what others are told is going on.
    ///
    /// # Errors
    /// `Write` when another process holds it, naming that process.
    pub fn take(path: &Path, passing: bool, doing: &str) -> Result<Self> {
        let fail = |e| super::refused(path, 0, 0, e);
        let mut file = calls::create(path, false).map_err(fail)?;
        if let Err(e) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
            if e != rustix::io::Errno::WOULDBLOCK {
                return Err(Error::write("cannot lock a file here")
                    .at(path.display().to_string())
                    .because("this file system has no locks (Lustre mounted without flock, NFS without lockd)")
                    .next("mount it with locks, or choose an --output on another file system")
                    .source(std::io::Error::from(e)));
            }
            let mut pid = String::new();
            let _ = file.read_to_string(&mut pid);
            return Err(Error::write(format!("another process {doing} here (process {})", pid.trim()))
                .at(path.display().to_string())
                .next("wait for it to end, stop it, or choose another --output"));
        }
        // A passing lock may have been removed between our opening and locking it; another process then holds the new file.
        let same = fs::metadata(path).ok().zip(file.metadata().ok()).is_some_and(|(a, b)| (a.dev(), a.ino()) == (b.dev(), b.ino()));
        if !same {
            return Self::take(path, passing, doing);
        }
        // From here on a failure lets go of it, and removes it if it is passing.
        let lock = Self { file, path: path.to_owned(), passing };
        calls::set_len(&lock.file, path, 0).map_err(fail)?;
        calls::write_all_at(&lock.file, path, format!("{}\n", std::process::id()).as_bytes(), 0).map_err(fail)?;
        failpoint("locked");
        Ok(lock)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.passing {
            failpoint("unlocking");
            // Still held here: whoever opened it meanwhile fails to lock it; whoever locks it later looks at what was written first.
            let _ = calls::remove(&self.path);
        }
    }
}
