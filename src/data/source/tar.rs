//! The members of an uncompressed tar (ustar, GNU, pax): names and byte ranges, found by reading the 512-byte headers alone.
//!
//! Every length is held against the archive before it is used, and memory is bounded by the longest name allowed. What the archive
//! itself contradicts (a wrong header checksum, a member beyond the end, no end marker) is an error with the byte; what makes one
//! member unusable (a link, a name that leads out) is a [`Member::trouble`], so that `--on-bad` decides.

use crate::error::{Error, Result};
use crate::files::open_file;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use tar::{EntryType, Header};

const BLOCK: u64 = 512;
/// Longest name and longest pax header that are read.
const MOST_NAME: u64 = u16::MAX as u64;
const MOST_PAX: u64 = 1 << 20;

/// A tar that lies in a file: all of it, or a range of it.
pub struct Archive<'a> {
    path: &'a Path,
    file: File,
    start: u64,
    len: u64,
}

/// A regular file (or what bears its name) within a tar. Folders are not listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Cleaned: without `./`, parts joined by `/`.
    pub name: String,
    /// From the start of the file that holds the archive.
    pub offset: u64,
    pub len: u64,
    /// Why its bytes cannot be used.
    pub trouble: Option<String>,
}

impl<'a> Archive<'a> {
    /// # Errors
    /// `Data` when the file cannot be opened, or is a compressed archive.
    pub fn open(path: &'a Path) -> Result<Self> {
        let (file, metadata) = open_file(path)?;
        let archive = Self { path, file, start: 0, len: metadata.len() };
        let first = archive.bytes(0, archive.len.min(6))?;
        let packed = [(&b"\x1f\x8b"[..], "gzip"), (b"BZh", "bzip2"), (b"\xfd7zXZ\0", "xz"), (b"\x28\xb5\x2f\xfd", "zstd")];
        if let Some((_, name)) = packed.iter().find(|(magic, _)| first.starts_with(magic)) {
            return Err(Error::data(format!("a tar compressed by {name}"))
                .at(path.display().to_string())
                .because("pictures are read from any place of the archive, which compression does not allow; it saves nothing on JPEG")
                .next("decompress it once (gunzip, bunzip2, unxz, unzstd) and give the .tar"));
        }
        Ok(archive)
    }

    /// The archive that is a member of this one.
    ///
    /// # Errors
    /// `Data` when the file cannot be opened again.
    pub fn nested(&self, member: &Member) -> Result<Self> {
        let file = self.file.try_clone().map_err(|e| Error::reading(self.path, e))?;
        Ok(Self { path: self.path, file, start: member.offset, len: member.len })
    }

    /// Calls `each` for every member, in the order of the archive.
    ///
    /// # Errors
    /// `Data`, naming file and byte, where the archive is damaged; those of `each`.
    pub fn members(&self, each: &mut dyn FnMut(Member) -> Result<()>) -> Result<()> {
        let (mut at, mut long_name, mut pax) = (0u64, None, Vec::new());
        loop {
            if self.len - at < BLOCK {
                return Err(self.damaged(at, "the archive ends without its end marker (two blocks of zeros)"));
            }
            let block = self.bytes(at, BLOCK)?;
            if block.iter().all(|&b| b == 0) {
                return Ok(());
            }
            let header = Header::from_byte_slice(&block);
            let sum: u32 = block.iter().enumerate().map(|(i, &b)| if (148..156).contains(&i) { 32 } else { u32::from(b) }).sum();
            if header.cksum().ok() != Some(sum) {
                return Err(self.damaged(at, "no tar header here (its checksum is wrong)"));
            }
            let size = header.entry_size().map_err(|e| self.damaged(at, &format!("a size that is no number: {e}")))?;
            let kind = header.entry_type();
            let (mut data, mut size) = (at + BLOCK, if has_data(kind) { size } else { 0 });
            if kind.is_gnu_longname() || kind.is_pax_local_extensions() {
                let most = if kind.is_gnu_longname() { MOST_NAME + 1 } else { MOST_PAX };
                if size > most {
                    return Err(self.damaged(at, &format!("a name or extended header of {size} bytes (at most {most})")));
                }
                self.fits(at, data, size)?;
                let bytes = self.bytes(data, size)?;
                if kind.is_gnu_longname() { long_name = Some(bytes) } else { pax = bytes }
            } else if kind.is_gnu_longlink() || kind.is_pax_global_extensions() {
                self.fits(at, data, size)?;
            } else {
                let extended = Extended::read(&pax).map_err(|what| self.damaged(at, what))?;
                let mut sparse = kind.is_gnu_sparse() || extended.sparse;
                if kind.is_gnu_sparse() && header.as_gnu().is_some_and(tar::GnuHeader::is_extended) {
                    // The map goes on in blocks of its own, the last byte but seven of each saying whether another follows.
                    loop {
                        self.fits(at, data, BLOCK)?;
                        let more = self.bytes(data + 504, 1)? == [1];
                        data += BLOCK;
                        if !more {
                            break;
                        }
                    }
                }
                sparse &= !kind.is_dir();
                size = extended.size.filter(|_| has_data(kind)).unwrap_or(size);
                self.fits(at, data, size)?;
                let name = extended.path.or(long_name.take()).unwrap_or_else(|| header.path_bytes().into_owned());
                if !kind.is_dir() && !name.ends_with(b"/") {
                    let (name, wrong) = clean(&name);
                    let trouble = match kind {
                        _ if wrong.is_some() => wrong,
                        _ if sparse => Some("a sparse file, whose bytes are not stored in one piece".to_owned()),
                        EntryType::Symlink | EntryType::Link => Some("a link, not a file".to_owned()),
                        _ if has_data(kind) => None,
                        _ => Some("not a file but a pipe or device".to_owned()),
                    };
                    each(Member { name, offset: self.start + data, len: size, trouble })?;
                }
                (long_name, pax) = (None, Vec::new());
            }
            at = data + size.next_multiple_of(BLOCK).min(self.len - data);
        }
    }

    /// `data..data + size` must lie inside.
    fn fits(&self, at: u64, data: u64, size: u64) -> Result<()> {
        if data.checked_add(size).is_some_and(|end| end <= self.len) {
            return Ok(());
        }
        Err(self.damaged(at, &format!("a member of {size} bytes goes beyond the end of the archive ({} bytes)", self.len)))
    }

    /// The content of a small member, such as a label.
    ///
    /// # Errors
    /// `Data` when it is larger than `most` bytes or cannot be read.
    pub fn content(&self, member: &Member, most: u64) -> Result<Vec<u8>> {
        let at = member.offset - self.start;
        if member.len > most {
            return Err(self.damaged(at, &format!("{}: {} bytes are too many for what its name says", member.name, member.len)));
        }
        self.bytes(at, member.len)
    }

    fn bytes(&self, at: u64, len: u64) -> Result<Vec<u8>> {
        let mut bytes = vec![0; len as usize];
        let read = self.file.read_exact_at(&mut bytes, self.start + at);
        read.map_err(|e| self.damaged(at, "it cannot be read").source(e))?;
        Ok(bytes)
    }

    fn damaged(&self, at: u64, what: &str) -> Error {
        Error::data(format!("tar archive damaged: {what}"))
            .at(format!("{}, byte {}", self.path.display(), self.start + at))
            .because("the archive was cut or changed, or its download did not finish")
            .next("compare its size and md5sum with those of where it came from, and fetch it again")
    }
}

/// What follows the header is counted by its size only for these; a folder or link may state one without having data.
fn has_data(kind: EntryType) -> bool {
    !matches!(kind, EntryType::Link | EntryType::Symlink | EntryType::Char | EntryType::Block | EntryType::Directory | EntryType::Fifo)
}

/// What a pax header changes about the next member.
#[derive(Default)]
struct Extended {
    path: Option<Vec<u8>>,
    size: Option<u64>,
    sparse: bool,
}

impl Extended {
    /// Records of `LENGTH KEY=VALUE\n`; values may hold any bytes, so the length counts and not the line break.
    fn read(mut pax: &[u8]) -> std::result::Result<Self, &'static str> {
        const WRONG: &str = "an extended header that cannot be understood";
        let mut found = Self::default();
        while !pax.is_empty() {
            let space = pax.iter().take(8).position(|&b| b == b' ').ok_or(WRONG)?;
            let len: usize = std::str::from_utf8(&pax[..space]).ok().and_then(|n| n.parse().ok()).ok_or(WRONG)?;
            let record = pax.get(space + 1..len).ok_or(WRONG)?;
            let record = record.strip_suffix(b"\n").ok_or(WRONG)?;
            let equals = record.iter().position(|&b| b == b'=').ok_or(WRONG)?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            match key {
                b"path" => found.path = Some(value.to_vec()),
                b"size" => {
                    let size = std::str::from_utf8(value).ok().and_then(|v| v.parse().ok());
                    found.size = Some(size.ok_or("an extended header whose size is no number")?);
                }
                key if key.starts_with(b"GNU.sparse.") => found.sparse = true,
                _ => {}
            }
            pax = &pax[len..];
        }
        Ok(found)
    }
}

/// A member's name as parts joined by `/`, and what is wrong with it.
fn clean(name: &[u8]) -> (String, Option<String>) {
    let name = name.split(|&b| b == 0).next().unwrap_or(name);
    let Ok(text) = std::str::from_utf8(name) else {
        return (String::from_utf8_lossy(name).into_owned(), Some("a name that is not UTF-8".to_owned()));
    };
    let parts: Vec<&str> = text.split('/').filter(|p| !p.is_empty() && *p != ".").collect();
    let trouble = match text {
        _ if text.starts_with('/') => Some("an absolute path".to_owned()),
        _ if parts.contains(&"..") => Some("a path that leads out (..)".to_owned()),
        _ if parts.is_empty() => Some("no name".to_owned()),
        _ if text.len() > usize::from(u16::MAX) => Some("a path longer than 65535 bytes".to_owned()),
        _ => None,
    };
    (parts.join("/"), trouble)
}

/// A whole small archive in memory, plain or by gzip: its files by name.
///
/// # Errors
/// `Data` when it is damaged or unpacks to more than `most` bytes.
pub fn small_files(path: &Path, most: u64) -> Result<Vec<(String, Vec<u8>)>> {
    use std::io::Read;
    let fail = |e| Error::reading(path, e);
    let mut raw = Vec::new();
    open_file(path)?.0.take(most + 1).read_to_end(&mut raw).map_err(fail)?;
    let bytes = if raw.starts_with(b"\x1f\x8b") {
        let mut unpacked = Vec::new();
        let read = flate2::read::MultiGzDecoder::new(&raw[..]).take(most + 1).read_to_end(&mut unpacked);
        read.map_err(|e| Error::data("the gzip stream is damaged").at(path.display().to_string()).source(e))?;
        unpacked
    } else {
        raw
    };
    if bytes.len() as u64 > most {
        return Err(Error::data(format!("more than {most} bytes in it"))
            .at(path.display().to_string())
            .because("not the archive it is taken for"));
    }
    let mut files = Vec::new();
    let damaged = |e: std::io::Error| Error::data("tar archive damaged").at(path.display().to_string()).source(e);
    for entry in tar::Archive::new(&bytes[..]).entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        if entry.header().entry_type().is_file() {
            let name = PathBuf::from(String::from_utf8_lossy(&entry.path_bytes()).into_owned());
            let mut content = Vec::new();
            Read::by_ref(&mut entry).take(most).read_to_end(&mut content).map_err(damaged)?;
            files.push((name.display().to_string(), content));
        }
    }
    Ok(files)
}
