//! PNG to RGB as Pillow converts it: palettes looked up, alpha dropped (not blended), 16-bit gray clipped at 255 (Pillow's `I;16`),
//! other 16-bit values by their high byte, gray of 1, 2 and 4 bits scaled to 8. Of an animation, the still image that every viewer shows.
//!
//! `chunks` picks the parts that decide pixels; the `png` crate inflates, unfilters and deinterlaces them.

mod chunks;

use super::{Rgb, expand_gray, flags};
use chunks::Chunks;
use png::{BitDepth, ColorType, DecodeOptions, Decoder, Limits};
use std::io::Cursor;

/// Width and height from IHDR, wherever it stands before the image data; no more of the file is needed.
pub fn size(bytes: &[u8]) -> Result<(u32, u32), String> {
    let at = header(bytes)?;
    let word = |at: usize| bytes.get(at..at + 4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
    word(at).zip(word(at + 4)).ok_or_else(|| "PNG cut within its header".to_owned())
}

/// Bytes that a pixel takes while it is decoded: as it is in the file, and as RGB where that is something else.
pub fn bytes_per_pixel(bytes: &[u8]) -> u64 {
    let fields = header(bytes).ok().and_then(|at| Some((*bytes.get(at + 8)?, *bytes.get(at + 9)?)));
    match fields {
        Some((8, 2)) => 3,
        Some((depth, colour)) => {
            let channels = match colour {
                2 => 3,
                4 => 2,
                6 => 4,
                _ => 1,
            };
            (channels * u64::from(depth)).div_ceil(8) + 3
        }
        None => 11,
    }
}

/// Where the fields of IHDR begin.
fn header(bytes: &[u8]) -> Result<usize, String> {
    let mut at = chunks::SIGNATURE.len();
    let word = |at: usize| bytes.get(at..at + 4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
    loop {
        let cut = "PNG cut within its header";
        let (len, name) = (word(at).ok_or(cut)?, bytes.get(at + 4..at + 8).ok_or(cut)?);
        match name {
            b"IHDR" => return Ok(at + 8),
            b"IDAT" | b"IEND" => return Err("PNG without its header chunk (IHDR)".to_owned()),
            _ => at += 12 + len as usize,
        }
    }
}

/// Decodes the still image. Checksums (CRC-32, Adler-32) and the end of the file are checked. The caller has held the size against the
/// limit.
pub fn decode(bytes: &[u8]) -> Result<Rgb, String> {
    let fail = |e: png::DecodingError| format!("PNG: {e}");
    let (width, height) = size(bytes)?;
    let parts = Chunks::read(bytes)?;
    let still = parts.still(bytes)?;
    let mut options = DecodeOptions::default();
    options.set_ignore_crc(true); // checked already
    options.set_ignore_adler32(false);
    let mut decoder = Decoder::new_with_options(Cursor::new(&still), options);
    decoder.set_limits(Limits { bytes: (width as usize * height as usize).saturating_mul(8) + (1 << 20) });
    let mut reader = decoder.read_info().map_err(fail)?;
    let mut raw = vec![0; reader.output_buffer_size().ok_or("PNG too large")?];
    let frame = reader.next_frame(&mut raw).map_err(fail)?;
    reader.finish().map_err(fail)?;
    raw.truncate(frame.buffer_size());
    use BitDepth::{Eight, Sixteen};
    use ColorType::{Grayscale, GrayscaleAlpha, Indexed, Rgb as Color, Rgba};
    let pixels = match (frame.color_type, frame.bit_depth) {
        (Color, Eight) => raw,
        (Rgba, Eight) => raw.as_chunks::<4>().0.iter().flat_map(|p| [p[0], p[1], p[2]]).collect(),
        (Grayscale, Eight) => expand_gray(&raw),
        (GrayscaleAlpha, Eight) => raw.as_chunks::<2>().0.iter().flat_map(|p| [p[0]; 3]).collect(),
        (Color, Sixteen) => raw.as_chunks::<6>().0.iter().flat_map(|p| [p[0], p[2], p[4]]).collect(),
        (Rgba, Sixteen) => raw.as_chunks::<8>().0.iter().flat_map(|p| [p[0], p[2], p[4]]).collect(),
        // One channel of 16 bits is `I;16` in Pillow, which clips; with an alpha channel it is `LA`, which takes the high byte.
        (Grayscale, Sixteen) => raw.as_chunks::<2>().0.iter().flat_map(|p| [clip16(p[0], p[1]); 3]).collect(),
        (GrayscaleAlpha, Sixteen) => raw.as_chunks::<4>().0.iter().flat_map(|p| [p[0]; 3]).collect(),
        (Indexed, depth) => look_up(&raw, frame.line_size, width as usize, depth as usize, &palette(&bytes[parts.palette])?),
        (Grayscale, depth) => {
            let most = (1 << depth as usize) - 1;
            let shades = std::array::from_fn(|i| [(i.min(most) * 255 / most) as u8; 3]);
            look_up(&raw, frame.line_size, width as usize, depth as usize, &shades)
        }
        (color, depth) => return Err(format!("PNG of type {color:?} {depth:?}")),
    };
    let gray = if matches!(frame.color_type, Grayscale | GrayscaleAlpha) { flags::WAS_GRAY } else { 0 };
    Ok(Rgb { width: frame.width, height: frame.height, pixels, flags: flags::WAS_PNG | gray })
}

/// The colours of a palette; indices beyond it are black.
fn palette(entries: &[u8]) -> Result<[[u8; 3]; 256], String> {
    if entries.is_empty() || !entries.len().is_multiple_of(3) || entries.len() > 768 {
        return Err(format!("PNG with a palette of {} bytes: a multiple of 3 from 3 to 768 was expected", entries.len()));
    }
    let mut colors = [[0; 3]; 256];
    colors.as_flattened_mut()[..entries.len()].copy_from_slice(entries);
    Ok(colors)
}

/// Values of `depth` bits, the first in the highest bits of a byte, by their colours. Each line begins a byte.
fn look_up(raw: &[u8], line: usize, width: usize, depth: usize, colors: &[[u8; 3]; 256]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len() * 24 / depth);
    for line in raw.chunks_exact(line.max(1)) {
        if depth == 8 {
            out.extend(line.iter().flat_map(|&i| colors[usize::from(i)]));
            continue;
        }
        let (values, most) = (8 / depth, (1 << depth) - 1);
        out.extend((0..width).flat_map(|x| colors[usize::from(line[x / values] >> (8 - depth * (x % values + 1))) & most]));
    }
    out
}

fn clip16(high: u8, low: u8) -> u8 {
    if high == 0 { low } else { 255 }
}
