//! Zips of every layout give the shards of the folder; damaged, lying and hostile ones are named. The writer here is a few lines of its own.

use super::archives::{listing, read_all};
use super::common::*;
use super::hostile::{fails, kind};
use super::sources::{Pictures, WNIDS, packed, pictures, tar_of, write};
use imagenet_engine::data::Split;
use imagenet_engine::data::source::{Kind, SourceOptions, open};
use imagenet_engine::rng::{Purpose, Stream};
use std::io::Write;
use std::path::Path;

/// A zip of members in this order, every second one deflated.
pub fn zip_of(members: &[(String, &[u8])]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for (i, (name, content)) in members.iter().enumerate() {
        let mut sum = flate2::Crc::new();
        sum.update(content);
        let mut deflate = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        deflate.write_all(content).unwrap();
        let data = if i % 2 == 1 { deflate.finish().unwrap() } else { content.to_vec() };
        let mut common = [20u16, 1 << 11, if i % 2 == 1 { 8 } else { 0 }, 0, 0].map(u16::to_le_bytes).concat();
        common.extend([sum.sum(), data.len() as u32, content.len() as u32].map(u32::to_le_bytes).concat());
        common.extend([name.len() as u16, 0].map(u16::to_le_bytes).concat());
        let at = out.len() as u32;
        out.extend([b"PK\x03\x04", &common[..], name.as_bytes(), &data].concat());
        let rest = [0u16, 0, 0, 0, 0].map(u16::to_le_bytes).concat();
        directory.extend([b"PK\x01\x02", &[20, 3][..], &common, &rest, &at.to_le_bytes(), name.as_bytes()].concat());
    }
    let (at, count) = (out.len() as u32, members.len() as u16);
    out.extend_from_slice(&directory);
    out.extend([b"PK\x05\x06", &[0, 0, 0, 0][..], &count.to_le_bytes(), &count.to_le_bytes()].concat());
    out.extend([(directory.len() as u32).to_le_bytes(), at.to_le_bytes()].concat());
    out.extend([0, 0]);
    out
}

fn few(split: Split) -> Pictures {
    pictures(split).into_iter().filter(|p| p.2.len() < 9000).take(8).collect()
}

fn members(pictures: &Pictures, name: impl Fn(&(usize, String, Vec<u8>)) -> String) -> Vec<(String, &[u8])> {
    pictures.iter().map(|p| (name(p), &p.2[..])).collect()
}

#[test]
fn every_layout_is_read_from_zips() {
    let tmp = tempfile::tempdir().unwrap();
    let train = few(Split::Train);
    let tree = tmp.path().join("tree");
    train.iter().for_each(|p| write(&tree.join(WNIDS[p.0]).join(&p.1), &p.2));
    let auto = SourceOptions::default;
    let expected = packed(&tree, Split::Train, auto()).0;
    let file = tmp.path().join("some.zip");
    for above in ["", "train/", "imagenet/train/", "ILSVRC/Data/CLS-LOC/train/"] {
        let mut all = members(&train, |p| format!("{above}{}/{}", WNIDS[p.0], p.1));
        all.push(("__MACOSX/train/n01/._x.JPEG".to_owned(), b"of a Mac"));
        all.push((format!("{above}{}/.ipynb_checkpoints/x.jpg", WNIDS[0]), b"of a notebook"));
        write(&file, &zip_of(&all));
        assert!(packed(&file, Split::Train, auto()).0 == expected, "{above}");
    }
    // A zip in a tar's clothes, and the other way round.
    let wrong = tmp.path().join("some.tar");
    std::fs::rename(&file, &wrong).unwrap();
    assert!(packed(&wrong, Split::Train, auto()).0 == expected);
    write(&file, &tar_of(&members(&train, |p| format!("{}/{}", WNIDS[p.0], p.1))));
    assert!(packed(&file, Split::Train, auto()).0 == expected);
    // A folder of class zips.
    let folder = tmp.path().join("classes");
    for class in train.iter().map(|p| p.0) {
        let of: Pictures = train.iter().filter(|p| p.0 == class).cloned().collect();
        write(&folder.join(format!("{}.zip", WNIDS[class])), &zip_of(&members(&of, |p| p.1.clone())));
    }
    assert!(packed(&folder, Split::Train, auto()).0 == expected);
    // WebDataset-like.
    let labels: Vec<String> = train.iter().map(|p| p.0.to_string()).collect();
    let mut samples = Vec::new();
    for (p, label) in train.iter().zip(&labels) {
        samples.extend([(p.1.clone(), &p.2[..]), (p.1.replace(".JPEG", ".cls"), label.as_bytes())]);
    }
    let (shard, class_names) = (tmp.path().join("wds/train-0.zip"), tmp.path().join("names.txt"));
    write(&shard, &zip_of(&samples));
    write(&class_names, WNIDS.join("\n").as_bytes());
    let names = SourceOptions { class_names: Some(class_names), ..auto() };
    let (_, report) = packed(&shard, Split::Train, names);
    assert!(report.bad.is_empty() && report.manifest.records == train.len() as u64, "{report:?}");
    // Flat, labels beside it.
    let val = few(Split::Val);
    let tree = tmp.path().join("val");
    val.iter().for_each(|p| write(&tree.join(WNIDS[p.0]).join(&p.1), &p.2));
    write(&file, &zip_of(&members(&val, |p| p.1.clone())));
    let list = tmp.path().join("labels.txt");
    write(&list, val.iter().map(|p| format!("{} {}\n", p.1, WNIDS[p.0])).collect::<String>().as_bytes());
    let labels = SourceOptions { labels: Some(list), ..auto() };
    assert!(packed(&file, Split::Val, labels).0 == packed(&tree, Split::Val, auto()).0);
}

#[test]
fn joined_zips_and_odd_ends() {
    let tmp = tempfile::tempdir().unwrap();
    let file = tmp.path().join("train.zip");
    let all = few(Split::Train);
    let zips: Vec<Vec<u8>> = all.chunks(3).map(|c| zip_of(&members(&c.to_vec(), |p| format!("{}/{}", WNIDS[p.0], p.1)))).collect();
    let whole = zip_of(&members(&all, |p| format!("{}/{}", WNIDS[p.0], p.1)));
    write(&file, &whole);
    let expected = read_all(&listing(&file));
    assert!(expected.0.len() == all.len() && expected.1.is_empty());
    write(&file, &zips.concat());
    let joined = listing(&file);
    assert!(read_all(&joined) == expected && joined.notes.iter().any(|n| n.contains("3 zips, one after the other")), "{:?}", joined.notes);
    write(&file, &[b"#!/bin/sh\n", &whole[..], b"tail"].concat());
    let odd = listing(&file);
    assert!(read_all(&odd) == expected);
    for note in ["10 bytes before the zip", "4 bytes after the end"] {
        assert!(odd.notes.iter().any(|n| n.contains(note)), "{:?}", odd.notes);
    }
    // A comment that looks like an end.
    let mut commented = whole.clone();
    let len = commented.len();
    commented[len - 2] = 30;
    commented.extend([b"PK\x05\x06", &[7; 26][..]].concat());
    write(&file, &commented);
    assert!(read_all(&listing(&file)) == expected);
    write(&file, &[&whole[..], &zips[0][..zips[0].len() / 2]].concat());
    let text = fails(&file, Split::Train, SourceOptions::default()).to_string();
    assert!(text.contains("zip archive damaged"), "{text}");
}

#[test]
fn damaged_zips_name_file_and_byte() {
    let tmp = tempfile::tempdir().unwrap();
    let file = tmp.path().join("train.zip");
    let all = few(Split::Train);
    let whole = zip_of(&members(&all, |p| format!("{}/{}", WNIDS[p.0], p.1)));
    let mut s = Stream::new(61, Purpose::Test, 0, 0);
    for len in [0, 3, 21, whole.len() - 1, whole.len() - 22].into_iter().chain((0..30).map(|_| s.below(whole.len() as u32) as usize)) {
        write(&file, &whole[..len]);
        let error = fails(&file, Split::Train, SourceOptions::default());
        let text = error.to_string();
        assert!(error.exit_code() == 65 && text.contains("train.zip, byte ") && text.contains("zip"), "{len}: {text}");
    }
    // The central directory, field by field.
    let at = whole.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
    let end = whole.len() - 22;
    for (place, value, words) in [
        (at, 0u8, "no entry of the central directory"),
        (at + 43, 0x7f, "beyond the central directory"),
        (at + 23, 0x7f, "beyond the central directory"),
        (at + 29, 0xff, "no entry"),
        (end + 10, 77, "77 members are said to be there"),
        (end + 15, 0x7f, "does not fit"),
        (end + 19, 0x7f, "does not fit"),
        (end + 4, 3, "split zip"),
    ] {
        let mut bytes = whole.clone();
        bytes[place] = value;
        write(&file, &bytes);
        let text = fails(&file, Split::Train, kind(Kind::TrainTar)).to_string();
        assert!(text.contains(words) || words == "no entry" && text.contains("beyond"), "{place}: {text}");
        assert!(text.contains("train.zip"), "{text}");
    }
    // What changes one member makes one bad image.
    for (place, words) in [(40 + all[0].1.len(), "CRC-32"), (0, "no header of a member"), (at + 16, "CRC-32"), (at + 24, "bytes")] {
        let mut bytes = whole.clone();
        bytes[place] ^= 1;
        write(&file, &bytes);
        let bad =
            if place == 0 { read_all(&open(&file, &kind(Kind::TrainTar), Split::Train).unwrap()).1 } else { read_all(&listing(&file)).1 };
        assert!(bad.len() == 1 && bad[0].contains(words), "{place}: {bad:?}");
    }
}

#[test]
fn zip_bombs_and_archives_inside_are_named() {
    let tmp = tempfile::tempdir().unwrap();
    let file = tmp.path().join("train.zip");
    let picture = std::fs::read(golden("gray.jpg")).unwrap();
    let zeros = vec![0; 50 << 20];
    // Deflated, that says it is small: nothing above that is unpacked.
    let mut bytes = zip_of(&[("a/0.jpg".to_owned(), &picture), ("a/bomb.jpg".to_owned(), &zeros)]);
    let at = bytes.windows(4).rposition(|w| w == b"PK\x01\x02").unwrap();
    for (len, words) in
        [(1000u32, "1001 bytes where 1000 should be"), (1 << 29, "more than deflate can do"), (u32::MAX - 1, "above 1073741824")]
    {
        bytes[at + 24..at + 28].copy_from_slice(&len.to_le_bytes());
        write(&file, &bytes);
        let bad = read_all(&listing(&file)).1;
        assert!(bad.len() == 1 && bad[0].contains(words), "{bad:?}");
    }
    // Two entries for the same bytes.
    let mut bytes = zip_of(&[("a/0.jpg".to_owned(), &picture), ("a/1.jpg".to_owned(), &picture), ("a/2.jpg".to_owned(), &picture)]);
    let entries: Vec<usize> = bytes.windows(4).enumerate().filter(|(_, w)| *w == b"PK\x01\x02").map(|(i, _)| i).collect();
    bytes[entries[2] + 42..entries[2] + 46].fill(0);
    write(&file, &bytes);
    let bad = read_all(&listing(&file)).1;
    assert!(bad.len() == 1 && bad[0].contains("overlap"), "{bad:?}");
    // A name a second time, and names that lead out.
    let twice = ["a/0.jpg", "a/0.jpg", "../b/0.jpg", "/c/0.jpg"].map(|n| (n.to_owned(), &picture[..]));
    write(&file, &zip_of(&twice));
    assert!(listing(&file).notes.iter().any(|n| n.contains("a second time, such as a/0.jpg")), "{:?}", listing(&file).notes);
    let bad = read_all(&listing(&file)).1.join("\n");
    assert!(bad.contains("leads out") && bad.contains("absolute"), "{bad}");
    // Archives inside: refused by name where they are most of it, told otherwise.
    let inner = tar_of(&[("0.jpg".to_owned(), &picture)]);
    let refused = |path: &Path| fails(path, Split::Train, SourceOptions::default()).to_string();
    write(&file, &zip_of(&[("ILSVRC2012_img_train.tar".to_owned(), &inner), ("a/0.jpg".to_owned(), &picture)]));
    assert!(refused(&file).contains("such as ILSVRC2012_img_train.tar"), "{}", refused(&file));
    let tar = tmp.path().join("train.tar");
    write(&tar, &tar_of(&[("n01.zip".to_owned(), &inner), ("a/0.jpg".to_owned(), b"")]));
    assert!(refused(&tar).contains("such as n01.zip"), "{}", refused(&tar));
    write(&file, &zip_of(&[("a/0.jpg".to_owned(), &picture), ("code.tar".to_owned(), b"small")]));
    assert!(listing(&file).notes.iter().any(|n| n.contains("not read, such as code.tar")));
}
