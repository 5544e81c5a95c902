//! `colours` in AVX2 instructions, bit for bit, 16 bits wide where the plain form takes 32: a product is rounded by taking one bit more than
//! is wanted of it, adding one and halving, and the whole part of a factor is added without multiplying.

use super::colours::{Colours, N, Planes, Sums};
use bytemuck::cast;
use pulp::x86::V3;
use std::arch::x86_64::__m256i;

/// Where the pixels of a channel go in 16 bytes: three bytes on for each, around the end. No two meet.
const fn spread(channel: usize) -> [u8; 32] {
    let mut to = [0; 32];
    let mut i = 0;
    while i < 32 {
        to[i / 16 * 16 + (3 * (i % 16) + channel) % 16] = (i % 16) as u8;
        i += 1;
    }
    to
}

/// Of 48 bytes of pixels, those of `channel` in part `part` of 16.
const fn taken(channel: usize, part: usize) -> [u8; 32] {
    let mut mask = [0; 32];
    let mut i = 0;
    while i < 32 {
        if (16 * part + i % 16) % 3 == channel {
            mask[i] = 255;
        }
        i += 1;
    }
    mask
}

/// Sixteen pixels in 16 bits.
#[inline(always)]
fn convert(s: V3, y: __m256i, cb: __m256i, cr: __m256i) -> [__m256i; 3] {
    let (add, sub) = (|a, b| s.avx2._mm256_add_epi16(a, b), |a, b| s.avx2._mm256_sub_epi16(a, b));
    let (middle, one) = (s.avx._mm256_set1_epi16(128), s.avx._mm256_set1_epi16(1));
    let (cb, cr) = (sub(cb, middle), sub(cr, middle));
    // `factor / 2^16` of half of `v`, rounded.
    let part = |v, factor| s.avx2._mm256_srai_epi16::<1>(add(s.avx2._mm256_mulhi_epi16(v, s.avx._mm256_set1_epi16(factor)), one));
    let (cb2, cr2) = (add(cb, cb), add(cr, cr));
    let r = add(add(y, cr), part(cr2, (91_881 - 65536) as i16));
    let b = add(add(y, cb2), part(cb2, (116_130 - 131_072) as i16));
    let factors: __m256i = cast([[-22554i16, (65536 - 46802) as i16]; 8]);
    let half = s.avx._mm256_set1_epi32(32768);
    let green = |pairs| s.avx2._mm256_srai_epi32::<16>(s.avx2._mm256_add_epi32(s.avx2._mm256_madd_epi16(pairs, factors), half));
    let (low, high) = (green(s.avx2._mm256_unpacklo_epi16(cb, cr)), green(s.avx2._mm256_unpackhi_epi16(cb, cr)));
    let g = add(sub(y, cr), s.avx2._mm256_packs_epi32(low, high));
    [r, g, b]
}

impl Colours for V3 {
    #[inline(always)]
    fn convert(self, [y, cb, cr]: &Planes) -> Planes {
        let s = self.avx2;
        let zero = self.avx._mm256_setzero_si256();
        let low = |v: &[u8; N]| s._mm256_unpacklo_epi8(cast(*v), zero);
        let high = |v: &[u8; N]| s._mm256_unpackhi_epi8(cast(*v), zero);
        let [r0, g0, b0] = convert(self, low(y), low(cb), low(cr));
        let [r1, g1, b1] = convert(self, high(y), high(cb), high(cr));
        [cast(s._mm256_packus_epi16(r0, r1)), cast(s._mm256_packus_epi16(g0, g1)), cast(s._mm256_packus_epi16(b0, b1))]
    }

    #[inline(always)]
    fn pixels(self, [r, g, b]: &Planes) -> [[u8; 3]; N] {
        let s = self.avx2;
        let r = s._mm256_shuffle_epi8(cast(*r), cast(const { spread(0) }));
        let g = s._mm256_shuffle_epi8(cast(*g), cast(const { spread(1) }));
        let b = s._mm256_shuffle_epi8(cast(*b), cast(const { spread(2) }));
        let part = |green: [u8; 32], blue: [u8; 32]| -> [[u8; 16]; 2] {
            cast(s._mm256_blendv_epi8(s._mm256_blendv_epi8(r, g, cast(green)), b, cast(blue)))
        };
        let [a0, a1] = part(const { taken(1, 0) }, const { taken(2, 0) });
        let [b0, b1] = part(const { taken(1, 1) }, const { taken(2, 1) });
        let [c0, c1] = part(const { taken(1, 2) }, const { taken(2, 2) });
        cast([a0, b0, c0, a1, b1, c1])
    }

    #[inline(always)]
    fn add(self, rgb: &Planes, sums: &mut Sums) {
        let s = self.avx2;
        let zero = self.avx._mm256_setzero_si256();
        for (c, plane) in rgb.iter().enumerate() {
            let v = cast(*plane);
            let (low, high) = (s._mm256_unpacklo_epi8(v, zero), s._mm256_unpackhi_epi8(v, zero));
            let squares = s._mm256_add_epi32(s._mm256_madd_epi16(low, low), s._mm256_madd_epi16(high, high));
            sums.sum[c] = cast(s._mm256_add_epi64(cast(sums.sum[c]), s._mm256_sad_epu8(v, zero)));
            sums.squares[c] = cast(s._mm256_add_epi32(cast(sums.squares[c]), squares));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::colours::{add_line, line};
    use super::super::idct::Plain;
    use super::*;
    use crate::data::sums::ChannelSums;

    struct Line<'a, C>(C, [&'a [u8]; 3]);

    impl<C: Colours> pulp::NullaryFnOnce for Line<'_, C> {
        type Output = (Vec<[u8; 3]>, ChannelSums);

        #[inline(always)]
        fn call(self) -> Self::Output {
            let (mut out, mut sums) = (vec![[0; 3]; self.1[0].len()], ChannelSums::default());
            line(self.0, self.1, &mut out);
            add_line(self.0, self.1, out.len(), &mut sums);
            (out, sums)
        }
    }

    /// For every Cb and Cr, with all of Y in turn; of lines of every length about the width of vectors.
    #[test]
    fn it_equals_the_plain_form() {
        let Some(simd) = V3::try_new() else { return };
        let all = |of: fn(usize) -> usize| (0..65536).map(|i| of(i) as u8).collect::<Vec<u8>>();
        for shift in 0..16 {
            let y: Vec<u8> = (0..65536).map(|i| (i * 7 + i / 256 * 3 + shift * 16) as u8).collect();
            let (cb, cr) = (all(|i| i), all(|i| i / 256));
            let width = if shift == 0 { 65536 } else { 60_000 + shift * 7 };
            let planes = [&y[..width], &cb[..width], &cr[..width]];
            assert!(simd.vectorize(Line(simd, planes)) == pulp::NullaryFnOnce::call(Line(Plain, planes)), "{shift}");
        }
        let y: Vec<u8> = (0..200).map(|i| (i * 37) as u8).collect();
        for width in 1..100 {
            let planes = [&y[..width], &y[30..30 + width], &y[77..77 + width]];
            assert_eq!(simd.vectorize(Line(simd, planes)), pulp::NullaryFnOnce::call(Line(Plain, planes)), "{width}");
        }
    }
}
