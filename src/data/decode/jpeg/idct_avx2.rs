//! The inverse DCT of `idct` in AVX2 instructions: eight lines at once, the same 32-bit arithmetic in the same order, wrapping alike. The
//! compiler's own vectors lost as much in the transpositions as they won in the arithmetic.

use super::idct::{Block, Idct};
use bytemuck::cast;
use pulp::x86::V3;
use std::arch::x86_64::__m256i;

type Lines = [__m256i; 8];

// Functions that must be inlined, no closures: those stay calls into code for the plainest processor when handed to library helpers.

#[inline(always)]
fn times(simd: V3, a: __m256i, k: i32) -> __m256i {
    simd.avx2._mm256_mullo_epi32(a, simd.avx._mm256_set1_epi32(k))
}

#[inline(always)]
fn add(simd: V3, a: __m256i, b: __m256i) -> __m256i {
    simd.avx2._mm256_add_epi32(a, b)
}

#[inline(always)]
fn sub(simd: V3, a: __m256i, b: __m256i) -> __m256i {
    simd.avx2._mm256_sub_epi32(a, b)
}

/// Sum and difference of an even and an odd part, the fraction shifted away.
#[inline(always)]
fn ends<const SHIFT: i32>(simd: V3, even: __m256i, odd: __m256i) -> (__m256i, __m256i) {
    let s = simd.avx2;
    (s._mm256_srai_epi32::<SHIFT>(s._mm256_add_epi32(even, odd)), s._mm256_srai_epi32::<SHIFT>(s._mm256_sub_epi32(even, odd)))
}

/// One dimension; `SHIFT` takes the fraction away, rounded.
#[inline(always)]
fn pass<const SHIFT: i32>(s: V3, [v0, v1, v2, v3, v4, v5, v6, v7]: Lines) -> Lines {
    let half = s.avx._mm256_set1_epi32(1 << (SHIFT - 1));
    let z1 = times(s, add(s, v2, v6), 4433);
    let t2 = sub(s, z1, times(s, v6, 15137));
    let t3 = add(s, z1, times(s, v2, 6270));
    let t0 = add(s, s.avx2._mm256_slli_epi32::<13>(add(s, v0, v4)), half);
    let t1 = add(s, s.avx2._mm256_slli_epi32::<13>(sub(s, v0, v4)), half);
    let (e0, e3, e1, e2) = (add(s, t0, t3), sub(s, t0, t3), add(s, t1, t2), sub(s, t1, t2));
    let (z3, z4) = (add(s, v7, v3), add(s, v5, v1));
    let z5 = times(s, add(s, z3, z4), 9633);
    let z1 = times(s, add(s, v7, v1), -7373);
    let z2 = times(s, add(s, v5, v3), -20995);
    let z3 = add(s, times(s, z3, -16069), z5);
    let z4 = add(s, times(s, z4, -3196), z5);
    let o0 = add(s, add(s, times(s, v7, 2446), z1), z3);
    let o1 = add(s, add(s, times(s, v5, 16819), z2), z4);
    let o2 = add(s, add(s, times(s, v3, 25172), z2), z3);
    let o3 = add(s, add(s, times(s, v1, 12299), z1), z4);
    let (r0, r7) = ends::<SHIFT>(s, e0, o3);
    let (r1, r6) = ends::<SHIFT>(s, e1, o2);
    let (r2, r5) = ends::<SHIFT>(s, e2, o1);
    let (r3, r4) = ends::<SHIFT>(s, e3, o0);
    [r0, r1, r2, r3, r4, r5, r6, r7]
}

/// Four lines, within each half: to lines of four.
#[inline(always)]
fn transpose_halves(simd: V3, [a, b, c, d]: [__m256i; 4]) -> [__m256i; 4] {
    let s = simd.avx2;
    let (ab, ba) = (s._mm256_unpacklo_epi32(a, b), s._mm256_unpackhi_epi32(a, b));
    let (cd, dc) = (s._mm256_unpacklo_epi32(c, d), s._mm256_unpackhi_epi32(c, d));
    let (r0, r1) = (s._mm256_unpacklo_epi64(ab, cd), s._mm256_unpackhi_epi64(ab, cd));
    [r0, r1, s._mm256_unpacklo_epi64(ba, dc), s._mm256_unpackhi_epi64(ba, dc)]
}

/// The lower halves of two, and the upper halves.
#[inline(always)]
fn halves(simd: V3, a: __m256i, b: __m256i) -> (__m256i, __m256i) {
    let s = simd.avx2;
    (s._mm256_permute2x128_si256::<0x20>(a, b), s._mm256_permute2x128_si256::<0x31>(a, b))
}

#[inline(always)]
fn transpose(simd: V3, [a, b, c, d, e, f, g, h]: Lines) -> Lines {
    let [a, b, c, d] = transpose_halves(simd, [a, b, c, d]);
    let [e, f, g, h] = transpose_halves(simd, [e, f, g, h]);
    let ((r0, r4), (r1, r5)) = (halves(simd, a, e), halves(simd, b, f));
    let ((r2, r6), (r3, r7)) = (halves(simd, c, g), halves(simd, d, h));
    [r0, r1, r2, r3, r4, r5, r6, r7]
}

/// Eight coefficients of one line, dequantised.
#[inline(always)]
fn line(simd: V3, coefficients: &Block, quant: &[i32; 64], i: usize) -> __m256i {
    let (coefficients, quant) = (coefficients.as_chunks::<8>().0[i], quant.as_chunks::<8>().0[i]);
    simd.avx2._mm256_mullo_epi32(simd.avx2._mm256_cvtepi16_epi32(cast(coefficients)), cast(quant))
}

/// Four columns of samples to bytes: saturated around zero, then each half's four lines of four turned by one shuffle.
#[inline(always)]
fn bytes(simd: V3, [a, b, c, d]: [__m256i; 4]) -> __m256i {
    #[rustfmt::skip]
    const TURN: [u8; 32] = [
        0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15, 0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15,
    ];
    let s = simd.avx2;
    let v = s._mm256_packs_epi16(s._mm256_packs_epi32(a, b), s._mm256_packs_epi32(c, d));
    s._mm256_xor_si256(s._mm256_shuffle_epi8(v, cast(TURN)), cast([0x80u8; 32]))
}

impl Idct for V3 {
    #[inline(always)]
    fn run<F: pulp::NullaryFnOnce>(self, f: F) -> F::Output {
        self.vectorize(f)
    }

    #[inline(always)]
    fn block(self, coefficients: &Block, quant: &[i32; 64], out: &mut [u8], stride: usize) {
        let (c, q) = (coefficients, quant);
        let (a, b, c, d, e, f, g, h) = (
            line(self, c, q, 0),
            line(self, c, q, 1),
            line(self, c, q, 2),
            line(self, c, q, 3),
            line(self, c, q, 4),
            line(self, c, q, 5),
            line(self, c, q, 6),
            line(self, c, q, 7),
        );
        let [a, b, c, d, e, f, g, h] = pass::<18>(self, transpose(self, pass::<11>(self, [a, b, c, d, e, f, g, h])));
        let (left, right) = (bytes(self, [a, b, c, d]), bytes(self, [e, f, g, h]));
        let [l0, l1, l4, l5]: [[u8; 8]; 4] = cast(self.avx2._mm256_unpacklo_epi32(left, right));
        let [l2, l3, l6, l7]: [[u8; 8]; 4] = cast(self.avx2._mm256_unpackhi_epi32(left, right));
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

    struct Both<'a>(V3, &'a Block, &'a [i32; 64]);

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
            quant.iter_mut().for_each(|q| *q = s.below(steps) as i32 + 1);
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
