//! JPEG to RGB, bit for bit as libjpeg-turbo (and so Pillow and torchvision) decodes it: baseline, extended and progressive Huffman
//! coding, 8 bits, 1, 3 or 4 components.
//!
//! Why a decoder of our own: maintained Rust decoders round the inverse DCT and the chroma differently, up to 6 levels from what every
//! published training run has seen, and fill in what is missing in a damaged file. This one takes libjpeg's integer arithmetic, and
//! refuses a picture whose codes run past its data, whose restart or end marker is missing, or whose tables make no sense.
//!
//! Files: `entropy` bits and codes, `scan` and `progressive` coefficients, `idct` samples, `output` enlarged chroma and colours.
//! [`Layout`] reads sizes from the header alone, before memory is taken.
//!
//! Memory: 6 bytes a pixel (planes and RGB), 7 with four components; progressive ones up to 7, and 9 with four, as each plane takes the
//! place of coefficients of 2 bytes. So the limit of pixels is one of bytes.

mod entropy;
mod exif;
pub mod idct;
#[cfg(target_arch = "x86_64")]
mod idct_avx2;
mod output;
mod progressive;
pub mod rebuild;
mod scan;

use super::{Rgb, flags};
use entropy::{Fault, Huffman, Segments};
use idct::{Idct, Plain};
use output::Space;
use scan::{Frame, ScanHeader, Tables};

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
                EOI => return Err("JPEG without a picture (EOI before the first scan)".to_owned()),
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

/// Decodes the picture. `simd` false takes the same code as the compiler makes it for the plainest processor; the pixels are the same.
pub fn decode(bytes: &[u8], simd: bool, buffers: &mut Buffers) -> Result<Rgb, String> {
    let layout = Layout::read(bytes)?;
    layout.check_end(bytes)?;
    let (pixels, space) = widest(bytes, simd, buffers).map_err(|e| format!("JPEG: {e}"))?;
    let kind = match space {
        Space::Gray => flags::WAS_GRAY,
        Space::Cmyk | Space::Ycck => flags::WAS_CMYK,
        Space::Rgb | Space::YCbCr => 0,
    };
    Ok(Rgb { width: layout.width.into(), height: layout.height.into(), pixels, flags: layout.flags | kind })
}

type Pixels = Result<(Vec<u8>, Space), Fault>;

/// [`pixels`] with the instructions that the processor at hand has.
fn widest(bytes: &[u8], simd: bool, buffers: &mut Buffers) -> Pixels {
    #[cfg(target_arch = "x86_64")]
    if simd && let Some(v3) = pulp::x86::V3::try_new() {
        return pixels(bytes, buffers, v3);
    }
    let _ = simd;
    pixels(bytes, buffers, Plain)
}

/// More scans than any encoder writes mean a file made to waste time.
const MAX_SCANS: usize = 200;

/// Walks the file: tables, frame, scans.
fn pixels<I: Idct>(bytes: &[u8], buffers: &mut Buffers, idct: I) -> Pixels {
    const CUT: Fault = "a segment is cut";
    let mut tables = Tables::default();
    let mut frame: Option<Frame> = None;
    let (mut jfif, mut adobe) = (false, None);
    let (mut at, mut scans) = (2, 0);
    while let Some((code, after)) = marker(bytes, at) {
        match code {
            0 | 1 | 0xD0..=0xD8 => {
                at = after;
                continue;
            }
            EOI => break,
            _ => {}
        }
        let (payload, end) = segment(bytes, after).ok_or(CUT)?;
        at = end;
        match code {
            0xC0..=0xC2 if frame.is_some() => return Err("two frame headers"),
            0xC0..=0xC2 => frame = Some(read_frame(payload, code == 0xC2, bytes.len(), buffers)?),
            0xC4 => read_huffman(payload, &mut tables)?,
            0xC3 | 0xC5..=0xCF => return Err("lossless, hierarchical or arithmetic coding is not supported"),
            0xDB => read_quant(payload, &mut tables)?,
            0xDD => tables.restart_interval = usize::from(u16::from_be_bytes(*payload.first_chunk().ok_or(CUT)?)),
            0xE0 if payload.starts_with(b"JFIF\0") => jfif = true,
            0xEE if payload.starts_with(b"Adobe") => adobe = payload.get(11).copied(),
            SOS => {
                scans += 1;
                if scans > MAX_SCANS {
                    return Err("too many scans");
                }
                let frame = frame.as_mut().ok_or("a scan before the frame header")?;
                let header = read_scan(payload, frame)?;
                buffers.coded.read(bytes, end, tables.restart_interval > 0);
                frame.scan(&header, &tables, &buffers.coded, idct)?;
                at = buffers.coded.position();
            }
            _ => {}
        }
    }
    let mut frame = frame.ok_or("no frame header")?;
    frame.finish(idct)?;
    let ids: Vec<u8> = frame.components.iter().map(|c| c.id).collect();
    // As libjpeg guesses.
    let space = match (ids.len(), adobe) {
        (1, _) => Space::Gray,
        (3, _) if jfif => Space::YCbCr,
        (3, Some(0)) => Space::Rgb,
        (3, None) if ids == *b"RGB" => Space::Rgb,
        (3, _) => Space::YCbCr,
        (4, None | Some(0)) => Space::Cmyk,
        (4, _) => Space::Ycck,
        _ => return Err("neither 1, 3 nor 4 components"),
    };
    let mut rgb = sized(&mut buffers.rgb, frame.width * frame.height * 3);
    idct.run(output::ToRgb { frame: &frame, space, lines: &mut buffers.lines, out: &mut rgb });
    frame.recycle(buffers);
    Ok((rgb, space))
}

fn read_frame(payload: &[u8], progressive: bool, file: usize, buffers: &mut Buffers) -> Result<Frame, Fault> {
    let [precision, h0, h1, w0, w1, n, ..] = *payload else { return Err("a frame header is cut") };
    if precision != 8 {
        return Err("samples of other than 8 bits are not supported");
    }
    let parts = payload.get(6..6 + 3 * usize::from(n)).ok_or("a frame header is cut")?;
    let parts: Vec<_> =
        parts.as_chunks::<3>().0.iter().map(|&[id, hv, q]| (id, usize::from(hv >> 4), usize::from(hv & 15), q.into())).collect();
    if parts.is_empty() || parts.len() > 4 {
        return Err("neither 1, 3 nor 4 components");
    }
    let size = (u16::from_be_bytes([w0, w1]).into(), u16::from_be_bytes([h0, h1]).into());
    // Before memory is taken: a few bytes cannot hold a huge picture.
    if Frame::least_bytes(size.0, size.1, &parts) > file {
        return Err("the file is too short for the size that its header says");
    }
    Frame::new(size, progressive, &parts, buffers)
}

fn read_huffman(mut payload: &[u8], tables: &mut Tables) -> Result<(), Fault> {
    while let [kind, rest @ ..] = payload {
        let counts: &[u8; 16] = rest.first_chunk().ok_or("a Huffman table is cut")?;
        let n = counts.iter().map(|&c| usize::from(c)).sum::<usize>();
        let symbols = rest.get(16..16 + n).ok_or("a Huffman table is cut")?;
        let table = Huffman::new(counts, symbols)?;
        let group = if kind >> 4 == 0 { &mut tables.dc } else { &mut tables.ac };
        *group.get_mut(usize::from(kind & 15)).ok_or("a Huffman table above number 3")? = Some(table);
        payload = &rest[16 + n..];
    }
    Ok(())
}

fn read_quant(mut payload: &[u8], tables: &mut Tables) -> Result<(), Fault> {
    while let [kind, rest @ ..] = payload {
        let wide = kind >> 4 != 0;
        let len = if wide { 128 } else { 64 };
        let values = rest.get(..len).ok_or("a quantisation table is cut")?;
        let mut table = [0; 64];
        for (k, &natural) in scan::ZIGZAG.iter().enumerate() {
            let value = if wide { u16::from_be_bytes([values[2 * k], values[2 * k + 1]]).into() } else { i32::from(values[k]) };
            table[usize::from(natural)] = value;
        }
        *tables.quant.get_mut(usize::from(kind & 15)).ok_or("a quantisation table above number 3")? = Some(table);
        payload = &rest[len..];
    }
    Ok(())
}

fn read_scan(payload: &[u8], frame: &Frame) -> Result<ScanHeader, Fault> {
    const BAD: Fault = "a scan header that makes no sense";
    let (&n, rest) = payload.split_first().ok_or(BAD)?;
    let n = usize::from(n);
    let (parts, tail) = rest.split_at_checked(2 * n).ok_or(BAD)?;
    let [first, last, approximation, ..] = *tail else { return Err(BAD) };
    let find = |&[id, tables]: &[u8; 2]| {
        let component = frame.components.iter().position(|c| c.id == id).ok_or(BAD)?;
        let (dc, ac) = (usize::from(tables >> 4), usize::from(tables & 15));
        if dc > 3 || ac > 3 { Err(BAD) } else { Ok((component, dc, ac)) }
    };
    let parts: Vec<_> = parts.as_chunks::<2>().0.iter().map(find).collect::<Result<_, _>>()?;
    let twice = (1..parts.len()).any(|i| parts[..i].iter().any(|p| p.0 == parts[i].0));
    let (first, last) = (usize::from(first), usize::from(last));
    let (high, low) = (u32::from(approximation >> 4), u32::from(approximation & 15));
    if parts.is_empty() || twice {
        return Err(BAD);
    }
    let spectral = first == 0 && last == 0 || first >= 1 && first <= last && last <= 63 && parts.len() == 1;
    if frame.progressive && (!spectral || low > 13 || high > 13) {
        return Err(BAD);
    }
    Ok(ScanHeader { parts, first, last, high, low })
}
