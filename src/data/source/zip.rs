//! The members of a zip (also zip64), by its central directory: one read at the end of the file lists them all.
//!
//! After PKWARE's APPNOTE. Stored and deflated members are read, each from its own bytes and held against its CRC-32; others (deflate64,
//! bzip2, encrypted) are named as bad images. Whatever the directory contradicts is an error with the byte. Bytes before the first member
//! that are a zip of their own (`cat a.zip b.zip`) are read as one. Nothing is trusted for memory: a member inflates to what the
//! directory says at most, that to 1 GiB, and no deflated member can be more than 1,032 times its stored size.

use super::container::{Member, Stored, clean};
use super::span::Span;
use super::store::MAX_FILE;
use super::zip_name;
use crate::error::{Error, Result};
use std::io::Read;

/// The end record, without its comment; a comment has at most 65,535 bytes.
const END: u64 = 22;
const MOST_COMMENT: u64 = u16::MAX as u64;
const LOCATOR: u64 = 20;
const END64: u64 = 56;
const ENTRY: usize = 46;
const LOCAL: u64 = 30;
/// The central directory is held in memory while it is read.
const MOST_DIRECTORY: u64 = 1 << 30;
/// Zips in one file.
const MOST_PARTS: usize = 1000;
/// Deflate cannot do better (258 bytes for 2 bits).
const MOST_RATIO: u64 = 1032;

pub struct Zip(Span);

/// Whether a file of these first bytes is a zip: a member, an empty zip, or a part of a split one.
pub fn begins(first: &[u8]) -> bool {
    [b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08"].iter().any(|magic| first.starts_with(*magic))
}

fn u16_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 2).map_or(0, |b| u64::from(u16::from_le_bytes([b[0], b[1]])))
}

fn u32_at(bytes: &[u8], at: usize) -> u64 {
    u16_at(bytes, at) | u16_at(bytes, at + 2) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u32_at(bytes, at) | u32_at(bytes, at + 4) << 32
}

/// Where the central directory lies within the span.
struct Directory {
    /// Bytes before the zip: all offsets count from here.
    base: u64,
    at: u64,
    len: u64,
    entries: u64,
    /// The entries are counted modulo 65,536.
    short: bool,
    notes: Vec<String>,
}

impl Zip {
    pub fn new(span: Span) -> Self {
        Self(span)
    }

    pub fn span(&self) -> &Span {
        &self.0
    }

    /// Calls `each` for every member, in the order of the central directory. Returns what a user should know.
    ///
    /// # Errors
    /// `Data`, naming file and byte, where the archive is damaged; those of `each`.
    pub fn members(&self, each: &mut dyn FnMut(Member) -> Result<()>) -> Result<Vec<String>> {
        let (mut parts, mut notes, mut len) = (Vec::new(), Vec::new(), self.0.len());
        loop {
            let part = Self(self.0.part(0, len));
            let directory = part.directory()?;
            len = directory.base;
            parts.push((part, directory));
            if len == 0 {
                break;
            }
            if !begins(&self.0.read(0, len.min(4))?) {
                notes.push(format!("{}: {len} bytes before the zip are ignored", self.0.path().display()));
                break;
            }
            if parts.len() > MOST_PARTS {
                return Err(self.damaged(len, &format!("more than {MOST_PARTS} zips, one after the other")));
            }
        }
        if parts.len() > 1 {
            notes.push(format!("{}: {} zips, one after the other; all of them are read", self.0.path().display(), parts.len()));
        }
        for (part, directory) in parts.into_iter().rev() {
            part.entries(&directory, each)?;
            notes.extend(directory.notes);
        }
        Ok(notes)
    }

    fn entries(&self, directory: &Directory, each: &mut dyn FnMut(Member) -> Result<()>) -> Result<()> {
        let bytes = self.0.read(directory.at, directory.len)?;
        let (mut at, mut count, mut ranges) = (0, 0u64, Vec::new());
        let mut found = Vec::new();
        while at < bytes.len() {
            let here = directory.at + at as u64;
            let entry = bytes.get(at..at + ENTRY).filter(|e| e.starts_with(b"PK\x01\x02"));
            let entry = entry.ok_or_else(|| self.damaged(here, "no entry of the central directory here"))?;
            let (name_len, extra_len) = (u16_at(entry, 28) as usize, u16_at(entry, 30) as usize);
            let next = at + ENTRY + name_len + extra_len + u16_at(entry, 32) as usize;
            let rest = bytes.get(at + ENTRY..next).ok_or_else(|| self.damaged(here, "an entry that goes beyond the central directory"))?;
            let (member, range) = self.entry(directory, here, entry, &rest[..name_len], &rest[name_len..name_len + extra_len])?;
            found.push(member);
            ranges.push(range);
            (at, count) = (next, count + 1);
        }
        if count != directory.entries && !(directory.short && count % 65_536 == directory.entries) {
            let what = format!("{} members are said to be there, the central directory has {count}", directory.entries);
            return Err(self.damaged(directory.at, &what));
        }
        overlapping(&mut found, &ranges);
        found.into_iter().try_for_each(each)
    }

    /// A member, with the range of its bytes.
    fn entry(&self, directory: &Directory, here: u64, entry: &[u8], name: &[u8], extra: &[u8]) -> Result<(Member, (u64, u64))> {
        let (made_by, flags, method) = (u16_at(entry, 4) >> 8, u16_at(entry, 8), u16_at(entry, 10));
        let (mut packed, mut len, mut offset) = (u32_at(entry, 20), u32_at(entry, 24), u32_at(entry, 42));
        let mut wide = extra_field(extra, 1).unwrap_or_default();
        for value in [&mut len, &mut packed, &mut offset] {
            if *value == u64::from(u32::MAX)
                && let Some((first, rest)) = wide.split_at_checked(8)
            {
                (*value, wide) = (u64_at(first, 0), rest);
            }
        }
        let start = directory.base.checked_add(offset);
        let end = start.and_then(|s| s.checked_add(LOCAL)?.checked_add(packed));
        let (Some(start), Some(end)) = (start, end.filter(|&end| end <= directory.at)) else {
            return Err(self.damaged(here, &format!("a member of {packed} bytes at {offset}, beyond the central directory")));
        };
        let mode = if matches!(made_by, 3 | 19) { u32_at(entry, 38) >> 28 } else { 0 };
        let name = zip_name::decode(name, extra_field(extra, 0x7075), flags & 1 << 11 != 0, made_by);
        let folder = mode == 4 || name.ends_with(b"/");
        let (name, wrong) = clean(&name);
        let outside = wrong.is_some();
        let trouble = match method {
            _ if folder => wrong,
            _ if mode == 0o12 => Some(super::container::LINK.to_owned()),
            _ if flags & (1 | 1 << 6 | 1 << 13) != 0 => Some("an encrypted member of a zip: unpack it with its password".to_owned()),
            0 | 8 if len > MAX_FILE || packed > MAX_FILE => Some(format!("an image of {len} bytes, above {MAX_FILE}")),
            0 if len != packed => Some(format!("stored in {packed} bytes, which should be {len}")),
            8 if len > packed.saturating_mul(MOST_RATIO) => Some(format!("{len} bytes out of {packed}, more than deflate can do")),
            0 | 8 => wrong,
            other => Some(format!("compressed by {} (zip method {other}), which is not read: unpack the zip", method_name(other))),
        };
        let stored = Stored::Zip {
            offset: self.0.in_file(start),
            packed: packed.min(u64::from(u32::MAX)) as u32,
            crc: u32_at(entry, 16) as u32,
            deflated: method == 8,
        };
        Ok((
            Member { name, stored, len, trouble, after_zeros: None, folder, outside, link: None },
            (start, if folder { start } else { end }),
        ))
    }

    /// Finds the central directory by the record at the end of the file.
    fn directory(&self) -> Result<Directory> {
        let len = self.0.len();
        let tail_at = len - len.min(END + MOST_COMMENT);
        let tail = self.0.read(tail_at, len - tail_at)?;
        let fits = |i: &usize| tail[*i..].len() as u64 >= END + u16_at(&tail, i + 20);
        let exact = |i: &usize| tail[*i..].len() as u64 == END + u16_at(&tail, i + 20);
        let ends: Vec<usize> =
            memchr::memmem::find_iter(&tail, b"PK\x05\x06").filter(|i| tail.len() - i >= END as usize).filter(fits).collect();
        let Some(i) = ends.iter().rfind(|i| exact(i)).or(ends.last()).copied() else { return Err(self.no_end()) };
        let (record, end_at) = (&tail[i..], tail_at + i as u64);
        let mut notes = Vec::new();
        let behind = len - end_at - END - u16_at(record, 20);
        if behind > 0 {
            if memchr::memmem::find(&tail[tail.len() - behind as usize..], b"PK\x03\x04").is_some() {
                return Err(self.damaged(len - behind, "after the end of one zip another begins, which has no end"));
            }
            notes.push(format!("{}: {behind} bytes after the end of the zip are ignored", self.0.path().display()));
        }
        let (mut disk, mut entries, mut size, mut offset) =
            (u16_at(record, 4).max(u16_at(record, 6)), u16_at(record, 10), u32_at(record, 12), u32_at(record, 16));
        let (mut short, mut end) = (true, end_at);
        if let Some(locator_at) = end_at.checked_sub(LOCATOR)
            && let locator = self.0.read(locator_at, LOCATOR)?
            && locator.starts_with(b"PK\x06\x07")
        {
            // The record lies right before its locator, but for what may have been put before the whole.
            let right_before = locator_at.checked_sub(END64);
            let (mut wide, mut wide_at) = (Vec::new(), 0);
            for at in [Some(u64_at(&locator, 8)), right_before].into_iter().flatten() {
                if at.checked_add(END64).is_some_and(|end| end <= locator_at) {
                    wide = self.0.read(at, END64)?;
                    wide_at = at;
                    if wide.starts_with(b"PK\x06\x06") {
                        break;
                    }
                }
            }
            if !wide.starts_with(b"PK\x06\x06") {
                return Err(self.damaged(locator_at, "no zip64 end record where this points"));
            }
            disk = u32_at(&wide, 16).max(u32_at(&wide, 20));
            (entries, size, offset) = (u64_at(&wide, 32), u64_at(&wide, 40), u64_at(&wide, 48));
            (short, end) = (false, wide_at);
        }
        if disk > 0 && disk != u64::from(u16::MAX) {
            return Err(Error::data("the last part of a split zip")
                .at(self.0.path().display().to_string())
                .next(format!("zip -s 0 {} --out whole.zip, and give whole.zip", self.0.path().display())));
        }
        let at = end.checked_sub(size).filter(|&at| at >= offset && size <= MOST_DIRECTORY);
        let at = at.ok_or_else(|| self.damaged(end_at, &format!("a central directory of {size} bytes at {offset} does not fit")))?;
        Ok(Directory { base: at - offset, at, len: size, entries, short, notes })
    }

    fn no_end(&self) -> Error {
        let first = self.0.read(0, self.0.len().min(4)).unwrap_or_default();
        if first == b"PK\x07\x08" {
            return Error::data("the first part of a split zip")
                .at(self.0.place(0))
                .next("zip -s 0 LAST.zip --out whole.zip, and give whole.zip");
        }
        if !begins(&first) {
            return Error::data("named .zip, but no zip: it begins with other bytes and has no central directory")
                .at(self.0.place(0))
                .because("another kind of file, or a damaged one")
                .next(format!("file {}", self.0.path().display()));
        }
        self.damaged(self.0.len(), "no central directory at its end")
    }

    fn damaged(&self, at: u64, what: &str) -> Error {
        Error::data(format!("zip archive damaged: {what}"))
            .at(self.0.place(at))
            .because("the archive was cut or changed, or its download did not finish")
            .next("compare its size and checksum with those of where it came from, and fetch it again (unzip -t tests it)")
    }
}

/// Members that share bytes are how a small zip unpacks to petabytes; none of them is what it seems.
fn overlapping(members: &mut [Member], ranges: &[(u64, u64)]) {
    let mut order: Vec<usize> = (0..ranges.len()).collect();
    order.sort_unstable_by_key(|&i| ranges[i]);
    let mut end = 0;
    for i in order {
        if ranges[i].0 < end {
            members[i].trouble.get_or_insert_with(|| "its bytes in the zip overlap those of another member".to_owned());
        }
        end = end.max(ranges[i].1);
    }
}

/// The content of an extra field.
fn extra_field(mut extra: &[u8], id: u64) -> Option<&[u8]> {
    while extra.len() >= 4 {
        let len = u16_at(extra, 2) as usize;
        let content = extra.get(4..4 + len)?;
        if u16_at(extra, 0) == id {
            return Some(content);
        }
        extra = &extra[4 + len..];
    }
    None
}

fn method_name(method: u64) -> &'static str {
    match method {
        1 => "shrink",
        2..=5 => "reduce",
        6 => "implode",
        9 => "deflate64",
        12 => "bzip2",
        14 => "lzma",
        20 | 93 => "zstd",
        94 => "mp3",
        95 => "xz",
        96 => "jpeg",
        97 => "wavpack",
        98 => "ppmd",
        99 => "AES encryption",
        _ => "an unknown method",
    }
}

/// Fills a buffer with the bytes of the archive at a place.
type Fill<'a> = &'a mut dyn FnMut(u64, &mut [u8]) -> std::result::Result<(), String>;

/// Reads a member into `bytes`, which are empty: `fill` gives the bytes of the archive at a place, `at` is that of the local header.
///
/// # Errors
/// Why it cannot be read, in words for `bad_images.jsonl`.
pub fn read(
    fill: Fill<'_>,
    at: u64,
    packed: u32,
    len: u32,
    crc: u32,
    deflated: bool,
    bytes: &mut Vec<u8>,
) -> std::result::Result<(), String> {
    let mut local = [0; LOCAL as usize];
    fill(at, &mut local)?;
    if !local.starts_with(b"PK\x03\x04") {
        return Err("the zip is damaged: no header of a member where the central directory says".to_owned());
    }
    let data = at + LOCAL + u16_at(&local, 26) + u16_at(&local, 28);
    if deflated {
        let mut stored = vec![0; packed as usize];
        fill(data, &mut stored)?;
        // One byte more than there should be shows that there is more.
        let inflated = flate2::read::DeflateDecoder::new(&stored[..]).take(u64::from(len) + 1).read_to_end(bytes);
        inflated.map_err(|e| format!("the zip is damaged: {e}"))?;
    } else {
        bytes.resize(packed as usize, 0);
        fill(data, bytes)?;
    }
    if bytes.len() != len as usize {
        return Err(format!("the zip is damaged: {} bytes where {len} should be", bytes.len()));
    }
    let mut sum = flate2::Crc::new();
    sum.update(bytes);
    if sum.sum() != crc {
        return Err(format!("the zip is damaged: CRC-32 {:08x} where {crc:08x} should be", sum.sum()));
    }
    Ok(())
}
