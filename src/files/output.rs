//! Files that a user names to hold a result: a plot, a table, exported weights.
//!
//! The rule, for every command: reports (tables, JSON, plots) replace a file of the name, as scripts that run twice or use `mktemp` expect;
//! weights and images never do. What is no file (a device, a named pipe, `/dev/stdout`, `/dev/fd/N`) is written straight into. A file appears whole or not at all. A pipe that nobody reads is waited for, but not for ever.

use super::{Folder, NewFile, calls, folder_of, remove_left_of};
use crate::error::{Error, Result};
use rustix::fs::OFlags;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a named pipe may be without a reader.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Numbers about something, made again by the same command: replaces a file of its name.
    Report,
    /// Weights or images: replaces none.
    Result,
}

/// What a path to write to is.
enum Place {
    /// A new file, or one that is replaced.
    File,
    /// What the process has open under this number.
    Open(u32),
    Device,
    Pipe,
}

/// That `path` can be written: before the work whose result it is to hold.
///
/// # Errors
/// `Write` when the name is that of a file that is not replaced, of a link or of a folder, or the folder that it is to be in is not there.
pub fn check_output(path: &Path, kind: Kind) -> Result<()> {
    let fail = |e| Error::writing(path, e);
    match place(path, kind)? {
        Place::File => Folder::open(folder_of(path)).map(drop).map_err(fail),
        Place::Open(_) => fs::metadata(path).map(drop).map_err(|e| fail(e).because("nothing is open under this number")),
        Place::Device | Place::Pipe => Ok(()),
    }
}

/// Writes what a user asked for to `path`, as `content` makes it. A reader that goes away is no failure.
///
/// # Errors
/// `Write`, as [`check_output`], and when the disk takes no more.
pub fn write_output(path: &Path, kind: Kind, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let open = |flags: OFlags| -> Result<Box<dyn Write>> {
        let opened = OpenOptions::new().write(true).custom_flags(flags.bits() as i32).open(path);
        opened.map(|file| Box::new(file) as Box<dyn Write>).map_err(|e| Error::writing(path, e))
    };
    let straight: Box<dyn Write> = match place(path, kind)? {
        Place::Open(1) => Box::new(io::stdout().lock()),
        Place::Open(2) => Box::new(io::stderr().lock()),
        // How far others have written is not ours to know: behind what is there.
        Place::Open(_) => open(OFlags::APPEND)?,
        Place::Device => open(OFlags::NOCTTY)?,
        Place::Pipe => Box::new(open_pipe(path)?),
        Place::File => {
            // What a link leads to is replaced, and the link stays.
            let target = if path.is_symlink() { fs::canonicalize(path).map_err(|e| Error::writing(path, e))? } else { path.to_owned() };
            let path = target.as_path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let folder = Folder::hold(folder_of(path))?;
            remove_left_of(&folder, &name);
            let new = NewFile::create_in(&folder, &name, kind == Kind::Report, 0)?;
            let mut counted = Counted { new: &new, at: 0 };
            let mut buffered = BufWriter::with_capacity(1 << 16, &mut counted);
            content(&mut buffered).and_then(|()| buffered.flush()).map_err(|e| new.fail(e))?;
            drop(buffered);
            return new.publish();
        }
    };
    let mut buffered = BufWriter::with_capacity(1 << 16, straight);
    let written = content(&mut buffered).and_then(|()| buffered.flush());
    written.or_else(|e| if e.kind() == ErrorKind::BrokenPipe { Ok(()) } else { Err(Error::writing(path, e)) })
}

/// Whether `path` names no file but what is written straight into.
pub fn is_straight(path: &Path) -> bool {
    matches!(place(path, Kind::Result), Ok(Place::Open(_) | Place::Device | Place::Pipe))
}

/// A file under construction as a stream; each call may be watched.
struct Counted<'a> {
    new: &'a NewFile,
    at: u64,
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        calls::write_all_at(&self.new.file, &self.new.temporary, bytes, self.at)?;
        self.at += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn place(path: &Path, kind: Kind) -> Result<Place> {
    let error = |what: &str| Error::write(what).at(path.display().to_string());
    if let Some(number) = descriptor(path) {
        return Ok(Place::Open(number));
    }
    if path.as_os_str().as_bytes().ends_with(b"/") || path.file_name().is_none() {
        return Err(error("a file's name is expected, and this is a folder's").next(format!("{}", path.join("NAME").display())));
    }
    let Ok(there) = fs::metadata(path) else {
        // A link that leads nowhere bears the name too.
        return if fs::symlink_metadata(path).is_ok() { Err(exists(path, "a link that leads nowhere")) } else { Ok(Place::File) };
    };
    let found = there.file_type();
    let linked = fs::symlink_metadata(path).is_ok_and(|m| m.is_symlink());
    match () {
        () if found.is_file() && kind == Kind::Report => Ok(Place::File),
        () if found.is_file() && linked => Err(exists(path, "a link to a file")),
        () if found.is_file() => Err(exists(path, "a file")),
        () if found.is_dir() => Err(error("this is a folder").next(format!("{}", path.join("NAME").display()))),
        () if found.is_fifo() => Ok(Place::Pipe),
        () if found.is_socket() => Err(error("this is a socket, which cannot be opened to be written")),
        () => Ok(Place::Device),
    }
}

fn exists(path: &Path, what: &str) -> Error {
    Error::write("the output file exists: refusing to overwrite")
        .at(path.display().to_string())
        .because(format!("{what} bears the name, and is not replaced"))
        .next("another name, or remove it first")
}

/// The number in `/dev/stdout`, `/dev/stderr`, `/dev/fd/N` and `/proc/self/fd/N`: these name what the process has open, and opening a file
/// by them anew would write over what others wrote into it.
fn descriptor(path: &Path) -> Option<u32> {
    match path.to_str()? {
        "/dev/stdout" => Some(1),
        "/dev/stderr" => Some(2),
        text => text.strip_prefix("/dev/fd/").or_else(|| text.strip_prefix("/proc/self/fd/"))?.parse().ok(),
    }
}

/// Opens a named pipe once somebody reads it; the opening itself would wait for ever.
fn open_pipe(path: &Path) -> Result<File> {
    let began = Instant::now();
    loop {
        match OpenOptions::new().write(true).custom_flags(OFlags::NONBLOCK.bits() as i32).open(path) {
            Ok(pipe) => {
                let blocking = rustix::fs::fcntl_setfl(&pipe, OFlags::empty());
                return blocking.map(|()| pipe).map_err(|e| Error::writing(path, e.into()));
            }
            Err(e) if e.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error()) => {}
            Err(e) => return Err(Error::writing(path, e)),
        }
        if began.elapsed() > PATIENCE {
            return Err(Error::write(format!("nobody read this pipe for {} seconds", PATIENCE.as_secs()))
                .at(path.display().to_string())
                .next("start the reader first (cat PIPE), or name a file"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
