//! The calls by which files come to be, each in one place: the operating system's, watched where a test asks for it.
//!
//! A test that [`watch`]es a folder is shown each call below it before it is made, and may refuse it or let a write through in part: so
//! it can fail the n-th call, and work out what a power cut would leave. A call that a signal interrupts is made again; a short write
//! goes on where it ended. Without a watcher a call costs one relaxed load more.

use super::failpoint::{die, reached};
use std::fs::{self, File};
use std::io::{Error, ErrorKind, Result};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// A call that is about to be made.
#[derive(Clone, Copy, Debug)]
pub enum Call<'a> {
    MakeDir(&'a Path),
    /// Opens for writing. A `new` file must not be there yet; another is made if missing, and keeps what it holds.
    Create {
        path: &'a Path,
        new: bool,
    },
    Write {
        path: &'a Path,
        offset: u64,
        bytes: &'a [u8],
    },
    SetLen {
        path: &'a Path,
        len: u64,
    },
    Sync(&'a Path),
    Rename {
        from: &'a Path,
        to: &'a Path,
        replace: bool,
    },
    Link {
        from: &'a Path,
        to: &'a Path,
    },
    Remove(&'a Path),
    RemoveDir(&'a Path),
    SyncDir(&'a Path),
}

impl Call<'_> {
    /// The path that changes.
    pub fn path(&self) -> &Path {
        match self {
            Self::MakeDir(path) | Self::Sync(path) | Self::Remove(path) | Self::RemoveDir(path) | Self::SyncDir(path) => path,
            Self::Create { path, .. } | Self::Write { path, .. } | Self::SetLen { path, .. } => path,
            Self::Rename { to, .. } | Self::Link { to, .. } => to,
        }
    }
}

/// Sees calls before they are made. For tests.
pub trait Watcher: Send + Sync {
    /// How many bytes of a write may go through, or what the call fails with instead of being made.
    ///
    /// # Errors
    /// Those that the call is to end with.
    fn about(&self, call: &Call<'_>) -> Result<usize>;
}

type Watched = (PathBuf, Arc<dyn Watcher>);
static WATCHED: RwLock<Vec<Watched>> = RwLock::new(Vec::new());
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Watches until dropped.
#[must_use]
pub struct Watch(PathBuf);

/// Shows `watcher` every call at or below `folder`, whichever thread makes it.
pub fn watch(folder: &Path, watcher: Arc<dyn Watcher>) -> Watch {
    WATCHED.write().unwrap_or_else(PoisonError::into_inner).push((folder.to_owned(), watcher));
    COUNT.fetch_add(1, Ordering::Relaxed);
    Watch(folder.to_owned())
}

impl Drop for Watch {
    fn drop(&mut self) {
        WATCHED.write().unwrap_or_else(PoisonError::into_inner).retain(|(folder, _)| *folder != self.0);
        COUNT.fetch_sub(1, Ordering::Relaxed);
    }
}

fn about(call: &Call<'_>) -> Result<usize> {
    if COUNT.load(Ordering::Relaxed) == 0 {
        return Ok(usize::MAX);
    }
    let watched = WATCHED.read().unwrap_or_else(PoisonError::into_inner);
    let watcher = watched.iter().find(|(folder, _)| call.path().starts_with(folder)).map(|(_, w)| w.clone());
    drop(watched);
    watcher.map_or(Ok(usize::MAX), |w| w.about(call))
}

/// Shows and makes a call, again while signals interrupt it.
pub(super) fn make<T>(call: &Call<'_>, mut real: impl FnMut() -> Result<T>) -> Result<T> {
    loop {
        match about(call).and_then(|_| real()) {
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

pub(super) fn make_dir(path: &Path) -> Result<()> {
    make(&Call::MakeDir(path), || fs::create_dir(path))
}

pub(super) fn write_all_at(file: &File, path: &Path, mut bytes: &[u8], mut offset: u64) -> Result<()> {
    if reached("mid-write") {
        let _ = file.write_all_at(&bytes[..bytes.len() / 2], offset);
        die();
    }
    while !bytes.is_empty() {
        let once = || {
            let most = about(&Call::Write { path, offset, bytes })?.min(bytes.len());
            file.write_at(&bytes[..most], offset)
        };
        match once() {
            Ok(0) => return Err(Error::new(ErrorKind::WriteZero, "the disk takes no more bytes")),
            Ok(n) => {
                bytes = &bytes[n..];
                offset += n as u64;
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

pub(super) fn set_len(file: &File, path: &Path, len: u64) -> Result<()> {
    make(&Call::SetLen { path, len }, || file.set_len(len))
}

pub(super) fn sync(file: &File, path: &Path) -> Result<()> {
    make(&Call::Sync(path), || file.sync_all())
}

/// Gives `from` the name `to`, replacing what bears it.
pub(super) fn rename(from: &Path, to: &Path) -> Result<()> {
    make(&Call::Rename { from, to, replace: true }, || fs::rename(from, to))
}

pub(super) fn remove(path: &Path) -> Result<()> {
    make(&Call::Remove(path), || fs::remove_file(path))
}

pub(super) fn remove_dir(path: &Path) -> Result<()> {
    make(&Call::RemoveDir(path), || fs::remove_dir(path))
}

/// A folder's path, also where that is empty.
pub(super) fn named(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

pub(super) fn sync_dir(path: &Path) -> Result<()> {
    let path = named(path);
    make(&Call::SyncDir(path), || File::open(path)?.sync_all())
}
