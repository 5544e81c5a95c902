//! The inverse DCT of `idct` in AVX2 instructions, bit for bit. Multiplications of pairs of 16 bits that are added at once do two thirds of
//! the work of one of 32 bits; the compiler does not find them.
//!
//! A register holds two lines, n in the lower half and n + 4 in the upper one, of 16-bit values.

use super::idct::{Block, Idct, Quant};
use bytemuck::cast;
use pulp::x86::V3;
use std::arch::x86_64::{__m128i, __m256i};

type Lines = [__m256i; 4];

// Functions that must be inlined, no closures: those stay calls into code for the plainest processor when handed to library helpers.

/// The halves' values in turn: eight pairs.
#[inline(always)]
fn pairs(simd: V3, halves: __m256i) -> __m256i {
    #[rustfmt::skip]
    const TURN: [u8; 32] = [
        0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15, 0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15,
    ];
    let s = simd.avx2;
    s._mm256_shuffle_epi8(s._mm256_permute4x64_epi64::<0b11_01_10_00>(halves), cast(TURN))
}

/// Of each pair, its first value times `a` and its second times `b`, added.
#[inline(always)]
fn times(simd: V3, pairs: __m256i, a: i16, b: i16) -> __m256i {
    simd.avx2._mm256_madd_epi16(pairs, cast([[a, b]; 8]))
}

/// Sum and difference of an even and an odd part, the fraction shifted away.
#[inline(always)]
fn ends<const SHIFT: i32>(simd: V3, even: __m256i, odd: __m256i) -> (__m256i, __m256i) {
    let s = simd.avx2;
    (s._mm256_srai_epi32::<SHIFT>(s._mm256_add_epi32(even, odd)), s._mm256_srai_epi32::<SHIFT>(s._mm256_sub_epi32(even, odd)))
}

/// The lower half, as 32 bits, times 2^13.
#[inline(always)]
fn wide(simd: V3, v: __m256i) -> __m256i {
    let [low, _]: [__m128i; 2] = cast(v);
    simd.avx2._mm256_slli_epi32::<13>(simd.avx2._mm256_cvtepi16_epi32(low))
}

/// One dimension, turned; `SHIFT` takes the fraction away, rounded.
#[inline(always)]
fn pass<const SHIFT: i32>(simd: V3, [v04, v15, v26, v37]: Lines) -> Lines {
    let s = simd.avx2;
    let half = simd.avx._mm256_set1_epi32(1 << (SHIFT - 1));
    let p26 = pairs(simd, v26);
    let (t3, t2) = (times(simd, p26, 10703, 4433), times(simd, p26, 4433, -10704));
    let v40 = s._mm256_permute2x128_si256::<0x01>(v04, v04);
    let t0 = s._mm256_add_epi32(wide(simd, s._mm256_add_epi16(v04, v40)), half);
    let t1 = s._mm256_add_epi32(wide(simd, s._mm256_sub_epi16(v04, v40)), half);
    let (e0, e3) = (s._mm256_add_epi32(t0, t3), s._mm256_sub_epi32(t0, t3));
    let (e1, e2) = (s._mm256_add_epi32(t1, t2), s._mm256_sub_epi32(t1, t2));
    let (v71, v35) = (s._mm256_permute2x128_si256::<0x21>(v37, v15), s._mm256_permute2x128_si256::<0x30>(v37, v15));
    let (p71, p35, z) = (pairs(simd, v71), pairs(simd, v35), pairs(simd, s._mm256_add_epi16(v71, v35)));
    let (z3, z4) = (times(simd, z, -6436, 9633), times(simd, z, 9633, 6437));
    let o0 = s._mm256_add_epi32(times(simd, p71, -4927, -7373), z3);
    let o1 = s._mm256_add_epi32(times(simd, p35, -20995, -4176), z4);
    let o2 = s._mm256_add_epi32(times(simd, p35, 4177, -20995), z3);
    let o3 = s._mm256_add_epi32(times(simd, p71, -7373, 4926), z4);
    let (r0, r7) = ends::<SHIFT>(simd, e0, o3);
    let (r1, r6) = ends::<SHIFT>(simd, e1, o2);
    let (r2, r5) = ends::<SHIFT>(simd, e2, o1);
    let (r3, r4) = ends::<SHIFT>(simd, e3, o0);
    let (r04, r15) = (s._mm256_packs_epi32(r0, r4), s._mm256_packs_epi32(r1, r5));
    let (r26, r37) = (s._mm256_packs_epi32(r2, r6), s._mm256_packs_epi32(r3, r7));
    // Four columns in each half, of lines 0 and 4, 1 and 5...: to lines.
    let (a, c) = (s._mm256_unpacklo_epi16(r04, r15), s._mm256_unpackhi_epi16(r04, r15));
    let (b, d) = (s._mm256_unpacklo_epi16(r26, r37), s._mm256_unpackhi_epi16(r26, r37));
    let (ab, cd) = (s._mm256_unpacklo_epi32(a, b), s._mm256_unpacklo_epi32(c, d));
    let (ba, dc) = (s._mm256_unpackhi_epi32(a, b), s._mm256_unpackhi_epi32(c, d));
    let (c0, c1) = (s._mm256_unpacklo_epi64(ab, cd), s._mm256_unpackhi_epi64(ab, cd));
    [c0, c1, s._mm256_unpacklo_epi64(ba, dc), s._mm256_unpackhi_epi64(ba, dc)]
}

/// The first pass of a block whose only line is the first: without the saturation of the others.
#[inline(always)]
fn flat(simd: V3, v04: __m256i) -> Lines {
    const fn all(word: u8) -> [u8; 32] {
        let mut at = [0; 32];
        let mut i = 0;
        while i < 32 {
            at[i] = 2 * word + (i % 2) as u8 + if i >= 16 { 8 } else { 0 };
            i += 1;
        }
        at
    }
    const ALL: [[u8; 32]; 4] = [all(0), all(1), all(2), all(3)];
    let s = simd.avx2;
    let line = s._mm256_slli_epi16::<2>(s._mm256_permute2x128_si256::<0x00>(v04, v04));
    let [a, b, c, d] = ALL;
    let (a, b) = (s._mm256_shuffle_epi8(line, cast(a)), s._mm256_shuffle_epi8(line, cast(b)));
    [a, b, s._mm256_shuffle_epi8(line, cast(c)), s._mm256_shuffle_epi8(line, cast(d))]
}

/// Lines `i` and `i + 4` of the block, as they are.
#[inline(always)]
fn lines(values: &[i16; 64], i: usize) -> __m256i {
    let lines = values.as_chunks::<8>().0;
    cast([lines[i], lines[i + 4]])
}

impl Idct for V3 {
    #[inline(always)]
    fn run<F: pulp::NullaryFnOnce>(self, f: F) -> F::Output {
        self.vectorize(f)
    }

    #[inline(always)]
    fn block(self, coefficients: &Block, quant: &Quant, out: &mut [u8], stride: usize) {
        let s = self.avx2;
        let [c04, c15, c26, c37] = [lines(coefficients, 0), lines(coefficients, 1), lines(coefficients, 2), lines(coefficients, 3)];
        let v04 = s._mm256_mullo_epi16(c04, lines(quant, 0));
        // The upper half of the first register, and all of the others.
        let upper = s._mm256_blend_epi32::<0xF0>(cast([0u8; 32]), c04);
        let rest = s._mm256_or_si256(s._mm256_or_si256(upper, c15), s._mm256_or_si256(c26, c37));
        let columns = if self.avx._mm256_testz_si256(rest, rest) == 1 {
            flat(self, v04)
        } else {
            let (v15, v26) = (s._mm256_mullo_epi16(c15, lines(quant, 1)), s._mm256_mullo_epi16(c26, lines(quant, 2)));
            pass::<11>(self, [v04, v15, v26, s._mm256_mullo_epi16(c37, lines(quant, 3))])
        };
        let [r04, r15, r26, r37] = pass::<18>(self, columns);
        let center = cast([0x80u8; 32]);
        let [l0, l1, l4, l5]: [[u8; 8]; 4] = cast(s._mm256_xor_si256(s._mm256_packs_epi16(r04, r15), center));
        let [l2, l3, l6, l7]: [[u8; 8]; 4] = cast(s._mm256_xor_si256(s._mm256_packs_epi16(r26, r37), center));
        // One check for all lines.
        let Some(out) = out.get_mut(..7 * stride + 8) else { return };
        let lines = [l0, l1, l2, l3, l4, l5, l6, l7];
        for i in 0..8 {
            out[i * stride..i * stride + 8].copy_from_slice(&lines[i]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::idct::Plain;
    use super::*;
    use crate::rng::{Purpose, Stream};

    struct Both<'a>(V3, &'a Block, &'a Quant);

    impl pulp::NullaryFnOnce for Both<'_> {
        type Output = [u8; 88];

        #[inline(always)]
        fn call(self) -> [u8; 88] {
            let mut out = [7; 88];
            self.0.block(self.1, self.2, &mut out, 11);
            out
        }
    }

    /// Bit for bit, for coefficients of pictures and for any that a hostile file can hold.
    #[test]
    fn it_equals_the_plain_form() {
        let Some(simd) = V3::try_new() else { return };
        let mut s = Stream::new(2, Purpose::Test, 0, 0);
        for round in 0..20_000u32 {
            let (mut c, mut quant) = ([0i16; 64], [1; 64]);
            let (reach, steps) = if round % 4 == 0 { (65536, 65535) } else { (1 << (4 + round % 9), 40) };
            quant.iter_mut().for_each(|q| *q = (s.below(steps) + 1) as i16);
            for _ in 0..=round % 64 {
                c[s.below(64) as usize] = (s.below(reach) as i32 - reach as i32 / 2) as i16;
            }
            let mut expected = [7; 88];
            Plain.block(&c, &quant, &mut expected, 11);
            for y in 0..8 {
                expected[y * 11 + 8..y * 11 + 11].fill(7);
            }
            assert_eq!(simd.vectorize(Both(simd, &c, &quant)), expected, "round {round}");
        }
    }
}
