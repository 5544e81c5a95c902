//! From RGB to quantised coefficients with libjpeg's integer arithmetic: colours, chroma of half the size, the forward DCT ("islow"), and
//! division by the quantisation table. This is the form for every processor; `forward_avx2` is the same in vector instructions.

use super::tables::ZIGZAG;

pub type Block = [i16; 64];

/// Sixteen samples of each of eight lines: two blocks side by side.
pub type Pair = [[u8; 16]; 8];

/// One quantisation table, as divisions of DCT results (which are 8 times the coefficients) by multiplication. In natural order, each line
/// twice, for the two blocks of a pair. With `d` the eightfold quantiser, a quotient is exactly
/// `((|x| + half) * reciprocal >> 16) * scale >> 16`, as every `|x| + half` is below 2^15.
pub struct Divisors {
    pub half: [[u16; 16]; 8],
    pub reciprocal: [[u16; 16]; 8],
    pub scale: [[u16; 16]; 8],
    /// The quantisers in natural order.
    pub quant: [i16; 64],
}

impl Divisors {
    /// From a table in zigzag order.
    pub fn new(table: &[u8; 64]) -> Self {
        let (mut half, mut reciprocal, mut scale, mut quant) = ([[0; 16]; 8], [[0; 16]; 8], [[0; 16]; 8], [0; 64]);
        for (&q, &natural) in table.iter().zip(&ZIGZAG) {
            let d = u32::from(q) * 8;
            // The largest power of two below d, so that the reciprocal is in (2^15, 2^16) or just 2^15.
            let shift = (d - 1).ilog2();
            let (line, column) = (usize::from(natural / 8), usize::from(natural % 8));
            for column in [column, column + 8] {
                half[line][column] = (d / 2) as u16;
                reciprocal[line][column] = (1u32 << (16 + shift)).div_ceil(d) as u16;
                scale[line][column] = (1u32 << (16 - shift)) as u16;
            }
            quant[usize::from(natural)] = q.into();
        }
        Self { half, reciprocal, scale, quant }
    }
}

/// One way to compute it.
pub trait Forward: Copy {
    /// Sixteen pixels to Y, Cb and Cr.
    fn ycc(self, rgb: &[u8; 48]) -> [[u8; 16]; 3];

    /// Two lines of 32 samples to one of 16: means of four, rounded up and down in turn.
    fn halve(self, above: &[u8; 32], below: &[u8; 32]) -> [u8; 16];

    /// Two blocks of quantised coefficients in natural order, each with a bit for every nonzero one.
    fn pair(self, samples: &Pair, divisors: &Divisors) -> [(Block, u64); 2];
}

/// One dimension of the DCT over eight values. `SHIFT` is of the odd parts; the even ones without a fraction are shifted left by 2 in the
/// first pass and right by 2, rounded, in the second.
#[inline(always)]
fn pass(v: [i32; 8], first: bool) -> [i32; 8] {
    let shift = if first { 11 } else { 15 };
    let down = |x: i32| (x + (1 << (shift - 1))) >> shift;
    let even = |x: i32| if first { x << 2 } else { (x + 2) >> 2 };
    let (t0, t7, t1, t6) = (v[0] + v[7], v[0] - v[7], v[1] + v[6], v[1] - v[6]);
    let (t2, t5, t3, t4) = (v[2] + v[5], v[2] - v[5], v[3] + v[4], v[3] - v[4]);
    let (t10, t13, t11, t12) = (t0 + t3, t0 - t3, t1 + t2, t1 - t2);
    let z = (t12 + t13) * 4433;
    let (o2, o6) = (down(z + t13 * 6270), down(z - t12 * 15137));
    let (z1, z2, z3, z4) = (t4 + t7, t5 + t6, t4 + t6, t5 + t7);
    let z5 = (z3 + z4) * 9633;
    let (z1, z2, z3, z4) = (z1 * -7373, z2 * -20995, z3 * -16069 + z5, z4 * -3196 + z5);
    let (o7, o5) = (down(t4 * 2446 + z1 + z3), down(t5 * 16819 + z2 + z4));
    let (o3, o1) = (down(t6 * 25172 + z2 + z3), down(t7 * 12299 + z1 + z4));
    [even(t10 + t11), o1, o2, o3, even(t10 - t11), o5, o6, o7]
}

fn transpose(v: [[i32; 8]; 8]) -> [[i32; 8]; 8] {
    std::array::from_fn(|r| std::array::from_fn(|c| v[c][r]))
}

/// Without instructions that only some processors have.
#[derive(Clone, Copy)]
pub struct Plain;

impl Forward for Plain {
    fn ycc(self, rgb: &[u8; 48]) -> [[u8; 16]; 3] {
        let mut out = [[0; 16]; 3];
        for (i, p) in rgb.as_chunks::<3>().0.iter().enumerate() {
            let [r, g, b] = p.map(i32::from);
            let chroma = |sum: i32| ((sum + (128 << 16) + 32767) >> 16) as u8;
            out[0][i] = ((19595 * r + 38470 * g + 7471 * b + 32768) >> 16) as u8;
            out[1][i] = chroma(-11059 * r - 21709 * g + 32768 * b);
            out[2][i] = chroma(32768 * r - 27439 * g - 5329 * b);
        }
        out
    }

    fn halve(self, above: &[u8; 32], below: &[u8; 32]) -> [u8; 16] {
        std::array::from_fn(|i| {
            let sum = [above[2 * i], above[2 * i + 1], below[2 * i], below[2 * i + 1]].map(u16::from).iter().sum::<u16>();
            ((sum + 1 + (i as u16 & 1)) >> 2) as u8
        })
    }

    fn pair(self, samples: &Pair, divisors: &Divisors) -> [(Block, u64); 2] {
        [0, 8].map(|from| {
            let lines = samples.map(|line| std::array::from_fn(|c| i32::from(line[from + c]) - 128));
            let turned = transpose(lines.map(|line| pass(line, true)));
            let columns = turned.map(|column| pass(column, false));
            let (mut block, mut bits) = ([0; 64], 0);
            for (i, value) in block.iter_mut().enumerate() {
                let (x, line, column) = (columns[i % 8][i / 8], i / 8, i % 8);
                let n = x.unsigned_abs() + u32::from(divisors.half[line][column]);
                let q = (((n * u32::from(divisors.reciprocal[line][column])) >> 16) * u32::from(divisors.scale[line][column])) >> 16;
                *value = if x < 0 { -(q as i16) } else { q as i16 };
                bits |= u64::from(q != 0) << i;
            }
            (block, bits)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// For every quantiser and every value that a DCT gives: division with halves rounded away from zero.
    #[test]
    fn multiplication_divides_exactly() {
        for q in 1..=255u8 {
            let divisors = Divisors::new(&[q; 64]);
            let d = u32::from(q) * 8;
            for x in 0..=16400 {
                let n = x + u32::from(divisors.half[0][0]);
                let found = (((n * u32::from(divisors.reciprocal[0][0])) >> 16) * u32::from(divisors.scale[0][0])) >> 16;
                assert_eq!(found, (x + d / 2) / d, "{x} by {d}");
            }
        }
    }

    /// Against the definition in f64, within one step of the finest table.
    #[test]
    fn it_is_a_dct() {
        let samples: Pair = std::array::from_fn(|y| std::array::from_fn(|x| ((x * 37 + y * 91 + x * y * 13) % 256) as u8));
        let blocks = Plain.pair(&samples, &Divisors::new(&[1; 64]));
        for (b, (block, bits)) in blocks.iter().enumerate() {
            for (v, u) in (0..64).map(|i| (i / 8, i % 8)) {
                let mut sum = 0.0;
                for (y, x) in (0..64).map(|i| (i / 8, i % 8)) {
                    let angle = |p: usize, k: usize| ((2 * p + 1) as f64 * k as f64 * std::f64::consts::PI / 16.0).cos();
                    sum += (f64::from(samples[y][b * 8 + x]) - 128.0) * angle(x, u) * angle(y, v);
                }
                let scale = |k: usize| if k == 0 { 0.5f64.sqrt() } else { 1.0 };
                let expected = sum * scale(u) * scale(v) / 4.0;
                let found = block[v * 8 + u];
                assert!((f64::from(found) - expected).abs() < 0.6, "{found} for {expected}");
                assert_eq!(found != 0, bits >> (v * 8 + u) & 1 == 1);
            }
        }
    }
}
