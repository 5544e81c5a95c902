//! Files that appear whole or not at all: written under a temporary name in the same folder, flushed to the disk, then renamed.
//!
//! The order is write, fsync(file), rename without replacing, fsync(folder): after a power cut there is either no file of the final
//! name or the whole one. A process killed on the way leaves only `.NAME.tmp-TAG`, which the next run of the same job removes.

use crate::error::{Error, Result};
use rustix::fs::{CWD, FlockOperation, RenameFlags, flock, renameat_with};
use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, ErrorKind, Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A file under construction. Dropped without [`NewFile::publish`], it is removed.
pub struct NewFile {
    file: File,
    temporary: PathBuf,
    target: PathBuf,
    replace: bool,
}

impl NewFile {
    /// Starts `dir/name`; `tag` goes into the temporary name. With `replace` an older file of the name is replaced at the end.
    ///
    /// # Errors
    /// `Write` when the file cannot be created.
    pub fn create(dir: &Path, name: &str, tag: &str, replace: bool) -> Result<Self> {
        let temporary = dir.join(format!(".{name}.tmp-{tag}"));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&temporary)
            .map_err(|e| Error::writing(&dir.join(name), e))?;
        failpoint("temp-created");
        Ok(Self { file, temporary, target: dir.join(name), replace })
    }

    pub fn file(&self) -> &File {
        &self.file
    }

    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// `Write`, naming the file.
    pub fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        std::os::unix::fs::FileExt::write_all_at(&self.file, bytes, offset).map_err(|e| Error::writing(&self.target, e))
    }

    /// Makes the file durable and gives it its name.
    ///
    /// # Errors
    /// `Write` when that fails or a file of the name is there already.
    pub fn publish(self) -> Result<()> {
        let fail = |e: std::io::Error| Error::writing(&self.target, e);
        failpoint("before-fsync");
        self.file.sync_all().map_err(fail)?;
        failpoint("after-fsync");
        let flags = if self.replace { RenameFlags::empty() } else { RenameFlags::NOREPLACE };
        match renameat_with(CWD, &self.temporary, CWD, &self.target, flags) {
            Ok(()) => {}
            Err(rustix::io::Errno::EXIST) => {
                return Err(Error::write("refusing to overwrite").at(self.target.display().to_string()));
            }
            Err(_) if self.replace => fs::rename(&self.temporary, &self.target).map_err(fail)?,
            // File systems without the flag: a hard link does not replace either.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
                fs::hard_link(&self.temporary, &self.target).map_err(fail)?;
                fs::remove_file(&self.temporary).map_err(fail)?;
            }
            Err(e) => return Err(fail(e.into())),
        }
        failpoint("after-rename");
        sync_dir(self.target.parent().unwrap_or(Path::new(".")))
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // After publish there is nothing of this name any more, and that is the usual case.
        let _ = fs::remove_file(&self.temporary);
    }
}

/// Flushes a folder's list of names.
fn sync_dir(dir: &Path) -> Result<()> {
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    File::open(dir).and_then(|d| d.sync_all()).map_err(|e| Error::writing(dir, e))
}

/// Writes `bytes` as `dir/name`, whole or not at all.
///
/// # Errors
/// As [`NewFile`].
pub fn write_whole(dir: &Path, name: &str, tag: &str, bytes: &[u8], replace: bool) -> Result<()> {
    let new = NewFile::create(dir, name, tag, replace)?;
    new.write_at(bytes, 0)?;
    new.publish()
}

/// Writes what a user asked for to `path`, as `content` makes it: a file in one step, links followed; into what is no file (a device, a
/// pipe) plainly, where a reader that goes away is no failure.
///
/// # Errors
/// `Write`.
pub fn write_output(path: &Path, content: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<()> {
    let into = |file: &File| {
        let mut buffered = BufWriter::with_capacity(1 << 16, file);
        content(&mut buffered).and_then(|()| buffered.flush())
    };
    if fs::metadata(path).is_ok_and(|m| !m.is_file() && !m.is_dir()) {
        let written = OpenOptions::new().write(true).open(path).and_then(|file| into(&file));
        return written.or_else(|e| if e.kind() == ErrorKind::BrokenPipe { Ok(()) } else { Err(Error::writing(path, e)) });
    }
    let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let dir = target.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let new = NewFile::create(dir, &target.file_name().unwrap_or_default().to_string_lossy(), "new", true)?;
    into(new.file()).map_err(|e| Error::writing(path, e))?;
    new.publish()
}

/// Writes `parts`, one after the other, to `path`, replacing what was there in one step.
///
/// # Errors
/// As [`NewFile`], saying how much room is needed.
pub fn write_atomically(path: &Path, parts: &[&[u8]]) -> Result<()> {
    let dir = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let needed: usize = parts.iter().map(|p| p.len()).sum();
    let write = || {
        let new = NewFile::create(dir, &name, "new", true)?;
        let mut offset = 0;
        for part in parts {
            new.write_at(part, offset)?;
            offset += part.len() as u64;
        }
        new.publish()
    };
    write().map_err(|e| e.next(format!("free {needed} bytes there, or choose another --output")))
}

/// Makes `link` another name of `file`, replacing what was there in one step; copies where the file system has no links.
///
/// # Errors
/// `Write`.
pub fn link_atomically(file: &Path, link: &Path) -> Result<()> {
    let name = link.file_name().unwrap_or_default().to_string_lossy();
    let temporary = link.with_file_name(format!(".{name}.tmp-new"));
    let _ = fs::remove_file(&temporary);
    fs::hard_link(file, &temporary)
        .or_else(|_| fs::copy(file, &temporary).map(drop))
        .and_then(|()| fs::rename(&temporary, link))
        .map_err(|e| Error::writing(link, e))?;
    let _ = fs::remove_file(&temporary); // rename does nothing when both names already are the same file
    sync_dir(link.parent().unwrap_or(Path::new(".")))
}

/// Removes the temporary files that a killed run left in `dir`.
///
/// # Errors
/// `Write` when one cannot be removed.
pub fn remove_temporaries(dir: &Path) -> Result<()> {
    for entry in fs::read_dir(dir).map_err(|e| Error::reading(dir, e))? {
        let path = entry.map_err(|e| Error::reading(dir, e))?.path();
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        if name.starts_with('.') && name.contains(".tmp-") {
            fs::remove_file(&path).map_err(|e| Error::writing(&path, e))?;
        }
    }
    Ok(())
}

/// A file locked by one process at a time. The lock ends with the process, however that ends.
pub struct Lock {
    _file: File,
    path: PathBuf,
    passing: bool,
}

impl Lock {
    /// Takes `path`; `passing` removes it afterwards. `doing` is what others are told is going on.
    ///
    /// # Errors
    /// `Write` when another process holds it, naming that process.
    pub fn take(path: &Path, passing: bool, doing: &str) -> Result<Self> {
        let fail = |e| Error::writing(path, e);
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(fail)?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
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
        file.set_len(0).map_err(fail)?;
        file.rewind().map_err(fail)?;
        writeln!(file, "{}", std::process::id()).map_err(fail)?;
        Ok(Self { _file: file, path: path.to_owned(), passing })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.passing {
            // Still held here: whoever opened it meanwhile fails to lock it; whoever locks it later looks at what was written first.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Kills this very process at the named point when `IE_FAILPOINT=NAME[:N]` asks for it (at its N-th passing): for tests of
/// interrupted runs.
pub fn failpoint(name: &str) {
    use std::sync::atomic::{AtomicU64, Ordering};
    static PASSED: AtomicU64 = AtomicU64::new(0);
    let Ok(wanted) = std::env::var("IE_FAILPOINT") else { return };
    let (point, n) = wanted.split_once(':').map_or((wanted.as_str(), 1), |(p, n)| (p, n.parse().unwrap_or(1)));
    if point == name && PASSED.fetch_add(1, Ordering::Relaxed) + 1 == n {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write_atomically(&path, &[b"one"]).unwrap();
        write_atomically(&path, &[b"tw", b"o"]).unwrap();
        link_atomically(&path, &folder.path().join("b")).unwrap();
        link_atomically(&path, &folder.path().join("b")).unwrap();
        assert_eq!(fs::read(folder.path().join("b")).unwrap(), b"two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_missing_folder_is_a_write_error_naming_the_path() {
        let error = write_atomically(Path::new("/nonexistent/x"), &[b""]).unwrap_err();
        assert!(error.exit_code() == 73 && error.to_string().contains("/nonexistent/x"), "{error}");
    }
}
