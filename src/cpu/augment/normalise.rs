//! `(value / 255 - mean) / std` of u8 values, each operation rounded to f32, without dividing.
//!
//! A quotient is made of a product with the reciprocal and one correction by fused operations, which gives the rounded quotient for nearly
//! every divisor (Markstein 1990); whether it does for these is looked at for all 256 values of each channel. Where it does not, or the
//! processor has no fused operations, every value is looked up in a table.

use super::super::Real;

/// Values of eight pixels are a whole number of vectors.
const GROUP: usize = 24;

pub(super) struct Normalise {
    table: [[f32; 256]; 3],
    /// Of the channel at each place of a group: mean, std, and the reciprocal of std. None: the table it is.
    by: Option<[[f32; GROUP]; 3]>,
}

impl Normalise {
    pub fn new(mean: [f32; 3], std: [f32; 3]) -> Self {
        let table = [0, 1, 2].map(|c| std::array::from_fn(|value| (value as f32 / 255.0 - mean[c]) / std[c]));
        let spread = |of: [f32; 3]| std::array::from_fn(|i| of[i % 3]);
        let by = [spread(mean), spread(std), spread(std.map(f32::recip))];
        let same = |value: usize, c: usize| quotient(value as u8, by[0][c], by[1][c], by[2][c]).to_bits() == table[c][value].to_bits();
        let exact = fuses() && (0..256).all(|value| (0..3).all(|c| same(value, c)));
        Self { table, by: exact.then_some(by) }
    }

    /// A row of RGB pixels.
    pub fn row<T: Real>(&self, line: &[u8], out: &mut [T]) {
        let done = match &self.by {
            Some(by) => {
                pulp::Arch::new().dispatch(Groups { by, line, out: &mut *out });
                line.len() / GROUP * GROUP
            }
            None => 0,
        };
        let rest = out[done..].as_chunks_mut::<3>().0.iter_mut().zip(line[done..].as_chunks::<3>().0);
        rest.for_each(|(out, pixel)| *out = [0, 1, 2].map(|c| T::of_f32(self.table[c][usize::from(pixel[c])])));
    }
}

/// Whether a fused multiply-add is an instruction here, not a call.
fn fuses() -> bool {
    #[cfg(target_arch = "x86_64")]
    return pulp::x86::V3::try_new().is_some();
    #[cfg(not(target_arch = "x86_64"))]
    cfg!(target_arch = "aarch64")
}

#[inline(always)]
fn quotient(value: u8, mean: f32, std: f32, reciprocal: f32) -> f32 {
    const TO_ONE: f32 = 1.0 / 255.0;
    let value = i32::from(value) as f32;
    let near = value * TO_ONE;
    let centred = near.mul_add(-255.0, value).mul_add(TO_ONE, near) - mean;
    let near = centred * reciprocal;
    near.mul_add(-std, centred).mul_add(reciprocal, near)
}

struct Groups<'a, T> {
    by: &'a [[f32; GROUP]; 3],
    line: &'a [u8],
    out: &'a mut [T],
}

impl<T: Real> pulp::NullaryFnOnce for Groups<'_, T> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let [mean, std, reciprocal] = self.by;
        for (out, values) in self.out.as_chunks_mut::<GROUP>().0.iter_mut().zip(self.line.as_chunks::<GROUP>().0) {
            for i in 0..GROUP {
                out[i] = T::of_f32(quotient(values[i], mean[i], std[i], reciprocal[i]));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both ways give the formula, for the means and deviations in use and for odd ones; ImageNet's are done without the table.
    #[test]
    fn rows_are_the_formula() {
        let line: Vec<u8> = (0..3 * 256 + 6).map(|i| (i * 85 % 256) as u8).collect();
        for (mean, std) in [
            ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
            ([0.5; 3], [0.5; 3]),
            ([0.0; 3], [1.0; 3]),
            ([0.1, -7.0, 1e-30], [3e38, 1e-40, 0.0]),
        ] {
            let by = Normalise::new(mean, std);
            assert!(std[0] > 1.0 || by.by.is_some() == fuses(), "{mean:?} {std:?}");
            for by in [Normalise { table: by.table, by: None }, by] {
                let (mut narrow, mut broad) = (vec![7.0f32; line.len()], vec![7.0f64; line.len()]);
                by.row(&line, &mut narrow);
                by.row(&line, &mut broad);
                for (i, &value) in line.iter().enumerate() {
                    let want = (f32::from(value) / 255.0 - mean[i % 3]) / std[i % 3];
                    assert_eq!(narrow[i].to_bits(), want.to_bits(), "{value} {mean:?} {std:?}");
                    assert_eq!(broad[i].to_bits(), f64::from(want).to_bits());
                }
            }
        }
    }
}
