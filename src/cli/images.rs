//! The images that `predict` is given: files, folders with all images below them, and paths on standard input.

use crate::data::source::is_picture;
use crate::error::{Error, Result};
use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};

/// Bytes of a path on standard input; longer than any system takes.
const MOST_PATH: u64 = 1 << 16;

/// Paths of single images: a folder gives every image below it, in the order of their names; `-` the lines of standard input.
///
/// # Errors
/// `Data` for a folder without images or one that cannot be read, and for standard input that is no list of paths.
pub fn expand(given: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut images = Vec::new();
    for path in given {
        if path == Path::new("-") {
            images.append(&mut listed(std::io::stdin().lock())?);
        } else if path.is_dir() {
            let before = images.len();
            below(path, 0, &mut images)?;
            if images.len() == before {
                return Err(Error::data("no images in this folder").at(path.display().to_string()));
            }
        } else {
            images.push(path.clone());
        }
    }
    Ok(images)
}

/// One path a line; empty lines are left out.
fn listed(mut input: impl BufRead) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for number in 1.. {
        let mut line = Vec::new();
        let read = input.by_ref().take(MOST_PATH).read_until(b'\n', &mut line);
        let bytes = read.map_err(|e| Error::reading(Path::new("standard input"), e))?;
        if bytes == 0 {
            break;
        }
        if bytes as u64 == MOST_PATH {
            return Err(Error::data(format!("a path of more than {MOST_PATH} bytes")).at(format!("standard input, line {number}")));
        }
        let line = line.trim_ascii_end();
        if !line.is_empty() {
            paths.push(path_of(line));
        }
    }
    if paths.is_empty() {
        return Err(Error::data("no paths on standard input").next("find DIR -name '*.JPEG' | imagenet-engine predict --weights FILE -"));
    }
    Ok(paths)
}

#[cfg(unix)]
fn path_of(bytes: &[u8]) -> PathBuf {
    PathBuf::from(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(bytes))
}

#[cfg(not(unix))]
fn path_of(bytes: &[u8]) -> PathBuf {
    PathBuf::from(String::from_utf8_lossy(bytes).into_owned())
}

/// `depth` ends what a link to a folder above would make endless.
fn below(folder: &Path, depth: u32, images: &mut Vec<PathBuf>) -> Result<()> {
    if depth > 32 {
        return Err(Error::data("folders within folders without end").at(folder.display().to_string()).because("a link to a folder above"));
    }
    let entries = std::fs::read_dir(folder).map_err(|e| Error::reading(folder, e))?;
    let mut entries = entries.map(|e| e.map(|e| e.path())).collect::<std::io::Result<Vec<_>>>().map_err(|e| Error::reading(folder, e))?;
    entries.sort();
    for path in entries {
        if path.is_dir() {
            below(&path, depth + 1, images)?;
        } else if path.is_file() && is_picture(&path.to_string_lossy()) {
            images.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_and_lists_become_files_in_order() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b/2.png", "b/1.JPEG", "a.jpg", "notes.txt", "c/deep/3.webp"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, b"").unwrap();
        }
        let found = expand(&[folder.path().to_owned(), "x.png".into()]).unwrap();
        let names: Vec<String> = found.iter().map(|p| p.strip_prefix(folder.path()).unwrap_or(p).display().to_string()).collect();
        assert_eq!(names, ["a.jpg", "b/1.JPEG", "b/2.png", "c/deep/3.webp", "x.png"]);
        assert_eq!(listed(&b"a.png\r\n\n b c.png\n"[..]).unwrap(), ["a.png", " b c.png"].map(PathBuf::from));
        assert_eq!(listed(&b"\n"[..]).unwrap_err().exit_code(), 65);
        assert!(listed(&vec![b'x'; 70_000][..]).unwrap_err().to_string().contains("line 1"));
    }
}
