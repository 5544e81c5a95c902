//! RGB to a baseline JPEG file: the bytes that libjpeg-turbo (and so Pillow's `save`) writes at the same quality and subsampling, on every
//! processor, and the sums of the pixels that they decode to, which are made only where they are wanted.
//!
//! Why an encoder of our own: the shards must not depend on the instructions at hand, a known oracle exists for every byte, and the
//! quantised blocks are there to go on from without decoding the bits again. (ITU-T T.81; arithmetic as libjpeg's.)
//!
//! Files: `forward` pixels to coefficients, `bits` coefficients to codes, `tables` the standard's. Memory: three lines of blocks, and the
//! planes and pixels of the decoder.

mod bits;
mod forward;
#[cfg(target_arch = "x86_64")]
mod forward_avx2;
mod tables;

use super::decode::jpeg::Buffers;
use super::decode::jpeg::idct::{Idct, Plain as PlainIdct};
use super::decode::jpeg::rebuild::Rebuild;
use super::sums::ChannelSums;
use bits::{Codes, Writer};
use forward::{Block, Divisors, Forward, Pair, Plain};

/// An image's file, and what is known of the pixels that it decodes to.
pub struct Encoded {
    pub file: Vec<u8>,
    pub sums: ChannelSums,
    /// All of them, if they were wanted.
    pub pixels: Option<Vec<u8>>,
}

/// What to encode.
#[derive(Clone, Copy)]
pub struct Image<'a> {
    pub pixels: &'a [u8],
    pub width: usize,
    pub height: usize,
    pub quality: u8,
    /// 1 keeps chroma whole (4:4:4), 2 halves both its sides (4:2:0).
    pub across: usize,
    /// Whether the pixels of this file are wanted.
    pub wanted: fn(&[u8]) -> bool,
}

/// Encodes; `simd` false takes the code for the plainest processor, which gives the same.
///
/// # Errors
/// A size that a JPEG file cannot have.
pub fn encode(image: Image<'_>, simd: bool, buffers: &mut Buffers) -> Result<Encoded, String> {
    let side = |n: usize| u16::try_from(n).ok().filter(|&n| n > 0);
    if side(image.width).is_none() || side(image.height).is_none() || image.pixels.len() != image.width * image.height * 3 {
        return Err(format!("JPEG encoder: an image of {}x{}", image.width, image.height));
    }
    #[cfg(target_arch = "x86_64")]
    if simd && let Some(v3) = pulp::x86::V3::try_new() {
        return v3.vectorize(Encoding { image, buffers, forward: v3, idct: v3 });
    }
    let _ = simd;
    pulp::NullaryFnOnce::call(Encoding { image, buffers, forward: Plain, idct: PlainIdct })
}

struct Encoding<'a, F, I> {
    image: Image<'a>,
    buffers: &'a mut Buffers,
    forward: F,
    idct: I,
}

impl<F: Forward, I: Idct> pulp::NullaryFnOnce for Encoding<'_, F, I> {
    type Output = Result<Encoded, String>;

    #[inline(always)]
    fn call(self) -> Self::Output {
        encode_in(self.image, self.buffers, self.forward, self.idct)
    }
}

static LUMA: Codes =
    Codes { dc: tables::codes(&tables::LUMA_DC.0, &tables::LUMA_DC.1), ac: tables::codes(&tables::LUMA_AC.0, &tables::LUMA_AC.1) };
static CHROMA: Codes =
    Codes { dc: tables::codes(&tables::CHROMA_DC.0, &tables::CHROMA_DC.1), ac: tables::codes(&tables::CHROMA_AC.0, &tables::CHROMA_AC.1) };

/// Everything before the coded bits, in libjpeg's order.
fn header(image: Image<'_>, quant: [&[u8; 64]; 2]) -> Vec<u8> {
    let mut out = Vec::with_capacity(image.pixels.len() / 8 + 4096);
    let mut segment = |marker: u8, parts: &[&[u8]]| {
        let len = parts.iter().map(|p| p.len()).sum::<usize>() as u16 + 2;
        out.extend_from_slice(&[0xFF, marker]);
        out.extend_from_slice(&len.to_be_bytes());
        parts.iter().for_each(|part| out.extend_from_slice(part));
    };
    segment(0xE0, &[b"JFIF\0", &[1, 1, 0, 0, 1, 0, 1, 0, 0]]);
    segment(0xDB, &[&[0], quant[0]]);
    segment(0xDB, &[&[1], quant[1]]);
    let (h, w) = ((image.height as u16).to_be_bytes(), (image.width as u16).to_be_bytes());
    let luma = (image.across * 17) as u8;
    segment(0xC0, &[&[8, h[0], h[1], w[0], w[1], 3], &[1, luma, 0, 2, 0x11, 1, 3, 0x11, 1]]);
    segment(0xC4, &[&[0x00], &tables::LUMA_DC.0, &tables::LUMA_DC.1]);
    segment(0xC4, &[&[0x10], &tables::LUMA_AC.0, &tables::LUMA_AC.1]);
    segment(0xC4, &[&[0x01], &tables::CHROMA_DC.0, &tables::CHROMA_DC.1]);
    segment(0xC4, &[&[0x11], &tables::CHROMA_AC.0, &tables::CHROMA_AC.1]);
    segment(0xDA, &[&[3, 1, 0x00, 2, 0x11, 3, 0x11, 0, 63, 0]]);
    out.splice(0..0, [0xFF, 0xD8]);
    out
}

/// Samples of one line of MCUs.
struct Strip {
    /// Bytes in a line of luma and of whole chroma, a multiple of 32.
    stride: usize,
    luma: Vec<u8>,
    /// Of full width, as many lines as luma.
    chroma: [Vec<u8>; 2],
    /// 8 lines of `stride / 2`, when chroma is halved.
    halved: [Vec<u8>; 2],
}

impl Strip {
    fn new(image: Image<'_>) -> Self {
        // Room for the pair of blocks that begins with the last.
        let stride = image.width.next_multiple_of(32) + 32;
        let whole = || vec![0; stride * 8 * image.across];
        let half = || vec![0; stride / 2 * 8];
        Self { stride, luma: whole(), chroma: [whole(), whole()], halved: [half(), half()] }
    }

    /// Fills lines from the image's line `top` on; the last pixel and the last line are repeated beyond its edges.
    #[inline(always)]
    fn fill<F: Forward>(&mut self, image: Image<'_>, top: usize, forward: F) {
        let lines = 8 * image.across;
        let real = lines.min(image.height - top);
        for y in 0..real {
            let rgb = &image.pixels[(top + y) * image.width * 3..][..image.width * 3];
            let at = y * self.stride;
            let line = at..at + self.stride;
            let [cb, cr] = &mut self.chroma;
            convert(rgb, [&mut self.luma[line.clone()], &mut cb[line.clone()], &mut cr[line]], forward);
        }
        for plane in [&mut self.luma].into_iter().chain(if image.across == 1 { Some(&mut self.chroma) } else { None }.into_iter().flatten())
        {
            repeat(plane, self.stride, real, lines);
        }
        if image.across == 2 {
            for (whole, half) in self.chroma.iter_mut().zip(&mut self.halved) {
                // An odd last line is its own neighbour; lines of chroma beyond it repeat it.
                let even = real.next_multiple_of(2);
                repeat(whole, self.stride, real, even);
                for (lines, out) in whole.chunks_exact(2 * self.stride).zip(half.chunks_exact_mut(self.stride / 2)).take(even / 2) {
                    let (above, below) = lines.split_at(self.stride);
                    for ((a, b), o) in above.as_chunks::<32>().0.iter().zip(below.as_chunks::<32>().0).zip(out.as_chunks_mut::<16>().0) {
                        *o = forward.halve(a, b);
                    }
                }
                repeat(half, self.stride / 2, even / 2, 8);
            }
        }
    }
}

/// Copies the last of `real` lines to those up to `lines`.
fn repeat(plane: &mut [u8], stride: usize, real: usize, lines: usize) {
    for y in real..lines {
        plane.copy_within((real - 1) * stride..real * stride, y * stride);
    }
}

/// One line of pixels to three of samples, the last pixel repeated to their end.
#[inline(always)]
fn convert<F: Forward>(rgb: &[u8], out: [&mut [u8]; 3], forward: F) {
    let [luma, cb, cr] = out;
    let (whole, rest) = rgb.as_chunks::<48>();
    let mut write = |i: usize, samples: [[u8; 16]; 3]| {
        luma[16 * i..16 * i + 16].copy_from_slice(&samples[0]);
        cb[16 * i..16 * i + 16].copy_from_slice(&samples[1]);
        cr[16 * i..16 * i + 16].copy_from_slice(&samples[2]);
    };
    for (i, pixels) in whole.iter().enumerate() {
        write(i, forward.ycc(pixels));
    }
    let mut pixels = [0; 48];
    pixels[..rest.len()].copy_from_slice(rest);
    let width = rgb.len() / 3;
    if !rest.is_empty() {
        write(whole.len(), forward.ycc(&pixels));
    }
    for plane in [luma, cb, cr] {
        let last = plane[width - 1];
        plane[width..].fill(last);
    }
}

/// Two blocks of a plane beginning at its sample `at`.
#[inline(always)]
fn beside(plane: &[u8], stride: usize, at: usize) -> Pair {
    let mut pair = [[0; 16]; 8];
    for (y, line) in pair.iter_mut().enumerate() {
        if let Some(samples) = plane.get(at + y * stride..).and_then(<[u8]>::first_chunk) {
            *line = *samples;
        }
    }
    pair
}

/// One block of each of two planes.
#[inline(always)]
fn both([cb, cr]: &[Vec<u8>; 2], stride: usize, at: usize) -> Pair {
    let mut pair = [[0; 16]; 8];
    for (y, line) in pair.iter_mut().enumerate() {
        line[..8].copy_from_slice(&cb[at + y * stride..][..8]);
        line[8..].copy_from_slice(&cr[at + y * stride..][..8]);
    }
    pair
}

/// Units that are taken from pixels to codes together; an even number.
const UNITS: usize = 8;

/// Blocks of a unit, at most.
const BLOCKS: usize = 6;

/// A block on its way.
#[derive(Clone, Copy)]
struct Held {
    block: Block,
    /// Its nonzero coefficients.
    bits: u64,
    component: usize,
    /// In blocks of the component; `None`: holds no pixels, only fills a unit.
    at: Option<(usize, usize)>,
}

#[inline(always)]
fn encode_in<F: Forward, I: Idct>(image: Image<'_>, buffers: &mut Buffers, forward: F, idct: I) -> Result<Encoded, String> {
    let across = image.across;
    let quant = [tables::scaled(&tables::LUMA_QUANT, image.quality), tables::scaled(&tables::CHROMA_QUANT, image.quality)];
    let divisors = [Divisors::new(&quant[0]), Divisors::new(&quant[1])];
    let mut rebuild = Rebuild::new((image.width, image.height), across, buffers)?;
    let mut writer = Writer::new(header(image, [&quant[0], &quant[1]]), UNITS * BLOCKS);
    let mut strip = Strip::new(image);
    let mut before = [0; 3];
    let mut held = [Held { block: [0; 64], bits: 0, component: 0, at: None }; UNITS * BLOCKS];
    let (units, lines) = (image.width.div_ceil(8 * across), image.height.div_ceil(8 * across));
    for y in 0..lines {
        strip.fill(image, y * 8 * across, forward);
        for first in (0..units).step_by(UNITS) {
            // Each step for all blocks before the next: what one writes in pieces the other loads as a whole, some time later.
            let count = transform(&strip, image, (first..units.min(first + UNITS), y), &divisors, forward, &mut held);
            for block in &mut held[..count] {
                let (codes, before) = (if block.component == 0 { &LUMA } else { &CHROMA }, &mut before[block.component]);
                if block.at.is_none() {
                    // Flat, of the DC before it.
                    (block.block, block.bits) = ([0; 64], 0);
                    block.block[0] = *before as i16;
                }
                *before = writer.block(&block.block, block.bits, *before, codes).ok_or("JPEG encoder: no room for a block")?;
            }
            writer.flush();
            for block in &held[..count] {
                if let Some(at) = block.at {
                    let quant = &divisors[block.component.min(1)].quant;
                    rebuild.block(block.component, at, (&block.block, block.bits), quant, idct);
                }
            }
        }
    }
    let mut file = writer.finish();
    file.extend_from_slice(&[0xFF, 0xD9]);
    let sums = rebuild.sums(buffers, idct);
    let pixels = (image.wanted)(&file).then(|| rebuild.pixels(buffers));
    rebuild.recycle(buffers);
    Ok(Encoded { file, sums, pixels })
}

/// The blocks of units `range.0` of line `range.1`, in the order of the file; returns how many.
#[inline(always)]
fn transform<F: Forward>(
    strip: &Strip,
    image: Image<'_>,
    (xs, y): (std::ops::Range<usize>, usize),
    divisors: &[Divisors; 2],
    forward: F,
    held: &mut [Held; UNITS * BLOCKS],
) -> usize {
    let across = image.across;
    // Blocks of luma that hold pixels.
    let (blocks_w, blocks_h) = (image.width.div_ceil(8), image.height.div_ceil(8));
    let mut count = 0;
    let mut push = |component, at, (block, bits): (Block, u64)| {
        if let Some(place) = held.get_mut(count) {
            *place = Held { block, bits, component, at };
            count += 1;
        }
    };
    let mut luma = [([0; 64], 0); 2];
    for x in xs {
        for v in 0..across {
            let real_line = y * across + v < blocks_h;
            // With whole chroma a pair serves two units.
            if real_line && (across == 2 || x % 2 == 0) {
                luma = forward.pair(&beside(&strip.luma, strip.stride, v * 8 * strip.stride + x * 8 * across), &divisors[0]);
            }
            for u in 0..across {
                let at = (x * across + u, y * across + v);
                push(0, (real_line && at.0 < blocks_w).then_some(at), luma[if across == 2 { u } else { x % 2 }]);
            }
        }
        let (planes, stride) = if across == 2 { (&strip.halved, strip.stride / 2) } else { (&strip.chroma, strip.stride) };
        let [cb, cr] = forward.pair(&both(planes, stride, x * 8), &divisors[1]);
        push(1, Some((x, y)), cb);
        push(2, Some((x, y)), cr);
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::decode::decode;
    use crate::rng::{Purpose, Stream};

    /// Images of every size about a block, smooth and hostile: the same file without vectors, and the pixels that it decodes to.
    #[test]
    fn files_do_not_depend_on_simd_and_decode_to_the_pixels() {
        let mut s = Stream::new(6, Purpose::Test, 0, 0);
        let mut buffers = Buffers::default();
        for round in 0..400 {
            let (width, height) = (1 + s.below(70) as usize, 1 + s.below(50) as usize);
            let step = 1 + s.below(60) as usize;
            let pixels: Vec<u8> = match round % 3 {
                0 => (0..width * height * 3).map(|_| s.below(256) as u8).collect(),
                1 => (0..width * height * 3).map(|_| 255 * s.below(2) as u8).collect(),
                _ => (0..width * height * 3).map(|i| (i / 3 % width * step / 8 + i / 3 / width + i % 3 * 40) as u8).collect(),
            };
            let quality = 1 + s.below(100) as u8;
            let image = Image { pixels: &pixels, width, height, quality, across: 1 + round % 2, wanted: |_| true };
            let made = encode(image, true, &mut buffers).unwrap();
            let plain = encode(image, false, &mut Buffers::default()).unwrap();
            assert!(made.file == plain.file && made.pixels == plain.pixels, "{width}x{height}");
            let pixels = made.pixels.unwrap();
            assert!(decode(&made.file, 1 << 20).unwrap().pixels == pixels, "{width}x{height} at {quality}");
            let sums = ChannelSums::of(&pixels);
            assert!(made.sums == sums && plain.sums == sums, "{width}x{height}");
            buffers.rgb = pixels;
        }
    }
}
