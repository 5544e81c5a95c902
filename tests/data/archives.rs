//! Archives of every dialect give what Python's tarfile and zipfile read from them; joined ones are read whole, and holes are errors.

use super::common::*;
use super::hostile::{fails, kind};
use super::sources::{Pictures, packed, pictures, tar_of, train_tar, write};
use imagenet_engine::data::Split;
use imagenet_engine::data::source::{Kind, Listing, SourceOptions, open};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// Lists an archive of class folders.
pub fn listing(path: &Path) -> Listing {
    open(path, &kind(Kind::TrainTar), Split::Train).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Names of the images that can be read, with the start of the SHA-256 of their content; and why the others cannot.
pub fn read_all(listing: &Listing) -> (Vec<(String, String)>, Vec<String>) {
    let (mut read, mut bad, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
    for f in &listing.files {
        match f.trouble.clone().map_or_else(|| listing.store.read(&f.place, &mut bytes), Err) {
            Ok(()) => read.push((f.path.clone(), Sha256::digest(&bytes).iter().take(8).map(|b| format!("{b:02x}")).collect())),
            Err(why) => bad.push(format!("{}: {why}", f.path)),
        }
    }
    (read, bad)
}

fn archive(name: &str) -> PathBuf {
    golden("archives").join(name)
}

#[test]
fn every_dialect_lists_what_python_lists() {
    let text = std::fs::read_to_string(archive("listing.json")).unwrap();
    let all: std::collections::BTreeMap<String, Vec<(String, String)>> = serde_json::from_str(&text).unwrap();
    assert!(all.len() > 25);
    for (name, expected) in all {
        if expected.is_empty() {
            continue; // below: they hold nothing that can be read
        }
        let (read, bad) = read_all(&listing(&archive(&name)));
        // Python lists no links; those to members of the archive are read.
        let link = |(path, _): &(String, String)| ["n01/hard.jpg", "n01/link.jpg"].contains(&path.as_str());
        let (followed, mut read): (Vec<_>, Vec<_>) = read.into_iter().partition(link);
        let linked = read.iter().find(|(path, _)| path == "n01/a.jpg").map(|(_, sha)| sha.clone());
        assert!(followed.iter().all(|(_, sha)| Some(sha) == linked.as_ref()), "{name}: {followed:?}");
        read.sort();
        let expected: Vec<_> = expected.into_iter().map(|(path, sha)| (path.replace(".JPEG", ".jpg"), sha)).collect();
        assert_eq!(read, expected, "{name}");
        let others = bad.iter().filter(|b| !b.contains("a link") && !b.contains("a second time")).count();
        assert_eq!(others, if name == "infozip_bzip2.zip" { 6 } else { 0 }, "{name}: {bad:?}");
        let links = bad.iter().filter(|b| b.contains("a link")).count();
        let with_links = ["gnutar_", "infozip_links", "joined"].iter().any(|n| name.starts_with(n));
        assert_eq!(links + followed.len() > 0, with_links, "{name}: {bad:?}");
    }
    for (name, words) in
        [("infozip_secret.zip", "encrypted"), ("python_lzma.zip", "lzma (zip method 14)"), ("infozip_bzip2.zip", "bzip2 (zip method 12)")]
    {
        let bad = read_all(&listing(&archive(name))).1;
        assert!(!bad.is_empty() && bad.iter().all(|b| b.contains(words)), "{name}: {bad:?}");
    }
    for name in ["volume2_gnu.tar", "volume2_posix.tar"] {
        let text = fails(&archive(name), Split::Train, kind(Kind::TrainTar)).to_string();
        assert!(text.contains("a later volume") && text.contains("tar -xM"), "{text}");
    }
}

/// A folder, a tar and a zip of it: the same shards; and the fault folders that hold whole archives.
#[test]
fn archives_of_the_faults_are_read() {
    for (name, images, note) in [
        ("tar_concat/train.tar", 9, Some("6 images after that byte are read too")),
        ("tar_v7_signed_sum/train.tar", 9, None),
        ("tar_volume_label/train.tar", 2, None),
        ("zip/train.zip", 4, None),
    ] {
        let Some(faults) = shared("faults") else { return };
        let (_, report) = packed_one(&faults.join(name));
        assert!(report.bad.is_empty() && report.manifest.records == images, "{name}: {report:?}");
        assert_eq!(report.notes.iter().find(|n| n.contains("are read too")).is_some(), note.is_some(), "{name}: {:?}", report.notes);
    }
    let Some(faults) = shared("faults") else { return };
    let text = fails(&faults.join("tar_hole_header/train.tar"), Split::Train, SourceOptions::default()).to_string();
    assert!(text.contains("512 bytes of zeros") && text.contains("train.tar, byte 6144") && text.contains("at byte 7680"), "{text}");
}

fn packed_one(input: &Path) -> (Vec<u8>, imagenet_engine::data::pack::PackReport) {
    let out = tempfile::tempdir().unwrap();
    let base = options(input, &out.path().join("out"));
    let report = run(&base).unwrap_or_else(|e| panic!("{e}"));
    let shard = files(&out.path().join("out")).into_iter().find(|(name, _)| name.ends_with(".ies")).unwrap().1;
    (shard, report)
}

fn folders(pictures: &Pictures) -> Vec<(String, &[u8])> {
    pictures.iter().map(|p| (format!("class{}/{}", p.0, p.1), &p.2[..])).collect()
}

/// Wherever a hole lies in a tar, the pack fails, or names a bad image, or says by a note what it skipped: never fewer images and no word.
#[test]
fn holes_are_never_silent() {
    let tmp = tempfile::tempdir().unwrap();
    let small: Pictures = pictures(Split::Train).into_iter().filter(|p| p.2.len() < 4000).take(6).collect();
    let (plain, nested) = (tar_of(&folders(&small)), train_tar(&small));
    let (mut errors, mut listed) = (0, 0);
    for (whole, name) in [(&plain, "folders.tar"), (&nested, "classes.tar")] {
        let file = tmp.path().join(name);
        write(&file, whole);
        let expected = read_all(&listing(&file)).0;
        let blocks = whole.len() / 512;
        for (at, len) in (0..blocks).flat_map(|at| [1, 2, 3, 8, blocks].map(|len| (at, len.min(blocks - at)))) {
            let mut bytes = whole.clone();
            bytes[at * 512..(at + len) * 512].fill(0);
            if bytes == *whole {
                continue; // over the end marker
            }
            write(&file, &bytes);
            let ((read, bad), told) = match open(&file, &kind(Kind::TrainTar), Split::Train) {
                Err(e) => {
                    assert!(e.exit_code() == 65);
                    errors += 1;
                    continue;
                }
                Ok(l) => (read_all(&l), l.notes.iter().any(|n| n.contains("zeros") || n.contains("end of the archive"))),
            };
            // Holes inside an image change its content, which decoding sees. One from a header to an end marker looks like padding.
            let zero = |block: usize| whole.get(block * 512..(block + 1) * 512).is_none_or(|b| b.iter().all(|&b| b == 0));
            let to_an_end = zero(at + len - 1) || zero(at + len);
            assert!(
                read.len() == expected.len() || !bad.is_empty() || told || to_an_end,
                "{name}: {len} blocks at {at}: {} images",
                read.len()
            );
            listed += 1;
        }
    }
    assert!(errors > 100 && listed > 100, "{errors} errors, {listed} listings");
}

/// A hole over whole members, from a header exactly to another: an error, but for the few that look like the seam of two archives,
/// which are told; a preallocated file whose download stopped after a member: an error, or told.
#[test]
fn holes_over_whole_members_are_no_seams() {
    let tmp = tempfile::tempdir().unwrap();
    let file = tmp.path().join("train.tar");
    let images: Vec<(String, Vec<u8>)> =
        (0..60usize).map(|i| (format!("c{}/{i}.bin.gif", i % 3), vec![1 + i as u8; 700 * (1 + i % 5)])).collect();
    let whole = tar_of(&images.iter().map(|(n, b)| (n.clone(), &b[..])).collect::<Vec<_>>());
    let mut headers = vec![0];
    images.iter().for_each(|(_, b)| headers.push(headers[headers.len() - 1] + 512 + b.len().next_multiple_of(512)));
    let (mut errors, mut told) = (0, 0);
    for (a, b) in (1..60).flat_map(|a| [1, 2, 5, 11, 30].map(|n| (a, a + n))).filter(|(_, b)| *b < 60) {
        let mut bytes = whole.clone();
        bytes[headers[a]..headers[b]].fill(0);
        write(&file, &bytes);
        match open(&file, &SourceOptions::default(), Split::Train) {
            Err(e) => {
                let text = e.to_string();
                assert!(text.contains(&format!("byte {}", headers[b])) && text.contains("--ignore-zeros"), "{text}");
                errors += 1;
            }
            Ok(l) => {
                let zeros = headers[b] - headers[a];
                assert!(headers[b] % 10240 == 0 && zeros < 22 * 512 || zeros <= 1024, "{zeros} bytes up to {}", headers[b]);
                assert!(l.notes.iter().any(|n| n.contains("archives that were joined")), "{:?}", l.notes);
                told += 1;
            }
        }
        bytes[headers[b]..].fill(0);
        write(&file, &bytes);
        match open(&file, &SourceOptions::default(), Split::Train) {
            Err(e) => assert!(e.to_string().contains("to the end"), "{e}"),
            Ok(l) => assert!(l.notes.iter().any(|n| n.contains("bytes of zeros after the last member")), "{:?}", l.notes),
        }
    }
    assert!(errors > 150 && told < 30, "{errors} errors, {told} told");
}

#[test]
fn what_follows_the_end_is_read_or_told() {
    let tmp = tempfile::tempdir().unwrap();
    let file = tmp.path().join("train.tar");
    let all: Pictures = pictures(Split::Train).into_iter().filter(|p| p.2.len() < 4000).take(6).collect();
    let parts: Vec<Vec<u8>> = all.chunks(2).map(|c| tar_of(&folders(&c.to_vec()))).collect();
    write(&file, &tar_of(&folders(&all)));
    let expected = packed(&file, Split::Train, SourceOptions::default()).0;
    // Joined archives, also with padding between them, and a lone block of zeros between members.
    let one_block: Vec<u8> = parts.iter().flat_map(|p| p[..p.len() - 512].to_vec()).chain([0; 1024]).collect();
    let padded = |p: &Vec<u8>, record: usize| [&p[..], &vec![0; p.len().next_multiple_of(record) - p.len()]].concat();
    for bytes in [parts.concat(), parts.iter().flat_map(|p| padded(p, 10240)).collect(), one_block] {
        write(&file, &bytes);
        let (shards, report) = packed(&file, Split::Train, SourceOptions::default());
        assert!(shards == expected);
        let note = report.notes.iter().find(|n| n.contains("archives that were joined")).unwrap();
        assert!(note.contains("train.tar: ") && note.contains("at byte") && note.contains("4 images"), "{note}");
    }
    // Padding to whole records is no matter; other zeros at the end are told, and many are an error.
    let whole = tar_of(&folders(&all));
    for bytes in [whole.clone(), padded(&whole, 10240)] {
        write(&file, &bytes);
        let (shards, report) = packed(&file, Split::Train, SourceOptions::default());
        assert!(shards == expected && report.notes.is_empty(), "{:?}", report.notes);
    }
    for (bytes, words) in [
        ([&whole[..], &[0; 512]].concat(), "the last members may be missing"),
        (padded(&whole, 1 << 20), "padding to whole records of a tape"),
    ] {
        write(&file, &bytes);
        let (shards, report) = packed(&file, Split::Train, SourceOptions::default());
        assert!(shards == expected && report.notes.iter().any(|n| n.contains(words)), "{:?}", report.notes);
    }
    write(&file, &[&whole[..], &[0; 30_000]].concat());
    let text = fails(&file, Split::Train, SourceOptions::default()).to_string();
    assert!(text.contains("31024 bytes of zeros from here to the end") && text.contains("made as long as the whole"), "{text}");
    // Bytes that are no tar are told; those that are one out of step, or cut, are an error.
    write(&file, &[&tar_of(&folders(&all))[..], b"-----BEGIN SIGNATURE-----"].concat());
    let (shards, report) = packed(&file, Split::Train, SourceOptions::default());
    assert!(shards == expected && report.notes.iter().any(|n| n.contains("25 bytes after the end of the archive")), "{:?}", report.notes);
    for bytes in [[&parts[0][..], b"\n", &parts[1]].concat(), [&parts[0][..], &parts[1][512..]].concat()] {
        write(&file, &bytes);
        let text = fails(&file, Split::Train, SourceOptions::default()).to_string();
        assert!(text.contains("train.tar, byte ") && text.contains("zeros where"), "{text}");
    }
    // A download that stopped in the middle of an image, in a file made as long as the whole.
    let mut bytes = tar_of(&folders(&all));
    let at = 512 + all[0].2.len() / 2;
    bytes[at..].fill(0);
    write(&file, &bytes);
    let text = fails(&file, Split::Train, SourceOptions::default()).to_string();
    assert!(text.contains("zeros from the middle of an image on") && text.contains("train.tar, byte "), "{text}");
    write(&file, &vec![0; 1 << 20]);
    assert!(fails(&file, Split::Train, SourceOptions::default()).to_string().contains("zeros and nothing else"));
}

#[test]
fn other_files_are_named_with_the_command_to_unpack_them() {
    let tmp = tempfile::tempdir().unwrap();
    for (name, bytes, words) in [
        ("a.tar", &b"\x1f\x8b\x08\0rest of gzip"[..], "gunzip -k"),
        ("a.tgz", b"\x1f\x8b\x08\0rest of gzip", "gunzip -k"),
        ("a.tar.bz2", b"BZh9 and more", "bunzip2 -k"),
        ("a.tar.xz", b"\xfd7zXZ\0 and more", "unxz -k"),
        ("a.tar.zst", b"\x28\xb5\x2f\xfd and more", "unzstd"),
        ("a.zip.001", b"PK\x03\x04 and more", "cat '"),
        ("a.tar.aa", b"a name and more", "a piece of an archive"),
        ("a.z01", b"PK\x07\x08PK\x03\x04 and more", "zip -s 0"),
        ("a.7z", b"7z\xbc\xaf\x27\x1c and more", "7z x"),
        ("a.rar", b"Rar!\x1a\x07\x01 and more", "unrar x"),
        ("a.zip", b"Rar!\x1a\x07\x01 and more", "unrar x"),
        ("a.zip", b"<!DOCTYPE html><html>login", "a web page"),
        ("a.tar", b"\n<html>login", "a web page"),
        ("a.zip", b"version https://git-lfs.github.com/spec/v1\noid", "git lfs pull"),
        ("a.zip", b"neither this nor that, but long enough to be read", "but no zip"),
        ("a.tar", b"neither this nor that, but long enough to be read", "archive"),
    ] {
        let file = tmp.path().join(name);
        write(&file, bytes);
        let error = fails(&file, Split::Train, SourceOptions::default());
        assert!(error.exit_code() == 65 && error.to_string().contains(words), "{name}: {error}");
    }
}

/// Parts of a dataset are not classes; class archives are.
#[test]
fn several_archives_are_parts_or_classes() {
    let tmp = tempfile::tempdir().unwrap();
    let all: Pictures = pictures(Split::Train).into_iter().filter(|p| p.2.len() < 4000).take(6).collect();
    let whole = tmp.path().join("whole/train.tar");
    write(&whole, &tar_of(&folders(&all)));
    let expected = packed(&whole, Split::Train, SourceOptions::default()).0;
    let parts = tmp.path().join("parts");
    for (i, part) in all.chunks(3).enumerate() {
        write(&parts.join(format!("train_part{i}.tar")), &tar_of(&folders(&part.to_vec())));
    }
    assert!(packed(&parts, Split::Train, SourceOptions::default()).0 == expected);
    let named = tmp.path().join("named");
    for (i, part) in all.chunks(3).enumerate() {
        write(&named.join(format!("set{i}.tar")), &tar_of(&folders(&part.to_vec())));
    }
    let text = fails(&named, Split::Train, SourceOptions::default()).to_string();
    assert!(text.contains("is each archive a class, or is each folder?") && text.contains("tar xf"), "{text}");
    // A backup beside class tars is no class.
    let classes = tmp.path().join("classes");
    for p in &all {
        let of: Vec<_> = all.iter().filter(|q| q.0 == p.0).map(|q| (q.1.clone(), &q.2[..])).collect();
        write(&classes.join(format!("class{}.tar", p.0)), &tar_of(&of));
    }
    write(&classes.join("code_backup.tar"), &tar_of(&[("src/main.py".to_owned(), b"print()")]));
    assert!(packed(&classes, Split::Train, SourceOptions::default()).0 == expected);
}

#[test]
fn names_that_are_not_utf8_matter_only_for_images() {
    let tmp = tempfile::tempdir().unwrap();
    let file = tmp.path().join("train.tar");
    let picture = std::fs::read(golden("gray.jpg")).unwrap();
    let add = |builder: &mut tar::Builder<Vec<u8>>, name: &[u8], content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name);
        header.set_size(content.len() as u64);
        header.set_cksum();
        builder.append(&header, content).unwrap();
    };
    let mut builder = tar::Builder::new(Vec::new());
    add(&mut builder, b"a/0.jpg", &picture);
    add(&mut builder, b"b/0.jpg", &picture);
    add(&mut builder, b"a/n\xe9.txt", b"text");
    write(&file, &builder.into_inner().unwrap());
    let (_, report) = packed_one(&file);
    assert!(report.bad.is_empty() && report.manifest.records == 2, "{:?}", report.bad);
    assert!(report.notes.iter().any(|n| n.starts_with("ignored 1 file: the names do not end like")), "{:?}", report.notes);
    // An image or an inner tar of such a name is not passed over.
    let mut builder = tar::Builder::new(Vec::new());
    add(&mut builder, b"a/0.jpg", &picture);
    add(&mut builder, b"a/n\xe9.jpg", &picture);
    write(&file, &builder.into_inner().unwrap());
    let bad = read_all(&listing(&file)).1;
    assert!(bad.len() == 1 && bad[0].contains("not UTF-8"), "{bad:?}");
    let mut builder = tar::Builder::new(Vec::new());
    add(&mut builder, b"a/0.jpg", &picture);
    add(&mut builder, b"n\xe9.tar", &tar_of(&[("0.jpg".to_owned(), &picture)]));
    write(&file, &builder.into_inner().unwrap());
    let text = fails(&file, Split::Train, SourceOptions::default()).to_string();
    assert!(text.contains("a tar inside that cannot be read") && text.contains("not UTF-8"), "{text}");
}
