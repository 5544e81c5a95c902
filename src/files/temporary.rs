//! Names of files under construction: `.NAME.ie-tmp-PPPPPPPP-NNNN`, by process and count, so that no two writers share one.
//!
//! A writer holds a lock on its file for as long as it lives. One that nobody holds was left by a killed process: [`remove_temporaries`]
//! removes those, and nothing that is not named like this.

use super::folder::Folder;
use crate::error::{Error, Result};
use rustix::fs::{FlockOperation, flock};
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

const MARK: &str = ".ie-tmp-";
/// Characters of a name that are kept, of 4 bytes at most: names of 255 bytes are the longest that file systems allow.
const MOST_NAME: usize = 56;

/// A name that no other writer uses for `name`.
pub(super) fn unused(name: &str) -> OsString {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name: String = name.chars().take(MOST_NAME).collect();
    format!(".{name}{MARK}{:08x}-{:04x}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)).into()
}

/// A new, locked file for `name`, the folder that it is in, and its name there.
pub(super) fn create(dir: &Path, name: &str) -> std::io::Result<(File, Folder, OsString)> {
    let folder = Folder::open(dir)?;
    loop {
        let unused = unused(name);
        match folder.create(&unused) {
            Ok(file) => {
                let _ = flock(&file, FlockOperation::NonBlockingLockExclusive); // without locks here, the name alone tells writers apart
                return Ok((file, folder, unused));
            }
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {} // left by a process that had our number
            Err(e) => return Err(e),
        }
    }
}

/// Whether a name is one of [`unused`].
fn ours(name: &str) -> bool {
    let hex = |s: &str, n: usize| s.len() >= n && s.bytes().all(|b| b.is_ascii_hexdigit());
    let tail = name.strip_prefix('.').and_then(|n| n.rsplit_once(MARK)).and_then(|(_, tail)| tail.split_once('-'));
    tail.is_some_and(|(process, count)| hex(process, 8) && hex(count, 4))
}

/// Whether some process still writes it.
fn held(path: &Path) -> bool {
    let flags = (rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK).bits() as i32;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path);
    file.is_ok_and(|file| flock(&file, FlockOperation::NonBlockingLockExclusive) == Err(rustix::io::Errno::WOULDBLOCK))
}

/// Removes the temporary files that killed processes left in `dir`.
///
/// # Errors
/// `Write` when one cannot be removed.
pub fn remove_temporaries(dir: &Path) -> Result<()> {
    for entry in fs::read_dir(dir).map_err(|e| Error::reading(dir, e))? {
        let entry = entry.map_err(|e| Error::reading(dir, e))?;
        let path = entry.path();
        if ours(&entry.file_name().to_string_lossy()) && entry.file_type().is_ok_and(|t| !t.is_dir()) && !held(&path) {
            super::remove(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::calls;
    use super::*;

    #[test]
    fn only_what_dead_processes_left_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path();
        let (file, _, live) = create(dir, "a").unwrap();
        let live = dir.join(live);
        let left = dir.join(".b.ie-tmp-0000002a-0001");
        let users = [".important.tmp-backup", ".x.ie-tmp-notes", "c.ie-tmp-0000002a-0001", ".d.ie-tmp-0000002a-0001z"];
        for path in users.map(|n| dir.join(n)).iter().chain([&left]) {
            fs::write(path, "x").unwrap();
        }
        remove_temporaries(dir).unwrap();
        assert!(live.exists() && !left.exists() && users.iter().all(|n| dir.join(n).exists()));
        drop(file);
        remove_temporaries(dir).unwrap();
        assert!(!live.exists());
    }

    #[test]
    fn links_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (victim, link) = (folder.path().join("victim"), folder.path().join("link"));
        fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, &link).unwrap();
        assert!(calls::create(&link).is_err() && Folder::open(folder.path()).unwrap().create("link".as_ref()).is_err());
        assert_eq!(fs::read(&victim).unwrap(), b"precious");
    }
}
