//! PNG and WebP against Pillow: files of every type and with every kind of oddity (golden/make_formats.py).

use super::common::{call, golden, shared};
use imagenet_engine::data::Dataset;
use imagenet_engine::data::decode::{decode, size};
use sha2::Digest;

#[derive(serde::Deserialize)]
struct Golden {
    entries: Vec<Entry>,
}

#[derive(serde::Deserialize)]
pub struct Entry {
    pub name: String,
    file: String,
    size: Option<(u32, u32)>,
    pixels: Option<String>,
    /// Where Pillow decides otherwise, the kind in docs/sources.md.
    apart: Option<String>,
}

/// The files of golden/formats.json.
pub fn entries() -> Vec<Entry> {
    serde_json::from_slice::<Golden>(&std::fs::read(golden("formats.json")).unwrap()).unwrap().entries
}

impl Entry {
    pub fn bytes(&self) -> Vec<u8> {
        (0..self.file.len() / 2).map(|i| u8::from_str_radix(&self.file[2 * i..2 * i + 2], 16).unwrap()).collect()
    }
}

fn sha256(bytes: &[u8]) -> String {
    sha2::Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn png_and_webp_are_exactly_pillow() {
    let entries = entries();
    assert!(entries.iter().filter(|e| e.name.starts_with("png")).count() > 120);
    assert!(entries.iter().filter(|e| e.name.starts_with("webp")).count() > 50);
    for e in &entries {
        let found = decode(&e.bytes(), 1 << 20);
        match (&e.pixels, &e.apart, found) {
            (Some(pixels), None, Ok(rgb)) => {
                assert!(e.size == Some((rgb.width, rgb.height)) && *pixels == sha256(&rgb.pixels), "{}", e.name)
            }
            (Some(_), Some(_), Err(reason)) => assert!(reason.starts_with("PNG"), "{}: {reason}", e.name),
            (None, None, Err(_)) => {}
            // The bad chunk is not of the still image.
            (None, Some(_), Ok(rgb)) => assert_eq!(rgb.pixels, (1..9).flat_map(|v| [v; 3]).collect::<Vec<u8>>(), "{}", e.name),
            (_, _, found) => panic!("{}: {found:?}", e.name),
        }
    }
}

/// A cut file is refused wherever it is cut: also where Pillow shows it.
#[test]
fn every_cut_is_refused() {
    for e in entries().iter().filter(|e| ["png plain", "webp lossy 5x4 at 75", "webp metadata", "webp animated"].contains(&e.name.as_str()))
    {
        let whole = e.bytes();
        for len in 0..whole.len() {
            assert!(decode(&whole[..len], 1 << 20).is_err(), "{} cut to {len} of {} bytes", e.name, whole.len());
        }
    }
}

/// A size above the limit is refused by the header, whatever follows.
#[test]
fn sizes_come_from_the_header() {
    for (name, bytes, expected) in [
        ("lossy", &b"RIFF\x16\0\0\0WEBPVP8 \x0a\0\0\0\x10\0\0\x9d\x01\x2a\xff\x3f\xfe\x3f"[..], (16383, 16382)),
        ("lossless", &b"RIFF\x12\0\0\0WEBPVP8L\x05\0\0\0\x2f\xfe\xff\xff\x0f\0"[..], (16383, 16384)),
    ] {
        assert_eq!(size(bytes), Ok(expected), "{name}");
        assert!(decode(bytes, 64_000_000).unwrap_err().contains("above the limit"), "{name}");
    }
}

#[test]
fn faults_of_png_are_settled() {
    let read = |name: &str| Some(std::fs::read(shared("faults")?.join(name)).unwrap());
    let Some(bad_color) = read("png_ancillary_fatal/cicp_bad.png") else { return };
    let rgb = decode(&bad_color, 1 << 20).unwrap();
    assert_eq!((rgb.width, rgb.height, sha256(&rgb.pixels).as_str()), CICP_BAD);
    let error = decode(&read("png_damage/idat_adler_bad.png").unwrap(), 1 << 20).unwrap_err();
    assert!(error.contains("Checksum"), "{error}");
}

/// What Pillow 13.0.0 makes of png_ancillary_fatal/cicp_bad.png.
const CICP_BAD: (u32, u32, &str) = (37, 29, "d5aaa2fd5ac32621451c184d06c8876b5ab36e829ef015a1a71ecefe6158ab52");

/// Packed beside the others, named or not by its type, counted, and unpacked as the same pixels.
#[test]
fn webp_is_packed() {
    let tmp = tempfile::tempdir().unwrap();
    let class = tmp.path().join("in/class");
    std::fs::create_dir_all(&class).unwrap();
    let entries = entries();
    let lossy = entries.iter().find(|e| e.name == "webp lossy 33x21 at 75").unwrap();
    for name in ["a.webp", "b.JPEG"] {
        std::fs::write(class.join(name), lossy.bytes()).unwrap();
    }
    std::fs::copy(golden("rgb.png"), class.join("c.png")).unwrap();
    for encoding in ["raw", "jpeg"] {
        let out = tmp.path().join(encoding);
        let (input, output) = (tmp.path().join("in"), out.to_str().unwrap());
        let (code, said) = call(&[
            "pack",
            "--input",
            input.to_str().unwrap(),
            "--output",
            output,
            "--split",
            "val",
            "--resize",
            "0",
            "--encoding",
            encoding,
        ]);
        assert!(code == 0 && said.contains("2 from WebP"), "{said}");
        let dataset = Dataset::open(&out).unwrap();
        let record = dataset.record(0).unwrap();
        assert_eq!((record.name, record.width, record.height), ("class/a.webp", 33, 21));
        if encoding == "raw" {
            assert_eq!(Some(sha256(&record.pixels)), lossy.pixels);
        }
    }
}
