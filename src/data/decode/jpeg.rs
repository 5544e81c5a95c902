//! JPEG to RGB: `zune-jpeg` in strict mode for the pixels, our own walk over the markers for what it does not say.
//!
//! The walk (one pass over the bytes) finds the frame's size before any memory is taken, the Adobe transform (which decides whether
//! four-component values are stored inverted), an EXIF orientation, and whether the file ends in EOI after its last scan: a file cut
//! short is refused here even where its missing rows could be filled in. Four-component pictures are taken from the decoder as stored
//! and converted with Pillow's own integer formula.

use super::{Rgb, expand_gray, flags};
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

/// What the markers before the first scan say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    pub width: u16,
    pub height: u16,
    components: u8,
    adobe: bool,
    rotated: bool,
    /// Byte offset of the first SOS marker.
    scan: usize,
}

const SOS: u8 = 0xDA;
const EOI: u8 = 0xD9;

/// The next marker at or after `at`: its code and the offset past it. Fill bytes (FF FF) are legal.
fn marker(bytes: &[u8], mut at: usize) -> Option<(u8, usize)> {
    at += bytes.get(at..)?.iter().position(|&b| b == 0xFF)?;
    while *bytes.get(at)? == 0xFF {
        at += 1;
    }
    Some((bytes[at], at + 1))
}

/// The segment whose length field is at `at`: its payload and the offset past it.
fn segment(bytes: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let len = usize::from(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
    let end = at + len.max(2);
    Some((bytes.get(at + 2..end)?, end))
}

impl Layout {
    /// Reads the markers up to the first scan.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let cut = || "JPEG cut within its header".to_owned();
        let mut layout = Self::default();
        let mut at = 2;
        loop {
            let (code, after) = marker(bytes, at).ok_or_else(cut)?;
            match code {
                // Stand-alone: TEM, RSTn, SOI; and a stuffed zero, garbage between segments that decoders step over.
                0 | 1 | 0xD0..=0xD8 => {
                    at = after;
                    continue;
                }
                EOI => return Err("JPEG without a picture (EOI before the first scan)".to_owned()),
                SOS if layout.components == 0 => return Err("JPEG without a frame header (SOF)".to_owned()),
                SOS => {
                    layout.scan = after - 2;
                    return Ok(layout);
                }
                _ => {}
            }
            let (payload, end) = segment(bytes, after).ok_or_else(cut)?;
            match code {
                0xC0..=0xCF if !matches!(code, 0xC4 | 0xC8 | 0xCC) => {
                    let [_, h0, h1, w0, w1, n, ..] = *payload else { return Err(cut()) };
                    layout.height = u16::from_be_bytes([h0, h1]);
                    layout.width = u16::from_be_bytes([w0, w1]);
                    layout.components = n;
                }
                0xEE if payload.starts_with(b"Adobe") => layout.adobe = true,
                0xE1 if payload.starts_with(b"Exif\0\0") => layout.rotated = orientation(&payload[6..]).is_some_and(|o| o > 1),
                _ => {}
            }
            at = end;
        }
    }

    /// Walks the scans to the end-of-image marker.
    fn check_end(&self, bytes: &[u8]) -> Result<(), String> {
        let mut at = self.scan;
        loop {
            let Some((code, after)) = marker(bytes, at) else {
                return Err(format!("JPEG cut short or damaged: its {} bytes hold no end marker after the last scan", bytes.len()));
            };
            at = match code {
                EOI => return Ok(()),
                0 | 1 | 0xD0..=0xD8 => after, // a stuffed FF, TEM, or a restart: still inside the scan
                _ => segment(bytes, after).map_or(bytes.len(), |(_, end)| end),
            };
        }
    }
}

/// The orientation tag of an EXIF block (TIFF), if it has one that can be read.
fn orientation(tiff: &[u8]) -> Option<u16> {
    let little = tiff.starts_with(b"II");
    let u16_at = |at: usize| {
        let b = [*tiff.get(at)?, *tiff.get(at + 1)?];
        Some(if little { u16::from_le_bytes(b) } else { u16::from_be_bytes(b) })
    };
    let high_low = |at: usize| {
        let (a, b) = (u32::from(u16_at(at)?), u32::from(u16_at(at + 2)?));
        Some(if little { a | b << 16 } else { a << 16 | b })
    };
    let ifd = high_low(4)? as usize;
    (0..usize::from(u16_at(ifd)?)).map(|i| ifd + 2 + 12 * i).find(|&e| u16_at(e) == Some(0x0112)).and_then(|e| u16_at(e + 8))
}

/// Decodes the picture. `simd` false takes the decoder's scalar code; the pixels are the same.
pub fn decode(bytes: &[u8], simd: bool) -> Result<Rgb, String> {
    let layout = Layout::read(bytes)?;
    layout.check_end(bytes)?;
    match decode_with(bytes, &layout, simd, true) {
        // Stray bytes between segments are legal to skip and harm no pixel; only strict mode minds them.
        Err(e) if e.contains("Extra bytes between headers") => {
            let mut rgb = decode_with(bytes, &layout, simd, false)?;
            rgb.flags |= flags::DECODER_WARNED;
            Ok(rgb)
        }
        other => other,
    }
}

fn decode_with(bytes: &[u8], layout: &Layout, simd: bool, strict: bool) -> Result<Rgb, String> {
    let fail = |e: zune_jpeg::errors::DecodeErrors| format!("JPEG: {e}");
    let options = |out| {
        DecoderOptions::default()
            .set_use_unsafe(simd)
            .set_strict_mode(strict)
            .set_max_width(usize::from(u16::MAX))
            .set_max_height(usize::from(u16::MAX))
            .jpeg_set_out_colorspace(out)
    };
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options(ColorSpace::RGB));
    decoder.decode_headers().map_err(fail)?;
    let stored = decoder.input_colorspace().ok_or("JPEG without a colour space")?;
    let out = match (layout.components, stored) {
        (1, _) => ColorSpace::Luma,
        (4, ColorSpace::CMYK | ColorSpace::YCCK) => stored, // as stored: converted below
        (3, _) => ColorSpace::RGB,
        (n, _) => return Err(format!("JPEG of {n} components in colour space {stored:?}")),
    };
    decoder.set_options(options(out));
    let raw = decoder.decode().map_err(fail)?;
    let (width, height) = (u32::from(layout.width), u32::from(layout.height));
    let rotated = if layout.rotated { flags::EXIF_ROTATED } else { 0 };
    let (pixels, kind) = match out {
        ColorSpace::Luma => (expand_gray(&raw), flags::WAS_GRAY),
        ColorSpace::CMYK => (cmyk_to_rgb(&raw, layout.adobe), flags::WAS_CMYK),
        ColorSpace::YCCK => (cmyk_to_rgb(&ycck_to_cmyk(&raw), layout.adobe), flags::WAS_CMYK),
        _ => (raw, 0),
    };
    Ok(Rgb { width, height, pixels, flags: rotated | kind })
}

/// libjpeg's YCCK: the first three components are the YCbCr of (255-C, 255-M, 255-Y). Its integer formula (16-bit fractions).
fn ycck_to_cmyk(ycck: &[u8]) -> Vec<u8> {
    let fix = |x: f64| (x * 65536.0 + 0.5) as i32;
    let clamp = |v: i32| v.clamp(0, 255) as u8;
    let convert = |&[y, cb, cr, k]: &[u8; 4]| {
        let (y, cb, cr) = (i32::from(y), i32::from(cb) - 128, i32::from(cr) - 128);
        let r = y + ((fix(1.402) * cr + 32768) >> 16);
        let g = y + ((-fix(0.344_136_286) * cb - fix(0.714_136_286) * cr + 32768) >> 16);
        let b = y + ((fix(1.772) * cb + 32768) >> 16);
        [clamp(255 - r), clamp(255 - g), clamp(255 - b), k]
    };
    ycck.as_chunks::<4>().0.iter().flat_map(convert).collect()
}

/// Pillow's CMYK to RGB: `(255 - k) - (255 - k) * c / 255`, rounded. Adobe stores all four inverted.
fn cmyk_to_rgb(cmyk: &[u8], inverted: bool) -> Vec<u8> {
    let mul = |a: i32, b: i32| {
        let t = a * b + 128;
        ((t >> 8) + t) >> 8
    };
    let convert = |p: &[u8; 4]| {
        let [c, m, y, k] = p.map(|v| i32::from(if inverted { !v } else { v }));
        let white = 255 - k;
        [c, m, y].map(|v| (white - mul(v, white)).clamp(0, 255) as u8)
    };
    cmyk.as_chunks::<4>().0.iter().flat_map(convert).collect()
}
