//! Siblings of the faults, in archives and folders: what each tree gives, or the words with which it is refused.

use super::labels::{image, pack};
use super::sources::{tar_of, write};
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
    let counted = format!("{images} pictures of {} classes", classes.len());
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
    let tiny =
        ["tiny/train/n01/images/0.png", "tiny/train/n02/images/1.png", "tiny/val/images/2.png", "tiny/val/val_annotations.txt=2.png\tn01"];
    refused(&tree(&tiny).tar, &["--split", "val"], "says no class");
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
