//! Every form in which ImageNet is held gives the shards of an ImageFolder of the same pictures, byte for byte.

use super::common::*;
use imagenet_engine::data::bad::OnBad;
use imagenet_engine::data::pack::{PackOptions, PackReport};
use imagenet_engine::data::plan::PlanOptions;
use imagenet_engine::data::source::SourceOptions;
use imagenet_engine::data::{Dataset, Split};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Sorted, as labels are; the development kit of golden/meta.mat numbers them differently.
pub const WNIDS: [&str; 6] = ["n01675722", "n01694178", "n01697457", "n01698640", "n01739381", "n01740131"];
/// ILSVRC2012_ID of each.
const IDS: [u32; 6] = [2, 4, 6, 3, 5, 1];
const GOLDEN: [&str; 8] = ["yuv420.jpg", "gray.jpg", "cmyk.jpg", "rgb.png", "rotated.jpg", "progressive.jpg", "palette.png", "yuv444.jpg"];

/// Class, name without folder, content.
pub type Pictures = Vec<(usize, String, Vec<u8>)>;

/// Pictures of every awkward kind that can be read, and photographs where the machine has them.
pub fn pictures(split: Split) -> Pictures {
    let mut contents: Vec<Vec<u8>> = GOLDEN.iter().map(|name| std::fs::read(golden(name)).unwrap()).collect();
    if let Some(photos) = shared("photos") {
        for class in WNIDS.iter().map(|w| photos.join(w)) {
            contents.extend(std::fs::read_dir(class).unwrap().map(|f| std::fs::read(f.unwrap().path()).unwrap()));
        }
    }
    let name = |i: usize, class: usize| match split {
        Split::Train => format!("{}_{}.JPEG", WNIDS[class], 10_000 - 7 * i), // a PNG is among them
        Split::Val => format!("ILSVRC2012_val_{:08}.JPEG", i + 1),
    };
    contents.into_iter().enumerate().map(|(i, content)| (i * 5 % 6, name(i, i * 5 % 6), content)).collect()
}

pub fn write(path: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// A tar of members in this order.
pub fn tar_of(members: &[(String, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The outer tar of class tars, in no sorted order.
pub fn train_tar(pictures: &Pictures) -> Vec<u8> {
    let inner: Vec<(String, Vec<u8>)> = [3, 0, 5, 1, 4, 2]
        .iter()
        .map(|&c| {
            let members: Vec<(String, &[u8])> = pictures.iter().filter(|p| p.0 == c).map(|p| (p.1.clone(), &p.2[..])).collect();
            (format!("{}.tar", WNIDS[c]), tar_of(&members))
        })
        .collect();
    tar_of(&inner.iter().map(|(name, tar)| (name.clone(), &tar[..])).collect::<Vec<_>>())
}

pub fn devkit(pictures: &Pictures) -> Vec<u8> {
    let truth: String = pictures.iter().map(|p| format!("{}\n", IDS[p.0])).collect();
    let meta = std::fs::read(golden("meta.mat")).unwrap();
    let root = "ILSVRC2012_devkit_t12";
    gzip(&tar_of(&[
        (format!("{root}/readme.txt"), b"text"),
        (format!("{root}/data/meta.mat"), &meta),
        (format!("{root}/data/ILSVRC2012_validation_ground_truth.txt"), truth.as_bytes()),
    ]))
}

pub fn plan(split: Split) -> PlanOptions {
    PlanOptions { size: 48, records_per_shard: 5, ..PlanOptions::new(split) }
}

/// Packs `input` and returns its shards by name with the report.
pub fn packed(input: &Path, split: Split, source: SourceOptions) -> (BTreeMap<String, Vec<u8>>, PackReport) {
    let out = tempfile::tempdir().unwrap();
    let base = options(input, &out.path().join("out"));
    let report = run(&PackOptions { plan: plan(split), source, on_bad: OnBad::Skip, ..base }).unwrap_or_else(|e| panic!("{e}"));
    let mut files = files(&out.path().join("out"));
    files.retain(|name, _| name.ends_with(".ies"));
    assert!(files.len() > 1);
    (files, report)
}

/// The shards of an ImageFolder of `pictures`.
fn expected(pictures: &Pictures, split: Split) -> BTreeMap<String, Vec<u8>> {
    let tmp = tempfile::tempdir().unwrap();
    for (class, name, content) in pictures {
        write(&tmp.path().join(WNIDS[*class]).join(name), content);
    }
    let (files, report) = packed(tmp.path(), split, SourceOptions::default());
    assert!(report.bad.is_empty() && report.manifest.records == pictures.len() as u64);
    files
}

fn assert_equal(input: &Path, split: Split, source: SourceOptions, kind: &str, expected: &BTreeMap<String, Vec<u8>>) -> PackReport {
    let (files, report) = packed(input, split, source);
    assert_eq!(report.manifest.source.as_deref(), Some(kind));
    assert!(report.bad.is_empty(), "{kind}: {:?}", report.bad);
    assert!(files == *expected, "{kind}: other shards than those of the ImageFolder");
    report
}

#[test]
fn train_tars_are_read_in_place() {
    let tmp = tempfile::tempdir().unwrap();
    let pictures = pictures(Split::Train);
    let expected = expected(&pictures, Split::Train);
    let file = tmp.path().join("ILSVRC2012_img_train.tar");
    write(&file, &train_tar(&pictures));
    let auto = SourceOptions::default;
    assert_equal(&file, Split::Train, auto(), "train-tar", &expected);
    assert_equal(tmp.path(), Split::Train, auto(), "train-tar", &expected);
    // The comparison can fail: one picture under another name.
    let mut other = pictures.clone();
    other[0].1 = "n01675722_1.JPEG".to_owned();
    write(&file, &train_tar(&other));
    assert!(packed(&file, Split::Train, auto()).0 != expected);

    // The class tars alone, and a tar of class folders, with a name too long for the old header in it.
    let classes = tmp.path().join("classes");
    let folders: Vec<(String, &[u8])> = pictures.iter().map(|p| (format!("./train/{}/{}", WNIDS[p.0], p.1), &p.2[..])).collect();
    for (class, wnid) in WNIDS.iter().enumerate() {
        let members: Vec<_> = pictures.iter().filter(|p| p.0 == class).map(|p| (p.1.clone(), &p.2[..])).collect();
        write(&classes.join(format!("{wnid}.tar")), &tar_of(&members));
    }
    assert_equal(&classes, Split::Train, auto(), "train-tar", &expected);
    let file = tmp.path().join("folders.tar");
    write(&file, &tar_of(&folders));
    assert_equal(&file, Split::Train, auto(), "train-tar", &expected);
    let (long, name) = ("d".repeat(90), &pictures[0].1);
    let deep: Vec<_> = folders.iter().map(|(n, c)| (n.replace(name, &format!("{long}/{long}/{name}")), *c)).collect();
    write(&file, &tar_of(&deep));
    let (files, _) = packed(&file, Split::Train, auto());
    let tree = tmp.path().join("deep");
    deep.iter().for_each(|(name, content)| write(&tree.join(name), content));
    assert!(files == packed(&tree, Split::Train, auto()).0 && files != expected);
}

#[test]
fn validation_pictures_get_their_labels() {
    let tmp = tempfile::tempdir().unwrap();
    let pictures = pictures(Split::Val);
    let expected = expected(&pictures, Split::Val);
    let tar = tmp.path().join("val/ILSVRC2012_img_val.tar");
    write(&tar, &tar_of(&pictures.iter().map(|p| (p.1.clone(), &p.2[..])).collect::<Vec<_>>()));
    let folder = tmp.path().join("flat");
    pictures.iter().for_each(|p| write(&folder.join(&p.1), &p.2));

    let column = |class: &dyn Fn(usize) -> String, separator: &str| -> String {
        pictures.iter().rev().map(|p| format!("{}{separator}{}\n", p.1, class(p.0))).collect()
    };
    let kit = tmp.path().join("kits/ILSVRC2012_devkit_t12.tar.gz");
    write(&kit, &devkit(&pictures));
    let solution: String = pictures
        .iter()
        .rev()
        .map(|p| format!("{},{} 85 1 499 272 {} 1 2 3 4\n", p.1.trim_end_matches(".JPEG"), WNIDS[p.0], WNIDS[p.0]))
        .collect();
    let mapping: String = WNIDS.iter().map(|w| format!("{w} words of, {w}\n")).collect();
    for (file, text) in [
        ("LOC_val_solution.csv", format!("ImageId,PredictionString\n{solution}")),
        ("wnids.txt", column(&|c| WNIDS[c].to_owned(), " ")),
        ("wnids.csv", format!("filename,label\n{}", column(&|c| WNIDS[c].to_owned(), ","))),
        ("ranks.txt", column(&|c| c.to_string(), "\t")),
        ("mapping.txt", mapping),
    ] {
        write(&tmp.path().join("kits").join(file), text.as_bytes());
    }
    let labels = |file: &str, names: Option<&str>| SourceOptions {
        labels: Some(tmp.path().join("kits").join(file)),
        class_names: names.map(|n| tmp.path().join("kits").join(n)),
        ..SourceOptions::default()
    };
    for (labels, words) in [
        (labels("ILSVRC2012_devkit_t12.tar.gz", None), None),
        (labels("LOC_val_solution.csv", None), None),
        (labels("wnids.txt", Some("ILSVRC2012_devkit_t12.tar.gz")), Some("vine snake")),
        (labels("wnids.csv", None), None),
        (labels("ranks.txt", Some("mapping.txt")), Some("words of, n01739381")),
        (labels("ranks.txt", Some("ILSVRC2012_devkit_t12.tar.gz")), Some("vine snake")),
    ] {
        let report = assert_equal(&tar, Split::Val, labels.clone(), "val-tar", &expected);
        assert_eq!(report.manifest.classes[4].words.as_deref(), words);
        assert_equal(&folder, Split::Val, labels, "flat", &expected);
    }
    // Beside the pictures the kit is found without being named, and gives the words too.
    std::fs::copy(&kit, tmp.path().join("val/ILSVRC2012_devkit_t12.tar.gz")).unwrap();
    let report = assert_equal(&tmp.path().join("val"), Split::Val, SourceOptions::default(), "val-tar", &expected);
    assert_eq!(report.manifest.classes[1].words.as_deref(), Some("African chameleon, Chamaeleo chamaeleon"));

    // Numbers without names stay numbers, in their order.
    let (_, report) = packed(&folder, Split::Val, labels("ranks.txt", None));
    let names: Vec<&str> = report.manifest.classes.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["0", "1", "2", "3", "4", "5"]);
}

#[test]
fn kaggles_tree_is_known() {
    let tmp = tempfile::tempdir().unwrap();
    let (train, val) = (pictures(Split::Train), pictures(Split::Val));
    let data = tmp.path().join("ILSVRC/Data/CLS-LOC");
    train.iter().for_each(|p| write(&data.join("train").join(WNIDS[p.0]).join(&p.1), &p.2));
    val.iter().for_each(|p| write(&data.join("val").join(&p.1), &p.2));
    write(&data.join("test/ILSVRC2012_test_00000001.JPEG"), b"");
    let solution: String = val.iter().map(|p| format!("{},{} 1 2 3 4\n", p.1.trim_end_matches(".JPEG"), WNIDS[p.0])).collect();
    write(&tmp.path().join("LOC_val_solution.csv"), format!("ImageId,PredictionString\n{solution}").as_bytes());
    write(&tmp.path().join("LOC_synset_mapping.txt"), WNIDS.map(|w| format!("{w} words of {w}")).join("\n").as_bytes());
    let report = assert_equal(tmp.path(), Split::Train, SourceOptions::default(), "folder", &expected(&train, Split::Train));
    assert_eq!(report.manifest.classes[5].words.as_deref(), Some("words of n01740131"));
    assert_equal(tmp.path(), Split::Val, SourceOptions::default(), "flat", &expected(&val, Split::Val));
}

#[test]
fn webdataset_and_lists() {
    let tmp = tempfile::tempdir().unwrap();
    let pictures = pictures(Split::Train);
    let expected = expected(&pictures, Split::Train);
    let mut order: Vec<usize> = (0..pictures.len()).collect();
    order.rotate_left(3);
    let labels: Vec<(String, String)> =
        pictures.iter().map(|p| (p.0.to_string(), format!("{{\"label\": {}, \"filename\": \"x\"}}", p.0))).collect();
    for json in [false, true] {
        let folder: PathBuf = tmp.path().join(if json { "json" } else { "cls" });
        for (shard, order) in order.chunks(4).enumerate() {
            let mut members = Vec::new();
            for &i in order {
                let (_, name, content) = &pictures[i];
                let stem = name.trim_end_matches(".JPEG");
                members.push((name.clone(), &content[..]));
                let label =
                    if json { (format!("{stem}.json"), labels[i].1.as_bytes()) } else { (format!("{stem}.cls"), labels[i].0.as_bytes()) };
                members.push(label);
            }
            write(&folder.join(format!("imagenet-train-{shard:06}.tar")), &tar_of(&members));
        }
        write(&folder.join("imagenet-validation-000000.tar"), b"of the other split: not looked at");
        assert_equal(&folder, Split::Train, SourceOptions::default(), "webdataset", &expected);
    }
    // A list beside the pictures: numbers whose names are in the pictures' own, or names. What all paths have in common says nothing.
    let root = tmp.path().join("listed");
    for folder in ["images", "train"] {
        pictures.iter().for_each(|p| write(&root.join(folder).join(&p.1), &p.2));
        for class in [&(|c: usize| c.to_string()) as &dyn Fn(usize) -> String, &|c| WNIDS[c].to_owned()] {
            let text: String = order.iter().map(|&i| format!("{folder}/{} {}\n", pictures[i].1, class(pictures[i].0))).collect();
            write(&root.join("train_list.txt"), text.as_bytes());
            assert_equal(&root.join("train_list.txt"), Split::Train, SourceOptions::default(), "list", &expected);
        }
    }
}

/// A shard that was damaged is made again from another form of the same pictures.
#[test]
fn repairs_take_any_form() {
    let tmp = tempfile::tempdir().unwrap();
    let pictures = pictures(Split::Train);
    let (tar, out) = (tmp.path().join("ILSVRC2012_img_train.tar"), tmp.path().join("out"));
    let tree = tmp.path().join("tree");
    pictures.iter().for_each(|p| write(&tree.join(WNIDS[p.0]).join(&p.1), &p.2));
    run(&PackOptions { plan: plan(Split::Train), ..options(&tree, &out) }).unwrap();
    write(&tar, &train_tar(&pictures));
    let before = files(&out);
    let entry = Dataset::open(&out).unwrap().shards()[1].entries[2];
    let shard = out.join(before.keys().filter(|n| n.ends_with(".ies")).nth(1).unwrap());
    let mut bytes = std::fs::read(&shard).unwrap();
    bytes[entry.offset as usize] ^= 4;
    std::fs::write(&shard, bytes).unwrap();
    let (code, text) = call(&["verify", out.to_str().unwrap(), "--repair-from", tar.to_str().unwrap()]);
    assert!(code == 0 && text.contains("1 shard made again"), "{text}");
    assert!(files(&out) == before);
}
