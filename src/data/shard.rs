//! One shard, opened: every structural promise of the format is checked before anything is believed, in the order of data.md.
//!
//! The index, names, classes and META are copied to the heap and checked by CRC; pixels stay in the file. They are borrowed through a
//! memory map ([`Shard::payload`], mapped at the first borrow) or copied ([`Shard::read_payload`], by `pread` unless [`Reading`] says
//! otherwise). `pread` turns a file that is cut while in use into an ordinary error. A borrow looks at the file's length first; a file cut
//! between that look and the use of the bytes still means SIGBUS, which [`super::fault`] tells. The CRC of a payload is checked the
//! first time it is read, by either way, unless [`Reading`] says otherwise. Cost of opening: one read of the index, 64 B a record.

use super::advice;
use super::format::*;
use super::map::Map;
use super::reading::{Ahead, Hint, Reading, VerifyReads};
use super::shard_checks::{check_entries, check_header, check_names, read_classes};
use crate::error::{Error, Result};
use crate::files::open_file;
use std::fs::File;
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// The kernel cuts what one call asks for to its read-ahead size (`force_page_cache_ra`), 128 KiB where nobody changed it.
const ASKED_AT_ONCE: u64 = 128 << 10;

/// An opened and structurally valid shard.
#[derive(Debug)]
pub struct Shard {
    path: PathBuf,
    name: String,
    file: File,
    map: OnceLock<Map>,
    pub header: Header,
    pub footer: Footer,
    pub entries: Vec<Entry>,
    strings: Vec<u8>,
    pub classes: Vec<String>,
    /// Canonical JSON.
    pub meta: String,
    checked: Vec<AtomicU64>,
    reading: Reading,
}

/// `file: section @offset: expected X, found Y`.
fn bad(path: &Path, section: &str, offset: u64, expected: impl std::fmt::Display, found: impl std::fmt::Display) -> Error {
    let name = path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned());
    Error::data(format!("shard damaged: {name}: {section} @{offset}: expected {expected}, found {found}"))
        .at(format!("{}, byte {offset}", path.display()))
        .because("the file changed after packing, or was not copied completely")
        .next(advice::verify(advice::folder_of(path)))
}

impl Shard {
    /// Opens and validates.
    ///
    /// # Errors
    /// `Data`: file, section, offset, what was expected and what was found.
    pub fn open(path: &Path) -> Result<Self> {
        let (file, metadata) = open_file(path)?;
        let len = metadata.len();
        let read = |range: Range| -> Result<Vec<u8>> {
            let mut bytes = vec![0; range.len as usize];
            file.read_exact_at(&mut bytes, range.off).map_err(|e| Error::reading(path, e))?;
            Ok(bytes)
        };
        let bad = |section: &str, offset: u64, expected: &dyn std::fmt::Display, found: &dyn std::fmt::Display| {
            bad(path, section, offset, expected, found)
        };
        let check_crc = |section: &str, offset: u64, stored: u32, bytes: &[u8]| {
            let found = crc32c::crc32c(bytes);
            if found == stored { Ok(()) } else { Err(bad(section, offset, &format!("crc32c {stored:08x}"), &format!("{found:08x}"))) }
        };
        let smallest = HEADER_LEN + FOOTER_LEN;
        if len < smallest {
            return Err(bad("FILE", len, &format!("at least {smallest} bytes"), &format!("{len}")));
        }
        let mut page = [0; HEADER_LEN as usize];
        file.read_exact_at(&mut page, 0).map_err(|e| Error::reading(path, e))?;
        let header = Header::decode(&page);
        if header.magic != MAGIC {
            return Err(bad("HEADER", 0, &format!("magic {}", hex(&MAGIC)), &hex(&header.magic)));
        }
        let header_crc = u32::from_le_bytes([page[4092], page[4093], page[4094], page[4095]]);
        check_crc("HEADER", HEADER_CRC_AT as u64, header_crc, &page[..HEADER_CRC_AT])?;
        check_header(&header, len, &bad)?;

        let footer: Footer = bytemuck::pod_read_unaligned(&read(Range { off: header.footer_off, len: FOOTER_LEN })?);
        let at = header.footer_off;
        for (offset, expected, found) in [
            (0, format!("magic {}", hex(&FOOTER_MAGIC)), format!("magic {}", hex(&footer.magic))),
            (60, format!("crc32c {:08x}", footer.own_crc()), format!("crc32c {:08x}", footer.footer_crc)),
            (8, format!("file length {len}"), format!("file length {}", footer.file_len)),
            (16, format!("header crc32c {header_crc:08x}"), format!("header crc32c {:08x}", footer.header_crc)),
            (20, format!("index crc32c {:08x}", header.index_crc), format!("index crc32c {:08x}", footer.index_crc)),
        ] {
            if expected != found {
                return Err(bad("FOOTER", at + offset, &expected, &found));
            }
        }

        let index = read(header.index)?;
        check_crc("INDEX", header.index.off, header.index_crc, &index)?;
        let entries: Vec<Entry> = index.chunks_exact(ENTRY_LEN as usize).map(bytemuck::pod_read_unaligned).collect();
        drop(index);
        check_names(&header, &entries, &bad)?;
        let strings = read(header.strings)?;
        check_crc("STRINGS", header.strings.off, header.strings_crc, &strings)?;
        check_entries(&header, &entries, &strings, &bad)?;
        let labels = read(header.labels)?;
        check_crc("LABELS", header.labels.off, header.labels_crc, &labels)?;
        let classes = read_classes(&header, &labels, &bad)?;
        let meta = read(header.meta)?;
        check_crc("META", header.meta.off, header.meta_crc, &meta)?;
        let meta = String::from_utf8(meta).map_err(|_| bad("META", header.meta.off, &"UTF-8", &"other bytes"))?;

        let checked = (0..entries.len().div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self {
            path: path.to_owned(),
            name,
            file,
            map: OnceLock::new(),
            header,
            footer,
            entries,
            strings,
            classes,
            meta,
            checked,
            reading: Reading::default(),
        })
    }

    /// Is to be read so from now on.
    pub fn set_reading(&mut self, reading: Reading) {
        self.reading = reading;
        if reading.ahead != Ahead::Nothing {
            // What is wanted is asked for by name: what the kernel would guess from the last reads is only in the way.
            let _ = rustix::fs::fadvise(&self.file, 0, None, rustix::fs::Advice::Random);
        }
    }

    pub fn reading(&self) -> Reading {
        self.reading
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file's name without its folder.
    pub fn file_name(&self) -> &str {
        &self.name
    }

    /// The source-relative name of a record.
    pub fn record_name(&self, record: usize) -> &str {
        let entry = &self.entries[record];
        let at = entry.name_off as usize;
        std::str::from_utf8(&self.strings[at..at + usize::from(entry.name_len)]).unwrap_or("")
    }

    /// The bytes of a record, borrowed from the map. CRC-checked the first time.
    ///
    /// # Errors
    /// `Data` when the CRC is wrong or the file has become shorter.
    pub fn payload(&self, record: usize) -> Result<&[u8]> {
        let bytes = self.mapped(record)?;
        self.check_first(record, bytes)?;
        Ok(bytes)
    }

    fn mapped(&self, record: usize) -> Result<&[u8]> {
        let entry = &self.entries[record];
        let len = self.file.metadata().map_err(|e| Error::reading(&self.path, e))?.len();
        if len != self.header.file_len {
            return Err(self.cut(record, len));
        }
        self.map()?.get(entry.offset - self.header.data.off, entry.stored_len as usize).ok_or_else(|| self.cut(record, len))
    }

    fn map(&self) -> Result<&Map> {
        if let Some(map) = self.map.get() {
            return Ok(map);
        }
        let map = Map::new(&self.file, &self.path, self.header.data, self.reading.ahead != Ahead::Nothing)
            .map_err(|e| Error::reading(&self.path, e))?;
        Ok(self.map.get_or_init(|| map))
    }

    /// Appends the bytes of a record to `out`. CRC-checked the first time.
    ///
    /// # Errors
    /// `Data` when the CRC is wrong or the file has become shorter; `out` is then as it was.
    pub fn copy_payload(&self, record: usize, out: &mut Vec<u8>) -> Result<()> {
        let start = out.len();
        out.resize(start + self.entries[record].stored_len as usize, 0);
        let result = self.read_payload(record, &mut out[start..]);
        if result.is_err() {
            out.truncate(start);
        }
        result
    }

    /// Reads the bytes of a record, as many as there are, into `out`. CRC-checked the first time.
    ///
    /// # Errors
    /// As [`Shard::copy_payload`]; `Internal` for another length.
    pub fn read_payload(&self, record: usize, out: &mut [u8]) -> Result<()> {
        let entry = &self.entries[record];
        if out.len() != entry.stored_len as usize {
            return Err(
                Error::internal(format!("{} bytes of room for a record of {}", out.len(), entry.stored_len)).at(self.describe(record))
            );
        }
        if self.reading.mapped {
            out.copy_from_slice(self.mapped(record)?);
            return self.check_first(record, out); // the copy: a file cut within a page reads as zeros from there on
        }
        match self.file.read_exact_at(out, entry.offset) {
            Ok(()) => self.check_first(record, out),
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => Err(self.cut(record, self.file.metadata().map_or(0, |m| m.len()))),
            Err(e) => Err(Error::reading(&self.path, e).at(format!("{}, byte {}", self.path.display(), entry.offset))),
        }
    }

    /// Checks the CRC of one record now, whether it was checked before or not.
    ///
    /// # Errors
    /// `Data`, naming file, record, global id, source and byte.
    pub fn check(&self, record: usize, bytes: &[u8]) -> Result<()> {
        let entry = &self.entries[record];
        let found = crc32c::crc32c(bytes);
        if found == entry.crc {
            return Ok(());
        }
        Err(Error::data(format!("shard corrupted: {}: crc32c {found:08x}, expected {:08x}", self.describe(record), entry.crc))
            .at(format!("{}, byte {}", self.path.display(), entry.offset))
            .because("the file changed after packing (disk or copy error)")
            .next(advice::repair(advice::folder_of(&self.path))))
    }

    /// `file: record r (global g, source) at byte b`.
    pub fn describe(&self, record: usize) -> String {
        let e = &self.entries[record];
        format!("{}: record {record} (global {}, {}) at byte {}", self.name, e.global_id, self.record_name(record), e.offset)
    }

    /// Tells the kernel of neighbouring records. It may do nothing, and a refusal means nothing: reading works without.
    pub fn hint(&self, records: std::ops::Range<usize>, hint: Hint) {
        let Some((first, last)) = self.entries.get(records).and_then(|of| Some((of.first()?, of.last()?))) else { return };
        let (start, end) = (first.offset, last.offset + u64::from(last.stored_len));
        let advise = |start: u64, len: u64, advice| {
            let _ = rustix::fs::fadvise(&self.file, start, NonZeroU64::new(len), advice);
        };
        match hint {
            Hint::Need => (start..end)
                .step_by(ASKED_AT_ONCE as usize)
                .for_each(|at| advise(at, (end - at).min(ASKED_AT_ONCE), rustix::fs::Advice::WillNeed)),
            Hint::Done => {
                if let Some(map) = self.map.get() {
                    map.release(start - self.header.data.off, (end - start) as usize);
                }
                advise(start, end - start, rustix::fs::Advice::DontNeed);
            }
        }
    }

    fn check_first(&self, record: usize, bytes: &[u8]) -> Result<()> {
        let (word, bit) = (&self.checked[record / 64], 1 << (record % 64));
        let wanted = match self.reading.verify {
            VerifyReads::First => word.load(Ordering::Relaxed) & bit == 0,
            VerifyReads::Always => true,
            VerifyReads::Off => false,
        };
        if wanted {
            self.check(record, bytes)?;
            word.fetch_or(bit, Ordering::Relaxed);
        }
        Ok(())
    }

    fn cut(&self, record: usize, len: u64) -> Error {
        Error::data(format!("shard cut while in use: {}: {} bytes, expected {}", self.describe(record), len, self.header.file_len))
            .at(format!("{}, byte {len}", self.path.display()))
            .because("another program shortened or replaced the file")
            .next(advice::verify(advice::folder_of(&self.path)))
    }
}
