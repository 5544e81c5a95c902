//! JPEG to RGB, bit for bit as libjpeg-turbo (and so Pillow and torchvision) decodes it: baseline, extended and progressive, Huffman and
//! arithmetic coding, 8 bits, 1, 3 or 4 components; whole, or the pixels of a crop alone.
//!
//! Why a decoder of our own: maintained Rust decoders round the inverse DCT and the chroma differently, up to 6 levels from what every
//! published training run has seen, and fill in what is missing in a damaged file. This one takes libjpeg's integer arithmetic, refuses
//! what libjpeg refuses, and also an image that libjpeg completes with a warning: whose codes run past its data, or whose restart or end
//! marker is missing.
//!
//! Files: `headers` and `tables` the segments, `frame` components and what of them is wanted, `entropy` bits and codes, `scan`,
//! `pairs`, `progressive` and `arithmetic` coefficients, `smooth` those that are missing, `idct` samples, `output` enlarged chroma,
//! `colours` RGB.
//! [`Layout`] reads sizes from the header alone, before memory is taken.
//!
//! Memory: 6 bytes a pixel (planes and RGB), 7 with four components; images of several scans up to 7, and 9 with four, as each plane
//! takes the place of coefficients of 2 bytes. So the limit of pixels is one of bytes.

mod arithmetic;
mod colours;
#[cfg(target_arch = "x86_64")]
mod colours_avx2;
mod entropy;
mod exif;
mod frame;
mod headers;
pub mod idct;
#[cfg(target_arch = "x86_64")]
mod idct_avx2;
mod output;
mod pairs;
mod progressive;
pub mod rebuild;
mod scan;
mod sequential;
mod smooth;
mod tables;

use super::{Rgb, flags};
use entropy::{Fault, Segments};
pub use frame::Rect;
use frame::{Coding, Frame};
use idct::{Idct, Plain};
use output::Space;
use tables::Tables;

/// What the markers before the first scan say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    pub width: u16,
    pub height: u16,
    components: u8,
    flags: u8,
    /// Byte offset of the first SOS marker.
    scan: usize,
}

const SOS: u8 = 0xDA;
const EOI: u8 = 0xD9;

/// The next marker at or after `at`: its code and the offset past it. Fill bytes (FF FF) are legal.
fn marker(bytes: &[u8], mut at: usize) -> Option<(u8, usize)> {
    at += memchr::memchr(0xFF, bytes.get(at..)?)?;
    while *bytes.get(at)? == 0xFF {
        at += 1;
    }
    Some((bytes[at], at + 1))
}

/// The segment whose length field is at `at`: its payload and the offset past it. A length below 2 counts as 2.
fn segment(bytes: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let len = usize::from(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
    let end = at + len.max(2);
    Some((bytes.get(at + 2..end)?, end))
}

impl Layout {
    /// Bytes that a pixel takes at most while it is decoded (see above).
    pub const fn bytes_per_pixel(&self) -> u64 {
        if self.components > 3 { 9 } else { 7 }
    }

    /// Reads the markers up to the first scan.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let cut = || "JPEG cut within its header".to_owned();
        let mut layout = Self::default();
        let mut exif = Vec::new();
        let mut at = 2;
        loop {
            let (code, after) = marker(bytes, at).ok_or_else(cut)?;
            match code {
                // Stand-alone: TEM, RSTn, SOI; and a stuffed zero, garbage between segments that decoders step over.
                0 | 1 | 0xD0..=0xD8 => {
                    at = after;
                    continue;
                }
                EOI => return Err("JPEG without an image (EOI before the first scan)".to_owned()),
                SOS if layout.components == 0 => return Err("JPEG without a frame header (SOF)".to_owned()),
                SOS => {
                    layout.scan = after - 2;
                    if !exif.is_empty() {
                        layout.flags = exif_flags(&exif);
                    }
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
                // A block may go on in the next segment.
                0xE1 if payload.starts_with(b"Exif\0\0") => exif.extend_from_slice(if exif.is_empty() { payload } else { &payload[6..] }),
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

/// Of a block with its `Exif\0\0`.
fn exif_flags(block: &[u8]) -> u8 {
    let exif = exif::read(&block[6..]);
    let rotated = if exif.orientation.is_some_and(|o| o > 1) { flags::EXIF_ROTATED } else { 0 };
    rotated | if exif.broken { flags::EXIF_BROKEN } else { 0 }
}

/// Memory that one picture after the other is decoded in.
#[derive(Default)]
pub struct Buffers {
    planes: [Vec<u8>; 4],
    lines: [Vec<u8>; 4],
    coded: Segments,
    /// Of the finished picture. Whoever has used it up may put it back.
    pub rgb: Vec<u8>,
}

impl Buffers {
    /// Gives memory back that only a huge picture needs.
    pub fn shrink(&mut self) {
        const KEPT: usize = 8 << 20;
        self.coded.shrink(KEPT);
        for buffer in self.planes.iter_mut().chain(&mut self.lines).chain([&mut self.rgb]) {
            buffer.truncate(KEPT);
            buffer.shrink_to(KEPT);
        }
    }
}

/// The memory of `buffer` as `len` bytes. Those that it held before are still there: writing zeros would cost more than some decoding.
fn sized(buffer: &mut Vec<u8>, len: usize) -> Vec<u8> {
    let mut bytes = std::mem::take(buffer);
    if bytes.capacity() < len {
        return vec![0; len]; // by the operating system, and only where it is touched
    }
    bytes.truncate(len);
    bytes.resize(len, 0);
    bytes
}

/// Decodes the image. `simd` false takes the same code as the compiler makes it for the plainest processor; the pixels are the same.
pub fn decode(bytes: &[u8], simd: bool, buffers: &mut Buffers) -> Result<Rgb, String> {
    let layout = Layout::read(bytes)?;
    layout.check_end(bytes)?;
    let mut pixels = Vec::new();
    let space = widest(bytes, simd, buffers, Want::All(&mut pixels)).map_err(|e| format!("JPEG: {e}"))?;
    let kind = match space {
        Space::Gray => flags::WAS_GRAY,
        Space::Cmyk | Space::Ycck => flags::WAS_CMYK,
        Space::Rgb | Space::YCbCr => 0,
    };
    Ok(Rgb { width: layout.width.into(), height: layout.height.into(), pixels, flags: layout.flags | kind })
}

/// Decodes the pixels of `rect` alone into `out`: those that [`decode`] gives there. What comes after the last row that they need is not
/// looked at, so this is for bytes that are known to be whole, by a checksum.
pub fn decode_region(bytes: &[u8], rect: Rect, simd: bool, buffers: &mut Buffers, out: &mut [u8]) -> Result<(), String> {
    widest(bytes, simd, buffers, Want::Only(rect, out)).map(drop).map_err(|e| format!("JPEG: {e}"))
}

/// What is to be decoded, and where to.
enum Want<'a> {
    All(&'a mut Vec<u8>),
    Only(Rect, &'a mut [u8]),
}

/// [`pixels`] with the instructions that the processor at hand has.
fn widest(bytes: &[u8], simd: bool, buffers: &mut Buffers, want: Want<'_>) -> Result<Space, Fault> {
    #[cfg(target_arch = "x86_64")]
    if simd && let Some(v3) = pulp::x86::V3::try_new() {
        return pixels(bytes, buffers, v3, want);
    }
    let _ = simd;
    pixels(bytes, buffers, Plain, want)
}

/// Planes, then colours.
fn pixels<I: Idct>(bytes: &[u8], buffers: &mut Buffers, idct: I, want: Want<'_>) -> Result<Space, Fault> {
    let rect = if let Want::Only(rect, _) = &want { Some(*rect) } else { None };
    let (frame, space) = planes(bytes, buffers, idct, rect)?;
    let len = frame.want.width * frame.want.height * 3;
    let out: &mut [u8] = match want {
        Want::All(pixels) => {
            *pixels = sized(&mut buffers.rgb, len);
            pixels
        }
        Want::Only(_, out) => out.get_mut(..len).ok_or("no room for the pixels of the crop")?,
    };
    idct.run(output::ToRgb { frame: &frame, space, lines: &mut buffers.lines, out, colours: idct });
    frame.recycle(buffers);
    Ok(space)
}

/// More scans than any encoder writes mean a file made to waste time.
const MAX_SCANS: usize = 200;

/// Walks the file: tables, frame, scans. `want` None: the whole image, and the file to its end.
fn planes<I: Idct>(bytes: &[u8], buffers: &mut Buffers, idct: I, want: Option<Rect>) -> Result<(Frame, Space), Fault> {
    const CUT: Fault = "a segment is cut";
    let mut tables = Tables::default();
    let mut frame: Option<Frame> = None;
    let (mut marks, mut space) = (headers::Marks::default(), None);
    let (mut at, mut scans) = (2, 0);
    while let Some((code, after)) = marker(bytes, at) {
        at = after;
        match code {
            EOI => break,
            0 | 1 | 0xD0..=0xD7 => continue,
            0xD8 => return Err("a second start of an image (SOI) within it"),
            2..0xC0 | 0xDE | 0xDF | 0xF0..=0xFD => return Err("a marker that is reserved"),
            _ => {}
        }
        let (payload, end) = segment(bytes, after).ok_or(CUT)?;
        at = end;
        if bytes[after] == 0 && bytes[after + 1] < 2 && matches!(code, 0xC4 | 0xCC | 0xDB) {
            return Err("a segment whose length is below 2");
        }
        match code {
            0xC0..=0xC2 | 0xC9 | 0xCA => {
                if frame.is_some() {
                    return Err("two frame headers");
                }
                let (size, parts) = headers::frame(payload)?;
                let coding = Coding { progressive: code & 7 == 2, arithmetic: code > 0xC8 };
                frame = Some(Frame::new(size, coding, &parts, want)?);
            }
            0xC3 | 0xCB => return Err("lossless coding is not supported"),
            0xC5..=0xC7 | 0xCD..=0xCF => return Err("hierarchical coding is not supported"),
            0xC8 => return Err("a frame of a reserved kind (JPG)"),
            0xC4 => headers::huffman(payload, &mut tables)?,
            0xCC => headers::conditioning(payload, &mut tables)?,
            0xDB => headers::quantisation(payload, &mut tables)?,
            0xDD => {
                let &[a, b] = payload else { return Err("a restart interval (DRI) of other than two bytes") };
                tables.restart_interval = u16::from_be_bytes([a, b]).into();
            }
            SOS => {
                let frame = frame.as_mut().ok_or("a scan before the frame header")?;
                let header = headers::scan(payload, frame.coding, &frame.components)?;
                if scans == 0 {
                    // Before memory is taken: a few bytes cannot hold a huge image.
                    if frame.least_bytes() > bytes.len() {
                        return Err("the file is too short for the size that its header says");
                    }
                    frame.begin(header.parts.len(), buffers);
                    space = Some(marks.space(&frame.components));
                    if frame.coding == (Coding { progressive: false, arithmetic: false }) {
                        tables.complete();
                    }
                } else if !frame.several {
                    return Err("a second scan after one of all components");
                }
                scans += 1;
                if scans > MAX_SCANS {
                    return Err("too many scans");
                }
                buffers.coded.read(bytes, end, tables.restart_interval > 0);
                frame.scan(&header, &tables, &buffers.coded, idct)?;
                at = buffers.coded.position();
                if want.is_some() && !frame.several {
                    break;
                }
            }
            _ => marks.read(code, payload),
        }
    }
    let mut frame = frame.ok_or("no frame header")?;
    frame.finish(idct);
    Ok((frame, space.ok_or("no scan")?))
}
