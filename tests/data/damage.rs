//! Damage as a user meets it: what the program says, a shard cut while in use, sizes that lie. Counted damage is in `damage_bytes` and
//! `damage_fields`.

use super::common::*;
use imagenet_engine::data::Dataset;
use imagenet_engine::data::format::*;
use imagenet_engine::data::plan::PlanOptions;
use imagenet_engine::data::verify::{Depth, verify};
use imagenet_engine::progress::Silent;
use imagenet_engine::rng::{Purpose, Stream};
use std::path::{Path, PathBuf};

/// A small data set of one shard, and its bytes.
pub fn small(tmp: &Path) -> (PathBuf, PathBuf, Vec<u8>) {
    let (input, out) = (tmp.join("in"), tmp.join("out"));
    tree(&input, 3, 4, 20, 1);
    let base = options(&input, &out);
    run(&imagenet_engine::data::pack::PackOptions { plan: PlanOptions { size: 16, records_per_shard: 99, ..base.plan.clone() }, ..base })
        .unwrap();
    let shard = out.join("train-00000-of-00001.ies");
    let bytes = std::fs::read(&shard).unwrap();
    (out, shard, bytes)
}

#[test]
fn the_program_reports_record_and_byte_and_repairs() {
    let tmp = tempfile::tempdir().unwrap();
    let (dir, shard, bytes) = small(tmp.path());
    let dataset = Dataset::open(&dir).unwrap();
    let entry = dataset.shards()[0].entries[5];
    let name = dataset.describe(5).unwrap().name.to_owned();
    let mut damaged = bytes.clone();
    damaged[entry.offset as usize + 7] ^= 0x10;
    std::fs::write(&shard, &damaged).unwrap();
    let d = dir.to_str().unwrap();
    let (code, text) = call(&["verify", d]);
    assert_eq!(code, 65);
    for words in ["record 5", &format!("global {}", entry.global_id), &name, &format!("byte {}", entry.offset), "train-00000-of-00001.ies"]
    {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert_eq!(call(&["verify", d, "--quick"]).0, 0, "quick looks at the structure alone");
    let (code, text) = call(&["verify", d, "--repair-from", tmp.path().join("in").to_str().unwrap()]);
    assert!(code == 0 && text.contains("1 shard made again"), "{text}");
    assert_eq!(std::fs::read(&shard).unwrap(), bytes, "the repaired shard has the packed bytes");
    // Other pictures are no source for a repair.
    std::fs::write(&shard, &damaged).unwrap();
    let other = tmp.path().join("other");
    tree(&other, 3, 4, 20, 2);
    let (code, text) = call(&["verify", d, "--repair-from", other.to_str().unwrap()]);
    assert!(code == 65 && text.contains("not those that were packed"), "{text}");
    assert_eq!(std::fs::read(&shard).unwrap(), damaged, "nothing was touched");
}

#[test]
fn a_manifest_that_was_changed_is_found() {
    let tmp = tempfile::tempdir().unwrap();
    let (dir, _, _) = small(tmp.path());
    let path = dir.join("dataset.json");
    let good = std::fs::read(&path).unwrap();
    let mut s = Stream::new(12, Purpose::Test, 0, 0);
    for _ in 0..200 {
        let mut bytes = good.clone();
        let at = s.below(bytes.len() as u32) as usize;
        bytes[at] ^= 1 << s.below(8);
        std::fs::write(&path, &bytes).unwrap();
        // Either it cannot be read any more, or SHA256SUMS tells.
        assert!(verify(&dir, Depth::Full, &Silent).map_or(true, |r| !r.damage.is_empty()), "byte {at}");
    }
    for text in ["", "{}", "[1]", "<html>", "{\"format_version\": 99}"] {
        std::fs::write(&path, text).unwrap();
        assert_eq!(Dataset::open(&dir).unwrap_err().exit_code(), 65, "{text}");
    }
}

#[test]
fn a_shard_cut_while_in_use_is_an_error() {
    let tmp = tempfile::tempdir().unwrap();
    let (dir, shard, bytes) = small(tmp.path());
    let dataset = Dataset::open(&dir).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(&shard).unwrap();
    for len in [bytes.len() as u64 - 4096, 4096, 0] {
        file.set_len(len).unwrap();
        let last = dataset.len() - 1;
        for error in [dataset.record(last).err(), dataset.read_pixels(last, &mut vec![0; room(&dataset, last)]).err()] {
            // A copy of a record that still is there whole may succeed; it is what was packed.
            if len < 4096 * 2 {
                let error = error.expect("a cut shard was read");
                assert!(error.exit_code() == 65 && error.to_string().contains("cut while in use"), "{error}");
            }
        }
        assert!(dataset.record(last).is_err(), "the map is not used once the length is wrong");
    }
}

#[test]
fn shards_of_another_data_set_are_refused() {
    let tmp = tempfile::tempdir().unwrap();
    let (dir, shard, _) = small(tmp.path());
    let input = tmp.path().join("in2");
    tree(&input, 3, 4, 20, 77);
    let base = options(&input, &tmp.path().join("out2"));
    run(&imagenet_engine::data::pack::PackOptions { plan: PlanOptions { size: 16, records_per_shard: 99, ..base.plan.clone() }, ..base })
        .unwrap();
    std::fs::copy(tmp.path().join("out2/train-00000-of-00001.ies"), &shard).unwrap();
    let error = Dataset::open(&dir).unwrap_err();
    assert!(error.to_string().contains("dataset_id"), "{error}");
}

/// A sparse file may be as long as it likes: what its header asks memory for is bounded by its counts before anything is read.
#[test]
fn sections_are_no_longer_than_the_counts_allow() {
    let tmp = tempfile::tempdir().unwrap();
    let (_, shard, bytes) = small(tmp.path());
    let len = 1u64 << 36;
    // The sections in a row, as long as they lie, in a file of 64 GiB of nothing.
    let sparse = |change: &dyn Fn(&mut Header)| {
        let mut out = bytes[..bytes.len() - 64].to_vec();
        let mut h = Header::decode(bytes[..4096].try_into().unwrap());
        let footer: Footer = bytemuck::pod_read_unaligned(&bytes[bytes.len() - 64..]);
        (h.file_len, h.footer_off) = (len, len - 64);
        change(&mut h);
        let mut at = h.strings.off;
        for range in [&mut h.strings, &mut h.labels, &mut h.meta, &mut h.data] {
            range.off = at;
            at = align_up(at + range.len, 4096);
        }
        out[..4096].copy_from_slice(&h.encode());
        let footer = Footer { file_len: len, header_crc: u32::from_le_bytes(out[4092..4096].try_into().unwrap()), ..footer };
        std::fs::write(&shard, &out).unwrap();
        let file = std::fs::OpenOptions::new().write(true).open(&shard).unwrap();
        file.set_len(len).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, bytemuck::bytes_of(&footer.sealed()), len - 64).unwrap();
        imagenet_engine::data::shard::Shard::open(&shard).unwrap_err().to_string()
    };
    let records = 12u64;
    for (what, offset, change) in [
        ("STRINGS for that many records", 64, &(|h: &mut Header| h.strings.len = records * 65_535 + 1) as &dyn Fn(&mut Header)),
        ("STRINGS for the names in the index", 64, &|h: &mut Header| h.strings.len = records * 65_535),
        ("LABELS for that many classes", 80, &|h: &mut Header| h.labels.len = 3 * (8 + 2 * 65_535) + 1),
        ("META", 96, &|h: &mut Header| h.meta.len = (16 << 20) + 1),
        ("at most 1048576 classes", 152, &|h: &mut Header| h.num_classes = u32::MAX),
        ("at most 16777216 records", 32, &|h: &mut Header| {
            (h.record_count, h.index.len) = (1 << 25, 64 << 25);
            h.strings.off = h.index.off + h.index.len;
        }),
    ] {
        let error = sparse(change);
        let place = format!("train-00000-of-00001.ies: HEADER @{offset}: ");
        assert!(error.contains(what) && error.contains(&place), "{what}: {error}");
    }
    // Lengths that are allowed go on to the next check: the records are no longer where DATA is.
    let error = sparse(&|h| (h.meta.len, h.labels.len) = (16 << 20, 3 * (8 + 2 * 65_535)));
    assert!(error.contains("INDEX record 0 @4096: expected bytes within"), "{error}");
}
