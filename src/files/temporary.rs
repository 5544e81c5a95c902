//! Names of files under construction: `.NAME.ie-tmp-PPPPPPPP-NNNN`, by process and count, so that no two writers share one.
//!
//! A writer holds a lock on its file for as long as it lives. One that nobody holds was left by a killed process: [`remove_temporaries`]
//! removes those, and nothing that is not named like this.

use super::folder::Folder;
use crate::error::Result;
use rustix::fs::{FlockOperation, flock};
use std::ffi::OsString;
use std::fs::File;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicU32, Ordering};

const MARK: &str = ".ie-tmp-";
/// A file of a living process that is not locked for so long was left by one that had its number.
const AGE: std::time::Duration = std::time::Duration::from_secs(10);
/// Characters of a name that are kept, of 4 bytes at most: names of 255 bytes are the longest that file systems allow.
const MOST_NAME: usize = 56;

/// A name that no other writer uses for `name`.
pub(super) fn unused(name: &str) -> OsString {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name: String = name.chars().take(MOST_NAME).collect();
    format!(".{name}{MARK}{:08x}-{:04x}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)).into()
}

/// A new, locked file in `folder` for `name`, and its name there.
pub(super) fn create(folder: &Folder, name: &str) -> std::io::Result<(File, OsString)> {
    loop {
        let unused = unused(name);
        match folder.create(&unused) {
            Ok(file) => {
                let _ = flock(&file, FlockOperation::NonBlockingLockExclusive); // without locks here, the name alone tells writers apart
                return Ok((file, unused));
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
fn held(file: &File) -> bool {
    flock(file, FlockOperation::NonBlockingLockExclusive) == Err(rustix::io::Errno::WOULDBLOCK)
}

/// Removes the temporary files that killed processes left in `folder`.
///
/// # Errors
/// `Write` when one cannot be removed.
pub fn remove_temporaries(folder: &Folder) -> Result<()> {
    for name in folder.names()? {
        if ours(&name.to_string_lossy()) && folder.read(&name).is_ok_and(|file| file.metadata().is_ok_and(|m| m.is_file()) && !held(&file))
        {
            folder.remove(&name)?;
        }
    }
    Ok(())
}

/// Removes what a killed process left of writing `name` in `folder`, which may be anybody's: only what is surely nobody's. What cannot be
/// looked at or removed stays; it is in nobody's way.
pub fn remove_left_of(folder: &Folder, name: &str) {
    let begin: String = name.chars().take(MOST_NAME).collect();
    let begin = format!(".{begin}{MARK}");
    for found in folder.names().unwrap_or_default() {
        let text = found.to_string_lossy();
        let Some((process, _)) = text.strip_prefix(&begin).and_then(|tail| tail.split_once('-')).filter(|_| ours(&text)) else { continue };
        // Between making a file and locking it there is a moment.
        let alive = u32::from_str_radix(process, 16).is_ok_and(|pid| std::path::Path::new("/proc").join(pid.to_string()).exists());
        let old =
            |file: &File| file.metadata().is_ok_and(|m| m.is_file() && m.modified().is_ok_and(|t| t.elapsed().is_ok_and(|t| t >= AGE)));
        let nobodys = |file: File| (!alive || old(&file)) && flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
        if folder.read(&found).is_ok_and(|file| file.metadata().is_ok_and(|m| m.is_file()) && nobodys(file)) {
            let _ = folder.unlink(&found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn only_what_dead_processes_left_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let (dir, held) = (folder.path(), Folder::open(folder.path()).unwrap());
        let (file, live) = create(&held, "a").unwrap();
        let live = dir.join(live);
        let left = dir.join(".b.ie-tmp-0000002a-0001");
        let users = [".important.tmp-backup", ".x.ie-tmp-notes", "c.ie-tmp-0000002a-0001", ".d.ie-tmp-0000002a-0001z"];
        for path in users.map(|n| dir.join(n)).iter().chain([&left]) {
            fs::write(path, "x").unwrap();
        }
        remove_temporaries(&held).unwrap();
        assert!(live.exists() && !left.exists() && users.iter().all(|n| dir.join(n).exists()));
        drop(file);
        remove_temporaries(&held).unwrap();
        assert!(!live.exists());
    }

    #[test]
    fn what_was_left_of_one_name_is_removed_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let (dir, held) = (folder.path(), Folder::open(folder.path()).unwrap());
        let (_file, live) = create(&held, "a").unwrap();
        let (left, others) = (".a.ie-tmp-7fffffff-0001", [".b.ie-tmp-7fffffff-0001", ".a.ie-tmp-notes", "a"]);
        others.iter().chain([&left]).for_each(|name| fs::write(dir.join(name), "x").unwrap());
        remove_left_of(&held, "a");
        assert!(!dir.join(left).exists() && dir.join(live).exists() && others.iter().all(|name| dir.join(name).exists()));
    }

    #[test]
    fn links_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (victim, link) = (folder.path().join("victim"), folder.path().join("link"));
        fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, &link).unwrap();
        let held = Folder::open(folder.path()).unwrap();
        assert!(held.create_or_open("link".as_ref()).is_err() && held.create("link".as_ref()).is_err());
        assert_eq!(fs::read(&victim).unwrap(), b"precious");
    }
}
