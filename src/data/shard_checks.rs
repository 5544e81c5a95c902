//! What the header, the index and the class table of a shard must keep to before anything in them is believed. Each check names the byte
//! it is about; lengths are held against counts before memory is taken for them.

use super::format::*;
use crate::error::{Error, Result};
use crate::text::count;

/// Section, byte, expected, found.
pub type Bad<'a> = &'a dyn Fn(&str, u64, &dyn std::fmt::Display, &dyn std::fmt::Display) -> Error;

/// Version, features, lengths and section ranges.
pub fn check_header(h: &Header, len: u64, bad: Bad<'_>) -> Result<()> {
    if h.version_major != VERSION_MAJOR {
        return Err(bad("HEADER", 8, &format!("version {VERSION_MAJOR}"), &h.version_major)
            .because("the shard was written by another version of the format")
            .next("pack again with this program, or read it with the newer one"));
    }
    let fields: [(&str, u64, u64, u64); 7] = [
        ("header_len", 12, HEADER_LEN, h.header_len.into()),
        ("endian tag", 16, ENDIAN_TAG.into(), h.endian.into()),
        ("no unknown required features", 20, 0, (h.required_features & !KNOWN_REQUIRED).into()),
        ("record_entry_size", 28, ENTRY_LEN, h.entry_len.into()),
        ("layout HWC", 161, 0, h.layout.into()),
        ("channels", 162, CHANNELS as u64, h.channels.into()),
        ("colorspace sRGB", 163, 0, h.colorspace.into()),
    ];
    if h.file_len != len {
        let (should, is) = (count(h.file_len), count(len));
        return Err(bad("HEADER", 128, &format!("a file of {should} bytes"), &format!("one of {is}")).because(match len < h.file_len {
            true => format!("the file is cut short: it is {is} bytes and should be {should}; the copy or download did not finish"),
            false => format!("the file has grown: it is {is} bytes and should be {should}"),
        }));
    }
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
pub fn check_names(h: &Header, entries: &[Entry], bad: Bad<'_>) -> Result<()> {
    let named: u64 = entries.iter().map(|e| u64::from(e.name_len)).sum();
    if h.strings.len > named {
        return Err(bad("HEADER", 64, &format!("at most {named} bytes of STRINGS for the names in the index"), &h.strings.len));
    }
    Ok(())
}

/// Each entry: its CRC, range, order, label, name and size.
pub fn check_entries(h: &Header, entries: &[Entry], strings: &[u8], bad: Bad<'_>) -> Result<()> {
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
                return Err(bad(8, &"an image of some pixels and bytes", &format!("{}x{}, {} bytes", e.width, e.height, e.stored_len)));
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

pub fn read_classes(h: &Header, labels: &[u8], bad: Bad<'_>) -> Result<Vec<String>> {
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
