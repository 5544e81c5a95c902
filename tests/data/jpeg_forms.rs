//! JPEGs of every form against Pillow (golden/make_jpeg.py): decoded to the same pixels, or refused, and so is each change of a byte or a
//! segment; and crops against the whole.

use super::common::{golden, shared};
use imagenet_engine::backend::{Augment, StoredBatch};
use imagenet_engine::cpu::Cpu;
use imagenet_engine::data::decode::{Decoder, Rgb, decode, decode_jpeg_region_scalar, decode_jpeg_scalar};
use imagenet_engine::data::loader::{Batch, Loader, LoaderOptions, PictureInfo, Source};
use imagenet_engine::data::{MEAN, STD};
use imagenet_engine::rng::{Purpose, Stream};
use std::sync::Arc;

fn sha(rgb: &Rgb) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(&rgb.pixels).iter().map(|b| format!("{b:02x}")).collect()
}

fn form(name: &str) -> Vec<u8> {
    std::fs::read(golden("jpeg").join(format!("{name}.jpg"))).unwrap_or_else(|e| panic!("{name}: {e}"))
}

#[test]
fn every_form_is_exactly_pillow() {
    let list = std::fs::read_to_string(golden("jpeg/expected.txt")).unwrap();
    assert!(list.lines().count() > 50);
    for line in list.lines() {
        let (name, expected) = line.split_once(' ').unwrap();
        let bytes = form(name);
        let found = decode(&bytes, 1 << 20);
        let text = found.as_ref().map_or("refused".to_owned(), |rgb| format!("{}x{} {}", rgb.width, rgb.height, sha(rgb)));
        assert_eq!(text, expected, "{name}: {}", found.as_ref().err().map_or("", String::as_str));
        assert_eq!(decode_jpeg_scalar(&bytes), found, "{name}: not by vectors");
    }
}

#[test]
fn every_change_is_exactly_pillow() {
    let list = std::fs::read_to_string(golden("jpeg/changes.txt")).unwrap();
    let (mut decoded, mut refused) = (0, 0);
    for line in list.lines() {
        let [name, at, take, put, expected] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let (at, take): (usize, usize) = (at.parse().unwrap(), take.parse().unwrap());
        let mut bytes = form(name);
        let put = put.trim_matches('-').as_bytes().chunks(2).map(|c| u8::from_str_radix(std::str::from_utf8(c).unwrap(), 16).unwrap());
        bytes.splice(at..at + take, put);
        match decode(&bytes, 1 << 27) {
            Ok(rgb) => {
                assert_eq!(&sha(&rgb)[..16], expected, "{line}");
                decoded += 1;
            }
            Err(reason) => {
                assert_eq!("refused", expected, "{line}: {reason}");
                refused += 1;
            }
        }
    }
    assert!(decoded > 300 && refused > 1000, "{decoded} decoded, {refused} refused");
}

#[test]
fn what_is_not_read_is_named() {
    let mut lossless = form("baseline");
    let at = lossless.windows(2).position(|w| w == [0xFF, 0xC0]).unwrap();
    for (code, words) in [(0xC3, "lossless"), (0xCB, "lossless"), (0xC5, "hierarchical"), (0xCF, "hierarchical")] {
        lossless[at + 1] = code;
        let error = decode(&lossless, 1 << 20).unwrap_err();
        assert!(error.contains(words), "{code:x}: {error}");
    }
    let mut twelve = form("baseline");
    twelve[at + 4] = 12;
    assert!(decode(&twelve, 1 << 20).unwrap_err().contains("other than 8 bits"));
}

/// What of each folder of faults should be: the same as Pillow has it, which the forms above are made to hold.
#[test]
fn the_reported_files_are_read_or_refused() {
    let Some(faults) = shared("faults") else { return };
    for (folder, read) in [
        ("progressive_incomplete", true),
        ("jpeg_short_jfif_adobe0", true),
        ("jpeg_no_dht", true),
        ("jpeg_duplicate_component_ids", true),
        ("jpeg_arithmetic_lossless", true),
        ("jpeg_accepted_that_libjpeg_refuses", false),
    ] {
        let files = std::fs::read_dir(faults.join(folder)).unwrap().map(|f| f.unwrap().path());
        for file in files.filter(|f| f.extension().is_some_and(|e| e == "jpg")) {
            assert_eq!(decode(&std::fs::read(&file).unwrap(), 1 << 20).is_ok(), read, "{}", file.display());
        }
    }
}

fn cut(rgb: &Rgb, [x, y, w, h]: [u32; 4]) -> Vec<u8> {
    let line = |row: u32| &rgb.pixels[((row * rgb.width + x) * 3) as usize..][..3 * w as usize];
    (y..y + h).flat_map(|row| line(row).to_vec()).collect()
}

/// A rectangle within `width` x `height`, often at an edge or very small.
fn rectangle(s: &mut Stream, width: u32, height: u32) -> [u32; 4] {
    let mut side = |most: u32| {
        let small = s.below(3) == 0;
        let len = 1 + s.below(if small { most.min(4) } else { most });
        let at = match s.below(4) {
            0 => 0,
            1 => most - len,
            _ => s.below(most - len + 1),
        };
        (at, len)
    };
    let ((x, w), (y, h)) = (side(width), side(height));
    [x, y, w, h]
}

#[test]
fn a_crop_is_a_part_of_the_whole() {
    let mut names: Vec<_> = std::fs::read_dir(golden("jpeg")).unwrap().map(|f| f.unwrap().path()).collect();
    names.extend(["yuv420", "yuv422", "yuv444", "progressive", "restarts", "gray", "cmyk"].map(|n| golden(&format!("{n}.jpg"))));
    names.sort();
    let (mut s, mut decoder) = (Stream::new(13, Purpose::Test, 2, 0), Decoder::default());
    let mut crops = 0;
    for path in names.iter().filter(|p| p.extension().is_some_and(|e| e == "jpg")) {
        let bytes = std::fs::read(path).unwrap();
        let Ok(whole) = decode(&bytes, 1 << 20) else { continue };
        let size = (whole.width, whole.height);
        for round in 0..60 {
            let rect = if round == 0 { [0, 0, size.0, size.1] } else { rectangle(&mut s, size.0, size.1) };
            let mut out = vec![0xA5; (rect[2] * rect[3] * 3) as usize];
            decoder.decode_region(&bytes, size, rect, &mut out).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            assert!(out == cut(&whole, rect), "{} {rect:?}", path.display());
            if round % 8 == 0 {
                out.fill(0);
                decode_jpeg_region_scalar(&bytes, size, rect, &mut out).unwrap();
                assert!(out == cut(&whole, rect), "{} {rect:?}, not by vectors", path.display());
            }
            crops += 1;
        }
        // One that is not within the image, another size than the index has, and too little room.
        let mut out = vec![0; 3];
        for (size, rect) in
            [(size, [size.0, 0, 1, 1]), (size, [0, 0, 1, size.1 + 1]), ((size.0 + 1, size.1), [0, 0, 1, 1]), (size, [0, 0, 0, 1])]
        {
            assert!(decoder.decode_region(&bytes, size, rect, &mut out).is_err());
        }
        assert!(size == (1, 1) || decoder.decode_region(&bytes, size, [0, 0, size.0, size.1], &mut out).is_err());
    }
    assert!(crops > 3000);
}

/// Golden JPEGs, read whole or as crops.
struct Files {
    files: Vec<(Vec<u8>, Rgb)>,
    crops: bool,
}

impl Source for Files {
    fn len(&self) -> usize {
        self.files.len()
    }
    fn classes(&self) -> &[String] {
        &[]
    }
    fn id(&self) -> String {
        String::new()
    }
    fn info(&self, i: usize) -> imagenet_engine::error::Result<PictureInfo> {
        let rgb = &self.files[i].1;
        Ok(PictureInfo { width: rgb.width, height: rgb.height, label: 0, global_id: i as u64 })
    }
    fn decodes(&self) -> bool {
        self.crops
    }
    fn read_pixels(&self, i: usize, out: &mut [u8]) -> imagenet_engine::error::Result<()> {
        out.copy_from_slice(&self.files[i].1.pixels);
        Ok(())
    }
    fn read_crop(&self, i: usize, crop: &imagenet_engine::backend::Crop, out: &mut [u8]) -> imagenet_engine::error::Result<()> {
        let (bytes, rgb) = &self.files[i];
        let rect = [crop.x, crop.y, crop.width, crop.height];
        Decoder::default().decode_region(bytes, (rgb.width, rgb.height), rect, out).unwrap();
        Ok(())
    }
}

/// What the network sees is the same to the last bit, for training and for evaluation.
#[test]
fn inputs_from_crops_are_those_from_whole_images() {
    let inputs = |options: &LoaderOptions, crops: bool| -> Vec<Vec<f32>> {
        let names =
            ["baseline", "progressive", "arithmetic", "cut_2x2_6", "cut_4x2_3", "sample_4x4", "plain", "cut_gray", "ids_cmyk", "cut_wide"];
        let read = |name: &&str| {
            let bytes = form(name);
            let rgb = decode(&bytes, 1 << 20).unwrap();
            (bytes, rgb)
        };
        let source = Files { files: names.iter().map(read).collect(), crops };
        let cpu = Cpu::<f32>::new();
        let augmented = |batch: Batch| {
            let mut out = vec![0.0; batch.len() * 24 * 24 * 3];
            let stored = StoredBatch { pixels: batch.pixels, views: batch.views, labels: batch.labels };
            cpu.augment(&stored, 24, MEAN, STD, &mut out).unwrap();
            out
        };
        Loader::new(Arc::new(source), options).unwrap().map(|batch| augmented(batch.unwrap())).collect()
    };
    for options in [LoaderOptions::train(5, 24, (0.08, 1.0), 3, 12), LoaderOptions::eval(5, 24)] {
        let (whole, crops) = (inputs(&options, false), inputs(&options, true));
        let bits = |batches: &[Vec<f32>]| batches.iter().flatten().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert!(!whole.is_empty() && bits(&whole) == bits(&crops));
    }
}
