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
            assert!(code == 0 && text.contains("1 shard made again"), "{kind}, {what}: {code} {text}");
            assert!(files(&bed.dir) == before, "{kind}, {what}: not as it was packed");
        }
    }
}

/// What is damaged stays until something better is there.
#[test]
fn a_repair_that_cannot_be_done_changes_nothing() {
    let tmp = tempfile::tempdir().unwrap();
    let bed = Bed::new(tmp.path(), KINDS[0], 1);
    let mut damaged = bed.bytes.clone();
    damaged[bed.records[2].start] ^= 4;
    std::fs::write(&bed.shard, &damaged).unwrap();
    let before = files(&bed.dir);
    let (d, i) = (bed.dir.to_str().unwrap(), bed.input.to_str().unwrap());
    let manifest = bed.dir.join("dataset.json");
    let text = std::fs::read_to_string(&manifest).unwrap();
    // The list says that the shard has another sum: what is made cannot be it. With the damaged shard there, and with none.
    let sha = text.split("\"sha256\": \"").nth(1).unwrap()[..64].to_owned();
    std::fs::write(&manifest, text.replace(&sha, &sha.chars().rev().collect::<String>())).unwrap();
    let (code, said) = call(&["verify", d, "--repair-from", i]);
    assert!(code == 65 && said.contains("the shard came out different"), "{said}");
    assert!(std::fs::read(&bed.shard).unwrap() == damaged);
    std::fs::remove_file(&bed.shard).unwrap();
    let (code, said) = call(&["verify", d, "--repair-from", i]);
    assert!(code == 65 && said.contains("the shard came out different") && !bed.shard.exists(), "{said}");
    std::fs::write(&manifest, text).unwrap();
    std::fs::write(&bed.shard, &damaged).unwrap();
    // Killed where the new shard is about to be renamed, and within it: the next repair is the same as the first.
    for point in ["before-fsync", "after-rename"] {
        let killed = program(&["verify", d, "--repair-from", i]).env("IE_FAILPOINT", point).output().unwrap();
        assert!(killed.status.code().is_none(), "{point}: {killed:?}");
        assert!(std::fs::read(&bed.shard).unwrap() == damaged, "{point}");
    }
    let (code, said) = call(&["verify", d, "--repair-from", i]);
    assert!(code == 0 && std::fs::read(&bed.shard).unwrap() == bed.bytes, "{said}");
    let whole = files(&bed.dir);
    assert!(whole.keys().eq(before.keys()) && std::fs::read_dir(&bed.dir).unwrap().count() == whole.len(), "something was left");
}

/// Where only a list is damaged, what the error says to do helps.
#[test]
fn damaged_lists_are_made_anew_by_the_same_pack() {
    let tmp = tempfile::tempdir().unwrap();
    let (input, out) = (tmp.path().join("in"), tmp.path().join("out"));
    tree(&input, 3, 8, 40, 1);
    let (i, o) = (input.to_str().unwrap(), out.to_str().unwrap());
    let pack = ["pack", "--input", i, "--output", o, "--resize", "32", "--records-per-shard", "8"];
    assert_eq!(call(&pack).0, 0);
    let before = files(&out);
    for list in ["SHA256SUMS", "dataset.json"] {
        let mut bytes = before[list].clone();
        bytes[20] ^= 1;
        std::fs::write(out.join(list), bytes).unwrap();
        let (code, said) = call(&["verify", o]);
        assert!(code == 65 && said.contains("remove dataset.json and run the same pack command again"), "{list}: {said}");
        std::fs::remove_file(out.join("dataset.json")).unwrap();
        let (code, said) = call(&pack);
        assert!(code == 0 && said.contains("3 shards of an earlier run were kept"), "{list}: {said}");
        assert!(files(&out) == before, "{list}");
    }
}
