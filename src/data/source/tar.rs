//! The members of an uncompressed tar (V7, GNU, ustar, pax): names and byte ranges, found by reading the 512-byte headers alone.
//!
//! Every length is held against the archive before it is used, and memory is bounded by the longest name allowed. What the archive
//! itself contradicts (a wrong header checksum, a member beyond the end, no end marker) is an error with the byte; what makes one
//! member unusable (a link, a name that leads out) is a [`Member::trouble`], so that `--on-bad` decides. Zeros where a header should be
//! end the archive only if nothing follows them; [`super::tar_zeros`] decides.

use super::container::{Member, Stored, clean, counts_as_image};
use super::span::Span;
use super::tar_header::{Extended, Header, Type};
use super::tar_zeros::{After, Before};
use crate::error::{Error, Result};
use std::path::Path;

pub const BLOCK: u64 = super::tar_header::BLOCK as u64;
/// Longest name and longest pax header that are read.
const MOST_NAME: u64 = u16::MAX as u64;
const MOST_PAX: u64 = 1 << 20;

/// The member that a link leads to: a hard link by its name, a symbolic one as seen from the folder of the link.
fn linked(name: &str, to: &[u8], hard: bool) -> Option<String> {
    let to = std::str::from_utf8(to).ok().filter(|t| !t.is_empty() && !t.starts_with('/'))?;
    let mut parts: Vec<&str> = if hard { Vec::new() } else { name.split('/').rev().skip(1).collect() };
    parts.reverse();
    for part in to.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// A tar that lies in a file: all of it, or a range of it.
pub struct Tar(Span);

impl Tar {
    pub fn new(span: Span) -> Self {
        Self(span)
    }

    pub fn span(&self) -> &Span {
        &self.0
    }

    /// The archive in these bytes of the file.
    pub fn nested(&self, offset: u64, len: u64) -> Self {
        Self(self.0.part(offset - self.0.in_file(0), len))
    }

    /// Calls `each` for every member, in the order of the archive. Returns what a user should know.
    ///
    /// # Errors
    /// `Data`, naming file and byte, where the archive is damaged; those of `each`.
    pub fn members(&self, each: &mut dyn FnMut(Member) -> Result<()>) -> Result<Vec<String>> {
        let (mut at, mut long_name, mut pax) = (0u64, None, Vec::new());
        let (mut before, mut joined, mut start) = (Before::default(), Joined::default(), 0);
        let mut block = [0; BLOCK as usize];
        let len = self.0.len();
        loop {
            if len - at < BLOCK {
                return Err(self.damaged(at, "the archive ends without its end marker (two blocks of zeros)"));
            }
            self.0.fill(at, &mut block)?;
            if block == [0; BLOCK as usize] {
                match self.after_zeros(at, start, &before)? {
                    After::Nothing(note) => return Ok(joined.note(&self.0).into_iter().chain(note).collect()),
                    After::Header(next) => {
                        joined.add(at, next);
                        if next - at > BLOCK {
                            start = next;
                        }
                        (at, long_name, pax) = (next, None, Vec::new());
                        continue;
                    }
                }
            }
            let header = Header::read(&block).ok_or_else(|| self.damaged(at, "no tar header here (its checksum is wrong)"))?;
            let stated = header.size().map_err(|what| self.damaged(at, &what))?;
            let kind = header.kind();
            // A link, folder or device may state a size without having data.
            let mut size = if matches!(kind, Type::Link | Type::Special | Type::Folder) { 0 } else { stated };
            let mut data = at + BLOCK;
            match kind {
                Type::LongName | Type::Extended | Type::Global => {
                    let most = if kind == Type::LongName { MOST_NAME + 1 } else { MOST_PAX };
                    if size > most {
                        return Err(self.damaged(at, &format!("a name or extended header of {size} bytes (at most {most})")));
                    }
                    self.fits(at, data, size)?;
                    let bytes = self.0.read(data, size)?;
                    match kind {
                        Type::LongName => long_name = Some(bytes),
                        Type::Extended => pax = bytes,
                        _ if Extended::read(&bytes).is_ok_and(|e| e.later_volume) => return Err(self.later_volume(at)),
                        _ => {}
                    }
                }
                Type::Continued => return Err(self.later_volume(at)),
                Type::Other => self.fits(at, data, size)?,
                Type::File | Type::Folder | Type::Link | Type::Special | Type::Sparse => {
                    let extended = Extended::read(&pax).map_err(|what| self.damaged(at, what))?;
                    if kind == Type::Sparse && header.map_goes_on() {
                        // In blocks of its own, the last byte but seven of each saying whether another follows.
                        loop {
                            self.fits(at, data, BLOCK)?;
                            let more = self.0.read(data + 504, 1)? == [1];
                            data += BLOCK;
                            if !more {
                                break;
                            }
                        }
                    }
                    if matches!(kind, Type::File | Type::Sparse) {
                        size = extended.size.unwrap_or(size);
                    }
                    self.fits(at, data, size)?;
                    let name = extended.path.or(long_name.take()).unwrap_or_else(|| header.name());
                    before = Before::default();
                    let folder = kind == Type::Folder || name.ends_with(b"/");
                    let (name, wrong) = clean(&name);
                    let (outside, stored) = (wrong.is_some(), Stored::Plain { offset: self.0.in_file(data) });
                    if folder {
                        each(Member { name, stored, len: 0, trouble: wrong, after_zeros: joined.first, folder, outside, link: None })?;
                    } else {
                        let trouble = match kind {
                            Type::Sparse => Some("a sparse file, whose bytes are not stored in one piece".to_owned()),
                            _ if extended.sparse => Some("a sparse file, whose bytes are not stored in one piece".to_owned()),
                            Type::Link => Some(super::container::LINK.to_owned()),
                            Type::Special => Some("not a file but a pipe or device".to_owned()),
                            _ => wrong,
                        };
                        let to = extended.link.unwrap_or_else(|| header.link());
                        let link = if kind == Type::Link { linked(&name, &to, header.is_hard_link()) } else { None };
                        let member = Member { name, stored, len: size, trouble, after_zeros: joined.first, folder, outside, link };
                        if counts_as_image(&member) {
                            joined.images += u64::from(joined.first.is_some());
                            before = Before::image(&member.name, data, size);
                        }
                        each(member)?;
                    }
                    (long_name, pax) = (None, Vec::new());
                }
            }
            at = data + size.next_multiple_of(BLOCK).min(len - data);
        }
    }

    /// `data..data + size` must lie inside.
    fn fits(&self, at: u64, data: u64, size: u64) -> Result<()> {
        if data.checked_add(size).is_some_and(|end| end <= self.0.len()) {
            return Ok(());
        }
        Err(self.damaged(at, &format!("a member of {size} bytes goes beyond the end of the archive ({} bytes)", self.0.len())))
    }

    pub fn damaged(&self, at: u64, what: &str) -> Error {
        Error::data(format!("tar archive damaged: {what}"))
            .at(self.0.place(at))
            .because("the archive was cut or changed, or its download did not finish")
            .next("compare its size and md5sum with those of where it came from, and fetch it again")
    }

    fn later_volume(&self, at: u64) -> Error {
        Error::data("a later volume of a tar in several volumes: it begins with the rest of a member")
            .at(self.0.place(at))
            .because("written by tar --multi-volume")
            .next("unpack all volumes together (tar -xM -f FIRST -f SECOND ...) and give the folder")
    }
}

/// Zeros that were read past.
#[derive(Default)]
struct Joined {
    /// The byte in the file of the first zeros.
    first: Option<u64>,
    bytes: u64,
    places: u64,
    images: u64,
}

impl Joined {
    fn add(&mut self, at: u64, next: u64) {
        if self.first.is_none() {
            (self.first, self.bytes) = (Some(at), next - at);
        }
        self.places += 1;
    }

    fn note(&self, span: &Span) -> Option<String> {
        let at = span.in_file(self.first?);
        let what = if self.bytes < 2 * BLOCK { "one block of zeros" } else { "an end marker" };
        let more = if self.places > 1 { format!(", and so {} times", self.places) } else { String::new() };
        Some(format!(
            "{}: {what} at byte {at}, and more members after it{more}: archives that were joined; {} images after that byte are read too",
            span.path().display(),
            self.images
        ))
    }
}

/// The files, by name, in the bytes of a small archive, plain or by gzip.
///
/// # Errors
/// `Data` when it is damaged or unpacks to more than `most` bytes.
pub fn small_files(path: &Path, raw: Vec<u8>, most: u64) -> Result<Vec<(String, Vec<u8>)>> {
    use std::io::Read;
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
    let span = Span::memory(path, bytes);
    let mut files = Vec::new();
    Tar::new(span.clone()).members(&mut |member| {
        if let (Stored::Plain { offset }, None, false) = (member.stored, &member.trouble, member.folder) {
            files.push((member.name, span.read(offset, member.len)?));
        }
        Ok(())
    })?;
    Ok(files)
}
