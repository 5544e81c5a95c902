//! Archives and lists that are cut, lie or try to lead out: one clear error, or a bad picture that is counted; never a panic.

use super::common::*;
use super::sources::{Pictures, WNIDS, devkit, packed, pictures, plan, tar_of, train_tar, write};
use imagenet_engine::data::bad::OnBad;
use imagenet_engine::data::pack::PackOptions;
use imagenet_engine::data::source::{Kind, SourceOptions};
use imagenet_engine::data::{Dataset, Split};
use imagenet_engine::error::Error;
use imagenet_engine::rng::{Purpose, Stream};
use std::path::Path;

pub fn fails(input: &Path, split: Split, source: SourceOptions) -> Error {
    let out = tempfile::tempdir().unwrap();
    let base = options(input, &out.path().join("out"));
    run(&PackOptions { plan: plan(split), source, on_bad: OnBad::Skip, ..base }).expect_err("it was packed")
}

pub fn kind(kind: Kind) -> SourceOptions {
    SourceOptions { kind: Some(kind), ..SourceOptions::default() }
}

#[test]
fn members_that_cannot_be_used_are_bad_pictures() {
    let tmp = tempfile::tempdir().unwrap();
    let file = tmp.path().join("folders.tar");
    let picture = std::fs::read(golden("yuv420.jpg")).unwrap();
    let mut builder = tar::Builder::new(Vec::new());
    let mut add = |name: &str, kind: tar::EntryType, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes()); // the library would refuse some of them
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_cksum();
        builder.append(&header, content).unwrap();
    };
    let regular = tar::EntryType::Regular;
    for i in 0..8 {
        add(&format!("train/n00000001/good{i}.jpg"), regular, &picture);
    }
    add("/etc/absolute.jpg", regular, &picture);
    add("train/../../out.jpg", regular, &picture);
    add("train/n00000001/good3.jpg", regular, &picture);
    add("train/n00000001/link.jpg", tar::EntryType::Symlink, b"");
    add("train/n00000001/hard.jpg", tar::EntryType::Link, b"");
    add("train/n00000001/pipe.jpg", tar::EntryType::Fifo, b"");
    add("train/n00000001/sparse.jpg", tar::EntryType::GNUSparse, &picture);
    add("train/n00000001/empty.jpg", regular, b"");
    add("train/n00000001/._good1.jpg", regular, b"of a Mac");
    add("train/n00000001/notes.txt", regular, b"text");
    write(&file, &builder.into_inner().unwrap());
    let (_, report) = packed(&file, Split::Train, SourceOptions::default());
    assert_eq!(report.manifest.records, 8);
    for (name, words) in [
        ("absolute.jpg", "absolute path"),
        ("out.jpg", "leads out"),
        ("link.jpg", "a link"),
        ("hard.jpg", "a link"),
        ("pipe.jpg", "pipe or device"),
        ("sparse.jpg", "sparse"),
        ("empty.jpg", "empty"),
    ] {
        let bad = report.bad.iter().find(|b| b.path.ends_with(name)).unwrap_or_else(|| panic!("{name}: {:?}", report.bad));
        assert!(bad.error.contains(words), "{bad:?}");
        assert!(bad.within.as_ref().unwrap().starts_with("folders.tar, byte "), "{bad:?}");
    }
    assert_eq!(report.bad.len(), 7, "{:?}", report.bad);
    assert!(report.notes.iter().any(|n| n.contains("a second time, such as train/n00000001/good3.jpg")), "{:?}", report.notes);
    assert!(report.notes.iter().any(|n| n.starts_with("ignored 1 file: the names do not end like an image")), "{:?}", report.notes);
}

#[test]
fn damaged_archives_name_file_and_byte() {
    let tmp = tempfile::tempdir().unwrap();
    let file = tmp.path().join("ILSVRC2012_img_train.tar");
    let whole = train_tar(&pictures(Split::Train));
    // Cut anywhere: in a header, in a picture, between members, before the end marker.
    let mut s = Stream::new(21, Purpose::Test, 0, 0);
    let ends = [1, 511, 512, 1024, whole.len() - 1024, whole.len() - 1500];
    for len in ends.into_iter().chain((0..40).map(|_| s.below(whole.len() as u32 - 1024) as usize)) {
        write(&file, &whole[..len]);
        let error = fails(&file, Split::Train, SourceOptions::default());
        let text = error.to_string();
        assert!(
            error.exit_code() == 65 && text.contains("archive damaged") && text.contains("ILSVRC2012_img_train.tar, byte "),
            "{len}: {text}"
        );
    }
    // Sizes that lie, checksums made right again.
    for size in [1u64 << 33, u64::MAX >> 1, 1 << 62] {
        let mut bytes = whole.clone();
        let mut header = tar::Header::from_byte_slice(&bytes[..512]).clone();
        header.set_size(size);
        header.set_cksum();
        bytes[..512].copy_from_slice(header.as_bytes());
        write(&file, &bytes);
        let text = fails(&file, Split::Train, SourceOptions::default()).to_string();
        assert!(text.contains("goes beyond the end") && text.contains("byte 0"), "{text}");
    }
    // An extended header or a name that asks for memory.
    for kind in [tar::EntryType::GNULongName, tar::EntryType::XHeader] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(3 << 30);
        header.set_cksum();
        write(&file, &[header.as_bytes(), &whole[..]].concat());
        std::fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(4 << 30).unwrap(); // sparse
        let text = fails(&file, Split::Train, kind_train()).to_string();
        assert!(text.contains("a name or extended header of"), "{text}");
    }
    write(&file, &super::sources::gzip(&whole));
    let text = fails(&file, Split::Train, SourceOptions::default()).to_string();
    assert!(text.contains("compressed by gzip") && text.contains("gunzip"), "{text}");
    write(&file, b"<html>not found</html>");
    assert_eq!(fails(&file, Split::Train, SourceOptions::default()).exit_code(), 65);
}

fn kind_train() -> SourceOptions {
    kind(Kind::TrainTar)
}

/// Extended headers as GNU tar and others write them: names from them, values with line breaks in them.
#[test]
fn pax_headers_are_understood() {
    let tmp = tempfile::tempdir().unwrap();
    let pictures: Pictures = pictures(Split::Train).into_iter().take(8).collect();
    let file = tmp.path().join("folders.tar");
    let plain: Vec<(String, &[u8])> = pictures.iter().map(|p| (format!("train/{}/{}", WNIDS[p.0], p.1), &p.2[..])).collect();
    write(&file, &tar_of(&plain));
    let expected = packed(&file, Split::Train, SourceOptions::default()).0;
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in &plain {
        builder.append_pax_extensions([("SCHILY.xattr.user.x", &b"a\nb=c\n"[..]), ("path", name.as_bytes())]).unwrap();
        let mut header = tar::Header::new_ustar();
        header.set_path("short.jpg").unwrap();
        header.set_size(content.len() as u64);
        header.set_cksum();
        builder.append(&header, *content).unwrap();
    }
    write(&file, &builder.into_inner().unwrap());
    assert!(packed(&file, Split::Train, kind_train()).0 == expected);
}

#[test]
fn labels_that_do_not_fit_are_told() {
    let tmp = tempfile::tempdir().unwrap();
    let pictures = pictures(Split::Val);
    let tar = tmp.path().join("ILSVRC2012_img_val.tar");
    write(&tar, &tar_of(&pictures.iter().map(|p| (p.1.clone(), &p.2[..])).collect::<Vec<_>>()));
    let text = fails(&tar, Split::Val, SourceOptions::default()).to_string();
    assert!(text.contains("no labels for them") && text.contains("--labels"), "{text}");
    let list = tmp.path().join("labels.txt");
    let labels = |text: &[u8]| {
        write(&list, text);
        SourceOptions { labels: Some(list.clone()), ..SourceOptions::default() }
    };
    let lines: Vec<String> = pictures.iter().map(|p| format!("{} {}\n", p.1, WNIDS[p.0])).collect();
    // One picture has no label: it is a bad picture. One label has no picture: a note.
    let source = labels(format!("{}{}", lines[1..].concat(), "ILSVRC2012_val_00050000.JPEG n01675722\n").as_bytes());
    let (_, report) = packed(&tar, Split::Val, source);
    assert!(report.bad.len() == 1 && report.bad[0].error.contains("no label for it in labels.txt"), "{:?}", report.bad);
    assert!(report.notes.iter().any(|n| n.starts_with("1 of ")), "{:?}", report.notes);
    for (text, words) in [
        ("ILSVRC2012_val_00000001.JPEG\n".as_bytes(), "line 1: expected an image and its class"),
        (b"a.jpg 1\na.jpg 2\n", "there twice, with different classes"),
        (b"a.jpg 99999999999\n", "line 1: class 99999999999"),
        (b"a.jpg 1\na.png 555552\n", "line 2: class 555552 of 65536"),
        (b"\xFF\xD8\xFF\xE0", "not text"),
        (b"a.jpg ../up\n", "holds a /"),
    ] {
        let error = fails(&tar, Split::Val, labels(text));
        assert!(error.exit_code() == 65 && error.to_string().contains(words), "{words}: {error}");
    }
    let names = tmp.path().join("names.txt");
    write(&names, b"n01 words\nn02 words\n");
    let with_names = |text: &[u8]| SourceOptions { class_names: Some(names.clone()), ..labels(text) };
    let error = fails(&tar, Split::Val, with_names(b"b.jpg 1\na.jpg 2\n"));
    assert!(error.to_string().contains("line 2: class 2 of 2"), "{error}");
    let error = fails(&tar, Split::Val, with_names(b"a.jpg n03\n"));
    assert!(error.to_string().contains("line 1: class \"n03\" is not among"), "{error}");
    write(&names, b"n01 a\nn01 b\n");
    assert!(fails(&tar, Split::Val, with_names(b"a.jpg 1\n")).to_string().contains("already, in line 1"));
}

/// The development kit, a WebDataset and a list with bytes changed anywhere: an error or a pack, never a panic; and what is packed opens.
#[test]
fn mutated_sources_do_no_harm() {
    let tmp = tempfile::tempdir().unwrap();
    let all = pictures(Split::Val);
    let few: Pictures = all
        .into_iter()
        .take(6)
        .map(|(c, n, b)| (c, n, if b.len() > 5000 { std::fs::read(golden("gray.jpg")).unwrap() } else { b }))
        .collect();
    let val = tmp.path().join("v/ILSVRC2012_img_val.tar");
    write(&val, &tar_of(&few.iter().map(|p| (p.1.clone(), &p.2[..])).collect::<Vec<_>>()));
    let classes: Vec<String> = few.iter().map(|p| p.0.to_string()).collect();
    let samples: Vec<(String, &[u8])> =
        few.iter().zip(&classes).flat_map(|(p, c)| [(p.1.clone(), &p.2[..]), (p.1.replace("JPEG", "cls"), c.as_bytes())]).collect();
    let list: String = few.iter().map(|p| format!("{} {}\n", p.1, p.0)).collect();
    // Gzip has a checksum of its own, so the kit is changed inside.
    let mut kit = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&devkit(&few)[..]), &mut kit).unwrap();
    let (kit_file, wds, list_file) =
        (tmp.path().join("v/ILSVRC2012_devkit_t12.tar"), tmp.path().join("w/train.tar"), tmp.path().join("l/val.txt"));
    let sources: [(&Path, Vec<u8>, &Path, Split); 4] = [
        (&kit_file, kit, &val, Split::Val),
        (&val, std::fs::read(&val).unwrap(), &val, Split::Val),
        (&wds, tar_of(&samples), &wds, Split::Train),
        (&list_file, list.into_bytes(), &list_file, Split::Val),
    ];
    few.iter().for_each(|p| write(&tmp.path().join("l").join(&p.1), &p.2));
    let rounds = rounds(150, 20_000);
    let mut s = Stream::new(31, Purpose::Test, 0, 0);
    for (changed, good, input, split) in sources {
        write(changed, &good);
        let out = tempfile::tempdir().unwrap();
        run(&PackOptions { plan: plan(split), ..options(input, &out.path().join("out")) }).unwrap_or_else(|e| panic!("unchanged: {e}"));
        let (mut errors, mut packs) = (0, 0);
        for round in 0..rounds {
            let mut bytes = good.clone();
            for _ in 0..=s.below(3) {
                let at = s.below(bytes.len() as u32) as usize;
                bytes[at] = if round % 2 == 0 { bytes[at] ^ 1 << s.below(8) } else { s.below(256) as u8 };
            }
            if round % 7 == 0 {
                bytes.truncate(s.below(bytes.len() as u32) as usize);
            }
            write(changed, &bytes);
            let out = tempfile::tempdir().unwrap();
            let base = options(input, &out.path().join("out"));
            match run(&PackOptions { plan: plan(split), on_bad: OnBad::Skip, ..base }) {
                Ok(_) => {
                    Dataset::open(&out.path().join("out")).unwrap();
                    packs += 1;
                }
                Err(e) => {
                    assert!(matches!(e.exit_code(), 65 | 2), "{e}");
                    errors += 1;
                }
            }
        }
        write(changed, &good);
        assert!(errors > 0 && packs > 0, "{}: {errors} errors, {packs} packs: the test shows little", changed.display());
    }
}

#[cfg(not(feature = "parquet"))]
#[test]
fn without_the_feature_parquet_names_it() {
    let error = fails(&golden("pictures.parquet"), Split::Train, SourceOptions::default());
    assert!(error.exit_code() == 2 && error.to_string().contains("--features parquet"), "{error}");
}

/// A file of pyarrow, laid out as Hugging Face's: the records of an ImageFolder of its pictures.
#[cfg(feature = "parquet")]
#[test]
fn parquet_gives_the_records_of_an_image_folder() {
    let tmp = tempfile::tempdir().unwrap();
    let files = ["yuv420.jpg", "gray.jpg", "rgb.png", "cmyk.jpg", "rotated.jpg", "palette.png", "yuv444.jpg"];
    for (i, file) in files.iter().enumerate() {
        let (class, name) = (WNIDS[i % 3], format!("{0}_{1}_{0}.JPEG", WNIDS[i % 3], 90 - i));
        write(&tmp.path().join(class).join(name), &std::fs::read(golden(file)).unwrap());
    }
    let (_, report) = packed(&golden("pictures.parquet"), Split::Val, SourceOptions::default());
    assert!(report.bad.len() == 1 && report.bad[0].error.contains("no label"), "{:?}", report.bad);
    let words: Vec<_> = report.manifest.classes.iter().map(|c| (c.name.as_str(), c.words.as_deref().unwrap())).collect();
    assert_eq!(words[1], ("n01694178", "African chameleon, Chamaeleo chamaeleon"));
    // The picture without a label takes an id and part of the dataset's, so the records are compared and not the shards.
    let records = |dir: &Path, split| {
        let out = tempfile::tempdir().unwrap();
        run(&PackOptions { plan: plan(split), on_bad: OnBad::Skip, ..options(dir, &out.path().join("out")) }).unwrap();
        let d = Dataset::open(&out.path().join("out")).unwrap();
        let one = |i| d.record(i).map(|p| (p.name.to_owned(), p.label, p.width, p.height, p.pixels.to_vec())).unwrap();
        let mut all: Vec<_> = (0..d.len()).map(one).collect();
        all.sort();
        all
    };
    for split in [Split::Train, Split::Val] {
        assert_eq!(records(&golden("pictures.parquet"), split), records(tmp.path(), split));
    }
    // Damage anywhere is an error or a bad picture.
    let good = std::fs::read(golden("pictures.parquet")).unwrap();
    let file = tmp.path().join("x.parquet");
    let mut s = Stream::new(41, Purpose::Test, 0, 0);
    for round in 0..300 {
        let mut bytes = good.clone();
        let at = if round % 2 == 0 { bytes.len() - 1 - s.below(1500) as usize } else { s.below(bytes.len() as u32) as usize };
        bytes[at] ^= 1 << s.below(8);
        if round % 9 == 0 {
            bytes.truncate(at);
        }
        write(&file, &bytes);
        let out = tempfile::tempdir().unwrap();
        let result = run(&PackOptions { plan: plan(Split::Val), on_bad: OnBad::Skip, ..options(&file, &out.path().join("out")) });
        assert!(result.as_ref().err().is_none_or(|e| e.exit_code() == 65), "{result:?}");
    }
}
