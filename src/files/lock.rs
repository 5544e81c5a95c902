//! A folder locked by one process at a time. The lock ends with the process, however that ends.
//!
//! Both the folder and a file in it are locked: the file says which process holds it, and removing it lets nobody in. File systems that
//! do not lock folders (NFS) have the lock of the file alone.

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
    folder: Option<File>,
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
        let folder = lock_folder(super::folder_of(path)).map_err(|()| held(path, doing))?;
        let file = calls::create(path).map_err(|e| not_a_file(path).unwrap_or_else(|| fail(e)))?;
        if let Err(e) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
            if e != rustix::io::Errno::WOULDBLOCK {
                return Err(Error::write("cannot lock a file here")
                    .at(path.display().to_string())
                    .because("this file system has no locks (Lustre mounted without flock, NFS without lockd)")
                    .next("mount it with locks, or choose an --output on another file system")
                    .source(std::io::Error::from(e)));
            }
            return Err(held(path, doing));
        }
        // A passing lock may have been removed between our opening and locking it; another process then holds the new file.
        let same = fs::metadata(path).ok().zip(file.metadata().ok()).is_some_and(|(a, b)| (a.dev(), a.ino()) == (b.dev(), b.ino()));
        if !same {
            return Self::take(path, passing, doing);
        }
        // From here on a failure lets go of it, and removes it if it is passing.
        let lock = Self { file, folder, path: path.to_owned(), passing };
        // Written first and then cut to its length: whoever reads it meanwhile finds a number.
        let pid = format!("{}\n", std::process::id());
        calls::write_all_at(&lock.file, path, pid.as_bytes(), 0).map_err(fail)?;
        calls::set_len(&lock.file, path, pid.len() as u64).map_err(fail)?;
        failpoint("locked");
        Ok(lock)
    }
}

/// The folder itself, locked; none where its file system does not lock folders.
///
/// # Errors
/// None but that another process holds it.
fn lock_folder(dir: &Path) -> std::result::Result<Option<File>, ()> {
    let Ok(folder) = File::open(dir) else { return Ok(None) };
    match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(folder)),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(()),
        Err(_) => Ok(None),
    }
}

fn held(path: &Path, doing: &str) -> Error {
    let text = super::open_file(path).ok().and_then(|(file, _)| {
        let mut text = String::new();
        file.take(32).read_to_string(&mut text).ok().map(|_| text)
    });
    let pid = text.as_deref().and_then(|t| t.lines().next()).map_or_else(String::new, |pid| format!(" (process {pid})"));
    Error::write(format!("another process {doing} here{pid}"))
        .at(path.display().to_string())
        .next("wait for it to end, stop it, or choose another --output")
}

/// What stands in the place of the lock's file and is none.
fn not_a_file(path: &Path) -> Option<Error> {
    let kind = fs::symlink_metadata(path).ok().filter(|m| !m.is_file())?;
    let what = if kind.is_symlink() { "a link" } else { "no regular file" };
    Some(
        Error::write(format!("the lock file is {what}"))
            .at(path.display().to_string())
            .because("the folder was made or changed by another program; a lock is never opened through a link")
            .next(format!("look at it, remove it (rm {}), and run the same command again", path.display())),
    )
}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.passing {
            failpoint("unlocking");
            // Still held here: whoever opened it meanwhile fails to lock it; whoever locks it later looks at what was written first.
            let _ = calls::remove(&self.path);
        }
        // Outright: a child that is being started shares what is open, and closing it here would leave it locked until the child is.
        for locked in [Some(&self.file), self.folder.as_ref()].into_iter().flatten() {
            let _ = flock(locked, FlockOperation::Unlock);
        }
    }
}
