//! The inverse DCT of libjpeg ("islow": Loeffler, Ligtenberg and Moschytz with 13-bit constants), bit for bit: that the pixels equal
//! Pillow's and torchvision's starts here. Written over eight lanes at a time, which the compiler turns into vector code.

type Lanes = [i32; 8];
pub type Block = [i16; 64];

#[inline(always)]
fn map2(a: Lanes, b: Lanes, f: impl Fn(i32, i32) -> i32) -> Lanes {
    std::array::from_fn(|l| f(a[l], b[l]))
}

#[inline(always)]
fn add(a: Lanes, b: Lanes) -> Lanes {
    map2(a, b, i32::wrapping_add)
}

#[inline(always)]
fn sub(a: Lanes, b: Lanes) -> Lanes {
    map2(a, b, i32::wrapping_sub)
}

#[inline(always)]
fn mul(a: Lanes, k: i32) -> Lanes {
    a.map(|v| v.wrapping_mul(k))
}

/// One dimension, for eight lines at once; `shift` takes the fraction away, rounded.
#[inline(always)]
fn pass(v: &[Lanes; 8], shift: u32) -> [Lanes; 8] {
    let z1 = mul(add(v[2], v[6]), 4433);
    let t2 = sub(z1, mul(v[6], 15137));
    let t3 = add(z1, mul(v[2], 6270));
    let t0 = add(v[0], v[4]).map(|x| x.wrapping_shl(13));
    let t1 = sub(v[0], v[4]).map(|x| x.wrapping_shl(13));
    let (e0, e3, e1, e2) = (add(t0, t3), sub(t0, t3), add(t1, t2), sub(t1, t2));

    let (z3, z4) = (add(v[7], v[3]), add(v[5], v[1]));
    let z5 = mul(add(z3, z4), 9633);
    let z1 = mul(add(v[7], v[1]), -7373);
    let z2 = mul(add(v[5], v[3]), -20995);
    let z3 = add(mul(z3, -16069), z5);
    let z4 = add(mul(z4, -3196), z5);
    let o0 = add(mul(v[7], 2446), add(z1, z3));
    let o1 = add(mul(v[5], 16819), add(z2, z4));
    let o2 = add(mul(v[3], 25172), add(z2, z3));
    let o3 = add(mul(v[1], 12299), add(z1, z4));

    let half = 1i32 << (shift - 1);
    let down = |a: Lanes| a.map(|x| x.wrapping_add(half) >> shift);
    [
        down(add(e0, o3)),
        down(add(e1, o2)),
        down(add(e2, o1)),
        down(add(e3, o0)),
        down(sub(e3, o0)),
        down(sub(e2, o1)),
        down(sub(e1, o2)),
        down(sub(e0, o3)),
    ]
}

#[inline(always)]
fn transpose(v: &[Lanes; 8]) -> [Lanes; 8] {
    std::array::from_fn(|r| std::array::from_fn(|c| v[c][r]))
}

/// One block of coefficients (in natural order, not dequantised) to 8x8 samples at `out`, lines `stride` apart.
#[inline(always)]
pub fn block(coefficients: &Block, quant: &[i32; 64], out: &mut [u8], stride: usize) {
    let rows = coefficients.as_chunks::<8>().0;
    let ac = coefficients[1..8].iter().chain(&coefficients[8..]).fold(0, |any, &c| any | c);
    if ac == 0 {
        // Both passes of a lone DC, exactly: the first shifts left by 2, the second rounds by 2 + 3 bits.
        let dc = i32::from(coefficients[0]).wrapping_mul(quant[0]).wrapping_shl(2).wrapping_add(16) >> 5;
        let value = (dc + 128).clamp(0, 255) as u8;
        for line in out.chunks_mut(stride).take(8) {
            line[..8].fill(value);
        }
        return;
    }
    let v: [Lanes; 8] = std::array::from_fn(|r| std::array::from_fn(|c| i32::from(rows[r][c]).wrapping_mul(quant[r * 8 + c])));
    let columns = pass(&v, 11);
    let done = transpose(&pass(&transpose(&columns), 18));
    for (line, values) in out.chunks_mut(stride).zip(&done) {
        let bytes: [u8; 8] = values.map(|x| x.wrapping_add(128).clamp(0, 255) as u8);
        line[..8].copy_from_slice(&bytes);
    }
}

/// A line of blocks to a line of 8x8 sample squares; the coefficients are set to zero for the next line when `clear`.
#[inline(always)]
pub fn line_of_blocks(blocks: &mut [Block], quant: &[i32; 64], out: &mut [u8], stride: usize, clear: bool) {
    for (i, b) in blocks.iter_mut().enumerate() {
        block(b, quant, &mut out[i * 8..], stride);
        if clear {
            *b = [0; 64];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, Stream};

    /// Against the definition in f64: the integer form stays within one level of it.
    #[test]
    fn it_is_an_inverse_dct() {
        let mut s = Stream::new(1, Purpose::Test, 0, 0);
        for round in 0..200 {
            let mut c = [0i16; 64];
            c[0] = s.below(800) as i16 - 400;
            for _ in 0..round % 12 {
                c[s.below(64) as usize] = s.below(120) as i16 - 60;
            }
            let mut out = [0u8; 64];
            block(&c, &[2; 64], &mut out, 8);
            for (y, x) in (0..64).map(|i| (i / 8, i % 8)) {
                let mut sum = 0.0;
                for (v, u) in (0..64).map(|i| (i / 8, i % 8)) {
                    let scale = |k: usize| if k == 0 { 0.5f64.sqrt() } else { 1.0 };
                    let angle = |p: usize, k: usize| ((2 * p + 1) as f64 * k as f64 * std::f64::consts::PI / 16.0).cos();
                    sum += scale(u) * scale(v) * f64::from(c[v * 8 + u]) * 2.0 * angle(x, u) * angle(y, v) / 4.0;
                }
                let expected = (sum + 128.0).clamp(0.0, 255.0);
                assert!((f64::from(out[y * 8 + x]) - expected).abs() < 0.6, "round {round}");
            }
        }
    }
}
