//! Siblings of the faults, in archives and folders: what each tree gives, or the words with which it is refused.

use super::labels::{image, pack};
use super::sources::{tar_of, write};
use super::zips::zip_of;
use imagenet_engine::data::Split;
use imagenet_engine::data::source::{SourceOptions, open};
use imagenet_engine::text::counted;
use std::path::{Path, PathBuf};

/// A tree of images (`.png`) and texts (`NAME=CONTENT`) as a folder, and as a tar of the same.
struct Tree {
    folder: PathBuf,
    tar: PathBuf,
    _tmp: tempfile::TempDir,
}

fn tree(files: &[&str]) -> Tree {
    let tmp = tempfile::tempdir().unwrap();
    let folder = tmp.path().join("some");
    let mut members = Vec::new();
    for file in files {
        let (name, content) = file.split_once('=').unwrap_or((file, ""));
        let path = folder.join(name);
        if name.ends_with(".png") {
            image(&path);
        } else {
            write(&path, content.as_bytes());
        }
        members.push((name.to_owned(), std::fs::read(&path).unwrap()));
    }
    let tar = tmp.path().join("some.tar");
    write(&tar, &tar_of(&members.iter().map(|(n, b)| (n.clone(), &b[..])).collect::<Vec<_>>()));
    Tree { folder, tar, _tmp: tmp }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Classes and the number of images.
fn gives(input: &Path, more: &[&str], classes: &[&str], images: usize) {
    let (code, said, found, _) = pack(&[&["--input", text(input)], more].concat());
    assert!(code == 0 && found == classes, "{}: {code} {found:?} {said}", input.display());
    let counted = format!("{} of {}", counted(images as u64, "image"), counted(classes.len() as u64, "class"));
    assert!(said.contains(&counted), "{}: {said}", input.display());
}

fn refused(input: &Path, more: &[&str], words: &str) {
    let (code, said, ..) = pack(&[&["--input", text(input)], more].concat());
    assert!((code == 2 || code == 65) && said.contains(words), "{}: {code} {said}", input.display());
}

#[test]
fn one_stray_image_does_not_make_one_class_of_all() {
    let t = tree(&["ds/n01/0.png", "ds/n02/1.png", "ds/sample.png"]);
    refused(&t.tar, &[], "the classes in ds: n01, n02");
    refused(&t.folder, &[], "");
}

#[test]
fn splits_are_told_in_archives_as_in_folders() {
    let wds = ["train/0.png", "train/0.cls=0", "train/1.png", "train/1.cls=1", "val/2.png", "val/2.cls=0", "val/3.png", "val/3.cls=1"];
    let t = tree(&wds);
    gives(&t.tar, &["--split", "val"], &["0", "1"], 2);
    gives(&t.tar, &["--split", "train"], &["0", "1"], 2);
    let flat = tree(&["train/0.png", "val/1.png", "val/2.png"]);
    let labels = flat.folder.parent().unwrap().join("l.csv");
    write(&labels, b"0.png,a\n1.png,a\n2.png,b\n");
    gives(&flat.tar, &["--split", "val", "--source", "val-tar", "--labels", text(&labels)], &["a", "b"], 2);
    let below = tree(&["n01/train/0.png", "n01/val/1.png", "n02/train/2.png", "n02/val/3.png"]);
    for input in [&below.folder, &below.tar] {
        refused(input, &["--split", "val"], "the splits lie below the classes");
    }
}

#[test]
fn tars_in_a_tar_are_of_their_split_and_no_leftovers() {
    let inner = |name: &str| {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join(name);
        image(&path);
        tar_of(&[(name.to_owned(), &std::fs::read(path).unwrap()[..])])
    };
    let (a, b, c) = (inner("0.png"), inner("1.png"), inner("2.png"));
    let tmp = tempfile::tempdir().unwrap();
    let outer = tmp.path().join("outer.tar");
    let of = |members: &[(&str, &[u8])]| write(&outer, &tar_of(&members.iter().map(|(n, b)| ((*n).to_owned(), *b)).collect::<Vec<_>>()));
    of(&[("train/n01.tar", &a), ("train/n02.tar", &b), ("val/n01.tar", &c)]);
    gives(&outer, &["--split", "val"], &["n01"], 1);
    gives(&outer, &[], &["n01", "n02"], 2);
    of(&[("train.tar", &a), ("val.tar", &b)]);
    refused(&outer, &[], "the tars inside are splits");
    let png = std::fs::read(tree(&["0.png"]).folder.join("0.png")).unwrap_or_default();
    let image_bytes = if png.is_empty() { a[512..].to_vec() } else { png };
    of(&[("n01/5.png", &image_bytes), ("n02/6.png", &image_bytes), ("backup.tar", &c)]);
    refused(&outer, &[], "1 images in tars inside, such as backup.tar, and 2 in folders beside them");
}

#[test]
fn folders_that_are_no_classes_are_asked_about() {
    refused(&tree(&["images/0.png", "masks/1.png"]).folder, &[], "the folder images says no class");
    refused(&tree(&["part1/0.png", "part2/1.png", "labels.csv=image,label\n0.png,a\n1.png,b\n"]).folder, &[], "may be read as");
    refused(&tree(&["p/0.png", "q/1.png", "train.txt=p/0.png a\nq/1.png b\n"]).folder, &["--split", "val"], "no list of the split val");
    let mac = tree(&["a/0.png", "b/1.png", "__MACOSX/a/._0.png"]);
    for input in [&mac.folder, &mac.tar] {
        gives(input, &[], &["a", "b"], 2);
    }
}

#[test]
fn numbers_keep_their_order_under_names_that_are_numbers() {
    let lines: String = (0..11).map(|i| format!("{i} name{i}\n")).collect();
    let list: String = (0..11).map(|i| format!("{i}.png {i}\n")).collect();
    let mut files: Vec<String> = (0..11).map(|i| format!("{i}.png")).collect();
    files.push(format!("list.txt={list}"));
    files.push(format!("names.txt=\u{feff}{lines}"));
    let t = tree(&files.iter().map(String::as_str).collect::<Vec<_>>());
    let classes: Vec<String> = (0..11).map(|i| i.to_string()).collect();
    let classes: Vec<&str> = classes.iter().map(String::as_str).collect();
    let (list, names) = (t.folder.join("list.txt"), t.folder.join("names.txt"));
    gives(&list, &["--class-names", text(&names)], &classes, 11);
}

#[test]
fn a_column_of_yes_and_no_chooses_the_split() {
    for (head, yes) in [("is_valid", "val"), ("is_train", "train")] {
        let csv = format!("l.csv=name,label,{head}\n0.png,a,True\n1.png,b,True\n2.png,a,False\n");
        let t = tree(&["0.png", "1.png", "2.png", &csv]);
        let list = t.folder.join("l.csv");
        let no = if yes == "val" { "train" } else { "val" };
        gives(&list, &["--split", yes], &["a", "b"], 2);
        gives(&list, &["--split", no], &["a"], 1);
        gives(&list, &["--split", no, "--label-column", "label"], &["a"], 1);
    }
}

#[test]
fn the_same_folders_in_a_label_file_are_meant_before_others_that_end_alike() {
    let t = tree(&["cat/0.png", "cat/cat/0.png", "dog/cat/0.png"]);
    let labels = t.folder.parent().unwrap().join("l.csv");
    write(&labels, b"cat/0.png,x\ncat/cat/0.png,y\ndog/cat/0.png,z\n");
    gives(&t.folder, &["--source", "flat", "--labels", text(&labels)], &["x", "y", "z"], 3);
}

/// Labels beside the images and folders that contradict each other: both readings; where they agree, either.
#[test]
fn labels_and_folders_in_one_tar_are_asked_about() {
    let label = |n: u32| format!("{{\"label\": {n}}}");
    let tree_of = |labels: [u32; 4]| {
        let names = ["a/0", "a/1", "b/2", "b/3"];
        let all: Vec<String> = names.iter().zip(labels).flat_map(|(n, l)| [format!("{n}.png"), format!("{n}.json={}", label(l))]).collect();
        tree(&all.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let t = tree_of([0, 1, 1, 0]);
    refused(
        &t.tar,
        &[],
        "2 classes by the labels beside the images (KEY.cls or KEY.json): 0, 1 with 4 images, or as 2 classes by folders: a, b with 4 images",
    );
    refused(&t.tar, &[], "--source webdataset --input ");
    gives(&t.tar, &["--source", "webdataset"], &["0", "1"], 4);
    gives(&t.tar, &["--source", "train-tar"], &["a", "b"], 4);
    gives(&t.tar, &["--source", "folder"], &["a", "b"], 4);
    gives(&tree_of([0, 0, 1, 1]).tar, &[], &["a", "b"], 4);
    gives(&tree_of([1, 1, 0, 0]).tar, &[], &["a", "b"], 4);
}

fn slices(all: &[(String, Vec<u8>)]) -> Vec<(String, &[u8])> {
    all.iter().map(|(n, b)| (n.clone(), &b[..])).collect()
}

/// Samples are paired by their key, wherever the parts lie; keys used again are told or refused, with both places.
#[test]
fn samples_are_paired_by_key() {
    let tmp = tempfile::tempdir().unwrap();
    let png = |i: usize| vec![i as u8 + 1; 300 + i];
    let images: Vec<(String, Vec<u8>)> = (0..90).map(|i| (format!("{i:03}.png"), png(i))).collect();
    let labels: Vec<(String, Vec<u8>)> = (0..90).map(|i| (format!("{i:03}.cls"), (i * 7 % 3).to_string().into_bytes())).collect();
    let members = |all: &[&[(String, Vec<u8>)]]| -> Vec<(String, Vec<u8>)> { all.iter().flat_map(|a| a.to_vec()).collect() };
    let owed: Vec<u32> = (0..90).map(|i| i * 7 % 3).collect();
    let list = |bytes: &[u8], name: &str| {
        let path = tmp.path().join(name);
        write(&path, bytes);
        open(&path, &SourceOptions::default(), Split::Train)
    };
    for order in [members(&[&images, &labels]), members(&[&labels, &images])] {
        for (bytes, name) in [(tar_of(&slices(&order)), "a.tar"), (zip_of(&slices(&order)), "a.zip")] {
            let listing = list(&bytes, name).unwrap();
            let mut found: Vec<(String, u32)> = listing.files.iter().map(|f| (f.path[2..].to_owned(), f.label)).collect();
            found.sort();
            assert_eq!(found.iter().map(|f| f.1).collect::<Vec<_>>(), owed, "{name}");
        }
    }
    // A key twice in one archive.
    let twice = members(&[&images[..2], &labels[..2], &images[..1], &labels[1..2]]);
    let text = list(&tar_of(&slices(&twice)), "twice.tar").unwrap_err().to_string();
    assert!(text.contains("the key 000 is there twice: ") && text.matches("twice.tar, byte ").count() == 2, "{text}");
    // A mask is no second image of the key.
    let masks: Vec<(String, Vec<u8>)> = (0..4)
        .flat_map(|i| [(format!("{i}.seg.png"), png(9)), (format!("{i}.jpg"), png(i)), (format!("{i}.cls"), b"1".to_vec())])
        .collect();
    let listing = list(&tar_of(&slices(&masks)), "masks.tar").unwrap();
    assert!(listing.files.len() == 4 && listing.files.iter().all(|f| f.trouble.is_none() && f.path.ends_with(".jpg")));
    assert!(listing.notes.iter().any(|n| n.contains("left out 4 images: parts of other samples")), "{:?}", listing.notes);
    // Keys that each archive counts anew, and an archive that is there twice.
    let shards = tmp.path().join("shards");
    let shard = |from: usize| -> Vec<(String, Vec<u8>)> {
        (0..3).flat_map(|i| [(format!("{i}.png"), png(from + i)), (format!("{i}.cls"), b"1".to_vec())]).collect()
    };
    for (name, from) in [("train-0.tar", 0), ("train-1.tar", 10)] {
        write(&shards.join(name), &tar_of(&slices(&shard(from))));
    }
    let listing = open(&shards, &SourceOptions::default(), Split::Train).unwrap();
    let names: Vec<&str> = listing.files.iter().map(|f| f.path.as_str()).collect();
    assert_eq!(names, ["1/train-0/0.png", "1/train-0/1.png", "1/train-0/2.png", "1/train-1/0.png", "1/train-1/1.png", "1/train-1/2.png"]);
    assert!(listing.files.iter().all(|f| f.trouble.is_none()) && listing.notes.iter().any(|n| n.contains("3 keys are used by several")));
    write(&shards.join("train-2.tar"), &tar_of(&slices(&shard(0))));
    let text = open(&shards, &SourceOptions::default(), Split::Train).unwrap_err().to_string();
    assert!(text.contains("train-2.tar are those of ") && text.contains("train-0.tar") && text.contains("cmp "), "{text}");
}

/// Second downloads, unfinished ones and compressed archives among class tars are no classes, and are not passed over.
#[test]
fn what_lies_among_class_tars_is_not_passed_over() {
    let tmp = tempfile::tempdir().unwrap();
    let class = |n: u8| tar_of(&[(format!("{n}.png"), &[n; 40][..])]);
    for (other, bytes, words) in [
        ("n01 (1).tar", class(1), "looks like a second copy of n01"),
        ("n01 copy.tar", class(1), "looks like a second copy of n01"),
        ("n01 - Copy (2).zip", class(1), "looks like a second copy of n01"),
        ("n03.tar.part", class(3), "a download that did not finish"),
        ("n03.tar.crdownload", class(3), "a download that did not finish"),
        ("n03.tar.gz", b"\x1f\x8b\x08\0rest of gzip".to_vec(), "gunzip -k"),
        ("n03.7z", b"7z\xbc\xaf\x27\x1c and more".to_vec(), "7z x"),
        ("._n01.tar", b"of a Mac".to_vec(), ""),
    ] {
        let dir = tmp.path().join(other.replace('.', "_"));
        write(&dir.join("n01.tar"), &class(1));
        write(&dir.join("n02.tar"), &class(2));
        write(&dir.join(other), &bytes);
        match open(&dir, &SourceOptions::default(), Split::Train) {
            Ok(l) => assert!(words.is_empty() && l.classes == ["n01", "n02"], "{other}"),
            Err(e) => assert!(!words.is_empty() && e.to_string().contains(words), "{other}: {e}"),
        }
    }
    let inner = tmp.path().join("outer.tar");
    write(&inner, &tar_of(&[("n01.tar".to_owned(), &class(1)[..]), ("n01 (1).tar".to_owned(), &class(1))]));
    let text = open(&inner, &SourceOptions::default(), Split::Train).unwrap_err().to_string();
    assert!(text.contains("looks like a second copy of n01"), "{text}");
    // A folder of nothing but a compressed archive names the command.
    write(&tmp.path().join("only/data.tgz"), b"\x1f\x8b\x08\0rest of gzip");
    let text = open(&tmp.path().join("only"), &SourceOptions::default(), Split::Train).unwrap_err().to_string();
    assert!(text.contains("gunzip -k") && text.contains("data.tgz"), "{text}");
}

/// Names as tools for Windows write them, and absolute ones, are those that unpacking gives.
#[test]
fn foreign_names_are_read_as_they_unpack() {
    let tmp = tempfile::tempdir().unwrap();
    let of = |names: &[&str]| -> Vec<(String, Vec<u8>)> { names.iter().map(|n| ((*n).to_owned(), n.as_bytes().to_vec())).collect() };
    for names in [
        &["train\\cat\\0.png", "train\\dog\\1.png", "val\\cat\\2.png"][..],
        &["top/train\\cat\\0.png", "top/train\\dog\\1.png", "top/val\\cat\\2.png"],
        &["/data/train/cat/0.png", "/data/train/dog/1.png", "/data/val/cat/2.png"],
        &["/data/train/cat/0.png", "/data/train/dog/1.png", "../train/cat/2.png"],
    ] {
        let all = of(names);
        let members: Vec<(String, &[u8])> = all.iter().map(|(n, b)| (n.clone(), &b[..])).collect();
        let (zip, tar) = (tmp.path().join("x.zip"), tmp.path().join("x.tar"));
        write(&zip, &zip_of(&members));
        let mut builder = tar::Builder::new(Vec::new());
        for (name, content) in &members {
            let mut header = tar::Header::new_gnu();
            header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_size(content.len() as u64);
            header.set_cksum();
            builder.append(&header, *content).unwrap();
        }
        write(&tar, &builder.into_inner().unwrap());
        for input in [&zip, &tar] {
            let listing = open(input, &SourceOptions::default(), Split::Train).unwrap_or_else(|e| panic!("{names:?}: {e}"));
            let good: Vec<&str> = listing.files.iter().filter(|f| f.trouble.is_none()).map(|f| f.path.as_str()).collect();
            assert_eq!((&listing.classes[..], &good[..]), (&["cat".to_owned(), "dog".to_owned()][..], &["cat/0.png", "dog/1.png"][..]));
            let bad: Vec<String> = listing.files.iter().filter_map(|f| f.trouble.clone()).collect();
            assert!(bad.len() == usize::from(names[2].starts_with("..")), "{bad:?}");
        }
    }
    image(&tmp.path().join("x.png"));
    refused(&tmp.path().join("x.png"), &[], "an image, not a dataset");
}
