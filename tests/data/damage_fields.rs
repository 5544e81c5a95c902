//! Fields that lie, with every checksum made right again: errors, never panics, and no wrong picture.

use super::common::*;
use super::damage_bed::{Bed, KINDS, use_all};
use imagenet_engine::data::format::*;
use imagenet_engine::rng::{Purpose, Stream};
use sha2::Digest;

/// The parts of a shard that can lie.
pub struct Parts {
    pub header: Header,
    pub entries: Vec<Entry>,
    pub strings: Vec<u8>,
    pub labels: Vec<u8>,
    pub meta: Vec<u8>,
    pub footer: Footer,
}

/// Rewrites the shard with changed parts, each where it lay and as long as it was, and every checksum made right again.
pub fn remake(bytes: &[u8], change: impl FnOnce(&mut Parts)) -> Vec<u8> {
    let header = Header::decode(bytes[..4096].try_into().unwrap());
    let part = |r: Range| bytes[r.off as usize..(r.off + r.len) as usize].to_vec();
    let at = header.footer_off as usize;
    let mut p = Parts {
        header,
        entries: part(header.index).chunks_exact(64).map(bytemuck::pod_read_unaligned).collect(),
        strings: part(header.strings),
        labels: part(header.labels),
        meta: part(header.meta),
        footer: bytemuck::pod_read_unaligned(&bytes[at..at + 64]),
    };
    change(&mut p);
    let mut out = bytes.to_vec();
    let index: Vec<u8> = p.entries.iter().flat_map(|e| bytemuck::bytes_of(&e.sealed()).to_vec()).collect();
    for (range, content) in [(header.index, &index), (header.strings, &p.strings), (header.labels, &p.labels), (header.meta, &p.meta)] {
        out[range.off as usize..range.off as usize + content.len()].copy_from_slice(content);
    }
    let crc = |b: &[u8]| crc32c::crc32c(b);
    let mut h = p.header;
    (h.index_crc, h.strings_crc, h.labels_crc, h.meta_crc) = (crc(&index), crc(&p.strings), crc(&p.labels), crc(&p.meta));
    out[..4096].copy_from_slice(&h.encode());
    let mut footer = p.footer;
    footer.header_crc = u32::from_le_bytes(out[4092..4096].try_into().unwrap());
    footer.index_crc = h.index_crc;
    footer.sha256 = sha2::Sha256::digest(&out[..at]).into();
    out[at..at + 64].copy_from_slice(bytemuck::bytes_of(&footer.sealed()));
    out
}

type Change = Box<dyn Fn(&mut Parts)>;

/// One lie of each kind that a reader must refuse.
fn refused() -> Vec<(&'static str, Change)> {
    fn header(what: &'static str, change: impl Fn(&mut Header) + 'static) -> (&'static str, Change) {
        (what, Box::new(move |p| change(&mut p.header)))
    }
    fn entry(what: &'static str, change: impl Fn(&mut [Entry]) + 'static) -> (&'static str, Change) {
        (what, Box::new(move |p| change(&mut p.entries)))
    }
    vec![
        header("version + 1", |h| h.version_major += 1),
        header("unknown required bit", |h| h.required_features |= 1 << 9),
        header("endian tag", |h| h.endian = h.endian.swap_bytes()),
        header("no classes", |h| h.num_classes = 0),
        header("four billion classes", |h| h.num_classes = u32::MAX),
        header("record count", |h| h.record_count += 1),
        header("record count that overflows", |h| h.record_count = 1 << 58),
        header("count and length that agree", |h| (h.record_count, h.index.len) = (1 << 50, 1 << 56)),
        header("encoding", |h| h.encoding = 9),
        header("alignment", |h| h.record_align = 0),
        header("channels", |h| h.channels = 4),
        header("shard index", |h| h.shard_index = 5),
        header("shard count", |h| h.shard_count = 0),
        header("dataset id", |h| h.dataset_id[3] ^= 1),
        header("first global id", |h| h.first_global_id = u64::MAX),
        header("overlapping sections", |h| h.strings.off = h.index.off),
        header("a section that ends beyond all", |h| h.meta.off = u64::MAX),
        entry("overlapping records", |e| e[3].offset = e[2].offset),
        entry("records in the wrong order", |e| e.swap(1, 2)),
        entry("label out of range", |e| e[0].label = 3),
        entry("other label", |e| e[0].label = (e[0].label + 1) % 3),
        entry("no pixels", |e| (e[4].width, e[4].stored_len) = (0, 0)),
        entry("name outside", |e| e[4].name_len = u16::MAX),
        entry("entry encoding", |e| e[4].encoding ^= 3),
        entry("same global id", |e| e[4].global_id = e[3].global_id),
        entry("global id without a next", |e| e[5].global_id = u64::MAX),
        entry("unaligned", |e| e[4].offset += 1),
        entry("offset that overflows", |e| e[4].offset = u64::MAX - 63),
        entry("payload checksum", |e| e[4].crc ^= 1),
        entry("width", |e| e[4].width += 1),
        ("a name that is no text", Box::new(|p| p.strings[0] = 0xff)),
        ("a class name outside", Box::new(|p| p.labels[4] = 255)),
        ("another class name", Box::new(|p| *p.labels.last_mut().unwrap() ^= 1)),
        ("meta that is no text", Box::new(|p| p.meta[0] = 0xff)),
        ("footer length", Box::new(|p| p.footer.file_len += 1)),
        ("footer magic", Box::new(|p| p.footer.magic[0] ^= 1)),
    ]
}

#[test]
fn lying_fields_are_refused_when_opened_or_read() {
    let tmp = tempfile::tempdir().unwrap();
    for kind in KINDS {
        let mut bed = Bed::new(tmp.path(), kind, 1);
        assert!(remake(&bed.bytes, |_| {}) == bed.bytes, "made again without a change it must be the same, or this test shows nothing");
        for (what, change) in refused() {
            let damaged = remake(&bed.bytes, |p| change(p));
            assert!(bed.found(&damaged, what), "{kind}: {what}: accepted");
        }
    }
}

/// Any field as any number that people or bits get wrong.
#[test]
fn every_field_with_wrong_values() {
    let tmp = tempfile::tempdir().unwrap();
    let mut beds: Vec<Bed> = KINDS.iter().map(|kind| Bed::new(tmp.path(), kind, 1)).collect();
    let mut s = Stream::new(17, Purpose::Test, 0, 0);
    let count = rounds(300, 1_000);
    let (mut at_use, mut done) = (0, 0);
    while done < count {
        let bed = &mut beds[done % KINDS.len()];
        let what = format!("round {done}");
        let damaged = remake(&bed.bytes, |p| lie(p, bed.bytes.len() as u64, &mut s));
        if damaged == bed.bytes {
            continue; // the field held that value already
        }
        at_use += usize::from(bed.found(&damaged, &what));
        done += 1;
    }
    let slowest = beds.iter().map(|b| b.slowest).max().unwrap();
    eprintln!(
        "field mutations: {done} of {done} found by verify, {at_use} of them when opened or read (the others change no picture); \
         the slowest took {slowest:.1?}; peak memory {} MB",
        peak_mb()
    );
    assert!(at_use > done / 2, "{at_use} of {done}: the test shows little");
    assert!(!long() || peak_mb() < 256, "{} MB", peak_mb());
}

/// Offset and bytes of every field of the header; the checksums are made right again afterwards.
const HEADER_FIELDS: [(usize, usize); 38] = [
    (0, 8),
    (8, 2),
    (10, 2),
    (12, 4),
    (16, 4),
    (20, 4),
    (24, 4),
    (28, 4),
    (32, 8),
    (40, 8),
    (48, 8),
    (56, 8),
    (64, 8),
    (72, 8),
    (80, 8),
    (88, 8),
    (96, 8),
    (104, 8),
    (112, 8),
    (120, 8),
    (128, 8),
    (136, 4),
    (140, 4),
    (144, 8),
    (152, 4),
    (156, 4),
    (160, 1),
    (161, 1),
    (162, 1),
    (163, 1),
    (164, 2),
    (166, 2),
    (168, 4),
    (180, 4),
    (192, 8),
    (200, 8),
    (208, 8),
    (216, 8),
];
const ENTRY_FIELDS: [(usize, usize); 16] = [
    (0, 8),
    (8, 4),
    (12, 4),
    (16, 4),
    (20, 1),
    (21, 1),
    (22, 2),
    (24, 2),
    (26, 2),
    (28, 2),
    (30, 2),
    (32, 8),
    (40, 4),
    (44, 2),
    (48, 8),
    (56, 4),
];

fn lie(p: &mut Parts, file: u64, s: &mut Stream) {
    let pick = |s: &mut Stream, n: usize| s.below(n as u32) as usize;
    match pick(s, 10) {
        0..=3 => {
            let (at, len) = HEADER_FIELDS[pick(s, HEADER_FIELDS.len())];
            wrong(&mut bytemuck::bytes_of_mut(&mut p.header)[at..at + len], file, s);
        }
        4..=7 => {
            let (at, len) = ENTRY_FIELDS[pick(s, ENTRY_FIELDS.len())];
            let r = pick(s, p.entries.len());
            wrong(&mut bytemuck::bytes_of_mut(&mut p.entries[r])[at..at + len], file, s);
        }
        8 => {
            let (at, len) = [(0, 4), (4, 2), (6, 2)][pick(s, 3)];
            let class = 8 * pick(s, 3);
            wrong(&mut p.labels[class + at..class + at + len], file, s);
        }
        _ => {
            let part = match pick(s, 3) {
                0 => &mut p.strings,
                1 => &mut p.labels,
                _ => &mut p.meta,
            };
            let at = pick(s, part.len());
            wrong(&mut part[at..=at], file, s);
        }
    }
}

/// Puts a wrong number into a little-endian field.
fn wrong(field: &mut [u8], file: u64, s: &mut Stream) {
    let bits = 8 * field.len() as u32;
    let mut old = [0; 8];
    old[..field.len()].copy_from_slice(field);
    let (old, max) = (u64::from_le_bytes(old), u64::MAX >> (64 - bits));
    let menu = [
        0,
        1,
        max,
        max - 1,
        max / 2,
        max / 2 + 1,
        old.wrapping_add(1),
        old.wrapping_sub(1),
        old ^ 1 << s.below(bits),
        old << 8,
        file,
        file - 64,
        4096,
        u64::from(s.next_u32()),
    ];
    let new = menu[s.below(menu.len() as u32) as usize] & max;
    field.copy_from_slice(&new.to_le_bytes()[..field.len()]);
}

/// It is the fields that are refused above, and not the making again.
#[test]
fn a_shard_made_again_opens() {
    let tmp = tempfile::tempdir().unwrap();
    let bed = Bed::new(tmp.path(), "short", 1);
    std::fs::write(&bed.shard, remake(&bed.bytes, |p| p.header.mean[0] += 1.0)).unwrap();
    assert!(use_all(&bed.dir).is_ok());
}
