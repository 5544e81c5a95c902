//! Labels as people write them: lists, label files and columns of every kind, each used, or refused with the reason.

use super::common::*;
use super::sources::{tar_of, write};
use std::collections::BTreeMap;
use std::path::Path;

/// Packs, and returns the exit code, what was said, and the classes of the records by the last part of their names.
pub fn pack(args: &[&str]) -> (i32, String, Vec<String>, BTreeMap<String, String>) {
    let out = tempfile::tempdir().unwrap();
    let dir = out.path().join("out");
    let (code, said) = call(&[&["pack", "--resize", "16", "--jobs", "1", "--output", dir.to_str().unwrap()], args].concat());
    let Ok(dataset) = imagenet_engine::data::Dataset::open(&dir) else { return (code, said, Vec::new(), BTreeMap::new()) };
    let classes = dataset.classes().to_vec();
    let record =
        |i| dataset.describe(i).map(|p| (p.name.rsplit('/').next().unwrap().to_owned(), classes[p.label as usize].clone())).unwrap();
    let records = (0..dataset.len()).map(record).collect();
    (code, said, classes, records)
}

/// The classes of records, in the order of their names.
fn in_order(records: &BTreeMap<String, String>) -> Vec<&str> {
    records.values().map(String::as_str).collect()
}

/// A small image, different for each name.
pub fn image(path: &Path) {
    let n = path.to_string_lossy().bytes().fold(7u8, |a, b| a.wrapping_mul(31).wrapping_add(b));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    imagenet_engine::data::sheet::write_png(path, 6, 5, &[n; 90]).unwrap();
}

/// Faults of ../shared/data/faults: a single -1 among numbers, floats, in each form.
#[test]
fn one_odd_label_leaves_numbers_their_order() {
    let Some(faults) = shared("faults/one_negative_label") else { return };
    let path = |p: &str| faults.join(p).to_str().unwrap().to_owned();
    for (input, split, unlabelled) in [
        ("flat_neg1", "val", 1),
        ("list_neg1/train_list.txt", "train", 1),
        ("list_neg1", "train", 1),
        ("list_float/train_list.txt", "train", 0),
        ("wds_neg1/shard-000000.tar", "train", 1),
    ] {
        let (code, said, classes, records) = pack(&["--input", &path(input), "--split", split, "--on-bad", "skip"]);
        assert_eq!((code, records.len()), (if unlabelled > 0 { 3 } else { 0 }, 12 - unlabelled), "{input}: {said}");
        let numbers: Vec<String> = (0..12 - unlabelled).map(|n| n.to_string()).collect();
        assert_eq!(classes, numbers, "{input}");
        // Images are called like their labels.
        for (name, class) in &records {
            let own = name.split('.').next().unwrap().trim_start_matches(['k', '0']);
            assert_eq!(if own.is_empty() { "0" } else { own }, class, "{input}: {name}");
        }
    }
    let (code, said, ..) = pack(&["--input", &path("list_neg1/train_list.txt")]);
    assert!(code == 65 && said.contains("no label in line 12"), "treated by --on-bad: {said}");
}

#[test]
fn an_unknown_header_is_no_class() {
    let Some(faults) = shared("faults/labels_unknown_header") else { return };
    let (val, csv) = (faults.join("val"), faults.join("v.csv"));
    let (code, said, classes, records) = pack(&["--input", val.to_str().unwrap(), "--labels", csv.to_str().unwrap()]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(classes, (0..12).map(|n| n.to_string()).collect::<Vec<_>>());
    assert_eq!(records["010.jpg"], "10");
}

#[test]
fn tiny_imagenets_annotations_are_used() {
    let Some(faults) = shared("faults/labels_ignored_tinyimagenet") else { return };
    let path = |p: &str| faults.join("in").join(p).to_str().unwrap().to_owned();
    let (val, images, labels) = (path("val"), path("val/images"), path("val/val_annotations.txt"));
    let mut all = Vec::new();
    for args in [
        &["--input", &val, "--labels", &labels][..],
        &["--input", &val, "--split", "val"],
        &["--input", &images, "--labels", &labels],
        &["--input", &images, "--split", "val"],
        &["--input", &labels],
        &["--input", &path(""), "--split", "val"],
    ] {
        let (code, said, classes, records) = pack(args);
        assert_eq!((code, classes.as_slice()), (0, &["n01".to_owned(), "n02".to_owned()][..]), "{args:?}: {said}");
        assert_eq!(in_order(&records), ["n01", "n02", "n01", "n02"], "{args:?}");
        all.push(records);
    }
    assert!(all.windows(2).all(|w| w[0] == w[1]));
}

/// Columns are told by looking, whatever they are called and whatever separates them.
#[test]
fn columns_of_every_kind() {
    let tmp = tempfile::tempdir().unwrap();
    let folder = tmp.path().join("f");
    ["0.png", "1.png", "2.png", "a b.png"].iter().for_each(|n| image(&folder.join(n)));
    let list = tmp.path().join("labels.txt");
    for (text, classes) in [
        ("0.png cat\n1.png dog\n2.png cat\na b.png dog\n", "cat dog cat dog"),
        ("cat 0.png\ndog 1.png\ncat 2.png\ndog a b.png\n", "cat dog cat dog"),
        ("0.png\tcat\r\n1.png\tdog\r\n2.png\tcat\r\na b.png\tdog\r\n", "cat dog cat dog"),
        ("\u{feff}id;breed\n0;cat\n1;dog\n2;cat\na b;dog\n", "cat dog cat dog"),
        ("\"image\",\"what, it is\"\n\"0.png\",\"cat\"\n1.png,\"dog\"\n2.png,cat\n\"a b.png\",dog\n", "cat dog cat dog"),
        ("bild,tier\n0.png,cat\n1.png,dog\n2.png,cat\na b.png,dog\n", "cat dog cat dog"),
        ("bild,zahl\n0.png,3\n1.png,1\n2.png,3\na b.png,0\n", "3 1 3 0"),
        ("index,file,label\n0,0.png,2\n1,1.png,1\n2,2.png,2\n3,a b.png,0\n", "2 1 2 0"),
        ("0,0.png,2\n1,1.png,1\n2,2.png,2\n3,a b.png,0\n", "2 1 2 0"),
        ("file,sex,species,age\n0.png,m,cat,3\n1.png,m,dog,4\n2.png,f,cat,3\na b.png,f,dog,3\n", "cat dog cat dog"),
        ("0.png,n01,0,32,44,62\n1.png,n02,1,32,43,62\n2.png,n01,0,30,44,62\na b.png,n02,0,32,44,60\n", "n01 n02 n01 n02"),
        ("0.png,1,2,30,40,cat\n1.png,1,3,31,40,dog\n2.png,1,2,30,42,cat\na b.png,2,2,30,40,dog\n", "cat dog cat dog"),
        (
            "ImageId,PredictionString\n0,n01440764 1 2 3 4\n1,n01440765 1 2 3 4 n01440765 5 6 7 8\n2,n01440764 1 2 3 4 \na b,n01440765 1 2 3 4\n",
            "n01440764 n01440765 n01440764 n01440765",
        ),
        ("path,filename,label\nx/0.png,0.png,2\nx/1.png,1.png,0\nx/2.png,2.png,2\nx/a b.png,a b.png,1\n", "2 0 2 1"),
        ("1,2\n2,2\n0,0\na b,1\n", "0 2 2 1"), // ids and labels that are both numbers
        ("# made by hand\n0.png 1\n\n1.png 0\n2.png 1\na b.png 0\n", "1 0 1 0"),
    ] {
        write(&list, text.as_bytes());
        let (code, said, _, records) = pack(&["--input", folder.to_str().unwrap(), "--labels", list.to_str().unwrap()]);
        assert_eq!(code, 0, "{text}: {said}");
        assert_eq!(in_order(&records), classes.split(' ').collect::<Vec<_>>(), "{text}: {said}");
    }
    // As a list of its own, where the paths lead somewhere.
    std::fs::rename(&list, folder.join("all.txt")).unwrap();
    let (code, said, _, records) = pack(&["--input", folder.join("all.txt").to_str().unwrap()]);
    assert!(code == 0 && in_order(&records) == ["1", "0", "1", "0"], "{said}");
}

#[test]
fn ambiguous_columns_are_asked_about() {
    let tmp = tempfile::tempdir().unwrap();
    let folder = tmp.path().join("f");
    ["0.png", "1.png", "2.png"].iter().for_each(|n| image(&folder.join(n)));
    let list = tmp.path().join("labels.csv");
    let run = |text: &str, more: &[&str]| {
        write(&list, text.as_bytes());
        pack(&[&["--input", folder.to_str().unwrap(), "--labels", list.to_str().unwrap(), "--on-bad", "skip"], more].concat())
    };
    let three = "file,colour,kind\n0.png,red,cat\n1.png,blue,dog\n2.png,red,dog\n";
    let (code, said, ..) = run(three, &[]);
    assert!(
        code == 2 && said.contains("--label-column") && said.contains("line 1: \"file,colour,kind\"; line 2: \"0.png,red,cat\""),
        "{said}"
    );
    for (column, owed) in [("kind", ["cat", "dog", "dog"]), ("KIND", ["cat", "dog", "dog"]), ("2", ["red", "blue", "red"])] {
        let (code, said, _, records) = run(three, &["--label-column", column]);
        assert!(code == 0 && in_order(&records) == owed, "{column}: {said}");
    }
    let (code, said, ..) = run(three, &["--label-column", "size"]);
    assert!(code == 2 && said.contains("no column \"size\""), "{said}");
    let (code, said, ..) = run(three, &["--label-column", "1"]);
    assert!(code == 2 && said.contains("are the same"), "{said}");
    let (code, said, ..) = run("a,b\nc,d\n", &[]);
    assert!(code == 2 && said.contains("--image-column"), "{said}");
    let (code, said, ..) = run("x.png,cat\ny.png,dog\n", &[]);
    assert!(code == 65 && said.contains("none of the 3 images is among the 2 of the labels"), "{said}");
    let (code, said, ..) = run("0.png,cat\n1.png,7\n2.png,dog\n", &[]);
    assert!(code == 2 && said.contains("line 1: \"cat\"; line 2: \"7\"") && said.contains("--class-names"), "{said}");
    let (code, said, ..) = run("0.png,1\n1.png,2.5\n", &[]);
    assert!(code == 65 && said.contains("line 2: class 2.5 is no whole number"), "{said}");
    let (code, said, ..) = run("0.png,1\n1.png,2,3\n2.png,1\n", &[]);
    assert!(code == 65 && said.contains("line 2: expected an image and its class in 2 columns"), "{said}");
    // Text of files is cut and cannot steer the terminal.
    let (_, said, ..) = run(&format!("0.png,1\n1.png,\u{1b}[31m{}\n2.png,1\n", "x".repeat(5000)), &[]);
    assert!(said.contains("\\u{1b}[31mxx") && !said.contains('\u{1b}') && said.len() < 1000, "{said}");
    // A column of ids makes a class of each image.
    let many: String = (0..60).map(|i| format!("{}.png,id{i}\n", i)).collect();
    let (code, said, ..) = run(&many, &[]);
    assert!(code == 2 && said.contains("a class of its own"), "{said}");
}

#[test]
fn a_column_of_splits_chooses_the_rows() {
    let tmp = tempfile::tempdir().unwrap();
    ["0.png", "1.png", "2.png", "3.png"].iter().for_each(|n| image(&tmp.path().join("f").join(n)));
    let list = tmp.path().join("f/all.csv");
    write(&list, b"file,label,split\n0.png,0,train\n1.png,1,train\n2.png,0,Val\n3.png,1,val\n");
    let (code, said, _, records) = pack(&["--input", list.to_str().unwrap(), "--split", "val"]);
    assert!(code == 0 && said.contains("2 lines of val, 2 of others"), "{said}");
    assert_eq!(records.keys().collect::<Vec<_>>(), ["2.png", "3.png"]);
    write(&list, b"file,label,split\n0.png,0,train\n1.png,1,train\n2.png,0,test\n3.png,1,test\n");
    let (code, said, ..) = pack(&["--input", list.to_str().unwrap(), "--split", "val"]);
    assert!(code == 2 && said.contains("test, train"), "{said}");
}

/// What is given outright is used, or refused with the reason.
#[test]
fn nothing_that_is_given_is_dropped() {
    let tmp = tempfile::tempdir().unwrap();
    let at = |p: &str| tmp.path().join(p);
    ["classes/a/0.png", "classes/b/1.png", "flat/0.png", "flat/1.png"].iter().for_each(|p| image(&at(p)));
    let bytes: Vec<Vec<u8>> = ["flat/0.png", "flat/1.png"].iter().map(|p| std::fs::read(at(p)).unwrap()).collect();
    let tar = |name: &str, members: &[(&str, &[u8])]| {
        write(&at(name), &tar_of(&members.iter().map(|(n, b)| ((*n).to_owned(), *b)).collect::<Vec<_>>()));
    };
    tar("classes.tar", &[("a/0.png", &bytes[0]), ("b/1.png", &bytes[1])]);
    tar("onefolder.tar", &[("images/0.png", &bytes[0]), ("images/1.png", &bytes[1])]);
    tar("flat.tar", &[("0.png", &bytes[0]), ("1.png", &bytes[1])]);
    tar("wds.tar", &[("0.png", &bytes[0]), ("0.cls", b"0"), ("1.png", &bytes[1]), ("1.cls", b"1")]);
    write(&at("flat/list.txt"), b"0.png dog\n1.png cat\n");
    write(&at("labels.txt"), b"0.png dog\n1.png cat\n");
    write(&at("names.txt"), b"zebra\nyak\n");
    let path = |p: &str| at(p).to_str().unwrap().to_owned();
    let labels = path("labels.txt");
    for input in ["flat", "flat.tar", "onefolder.tar"] {
        let (code, said, _, records) = pack(&["--input", &path(input), "--labels", &labels]);
        assert!(code == 0 && in_order(&records) == ["dog", "cat"], "{input}: {said}");
    }
    for input in ["classes", "classes.tar", "wds.tar", "flat/list.txt"] {
        let (code, said, ..) = pack(&["--input", &path(input), "--labels", &labels]);
        assert!(code == 2 && said.contains("--labels: of no use for the source"), "{input}: {said}");
    }
    for (input, source) in [("classes", "flat"), ("classes.tar", "val-tar"), ("wds.tar", "val-tar")] {
        let (code, said, _, records) = pack(&["--input", &path(input), "--labels", &labels, "--source", source]);
        assert!(code == 0 && in_order(&records) == ["dog", "cat"], "{input}: {said}");
    }
    for input in ["classes", "classes.tar", "wds.tar"] {
        for flag in ["--image-column", "--label-column"] {
            let (code, said, ..) = pack(&["--input", &path(input), flag, "1"]);
            assert!(code == 2 && said.contains("of no use for the source"), "{input} {flag}: {said}");
        }
    }
    for input in ["classes", "classes.tar"] {
        let (code, said, ..) = pack(&["--input", &path(input), "--class-names", &path("names.txt")]);
        assert!(code == 2 && said.contains("--class-names holds none of the classes"), "{input}: {said}");
    }
    let (code, said, classes, records) = pack(&["--input", &path("wds.tar"), "--class-names", &path("names.txt")]);
    assert!(code == 0 && classes == ["yak", "zebra"] && in_order(&records) == ["zebra", "yak"], "{said}");
    for more in [&["--quality", "90"][..], &["--max-side", "64"], &["--fit", "square", "--encoding", "jpeg"]] {
        let out = at("out");
        let (code, said) = call(&[&["pack", "--input", &path("classes"), "--output", out.to_str().unwrap()], more].concat());
        assert!(code == 2, "{more:?}: {said}");
    }
}
