//! Everything that reads bytes of others, each as a function of bytes: it may refuse them, and must not panic, hang or take memory.
//!
//! The fuzz targets of this folder call these, and so does `cargo test` (tests/data/fuzzing.rs) with the corpora, on any toolchain.

use imagenet_engine::data::format::*;
use imagenet_engine::data::shard::Shard;
use imagenet_engine::data::source::{self, Kind, SourceOptions};
use imagenet_engine::data::verify::{Depth, hash_shard, verify};
use imagenet_engine::data::{Dataset, Split, decode};
use imagenet_engine::progress::Silent;
use std::path::{Path, PathBuf};

/// What a target's name stands for.
pub type Target = (&'static str, fn(&[u8]));

/// The name of each target and its function.
pub const TARGETS: [Target; 9] = [
    ("shard", shard),
    ("shard_fields", shard_fields),
    ("manifest", manifest),
    ("tar", tar),
    ("devkit", devkit),
    ("meta_mat", meta_mat),
    ("list", list),
    ("picture", picture),
    ("checkpoint", checkpoint),
];

const SHARD: &str = "train-00000-of-00001.ies";
/// A whole shard of three pictures.
const WHOLE: &[u8] = include_bytes!("corpus/shard/raw");
const JPEG: &[u8] = include_bytes!("../tests/data/golden/gray.jpg");

thread_local! {
    static SCRATCH: tempfile::TempDir = {
        let memory = Path::new("/dev/shm");
        let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        made.expect("a folder for what is read from files")
    };
}

/// `bytes` as a file of this thread's own folder.
fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = SCRATCH.with(|dir| dir.path().join(name));
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).expect("a folder");
    }
    std::fs::write(&path, bytes).expect("a file");
    path
}

/// A shard file.
pub fn shard(bytes: &[u8]) {
    let Ok(shard) = Shard::open(&file(SHARD, bytes)) else { return };
    let mut copied = Vec::new();
    for (r, entry) in shard.entries.iter().enumerate() {
        assert!((entry.label as usize) < shard.classes.len());
        assert!(shard.describe(r).contains(shard.record_name(r)));
        let borrowed = shard.payload(r).ok().map(<[u8]>::to_vec);
        copied.clear();
        let read = shard.copy_payload(r, &mut copied).is_ok();
        assert_eq!(borrowed.as_deref(), read.then_some(&copied[..]));
        if read {
            assert!(copied.len() == entry.stored_len as usize && crc32c::crc32c(&copied) == entry.crc);
        }
    }
    let _ = hash_shard(&shard);
}

/// The fields of a shard, which is then put together with every checksum right: changed fields get past the checksums.
///
/// A byte of bits, the header's fields, then what follows the header's page. Bits: 1 the length of the file is told rightly, 2 so are
/// the places of the sections, one behind the other, 4 so is the length of the index.
pub fn shard_fields(bytes: &[u8]) {
    shard(&assemble(bytes));
}

/// The file that [`shard_fields`] makes.
pub fn assemble(bytes: &[u8]) -> Vec<u8> {
    let (&bits, rest) = bytes.split_first().unwrap_or((&7, &[]));
    let (fields, body) = rest.split_at(rest.len().min(size_of::<Header>()));
    let mut page = [0; HEADER_LEN as usize];
    page[..fields.len()].copy_from_slice(fields);
    let mut h = Header::decode(&page);
    let footer_off = (HEADER_LEN + body.len() as u64).next_multiple_of(FOOTER_LEN);
    if bits & 1 != 0 {
        (h.footer_off, h.file_len) = (footer_off, footer_off + FOOTER_LEN);
    }
    if bits & 4 != 0 {
        h.record_count %= 64;
        h.index.len = h.record_count * ENTRY_LEN;
    }
    if bits & 2 != 0 {
        let mut at = HEADER_LEN;
        for range in [&mut h.index, &mut h.strings, &mut h.labels, &mut h.meta, &mut h.data] {
            range.off = at;
            range.len = range.len.min(footer_off.saturating_sub(at));
            at += range.len;
        }
        h.data.len = footer_off.saturating_sub(h.data.off);
    }
    let mut out = vec![0; footer_off as usize];
    out[HEADER_LEN as usize..][..body.len()].copy_from_slice(body);
    let within = |r: Range| {
        let end = r.end().filter(|&end| r.off >= HEADER_LEN && end <= footer_off)?;
        Some(r.off as usize..end as usize)
    };
    if let Some(index) = within(h.index) {
        for entry in out[index].chunks_exact_mut(ENTRY_LEN as usize) {
            let sealed = bytemuck::pod_read_unaligned::<Entry>(entry).sealed();
            entry.copy_from_slice(bytemuck::bytes_of(&sealed));
        }
    }
    let crc = |r: Range| within(r).map_or(0, |r| crc32c::crc32c(&out[r]));
    (h.index_crc, h.strings_crc, h.labels_crc, h.meta_crc) = (crc(h.index), crc(h.strings), crc(h.labels), crc(h.meta));
    out[..HEADER_LEN as usize].copy_from_slice(&h.encode());
    let header_crc = crc32c::crc32c(&out[..HEADER_CRC_AT]);
    let footer =
        Footer { magic: FOOTER_MAGIC, file_len: h.file_len, header_crc, index_crc: h.index_crc, sha256: [0; 32], zero: 0, footer_crc: 0 };
    out.extend_from_slice(bytemuck::bytes_of(&footer.sealed()));
    out
}

/// The input of [`shard_fields`] for a whole shard, without the room between its sections.
pub fn disassemble(shard: &[u8]) -> Vec<u8> {
    let h = Header::decode(shard[..HEADER_LEN as usize].try_into().expect("a page"));
    let mut entries: Vec<Entry> =
        shard[h.index.off as usize..][..h.index.len as usize].chunks_exact(64).map(bytemuck::pod_read_unaligned).collect();
    let before = HEADER_LEN + h.index.len + h.strings.len + h.labels.len + h.meta.len;
    // Records need their alignment.
    let data_off = before.next_multiple_of(h.record_align.into());
    entries.iter_mut().for_each(|e| e.offset = e.offset - h.data.off + data_off);
    let mut out = [&[5][..], bytemuck::bytes_of(&Header { data: Range { off: data_off, ..h.data }, ..h })].concat();
    let (mut at, sections) = (HEADER_LEN, [h.strings, h.labels, h.meta]);
    let places = std::iter::once(h.index).chain(sections).map(|r| {
        at += r.len;
        at - r.len
    });
    for (field, place) in [40, 56, 72, 88].into_iter().zip(places) {
        out[1 + field..][..8].copy_from_slice(&place.to_le_bytes());
    }
    entries.iter().for_each(|e| out.extend_from_slice(bytemuck::bytes_of(e)));
    sections.iter().for_each(|r| out.extend_from_slice(&shard[r.off as usize..][..r.len as usize]));
    out.resize(out.len() + (data_off - before) as usize, 0);
    out.extend_from_slice(&shard[h.data.off as usize..][..h.data.len as usize]);
    out
}

/// `dataset.json` of a folder with one shard.
pub fn manifest(bytes: &[u8]) {
    file(&format!("set/{SHARD}"), WHOLE);
    let path = file("set/dataset.json", bytes);
    let dir = path.parent().expect("a folder");
    if let Ok(dataset) = Dataset::open(dir) {
        (0..dataset.len()).for_each(|i| drop(dataset.record(i).expect("the shard is whole")));
    }
    let _ = verify(dir, Depth::Full, &Silent);
}

/// Lists a source and reads what it lists.
fn read_all(input: &Path, kind: Kind, labels: Option<PathBuf>, split: Split) {
    let options = SourceOptions { kind: Some(kind), labels, ..SourceOptions::default() };
    let Ok(listing) = source::open(input, &options, split) else { return };
    let mut bytes = Vec::new();
    for f in &listing.files {
        assert!(f.trouble.is_some() || (f.label as usize) < listing.classes.len());
        assert!(f.path.split('/').all(|p| p != "..") || f.trouble.is_some(), "{}", f.path);
        let _ = listing.store.read(&f.path, &f.place, &mut bytes);
    }
}

/// A tar, taken for each thing that one can be.
pub fn tar(bytes: &[u8]) {
    let path = file("tars/train.tar", bytes);
    read_all(&path, Kind::TrainTar, None, Split::Train);
    read_all(&path, Kind::Webdataset, None, Split::Train);
    let labels = file("labels.txt", b"ILSVRC2012_val_00000001.JPEG 0\nILSVRC2012_val_00000002.JPEG 1\n");
    read_all(&path, Kind::ValTar, Some(labels), Split::Val);
}

/// The development kit, not compressed.
pub fn devkit(bytes: &[u8]) {
    let picture = file("flat/ILSVRC2012_val_00000001.JPEG", JPEG);
    let kit = file("kits/ILSVRC2012_devkit_t12.tar", bytes);
    read_all(picture.parent().expect("a folder"), Kind::Flat, Some(kit), Split::Val);
}

/// The development kit's `meta.mat`.
pub fn meta_mat(bytes: &[u8]) {
    let picture = file("flat/ILSVRC2012_val_00000001.JPEG", JPEG);
    file("unpacked/ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt", b"2\n4\n");
    let meta = file("unpacked/ILSVRC2012_devkit_t12/data/meta.mat", bytes);
    let kit = meta.ancestors().nth(2).expect("a folder");
    read_all(picture.parent().expect("a folder"), Kind::Flat, Some(kit.to_owned()), Split::Val);
}

/// A list of pictures, a file of labels, and one of class names.
pub fn list(bytes: &[u8]) {
    let picture = file("flat/ILSVRC2012_val_00000001.JPEG", JPEG);
    let list = file("flat/list.txt", bytes);
    let flat = picture.parent().expect("a folder");
    read_all(&list, Kind::List, None, Split::Train);
    read_all(flat, Kind::Flat, Some(list.clone()), Split::Val);
    let options = SourceOptions { kind: Some(Kind::List), class_names: Some(list), ..SourceOptions::default() };
    let _ = source::open(&file("flat/one.txt", b"ILSVRC2012_val_00000001.JPEG 0\n"), &options, Split::Train);
}

/// A picture file. Our decoders may not panic even though a panic would be caught, and give the same pixels by vectors and without.
pub fn picture(bytes: &[u8]) {
    let whole = decode::decode(bytes, 1 << 20);
    if let Ok((width, height)) = decode::size(bytes)
        && bytes.starts_with(b"\xff\xd8")
        && (1..=1 << 20).contains(&(u64::from(width) * u64::from(height)))
    {
        // A crop, chosen by the bytes, whether the rest is whole or not.
        let some = |k: u32, most: u32| bytes.iter().fold(k, |h, &b| h.wrapping_mul(31).wrapping_add(b.into())) % most;
        let (x, y) = (some(1, width), some(2, height));
        let (w, h) = (1 + some(3, width - x), 1 + some(4, height - y));
        let mut out = vec![0; 3 * w as usize * h as usize];
        let done = decode::Decoder::default().decode_region(bytes, (width, height), [x, y, w, h], &mut out);
        if let Ok(rgb) = &whole {
            let line = |row: u32| &rgb.pixels[3 * (row as usize * width as usize + x as usize)..][..3 * w as usize];
            assert_eq!(done, Ok(()));
            assert!(out.chunks_exact(3 * w as usize).zip(y..).all(|(part, row)| part == line(row)));
        }
        assert!(done.err().is_none_or(|e| !e.contains("gave up")));
    }
    match whole {
        Ok(rgb) => {
            assert_eq!(rgb.pixels.len(), rgb.width as usize * rgb.height as usize * 3);
            assert_eq!(decode::size(bytes), Ok((rgb.width, rgb.height)));
            if bytes.starts_with(b"\xff\xd8") {
                let scalar = decode::decode_jpeg_scalar(bytes).expect("it was decoded before");
                assert!(scalar.pixels == rgb.pixels);
            }
        }
        Err(e) => assert!(!e.contains("gave up"), "{e}"),
    }
}

/// A checkpoint or a file of weights.
pub fn checkpoint(bytes: &[u8]) {
    let _ = imagenet_engine::checkpoint::safetensors::parse(Path::new("x.safetensors"), bytes);
}
