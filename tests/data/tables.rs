//! Parquet files of every codec, page, column type and name that pyarrow writes give the rows that were put into them; those that cannot
//! be decided are errors that list the columns.

use super::archives::read_all;
use super::common::*;
use super::hostile::fails;
use super::sources::write;
use imagenet_engine::data::Split;
use imagenet_engine::data::source::{Listing, SourceOptions, open};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Class, name, start of the SHA-256 of the content.
type Row = (String, Option<String>, String);

fn table(name: &str) -> PathBuf {
    golden("tables").join(format!("{name}.parquet"))
}

fn columns(image: Option<&str>, label: Option<&str>) -> SourceOptions {
    SourceOptions { image_column: image.map(str::to_owned), label_column: label.map(str::to_owned), ..SourceOptions::default() }
}

fn listed(name: &str, options: &SourceOptions) -> Listing {
    open(&table(name), options, Split::Train).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// Rows that can be read, without names that only number them; and how many cannot.
fn rows(listing: &Listing) -> (Vec<Row>, usize) {
    let (read, bad) = read_all(listing);
    let row = |(path, sha): (String, String)| {
        let (class, name) = path.split_once('/').unwrap();
        (class.to_owned(), (!name.starts_with("00000-")).then(|| name.to_owned()), sha)
    };
    let mut rows: Vec<Row> = read.into_iter().map(row).collect();
    rows.sort();
    (rows, bad.len())
}

#[test]
fn every_layout_of_pyarrow_is_read() {
    let text = std::fs::read_to_string(golden("tables/listing.json")).unwrap();
    let all: BTreeMap<String, Vec<Row>> = serde_json::from_str(&text).unwrap();
    assert!(all.len() > 40);
    for (name, mut expected) in all.into_iter().filter(|(_, rows)| !rows.is_empty()) {
        let listing = listed(&name, &SourceOptions::default());
        let (rows, bad) = rows(&listing);
        expected.sort();
        assert_eq!(rows, expected, "{name}");
        let other_splits = if name.starts_with("split_") && name != "split_streams" { 6 - expected.len() } else { 0 };
        assert_eq!(bad, 6 - expected.len() - other_splits, "{name}");
        // Numbers keep their order, names are sorted, ClassLabels keep theirs.
        let classes: Vec<&str> = listing.classes.iter().map(String::as_str).collect();
        match expected[0].0.as_str() {
            _ if name.starts_with("class_label") => assert_eq!(classes, ["zebra", "ant", "cat"]),
            "ant" => assert_eq!(classes, ["ant", "cat", "dog"], "{name}"),
            _ => assert_eq!(classes, (0..11).map(|n| n.to_string()).collect::<Vec<_>>(), "{name}"),
        }
    }
}

#[test]
fn what_cannot_be_decided_lists_the_columns() {
    for (name, words, next) in [
        ("cifar100", "2 columns that may hold the labels", "--label-column"),
        ("cifar100", "2 columns that may hold the labels", "--label-column fine_label, or --label-column coarse_label"),
        ("two_images", "2 columns that may hold the images", "--image-column image, or --image-column mask"),
        ("cifar100", "fine_label (int64: 2, 0); coarse_label (int64: 0, 1)", "--label-column"),
        ("two_images", "2 columns that may hold the images", "--image-column"),
        ("two_images", "mask.bytes (binary: PNG of ", "--image-column"),
        ("no_images", "no column of images", "text (string: \"cat\", \"ant\")"),
        ("no_labels", "no column of labels", "id (int64: 0, 1)"),
        ("label_bool", "label holds no labels", "label (bool: true, false)"),
        ("label_fractions", "column label, row group 0, row 0: label 0.5 is no whole number", "another table"),
        ("label_half_fractions", "column label, row group 0, row 1: label 0.5 is no whole number", "another table"),
        ("label_decimal_fractions", "column label, row group 0, row 1: label 1.5 is no whole number", "another table"),
        ("label_uint32_large", "label 4294967295 of ", "row group 0, row 0"),
        ("label_all_different", "each of 60 images would be a class of its own", "\"id0\", \"id1\""),
        ("label_dates", "label holds no labels", "date"),
        ("label_lists", "no column", "list of int64"),
    ] {
        let error = fails(&table(name), Split::Train, SourceOptions::default());
        let text = error.to_string();
        let code = if words.contains("whole number") && words.starts_with("column") || name == "label_uint32_large" { 65 } else { 2 };
        assert!(error.exit_code() == code && text.contains(words) && text.contains(next), "{name}: {text}");
        assert!(!text.contains("a damaged file"), "{text}");
    }
    // The flags decide.
    let coarse = listed("cifar100", &columns(None, Some("coarse_label")));
    assert_eq!((coarse.classes.len(), rows(&coarse)), (3, rows(&listed("cifar100", &columns(Some("img"), Some("coarse_label"))))));
    assert_eq!(rows(&listed("cifar100", &columns(None, Some("fine_label")))).0, rows(&listed("cifar10", &SourceOptions::default())).0);
    for image in ["image", "image.bytes", "1"] {
        assert_eq!(rows(&listed("two_images", &columns(Some(image), None))).0, rows(&listed("codec_zstd", &SourceOptions::default())).0);
    }
    for (options, words) in [
        (columns(Some("label"), None), "column label holds no bytes of images; the columns are image.bytes"),
        (columns(Some("nothing"), None), "no column nothing of images"),
        (columns(None, Some("nothing")), "no column nothing; the columns are"),
        (columns(None, Some("image")), "column image holds the images and what they are called, no classes"),
        (columns(None, Some("image.path")), "column image.path holds the images and what they are called, no classes"),
        (columns(None, Some("image.bytes")), "no classes"),
    ] {
        let text = fails(&table("codec_zstd"), Split::Train, options).to_string();
        assert!(text.contains(words), "{text}");
    }
    // With any other source the flags are refused.
    let tmp = tempfile::tempdir().unwrap();
    write(&tmp.path().join("a/0.jpg"), &std::fs::read(golden("gray.jpg")).unwrap());
    let error = fails(tmp.path(), Split::Train, columns(None, Some("label")));
    assert!(
        error.exit_code() == 2 && error.to_string().contains("--image-column and --label-column: of no use for the source folder"),
        "{error}"
    );
}

#[test]
fn several_files_need_the_same_columns() {
    let tmp = tempfile::tempdir().unwrap();
    for (i, name) in ["codec_zstd", "codec_gzip"].into_iter().enumerate() {
        std::fs::copy(table(name), tmp.path().join(format!("train-{i}.parquet"))).unwrap();
    }
    let listing = open(tmp.path(), &SourceOptions::default(), Split::Train).unwrap();
    assert_eq!(listing.files.len(), 12);
    std::fs::copy(table("cifar10"), tmp.path().join("train-2.parquet")).unwrap();
    let text = fails(tmp.path(), Split::Train, SourceOptions::default()).to_string();
    assert!(text.contains("no column image.bytes, which the files before it have") && text.contains("train-2.parquet"), "{text}");
}

#[test]
fn a_column_of_splits_chooses_the_rows() {
    for (name, split, rows_owed, note) in [
        ("split_words", Split::Train, 3, "column split of the table names the split: 3 rows of train, 3 of others"),
        ("split_words", Split::Val, 2, "column split of the table names the split: 2 rows of val, 4 of others"),
        ("split_unnamed", Split::Val, 2, "column part of the table"),
        ("split_other_words", Split::Val, 2, "2 rows of val, 4 of others"),
        ("split_flag", Split::Train, 3, "column is_valid of the table"),
        ("split_flag", Split::Val, 3, "3 rows of val"),
    ] {
        let listing = open(&table(name), &SourceOptions::default(), split).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(listing.files.len(), rows_owed, "{name}");
        assert!(listing.notes.iter().any(|n| n.contains(note)), "{name}: {:?}", listing.notes);
    }
    let numbers = listed("split_numbers", &SourceOptions::default());
    assert!(numbers.files.len() == 6 && numbers.notes.iter().any(|n| n.contains("column split is not used")), "{:?}", numbers.notes);
    // The images of both splits are all but those of the test split, none in both.
    let of = |split| rows(&open(&table("split_words"), &SourceOptions::default(), split).unwrap()).0;
    let (train, val) = (of(Split::Train), of(Split::Val));
    assert!(val.iter().all(|row| !train.contains(row)));
    assert_eq!(val.iter().map(|r| r.1.as_deref().unwrap()).collect::<Vec<_>>(), ["3.png", "2.png"], "of classes 0 and 10");
    let tmp = tempfile::tempdir().unwrap();
    std::fs::copy(table("split_words"), tmp.path().join("train.parquet")).unwrap();
    let asked = SourceOptions { label_column: Some("split".to_owned()), ..SourceOptions::default() };
    assert_eq!(open(&table("split_words"), &asked, Split::Train).unwrap().files.len(), 6, "what is asked for as labels chooses nothing");
}

/// Two files of one split that do not say the same of their classes.
#[test]
fn files_that_number_classes_otherwise_are_refused() {
    let tmp = tempfile::tempdir().unwrap();
    let put = |a: &str, b: &str| {
        std::fs::copy(table(a), tmp.path().join("train-0.parquet")).unwrap();
        std::fs::copy(table(b), tmp.path().join("train-1.parquet")).unwrap();
    };
    let names = tmp.path().join("names.txt");
    write(&names, b"zebra\nant\ncat\n");
    for (a, b, words) in [
        ("label_int32", "label_string", "some labels are numbers and others are names: 2 in "),
        ("label_string", "label_int32", "some labels are numbers and others are names: 2 in "),
        ("class_label", "class_label_reordered", "the files name their classes otherwise"),
    ] {
        put(a, b);
        let error = fails(tmp.path(), Split::Train, SourceOptions::default());
        let text = error.to_string();
        assert!(error.exit_code() == 2 && text.contains(words), "{a}, {b}: {text}");
        assert!(text.contains("train-0.parquet") && text.contains("train-1.parquet"), "both are named: {text}");
    }
    let asked = SourceOptions { class_names: Some(names), ..SourceOptions::default() };
    let listing = open(tmp.path(), &asked, Split::Train).unwrap();
    assert_eq!(listing.classes, ["ant", "cat", "zebra"]);
    assert!(listing.notes.iter().any(|n| n.contains("number 1 is \"ant\" and no longer class 1")), "{:?}", listing.notes);
    // A file of names in another order than the table's own would move every label.
    let reversed = tmp.path().join("reversed.txt");
    write(&reversed, b"cat\nant\nzebra\n");
    put("class_label", "class_label");
    let swapped = SourceOptions { class_names: Some(reversed), ..SourceOptions::default() };
    let text = fails(tmp.path(), Split::Train, swapped).to_string();
    assert!(text.contains("0 is \"cat\" by --class-names and \"zebra\" by the ClassLabel"), "{text}");
    put("label_int32", "label_numbers_as_text");
    assert_eq!(open(tmp.path(), &SourceOptions::default(), Split::Train).unwrap().files.len(), 12, "numbers, however they are written");
    write(&tmp.path().join("train-0.parquet"), b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 12\n");
    assert!(fails(tmp.path(), Split::Train, SourceOptions::default()).to_string().contains("git lfs pull"));
    for other in ["label_bool", "label_dates", "label_lists"] {
        put("label_int32", other);
        let text = fails(tmp.path(), Split::Train, SourceOptions::default()).to_string();
        assert!(
            (text.contains("of another kind") || text.contains("no column label")) && text.contains("train-1.parquet"),
            "{other}: {text}"
        );
    }
}
