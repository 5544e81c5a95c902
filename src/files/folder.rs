//! A folder that is held open: what is made and renamed through it stays in it, whatever its path leads to by then.
//!
//! Somebody who may write above an output folder could swap it for a link while a file is being written; by path, the rename would then
//! change a file of the link's target.

use super::calls::{self, Call, make};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags, linkat, openat, renameat, renameat_with, unlinkat};
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{Error, Result};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

#[derive(Debug)]
pub(super) struct Folder {
    handle: File,
    path: PathBuf,
}

impl Folder {
    /// Opens `path`; here, and only here, a link to a folder is followed.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let at = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let handle = OpenOptions::new().read(true).custom_flags(OFlags::DIRECTORY.bits() as i32).open(at)?;
        Ok(Self { handle, path: path.to_owned() })
    }

    /// A new file, for writing. Nothing may bear the name, not even a link.
    pub(super) fn create(&self, name: &OsStr) -> Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let open = || openat(&self.handle, name, flags, Mode::from_raw_mode(0o666)).map(File::from).map_err(Error::from);
        make(&Call::Create { path: &self.path.join(name), new: true }, open)
    }

    /// Gives `from` the name `to`; without `replace` a file of that name is an error.
    pub(super) fn rename(&self, from: &OsStr, to: &OsStr, replace: bool) -> Result<()> {
        let real = || {
            if replace {
                return renameat(&self.handle, from, &self.handle, to).map_err(Error::from);
            }
            match renameat_with(&self.handle, from, &self.handle, to, RenameFlags::NOREPLACE) {
                // File systems without the flag: a hard link does not replace either.
                Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => linkat(&self.handle, from, &self.handle, to, AtFlags::empty())
                    .and_then(|()| unlinkat(&self.handle, from, AtFlags::empty()))
                    .map_err(Error::from),
                other => other.map_err(Error::from),
            }
        };
        make(&Call::Rename { from: &self.path.join(from), to: &self.path.join(to), replace }, real)
    }

    /// Makes `name` another name of `file`.
    pub(super) fn link(&self, file: &Path, name: &OsStr) -> Result<()> {
        let real = || linkat(CWD, file, &self.handle, name, AtFlags::empty()).map_err(Error::from);
        make(&Call::Link { from: file, to: &self.path.join(name) }, real)
    }

    pub(super) fn remove(&self, name: &OsStr) -> Result<()> {
        make(&Call::Remove(&self.path.join(name)), || unlinkat(&self.handle, name, AtFlags::empty()).map_err(Error::from))
    }

    /// Flushes the list of names.
    pub(super) fn sync(&self) -> Result<()> {
        make(&Call::SyncDir(calls::named(&self.path)), || self.handle.sync_all())
    }
}
