//! The bytes of a shard (`train-00017-of-00313.ies`), all little-endian:
//!
//! ```text
//! 0x0000  HEADER  4096 B: 240 B of fields, zeros, CRC32C of the page in its last 4 bytes
//! 0x1000  INDEX   record_count * 64 B
//!         STRINGS source-relative names, UTF-8, one after the other
//!         LABELS  class table: num_classes * {name_off u32, name_len u16, synset_len u16}, then the bytes of the names
//!         META    canonical JSON: where the shard comes from, exact channel sums
//!         DATA    records, each aligned to record_align
//!         FOOTER  64 B, the last bytes of the file: lengths again, SHA-256 of everything before it
//! ```
//!
//! Every section starts on a multiple of 4096 and the room between sections is zeros. INDEX to META are given room for the records
//! that were *planned*; a picture left out as unreadable leaves its room empty, so DATA starts where the plan says and records can be
//! written before the index is known. Why magic, footer and lengths: an interrupted or cut file is seen at open. Why a fixed-size
//! index: it is read in one go and checked before anything is believed. Cost: 64 B a record (82 MB for ImageNet).

use bytemuck::{Pod, Zeroable};

#[cfg(target_endian = "big")]
compile_error!("shards are little-endian and are read in place");

pub const MAGIC: [u8; 8] = *b"\x89IES\r\n\x1a\n";
pub const FOOTER_MAGIC: [u8; 8] = *b"IESEND\r\n";
pub const VERSION_MAJOR: u16 = 1;
/// 1.1 knows the jpeg encoding; what does not use it is still written as 1.0, the same bytes as before.
pub const VERSION_MINOR: u16 = 1;
pub const HEADER_LEN: u64 = 4096;
pub const ENTRY_LEN: u64 = 64;
pub const FOOTER_LEN: u64 = 64;
pub const PAGE: u64 = 4096;
pub const ENDIAN_TAG: u32 = 0x0102_0304;
/// Bit of `required_features`: records are JPEG files, to be decoded. Readers of 1.0 refuse it.
pub const FEATURE_JPEG: u32 = 1;
/// Bits of `required_features` that this reader understands.
pub const KNOWN_REQUIRED: u32 = FEATURE_JPEG;
pub const CHANNELS: usize = 3;
/// What a shard may hold at most, so that a lying header in a sparse file cannot ask for all of the memory. The writer keeps to it.
pub const MOST_RECORDS: u64 = 1 << 24;
pub const MOST_CLASSES: u64 = 1 << 20;
/// Bytes of all names of records together, and of the class table.
pub const MOST_NAMES: u64 = 1 << 30;
pub const MOST_META: u64 = 16 << 20;
/// Bytes of one name.
pub const LONGEST_NAME: u64 = u16::MAX as u64;

/// How the payload of a record is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Encoding {
    /// Every record is `fixed_w` x `fixed_h` x 3 bytes, HWC.
    RawFixed = 0,
    /// `w` x `h` x 3 bytes, HWC, sizes in the index.
    RawVar = 1,
    /// A JPEG file; `w` x `h` are the size that it decodes to.
    Jpeg = 2,
}

impl Encoding {
    pub fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::RawFixed),
            1 => Some(Self::RawVar),
            2 => Some(Self::Jpeg),
            _ => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::RawFixed => "raw_fixed",
            Self::RawVar => "raw_var",
            Self::Jpeg => "jpeg",
        }
    }

    /// Alignment of records: whole pages for equal squares, cache lines otherwise.
    pub fn align(self) -> u64 {
        match self {
            Self::RawFixed => 4096,
            Self::RawVar | Self::Jpeg => 64,
        }
    }

    /// Minor version and required features of a shard.
    pub fn needs(self) -> (u16, u32) {
        if self == Self::Jpeg { (VERSION_MINOR, FEATURE_JPEG) } else { (0, 0) }
    }
}

/// Bits of [`Entry::flags`].
pub mod flags {
    pub const WAS_CMYK: u8 = 1;
    pub const WAS_GRAY: u8 = 2;
    pub const WAS_PNG: u8 = 4;
    /// The file carried an EXIF orientation; it was not applied (as torchvision's loader).
    pub const EXIF_ROTATED: u8 = 8;
    pub const UPSCALED: u8 = 16;
    /// The file's EXIF block cannot be read to its end; the picture can.
    pub const EXIF_BROKEN: u8 = 32;
    /// Longer than 8:1; only the middle of the long side was kept.
    pub const LONG_SIDE_CROPPED: u8 = 64;
    pub const WAS_WEBP: u8 = 128;
}

/// A byte range of the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Range {
    pub off: u64,
    pub len: u64,
}

impl Range {
    /// One past the last byte; `None` on overflow.
    pub fn end(self) -> Option<u64> {
        self.off.checked_add(self.len)
    }
}

/// The fields at the start of the header page.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Header {
    pub magic: [u8; 8],
    pub version_major: u16,
    pub version_minor: u16,
    pub header_len: u32,
    pub endian: u32,
    pub required_features: u32,
    pub optional_features: u32,
    pub entry_len: u32,
    pub record_count: u64,
    pub index: Range,
    pub strings: Range,
    pub labels: Range,
    pub meta: Range,
    pub data: Range,
    pub footer_off: u64,
    pub file_len: u64,
    pub shard_index: u32,
    pub shard_count: u32,
    pub first_global_id: u64,
    pub num_classes: u32,
    pub record_align: u32,
    pub encoding: u8,
    pub layout: u8,
    pub channels: u8,
    pub colorspace: u8,
    pub fixed_w: u16,
    pub fixed_h: u16,
    /// Mean of this shard's pixels per channel, in [0, 1].
    pub mean: [f32; 3],
    /// Standard deviation of this shard's pixels per channel, in [0, 1].
    pub std: [f32; 3],
    pub dataset_id: [u8; 32],
    pub index_crc: u32,
    pub strings_crc: u32,
    pub labels_crc: u32,
    pub meta_crc: u32,
}
const _: () = assert!(size_of::<Header>() == 240);

/// Where the header's own CRC32C lies.
pub const HEADER_CRC_AT: usize = 4092;

impl Header {
    /// The header page with its CRC.
    pub fn encode(&self) -> [u8; HEADER_LEN as usize] {
        let mut page = [0; HEADER_LEN as usize];
        page[..size_of::<Self>()].copy_from_slice(bytemuck::bytes_of(self));
        let crc = crc32c::crc32c(&page[..HEADER_CRC_AT]);
        page[HEADER_CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        page
    }

    /// The fields, unchecked, of a header page.
    pub fn decode(page: &[u8; HEADER_LEN as usize]) -> Self {
        bytemuck::pod_read_unaligned(&page[..size_of::<Self>()])
    }

    /// The sections with their names, in the order in which they lie in the file.
    pub fn sections(&self) -> [(&'static str, Range); 5] {
        [("INDEX", self.index), ("STRINGS", self.strings), ("LABELS", self.labels), ("META", self.meta), ("DATA", self.data)]
    }
}

/// One line of the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Entry {
    /// From the start of the file.
    pub offset: u64,
    pub stored_len: u32,
    /// CRC32C of the payload.
    pub crc: u32,
    pub label: u32,
    pub encoding: u8,
    pub flags: u8,
    pub zero0: u16,
    pub width: u16,
    pub height: u16,
    pub orig_width: u16,
    pub orig_height: u16,
    pub global_id: u64,
    /// From the start of STRINGS.
    pub name_off: u32,
    pub name_len: u16,
    pub zero1: u16,
    /// First 8 bytes of the SHA-256 of the source file.
    pub source_sha: [u8; 8],
    pub zero2: u32,
    /// CRC32C of the 60 bytes before it.
    pub entry_crc: u32,
}
const _: () = assert!(size_of::<Entry>() == ENTRY_LEN as usize);

impl Entry {
    /// The CRC that `entry_crc` should hold.
    pub fn own_crc(&self) -> u32 {
        crc32c::crc32c(&bytemuck::bytes_of(self)[..60])
    }

    /// The same entry with its CRC made right.
    #[must_use]
    pub fn sealed(mut self) -> Self {
        self.entry_crc = self.own_crc();
        self
    }
}

/// One line of the class table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct ClassEntry {
    /// From the end of the table.
    pub name_off: u32,
    pub name_len: u16,
    /// Length of a second name (the words of a synset) following the first: 0 in this version.
    pub synset_len: u16,
}
const _: () = assert!(size_of::<ClassEntry>() == 8);

/// The last 64 bytes of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Footer {
    pub magic: [u8; 8],
    pub file_len: u64,
    pub header_crc: u32,
    pub index_crc: u32,
    /// SHA-256 of the bytes [0, footer_off).
    pub sha256: [u8; 32],
    pub zero: u32,
    /// CRC32C of the 60 bytes before it.
    pub footer_crc: u32,
}
const _: () = assert!(size_of::<Footer>() == FOOTER_LEN as usize);

impl Footer {
    /// The CRC that `footer_crc` should hold.
    pub fn own_crc(&self) -> u32 {
        crc32c::crc32c(&bytemuck::bytes_of(self)[..60])
    }

    /// The same footer with its CRC made right.
    #[must_use]
    pub fn sealed(mut self) -> Self {
        self.footer_crc = self.own_crc();
        self
    }
}

/// `value` rounded up to a multiple of `align` (a power of two).
pub fn align_up(value: u64, align: u64) -> u64 {
    value.next_multiple_of(align)
}

/// The file name of shard `index` of `count`.
pub fn shard_name(split: &str, index: u32, count: u32) -> String {
    format!("{split}-{index:05}-of-{count:05}.ies")
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_lie_where_the_format_says() {
        assert_eq!(std::mem::offset_of!(Header, record_count), 32);
        assert_eq!(std::mem::offset_of!(Header, footer_off), 120);
        assert_eq!(std::mem::offset_of!(Header, first_global_id), 144);
        assert_eq!(std::mem::offset_of!(Header, encoding), 160);
        assert_eq!(std::mem::offset_of!(Header, dataset_id), 192);
        assert_eq!(std::mem::offset_of!(Header, index_crc), 224);
        assert_eq!(std::mem::offset_of!(Entry, global_id), 32);
        assert_eq!(std::mem::offset_of!(Entry, source_sha), 48);
        assert_eq!(std::mem::offset_of!(Footer, sha256), 24);
    }
}
