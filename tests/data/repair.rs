//! `verify --repair-from` after every kind of damage, and what it leaves when it cannot go on.

use super::common::*;
use super::damage_bed::{Bed, KINDS, VICTIM};
use super::damage_fields::remake;

#[test]
fn every_kind_of_damage_is_repaired_to_the_packed_bytes() {
    let tmp = tempfile::tempdir().unwrap();
    for (k, kind) in KINDS.into_iter().enumerate() {
        let bed = Bed::new(tmp.path(), kind, 1);
        let other = std::fs::read(Bed::new(tmp.path(), kind, 2).shard).unwrap();
        let before = files(&bed.dir);
        let (good, record) = (&bed.bytes, bed.records[2].start);
        let changed = |at: usize| {
            let mut bytes = good.clone();
            bytes[at] ^= 4;
            bytes
        };
        let mut zeroed = good.clone();
        zeroed[record..record + 64].fill(0);
        let mut damages: Vec<(&str, Option<Vec<u8>>)> = vec![
            ("header", Some(changed(33))),
            ("index", Some(changed(4096 + 70))),
            ("record", Some(changed(record + 1))),
            ("padding", Some(changed(4096 + 6 * 64 + 8))),
            ("footer", Some(changed(good.len() - 20))),
            ("cut", Some(good[..good.len() / 2].to_vec())),
            ("empty", Some(Vec::new())),
            ("zeros", Some(zeroed)),
            ("longer", Some([&good[..], b"x"].concat())),
            ("another's", Some(other)),
            ("lying label", Some(remake(good, |p| p.entries[0].label = 2 - p.entries[0].label))),
            ("lying version", Some(remake(good, |p| p.header.version_major = 2))),
            ("gone", None),
        ];
        if k > 0 && !long() {
            damages.truncate(3); // each runs the program three times
        }
        let (d, i) = (bed.dir.to_str().unwrap(), bed.input.to_str().unwrap());
        for (what, damage) in damages {
            match damage {
                Some(bytes) => std::fs::write(&bed.shard, bytes).unwrap(),
                None => std::fs::remove_file(&bed.shard).unwrap(),
            }
            let (code, text) = call(&["verify", d]);
            assert!(code == 65 && text.contains(VICTIM), "{kind}, {what}: {code} {text}");
            let (code, text) = call(&["verify", d, "--repair-from", i]);
            assert!(code == 0 && text.contains("1 shards made again"), "{kind}, {what}: {code} {text}");
            assert!(files(&bed.dir) == before, "{kind}, {what}: not as it was packed");
        }
    }
}
