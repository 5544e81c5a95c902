//! The fuzz targets' corpora and every input that once did harm, on any toolchain; and a campaign of plain mutations.

#[path = "../../fuzz/entries.rs"]
mod entries;

use super::common::*;
use super::damage_bed::Bed;
use super::sources::{devkit, pictures, tar_of, train_tar};
use super::zips::zip_of;
use entries::TARGETS;
use imagenet_engine::data::Split;
use imagenet_engine::rng::{Purpose, Stream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

fn folder(kind: &str, target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(kind).join(target)
}

/// The committed inputs of a target, by name.
fn inputs(target: &str) -> Vec<(String, Vec<u8>)> {
    let all = ["corpus", "regressions"].map(|kind| folder(kind, target));
    all.iter().filter(|d| d.is_dir()).flat_map(|d| files(d)).collect()
}

#[test]
fn corpora_and_past_crashes_do_no_harm() {
    for (target, enter) in TARGETS {
        let inputs = inputs(target);
        assert!(!inputs.is_empty(), "{target} has no corpus");
        for (name, bytes) in inputs {
            eprintln!("{target}/{name}"); // shown when it fails
            enter(&bytes);
        }
    }
}

/// What a seed of fields is put together to opens: the campaign begins behind the checksums.
#[test]
fn seeds_of_fields_are_whole_shards() {
    let tmp = tempfile::tempdir().unwrap();
    for (name, seed) in files(&folder("corpus", "shard_fields")) {
        let path = tmp.path().join("train-00000-of-00001.ies");
        std::fs::write(&path, entries::assemble(&seed)).unwrap();
        let shard = imagenet_engine::data::shard::Shard::open(&path).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!((0..shard.entries.len()).all(|r| shard.payload(r).is_ok()), "{name}");
    }
}

/// Flips, wrong bytes, cut and doubled parts, and parts of other inputs.
fn mutate(bytes: &mut Vec<u8>, other: &[u8], s: &mut Stream) {
    for _ in 0..=s.below(4) {
        let len = bytes.len().max(1);
        let at = s.below(len as u32) as usize;
        let part = (1 + s.below(64) as usize).min(bytes.len().saturating_sub(at));
        match s.below(9) {
            0..=2 if at < bytes.len() => bytes[at] ^= 1 << s.below(8),
            3 | 4 if at < bytes.len() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff, b'0', b'/', s.below(256) as u8][s.below(8) as usize],
            5 => drop(bytes.drain(at.min(bytes.len())..at.min(bytes.len()) + part)),
            6 => {
                let copy = bytes[at.min(bytes.len())..at.min(bytes.len()) + part].to_vec();
                bytes.splice(at.min(bytes.len())..at.min(bytes.len()), copy);
            }
            7 if !other.is_empty() => {
                let from = s.below(other.len() as u32) as usize;
                let take = part.min(other.len() - from);
                let to = at.min(bytes.len());
                bytes.splice(to..to + part.min(bytes.len() - to), other[from..from + take].iter().copied());
            }
            _ => bytes.truncate(bytes.len().saturating_sub(part / 8)),
        }
    }
}

#[test]
fn mutated_corpora_do_no_harm() {
    let count = rounds(200, 100_000);
    // IE_FUZZ_TARGETS=tar,zip: these alone.
    let chosen = std::env::var("IE_FUZZ_TARGETS").ok();
    let mut slowest = (Duration::ZERO, "");
    for (t, (target, enter)) in TARGETS.into_iter().enumerate() {
        if chosen.as_ref().is_some_and(|c| c.split(',').all(|name| name != target)) {
            continue;
        }
        let inputs = inputs(target);
        let mut s = Stream::new(51, Purpose::Test, t as u32, 0);
        for round in 0..count {
            let mut pick = || &inputs[s.below(inputs.len() as u32) as usize].1;
            let (mut bytes, other) = (pick().clone(), pick());
            mutate(&mut bytes, other, &mut s);
            let start = Instant::now();
            if std::panic::catch_unwind(|| enter(&bytes)).is_err() {
                let kept = std::env::temp_dir().join(format!("crash-{target}-{round}"));
                std::fs::write(&kept, &bytes).unwrap();
                panic!("{target}: the input is in {}; it belongs into fuzz/regressions/{target}", kept.display());
            }
            slowest = slowest.max((start.elapsed(), target));
        }
    }
    eprintln!(
        "{count} mutated inputs for each of {} targets; the slowest took {slowest:.1?}; peak memory {} MB",
        chosen.map_or(TARGETS.len(), |c| c.split(',').count()),
        peak_mb()
    );
}

/// Of golden/formats.json.
const SEEDS: [&str; 12] = [
    "png type 3 depth 2 interlaced tRNS",
    "png type 0 depth 16 interlaced",
    "png type 6 depth 16",
    "png animation, still image apart",
    "png bad cICP of 4 bytes",
    "png image data in pieces",
    "webp lossy 17x16 at 75",
    "webp lossy with alpha 17x16",
    "webp lossless with alpha 5x4",
    "webp lossless palette",
    "webp metadata",
    "webp animated, first frame within the canvas, blended",
];

#[test]
#[ignore = "writes the seeds anew when a format changes: fuzz/corpus"]
fn write_seeds() {
    let tmp = tempfile::tempdir().unwrap();
    let seed = |target: &str, name: &str, bytes: &[u8]| super::sources::write(&folder("corpus", target).join(name), bytes);
    for (kind, name) in [("short", "raw"), ("square", "square"), ("jpeg", "jpeg")] {
        let input = tmp.path().join(kind);
        tree(&input, 3, 1, 10, 1);
        let bed = Bed::plan(kind, 8, 3, &options(&input, &tmp.path().join(format!("out-{kind}"))));
        run(&bed).unwrap();
        let shard = std::fs::read(bed.output.join("train-00000-of-00001.ies")).unwrap();
        seed("shard_fields", name, &entries::disassemble(&shard));
        if kind == "short" {
            seed("shard", name, &shard);
            seed("manifest", "whole", &std::fs::read(bed.output.join("dataset.json")).unwrap());
        }
    }
    let few: Vec<_> = pictures(Split::Val).into_iter().filter(|p| p.2.len() < 1500).take(4).collect();
    seed("tar", "train", &train_tar(&few));
    let samples: Vec<(String, &[u8])> =
        few.iter().flat_map(|p| [(p.1.clone(), &p.2[..]), (p.1.replace("JPEG", "cls"), b"1".as_slice())]).collect();
    seed("tar", "webdataset", &tar_of(&samples));
    seed("tar", "val", &tar_of(&few.iter().map(|p| (p.1.clone(), &p.2[..])).collect::<Vec<_>>()));
    let folders: Vec<(String, &[u8])> = few.iter().map(|p| (format!("train/n0{}/{}", p.0, p.1), &p.2[..])).collect();
    seed("zip", "train", &zip_of(&folders));
    seed("zip", "webdataset", &zip_of(&samples));
    for (target, folder, names) in [
        ("tar", "archives", &["gnutar_posix.tar", "label_gnu.tar", "joined.tar"][..]),
        ("zip", "archives", &["python_zip64.zip", "infozip_streamed.zip", "infozip_links.zip", "stub.zip"]),
        ("parquet", "tables", &["codec_zstd.parquet", "codec_brotli.parquet", "codec_lz4.parquet", "pages_v2.parquet", "delta.parquet"]),
        ("parquet", "tables", &["split_words.parquet", "split_flag.parquet", "label_halffloat.parquet", "label_decimal128_5_2.parquet"]),
        ("parquet", "tables", &["by_looking.parquet", "label_dictionary.parquet", "class_label_fine.parquet", "label_float.parquet"]),
    ] {
        names.iter().for_each(|name| seed(target, name, &std::fs::read(golden(folder).join(name)).unwrap()));
    }
    let unzip = |gz: &[u8]| {
        let mut out = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(gz), &mut out).map(|_| out).unwrap()
    };
    seed("devkit", "whole", &unzip(&devkit(&few)));
    let meta = std::fs::read(golden("meta.mat")).unwrap();
    seed("meta_mat", "compressed", &meta);
    // Its variables unpacked: mutations get past zlib's checksum.
    let (mut at, mut inflated) = (128, meta[..128].to_vec());
    while at < meta.len() {
        let len = u32::from_le_bytes(meta[at + 4..at + 8].try_into().unwrap()) as usize;
        std::io::Read::read_to_end(&mut flate2::read::ZlibDecoder::new(&meta[at + 8..at + 8 + len]), &mut inflated).unwrap();
        at += 8 + len;
    }
    seed("meta_mat", "unpacked", &inflated);
    seed("list", "ranks", b"ILSVRC2012_val_00000001.JPEG 0\nn01/b.jpg 1\n");
    seed("list", "names", b"# pictures\nn01/a.jpg n01\nn02/b c.jpg\tn02\n");
    seed("list", "kaggle", b"ImageId,PredictionString\nILSVRC2012_val_00000001,n01 1 2 3 4 n01 5 6 7 8\n");
    seed("list", "words", b"n01 tench, Tinca tinca\nn02 goldfish\n");
    let one = "ILSVRC2012_val_00000001.JPEG";
    seed("list", "annotations", format!("{one}\tn01\t0\t32\t44\t62\nb.JPEG\tn02\t1\t30\t44\t60\n").as_bytes());
    seed("list", "header", format!("\u{feff}bild;art;\"wo, bitte\"\n{one};3;train\nb.jpg;1.0;val\nc.jpg;-1;train\n").as_bytes());
    seed("list", "quoted", format!("\"{one}\",\"a, \"\"b\"\"\"\n\"c d.jpg\",\n").as_bytes());
    seed(
        "list",
        "lines_of_json",
        format!("{{\"file_name\": \"{one}\", \"label\": 3}}\n{{\"file_name\": \"b.jpg\", \"label\": null}}\n").as_bytes(),
    );
    seed("list", "json", format!("{{\"n01\": [\"{one}\", \"b.jpg\"], \"n02\": [\"c/d.jpg\"]}}").as_bytes());
    let coco = format!(
        "{{\"images\":[{{\"id\":1,\"file_name\":\"{one}\"}}],\"annotations\":[{{\"image_id\":1,\"category_id\":2}}],\"categories\":[]}}"
    );
    seed("list", "coco", coco.as_bytes());
    seed("list", "json_names", b"{\"0\": [\"n01\", \"tench\"], \"1\": \"n02\"}");
    seed("list", "numbered_names", b"/a/airfield 1\n/a/abbey 0\n");
    seed("list", "paths", format!("n01/{one}\nn02/b c.jpg\n").as_bytes());
    seed("list", "breaks_in_quotes", format!("image,label,\r{one},\"a\nb\",\r\"b\nc.jpg\",d,\r").as_bytes());
    let utf16: Vec<u8> = format!("\u{feff}{one},n01\r\n").encode_utf16().flat_map(u16::to_le_bytes).collect();
    seed("list", "utf16", &utf16);
    seed("list", "class_first", format!("0 {one}\n1 n01/a b.jpg\n").as_bytes());
    for name in
        ["gray.jpg", "yuv420.jpg", "yuv422.jpg", "cmyk.jpg", "progressive.jpg", "restarts.jpg", "rgb.png", "palette4.png", "bits1.png"]
    {
        let bytes = std::fs::read(golden(name)).unwrap();
        if bytes.len() < 20_000 {
            seed("picture", name, &bytes);
        }
    }
    for entry in super::formats::entries().iter().filter(|e| SEEDS.contains(&e.name.as_str())) {
        seed("picture", &entry.name.replace([' ', ','], "_"), &entry.bytes());
    }
    for name in [
        "arithmetic.jpg",
        "arithmetic_progressive.jpg",
        "arithmetic_restarts.jpg",
        "cut_1x2_3.jpg",
        "cut_2x2_6.jpg",
        "no_tables.jpg",
        "sample_2x2_1x1_2x1.jpg",
        "scans.jpg",
    ] {
        seed("picture", name, &std::fs::read(golden("jpeg").join(name)).unwrap());
    }
    let weights = tmp.path().join("w.safetensors");
    let tensor = imagenet_engine::checkpoint::safetensors::TensorOut::f32("a.weight".into(), &[2, 3], &[1.0; 6]);
    imagenet_engine::checkpoint::safetensors::write(&weights, vec![tensor], serde_json::Map::new()).unwrap();
    let padded = std::fs::read(&weights).unwrap();
    seed("checkpoint", "ours", &padded);
}
