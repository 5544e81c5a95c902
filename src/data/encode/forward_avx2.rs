//! `forward` in AVX2 instructions: sixteen pixels, or two blocks side by side, at once. Products of 16 bits are added in 32 as the plain form
//! does, with its constants summed in another order; no sum overflows, so the values are the same.

use super::forward::{Block, Divisors, Forward, Pair};
use bytemuck::cast;
use pulp::x86::V3;
use std::arch::x86_64::{__m128i, __m256i};

type Lines = [__m256i; 8];

/// Two constants in turn, for products of neighbours that are added.
const fn two(a: i32, b: i32) -> [i16; 16] {
    let mut v = [a as i16; 16];
    let mut i = 1;
    while i < 16 {
        v[i] = b as i16;
        i += 2;
    }
    v
}

/// `a * x + b * y`, rounded and shifted right, for 16-bit lanes.
#[inline(always)]
fn turn<const SHIFT: i32>(s: V3, low: __m256i, high: __m256i, k: [i16; 16]) -> __m256i {
    let half = s.avx._mm256_set1_epi32(1 << (SHIFT - 1));
    let low = s.avx2._mm256_add_epi32(s.avx2._mm256_madd_epi16(low, cast(k)), half);
    let high = s.avx2._mm256_add_epi32(s.avx2._mm256_madd_epi16(high, cast(k)), half);
    s.avx2._mm256_packs_epi32(s.avx2._mm256_srai_epi32::<SHIFT>(low), s.avx2._mm256_srai_epi32::<SHIFT>(high))
}

/// The same with a further sum of 32 bits.
#[inline(always)]
fn turn_with<const SHIFT: i32>(s: V3, (low, high): (__m256i, __m256i), k: [i16; 16], (z_low, z_high): (__m256i, __m256i)) -> __m256i {
    let low = s.avx2._mm256_add_epi32(s.avx2._mm256_madd_epi16(low, cast(k)), z_low);
    let high = s.avx2._mm256_add_epi32(s.avx2._mm256_madd_epi16(high, cast(k)), z_high);
    s.avx2._mm256_packs_epi32(s.avx2._mm256_srai_epi32::<SHIFT>(low), s.avx2._mm256_srai_epi32::<SHIFT>(high))
}

#[inline(always)]
fn mixed(s: V3, a: __m256i, b: __m256i) -> (__m256i, __m256i) {
    (s.avx2._mm256_unpacklo_epi16(a, b), s.avx2._mm256_unpackhi_epi16(a, b))
}

/// One dimension of both blocks; the shift of the fraction tells the passes apart.
#[inline(always)]
fn pass<const SHIFT: i32>(s: V3, [v0, v1, v2, v3, v4, v5, v6, v7]: Lines) -> Lines {
    let add = |a, b| s.avx2._mm256_add_epi16(a, b);
    let sub = |a, b| s.avx2._mm256_sub_epi16(a, b);
    let (t0, t7, t1, t6) = (add(v0, v7), sub(v0, v7), add(v1, v6), sub(v1, v6));
    let (t2, t5, t3, t4) = (add(v2, v5), sub(v2, v5), add(v3, v4), sub(v3, v4));
    let (t10, t13, t11, t12) = (add(t0, t3), sub(t0, t3), add(t1, t2), sub(t1, t2));
    let (sum, difference) = (add(t10, t11), sub(t10, t11));
    let (o0, o4) = if SHIFT == 11 {
        (s.avx2._mm256_slli_epi16::<2>(sum), s.avx2._mm256_slli_epi16::<2>(difference))
    } else {
        let half = s.avx._mm256_set1_epi16(2);
        (s.avx2._mm256_srai_epi16::<2>(add(sum, half)), s.avx2._mm256_srai_epi16::<2>(add(difference, half)))
    };
    let (low, high) = mixed(s, t13, t12);
    let o2 = turn::<SHIFT>(s, low, high, const { two(4433 + 6270, 4433) });
    let o6 = turn::<SHIFT>(s, low, high, const { two(4433, 4433 - 15137) });
    let (low, high) = mixed(s, add(t4, t6), add(t5, t7));
    let half = s.avx._mm256_set1_epi32(1 << (SHIFT - 1));
    let z = |k: [i16; 16]| {
        let sum = |v| s.avx2._mm256_add_epi32(s.avx2._mm256_madd_epi16(v, cast(k)), half);
        (sum(low), sum(high))
    };
    let z3 = z(const { two(9633 - 16069, 9633) });
    let z4 = z(const { two(9633, 9633 - 3196) });
    let t47 = mixed(s, t4, t7);
    let t56 = mixed(s, t5, t6);
    let o7 = turn_with::<SHIFT>(s, t47, const { two(2446 - 7373, -7373) }, z3);
    let o1 = turn_with::<SHIFT>(s, t47, const { two(-7373, 12299 - 7373) }, z4);
    let o5 = turn_with::<SHIFT>(s, t56, const { two(16819 - 20995, -20995) }, z4);
    let o3 = turn_with::<SHIFT>(s, t56, const { two(-20995, 25172 - 20995) }, z3);
    [o0, o1, o2, o3, o4, o5, o6, o7]
}

/// Both blocks turned, each within its half.
#[inline(always)]
fn transpose(s: V3, [a, b, c, d, e, f, g, h]: Lines) -> Lines {
    let (ab, cd, ef, gh) = (mixed(s, a, b), mixed(s, c, d), mixed(s, e, f), mixed(s, g, h));
    let four = |a, b| (s.avx2._mm256_unpacklo_epi32(a, b), s.avx2._mm256_unpackhi_epi32(a, b));
    let ((p0, p1), (p2, p3)) = (four(ab.0, cd.0), four(ab.1, cd.1));
    let ((q0, q1), (q2, q3)) = (four(ef.0, gh.0), four(ef.1, gh.1));
    let eight = |a, b| (s.avx2._mm256_unpacklo_epi64(a, b), s.avx2._mm256_unpackhi_epi64(a, b));
    let ((r0, r1), (r2, r3), (r4, r5), (r6, r7)) = (eight(p0, q0), eight(p1, q1), eight(p2, q2), eight(p3, q3));
    [r0, r1, r2, r3, r4, r5, r6, r7]
}

#[inline(always)]
fn line(s: V3, samples: &Pair, i: usize) -> __m256i {
    s.avx2._mm256_sub_epi16(s.avx2._mm256_cvtepu8_epi16(cast(samples[i])), s.avx._mm256_set1_epi16(128))
}

#[inline(always)]
fn quantised(s: V3, x: __m256i, d: &Divisors, i: usize) -> __m256i {
    let n = s.avx2._mm256_add_epi16(s.avx2._mm256_abs_epi16(x), cast(d.half[i]));
    let q = s.avx2._mm256_mulhi_epu16(s.avx2._mm256_mulhi_epu16(n, cast(d.reciprocal[i])), cast(d.scale[i]));
    s.avx2._mm256_sign_epi16(q, x)
}

/// Every third byte of 48 from `first` on: for each part of 16 bytes where they go; 128 leaves a zero.
const fn thirds(first: usize) -> [[u8; 16]; 3] {
    let mut parts = [[128; 16]; 3];
    let mut i = 0;
    while i < 16 {
        let at = first + 3 * i;
        parts[at / 16][i] = (at % 16) as u8;
        i += 1;
    }
    parts
}

#[inline(always)]
fn channel(s: V3, [a, b, c]: [__m128i; 3], [x, y, z]: [[u8; 16]; 3]) -> __m256i {
    let (a, b) = (s.ssse3._mm_shuffle_epi8(a, cast(x)), s.ssse3._mm_shuffle_epi8(b, cast(y)));
    s.avx2._mm256_cvtepu8_epi16(s.sse2._mm_or_si128(s.sse2._mm_or_si128(a, b), s.ssse3._mm_shuffle_epi8(c, cast(z))))
}

/// Sixteen sums of 32 bits, their upper halves as bytes.
#[inline(always)]
fn bytes(s: V3, low: __m256i, high: __m256i) -> [u8; 16] {
    let words = s.avx2._mm256_packs_epi32(s.avx2._mm256_srai_epi32::<16>(low), s.avx2._mm256_srai_epi32::<16>(high));
    let packed = s.avx2._mm256_packus_epi16(words, words);
    // Each half holds its eight bytes twice.
    let [a, _, b, _]: [[u8; 8]; 4] = cast(packed);
    cast([a, b])
}

impl Forward for V3 {
    #[inline(always)]
    fn ycc(self, rgb: &[u8; 48]) -> [[u8; 16]; 3] {
        let s = self;
        let parts: [__m128i; 3] = cast(*rgb);
        let r = channel(s, parts, const { thirds(0) });
        let g = channel(s, parts, const { thirds(1) });
        let b = channel(s, parts, const { thirds(2) });
        let (rg, bg, rb) = (mixed(s, r, g), mixed(s, b, g), (r, b));
        let madd = |v, k: [i16; 16]| s.avx2._mm256_madd_epi16(v, cast(k));
        let add = |a, b| s.avx2._mm256_add_epi32(a, b);
        // 38470 for green is beyond 16 bits: 22086 and 16384.
        let luma = |rg, bg| {
            let sum = add(madd(rg, const { two(19595, 22086) }), madd(bg, const { two(7471, 16384) }));
            add(sum, s.avx._mm256_set1_epi32(32768))
        };
        let offset = s.avx._mm256_set1_epi32((128 << 16) + 32767);
        // 32768 is too: by a shift.
        let zero = s.avx._mm256_setzero_si256();
        let shifted = |v| {
            let (low, high) = mixed(s, zero, v);
            (s.avx2._mm256_srli_epi32::<1>(low), s.avx2._mm256_srli_epi32::<1>(high))
        };
        let (b15, r15) = (shifted(rb.1), shifted(rb.0));
        let cb = |rg, b| add(add(madd(rg, const { two(-11059, -21709) }), b), offset);
        let cr = |bg, r| add(add(madd(bg, const { two(-5329, -27439) }), r), offset);
        [
            bytes(s, luma(rg.0, bg.0), luma(rg.1, bg.1)),
            bytes(s, cb(rg.0, b15.0), cb(rg.1, b15.1)),
            bytes(s, cr(bg.0, r15.0), cr(bg.1, r15.1)),
        ]
    }

    #[inline(always)]
    fn halve(self, above: &[u8; 32], below: &[u8; 32]) -> [u8; 16] {
        let s = self.avx2;
        let ones = self.avx._mm256_set1_epi8(1);
        let pairs = |line: &[u8; 32]| s._mm256_maddubs_epi16(cast(*line), ones);
        let sum = s._mm256_add_epi16(s._mm256_add_epi16(pairs(above), pairs(below)), cast(const { two(1, 2) }));
        let words = s._mm256_srli_epi16::<2>(sum);
        let [a, _, b, _]: [[u8; 8]; 4] = cast(s._mm256_packus_epi16(words, words));
        cast([a, b])
    }

    #[inline(always)]
    fn pair(self, samples: &Pair, divisors: &Divisors) -> [(Block, u64); 2] {
        let (s, p, d) = (self, samples, divisors);
        let lines =
            [line(s, p, 0), line(s, p, 1), line(s, p, 2), line(s, p, 3), line(s, p, 4), line(s, p, 5), line(s, p, 6), line(s, p, 7)];
        let [a, b, c, e, f, g, h, i] = pass::<15>(s, transpose(s, pass::<11>(s, transpose(s, lines))));
        let q = [
            quantised(s, a, d, 0),
            quantised(s, b, d, 1),
            quantised(s, c, d, 2),
            quantised(s, e, d, 3),
            quantised(s, f, d, 4),
            quantised(s, g, d, 5),
            quantised(s, h, d, 6),
            quantised(s, i, d, 7),
        ];
        let zero = s.avx._mm256_setzero_si256();
        let nonzero = |a, b| !s.avx2._mm256_movemask_epi8(s.avx2._mm256_cmpeq_epi8(s.avx2._mm256_packs_epi16(a, b), zero)) as u32;
        let bits = [nonzero(q[0], q[1]), nonzero(q[2], q[3]), nonzero(q[4], q[5]), nonzero(q[6], q[7])].map(u64::from);
        let half = |shift: u32| {
            let part = |i: usize| (bits[i] >> shift & 0xFFFF) << (16 * i);
            part(0) | part(1) | part(2) | part(3)
        };
        let (mut left, mut right): (Block, Block) = ([0; 64], [0; 64]);
        for i in 0..8 {
            let [l, r]: [[i16; 8]; 2] = cast(q[i]);
            left[8 * i..8 * i + 8].copy_from_slice(&l);
            right[8 * i..8 * i + 8].copy_from_slice(&r);
        }
        [(left, half(0)), (right, half(16))]
    }
}

#[cfg(test)]
mod tests {
    use super::super::forward::Plain;
    use super::*;
    use crate::rng::{Purpose, Stream};

    type Results = ([[u8; 16]; 3], [u8; 16], [(Block, u64); 2]);

    struct All<'a, F>(F, &'a [u8; 48], &'a [[u8; 32]; 2], &'a Pair, &'a Divisors);

    impl<F: Forward> pulp::NullaryFnOnce for All<'_, F> {
        type Output = Results;

        #[inline(always)]
        fn call(self) -> Results {
            (self.0.ycc(self.1), self.0.halve(&self.2[0], &self.2[1]), self.0.pair(self.3, self.4))
        }
    }

    /// Bit for bit, for smooth and for hostile samples.
    #[test]
    fn it_equals_the_plain_form() {
        let Some(simd) = V3::try_new() else { return };
        let mut s = Stream::new(4, Purpose::Test, 0, 0);
        for round in 0..20_000u32 {
            let reach = 1 + s.below(256);
            let mut sample = |extreme: bool| if extreme { 255 * s.below(2) as u8 } else { s.below(reach) as u8 };
            let extreme = round % 3 == 0;
            let rgb: [u8; 48] = std::array::from_fn(|_| sample(extreme));
            let lines: [[u8; 32]; 2] = std::array::from_fn(|_| std::array::from_fn(|_| sample(extreme)));
            let pair: Pair = std::array::from_fn(|_| std::array::from_fn(|_| sample(extreme)));
            let table: [u8; 64] = std::array::from_fn(|_| if round % 5 == 0 { 1 } else { sample(false).max(1) });
            let divisors = Divisors::new(&table);
            let plain = pulp::NullaryFnOnce::call(All(Plain, &rgb, &lines, &pair, &divisors));
            assert_eq!(simd.vectorize(All(simd, &rgb, &lines, &pair, &divisors)), plain, "round {round}");
        }
    }
}
