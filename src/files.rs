//! Files that are either there and whole or not there: write beside, fsync, rename, fsync the folder.

use crate::error::{Error, Result};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Writes `parts`, one after the other, to `path`, replacing what was there in one step.
///
/// A crash leaves the old file or the new one, never a mixture; at worst a hidden temporary file stays behind, which the next write
/// to the same path replaces.
///
/// # Errors
/// `Write`; the temporary file is removed.
pub fn write_atomically(path: &Path, parts: &[&[u8]]) -> Result<()> {
    let temporary = temporary_beside(path);
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&temporary)?;
        for part in parts {
            file.write_all(part)?;
        }
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        sync_folder_of(path)
    };
    write().map_err(|e| {
        let _ = fs::remove_file(&temporary);
        let needed: usize = parts.iter().map(|p| p.len()).sum();
        Error::writing(path, e).next(format!("free space for {needed} bytes there, or choose another --output"))
    })
}

/// Makes `link` another name of `file`, replacing what was there in one step; copies where the file system has no links.
///
/// # Errors
/// `Write`.
pub fn link_atomically(file: &Path, link: &Path) -> Result<()> {
    let temporary = temporary_beside(link);
    let _ = fs::remove_file(&temporary);
    fs::hard_link(file, &temporary)
        .or_else(|_| fs::copy(file, &temporary).map(drop))
        .and_then(|()| fs::rename(&temporary, link))
        .and_then(|()| {
            let _ = fs::remove_file(&temporary); // rename does nothing when both names already are the same file
            sync_folder_of(link)
        })
        .map_err(|e| Error::writing(link, e))
}

fn temporary_beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.tmp"))
}

fn sync_folder_of(path: &Path) -> std::io::Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
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
