//! A folder locked by one process at a time. The lock ends with the process, however that ends.
//!
//! Both the folder and a file in it are locked: the file says which process holds it, and removing it lets nobody in. File systems that
//! do not lock folders (NFS) have the lock of the file alone.

use super::calls;
use super::failpoint::failpoint;
use super::folder::Folder;
use crate::error::{Error, Result};
use rustix::fs::{AtFlags, FileType, FlockOperation, flock, statat};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A lock that is held.
#[derive(Debug)]
pub struct Lock {
    file: File,
    name: String,
    folder: Folder,
    passing: bool,
}

impl Lock {
    /// Takes `path`; `passing` removes it afterwards. `doing` is what others are told is going on.
    ///
    /// # Errors
    /// `Write` when another process holds it, naming that process.
    pub fn take(path: &Path, passing: bool, doing: &str) -> Result<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Self::take_in(&Folder::hold(super::folder_of(path))?, &name, passing, doing)
    }

    /// As [`Lock::take`], of `name` in a folder that is held.
    ///
    /// # Errors
    /// As there.
    pub fn take_in(at: &Folder, name: &str, passing: bool, doing: &str) -> Result<Self> {
        let path = at.path().join(name);
        let fail = |e| super::refused(&path, 0, 0, e);
        // Held by itself: the lock of the folder ends with this handle.
        let folder = at.again().map_err(fail)?;
        if flock(folder.handle(), FlockOperation::NonBlockingLockExclusive) == Err(rustix::io::Errno::WOULDBLOCK) {
            return Err(held(at, name, doing)); // where folders cannot be locked (NFS), the file's lock is all there is
        }
        let file = folder.create_or_open(name.as_ref()).map_err(|e| not_a_file(at, name).unwrap_or_else(|| fail(e)))?;
        if !file.metadata().is_ok_and(|m| m.is_file()) {
            return Err(not_a_file(at, name).unwrap_or_else(|| fail(std::io::ErrorKind::InvalidInput.into())));
        }
        if let Err(e) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
            if e != rustix::io::Errno::WOULDBLOCK {
                return Err(Error::write("cannot lock a file here")
                    .at(path.display().to_string())
                    .because("this file system has no locks (Lustre mounted without flock, NFS without lockd)")
                    .next("mount it with locks, or write to another file system")
                    .source(std::io::Error::from(e)));
            }
            return Err(held(at, name, doing));
        }
        // A passing lock may have been removed between our opening and locking it; another process then holds the new file.
        let there = statat(folder.handle(), name, AtFlags::SYMLINK_NOFOLLOW).ok();
        let same = there.zip(file.metadata().ok()).is_some_and(|(a, b)| (a.st_dev, a.st_ino) == (b.dev(), b.ino()));
        if !same {
            drop((file, folder));
            return Self::take_in(at, name, passing, doing);
        }
        // From here on a failure lets go of it, and removes it if it is passing.
        let lock = Self { file, name: name.to_owned(), folder, passing };
        // Written first and then cut to its length: whoever reads it meanwhile finds a number.
        let pid = format!("{}\n", std::process::id());
        calls::write_all_at(&lock.file, &path, pid.as_bytes(), 0).map_err(fail)?;
        calls::set_len(&lock.file, &path, pid.len() as u64).map_err(fail)?;
        failpoint("locked");
        Ok(lock)
    }

    /// That the folder's path still leads to what is locked: elsewhere another process may be at work.
    ///
    /// # Errors
    /// `Write`, saying where the folder is now.
    pub fn check_in_place(&self) -> Result<()> {
        if self.folder.in_place() { Ok(()) } else { Err(moved(&self.folder)) }
    }
}

/// A folder that is no longer where it was when it was opened.
pub fn moved(folder: &Folder) -> Error {
    let gone = folder.now_at().is_none_or(|path| path.to_string_lossy().ends_with(" (deleted)"));
    // The system names a path also where something else was mounted over it, or in another namespace: then it leads elsewhere.
    let leads_here = |path: &Path| {
        let there = std::fs::metadata(path).ok().zip(folder.handle().metadata().ok());
        there.is_some_and(|(a, b)| (a.dev(), a.ino()) == (b.dev(), b.ino()))
    };
    let (where_now, next) = match folder.now_at().filter(|path| leads_here(path)) {
        Some(path) => {
            (format!("it is {} now", path.display()), "move it back, or name its new place as --output; then run the same command again")
        }
        None if gone => ("it was removed".to_owned(), "run the same command again"),
        None => {
            let next = "if something was mounted over it, unmount that; or name another --output; then run the same command again";
            ("it is no longer reachable by a path".to_owned(), next)
        }
    };
    Error::write(format!("the folder was moved or replaced while it was in use: {where_now}"))
        .at(folder.path().display().to_string())
        .because("what its path leads to now is not this process's to write")
        .next(next)
}

fn held(at: &Folder, name: &str, doing: &str) -> Error {
    let text = at.read(name.as_ref()).ok().filter(|file| file.metadata().is_ok_and(|m| m.is_file())).and_then(|file| {
        let mut text = String::new();
        file.take(32).read_to_string(&mut text).ok().map(|_| text)
    });
    let pid = text.as_deref().and_then(|t| t.lines().next()).map_or_else(String::new, |pid| format!(" (process {pid})"));
    Error::write(format!("another process {doing} here{pid}"))
        .at(at.path().join(name).display().to_string())
        .next("wait for it to end, stop it, or work in another folder")
}

/// What stands in the place of the lock's file and is none.
fn not_a_file(at: &Folder, name: &str) -> Option<Error> {
    let there = statat(at.handle(), name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    let (what, remove) = match FileType::from_raw_mode(there.st_mode) {
        FileType::RegularFile => return None,
        FileType::Symlink => ("a link", "rm"),
        FileType::Directory => ("a folder", "rmdir"),
        FileType::Fifo => ("a named pipe", "rm"),
        FileType::Socket => ("a socket", "rm"),
        _ => ("a device", "rm"),
    };
    let path = at.path().join(name).display().to_string();
    let next = match remove {
        "rmdir" => {
            format!("look at what it holds, move it away or remove it (if it is empty: rmdir {path}), and run the same command again")
        }
        _ => format!("look at it, remove it ({remove} {path}), and run the same command again"),
    };
    Some(
        Error::write(format!("the lock file is {what}"))
            .at(path)
            .because("the folder was made or changed by another program; a lock is never opened through a link")
            .next(next),
    )
}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.passing {
            failpoint("unlocking");
            // Still held here: whoever opened it meanwhile fails to lock it; whoever locks it later looks at what was written first.
            let _ = self.folder.unlink(self.name.as_ref());
        }
        // Outright: a child that is being started shares what is open, and closing it here would leave it locked until the child is.
        for locked in [&self.file, self.folder.handle()] {
            let _ = flock(locked, FlockOperation::Unlock);
        }
    }
}
