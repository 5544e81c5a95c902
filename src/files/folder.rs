//! A folder that is held open: what is made, renamed, listed and removed through it stays in it, whatever its path leads to by then.
//!
//! Somebody who may write above an output folder could swap it for a link, or for another folder, while files are being written; by path,
//! the writes would then change what lies there. [`Folder::in_place`] says whether the path still leads here.

use super::calls::{self, Call, make};
use super::{NewFile, refused, temporary};
use crate::error::{Error, Result};
use rustix::fs::{AtFlags, Dir, Mode, OFlags, RenameFlags, linkat, mkdirat, openat, renameat, renameat_with, statat, unlinkat};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

#[derive(Debug)]
pub struct Folder {
    handle: File,
    path: PathBuf,
}

impl Folder {
    /// Opens `path`; here, and only here, a link to a folder is followed.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let at = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let handle = OpenOptions::new().read(true).custom_flags(OFlags::DIRECTORY.bits() as i32).open(at)?;
        Ok(Self { handle, path: path.to_owned() })
    }

    /// Holds the folder `path`.
    ///
    /// # Errors
    /// `Write` when there is none, or it cannot be opened.
    pub fn hold(path: &Path) -> Result<Self> {
        Self::open(path).map_err(|e| refused(path, 0, 0, e))
    }

    /// Holds the folder `name` in this one, made if missing. A link is not followed.
    ///
    /// # Errors
    /// `Write`; also where the name is a link or no folder.
    pub fn inside(&self, name: &str) -> Result<Self> {
        let path = self.path.join(name);
        match make(&Call::MakeDir(&path), || mkdirat(&self.handle, name, Mode::from_raw_mode(0o777)).map_err(io::Error::from)) {
            Ok(()) => self.sync().map_err(|e| refused(&self.path, 0, 0, e))?,
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            Err(e) => return Err(refused(&path, 0, 0, e)),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match openat(&self.handle, name, flags, Mode::empty()) {
            Ok(handle) => Ok(Self { handle: handle.into(), path }),
            Err(Errno::LOOP | Errno::NOTDIR) => Err(Error::write(format!("{name} is a link or a file, not a folder"))
                .at(path.display().to_string())
                .because("files are written and removed in it, so a link is not followed")
                .next("for another disk, put the whole folder there: --output; or remove the link and run the same command again")),
            Err(e) => Err(refused(&path, 0, 0, e.into())),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the folder's path still leads to it.
    pub fn in_place(&self) -> bool {
        let there = std::fs::metadata(calls::named(&self.path));
        there.ok().zip(self.handle.metadata().ok()).is_some_and(|(a, b)| (a.dev(), a.ino()) == (b.dev(), b.ino()))
    }

    /// Whether `name` in this folder is `other`, and no link to it.
    pub fn holds(&self, name: &str, other: &Self) -> bool {
        let there = statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW);
        there.ok().zip(other.handle.metadata().ok()).is_some_and(|(a, b)| (a.st_dev, a.st_ino) == (b.dev(), b.ino()))
    }

    /// Where the folder lies now, as far as the system says.
    pub fn now_at(&self) -> Option<PathBuf> {
        use std::os::fd::AsRawFd;
        std::fs::read_link(format!("/proc/self/fd/{}", self.handle.as_raw_fd())).ok()
    }

    /// The same folder, held once more.
    ///
    /// # Errors
    /// Those of the system.
    pub(super) fn again(&self) -> io::Result<Self> {
        Ok(Self { handle: openat(&self.handle, ".", OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?.into(), path: self.path.clone() })
    }

    pub(super) fn handle(&self) -> &File {
        &self.handle
    }

    /// A new file, for writing. Nothing may bear the name, not even a link.
    pub(super) fn create(&self, name: &OsStr) -> io::Result<File> {
        self.open_at(name, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL, true)
    }

    /// A file for writing, which may be there. Never through a link: a folder that somebody else filled must not lead out of itself.
    pub(super) fn create_or_open(&self, name: &OsStr) -> io::Result<File> {
        self.open_at(name, OFlags::RDWR | OFlags::CREATE, false)
    }

    fn open_at(&self, name: &OsStr, flags: OFlags, new: bool) -> io::Result<File> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let open = || openat(&self.handle, name, flags, Mode::from_raw_mode(0o666)).map(File::from).map_err(io::Error::from);
        make(&Call::Create { path: &self.path.join(name), new }, open)
    }

    /// Opens the file `name` for reading; neither a link nor a pipe.
    ///
    /// # Errors
    /// Those of the system.
    pub fn read(&self, name: &OsStr) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Ok(openat(&self.handle, name, flags, Mode::empty())?.into())
    }

    /// The names in the folder.
    ///
    /// # Errors
    /// `Data` when it cannot be read.
    pub fn names(&self) -> Result<Vec<OsString>> {
        let fail = |e: Errno| Error::reading(&self.path, e.into());
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.handle).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name != "." && name != ".." {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    /// Whether something bears the name, be it a link that leads nowhere.
    pub fn has(&self, name: &str) -> bool {
        statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// Gives `from` the name `to`; without `replace` a file of that name is an error.
    pub(super) fn rename(&self, from: &OsStr, to: &OsStr, replace: bool) -> io::Result<()> {
        let (dir, none) = (&self.handle, AtFlags::empty());
        let real = || {
            if replace {
                return renameat(dir, from, dir, to).map_err(io::Error::from);
            }
            let renamed = match renameat_with(dir, from, dir, to, RenameFlags::NOREPLACE) {
                // File systems without the flag: a hard link does not replace either.
                Err(Errno::INVAL | Errno::NOSYS) => linkat(dir, from, dir, to, none).and_then(|()| unlinkat(dir, from, none)),
                other => other,
            };
            match renamed {
                // Those without hard links (FAT): an empty file holds the name for the moment.
                Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
                    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                    drop(openat(dir, to, flags, Mode::from_raw_mode(0o666))?);
                    renameat(dir, from, dir, to).inspect_err(|_| {
                        let _ = unlinkat(dir, to, none);
                    })
                }
                other => other,
            }
            .map_err(io::Error::from)
        };
        make(&Call::Rename { from: &self.path.join(from), to: &self.path.join(to), replace }, real)
    }

    /// Gives `from` the name `to`, replacing what bears it.
    ///
    /// # Errors
    /// `Write`.
    pub fn replace(&self, from: &OsStr, to: &OsStr) -> Result<()> {
        let fail = |e| refused(&self.path.join(from), 0, 0, e);
        self.rename(from, to, true).and_then(|()| self.sync()).map_err(fail)
    }

    /// Makes `name` another name of `file` in `from`.
    pub(super) fn link(&self, from: &Self, file: &OsStr, name: &OsStr) -> io::Result<()> {
        let real = || linkat(&from.handle, file, &self.handle, name, AtFlags::empty()).map_err(io::Error::from);
        make(&Call::Link { from: &from.path.join(file), to: &self.path.join(name) }, real)
    }

    /// Makes `name` another name of `file` in `from`, replacing what was there in one step; copies where the file system has no links.
    ///
    /// # Errors
    /// `Write`.
    pub fn link_over(&self, from: &Self, file: &OsStr, name: &str) -> Result<()> {
        let path = self.path.join(name);
        let fail = |e| refused(&path, 0, 0, e);
        let temporary = temporary::unused(name);
        if self.link(from, file, &temporary).is_err() {
            let mut bytes = Vec::new();
            let read = from.read(file).and_then(|mut file| io::Read::read_to_end(&mut file, &mut bytes));
            read.map_err(|e| Error::reading(&from.path.join(file), e))?;
            return self.write(name, &[&bytes], true);
        }
        let renamed = self.rename(&temporary, name.as_ref(), true);
        match self.unlink(&temporary) {
            // rename does nothing when both names already are the same file
            Err(e) if renamed.is_ok() && e.kind() != ErrorKind::NotFound => return Err(fail(e)),
            _ => renamed.map_err(fail)?,
        }
        self.sync().map_err(fail)
    }

    pub(super) fn unlink(&self, name: &OsStr) -> io::Result<()> {
        make(&Call::Remove(&self.path.join(name)), || unlinkat(&self.handle, name, AtFlags::empty()).map_err(io::Error::from))
    }

    /// Removes a file.
    ///
    /// # Errors
    /// `Write`; a file that is not there is none.
    pub fn remove(&self, name: &OsStr) -> Result<()> {
        match self.unlink(name) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(refused(&self.path.join(name), 0, 0, e)),
            _ => Ok(()),
        }
    }

    /// Removes the folder `name` in this one if it is empty.
    pub fn remove_empty(&self, name: &str) {
        let real = || unlinkat(&self.handle, name, AtFlags::REMOVEDIR).map_err(io::Error::from);
        let _ = make(&Call::RemoveDir(&self.path.join(name)), real); // one that holds anything stays
    }

    /// Writes `parts`, one after the other, as `name`, whole or not at all; with `replace` over what bears the name.
    ///
    /// # Errors
    /// As [`NewFile`].
    pub fn write(&self, name: &str, parts: &[&[u8]], replace: bool) -> Result<()> {
        let new = NewFile::create_in(self, name, replace, parts.iter().map(|p| p.len() as u64).sum())?;
        let mut offset = 0;
        for part in parts {
            new.write_at(part, offset)?;
            offset += part.len() as u64;
        }
        new.publish()
    }

    /// The file `name` of lines that grow, for [`super::append`]; made if missing.
    ///
    /// # Errors
    /// `Write`; also where the name is a link.
    pub fn log(&self, name: &str) -> Result<File> {
        self.create_or_open(name.as_ref()).map_err(|e| refused(&self.path.join(name), 0, 0, e))
    }

    /// Flushes the list of names.
    pub(super) fn sync(&self) -> io::Result<()> {
        make(&Call::SyncDir(calls::named(&self.path)), || self.handle.sync_all())
    }
}
