//! PNG to RGB as Pillow converts it: palettes looked up, alpha dropped (not blended), 16-bit gray clipped at 255 (Pillow's `I;16`),
//! 16-bit colours by their high byte, gray of 1, 2 and 4 bits scaled to 8.

use super::{Rgb, expand_gray, flags};
use png::{BitDepth, ColorType, Decoder, Limits, Transformations};
use std::io::Cursor;

/// Width and height from IHDR, the first chunk by the standard.
pub fn size(bytes: &[u8]) -> Result<(u32, u32), String> {
    if bytes.get(12..16) != Some(b"IHDR") {
        return Err("PNG without its header chunk (IHDR)".to_owned());
    }
    let word = |at: usize| bytes.get(at..at + 4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
    word(16).zip(word(20)).ok_or_else(|| "PNG cut within its header".to_owned())
}

/// Decodes the whole file; chunk checksums and the end of the file are checked. The caller has held the size against the limit.
pub fn decode(bytes: &[u8]) -> Result<Rgb, String> {
    let fail = |e: png::DecodingError| format!("PNG: {e}");
    let (width, height) = size(bytes)?;
    let budget = (width as usize * height as usize).saturating_mul(8) + (1 << 20);
    let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), Limits { bytes: budget });
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    decoder.set_transformations(Transformations::EXPAND);
    let mut reader = decoder.read_info().map_err(fail)?;
    if let Some(palette) = reader.info().palette.as_ref().filter(|p| p.len() % 3 != 0) {
        return Err(format!("PNG with a palette of {} bytes, no multiple of 3", palette.len())); // png 0.18 would panic
    }
    let palette_gray = reader.info().color_type == ColorType::Grayscale || reader.info().color_type == ColorType::GrayscaleAlpha;
    let len = reader.output_buffer_size().ok_or("PNG too large")?;
    let mut raw = vec![0; len];
    let frame = reader.next_frame(&mut raw).map_err(fail)?;
    reader.finish().map_err(fail)?;
    raw.truncate(frame.buffer_size());
    let pixels = match (frame.color_type, frame.bit_depth) {
        (ColorType::Rgb, BitDepth::Eight) => raw,
        (ColorType::Rgba, BitDepth::Eight) => raw.as_chunks::<4>().0.iter().flat_map(|p| [p[0], p[1], p[2]]).collect(),
        (ColorType::Grayscale, BitDepth::Eight) => expand_gray(&raw),
        (ColorType::GrayscaleAlpha, BitDepth::Eight) => raw.as_chunks::<2>().0.iter().flat_map(|p| [p[0]; 3]).collect(),
        (ColorType::Rgb, BitDepth::Sixteen) => raw.as_chunks::<6>().0.iter().flat_map(|p| [p[0], p[2], p[4]]).collect(),
        (ColorType::Rgba, BitDepth::Sixteen) => raw.as_chunks::<8>().0.iter().flat_map(|p| [p[0], p[2], p[4]]).collect(),
        // One channel of 16 bits is `I;16` in Pillow, which clips; with an alpha channel it is `LA`, which takes the high byte.
        // EXPAND turns a transparent colour (tRNS) into alpha, so the file's own type decides, not the expanded one.
        (ColorType::Grayscale, BitDepth::Sixteen) => raw.as_chunks::<2>().0.iter().flat_map(|p| [clip16(p[0], p[1]); 3]).collect(),
        (ColorType::GrayscaleAlpha, BitDepth::Sixteen) if reader.info().color_type == ColorType::Grayscale => {
            raw.as_chunks::<4>().0.iter().flat_map(|p| [clip16(p[0], p[1]); 3]).collect()
        }
        (ColorType::GrayscaleAlpha, BitDepth::Sixteen) => raw.as_chunks::<4>().0.iter().flat_map(|p| [p[0]; 3]).collect(),
        (color, depth) => return Err(format!("PNG of type {color:?} {depth:?}")),
    };
    let gray = if palette_gray { flags::WAS_GRAY } else { 0 };
    Ok(Rgb { width: frame.width, height: frame.height, pixels, flags: flags::WAS_PNG | gray })
}

fn clip16(high: u8, low: u8) -> u8 {
    if high == 0 { low } else { 255 }
}
