//! Opening what others wrote: files and nothing else, and as many at a time as a data set of many shards needs.

use crate::error::{Error, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs::{File, Metadata, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Opens the file `path`. A pipe or a device is refused, and its other end is not waited for.
///
/// # Errors
/// `Data`.
pub fn open_file(path: &Path) -> Result<(File, Metadata)> {
    let fail = |e| Error::reading(path, e);
    // Means nothing to a file. Without it opening a named pipe waits for somebody to write.
    let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(fail)?;
    let metadata = file.metadata().map_err(fail)?;
    if !metadata.is_file() {
        return Err(Error::data("not a file").at(path.display().to_string()));
    }
    Ok((file, metadata))
}

/// All of the file `path`, of at most `most` bytes.
///
/// # Errors
/// `Data`: not a file, unreadable, or larger, which is seen before memory is taken.
pub fn read_file(path: &Path, most: u64) -> Result<Vec<u8>> {
    let (file, found) = open_file(path)?;
    let mut bytes = Vec::new();
    // Exactly, where memory that grows by doubling would take more; what cannot be had is an error of the reading.
    let _ = bytes.try_reserve_exact(found.len().min(most) as usize + 1);
    file.take(most + 1).read_to_end(&mut bytes).map_err(|e| Error::reading(path, e))?;
    if bytes.len() as u64 > most {
        return Err(Error::data(format!("more than {most} bytes")).at(path.display().to_string()).because("not the file it is taken for"));
    }
    Ok(bytes)
}

/// Asks for as many open files as this process may have: each shard stays open, and the usual limit is 1024.
pub fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }); // then it stays as it was
    }
}

/// How many files a process may have open; none for no limit.
pub fn most_open_files() -> Option<u64> {
    getrlimit(Resource::Nofile).maximum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_are_opened_and_nobody_is_waited_for() {
        let tmp = tempfile::tempdir().unwrap();
        let pipe = tmp.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
        for path in [pipe.as_path(), tmp.path(), Path::new("/dev/null")] {
            let error = open_file(path).unwrap_err();
            assert!(error.exit_code() == 65 && error.report().what == "not a file", "{}: {error}", path.display());
        }
        std::fs::write(tmp.path().join("file"), "four").unwrap();
        assert_eq!(open_file(&tmp.path().join("file")).unwrap().1.len(), 4);
        assert_eq!(read_file(&tmp.path().join("file"), 4).unwrap(), b"four");
        assert_eq!(read_file(&tmp.path().join("file"), 3).unwrap_err().report().what, "more than 3 bytes");
    }
}
