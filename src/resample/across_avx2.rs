//! The pass along rows in AVX2 instructions, to the same bits: four rows at once, two neighbouring pixels a multiplication.
//!
//! `pmaddwd` multiplies 16-bit numbers and adds neighbours in 32 bits. A weight of 24 bits is cut into `high * 2^11 + low`, both of which
//! fit 16 bits; sums of both are kept and put together at the end. All of it is arithmetic modulo 2^32, whose end result fits.

use super::Image;
use super::across::Spare;
use super::taps::{BITS, HALF, Taps};
use bytemuck::cast;
use pulp::x86::V3;
use std::arch::x86_64::__m256i;

/// Bits of the low part.
const LOW: i32 = 11;
/// Bytes that a load takes: four pixels, and four bytes more.
const LOAD: usize = 16;
/// Two neighbouring pixels of a load as three pairs of 16-bit numbers, one a channel; the same for both halves of a register.
const FIRST: [u8; 16] = [0, 128, 3, 128, 1, 128, 4, 128, 2, 128, 5, 128, 128, 128, 128, 128];
const SECOND: [u8; 16] = [6, 128, 9, 128, 7, 128, 10, 128, 8, 128, 11, 128, 128, 128, 128, 128];

struct Pass<'a> {
    v3: V3,
    image: Image<'a>,
    first: &'a [usize],
    /// For each output and each two taps of it: the high parts of both weights, then the low parts, 16 bits each.
    weights: &'a [i32],
    pairs: usize,
    rows: &'a mut [u8],
    stride: usize,
    lines: &'a mut Vec<u8>,
}

pub(super) fn filter(v3: V3, image: Image<'_>, taps: &Taps, flip: bool, rows: &mut [u8], stride: usize, spare: &mut Spare) {
    // Where all outputs have few taps the unused ones at the end are dropped.
    let used = |i: usize| taps.weights(i).iter().rposition(|&w| w != 0).map_or(1, |last| last + 1);
    let pairs = (0..taps.first.len()).map(used).max().unwrap_or(1).div_ceil(2);
    spare.weights.clear();
    spare.first.clear();
    // In the order of writing, from left to right: a write of four bytes touches the pixel behind it.
    let count = taps.first.len();
    for i in 0..count {
        let i = if flip { count - 1 - i } else { i };
        spare.first.push(taps.first[i]);
        let weights = taps.weights(i);
        let weight = |tap: usize| weights.get(tap).copied().unwrap_or(0);
        for pair in 0..pairs {
            let (a, b) = (weight(2 * pair), weight(2 * pair + 1));
            let high = |w: i32| (w + (1 << (LOW - 1))) >> LOW;
            let both = |a: i32, b: i32| (a & 0xFFFF) | (b << 16);
            spare.weights.push(both(high(a), high(b)));
            spare.weights.push(both(a - (high(a) << LOW), b - (high(b) << LOW)));
        }
    }
    let pass = Pass { v3, image, first: &spare.first, weights: &spare.weights, pairs, rows, stride, lines: &mut spare.lines };
    v3.vectorize(pass);
}

impl pulp::NullaryFnOnce for Pass<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { v3, image, first, weights, pairs, rows, stride, lines } = self;
        // What the widest load of a row takes, from its beginning.
        let reach = 3 * (first.iter().max().map_or(0, |f| f + 4 * pairs.div_ceil(2) - 4)) + LOAD;
        let line = 3 * image.width;
        for (group, out) in rows.chunks_mut(4 * stride).enumerate() {
            let height = (image.height - 4 * group).min(4);
            // A group of fewer than four reads its last row again; what that gives is written to a row that nobody reads.
            let start = |i: usize| (4 * group + i.min(height - 1)) * image.stride;
            let direct = start(3) + reach <= image.pixels.len();
            if !direct {
                lines.clear();
                for i in 0..4 {
                    lines.extend_from_slice(&image.pixels[start(i)..][..line]);
                    lines.resize((i + 1) * reach.max(line), 0);
                }
            }
            let row = |i: usize| if direct { &image.pixels[start(i)..][..reach] } else { &lines[i * reach.max(line)..][..reach] };
            let source = [row(0), row(1), row(2), row(3)];
            match pairs {
                1 => four::<1>(v3, source, first, weights, 1, out, stride),
                2 => four::<2>(v3, source, first, weights, 2, out, stride),
                _ => four::<0>(v3, source, first, weights, pairs, out, stride),
            }
        }
    }
}

/// Four rows; `PAIRS` is `pairs` where the compiler may know it, or 0.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
fn four<const PAIRS: usize>(
    v3: V3,
    [a, b, c, d]: [&[u8]; 4],
    first: &[usize],
    weights: &[i32],
    pairs: usize,
    out: &mut [u8],
    stride: usize,
) {
    let pairs = if PAIRS == 0 { pairs } else { PAIRS };
    let s = v3.avx2;
    let (turn_first, turn_second): (__m256i, __m256i) = (cast([FIRST; 2]), cast([SECOND; 2]));
    let half = v3.avx._mm256_set1_epi32(HALF);
    for (i, (&at, weights)) in first.iter().zip(weights.chunks_exact(2 * pairs)).enumerate() {
        let (mut high0, mut high1) = (v3.avx._mm256_setzero_si256(), v3.avx._mm256_setzero_si256());
        let (mut low0, mut low1) = (half, half);
        for (quad, weights) in weights.chunks(4).enumerate() {
            let at = 3 * (at + 4 * quad);
            let (ab, cd) = (both(a, b, at), both(c, d, at));
            let (x0, x1) = (s._mm256_shuffle_epi8(ab, turn_first), s._mm256_shuffle_epi8(cd, turn_first));
            let (high, low) = (v3.avx._mm256_set1_epi32(weights[0]), v3.avx._mm256_set1_epi32(weights[1]));
            high0 = s._mm256_add_epi32(high0, s._mm256_madd_epi16(x0, high));
            high1 = s._mm256_add_epi32(high1, s._mm256_madd_epi16(x1, high));
            low0 = s._mm256_add_epi32(low0, s._mm256_madd_epi16(x0, low));
            low1 = s._mm256_add_epi32(low1, s._mm256_madd_epi16(x1, low));
            if weights.len() == 4 {
                let (x0, x1) = (s._mm256_shuffle_epi8(ab, turn_second), s._mm256_shuffle_epi8(cd, turn_second));
                let (high, low) = (v3.avx._mm256_set1_epi32(weights[2]), v3.avx._mm256_set1_epi32(weights[3]));
                high0 = s._mm256_add_epi32(high0, s._mm256_madd_epi16(x0, high));
                high1 = s._mm256_add_epi32(high1, s._mm256_madd_epi16(x1, high));
                low0 = s._mm256_add_epi32(low0, s._mm256_madd_epi16(x0, low));
                low1 = s._mm256_add_epi32(low1, s._mm256_madd_epi16(x1, low));
            }
        }
        let sum0 = s._mm256_srai_epi32::<{ BITS as i32 }>(s._mm256_add_epi32(s._mm256_slli_epi32::<LOW>(high0), low0));
        let sum1 = s._mm256_srai_epi32::<{ BITS as i32 }>(s._mm256_add_epi32(s._mm256_slli_epi32::<LOW>(high1), low1));
        let words = s._mm256_packs_epi32(sum0, sum1);
        let [ra, rc, _, _, rb, rd, _, _]: [[u8; 4]; 8] = cast(s._mm256_packus_epi16(words, words));
        let to = 3 * i;
        for (row, pixel) in [ra, rb, rc, rd].into_iter().enumerate() {
            if let Some(out) = out.get_mut(row * stride + to..).and_then(|o| o.first_chunk_mut::<4>()) {
                *out = pixel;
            }
        }
    }
}

/// Sixteen bytes of two rows.
#[inline(always)]
fn both(a: &[u8], b: &[u8], at: usize) -> __m256i {
    cast([load(a, at), load(b, at)])
}

#[inline(always)]
fn load(row: &[u8], at: usize) -> [u8; LOAD] {
    match row.get(at..at + LOAD) {
        Some(bytes) => bytes.try_into().unwrap_or([0; LOAD]),
        None => [0; LOAD],
    }
}
