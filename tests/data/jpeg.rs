//! The jpeg encoding: original bytes where nothing changes, sizes and qualities otherwise, and the same pixels by every way of reading.

use super::common::*;
use super::sources::{WNIDS, pictures, write};
use imagenet_engine::backend::Crop;
use imagenet_engine::data::bad::OnBad;
use imagenet_engine::data::compressed::JpegOptions;
use imagenet_engine::data::format::{Encoding, FEATURE_JPEG, Header};
use imagenet_engine::data::loader::{Batch, Loader, LoaderOptions};
use imagenet_engine::data::pack::PackOptions;
use imagenet_engine::data::plan::PlanOptions;
use imagenet_engine::data::verify::{Depth, verify};
use imagenet_engine::data::{Dataset, Split};
use imagenet_engine::progress::Silent;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn packed(tmp: &Path, name: &str, jpeg: Option<JpegOptions>) -> PathBuf {
    let (input, out) = (tmp.join("in"), tmp.join(name));
    pictures(Split::Val).iter().for_each(|p| write(&input.join(WNIDS[p.0]).join(&p.1), &p.2));
    let plan = PlanOptions { size: 0, jpeg, records_per_shard: 5, ..PlanOptions::new(Split::Val) };
    run(&PackOptions { plan, ..options(&input, &out) }).unwrap();
    out
}

#[test]
fn original_bytes_are_kept_and_decode_to_the_raw_pixels() {
    let tmp = tempfile::tempdir().unwrap();
    let raw = Dataset::open(&packed(tmp.path(), "raw", None)).unwrap();
    let dir = packed(tmp.path(), "jpeg", Some(JpegOptions::default()));
    let jpeg = Dataset::open(&dir).unwrap();
    assert_eq!((raw.encoding(), jpeg.encoding(), raw.len()), (Encoding::RawVar, Encoding::Jpeg, jpeg.len()));
    let mut kept = 0;
    let mut original = [false; 100];
    for i in 0..raw.len() {
        let (a, b) = (raw.record(i).unwrap(), jpeg.record(i).unwrap());
        assert_eq!((a.width, a.height, a.label, a.name, a.global_id), (b.width, b.height, b.label, b.name, b.global_id));
        let file = std::fs::read(tmp.path().join("in").join(a.name.replace(".jpg", ".JPEG"))).unwrap();
        if file.starts_with(&[0xFF, 0xD8]) {
            assert!(jpeg.stored(i).unwrap() == file && a.pixels == b.pixels, "{}", a.name);
            original[a.global_id as usize] = true;
            kept += 1;
        } else {
            // A PNG becomes a JPEG that is all but the same.
            let far = a.pixels.iter().zip(b.pixels.iter()).map(|(x, y)| f64::from(x.abs_diff(*y))).sum::<f64>() / a.pixels.len() as f64;
            assert!(jpeg.stored(i).unwrap().starts_with(&[0xFF, 0xD8, 0xFF]) && far < 2.0, "{}: {far}", a.name);
        }
    }
    assert!(kept >= 6 && kept < raw.len());
    // The loader makes the batches of the same pixels, for any number of threads.
    let batches = |source: Dataset, threads| -> Vec<Batch> {
        let options = LoaderOptions { threads, ..LoaderOptions::train(3, 24, (0.08, 1.0), 7, 2) };
        Loader::new(Arc::new(source), &options).unwrap().map(Result::unwrap).collect()
    };
    let one = batches(Dataset::open(&dir).unwrap(), 1);
    assert!(one == batches(Dataset::open(&dir).unwrap(), 3));
    // Of JPEG records the crop alone is decoded: the pixels are those that raw records are cut to.
    for (a, b) in batches(raw, 1).iter().zip(&one) {
        assert_eq!((&a.labels, &a.ids), (&b.labels, &b.ids));
        for (k, (v, w)) in a.views.iter().zip(&b.views).enumerate() {
            let crop = v.crop;
            assert_eq!((w.width, w.height, w.crop), (crop.width, crop.height, Crop { x: 0, y: 0, ..crop }));
            let line = |batch: &Batch, at: usize| batch.pixels[at..at + 3 * crop.width as usize].to_vec();
            for y in 0..crop.height as usize {
                let (x, top, width) = (crop.x as usize, crop.y as usize, v.width as usize);
                let (raw, part) = (v.offset + 3 * ((top + y) * width + x), w.offset + 3 * y * crop.width as usize);
                // A record that was no JPEG became one: its pixels differ a little.
                let far = line(a, raw).iter().zip(&line(b, part)).map(|(x, y)| x.abs_diff(*y)).max();
                assert!(far <= Some(if original[a.ids[k] as usize] { 0 } else { 40 }), "image {k}, line {y}: {far:?}");
            }
        }
    }
    // Unpacked, they are the files again; and every command knows them.
    let (d, back) = (dir.to_str().unwrap(), tmp.path().join("back"));
    assert_eq!(call(&["unpack", d, "--output", back.to_str().unwrap()]).0, 0);
    let name = jpeg.describe(0).unwrap().name.to_owned();
    assert!(std::fs::read(back.join(name)).unwrap() == jpeg.stored(0).unwrap());
    let (code, text) = call(&["verify", d, "--decode"]);
    assert!(code == 0, "{text}");
    let (code, text) = call(&["inspect", d, "--sheet", tmp.path().join("sheet.png").to_str().unwrap()]);
    assert!(code == 0 && text.contains("stored    JPEG files, "), "{text}");
    // Readers of version 1.0 refuse the shard; raw shards are still those of version 1.0.
    let header = |dir: &Path| {
        let file = files(dir).into_iter().find(|(n, _)| n.ends_with(".ies")).unwrap().1;
        let h = Header::decode(file[..4096].try_into().unwrap());
        (h.version_major, h.version_minor, h.required_features)
    };
    assert_eq!((header(&dir), header(&tmp.path().join("raw"))), ((1, 1, FEATURE_JPEG), (1, 0, 0)));
}

#[test]
fn qualities_and_sides_are_as_asked() {
    let tmp = tempfile::tempdir().unwrap();
    let whole = Dataset::open(&packed(tmp.path(), "whole", None)).unwrap();
    let mut before = u64::MAX;
    for (quality, max_side) in [(Some(95), 0), (Some(60), 0), (Some(60), 40), (None, 40)] {
        let dir = packed(tmp.path(), &format!("q{quality:?}{max_side}"), Some(JpegOptions { quality, max_side }));
        let dataset = Dataset::open(&dir).unwrap();
        let bytes: u64 = (0..dataset.len()).map(|i| dataset.stored(i).unwrap().len() as u64).sum();
        assert!(quality.is_none() || bytes < before, "{quality:?} {max_side}: {bytes} bytes");
        before = bytes;
        let mut sum = 0u64;
        for i in 0..dataset.len() {
            let (a, b) = (whole.describe(i).unwrap(), dataset.record(i).unwrap());
            let long = a.width.max(a.height);
            let scale = if max_side > 0 && long > max_side { f64::from(max_side) / f64::from(long) } else { 1.0 };
            let near = |from: u32, to: u32| (f64::from(from) * scale - f64::from(to)).abs() <= 0.5;
            assert!(near(a.width, b.width) && near(a.height, b.height), "{}: {}x{}", b.name, b.width, b.height);
            sum += b.pixels.iter().step_by(3).map(|&v| u64::from(v)).sum::<u64>();
        }
        assert_eq!(dataset.manifest().sums.sum[0], sum, "the sums are of the pixels that are read");
        // Repairing makes the same shard again.
        let shard = dataset.shards()[0].path().to_owned();
        let good = std::fs::read(&shard).unwrap();
        std::fs::write(&shard, &good[..good.len() - 1]).unwrap();
        let (code, text) = call(&["verify", dir.to_str().unwrap(), "--repair-from", tmp.path().join("in").to_str().unwrap()]);
        assert!(code == 0 && std::fs::read(&shard).unwrap() == good, "{text}");
    }
}

/// A record whose checksums are right and whose picture is not: `verify --decode` and reading name it, `--full` cannot know.
#[test]
fn a_record_that_does_not_decode_is_named() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = packed(tmp.path(), "jpeg", Some(JpegOptions::default()));
    let dataset = Dataset::open(&dir).unwrap();
    let shard = &dataset.shards()[0];
    // The index says another size than the picture has.
    let mut bytes = std::fs::read(shard.path()).unwrap();
    let mut entries = shard.entries.clone();
    entries[1].width += 1;
    let record = shard.record_name(1).to_owned();
    let entries: Vec<_> = entries.into_iter().map(imagenet_engine::data::format::Entry::sealed).collect();
    let at = shard.header.index.off as usize;
    let index: &[u8] = bytemuck::cast_slice(&entries);
    bytes[at..at + index.len()].copy_from_slice(index);
    let header = Header { index_crc: crc32c::crc32c(index), ..shard.header };
    let page = header.encode();
    bytes[..4096].copy_from_slice(&page);
    let end = bytes.len() - 64;
    let header_crc = u32::from_le_bytes(page[4092..].try_into().unwrap());
    use sha2::Digest;
    let sha256: [u8; 32] = sha2::Sha256::digest(&bytes[..end]).into();
    let footer = imagenet_engine::data::format::Footer { header_crc, index_crc: header.index_crc, sha256, ..shard.footer };
    bytes[end..].copy_from_slice(bytemuck::bytes_of(&footer.sealed()));
    std::fs::write(shard.path(), bytes).unwrap();
    let damaged = Dataset::open(&dir).unwrap();
    for error in [damaged.record(1).err(), damaged.read_pixels(1, &mut vec![0; room(&damaged, 1)]).err()] {
        let text = error.expect("a wrong size was accepted").to_string();
        assert!(text.contains("record 1") && text.contains(&record) && text.contains("cannot be decoded"), "{text}");
    }
    let found = |depth| verify(&dir, depth, &Silent).unwrap().damage;
    assert!(!found(Depth::Full).iter().any(|d| d.contains("cannot be decoded")));
    assert!(found(Depth::Decode).iter().any(|d| d.contains("cannot be decoded") && d.contains(&record)));
}

#[test]
fn an_estimate_is_near_and_writes_nothing() {
    let tmp = tempfile::tempdir().unwrap();
    let input = tmp.path().join("in");
    tree(&input, 3, 30, 60, 5);
    let (i, out) = (input.to_str().unwrap(), tmp.path().join("out"));
    let o = out.to_str().unwrap();
    let (code, text) = call(&["pack", "--input", i, "--output", o, "--estimate", "--resize", "40"]);
    assert!(code == 0 && !out.exists(), "{text}");
    assert!(text.contains("90 images of 3 classes") && text.contains("as asked") && text.contains(" free at "), "{text}");
    assert!(text.contains("from a sample: 90 images, spread evenly over the names"), "{text}");
    use imagenet_engine::data::estimate::Estimate;
    use std::sync::atomic::AtomicBool;
    for jpeg in [None, Some(JpegOptions { quality: Some(80), max_side: 0 })] {
        let size = if jpeg.is_some() { 0 } else { 40 };
        let plan = PlanOptions { size, jpeg, ..PlanOptions::new(Split::Train) };
        let base = options(&input, &tmp.path().join(format!("out{size}")));
        let made = Estimate::make(&input, &base.source, &base.output, &plan, 1, &AtomicBool::new(false)).unwrap().unwrap();
        let report = run(&PackOptions { plan, on_bad: OnBad::Fail, ..base.clone() }).unwrap();
        let real: u64 = report.manifest.shards.iter().map(|s| s.bytes).sum();
        let guess = made.asked().unwrap().bytes as f64;
        assert!((guess / real as f64 - 1.0).abs() < 0.15, "{guess} against {real}");
        made.check_space(&base.output).unwrap();
        let full = Estimate { free: Some(1000), ..made };
        let error = full.check_space(&base.output).unwrap_err();
        assert!(error.exit_code() == 73 && error.to_string().contains("1000 are free"), "{error}");
    }
}
