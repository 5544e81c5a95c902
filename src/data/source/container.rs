//! Archives of images, whichever container they come in: their members by name, and where the bytes of each lie.
//!
//! The container is told by its first bytes, not by its name. Tars and zips are read where they lie; what compresses a whole archive
//! (`.tar.gz`, `.7z`, `.rar`) has to be unpacked before, and the error says by which command.

use super::span::Span;
use super::tar::Tar;
use super::tar_header::{BLOCK, Header};
use super::zip::{self, Zip};
use super::{Place, is_picture};
use crate::error::{Error, Result};
use crate::text::escaped;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

pub enum Archive {
    Tar(Tar),
    Zip(Zip),
}

/// A regular file (or what bears its name) within an archive, or a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Cleaned: without `./`, parts joined by `/`.
    pub name: String,
    pub stored: Stored,
    /// Bytes of its content.
    pub len: u64,
    /// Why its bytes cannot be used.
    pub trouble: Option<String>,
    /// In a tar, the byte of zeros before it which did not end the archive.
    pub after_zeros: Option<u64>,
    /// It is a folder, and has a name only.
    pub folder: bool,
    /// Its name leads out of the archive or is no text: it has no place among the others.
    pub outside: bool,
    /// The member of this name, which it is a link to.
    pub link: Option<String>,
}

/// How the content of a member lies in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// As it is, from this byte of the file.
    Plain { offset: u64 },
    /// In a zip: the byte of its local header, its stored length, its CRC-32.
    Zip { offset: u64, packed: u32, crc: u32, deflated: bool },
}

impl Member {
    /// Where to read it from, given the index of its archive.
    pub fn place(&self, archive: u32) -> Place {
        match self.stored {
            Stored::Plain { offset } => Place::Range { archive, offset, len: self.len },
            Stored::Zip { offset, packed, crc, deflated } => {
                let len = u32::try_from(self.len).unwrap_or(u32::MAX); // longer ones have a trouble
                Place::Zip { archive, offset, packed, len, crc, deflated }
            }
        }
    }

    /// Whether it is an archive, by its name.
    pub fn is_archive(&self) -> bool {
        is_archive(&self.name)
    }
}

/// Names that archives have, read or not.
const ARCHIVES: [&str; 13] =
    [".tar", ".zip", ".tgz", ".tar.gz", ".tbz", ".tar.bz2", ".txz", ".tar.xz", ".tar.zst", ".7z", ".rar", ".tar.lz4", ".tbz2"];

pub fn is_archive(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ARCHIVES.iter().any(|end| name.ends_with(end))
}

/// Whether a file is called as an archive is that can be read where it lies.
pub fn is_archive_in_place(path: &Path) -> bool {
    path.extension().is_some_and(|e| ["tar", "zip"].iter().any(|x| e.eq_ignore_ascii_case(x)))
}

/// The archive of which a file is a piece, by their names: `x.zip.001`, `x.tar.aa`, `x.tar.part1`, as `split` and 7-Zip cut them.
pub fn piece_of(name: &str) -> Option<&str> {
    let (whole, end) = name.rsplit_once('.')?;
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    let letters = end.len() <= 3 && end.starts_with('a') && end.bytes().all(|b| b.is_ascii_lowercase()) && end.len() > 1;
    let part = end.strip_prefix("part").is_some_and(digits);
    (part || letters || end.len() > 1 && digits(end)).then_some(whole).filter(|w| is_archive(w))
}

impl Archive {
    /// # Errors
    /// `Data` when the file cannot be opened or is no archive that can be read in place.
    pub fn open(path: &Path) -> Result<Self> {
        let span = Span::open(path)?;
        if let Some(whole) = path.to_str().and_then(piece_of) {
            return Err(Error::data("a piece of an archive that was cut into several files")
                .at(path.display().to_string())
                .because("by its name")
                .next(format!("cat '{whole}'.* > '{whole}', and give {whole}")));
        }
        let first = span.read(0, span.len().min(BLOCK as u64))?;
        if Header::read(&first).is_some() {
            return Ok(Self::Tar(Tar::new(span)));
        }
        let named_zip = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("zip"));
        if zip::begins(&first) {
            return Ok(Self::Zip(Zip::new(span)));
        }
        other(path, &first)?;
        Ok(if named_zip { Self::Zip(Zip::new(span)) } else { Self::Tar(Tar::new(span)) })
    }

    /// Calls `each` for every member that is no folder, in the order of the archive. Returns what a user should know.
    ///
    /// # Errors
    /// `Data`, naming file and byte, where the archive is damaged; those of `each`.
    pub fn members(&self, each: &mut dyn FnMut(Member) -> Result<()>) -> Result<Vec<String>> {
        self.members_and_folders(&mut |member| if member.folder { Ok(()) } else { each(member) })
    }

    /// As [`Archive::members`], with folders.
    ///
    /// # Errors
    /// As [`Archive::members`].
    pub fn members_and_folders(&self, each: &mut dyn FnMut(Member) -> Result<()>) -> Result<Vec<String>> {
        match self {
            Self::Tar(tar) => tar.members(each),
            Self::Zip(zip) => zip.members(each),
        }
    }

    /// File and byte of a member, for a message.
    pub fn place(&self, member: &Member) -> String {
        let (Stored::Plain { offset } | Stored::Zip { offset, .. }) = member.stored;
        format!("{}, byte {offset}", self.span().path().display())
    }

    fn span(&self) -> &Span {
        match self {
            Self::Tar(tar) => tar.span(),
            Self::Zip(zip) => zip.span(),
        }
    }

    pub fn path(&self) -> &Path {
        self.span().path()
    }

    /// The tar that is a member of this tar.
    ///
    /// # Errors
    /// `Data` in a zip: what is in it cannot be read in place.
    pub fn nested(&self, member: &Member) -> Result<Tar> {
        match (self, member.stored) {
            (Self::Tar(tar), Stored::Plain { offset }) => Ok(tar.nested(offset, member.len)),
            _ => Err(Error::data(format!("{} lies in a zip: archives in a zip are not read", member.name))),
        }
    }

    /// The content of a small member, such as a label.
    ///
    /// # Errors
    /// `Data` when it is larger than `most` bytes or cannot be read.
    pub fn content(&self, member: &Member, most: u64) -> Result<Vec<u8>> {
        let span = self.span();
        let fail = |what: String| Error::data(format!("{}: {what}", member.name)).at(self.place(member));
        if let Some(trouble) = &member.trouble {
            return Err(fail(trouble.clone()).next("unpack the archive and give the folder that it makes"));
        }
        if member.len > most {
            return Err(fail(format!("{} bytes are too many for what its name says", member.len)));
        }
        match member.stored {
            Stored::Plain { offset } => span.read(offset - span.in_file(0), member.len),
            Stored::Zip { offset, packed, crc, deflated } => {
                let mut bytes = Vec::new();
                let at = offset - span.in_file(0);
                let mut read = |at, into: &mut [u8]| span.fill(at, into).map_err(|e| e.to_string());
                zip::read(&mut read, at, packed, member.len as u32, crc, deflated, &mut bytes).map_err(fail)?;
                Ok(bytes)
            }
        }
    }
}

/// What the first bytes say that is neither tar nor zip: the name, and the command that makes something of it.
fn kind_of(first: &[u8]) -> Option<(&'static str, &'static str)> {
    let magics: [(&[u8], &str, &str); 11] = [
        (b"\x1f\x8b", "gzip", "gunzip -k"),
        (b"BZh", "bzip2", "bunzip2 -k"),
        (b"\xfd7zXZ\0", "xz", "unxz -k"),
        (b"\x28\xb5\x2f\xfd", "zstd", "unzstd"),
        (b"\x04\x22\x4d\x18", "lz4", "unlz4"),
        (b"LZIP", "lzip", "lzip -dk"),
        (b"\x1f\x9d", "compress", "uncompress"),
        (b"7z\xbc\xaf\x27\x1c", "7z", "7z x"),
        (b"Rar!\x1a\x07", "rar", "unrar x"),
        (b"PAR1", "parquet", ""),
        (b"version https://git-lfs", "lfs", ""),
    ];
    magics.iter().find(|(magic, ..)| first.starts_with(magic)).map(|(_, name, command)| (*name, *command))
}

/// An error for a file that is known to be something else.
fn other(path: &Path, first: &[u8]) -> Result<()> {
    let shown = path.display();
    let text = first.iter().copied().skip_while(u8::is_ascii_whitespace).take(14).collect::<Vec<u8>>().to_ascii_lowercase();
    if text.starts_with(b"<!doctype") || text.starts_with(b"<html") || text.starts_with(b"<?xml") {
        return Err(Error::data("a web page, not an archive")
            .at(shown.to_string())
            .because("the download gave an error or a login page instead of the file")
            .next(format!("head -c 400 {shown}; then download it again")));
    }
    Err(match kind_of(first) {
        None => return Ok(()),
        Some(("lfs", _)) => Error::data("a Git LFS pointer, not the file itself").at(shown.to_string()).next("git lfs pull"),
        Some(("parquet", _)) => Error::data("a Parquet file, not an archive").at(shown.to_string()).next("--source parquet"),
        Some((name @ ("7z" | "rar"), command)) => Error::data(format!("a {name} archive, which is not read"))
            .at(shown.to_string())
            .because("images are read from any place of an archive; its compression does not allow that")
            .next(format!("{command} {shown}, and give the folder that it makes")),
        Some((name, command)) => Error::data(format!("an archive compressed by {name}"))
            .at(shown.to_string())
            .because(
                "images are read from any place of the archive, which compression of the whole does not allow; it saves nothing on JPEG",
            )
            .next(format!("{command} {shown}, and give the .tar that it makes")),
    })
}

/// Why a link cannot be used by itself.
pub const LINK: &str = "a link, not a file";

/// What is wrong with a name that begins with `/`.
pub const ABSOLUTE: &str = "an absolute path";

/// A member's name as parts joined by `/`, and what is wrong with it.
pub fn clean(name: &[u8]) -> (String, Option<String>) {
    let name = name.split(|&b| b == 0).next().unwrap_or(name);
    let Ok(text) = std::str::from_utf8(name) else {
        return (escaped(std::ffi::OsStr::from_bytes(name)).into_owned(), Some("a name that is not UTF-8".to_owned()));
    };
    let parts: Vec<&str> = text.split('/').filter(|p| !p.is_empty() && *p != ".").collect();
    let trouble = match text {
        _ if text.starts_with('/') => Some(ABSOLUTE.to_owned()),
        _ if parts.contains(&"..") => Some("a path that leads out (..)".to_owned()),
        _ if parts.is_empty() => Some("no name".to_owned()),
        _ if text.len() > usize::from(u16::MAX) => Some("a path longer than 65535 bytes".to_owned()),
        _ => None,
    };
    (parts.join("/"), trouble)
}

/// What archivers of some systems add, and folders that tools and disks keep for themselves: `._x.JPEG`, `__MACOSX/`, `.ipynb_checkpoints/`,
/// and the thumbnails of Synology's `@eaDir/`.
pub fn hidden(name: &str) -> bool {
    name.split('/').any(|part| part.starts_with('.') && part != ".." || matches!(part, "__MACOSX" | "@eaDir"))
}

/// Images of an archive that were counted while its members went by.
pub fn counts_as_image(member: &Member) -> bool {
    is_picture(&member.name) && !hidden(&member.name)
}
