//! Resizing against Pillow's own results, by their hashes (golden/make_resize.py): no value differs.

use super::common::golden;
use super::images::{hash, image};
use imagenet_engine::resample::{Filter, Image, Resampler, Resize};
use serde_json::Value;

const FILTERS: [Filter; 3] = [Filter::Bilinear, Filter::Bicubic, Filter::Lanczos];

struct Case {
    line: Value,
    pixels: Vec<u8>,
    from: (usize, usize),
    to: (usize, usize),
    part: Option<[f32; 4]>,
}

impl Case {
    fn read(line: &Value) -> Self {
        let [number, w, h, to_width, to_height] = [0, 1, 2, 3, 4].map(|i| line[i].as_u64().unwrap() as usize);
        let part = line[5].as_array().map(|b| [0, 1, 2, 3].map(|i| b[i].as_f64().unwrap() as f32));
        Self { line: line.clone(), pixels: image(number as u64, 3 * w * h), from: (w, h), to: (to_width, to_height), part }
    }

    fn job(&self, filter: Filter) -> Resize {
        let whole = Resize::whole(filter, self.from, self.to);
        Resize { part: self.part.unwrap_or(whole.part), ..whole }
    }

    fn image(&self) -> Image<'_> {
        Image::whole(&self.pixels, self.from.0, self.from.1)
    }
}

fn cases() -> Vec<Case> {
    let all: Value = serde_json::from_slice(&std::fs::read(golden("resize.json")).unwrap()).unwrap();
    assert_eq!(all["pillow"], "13.0.0");
    let all: Vec<_> = all["cases"].as_array().unwrap().iter().map(Case::read).collect();
    assert_eq!((all.len(), all.iter().filter(|c| c.part.is_none()).count()), (700, 500));
    all
}

/// 500 sizes of whole images and 200 boxes, three filters, in vector instructions and without.
#[test]
fn every_size_and_box_is_exactly_pillow() {
    let (mut resamplers, mut out) = ([Resampler::default(), Resampler::plain()], Vec::new());
    let mut wrong = Vec::new();
    for case in cases() {
        for (number, filter) in FILTERS.into_iter().enumerate() {
            for resampler in &mut resamplers {
                assert!(resampler.resize(case.image(), &case.job(filter), &mut out), "{}", case.line);
                if hash(&out, 8) != case.line[6 + number] {
                    wrong.push(format!("{filter:?} {}", case.line));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} differ: {wrong:#?}", wrong.len());
}

/// A window is that part of the whole result, mirrored or not; a rectangle that of an image is the image of the rectangle alone.
#[test]
fn windows_and_rectangles_are_parts() {
    let (mut whole, mut part) = (Vec::new(), Vec::new());
    let (mut fast, mut plain) = (Resampler::default(), Resampler::plain());
    for (number, case) in cases().into_iter().enumerate().step_by(3) {
        let job = case.job(FILTERS[number % 3]);
        assert!(plain.resize(case.image(), &job, &mut whole));
        let (to_width, to_height) = case.to;
        let (x, y) = (number * 7 % to_width, number * 5 % to_height);
        let (w, h) = (1 + number * 3 % (to_width - x), 1 + number * 11 % (to_height - y));
        for flip in [false, true] {
            for resampler in [&mut fast, &mut plain] {
                assert!(resampler.resize(case.image(), &Resize { window: (x, y, w, h), flip, ..job }, &mut part));
                for (row, line) in part.chunks_exact(3 * w).enumerate() {
                    for (column, pixel) in line.chunks_exact(3).enumerate() {
                        let from = x + if flip { w - 1 - column } else { column };
                        assert_eq!(pixel, &whole[3 * ((y + row) * to_width + from)..][..3], "{} {flip}", case.line);
                    }
                }
            }
        }
        let (left, top, w, h) = (case.from.0 / 3, case.from.1 / 4, case.from.0.div_ceil(2), case.from.1.div_ceil(2));
        let alone: Vec<u8> = (top..top + h).flat_map(|y| case.pixels[3 * (y * case.from.0 + left)..][..3 * w].to_vec()).collect();
        let job = Resize::whole(job.filter, (w, h), case.to);
        assert!(plain.resize(Image::whole(&alone, w, h), &job, &mut whole));
        assert!(fast.resize(case.image().rectangle((left, top, w, h)), &job, &mut part));
        assert_eq!(whole, part, "{}", case.line);
    }
}

/// Jobs that do not fit are refused, not read past the end.
#[test]
fn jobs_that_do_not_fit_are_refused() {
    let pixels = [9; 300];
    let good = Resize::whole(Filter::Bilinear, (10, 10), (4, 4));
    let (mut resampler, mut out) = (Resampler::default(), Vec::new());
    let mut accepts = |image: Image<'_>, job: Resize| resampler.resize(image, &job, &mut out);
    let image = Image::whole(&pixels, 10, 10);
    assert!(accepts(image, good));
    assert!(!accepts(Image::whole(&pixels[1..], 10, 10), good) && !accepts(Image::whole(&pixels, 10, 0), good));
    assert!(!accepts(image.rectangle((4, 4, 7, 6)), Resize::whole(Filter::Bilinear, (7, 6), (4, 4))));
    for window in [(0, 0, 0, 4), (1, 0, 4, 4), (0, 4, 1, 1)] {
        assert!(!accepts(image, Resize { window, ..good }));
    }
    for part in [[0.0, 0.0, 10.5, 10.0], [3.0, 0.0, 3.0, 10.0], [-1.0, 0.0, 5.0, 5.0], [0.0, f32::NAN, 5.0, 5.0]] {
        assert!(!accepts(image, Resize { part, ..good }));
    }
}
