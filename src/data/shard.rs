//! One shard, opened: every structural promise of the format is checked before anything is believed, in the order of data.md.
//!
//! The index, names, classes and META are copied to the heap and checked by CRC; pixels stay in the file. They are borrowed through a
//! memory map ([`Shard::payload`]) or copied with `pread` ([`Shard::copy_payload`]). The second turns a file that is cut while in use
//! into an ordinary error and is what the loader uses. The first looks at the file's length before each borrow; a file cut between
//! that look and the use of the bytes still means SIGBUS, which is the price of a borrow. The CRC of a payload is checked the first
//! time it is read, by either way. Cost of opening: one read of the index, 64 B a record.

use super::format::*;
use super::map::Map;
use crate::error::{Error, Result};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// An opened and structurally valid shard.
#[derive(Debug)]
pub struct Shard {
    path: PathBuf,
    name: String,
    file: File,
    map: Map,
    pub header: Header,
    pub footer: Footer,
    pub entries: Vec<Entry>,
    strings: Vec<u8>,
    pub classes: Vec<String>,
    /// Canonical JSON.
    pub meta: String,
    checked: Vec<AtomicU64>,
}

/// `file: section @offset: expected X, found Y`.
fn bad(path: &Path, section: &str, offset: u64, expected: impl std::fmt::Display, found: impl std::fmt::Display) -> Error {
    let name = path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned());
    Error::data(format!("shard damaged: {name}: {section} @{offset}: expected {expected}, found {found}"))
        .at(format!("{}, byte {offset}", path.display()))
        .because("the file changed after packing, or was not copied completely")
        .next("imagenet-engine verify --full DIR")
}

impl Shard {
    /// Opens and validates.
    ///
    /// # Errors
    /// `Data`: file, section, offset, what was expected and what was found.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::reading(path, e))?;
        let metadata = file.metadata().map_err(|e| Error::reading(path, e))?;
        if !metadata.is_file() {
            return Err(Error::data("not a file").at(path.display().to_string()));
        }
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

        let map = Map::new(&file, header.data).map_err(|e| Error::reading(path, e))?;
        let checked = (0..entries.len().div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { path: path.to_owned(), name, file, map, header, footer, entries, strings, classes, meta, checked })
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
        let entry = &self.entries[record];
        let len = self.file.metadata().map_err(|e| Error::reading(&self.path, e))?.len();
        if len != self.header.file_len {
            return Err(self.cut(record, len));
        }
        let bytes = self.map.get(entry.offset - self.header.data.off, entry.stored_len as usize).ok_or_else(|| self.cut(record, len))?;
        self.check_first(record, bytes)?;
        Ok(bytes)
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
        match self.file.read_exact_at(out, entry.offset) {
            Ok(()) => self.check_first(record, out),
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => Err(self.cut(record, self.file.metadata().map_or(0, |m| m.len()))),
            Err(e) => Err(Error::reading(&self.path, e)),
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
            .next("imagenet-engine verify --full DIR; then verify DIR --repair-from PICTURES"))
    }

    /// `file: record r (global g, source) at byte b`.
    pub fn describe(&self, record: usize) -> String {
        let e = &self.entries[record];
        format!("{}: record {record} (global {}, {}) at byte {}", self.name, e.global_id, self.record_name(record), e.offset)
    }

    fn check_first(&self, record: usize, bytes: &[u8]) -> Result<()> {
        let (word, bit) = (&self.checked[record / 64], 1 << (record % 64));
        if word.load(Ordering::Relaxed) & bit == 0 {
            self.check(record, bytes)?;
            word.fetch_or(bit, Ordering::Relaxed);
        }
        Ok(())
    }

    fn cut(&self, record: usize, len: u64) -> Error {
        Error::data(format!("shard cut while in use: {}: {} bytes, expected {}", self.describe(record), len, self.header.file_len))
            .at(format!("{}, byte {len}", self.path.display()))
            .because("another program shortened or replaced the file")
            .next("imagenet-engine verify --full DIR")
    }
}

type Bad<'a> = &'a dyn Fn(&str, u64, &dyn std::fmt::Display, &dyn std::fmt::Display) -> Error;

/// Version, features, lengths and section ranges.
fn check_header(h: &Header, len: u64, bad: Bad<'_>) -> Result<()> {
    if h.version_major != VERSION_MAJOR {
        return Err(bad("HEADER", 8, &format!("version {VERSION_MAJOR}"), &h.version_major)
            .because("the shard was written by another version of the format")
            .next("pack again with this program, or read it with the newer one"));
    }
    let fields: [(&str, u64, u64, u64); 8] = [
        ("header_len", 12, HEADER_LEN, h.header_len.into()),
        ("endian tag", 16, ENDIAN_TAG.into(), h.endian.into()),
        ("no unknown required features", 20, 0, (h.required_features & !KNOWN_REQUIRED).into()),
        ("record_entry_size", 28, ENTRY_LEN, h.entry_len.into()),
        ("file_len", 128, len, h.file_len),
        ("layout HWC", 161, 0, h.layout.into()),
        ("channels", 162, CHANNELS as u64, h.channels.into()),
        ("colorspace sRGB", 163, 0, h.colorspace.into()),
    ];
    for (what, offset, expected, found) in fields {
        if expected != found {
            return Err(bad("HEADER", offset, &format!("{what} {expected}"), &found));
        }
    }
    let encoding = Encoding::from_byte(h.encoding)
        .ok_or_else(|| bad("HEADER", 160, &"encoding 0 (raw_fixed), 1 (raw_var) or 2 (jpeg)", &h.encoding))?;
    let required = encoding.needs().1;
    if h.required_features != required {
        return Err(bad("HEADER", 20, &format!("required features {required} for encoding {}", encoding.name()), &h.required_features));
    }
    if u64::from(h.record_align) != encoding.align() {
        return Err(bad("HEADER", 156, &format!("record_align {}", encoding.align()), &h.record_align));
    }
    if (encoding == Encoding::RawFixed) != (h.fixed_w > 0 && h.fixed_h > 0) {
        return Err(bad("HEADER", 164, &"a fixed size exactly when the encoding is raw_fixed", &format!("{}x{}", h.fixed_w, h.fixed_h)));
    }
    if h.num_classes == 0 {
        return Err(bad("HEADER", 152, &"at least one class", &0));
    }
    if h.shard_index >= h.shard_count {
        return Err(bad("HEADER", 136, &format!("a shard index below {}", h.shard_count), &h.shard_index));
    }
    if h.footer_off.checked_add(FOOTER_LEN) != Some(len) {
        return Err(bad("HEADER", 120, &format!("footer at {}", len - FOOTER_LEN), &h.footer_off));
    }
    let mut free_from = HEADER_LEN;
    for (i, (name, range)) in h.sections().into_iter().enumerate() {
        let at = 40 + 16 * i as u64;
        match range.end() {
            Some(end) if range.off >= free_from && end <= h.footer_off => free_from = end,
            _ => {
                let found = format!("{} + {}", range.off, range.len);
                return Err(bad("HEADER", at, &format!("{name} within [{free_from}, {})", h.footer_off), &found));
            }
        }
    }
    if h.record_count.checked_mul(ENTRY_LEN) != Some(h.index.len) {
        return Err(bad("HEADER", 48, &format!("index of {} records * {ENTRY_LEN}", h.record_count), &h.index.len));
    }
    check_lengths(h, bad)
}

/// Lengths that the counts do not allow, before memory is taken for them: a sparse file can be as long as it likes.
fn check_lengths(h: &Header, bad: Bad<'_>) -> Result<()> {
    let classes = u64::from(h.num_classes);
    let strings = h.record_count.saturating_mul(LONGEST_NAME).min(MOST_NAMES);
    let labels = (classes * (size_of::<ClassEntry>() as u64 + 2 * LONGEST_NAME)).min(MOST_NAMES);
    for (what, offset, most, found) in [
        ("records", 32, MOST_RECORDS, h.record_count),
        ("classes", 152, MOST_CLASSES, classes),
        ("bytes of STRINGS for that many records", 64, strings, h.strings.len),
        ("bytes of LABELS for that many classes", 80, labels, h.labels.len),
        ("bytes of META", 96, MOST_META, h.meta.len),
    ] {
        if found > most {
            return Err(bad("HEADER", offset, &format!("at most {most} {what}"), &found));
        }
    }
    Ok(())
}

/// STRINGS no longer than the names that the index counts; known before it is read.
fn check_names(h: &Header, entries: &[Entry], bad: Bad<'_>) -> Result<()> {
    let named: u64 = entries.iter().map(|e| u64::from(e.name_len)).sum();
    if h.strings.len > named {
        return Err(bad("HEADER", 64, &format!("at most {named} bytes of STRINGS for the names in the index"), &h.strings.len));
    }
    Ok(())
}

/// Each entry: its CRC, range, order, label, name and size.
fn check_entries(h: &Header, entries: &[Entry], strings: &[u8], bad: Bad<'_>) -> Result<()> {
    let data_end = h.data.off + h.data.len;
    let (mut free_from, mut next_id) = (h.data.off, h.first_global_id);
    for (r, e) in entries.iter().enumerate() {
        let at = h.index.off + ENTRY_LEN * r as u64;
        let bad = |offset: u64, expected: &dyn std::fmt::Display, found: &dyn std::fmt::Display| {
            bad(&format!("INDEX record {r}"), at + offset, expected, found)
        };
        if e.own_crc() != e.entry_crc {
            return Err(bad(60, &format!("crc32c {:08x}", e.entry_crc), &format!("{:08x}", e.own_crc())));
        }
        if e.offset % u64::from(h.record_align) != 0 {
            return Err(bad(0, &format!("an offset on a multiple of {}", h.record_align), &e.offset));
        }
        match e.offset.checked_add(e.stored_len.into()) {
            Some(end) if e.offset >= free_from && end <= data_end => free_from = end,
            _ => return Err(bad(0, &format!("bytes within [{free_from}, {data_end})"), &format!("{} + {}", e.offset, e.stored_len))),
        }
        if e.label >= h.num_classes {
            return Err(bad(16, &format!("a label below {}", h.num_classes), &e.label));
        }
        if e.encoding != h.encoding {
            return Err(bad(20, &format!("encoding {}", h.encoding), &e.encoding));
        }
        let pixels = u64::from(e.width) * u64::from(e.height) * CHANNELS as u64;
        if h.encoding == Encoding::Jpeg as u8 {
            if pixels == 0 || e.stored_len == 0 {
                return Err(bad(8, &"a picture of some pixels and bytes", &format!("{}x{}, {} bytes", e.width, e.height, e.stored_len)));
            }
        } else if pixels == 0 || pixels != u64::from(e.stored_len) {
            return Err(bad(8, &format!("{}x{}x3 = {pixels} bytes, not 0", e.width, e.height), &e.stored_len));
        }
        if h.encoding == Encoding::RawFixed as u8 && (e.width, e.height) != (h.fixed_w, h.fixed_h) {
            return Err(bad(24, &format!("{}x{}", h.fixed_w, h.fixed_h), &format!("{}x{}", e.width, e.height)));
        }
        let name = strings.get(e.name_off as usize..).and_then(|s| s.get(..usize::from(e.name_len)));
        if name.is_none_or(|n| std::str::from_utf8(n).is_err()) {
            return Err(bad(40, &format!("a UTF-8 name within {} bytes", strings.len()), &format!("{} + {}", e.name_off, e.name_len)));
        }
        if e.global_id < next_id {
            return Err(bad(32, &format!("a global id of at least {next_id}"), &e.global_id));
        }
        next_id = e.global_id.checked_add(1).ok_or_else(|| bad(32, &"a global id", &e.global_id))?;
    }
    Ok(())
}

fn read_classes(h: &Header, labels: &[u8], bad: Bad<'_>) -> Result<Vec<String>> {
    let table = u64::from(h.num_classes) * size_of::<ClassEntry>() as u64;
    if table > labels.len() as u64 {
        return Err(bad("LABELS", h.labels.off, &format!("a table of {table} bytes"), &labels.len()));
    }
    let (table, names) = labels.split_at(table as usize);
    let one = |(i, line): (usize, &[u8])| {
        let e: ClassEntry = bytemuck::pod_read_unaligned(line);
        let name = names.get(e.name_off as usize..).and_then(|n| n.get(..usize::from(e.name_len)));
        let name = name.and_then(|n| std::str::from_utf8(n).ok());
        name.map(str::to_owned).ok_or_else(|| bad("LABELS", h.labels.off + 8 * i as u64, &"a UTF-8 name", &format!("{e:?}")))
    };
    table.chunks_exact(8).enumerate().map(one).collect()
}
