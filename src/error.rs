//! Errors as part of the interface: what went wrong, where, the likely cause, and the next command to try.
//!
//! One enum, grouped by what the caller can do about it; the group decides the exit code of the program.
//! Build one with the group's constructor and chain the details:
//!
//! ```
//! use imagenet_engine::error::Error;
//! let e = Error::data("crc32c 1a2b3c4d, expected 9f8e7d6c")
//!     .at("train-00000-of-00001.ies, record 3, byte 4096")
//!     .because("the file changed after packing (disk or copy error)")
//!     .next("imagenet-engine verify --full DIR");
//! assert_eq!(e.exit_code(), 65);
//! ```

use std::fmt;
use std::path::Path;

pub type Result<T> = std::result::Result<T, Error>;

/// What, where, likely cause, next command; and the error underneath, if any.
#[derive(Debug, Default)]
pub struct Report {
    pub what: String,
    pub place: Option<String>,
    pub cause: Option<String>,
    pub next: Option<String>,
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Every failure of the library, grouped by exit code.
#[derive(Debug)]
pub enum Error {
    /// Wrong flags, settings that contradict each other, shapes that do not fit (2).
    Usage(Box<Report>),
    /// Unreadable or damaged input: pictures, shards, checkpoints, weights (65).
    Data(Box<Report>),
    /// A bug of ours (70).
    Internal(Box<Report>),
    /// GPU, driver, or device memory (71).
    Device(Box<Report>),
    /// Output cannot be written: disk full, no permission, already there, locked (73).
    Write(Box<Report>),
    /// Loss or weights are not finite (76).
    NonFinite(Box<Report>),
}

macro_rules! constructors {
    ($($name:ident => $variant:ident),*) => {
        $(#[doc = concat!("A new `", stringify!($variant), "` error saying what went wrong.")]
        pub fn $name(what: impl Into<String>) -> Self {
            Self::$variant(Box::new(Report { what: what.into(), ..Report::default() }))
        })*
    };
}

impl Error {
    constructors!(usage => Usage, data => Data, internal => Internal, device => Device, write => Write, non_finite => NonFinite);

    /// Reading `path` failed.
    pub fn reading(path: &Path, source: std::io::Error) -> Self {
        let too_many_open = [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE].map(rustix::io::Errno::raw_os_error);
        if source.raw_os_error().is_some_and(|code| too_many_open.contains(&code)) {
            return Self::data("cannot read")
                .at(path.display().to_string())
                .because("too many files are open: each shard of a data set is one")
                .next("ulimit -n 65536 (or the limit of the service), or pack with larger --records-per-shard")
                .source(source);
        }
        let cause = match source.kind() {
            std::io::ErrorKind::NotFound => "no such file or folder",
            std::io::ErrorKind::PermissionDenied => "no permission to read it",
            _ => "the operating system refused",
        };
        Self::data("cannot read").at(path.display().to_string()).because(cause).source(source)
    }

    /// Writing `path` failed.
    pub fn writing(path: &Path, source: std::io::Error) -> Self {
        let cause = match source.kind() {
            std::io::ErrorKind::StorageFull => "the disk is full",
            std::io::ErrorKind::QuotaExceeded => "the disk quota is used up",
            std::io::ErrorKind::ReadOnlyFilesystem => "the file system is read-only",
            std::io::ErrorKind::NotFound => "no such folder",
            std::io::ErrorKind::PermissionDenied => "no permission to write there",
            std::io::ErrorKind::FileTooLarge => "larger than files may be here (ulimit -f, or the file system's own limit)",
            _ => "the operating system refused",
        };
        Self::write("cannot write").at(path.display().to_string()).because(cause).source(source)
    }

    /// Where: file and offset, op and shapes, kernel and grid.
    #[must_use]
    pub fn at(mut self, place: impl Into<String>) -> Self {
        self.report_mut().place = Some(place.into());
        self
    }

    /// The likely cause.
    #[must_use]
    pub fn because(mut self, cause: impl Into<String>) -> Self {
        self.report_mut().cause = Some(cause.into());
        self
    }

    /// The next command to try.
    #[must_use]
    pub fn next(mut self, command: impl Into<String>) -> Self {
        self.report_mut().next = Some(command.into());
        self
    }

    /// The error underneath.
    #[must_use]
    pub fn source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.report_mut().source = Some(source.into());
        self
    }

    pub fn report(&self) -> &Report {
        match self {
            Self::Usage(r) | Self::Data(r) | Self::Internal(r) | Self::Device(r) | Self::Write(r) | Self::NonFinite(r) => r,
        }
    }

    fn report_mut(&mut self) -> &mut Report {
        match self {
            Self::Usage(r) | Self::Data(r) | Self::Internal(r) | Self::Device(r) | Self::Write(r) | Self::NonFinite(r) => r,
        }
    }

    /// The exit code of the program for this group (sysexits.h where one fits).
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Data(_) => 65,
            Self::Internal(_) => 70,
            Self::Device(_) => 71,
            Self::Write(_) => 73,
            Self::NonFinite(_) => 76,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let r = self.report();
        // Names from files stand in these two; a line break in one must not look like a line of ours.
        write!(f, "{}", r.what.replace('\n', "\\n"))?;
        if let Some(place) = &r.place {
            write!(f, "\n  where: {}", place.replace('\n', "\\n"))?;
        }
        if let Some(cause) = &r.cause {
            write!(f, "\n  cause: {cause}")?;
        }
        let mut source = r.source.as_deref().map(|s| s as &dyn std::error::Error);
        while let Some(s) = source {
            write!(f, "\n  from:  {s}")?;
            source = s.source();
        }
        if let Some(next) = &r.next {
            write!(f, "\n  next:  {next}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.report().source.as_deref().map(|s| s as _)
    }
}
