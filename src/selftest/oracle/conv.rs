//! Convolution and its gradients, row by row of the result: rows go in parallel, and of a large result a sample is enough.
//!
//! A row is what lies together in memory: the filters of a pixel (fprop), the channels of a pixel (dgrad) or of a tap (wgrad).

use crate::rng::{Purpose, Stream};
use crate::shape::ConvProblem;
use rayon::prelude::*;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pass {
    /// `y` from `x` and `w`.
    Fprop,
    /// `dx` from `dy` and `w`.
    Dgrad,
    /// `dw` from `x` and `dy`.
    Wgrad,
}

impl Pass {
    pub const ALL: [Self; 3] = [Self::Fprop, Self::Dgrad, Self::Wgrad];

    pub fn op(self) -> &'static str {
        match self {
            Self::Fprop => "conv_fprop",
            Self::Dgrad => "conv_dgrad",
            Self::Wgrad => "conv_wgrad",
        }
    }

    /// Lengths of the two operands and the result.
    pub fn lengths(self, pr: &ConvProblem) -> (usize, usize, usize) {
        match self {
            Self::Fprop => (pr.x_len(), pr.w_len(), pr.y_len()),
            Self::Dgrad => (pr.y_len(), pr.w_len(), pr.x_len()),
            Self::Wgrad => (pr.x_len(), pr.y_len(), pr.w_len()),
        }
    }

    /// Most products of one sum.
    pub fn terms(self, pr: &ConvProblem) -> usize {
        match self {
            Self::Fprop => pr.r * pr.s * pr.c,
            Self::Dgrad => pr.r * pr.s * pr.k,
            Self::Wgrad => pr.n * pr.p() * pr.q(),
        }
    }

    /// Elements of a row of the result.
    fn row_len(self, pr: &ConvProblem) -> usize {
        if self == Self::Fprop { pr.k } else { pr.c }
    }
}

/// Sums of products and the sums of their magnitudes.
#[derive(Clone, Debug, Default)]
pub struct Reference {
    pub values: Vec<f64>,
    pub magnitude: Vec<f64>,
    /// Which elements of the result these are, if not all.
    pub sample: Option<Vec<usize>>,
}

/// The result of a pass on operands `a` and `b`: all of it, or, if that takes more than `budget` multiplications, the first row, the last,
/// and as many between, drawn at random, as the budget allows.
pub fn reference(pass: Pass, pr: &ConvProblem, a: &[f64], b: &[f64], budget: u64) -> Reference {
    let (len, width) = (pass.lengths(pr).2, pass.row_len(pr));
    let all = len / width.max(1);
    let each = (pr.macs() / all.max(1) as u64).max(1);
    let affordable = usize::try_from(budget / each).unwrap_or(usize::MAX).max(8);
    let rows: Option<Vec<usize>> = (affordable < all).then(|| {
        let mut stream = Stream::new(17, Purpose::Test, 4, 0);
        let mut rows: Vec<usize> = (0..affordable - 2).map(|_| stream.below(all as u32) as usize).chain([0, all - 1]).collect();
        rows.sort_unstable();
        rows.dedup();
        rows
    });
    let count = rows.as_ref().map_or(all, Vec::len);
    let (mut values, mut magnitude) = (vec![0.0; count * width], vec![0.0; count * width]);
    values.par_chunks_mut(width).zip(magnitude.par_chunks_mut(width)).enumerate().for_each(|(i, (values, magnitude))| {
        let at = rows.as_ref().map_or(i, |r| r[i]);
        match pass {
            Pass::Fprop => fprop_row(pr, a, b, at, values, magnitude),
            Pass::Dgrad => dgrad_row(pr, a, b, at, values, magnitude),
            Pass::Wgrad => wgrad_row(pr, a, b, at, values, magnitude),
        }
    });
    let sample = rows.map(|rows| rows.iter().flat_map(|r| r * width..(r + 1) * width).collect());
    Reference { values, magnitude, sample }
}

/// Where tap `tap` of output `at` lies in the picture.
fn input(at: usize, tap: usize, pr: &ConvProblem, extent: usize) -> Option<usize> {
    (at * pr.stride + tap).checked_sub(pr.pad).filter(|&i| i < extent)
}

/// The output whose tap `tap` lies at `at` of the picture.
fn output(at: usize, tap: usize, pr: &ConvProblem, extent: usize) -> Option<usize> {
    let from = (at + pr.pad).checked_sub(tap)?;
    (from.is_multiple_of(pr.stride) && from / pr.stride < extent).then_some(from / pr.stride)
}

/// Sum of products and of magnitudes, in eight lanes for the compiler to use vectors.
fn dot(a: &[f64], b: &[f64]) -> (f64, f64) {
    let (mut sum, mut size) = ([0.0f64; 8], [0.0f64; 8]);
    let (whole_a, whole_b) = (a.chunks_exact(8), b.chunks_exact(8));
    let (rest_a, rest_b) = (whole_a.remainder(), whole_b.remainder());
    for (a, b) in whole_a.zip(whole_b) {
        for i in 0..8 {
            let product = a[i] * b[i];
            sum[i] += product;
            size[i] += product.abs();
        }
    }
    let (mut total, mut magnitude): (f64, f64) = (sum.iter().sum(), size.iter().sum());
    for (a, b) in rest_a.iter().zip(rest_b) {
        total += a * b;
        magnitude += (a * b).abs();
    }
    (total, magnitude)
}

fn add_scaled(factor: f64, row: &[f64], values: &mut [f64], magnitude: &mut [f64]) {
    for ((v, m), r) in values.iter_mut().zip(magnitude).zip(row) {
        let product = factor * r;
        *v += product;
        *m += product.abs();
    }
}

fn fprop_row(pr: &ConvProblem, x: &[f64], w: &[f64], pixel: usize, values: &mut [f64], magnitude: &mut [f64]) {
    let (j, i, n) = (pixel % pr.q(), pixel / pr.q() % pr.p(), pixel / pr.q() / pr.p());
    for r in 0..pr.r {
        for s in 0..pr.s {
            let (Some(y), Some(v)) = (input(i, r, pr, pr.h), input(j, s, pr, pr.w)) else { continue };
            let colours = &x[((n * pr.h + y) * pr.w + v) * pr.c..][..pr.c];
            for k in 0..pr.k {
                let (sum, size) = dot(colours, &w[((k * pr.r + r) * pr.s + s) * pr.c..][..pr.c]);
                values[k] += sum;
                magnitude[k] += size;
            }
        }
    }
}

fn dgrad_row(pr: &ConvProblem, dy: &[f64], w: &[f64], pixel: usize, values: &mut [f64], magnitude: &mut [f64]) {
    let (v, y, n) = (pixel % pr.w, pixel / pr.w % pr.h, pixel / pr.w / pr.h);
    for r in 0..pr.r {
        for s in 0..pr.s {
            let (Some(i), Some(j)) = (output(y, r, pr, pr.p()), output(v, s, pr, pr.q())) else { continue };
            let gradient = &dy[((n * pr.p() + i) * pr.q() + j) * pr.k..][..pr.k];
            for (k, d) in gradient.iter().enumerate() {
                add_scaled(*d, &w[((k * pr.r + r) * pr.s + s) * pr.c..][..pr.c], values, magnitude);
            }
        }
    }
}

fn wgrad_row(pr: &ConvProblem, x: &[f64], dy: &[f64], tap: usize, values: &mut [f64], magnitude: &mut [f64]) {
    let (s, r, k) = (tap % pr.s, tap / pr.s % pr.r, tap / pr.s / pr.r);
    for n in 0..pr.n {
        for i in 0..pr.p() {
            let Some(y) = input(i, r, pr, pr.h) else { continue };
            for j in 0..pr.q() {
                let Some(v) = input(j, s, pr, pr.w) else { continue };
                let d = dy[((n * pr.p() + i) * pr.q() + j) * pr.k + k];
                add_scaled(d, &x[((n * pr.h + y) * pr.w + v) * pr.c..][..pr.c], values, magnitude);
            }
        }
    }
}

/// Calls `f(index of y, index of x, index of w)` for every product of the convolution: its definition, from which the rows above are
/// tested.
pub fn conv_products(pr: &ConvProblem, mut f: impl FnMut(usize, usize, usize)) {
    let (p, q) = (pr.p(), pr.q());
    for n in 0..pr.n {
        for i in 0..p {
            for j in 0..q {
                for r in 0..pr.r {
                    for s in 0..pr.s {
                        let (y, x) = ((i * pr.stride + r) as isize - pr.pad as isize, (j * pr.stride + s) as isize - pr.pad as isize);
                        if y < 0 || x < 0 || y >= pr.h as isize || x >= pr.w as isize {
                            continue;
                        }
                        for k in 0..pr.k {
                            for c in 0..pr.c {
                                f(
                                    ((n * p + i) * q + j) * pr.k + k,
                                    ((n * pr.h + y as usize) * pr.w + x as usize) * pr.c + c,
                                    ((k * pr.r + r) * pr.s + s) * pr.c + c,
                                );
                            }
                        }
                    }
                }
            }
        }
    }
}

pub fn conv_fprop(pr: &ConvProblem, x: &[f64], w: &[f64]) -> Vec<f64> {
    reference(Pass::Fprop, pr, x, w, u64::MAX).values
}

pub fn conv_dgrad(pr: &ConvProblem, dy: &[f64], w: &[f64]) -> Vec<f64> {
    reference(Pass::Dgrad, pr, dy, w, u64::MAX).values
}

pub fn conv_wgrad(pr: &ConvProblem, x: &[f64], dy: &[f64]) -> Vec<f64> {
    reference(Pass::Wgrad, pr, x, dy, u64::MAX).values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selftest::numbers::integers;

    /// Every product of the definition, whatever the stride and the padding.
    #[test]
    fn rows_are_the_definition() {
        for (h, w, r, s, stride, pad) in
            [(5, 7, 3, 3, 1, 1), (8, 6, 3, 3, 2, 1), (9, 8, 7, 7, 2, 3), (6, 5, 1, 1, 2, 0), (7, 9, 3, 1, 3, 2)]
        {
            let pr = ConvProblem { n: 2, h, w, c: 3, k: 9, r, s, stride, pad };
            for pass in Pass::ALL {
                let (a, b, len) = pass.lengths(&pr);
                let (a, b) = (integers(1, a), integers(2, b));
                let (mut want, mut size) = (vec![0.0; len], vec![0.0; len]);
                conv_products(&pr, |iy, ix, iw| {
                    let (at, product) = match pass {
                        Pass::Fprop => (iy, a[ix] * b[iw]),
                        Pass::Dgrad => (ix, a[iy] * b[iw]),
                        Pass::Wgrad => (iw, a[ix] * b[iy]),
                    };
                    want[at] += product;
                    size[at] += product.abs();
                });
                let all = reference(pass, &pr, &a, &b, u64::MAX);
                assert_eq!((&all.values, &all.magnitude, &all.sample), (&want, &size, &None), "{pass:?} {pr:?}");
                let some = reference(pass, &pr, &a, &b, 1);
                let at = some.sample.unwrap();
                assert!(at[0] == 0 && *at.last().unwrap() == len - 1 && at.len() < len, "{pass:?} {pr:?}");
                assert_eq!(some.values, at.iter().map(|&i| want[i]).collect::<Vec<_>>(), "{pass:?} {pr:?}");
            }
        }
    }
}
