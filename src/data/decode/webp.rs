//! WebP to RGB as libwebp (and so Pillow) decodes it: lossy and lossless, alpha dropped, of an animation the first frame on a black canvas.
//!
//! The container is read here: only the chunks of the first image reach the `image-webp` crate, as a file of their own, so that no other
//! chunk (EXIF, ICCP, later frames) can refuse an image. All chunks must lie within the file, as libwebp's demuxer asks.
//! (RFC 9649.)

use super::{Rgb, flags};
use image_webp::{UpsamplingMethod, WebPDecodeOptions, WebPDecoder};
use std::io::Cursor;

/// A chunk: its type and its content.
type Chunk<'a> = ([u8; 4], &'a [u8]);

/// The first image of a file, and where it lies on the canvas.
struct Image<'a> {
    canvas: (u32, u32),
    at: (u32, u32),
    size: (u32, u32),
    /// `VP8 ` or `VP8L`.
    coded: Chunk<'a>,
    alpha: Option<&'a [u8]>,
}

const CUT: &str = "WebP cut short: a chunk reaches beyond the end of the file";

/// Takes the next chunk off `rest`; `None` at the end. A chunk of odd length has a byte of padding, also the last one.
fn next_chunk<'a>(rest: &mut &'a [u8]) -> Result<Option<Chunk<'a>>, String> {
    if rest.is_empty() {
        return Ok(None);
    }
    let ([name @ .., l0, l1, l2, l3], after) = rest.split_first_chunk::<8>().ok_or(CUT)?;
    let len = u32::from_le_bytes([*l0, *l1, *l2, *l3]) as usize;
    *rest = after.get(len + len % 2..).ok_or(CUT)?;
    let content = &after[..len];
    Ok(Some((*name, content)))
}

/// The chunks between the RIFF header and the end that it names.
fn body(bytes: &[u8]) -> Result<&[u8], String> {
    let len = bytes.get(4..8).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize).ok_or(CUT)?;
    bytes.get(8..8 + len).and_then(|riff| riff.get(4..)).ok_or_else(|| CUT.to_owned())
}

/// A little-endian number of 3 bytes.
fn u24(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 3).map(|b| u32::from_le_bytes([b[0], b[1], b[2], 0]))
}

/// Width and height that a `VP8 ` or `VP8L` chunk says.
fn coded_size((name, content): Chunk<'_>) -> Result<(u32, u32), String> {
    let bad = || "WebP with a damaged image header".to_owned();
    if name == *b"VP8L" {
        let [0x2F, b0, b1, b2, b3, ..] = *content else { return Err(bad()) };
        let bits = u32::from_le_bytes([b0, b1, b2, b3]);
        return Ok(((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1));
    }
    let [tag, _, _, 0x9D, 0x01, 0x2A, w0, w1, h0, h1, ..] = *content else { return Err(bad()) };
    let side = |low, high| u32::from(u16::from_le_bytes([low, high]) & 0x3FFF);
    if tag & 1 == 0 { Ok((side(w0, w1), side(h0, h1))) } else { Err(bad()) }
}

/// An image as it is coded, and its alpha if that is a chunk of its own.
type Coded<'a> = (Chunk<'a>, Option<&'a [u8]>);

/// The image among `rest`, with the alpha before it.
fn coded(mut rest: &[u8]) -> Result<Option<Coded<'_>>, String> {
    let mut alpha = None;
    while let Some((name, content)) = next_chunk(&mut rest)? {
        match &name {
            b"ALPH" => alpha = Some(content),
            b"VP8 " => return Ok(Some(((name, content), alpha))),
            b"VP8L" => return Ok(Some(((name, content), None))),
            _ => {}
        }
    }
    Ok(None)
}

impl<'a> Image<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, String> {
        const ANIMATED: u8 = 2;
        let none = || "WebP without an image".to_owned();
        let whole = body(bytes)?;
        let mut rest = whole;
        let first = next_chunk(&mut rest)?.ok_or_else(none)?;
        let (name, header) = first;
        if name != *b"VP8X" {
            let size = coded_size(first)?;
            return Ok(Self { canvas: size, at: (0, 0), size, coded: first, alpha: None });
        }
        let (Some(&bits), Some(w), Some(h)) = (header.first(), u24(header, 4), u24(header, 7)) else {
            return Err("WebP with a damaged header (VP8X)".to_owned());
        };
        let canvas = (w + 1, h + 1);
        // Every chunk, so that a file cut in a later frame is known as such.
        let (mut frame, mut chunks) = (None, rest);
        while let Some((name, content)) = next_chunk(&mut chunks)? {
            if name == *b"ANMF" && frame.is_none() {
                frame = Some(content);
            }
        }
        let (at, parts) = if bits & ANIMATED != 0 {
            let frame = frame.ok_or_else(none)?;
            let field = |at| u24(frame, at).ok_or_else(|| "WebP with a damaged frame (ANMF)".to_owned());
            ((field(0)? * 2, field(3)? * 2), frame.get(16..).ok_or(CUT)?)
        } else {
            ((0, 0), rest)
        };
        let (coded, alpha) = coded(parts)?.ok_or_else(none)?;
        let size = coded_size(coded)?;
        let still = bits & ANIMATED == 0;
        if still && size != canvas || at.0 + size.0 > canvas.0 || at.1 + size.1 > canvas.1 {
            return Err(format!("WebP whose image of {}x{} does not fit its header", size.0, size.1));
        }
        Ok(Self { canvas, at, size, coded, alpha })
    }

    /// The image as a WebP file of its own.
    fn file(&self) -> Vec<u8> {
        let mut out = b"RIFF\0\0\0\0WEBP".to_vec();
        let mut chunk = |name: &[u8; 4], content: &[u8]| {
            out.extend_from_slice(name);
            out.extend_from_slice(&(content.len() as u32).to_le_bytes());
            out.extend_from_slice(content);
            out.resize(out.len().next_multiple_of(2), 0);
        };
        if let Some(alpha) = self.alpha {
            let side = |n: u32| n.saturating_sub(1).to_le_bytes();
            let ([w0, w1, w2, _], [h0, h1, h2, _]) = (side(self.size.0), side(self.size.1));
            chunk(b"VP8X", &[0x10, 0, 0, 0, w0, w1, w2, h0, h1, h2]);
            chunk(b"ALPH", alpha);
        }
        chunk(&self.coded.0, self.coded.1);
        let len = (out.len() - 8) as u32;
        out[4..8].copy_from_slice(&len.to_le_bytes());
        out
    }
}

/// Width and height of the canvas.
pub fn size(bytes: &[u8]) -> Result<(u32, u32), String> {
    Image::read(bytes).map(|image| image.canvas)
}

/// Decodes the first image. The caller has held the size against the limit.
pub fn decode(bytes: &[u8]) -> Result<Rgb, String> {
    let fail = |e: image_webp::DecodingError| format!("WebP: {e}");
    let image = Image::read(bytes)?;
    let mut options = WebPDecodeOptions::default();
    options.lossy_upsampling = UpsamplingMethod::Bilinear;
    let mut decoder = WebPDecoder::new_with_options(Cursor::new(image.file()), options).map_err(fail)?;
    if decoder.dimensions() != image.size {
        return Err("WebP with a damaged image header".to_owned());
    }
    let (width, height) = (image.size.0 as usize, image.size.1 as usize);
    let channels = if decoder.has_alpha() { 4 } else { 3 };
    let mut pixels = vec![0; width * height * channels];
    decoder.read_image(&mut pixels).map_err(fail)?;
    if channels == 4 {
        pixels = pixels.as_chunks::<4>().0.iter().flat_map(|p| [p[0], p[1], p[2]]).collect();
    }
    let (wide, high) = (image.canvas.0 as usize, image.canvas.1 as usize);
    if image.canvas != image.size {
        let mut canvas = vec![0; wide * high * 3];
        let rows = canvas.chunks_exact_mut(wide * 3).skip(image.at.1 as usize);
        for (row, line) in rows.zip(pixels.chunks_exact(width * 3)) {
            row[image.at.0 as usize * 3..][..width * 3].copy_from_slice(line);
        }
        pixels = canvas;
    }
    Ok(Rgb { width: image.canvas.0, height: image.canvas.1, pixels, flags: flags::WAS_WEBP })
}
