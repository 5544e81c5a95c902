//! Folders and archives as people hold them: read as they are meant, or refused with each reading; one rule of names for all.

use super::common::*;
use super::labels::{image, pack};
use super::sources::{packed, tar_of, write};
use imagenet_engine::data::Split;
use imagenet_engine::data::source::{Kind, SourceOptions};
use imagenet_engine::rng::{Purpose, Stream};
use std::path::{Path, PathBuf};

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// Images of a tree, by paths from its root.
fn walk(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root).unwrap().map(|e| e.unwrap()) {
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() {
            found.extend(walk(&entry.path()).into_iter().map(|p| format!("{name}/{p}")));
        } else {
            found.push(name);
        }
    }
    found.sort();
    found
}

/// The folder as a tar beside it.
fn as_tar(root: &Path) -> PathBuf {
    let names = walk(root);
    let bytes: Vec<Vec<u8>> = names.iter().map(|n| std::fs::read(root.join(n)).unwrap()).collect();
    let to = root.with_extension("tar");
    write(&to, &tar_of(&names.iter().zip(&bytes).map(|(n, b)| (format!("./{n}"), &b[..])).collect::<Vec<_>>()));
    to
}

#[test]
fn a_class_named_train_is_a_class() {
    for (fault, images) in [("class_named_train", 6), ("class_named_train_silent", 12)] {
        let Some(input) = shared(&format!("faults/{fault}/in")) else { return };
        for more in [&[][..], &["--source", "folder"]] {
            let (code, said, classes, records) = pack(&[&["--input", &text(&input)], more].concat());
            assert_eq!((code, classes), (0, ["bus", "car", "train"].map(str::to_owned).to_vec()), "{said}");
            assert!(said.contains(&format!("{images} images of 3 classes")) && !records.is_empty(), "{said}");
        }
    }
}

#[test]
fn leftovers_beside_class_folders_are_weighed() {
    if let Some(input) = shared("faults/leftover_tars/in") {
        let (code, said, classes, _) = pack(&["--input", &text(&input)]);
        assert_eq!((code, classes.len()), (0, 3), "{said}");
        assert!(said.contains("9 images") && said.contains("2 tars are not read: folders of the same names"), "{said}");
    }
    let tmp = tempfile::tempdir().unwrap();
    let root = tmp.path().join("in");
    ["a/0.png", "b/1.png", "b/2.png"].iter().for_each(|p| image(&root.join(p)));
    write(&root.join("code_backup.tar"), &tar_of(&[("code/train.py".to_owned(), b"import torch")]));
    let (code, said, classes, _) = pack(&["--input", &text(&root)]);
    assert!(code == 0 && classes == ["a", "b"] && said.contains("1 tar is not read: no images"), "{said}");
    // A class that is still packed: both readings, with counts and commands.
    let bytes = std::fs::read(root.join("a/0.png")).unwrap();
    write(&root.join("c.tar"), &tar_of(&[("7.png".to_owned(), &bytes[..]), ("8.png".to_owned(), &bytes[..])]));
    let (code, said, ..) = pack(&["--input", &text(&root)]);
    assert!(code == 2 && said.contains("c.tar (2 images)") && said.contains("2 class folders: a (1 images), b (2 images)"), "{said}");
    assert!(said.contains("--source folder --input ") && said.contains("c.tar"), "{said}");
    let (code, said, classes, _) = pack(&["--input", &text(&root), "--source", "folder"]);
    assert!(code == 0 && classes == ["a", "b"], "{said}");
    std::fs::remove_file(root.join("c.tar")).unwrap();
    std::fs::copy(golden("pictures.parquet"), root.join("stray.parquet")).unwrap();
    let (code, said, ..) = pack(&["--input", &text(&root)]);
    assert!(code == 2 && said.contains("stray.parquet") && said.contains("--source parquet"), "{said}");
    std::fs::remove_file(root.join("stray.parquet")).unwrap();
    // A list beside folders that it lists: all of them, or those of the list.
    write(&root.join("train.txt"), b"a/0.png 0\nb/1.png 1\n");
    let (code, said, ..) = pack(&["--input", &text(&root)]);
    assert!(code == 2 && said.contains("train.txt: 2 images") && said.contains("--source list"), "{said}");
    let (code, said, classes, records) = pack(&["--input", &text(&root), "--source", "list"]);
    assert!(code == 0 && classes == ["a", "b"] && records.len() == 2, "{said}");
    // No list of images: it is not looked at.
    write(&root.join("train.txt"), b"loss 1.25 at step 3\n");
    assert_eq!(pack(&["--input", &text(&root)]).0, 0);
}

#[test]
fn json_beside_images_makes_no_webdataset() {
    if let Some(input) = shared("faults/tar_json_beside/train.tar") {
        let (code, said, classes, _) = pack(&["--input", &text(&input)]);
        assert!(code == 0 && classes == ["n01", "n02", "n03"] && said.contains("9 images"), "{said}");
    }
    // One beside each image, but without a label.
    let tmp = tempfile::tempdir().unwrap();
    image(&tmp.path().join("0.png"));
    let bytes = std::fs::read(tmp.path().join("0.png")).unwrap();
    let tar = tmp.path().join("boxes.tar");
    let members: Vec<(String, &[u8])> = ["a/0", "a/1", "b/2"]
        .iter()
        .flat_map(|n| [(format!("{n}.png"), &bytes[..]), (format!("{n}.json"), &b"{\"boxes\": []}"[..])])
        .collect();
    write(&tar, &tar_of(&members));
    let (code, said, classes, _) = pack(&["--input", &text(&tar)]);
    assert!(code == 0 && classes == ["a", "b"], "{said}");
}

/// Names of splits as people write them, in folders and in tars; a split that is not there is an error that lists what is.
#[test]
fn splits_are_known_by_their_names() {
    let tmp = tempfile::tempdir().unwrap();
    let spellings = [
        ("train", "val"),
        ("training", "validation"),
        ("Train", "Valid"),
        ("TRAIN", "VAL"),
        ("train_images", "val_images"),
        ("train2017", "val2017"),
    ];
    for (i, (train, val)) in spellings.into_iter().enumerate() {
        let root = tmp.path().join(format!("in{i}"));
        ["cat/0.png", "dog/1.png"].iter().for_each(|p| image(&root.join(train).join(p)));
        ["cat/2.png", "dog/3.png"].iter().for_each(|p| image(&root.join(val).join(p)));
        for input in [root.clone(), as_tar(&root)] {
            for (split, names) in [("train", ["0.png", "1.png"]), ("val", ["2.png", "3.png"])] {
                let (code, said, classes, records) = pack(&["--input", &text(&input), "--split", split]);
                assert!(code == 0 && classes == ["cat", "dog"], "{train}: {said}");
                assert_eq!(records.keys().collect::<Vec<_>>(), names, "{train}");
            }
        }
    }
    let root = tmp.path().join("tested");
    ["train/cat/0.png", "train/dog/1.png", "Test/cat/2.png", "Test/dog/3.png"].iter().for_each(|p| image(&root.join(p)));
    for input in [root.clone(), as_tar(&root)] {
        let (code, said, ..) = pack(&["--input", &text(&input), "--split", "val"]);
        assert!(code == 2 && said.contains("no split val here; there are: Test, train"), "{said}");
    }
    let (code, said, _, records) = pack(&["--input", &text(&root.join("Test")), "--split", "val"]);
    assert!(code == 0 && records.len() == 2, "what the user points at: {said}");
    // Splits and classes beside each other.
    let root = tmp.path().join("mixed");
    ["train/0.png", "val/1.png", "bus/2.png"].iter().for_each(|p| image(&root.join(p)));
    let (code, said, ..) = pack(&["--input", &text(&root)]);
    assert!(code == 2 && said.contains("3 class folders: bus (1 images)") && said.contains("the split train"), "{said}");
    let (code, said, classes, _) = pack(&["--input", &text(&root), "--source", "folder"]);
    assert!(code == 0 && classes == ["bus", "train", "val"], "{said}");
    let (code, said, ..) = pack(&["--input", &text(&as_tar(&root))]);
    assert!(code == 2 && said.contains("3 class folders"), "{said}");
    // Files are named after splits, too.
    let root = tmp.path().join("shards");
    write(&root.join("data-train-0.tar"), b"");
    write(&root.join("data-test-0.tar"), b"");
    let (code, said, ..) = pack(&["--input", &text(&root), "--split", "val"]);
    assert!(code == 2 && said.contains("no files of the split val here, of: test, train"), "{said}");
}

/// `--split` left out is taken from the name of the input, and said.
#[test]
fn the_name_of_the_input_says_the_split() {
    let tmp = tempfile::tempdir().unwrap();
    for name in ["val", "Validation", "test", "train", "mine"] {
        ["cat/0.png", "dog/1.png"].iter().for_each(|p| image(&tmp.path().join(name).join(p)));
    }
    let split = |name: &str, more: &[&str]| {
        let out = tempfile::tempdir().unwrap();
        let (input, dir) = (text(&tmp.path().join(name)), text(&out.path().join("out")));
        let (code, said) = call(&[&["pack", "--resize", "16", "--input", &input, "--output", &dir], more].concat());
        let split = imagenet_engine::data::manifest::Manifest::read(Path::new(&dir)).map(|m| m.split).ok();
        (code, said, split)
    };
    for (name, more, owed, word) in [
        ("val", &[][..], Split::Val, "packed as the split val"),
        ("Validation", &[], Split::Val, "packed as the split val"),
        ("train", &[], Split::Train, ""),
        ("mine", &[], Split::Train, ""),
        ("val", &["--split", "train"], Split::Train, "is named as the split val, and is packed as train"),
        ("train", &["--split", "val"], Split::Val, "is named as the split train, and is packed as val"),
        ("test", &["--split", "val"], Split::Val, ""),
    ] {
        let (code, said, split) = split(name, more);
        assert!(code == 0 && split == Some(owed) && said.contains(word), "{name} {more:?}: {said}");
    }
    let (code, said, _) = split("test", &[]);
    assert!(code == 2 && said.contains("--split val"), "{said}");
}

/// Folders that say nothing make no class, and one folder above the classes is seen.
#[test]
fn one_folder_is_asked_about() {
    let tmp = tempfile::tempdir().unwrap();
    ["one/images/0.png", "one/images/1.png", "above/mine/cat/0.png", "above/mine/dog/1.png"]
        .iter()
        .for_each(|p| image(&tmp.path().join(p)));
    let (one, above) = (tmp.path().join("one"), tmp.path().join("above"));
    for input in [one.clone(), as_tar(&one)] {
        let (code, said, ..) = pack(&["--input", &text(&input)]);
        assert!(code == 2 && said.contains("says no class") && said.contains("--labels"), "{said}");
    }
    for input in [above.clone(), as_tar(&above)] {
        let (code, said, classes, _) = pack(&["--input", &text(&input)]);
        assert!(code == 0 && classes == ["cat", "dog"] && said.contains("mine is taken for a folder above"), "{said}");
    }
    // One class is told.
    let alone = tmp.path().join("alone");
    image(&alone.join("mydir/0.png"));
    for input in [alone.clone(), as_tar(&alone)] {
        let (code, said, classes, _) = pack(&["--input", &text(&input)]);
        assert!(code == 0 && classes == ["mydir"] && said.contains("1 class: mydir"), "{said}");
    }
}

#[cfg(unix)]
#[test]
fn a_name_that_is_no_text_ends_nothing() {
    use std::os::unix::ffi::OsStrExt;
    let odd = |name: &[u8]| std::ffi::OsStr::from_bytes(name).to_owned();
    let tmp = tempfile::tempdir().unwrap();
    let root = tmp.path().join("in");
    ["a/0.png", "b/1.png"].iter().for_each(|p| image(&root.join(p)));
    if std::fs::write(root.join("a").join(odd(b"n\xe9.txt")), b"text").is_err() {
        eprintln!("skipped: this file system holds no such names");
        return;
    }
    let (code, said, _, records) = pack(&["--input", &text(&root)]);
    assert!(code == 0 && records.len() == 2 && said.contains("ignored 1 file: the names do not end like an image"), "{said}");
    // Of an image, and of a folder that holds one: bad images.
    std::fs::copy(root.join("a/0.png"), root.join("a").join(odd(b"n\xe9.png"))).unwrap();
    std::fs::create_dir(root.join(odd(b"c\xe9"))).unwrap();
    std::fs::copy(root.join("a/0.png"), root.join(odd(b"c\xe9")).join("2.png")).unwrap();
    let (code, said, ..) = pack(&["--input", &text(&root)]);
    assert!(code == 65 && said.contains("2 of 4") && said.contains("not UTF-8"), "{said}");
    let (code, said, classes, records) = pack(&["--input", &text(&root), "--on-bad", "skip"]);
    assert!(code == 3 && records.len() == 2 && classes == ["a", "b"], "{said}");
}

/// Shards of a tree of class folders, of a tar of it, of lists of it by names and by numbers, and of a WebDataset of it.
fn in_every_form(root: &Path) {
    let tmp = tempfile::tempdir().unwrap();
    let names = walk(root);
    let mut classes: Vec<&str> = names.iter().map(|n| n.split('/').next().unwrap()).collect();
    classes.dedup();
    let class = |n: &str| classes.iter().position(|c| n.starts_with(&format!("{c}/"))).unwrap();
    let bytes: Vec<Vec<u8>> = names.iter().map(|n| std::fs::read(root.join(n)).unwrap()).collect();
    let kind = |kind| SourceOptions { kind: Some(kind), ..SourceOptions::default() };
    let (expected, report) = packed(root, Split::Train, kind(Kind::Folder));
    assert!(report.bad.is_empty() && report.manifest.records == names.len() as u64, "{:?}", report.bad);
    let sums = |input: &Path, options: SourceOptions, form: &str| {
        let (files, report) = packed(input, Split::Train, options);
        assert!(report.bad.is_empty(), "{form}: {:?}", report.bad);
        assert!(files == expected, "{form} of {names:?}");
    };
    let members =
        |above: &str| -> Vec<(String, &[u8])> { names.iter().zip(&bytes).map(|(n, b)| (format!("{above}{n}"), &b[..])).rev().collect() };
    let tar = tmp.path().join("x.tar");
    for above in ["", "./", "train/"] {
        write(&tar, &tar_of(&members(above)));
        sums(&tar, SourceOptions::default(), "tar");
    }
    let above = root.parent().unwrap();
    let below = root.file_name().unwrap().to_str().unwrap();
    for (form, label) in [("list of names", true), ("list of numbers", false)] {
        let line = |n: &String| format!("{below}/{n}\t{}\n", if label { classes[class(n)].to_owned() } else { class(n).to_string() });
        write(&above.join("some_list.txt"), names.iter().map(line).collect::<String>().as_bytes());
        sums(&above.join("some_list.txt"), SourceOptions::default(), form);
    }
    // Its keys are the paths without extension; it writes extensions its own way.
    let keys: Vec<String> = names.iter().map(|n| n.rsplit_once('.').unwrap().0.to_owned()).collect();
    let numbers: Vec<String> = names.iter().map(|n| class(n).to_string()).collect();
    let mut samples: Vec<(String, &[u8])> = Vec::new();
    for i in 0..names.len() {
        let end = names[i].rsplit_once('.').unwrap().1.to_lowercase().replace("jpeg", "jpg");
        samples.extend([(format!("{}.{end}", keys[i]), &bytes[i][..]), (format!("{}.cls", keys[i]), numbers[i].as_bytes())]);
    }
    write(&tar, &tar_of(&samples));
    sums(&tar, SourceOptions::default(), "WebDataset");
}

#[test]
fn nested_folders_of_one_name_give_the_same_shards() {
    if let Some(fault) = shared("faults/nested_same_name") {
        let tmp = tempfile::tempdir().unwrap();
        let ids = ["in", "d.tar"].map(|input| run(&options(&fault.join(input), &tmp.path().join(input))).unwrap().manifest);
        assert!(ids[0].records == 5 && ids[0].shards == ids[1].shards && ids[0].dataset_id == ids[1].dataset_id);
    }
    let tmp = tempfile::tempdir().unwrap();
    let root = tmp.path().join("in");
    ["cat/0.png", "cat/cat/0.png", "cat/cat/1.png", "dog/dog/0.png", "dog/dog/1.png", "dog/cat/0.png"]
        .iter()
        .for_each(|p| image(&root.join(p)));
    in_every_form(&root);
}

/// Trees at random, of few names so that they meet: every form gives the shards of the folder.
#[test]
fn every_form_of_random_trees_gives_the_same_shards() {
    for round in 0..rounds(12, 300) {
        let mut s = Stream::new(71, Purpose::Test, 0, round as u64);
        let tmp = tempfile::tempdir().unwrap();
        let root = tmp.path().join("in");
        let folders = ["cat", "dog", "train", "x"];
        let mut keys = std::collections::HashSet::new();
        for (i, class) in ["cat", "dog", "emu"].iter().enumerate() {
            for n in 0..2 + s.below(4) {
                let deep: String = (0..s.below(3)).map(|_| format!("{}/", folders[s.below(4) as usize])).collect();
                let end = ["png", "PNG", "JPEG", "jpg"][s.below(4) as usize];
                let stem = if n == 0 { format!("only{i}") } else { s.below(4).to_string() };
                // A WebDataset cannot hold two extensions of one name.
                if keys.insert(format!("{class}/{deep}{stem}")) {
                    image(&root.join(format!("{class}/{deep}{stem}.{end}")));
                }
            }
            image(&root.join(format!("{class}/direct.png"))); // so that no folder looks like one above classes
        }
        in_every_form(&root);
    }
}
