//! The files made to be difficult, each treated as it should be, and little memory taken for the bombs.

use super::common::*;
use imagenet_engine::data::Dataset;
use std::collections::BTreeMap;

/// Peak resident memory of a finished child, in KiB, as the kernel counted it.
fn peak_of(args: &[&str]) -> (i32, u64) {
    // The child is watched while it runs; the bombs would need gigabytes for a noticeable time if they were decoded.
    let mut child = program(args).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
    let mut peak = 0;
    loop {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
        peak = peak.max(line.and_then(|l| l.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0));
        if let Some(status) = child.try_wait().unwrap() {
            return (status.code().unwrap(), peak);
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

#[test]
fn each_awkward_file_as_owed() {
    let Some(awkward) = shared("awkward") else { return };
    let tmp = tempfile::tempdir().unwrap();
    let class = tmp.path().join("in/odd");
    std::fs::create_dir_all(&class).unwrap();
    for file in std::fs::read_dir(awkward).unwrap() {
        let path = file.unwrap().path();
        std::fs::copy(&path, class.join(path.file_name().unwrap())).unwrap();
    }
    let (input, out) = (tmp.path().join("in"), tmp.path().join("out"));
    let args = ["pack", "--input", input.to_str().unwrap(), "--output", out.to_str().unwrap(), "--split", "val", "--on-bad", "skip"];
    let (code, peak) = peak_of(&args);
    assert_eq!(code, 3);
    assert!(peak < 300 * 1024, "peak {peak} KiB");
    let report = std::fs::read_to_string(out.join("bad_images.jsonl")).unwrap();
    let report: BTreeMap<String, String> = report
        .lines()
        .map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap())
        .map(|v| {
            (
                v["within"].as_str().unwrap_or(v["path"].as_str().unwrap()).trim_start_matches("odd/").to_owned(),
                v["error"].as_str().unwrap().to_owned(),
            )
        })
        .collect();
    for (file, words) in [
        ("palette.gif", "GIF is not supported"),
        ("truncated_half.JPEG", "cut short"),
        ("truncated_header.JPEG", "cut within its header"),
        ("bitrot.JPEG", "JPEG"),
        ("empty.JPEG", "empty"),
        ("text.JPEG", "not an image"),
        ("bomb_40000x40000.png", "above the limit"),
        ("sof_65535x65535.JPEG", "above the limit"),
    ] {
        assert!(report.get(file).is_some_and(|e| e.contains(words)), "{file}: {:?}", report.get(file));
    }
    assert_eq!(report.len(), 8, "{report:?}");
    let dataset = Dataset::open(&out).unwrap();
    let mut packed: Vec<&str> = (0..dataset.len()).map(|i| dataset.record(i).unwrap().name.trim_start_matches("odd/")).collect();
    packed.sort_unstable();
    let owed = "cmyk.jpg exif_rotated.jpg gray.jpg gray16.png one_pixel.jpg png_named_jpeg.jpg progressive.jpg rgba.png \
                thin_1200x3.jpg webp_named_jpeg.jpg yuv422.jpg yuv444.jpg";
    assert_eq!(packed, owed.split_whitespace().collect::<Vec<_>>());
}

/// The same guard with inputs made here, for machines without that folder.
#[test]
fn bombs_are_refused_by_their_header() {
    let tmp = tempfile::tempdir().unwrap();
    let class = tmp.path().join("in/odd");
    std::fs::create_dir_all(&class).unwrap();
    let mut jpeg = std::fs::read(golden("yuv420.jpg")).unwrap();
    let sof = jpeg.windows(2).position(|w| w == [0xFF, 0xC0]).unwrap();
    jpeg[sof + 5..sof + 9].fill(0xFF);
    std::fs::write(class.join("sof.jpg"), jpeg).unwrap();
    let mut png = std::fs::read(golden("rgb.png")).unwrap();
    png[16..24].copy_from_slice(&[0, 0, 0x9C, 0x40, 0, 0, 0x9C, 0x40]);
    std::fs::write(class.join("bomb.png"), png).unwrap();
    std::fs::copy(golden("gray.jpg"), class.join("good.jpg")).unwrap();
    let (input, out) = (tmp.path().join("in"), tmp.path().join("out"));
    let (code, peak) = peak_of(&["pack", "--input", input.to_str().unwrap(), "--output", out.to_str().unwrap(), "--on-bad", "skip"]);
    assert!(code == 3 && peak < 300 * 1024, "{code}, {peak} KiB");
    let report = std::fs::read_to_string(out.join("bad_images.jsonl")).unwrap();
    assert_eq!(report.matches("above the limit").count(), 2, "{report}");
}

/// A few bytes that claim sixty megapixels within the limit: refused before memory is taken for their coefficients.
#[test]
fn a_small_file_takes_no_memory_for_a_huge_picture() {
    let tmp = tempfile::tempdir().unwrap();
    let class = tmp.path().join("in/odd");
    std::fs::create_dir_all(&class).unwrap();
    for name in ["yuv420.jpg", "progressive.jpg", "cmyk.jpg", "gray.jpg"] {
        let mut jpeg = std::fs::read(golden(name)).unwrap();
        let sof = jpeg.windows(2).position(|w| w[0] == 0xFF && matches!(w[1], 0xC0..=0xC2)).unwrap();
        jpeg[sof + 5..sof + 9].copy_from_slice(&[0x1E, 0, 0x1E, 0]); // 7680 x 7680
        std::fs::write(class.join(name), jpeg).unwrap();
    }
    std::fs::copy(golden("gray.jpg"), class.join("good.jpg")).unwrap();
    let (input, out) = (tmp.path().join("in"), tmp.path().join("out"));
    let (code, peak) = peak_of(&["pack", "--input", input.to_str().unwrap(), "--output", out.to_str().unwrap(), "--on-bad", "skip"]);
    assert!(code == 3 && peak < 100 * 1024, "{code}, {peak} KiB");
    let report = std::fs::read_to_string(out.join("bad_images.jsonl")).unwrap();
    assert_eq!(report.matches("too short for the size that its header says").count(), 4, "{report}");
}

/// Each kind is packed, and counted by name.
#[test]
fn odd_pictures_are_counted() {
    let tmp = tempfile::tempdir().unwrap();
    let class = tmp.path().join("in/odd");
    std::fs::create_dir_all(&class).unwrap();
    for (from, to) in
        [("rgb.png", "png.JPEG"), ("cmyk.jpg", "cmyk.JPEG"), ("gray.jpg", "gray.JPEG"), ("rotated.jpg", "r.JPEG"), ("yuv420.jpg", "p.JPEG")]
    {
        std::fs::copy(golden(from), class.join(to)).unwrap();
    }
    // A directory of one entry whose value lies beyond the block, and no end of it.
    let mut jpeg = std::fs::read(golden("yuv420.jpg")).unwrap();
    let exif = [&b"Exif\0\0II*\0\x08\0\0\0\x01\0"[..], &[0x0F, 1, 2, 0, 100, 0, 0, 0, 8, 0, 0, 0]].concat();
    jpeg.splice(2..2, [&[0xFF, 0xE1, 0, exif.len() as u8 + 2][..], &exif].concat());
    std::fs::write(class.join("broken_exif.JPEG"), jpeg).unwrap();
    let (input, out) = (tmp.path().join("in"), tmp.path().join("out"));
    let sides = ["--resize", "32"];
    let (code, said) = call(&[&["pack", "--input", input.to_str().unwrap(), "--output", out.to_str().unwrap()][..], &sides].concat());
    assert_eq!(code, 0, "{said}");
    for kind in ["1 EXIF orientation not applied", "1 broken EXIF", "1 from CMYK", "1 from PNG", "1 from gray"] {
        assert!(said.contains(kind), "{kind}: {said}");
    }
    // The pixels are those of the same picture without it.
    let dataset = Dataset::open(&out).unwrap();
    let pixels = |name: &str| (0..6).map(|i| dataset.record(i).unwrap()).find(|p| p.name.ends_with(name)).unwrap().pixels.into_owned();
    assert!(pixels("broken_exif.jpg") == pixels("p.jpg"));
}
