//! The images that `predict` is given: files, folders with all images below them, and paths on standard input.

use crate::data::source::is_picture;
use crate::error::{Error, Result};
use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};

/// Bytes of a path on standard input; longer than any system takes.
const MOST_PATH: u64 = 1 << 16;

/// What `predict` is given, folders already looked into.
#[derive(Debug)]
pub struct Images(Vec<Given>);

#[derive(Debug)]
enum Given {
    One(PathBuf),
    /// The lines of standard input, each taken when its turn comes: whoever writes them may wait for the answer to one before the next.
    Listed,
}

impl Images {
    /// Paths of single images: a folder gives every image below it, in the order of their names; `-` the lines of standard input.
    ///
    /// # Errors
    /// `Data` for a folder without images or one that cannot be read.
    pub fn of(given: &[PathBuf]) -> Result<Self> {
        let mut images = Vec::new();
        for path in given {
            if path == Path::new("-") {
                images.push(Given::Listed);
            } else if path.is_dir() {
                let mut found = Vec::new();
                below(path, 0, &mut found)?;
                if found.is_empty() {
                    return Err(Error::data("no images in this folder").at(path.display().to_string()));
                }
                images.extend(found.into_iter().map(Given::One));
            } else {
                images.push(Given::One(path.clone()));
            }
        }
        Ok(Self(images))
    }

    /// Whether it is a single image, by its name.
    pub fn one(&self) -> bool {
        matches!(self.0.as_slice(), [Given::One(_)])
    }

    /// All paths in order; an error ends them. Standard input that lists nothing is one.
    pub fn each(&self) -> impl Iterator<Item = Result<PathBuf>> + '_ {
        self.0.iter().flat_map(|given| match given {
            Given::One(path) => Box::new(std::iter::once(Ok(path.clone()))) as Box<dyn Iterator<Item = Result<PathBuf>>>,
            Given::Listed => Box::new(listed(std::io::stdin().lock())),
        })
    }
}

/// One path a line; empty lines are left out.
fn listed(mut input: impl BufRead) -> impl Iterator<Item = Result<PathBuf>> {
    let (mut number, mut found) = (0u64, false);
    std::iter::from_fn(move || {
        loop {
            let mut line = Vec::new();
            let read = input.by_ref().take(MOST_PATH).read_until(b'\n', &mut line);
            number += 1;
            match read {
                Err(e) => return Some(Err(Error::reading(Path::new("standard input"), e))),
                Ok(0) if found => return None,
                Ok(0) => {
                    found = true;
                    let next = "find DIR -name '*.JPEG' | imagenet-engine predict --weights FILE -";
                    return Some(Err(Error::data("no paths on standard input").next(next)));
                }
                Ok(bytes) if bytes as u64 == MOST_PATH => {
                    let what = format!("a path of more than {MOST_PATH} bytes");
                    return Some(Err(Error::data(what).at(format!("standard input, line {number}"))));
                }
                Ok(_) => {}
            }
            let line = line.trim_ascii_end();
            if !line.is_empty() {
                found = true;
                return Some(Ok(path_of(line)));
            }
        }
    })
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
        let found: Vec<PathBuf> = Images::of(&[folder.path().to_owned(), "x.png".into()]).unwrap().each().map(Result::unwrap).collect();
        let names: Vec<String> = found.iter().map(|p| p.strip_prefix(folder.path()).unwrap_or(p).display().to_string()).collect();
        assert_eq!(names, ["a.jpg", "b/1.JPEG", "b/2.png", "c/deep/3.webp", "x.png"]);
        let all = |text: &'static [u8]| listed(text).collect::<Result<Vec<PathBuf>>>();
        assert_eq!(all(b"a.png\r\n\n b c.png\n").unwrap(), ["a.png", " b c.png"].map(PathBuf::from));
        assert_eq!(all(b"\n").unwrap_err().exit_code(), 65);
        assert!(listed(&vec![b'x'; 70_000][..]).next().unwrap().unwrap_err().to_string().contains("line 1"));
    }
}
