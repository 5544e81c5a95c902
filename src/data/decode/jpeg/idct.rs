//! The inverse DCT of libjpeg-turbo ("islow": Loeffler, Ligtenberg and Moschytz with 13-bit constants), bit for bit: that the pixels equal
//! Pillow's and torchvision's starts here. Also for coefficients that no encoder writes: sums and products wrap, and results saturate, at
//! 16 bits where they do in its vector code, which is what people run. This is the form for every processor; `idct_avx2` is the same in
//! vector instructions.

use super::colours::Colours;

/// One way to compute it, and the instructions that go with it.
pub trait Idct: Colours {
    /// Calls `f`, compiled for these instructions.
    fn run<F: pulp::NullaryFnOnce>(self, f: F) -> F::Output;

    /// One block of coefficients (in natural order, not dequantised) to 8x8 samples at the start of `out`, lines `stride` apart.
    fn block(self, coefficients: &Block, quant: &Quant, out: &mut [u8], stride: usize);
}

type Lanes = [i32; 8];
pub type Block = [i16; 64];
/// The bits of the table's values, in natural order.
pub type Quant = [i16; 64];

/// As 16 bits hold it.
#[inline(always)]
fn wrap(v: i32) -> i32 {
    i32::from(v as i16)
}

/// One dimension, for eight lines at once; `shift` takes the fraction away, rounded.
#[inline(always)]
fn pass(v: &[Lanes; 8], shift: u32) -> [Lanes; 8] {
    let mut out = [[0i32; 8]; 8];
    let half = 1i32 << (shift - 1);
    let end = |v: i32| (v >> shift).clamp(-32768, 32767);
    for l in 0..8 {
        let (v0, v1, v2, v3, v4, v5, v6, v7) = (v[0][l], v[1][l], v[2][l], v[3][l], v[4][l], v[5][l], v[6][l], v[7][l]);
        let (t2, t3) = (v2 * 4433 - v6 * 10704, v2 * 10703 + v6 * 4433);
        let (t0, t1) = (wrap(v0 + v4) << 13, wrap(v0 - v4) << 13);
        let (e0, e3, e1, e2) = (t0 + t3 + half, t0 - t3 + half, t1 + t2 + half, t1 - t2 + half);
        let (z3, z4) = (wrap(v7 + v3), wrap(v5 + v1));
        let (z3, z4) = (z4 * 9633 - z3 * 6436, z3 * 9633 + z4 * 6437);
        let o0 = (v7 * -4927 - v1 * 7373).wrapping_add(z3);
        let o1 = (v5 * -4176 - v3 * 20995).wrapping_add(z4);
        let o2 = (v5 * -20995 + v3 * 4177).wrapping_add(z3);
        let o3 = (v7 * -7373 + v1 * 4926).wrapping_add(z4);
        out[0][l] = end(e0.wrapping_add(o3));
        out[7][l] = end(e0.wrapping_sub(o3));
        out[1][l] = end(e1.wrapping_add(o2));
        out[6][l] = end(e1.wrapping_sub(o2));
        out[2][l] = end(e2.wrapping_add(o1));
        out[5][l] = end(e2.wrapping_sub(o1));
        out[3][l] = end(e3.wrapping_add(o0));
        out[4][l] = end(e3.wrapping_sub(o0));
    }
    out
}

/// Interleaves lines i and i + 4: three such shuffles transpose.
#[inline(always)]
fn shuffle(v: &[Lanes; 8]) -> [Lanes; 8] {
    let mut out = [[0; 8]; 8];
    for i in 0..4 {
        let (a, b) = (v[i], v[i + 4]);
        out[2 * i] = [a[0], b[0], a[1], b[1], a[2], b[2], a[3], b[3]];
        out[2 * i + 1] = [a[4], b[4], a[5], b[5], a[6], b[6], a[7], b[7]];
    }
    out
}

#[inline(always)]
fn transpose(v: &[Lanes; 8]) -> [Lanes; 8] {
    shuffle(&shuffle(&shuffle(v)))
}

/// Without instructions that only some processors have.
#[derive(Clone, Copy)]
pub struct Plain;

impl Idct for Plain {
    fn run<F: pulp::NullaryFnOnce>(self, f: F) -> F::Output {
        f.call()
    }

    fn block(self, coefficients: &Block, quant: &Quant, out: &mut [u8], stride: usize) {
        let mut v = [[0; 8]; 8];
        for r in 0..8 {
            for c in 0..8 {
                v[r][c] = i32::from(coefficients[r * 8 + c].wrapping_mul(quant[r * 8 + c]));
            }
        }
        // A short cut of libjpeg-turbo's, which does not saturate.
        let columns = if coefficients[8..].iter().all(|&c| c == 0) { [v[0].map(|c| wrap(c << 2)); 8] } else { pass(&v, 11) };
        let done = transpose(&pass(&transpose(&columns), 18));
        for (line, samples) in out.chunks_mut(stride).zip(&done) {
            for (o, s) in line.iter_mut().zip(samples) {
                *o = (s + 128).clamp(0, 255) as u8;
            }
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
            Plain.block(&c, &[2; 64], &mut out, 8);
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
