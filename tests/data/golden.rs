//! Pixels against Pillow's, for committed pictures of every kind (golden/make.py), and crops against torchvision's algorithm.

use super::common::{golden, shared};
use imagenet_engine::data::CropPolicy;
use imagenet_engine::data::decode::{Decoder, Rgb, decode, decode_jpeg_scalar};
use imagenet_engine::data::resize::{Fit, Scaler, crop, stored_size};
use imagenet_engine::resample::Filter;

const PNGS: [&str; 7] = ["rgb", "rgba", "palette", "palette4", "la", "bits1", "gray16"];
const JPEGS: [&str; 8] = ["yuv420", "yuv422", "yuv444", "progressive", "restarts", "gray", "cmyk", "rotated"];

fn read(name: &str) -> Rgb {
    decode(&std::fs::read(golden(name)).unwrap(), 1 << 20).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// Largest and mean difference of two pictures of one size.
fn distance(a: &Rgb, b: &Rgb) -> (u8, f64) {
    assert_eq!((a.width, a.height), (b.width, b.height));
    let d = a.pixels.iter().zip(&b.pixels).map(|(x, y)| x.abs_diff(*y));
    (d.clone().max().unwrap(), d.map(f64::from).sum::<f64>() / a.pixels.len() as f64)
}

#[test]
fn decoding_is_exactly_pillow() {
    for name in PNGS {
        assert_eq!(distance(&read(&format!("{name}.png")), &read(&format!("{name}p.full.png"))), (0, 0.0), "{name}");
    }
    for name in JPEGS {
        assert_eq!(distance(&read(&format!("{name}.jpg")), &read(&format!("{name}j.full.png"))), (0, 0.0), "{name}");
    }
}

/// Real pictures, by the SHA-256 of what Pillow makes of them (golden/make_shared.py).
#[test]
fn decoding_real_pictures_is_exactly_pillow() {
    use sha2::Digest;
    let Some(photos) = shared("photos") else { return };
    let root = photos.parent().unwrap();
    let list = std::fs::read_to_string(golden("shared.sha256")).unwrap();
    assert!(list.lines().count() > 100);
    for (sha, path) in list.lines().filter_map(|l| l.split_once("  ")) {
        let rgb = decode(&std::fs::read(root.join(path)).unwrap(), 1 << 26).unwrap_or_else(|e| panic!("{path}: {e}"));
        let found: String = sha2::Sha256::digest(&rgb.pixels).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(found, sha, "{path}");
    }
}

#[test]
fn resizing_is_exactly_pillow() {
    for (names, extension, mark) in [(&PNGS[..], "png", "p"), (&JPEGS[..], "jpg", "j")] {
        for name in names {
            for size in [48, 96] {
                if size == 96 && !["rgb", "yuv420"].contains(name) {
                    continue;
                }
                let expected = read(&format!("{name}{mark}.{size}.png"));
                let stored = Scaler::default().fit(read(&format!("{name}.{extension}")), size, Fit::Short).unwrap();
                assert_eq!(distance(&stored, &expected), (0, 0.0), "{name} to {size}");
            }
        }
    }
}

/// The check above can fail: a resize without antialiasing, or one that is off by a pixel, is far from it.
#[test]
fn a_wrong_resize_would_be_noticed() {
    let source = read("rgb.png");
    let expected = read("rgbp.48.png");
    let shifted = Scaler::default()
        .resize(&source, Filter::Bilinear, (1, 0, source.width - 1, source.height), (expected.width, expected.height))
        .unwrap();
    let nearest = (0..expected.height * expected.width).flat_map(|p| {
        let (x, y) = (p % expected.width * source.width / expected.width, p / expected.width * source.height / expected.height);
        let at = ((y * source.width + x) * 3) as usize;
        source.pixels[at..at + 3].to_vec()
    });
    let wrong = |pixels| distance(&Rgb { pixels, ..expected.clone() }, &expected);
    assert!(wrong(shifted).0 > 3 && wrong(nearest.collect()).0 > 3);
}

#[test]
fn jpeg_pixels_do_not_depend_on_simd() {
    for name in JPEGS {
        let bytes = std::fs::read(golden(&format!("{name}.jpg"))).unwrap();
        assert_eq!(decode(&bytes, 1 << 20).unwrap(), decode_jpeg_scalar(&bytes).unwrap(), "{name}");
    }
    let Some(photos) = shared("photos") else { return };
    for class in std::fs::read_dir(photos).unwrap() {
        for file in std::fs::read_dir(class.unwrap().path()).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            assert_eq!(decode(&bytes, 1 << 26).unwrap(), decode_jpeg_scalar(&bytes).unwrap());
        }
    }
}

/// Pictures are decoded in the memory of those before them, which must not show.
#[test]
fn reused_memory_does_not_show() {
    let mut decoder = Decoder::default();
    for name in JPEGS.iter().chain(JPEGS.iter().rev()).chain(&["yuv444", "gray", "yuv420", "cmyk", "gray"]) {
        let bytes = std::fs::read(golden(&format!("{name}.jpg"))).unwrap();
        let picture = decoder.decode(&bytes, 1 << 20).unwrap();
        assert_eq!(picture, read(&format!("{name}.jpg")), "{name}");
        decoder.recycle(vec![0xA5; picture.pixels.len() + 1000]);
        let cut = [&bytes[..bytes.len() / 2], &[0xFF, 0xD9]].concat(); // and a failure in the middle leaves nothing behind
        assert!(decoder.decode(&cut, 1 << 20).is_err(), "{name}");
    }
}

#[test]
fn cut_pictures_are_refused_with_a_reason() {
    for (name, words) in
        [("bad_half.jpg", "cut short"), ("bad_no_end.jpg", "cut short"), ("bad_progressive.jpg", "cut short"), ("bad_half.png", "PNG")]
    {
        let error = decode(&std::fs::read(golden(name)).unwrap(), 1 << 20).unwrap_err();
        assert!(error.contains(words), "{name}: {error}");
    }
    // Every cut of a small JPEG, not only the kind ones.
    let whole = std::fs::read(golden("restarts.jpg")).unwrap();
    for len in 0..whole.len() {
        assert!(decode(&whole[..len], 1 << 20).is_err(), "cut to {len} bytes and not noticed");
    }
}

/// Damaged files may decode to something or not; they must not panic, hang, or take memory.
#[test]
fn mutated_pictures_do_no_harm() {
    use imagenet_engine::rng::{Purpose, Stream};
    let mut s = Stream::new(3, Purpose::Test, 1, 0);
    let each = super::common::rounds(400, 3_000);
    for name in ["yuv420.jpg", "progressive.jpg", "cmyk.jpg", "restarts.jpg", "palette4.png", "rgba.png", "gray16.png"] {
        let whole = std::fs::read(golden(name)).unwrap();
        for _ in 0..each {
            let mut bytes = whole.clone();
            for _ in 0..=s.below(3) {
                let at = s.below(bytes.len() as u32) as usize;
                bytes[at] ^= 1 << s.below(8);
            }
            if let Ok(rgb) = decode(&bytes, 1 << 20) {
                assert_eq!(rgb.pixels.len(), (rgb.width * rgb.height * 3) as usize);
            }
        }
    }
}

#[test]
fn square_is_the_centre_of_short() {
    let name = "yuv420.jpg";
    let short = Scaler::default().fit(read(name), 48, Fit::Short).unwrap();
    let square = Scaler::default().fit(read(name), 48, Fit::Square).unwrap();
    assert_eq!((short.width, short.height), (69, 48)); // floor(48 * 101 / 70)
    assert_eq!(square, Rgb { flags: square.flags, ..crop(&short, 10, 0, 48, 48) }); // round(21 / 2.0) = 10, to even
    assert_eq!(stored_size(101, 70, 48, Fit::Square), (48, 48));
    // A size that matches already is not resampled.
    let source = read("rgb.png");
    assert_eq!(Scaler::default().fit(source.clone(), 70, Fit::Short).unwrap(), source);
}

#[derive(serde::Deserialize)]
struct Case {
    width: u32,
    height: u32,
    scale: (f64, f64),
    seed: u64,
    epoch: u32,
    id: u64,
    crop: [u32; 5],
}

#[test]
fn random_crops_are_torchvisions() {
    let cases: Vec<Case> = serde_json::from_slice(&std::fs::read(golden("crops.json")).unwrap()).unwrap();
    assert_eq!(cases.len(), 125);
    for c in &cases {
        let got = CropPolicy::standard(c.scale).crop(c.width, c.height, 224, c.seed, c.epoch, c.id);
        assert_eq!([got.x, got.y, got.width, got.height, u32::from(got.flip)], c.crop, "{}x{} id {}", c.width, c.height, c.id);
    }
}
