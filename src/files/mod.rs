//! Files that appear whole or not at all: written under a temporary name in the same folder, flushed to the disk, then renamed.
//!
//! The order is write, fsync(file), rename without replacing, fsync(folder): after a power cut there is either no file of the final
//! name or the whole one. A process killed on the way leaves only a [`temporary`] file, which the next run of the same job removes. Shards,
//! manifests and checkpoints all come about here; every call goes through [`calls`], where tests fail it or work out a power cut.

pub mod calls;
mod failpoint;
mod folder;
mod live;
mod lock;
mod opened;
mod output;
mod temporary;

pub use failpoint::{POINTS, failpoint};
pub use folder::Folder;
pub use live::{end_cleanly, forget_folder, made_for_passing_use};
pub use lock::{Lock, moved};
pub use opened::{most_open_files, open_file, raise_open_files, read_file};
pub use output::{Kind, check_output, is_straight, write_output};
pub use temporary::{remove_left_of, remove_temporaries};

use crate::error::{Error, Result};
use std::ffi::OsString;
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file under construction. Dropped without [`NewFile::publish`], it is removed.
#[derive(Debug)]
pub struct NewFile {
    file: File,
    folder: Arc<Folder>,
    /// Its name in the folder; none once it has its final one.
    unnamed: Option<OsString>,
    /// For messages, and for those who watch the calls.
    temporary: PathBuf,
    target: PathBuf,
    replace: bool,
    /// Bytes that it will have, as far as is known: for what is told when the disk is full.
    expected: u64,
}

impl NewFile {
    /// Starts `dir/name` of about `expected` bytes (0: not known). With `replace` an older file of the name is replaced at the end.
    ///
    /// # Errors
    /// `Write` when the file cannot be created.
    pub fn create(dir: &Path, name: &str, replace: bool, expected: u64) -> Result<Self> {
        let folder = Folder::open(dir).map_err(|e| refused(&dir.join(name), expected, 0, e))?;
        Self::create_in(&folder, name, replace, expected)
    }

    /// As [`NewFile::create`], in a folder that is held.
    ///
    /// # Errors
    /// As there.
    pub fn create_in(folder: &Folder, name: &str, replace: bool, expected: u64) -> Result<Self> {
        let target = folder.path().join(name);
        let fail = |e| refused(&target, expected, 0, e);
        let folder = Arc::new(folder.again().map_err(fail)?);
        let (file, unnamed) = live::noted(&folder, || temporary::create(&folder, name)).map_err(fail)?;
        failpoint("temp-created");
        Ok(Self { file, temporary: folder.path().join(&unnamed), folder, unnamed: Some(unnamed), target, replace, expected })
    }

    pub fn file(&self) -> &File {
        &self.file
    }

    fn fail(&self, e: std::io::Error) -> Error {
        let held = self.file.metadata().map_or(0, |m| m.blocks() * 512);
        refused(&self.target, self.expected, held, e)
    }

    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// `Write`, naming the file; when the disk is full, the bytes needed and free.
    pub fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        calls::write_all_at(&self.file, &self.temporary, bytes, offset).map_err(|e| self.fail(e))
    }

    /// Makes it `len` bytes long; what is new is zeros.
    ///
    /// # Errors
    /// As [`NewFile::write_at`].
    pub fn set_len(&self, len: u64) -> Result<()> {
        calls::set_len(&self.file, &self.temporary, len).map_err(|e| self.fail(e))
    }

    /// Makes the file durable and gives it its name.
    ///
    /// # Errors
    /// `Write` when that fails or a file of the name is there already.
    pub fn publish(mut self) -> Result<()> {
        failpoint("before-fsync");
        calls::sync(&self.file, &self.temporary).map_err(|e| self.fail(e))?;
        failpoint("after-fsync");
        self.name_it()?;
        failpoint("after-rename");
        self.folder.sync().map_err(|e| refused(folder_of(&self.target), 0, 0, e))?;
        failpoint("after-dir-fsync");
        Ok(())
    }

    /// Gives the file its name without flushing it: for one of very many, flushed together afterwards by [`flush_all`].
    ///
    /// # Errors
    /// As [`NewFile::publish`].
    pub fn publish_unflushed(mut self) -> Result<()> {
        self.name_it()
    }

    fn name_it(&mut self) -> Result<()> {
        let name = self.unnamed.as_deref().unwrap_or_default();
        self.folder.rename(name, self.target.file_name().unwrap_or_default(), self.replace).map_err(|e| match e.kind() {
            ErrorKind::AlreadyExists => Error::write("refusing to overwrite").at(self.target.display().to_string()),
            _ => self.fail(e),
        })?;
        if let Some(name) = self.unnamed.take() {
            live::forget(&name, &self.folder);
        }
        Ok(())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if let Some(name) = &self.unnamed {
            let _ = self.folder.unlink(name);
            live::forget(name, &self.folder);
        }
    }
}

/// Writing `target` failed; `held` is what it already takes and gives back when it is removed.
fn refused(target: &Path, expected: u64, held: u64, e: std::io::Error) -> Error {
    if !matches!(e.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::WriteZero) {
        return Error::writing(target, e);
    }
    if e.kind() == ErrorKind::StorageFull && rustix::fs::statvfs(folder_of(target)).is_ok_and(|s| s.f_files > 0 && s.f_favail == 0) {
        return Error::writing(target, e)
            .because("the file system has no inodes left: no file can be added, though bytes may be free")
            .next("remove files there (df -i shows the count), or write to another place; then run the same command again");
    }
    let cause = if e.kind() == ErrorKind::QuotaExceeded { "the disk quota is used up" } else { "the disk is full" };
    let need = if expected > 0 { format!(": this file needs {expected} bytes") } else { String::new() };
    let free = free_bytes(folder_of(target)).map_or_else(String::new, |free| format!(", {} bytes are free there", free + held));
    Error::writing(target, e)
        .because(format!("{cause}{need}{free}"))
        .next("make room there, or write to another place; then run the same command again")
}

/// Bytes that are free on the file system of `dir`; none where it does not say (ramfs counts no blocks at all).
pub fn free_bytes(dir: &Path) -> Option<u64> {
    rustix::fs::statvfs(dir).ok().filter(|s| s.f_blocks > 0).map(|s| s.f_bavail.saturating_mul(s.f_frsize))
}

/// Flushes everything that was written to the file system of `dir`.
///
/// # Errors
/// `Write`.
pub fn flush_all(dir: &Path) -> Result<()> {
    let synced = File::open(calls::named(dir)).and_then(|at| rustix::fs::syncfs(&at).map_err(Into::into));
    synced.map_err(|e| refused(dir, 0, 0, e))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Flushes a folder's list of names.
fn sync_dir(dir: &Path) -> Result<()> {
    calls::sync_dir(dir).map_err(|e| refused(dir, 0, 0, e))
}

/// Makes a folder and those above it, durably.
///
/// # Errors
/// `Write`.
pub fn make_dirs(dir: &Path) -> Result<()> {
    if dir.as_os_str().is_empty() || dir.is_dir() {
        return Ok(());
    }
    make_dirs(folder_of(dir))?;
    match calls::make_dir(dir) {
        Err(e) if e.kind() == ErrorKind::AlreadyExists && dir.is_dir() => {} // another process was first
        other => other.map_err(|e| refused(dir, 0, 0, e))?,
    }
    sync_dir(folder_of(dir))
}

/// Renames `from`, replacing what bears the name `to`.
///
/// # Errors
/// `Write`.
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    calls::rename(from, to).map_err(|e| refused(from, 0, 0, e))?;
    sync_dir(folder_of(to))
}

/// Removes a file.
///
/// # Errors
/// `Write`; a file that is not there is none.
pub fn remove(path: &Path) -> Result<()> {
    match calls::remove(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(refused(path, 0, 0, e)),
        _ => Ok(()),
    }
}

/// Removes a folder if it is empty.
pub fn remove_empty(dir: &Path) {
    let _ = calls::remove_dir(dir); // one that holds anything stays
}

/// A file for passing use, which has no name any more: it ends with the process, however that ends.
///
/// # Errors
/// `Write`.
pub fn nameless(dir: &Path) -> Result<File> {
    let fail = |e| refused(dir, 0, 0, e);
    let folder = Folder::open(dir).map_err(fail)?;
    let (file, name) = temporary::create(&folder, "scratch").map_err(fail)?;
    folder.unlink(&name).map_err(fail)?;
    Ok(file)
}

/// Writes `bytes` as `dir/name`, whole or not at all.
///
/// # Errors
/// As [`NewFile`].
pub fn write_whole(dir: &Path, name: &str, bytes: &[u8], replace: bool) -> Result<()> {
    let new = NewFile::create(dir, name, replace, bytes.len() as u64)?;
    new.write_at(bytes, 0)?;
    new.publish()
}

/// Writes `parts`, one after the other, to `path`, replacing what was there in one step.
///
/// # Errors
/// As [`NewFile`].
pub fn write_atomically(path: &Path, parts: &[&[u8]]) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Folder::open(folder_of(path)).map_err(|e| refused(path, 0, 0, e))?.write(&name, parts, true)
}

/// Writes `bytes` at the end of a file of [`Folder::log`] that holds `len` bytes.
///
/// # Errors
/// `Write`.
pub fn append(file: &File, path: &Path, bytes: &[u8], len: u64) -> Result<()> {
    calls::write_all_at(file, path, bytes, len).map_err(|e| refused(path, 0, 0, e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn replaces_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write_atomically(&path, &[b"one"]).unwrap();
        write_atomically(&path, &[b"tw", b"o"]).unwrap();
        let held = Folder::hold(folder.path()).unwrap();
        held.link_over(&held, "a".as_ref(), "b").unwrap();
        held.link_over(&held, "a".as_ref(), "b").unwrap();
        assert_eq!(fs::read(folder.path().join("b")).unwrap(), b"two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn two_writers_of_one_path_leave_one_whole_file() {
        let folder = tempfile::tempdir().unwrap();
        let first = NewFile::create(folder.path(), "a", true, 0).unwrap();
        let second = NewFile::create(folder.path(), "a", true, 0).unwrap();
        first.write_at(b"first of all", 0).unwrap();
        second.write_at(b"second", 0).unwrap();
        drop(second);
        first.publish().unwrap();
        assert_eq!(fs::read(folder.path().join("a")).unwrap(), b"first of all");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_swapped_for_a_link_leads_nowhere() {
        let tmp = tempfile::tempdir().unwrap();
        let [dir, moved, other] = ["dir", "moved", "other"].map(|n| tmp.path().join(n));
        fs::create_dir(&dir).unwrap();
        fs::create_dir(&other).unwrap();
        fs::write(other.join("a"), "precious").unwrap();
        let swap = |temporary: &Path| {
            fs::rename(&dir, &moved).unwrap();
            std::os::unix::fs::symlink(&other, &dir).unwrap();
            fs::write(other.join(temporary.file_name().unwrap()), "planted").unwrap();
        };
        let new = NewFile::create(&dir, "a", true, 0).unwrap();
        swap(&new.temporary.clone());
        new.write_at(b"ours", 0).unwrap();
        new.publish().unwrap();
        assert_eq!(fs::read(moved.join("a")).unwrap(), b"ours");
        assert_eq!(fs::read(other.join("a")).unwrap(), b"precious");
        // Nor does giving up remove what lies there.
        fs::remove_file(&dir).unwrap();
        fs::rename(&moved, &dir).unwrap();
        let new = NewFile::create(&dir, "b", true, 0).unwrap();
        let planted = other.join(new.temporary.file_name().unwrap());
        swap(&new.temporary.clone());
        drop(new);
        assert_eq!(fs::read(planted).unwrap(), b"planted");
        assert_eq!(fs::read_dir(&moved).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_folder_is_a_write_error_naming_the_path() {
        let error = write_atomically(Path::new("/nonexistent/x"), &[b""]).unwrap_err();
        assert!(error.exit_code() == 73 && error.to_string().contains("/nonexistent/x"), "{error}");
    }
}
