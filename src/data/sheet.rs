//! A contact sheet: pictures of a packed folder with their labels, as one PNG to look at before training for days on it.

use super::dataset::{Dataset, Picture};
use super::decode::Rgb;
use super::font;
use super::record_room::Sizes;
use super::resize::{Scaler, short_side};
use crate::error::{Error, Result};
use crate::files::NewFile;
use crate::resample::Filter;
use std::io::{self, Write};
use std::path::Path;

/// Side of a picture's place, pixels.
const CELL: usize = 160;
/// Room around each place, and for the two lines below it.
const GAP: usize = 8;
const TEXT: usize = 32;
const HEAD: usize = 40;
const COLUMNS: usize = 8;
const MOST: usize = 64;
const BACKGROUND: [u8; 3] = [24, 26, 31];
const BRIGHT: [u8; 3] = [235, 237, 240];
const DIM: [u8; 3] = [140, 146, 156];

struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Canvas {
    fn new(width: usize, height: usize) -> Self {
        Self { width, height, pixels: BACKGROUND.repeat(width * height) }
    }

    fn set(&mut self, x: usize, y: usize, color: [u8; 3]) {
        if x < self.width && y < self.height {
            self.pixels[(y * self.width + x) * 3..][..3].copy_from_slice(&color);
        }
    }

    /// Draws `text`, each dot `scale` pixels wide; what goes beyond `room` pixels is cut, marked by two dots.
    fn text(&mut self, x: usize, y: usize, scale: usize, color: [u8; 3], room: usize, text: &str) {
        let advance = (font::WIDTH + 1) * scale;
        let fits = room / advance;
        let cut: String = if text.chars().count() > fits {
            text.chars().take(fits.saturating_sub(2)).chain("..".chars()).collect()
        } else {
            text.to_owned()
        };
        for (i, letter) in cut.chars().enumerate() {
            for (row, bits) in font::glyph(letter).into_iter().enumerate() {
                for dot in (0..font::WIDTH * scale).filter(|d| bits >> (font::WIDTH - 1 - d / scale) & 1 == 1) {
                    for line in 0..scale {
                        self.set(x + i * advance + dot, y + row * scale + line, color);
                    }
                }
            }
        }
    }

    /// The whole picture, shrunk or (by whole factors of its kind) enlarged to fit the place, centred.
    fn picture(&mut self, x: usize, y: usize, picture: Picture<'_>, scaler: &mut Scaler) -> Result<()> {
        let (w, h) = (picture.width, picture.height);
        let rgb = Rgb { width: w, height: h, pixels: picture.pixels.into_owned(), flags: 0 };
        let cell = CELL as u32;
        // The long side fills the place: the short side follows.
        let short = (u64::from(cell) * u64::from(w.min(h)) / u64::from(w.max(h))).max(1) as u32;
        let (tw, th) = short_side(w, h, short);
        let (tw, th) = (tw.clamp(1, cell), th.clamp(1, cell));
        let fail = |e: String| Error::internal(e).at(picture.name.to_owned());
        let small = scaler.resize(&rgb, Filter::Bilinear, (0, 0, w, h), (tw, th)).map_err(fail)?;
        let (left, top) = (x + (CELL - tw as usize) / 2, y + (CELL - th as usize) / 2);
        for (row, line) in small.chunks_exact(tw as usize * 3).enumerate() {
            let at = ((top + row) * self.width + left) * 3;
            self.pixels[at..at + line.len()].copy_from_slice(line);
        }
        Ok(())
    }
}

/// Which records the sheet shows: the same number from every class where that fits, in label order.
fn choose(dataset: &Dataset) -> Result<Vec<usize>> {
    let classes = dataset.classes().len();
    let each = (MOST / classes.max(1)).max(1);
    let mut by_class = vec![Vec::new(); classes];
    for i in 0..dataset.len() {
        let label = dataset.describe(i)?.label as usize;
        if by_class[label].len() < each {
            by_class[label].push(i);
        }
    }
    // With more classes than places: classes spread evenly over the labels.
    let filled: Vec<Vec<usize>> = by_class.into_iter().filter(|c| !c.is_empty()).collect();
    let shown = filled.len().min(MOST);
    Ok((0..shown).flat_map(|k| filled[k * filled.len() / shown].clone()).take(MOST).collect())
}

/// The sheet as width, height and RGB bytes.
///
/// # Errors
/// `Data` when a record is damaged; `Device` when memory cannot hold one.
pub fn draw(dataset: &Dataset) -> Result<(u32, u32, Vec<u8>)> {
    let records = choose(dataset)?;
    let rows = records.len().div_ceil(COLUMNS).max(1);
    let mut canvas = Canvas::new(GAP + COLUMNS * (CELL + GAP), HEAD + rows * (CELL + TEXT + GAP));
    let title = format!(
        "{}  {} images  {} classes  {}  dataset {}",
        dataset.split().name(),
        dataset.len(),
        dataset.classes().len(),
        dataset.manifest().encoding,
        dataset.dataset_id().get(..12).unwrap_or("")
    );
    let room = canvas.width - 2 * GAP;
    canvas.text(GAP, 13, 2, BRIGHT, room, &title);
    let mut scaler = Scaler::default();
    for (k, &i) in records.iter().enumerate() {
        let picture = dataset.describe(i)?;
        let (x, y) = (GAP + k % COLUMNS * (CELL + GAP), HEAD + k / COLUMNS * (CELL + TEXT + GAP));
        // Decoded and copied; the rows between the two passes of the resize are few.
        let bytes = |sizes: Sizes| sizes.decoding + sizes.pixels + sizes.pixels / 8;
        dataset.with_room(i, "drawing", bytes, || canvas.picture(x, y, dataset.record(i)?, &mut scaler))?;
        let class = &dataset.classes()[picture.label as usize];
        canvas.text(x, y + CELL + 4, if class.len() > 13 { 1 } else { 2 }, BRIGHT, CELL, class);
        let line = format!("label {} id {} {}x{}", picture.label, picture.global_id, picture.width, picture.height);
        canvas.text(x, y + CELL + 22, 1, DIM, CELL, &line);
    }
    Ok((canvas.width as u32, canvas.height as u32, canvas.pixels))
}

/// Draws the sheet of `dataset` into the PNG file `path`.
///
/// # Errors
/// As [`draw`]; `Write` when the file cannot be written.
pub fn write(dataset: &Dataset, path: &Path) -> Result<()> {
    let (width, height, pixels) = draw(dataset)?;
    crate::files::write_output(path, crate::files::Kind::Result, |file| encode_png(file, width, height, &pixels))
}

/// Writes RGB bytes as a PNG file, over what bears the name, whole or not at all; it is not flushed.
///
/// # Errors
/// `Write`, naming the file.
pub fn write_png(path: &Path, width: u32, height: u32, rgb: &[u8]) -> Result<()> {
    let mut bytes = Vec::new();
    encode_png(&mut bytes, width, height, rgb).map_err(|e| Error::writing(path, e))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let new = NewFile::create(path.parent().unwrap_or(Path::new("")), &name, true, bytes.len() as u64)?;
    new.write_at(&bytes, 0)?;
    new.publish_unflushed()
}

/// RGB bytes as PNG.
///
/// # Errors
/// Those of writing.
pub fn encode_png(to: &mut dyn Write, width: u32, height: u32, rgb: &[u8]) -> io::Result<()> {
    // As it was: a full disk must be told as one.
    let fail = |e| match e {
        png::EncodingError::IoError(e) => e,
        other => io::Error::other(other),
    };
    let mut encoder = png::Encoder::new(to, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_compression(png::Compression::Fast);
    let mut writer = encoder.write_header().map_err(fail)?;
    writer.write_image_data(rgb).map_err(fail)?;
    writer.finish().map_err(fail)
}
