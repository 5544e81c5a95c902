//! Batch normalisation. `y` is a matrix of `pixels` rows of `channels`; a tile is a block of whole rows.
//!
//! Forward: one pass takes, per tile and channel, the sums of `d = y - first row of the tile` and of `d^2`; the shift makes the
//! second moment free of the mean, so f32 sums over a tile are enough. Tiles are combined in f64, in order, as in Chan, Golub and
//! LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances" (1979). A second pass applies.
//! Backward: one pass masks `d` and takes `sum d` and `sum d*(y-mean)`; a second writes `dy`. 3 + 4 passes over memory, the least
//! without fusing into the convolutions.

use super::memory::expect_len;
use super::{Buffer, Cpu, Real, wide};
use crate::backend::{Norm, NormProblem};
use crate::error::{Error, Result};
use rayon::prelude::*;

/// Elements of a tile, and the bounds of its rows: enough work for an item, and few enough tiles that combining them costs nothing.
const TILE: usize = 1 << 15;
const ROWS: (usize, usize) = (64, 512);

/// Rows of a tile. From the shape alone.
fn rows_per_tile(problem: &NormProblem) -> usize {
    (TILE / problem.channels).clamp(ROWS.0, ROWS.1)
}

/// Elements of the sums of all tiles, which both passes over statistics take.
pub(super) fn sums_len(problem: &NormProblem) -> usize {
    problem.pixels.div_ceil(rows_per_tile(problem)) * 2 * problem.channels
}

fn check(op: &str, problem: &NormProblem, lens: &[(&str, usize, usize)]) -> Result<()> {
    if problem.pixels < 2 || problem.channels == 0 {
        return Err(Error::internal(format!("needs at least two pixels and one channel, got {problem:?}")).at(op.to_string()));
    }
    lens.iter().try_for_each(|&(what, got, want)| expect_len(op, what, got, want))
}

/// What both forward passes take: its name, its length, and the length it must have.
fn forward_lens<T>(
    problem: &NormProblem,
    [y, gamma, beta, running, out]: [&[T]; 5],
    residual: Option<&[T]>,
) -> [(&'static str, usize, usize); 6] {
    let (c, len) = (problem.channels, problem.pixels * problem.channels);
    [
        ("y", y.len(), len),
        ("gamma", gamma.len(), c),
        ("beta", beta.len(), c),
        ("residual", residual.map_or(len, <[T]>::len), len),
        ("running", running.len(), 2 * c),
        ("out", out.len(), len),
    ]
}

impl<T: Real> Norm for Cpu<T> {
    fn norm_train(
        &self,
        problem: &NormProblem,
        y: &[T],
        gamma: &[T],
        beta: &[T],
        residual: Option<&[T]>,
        running: &mut [T],
        saved: &mut [T],
        out: &mut [T],
    ) -> Result<()> {
        const OP: &str = "norm_train";
        check(OP, problem, &forward_lens(problem, [y, gamma, beta, running, out], residual))?;
        let c = problem.channels;
        expect_len(OP, "saved", saved.len(), 2 * c)?;
        let (mean, variance) = statistics(self, problem, y);
        let count = problem.pixels as f64;
        let (running_mean, running_variance) = running.split_at_mut(c);
        let (saved_mean, saved_invstd) = saved.split_at_mut(c);
        let step = |old: &mut T, new: f64| *old = T::of_f64(old.to_f64() + problem.momentum * (new - old.to_f64()));
        for i in 0..c {
            step(&mut running_mean[i], mean[i]);
            step(&mut running_variance[i], variance[i] * count / (count - 1.0));
            saved_mean[i] = T::of_f64(mean[i]);
            saved_invstd[i] = T::of_f64(1.0 / (variance[i] + problem.eps).sqrt());
        }
        let scale: Vec<T> = gamma.iter().zip(&*saved_invstd).map(|(&g, &i)| g * i).collect();
        apply(problem, y, saved_mean, &scale, beta, residual, out);
        Ok(())
    }

    fn norm_eval(
        &self,
        problem: &NormProblem,
        y: &[T],
        gamma: &[T],
        beta: &[T],
        residual: Option<&[T]>,
        running: &[T],
        out: &mut [T],
    ) -> Result<()> {
        let lens = forward_lens(problem, [y, gamma, beta, running, out], residual);
        check("norm_eval", &NormProblem { pixels: problem.pixels.max(2), ..*problem }, &lens)?; // one pixel is enough here
        let (mean, variance) = running.split_at(problem.channels);
        let scale = |(v, g): (&T, &T)| T::of_f64(g.to_f64() / (v.to_f64() + problem.eps).sqrt());
        let scale: Vec<T> = variance.iter().zip(gamma).map(scale).collect();
        apply(problem, y, mean, &scale, beta, residual, out);
        Ok(())
    }

    fn norm_backward(
        &self,
        problem: &NormProblem,
        d: &mut [T],
        out: Option<&[T]>,
        y: &[T],
        gamma: &[T],
        saved: &[T],
        dgamma: &mut [T],
        dbeta: &mut [T],
        dy: &mut [T],
        accumulate_params: bool,
    ) -> Result<()> {
        const OP: &str = "norm_backward";
        let (c, len) = (problem.channels, problem.pixels * problem.channels);
        let lens = [
            ("d", d.len(), len),
            ("out", out.map_or(len, <[T]>::len), len),
            ("y", y.len(), len),
            ("gamma", gamma.len(), c),
            ("saved", saved.len(), 2 * c),
            ("dgamma", dgamma.len(), c),
            ("dbeta", dbeta.len(), c),
            ("dy", dy.len(), len),
        ];
        check(OP, problem, &lens)?;
        if problem.relu && out.is_none() {
            return Err(Error::internal("the mask of the ReLU needs `out`").at(OP));
        }
        let mask = out.filter(|_| problem.relu);
        let (mean, invstd) = saved.split_at(c);
        let (sum_d, sum_dy) = backward_sums(self, problem, d, mask, y, mean);

        // dy = gamma*invstd * (d - sum_d/N - (y-mean)*invstd^2*sum_dy/N), the coefficients folded per channel
        let count = problem.pixels as f64;
        let (mut a, mut b, mut e) = (vec![T::ZERO; c], vec![T::ZERO; c], vec![T::ZERO; c]);
        for i in 0..c {
            let inv = invstd[i].to_f64();
            let scale = gamma[i].to_f64() * inv;
            (a[i], b[i]) = (T::of_f64(scale), T::of_f64(-scale * inv * inv * sum_dy[i] / count));
            e[i] = T::of_f64(-scale * sum_d[i] / count);
            let (old_gamma, old_beta) = if accumulate_params { (dgamma[i].to_f64(), dbeta[i].to_f64()) } else { (0.0, 0.0) };
            dgamma[i] = T::of_f64(old_gamma + sum_dy[i] * inv);
            dbeta[i] = T::of_f64(old_beta + sum_d[i]);
        }
        let tile = rows_per_tile(problem) * c;
        dy.par_chunks_mut(tile).zip(d.par_chunks(tile).zip(y.par_chunks(tile))).for_each(|(dy, (d, y))| {
            wide(|| {
                for (dy, (d, y)) in dy.chunks_exact_mut(c).zip(d.chunks_exact(c).zip(y.chunks_exact(c))) {
                    gradient_row(dy, d, y, mean, &a, &b, &e);
                }
            });
        });
        Ok(())
    }
}

/// `out = act((y - mean) * scale + beta [+ residual])`. `y - mean` first: folding the mean into `beta` would cancel where the mean is
/// large.
fn apply<T: Real>(problem: &NormProblem, y: &[T], mean: &[T], scale: &[T], beta: &[T], residual: Option<&[T]>, out: &mut [T]) {
    let c = problem.channels;
    let tile = rows_per_tile(problem) * c;
    out.par_chunks_mut(tile).zip(y.par_chunks(tile)).enumerate().for_each(|(i, (out, y))| {
        let residual = residual.map(|r| &r[i * tile..i * tile + y.len()]);
        wide(|| {
            for (row, (out, y)) in out.chunks_exact_mut(c).zip(y.chunks_exact(c)).enumerate() {
                let residual = residual.map(|r| &r[row * c..(row + 1) * c]);
                // four loops without a branch inside
                match (residual, problem.relu) {
                    (None, false) => apply_row(out, y, y, mean, scale, beta, |v, _| v),
                    (None, true) => apply_row(out, y, y, mean, scale, beta, |v, _| relu(v)),
                    (Some(r), false) => apply_row(out, y, r, mean, scale, beta, |v, r| v + r),
                    (Some(r), true) => apply_row(out, y, r, mean, scale, beta, |v, r| relu(v + r)),
                }
            }
        });
    });
}

/// NaN compares false with zero and passes.
#[inline(always)]
fn relu<T: Real>(v: T) -> T {
    if v < T::ZERO { T::ZERO } else { v }
}

// The row functions below take slices as arguments and index them: so the compiler knows that they do not overlap and have one
// length, and vectorises without checks.

#[inline(always)]
fn apply_row<T: Real>(out: &mut [T], y: &[T], other: &[T], mean: &[T], scale: &[T], beta: &[T], end: impl Fn(T, T) -> T) {
    let n = out.len();
    let (y, other, mean, scale, beta) = (&y[..n], &other[..n], &mean[..n], &scale[..n], &beta[..n]);
    for i in 0..n {
        out[i] = end((y[i] - mean[i]) * scale[i] + beta[i], other[i]);
    }
}

// One row at a time: four at once would load the sums less often, but then a dozen rows stream from memory side by side, and the
// prefetchers lose them (measured: half the speed).

/// Adds `y - shift` and its square.
#[inline(always)]
fn moments_row<T: Real>(sum: &mut [T], square: &mut [T], y: &[T], shift: &[T]) {
    let n = sum.len();
    let (square, y, shift) = (&mut square[..n], &y[..n], &shift[..n]);
    for i in 0..n {
        let d = y[i] - shift[i];
        sum[i] += d;
        square[i] += d * d;
    }
}

/// Adds `d` and `d * (y - mean)`.
#[inline(always)]
fn backward_row<T: Real>(sum_d: &mut [T], sum_dy: &mut [T], d: &[T], y: &[T], mean: &[T]) {
    let n = sum_d.len();
    let (sum_dy, d, y, mean) = (&mut sum_dy[..n], &d[..n], &y[..n], &mean[..n]);
    for i in 0..n {
        sum_d[i] += d[i];
        sum_dy[i] += d[i] * (y[i] - mean[i]);
    }
}

/// The same after setting `d` to zero where `mask` is not positive.
#[inline(always)]
fn masked_backward_row<T: Real>(sum_d: &mut [T], sum_dy: &mut [T], d: &mut [T], mask: &[T], y: &[T], mean: &[T]) {
    let n = sum_d.len();
    let (sum_dy, d, mask, y, mean) = (&mut sum_dy[..n], &mut d[..n], &mask[..n], &y[..n], &mean[..n]);
    for i in 0..n {
        let g = d[i]; // loaded in any case: a conditional load does not vectorise
        let g = if mask[i] > T::ZERO { g } else { T::ZERO };
        d[i] = g;
        sum_d[i] += g;
        sum_dy[i] += g * (y[i] - mean[i]);
    }
}

/// `dy = a*d + b*(y - mean) + e`.
#[inline(always)]
fn gradient_row<T: Real>(dy: &mut [T], d: &[T], y: &[T], mean: &[T], a: &[T], b: &[T], e: &[T]) {
    let n = dy.len();
    let (d, y, mean, a, b, e) = (&d[..n], &y[..n], &mean[..n], &a[..n], &b[..n], &e[..n]);
    for i in 0..n {
        dy[i] = a[i] * d[i] + b[i] * (y[i] - mean[i]) + e[i];
    }
}

/// Mean and biased variance per channel.
fn statistics<T: Real>(cpu: &Cpu<T>, problem: &NormProblem, y: &[T]) -> (Vec<f64>, Vec<f64>) {
    let c = problem.channels;
    let rows = rows_per_tile(problem);
    let mut sums: Buffer<T> = cpu.scratch(sums_len(problem));
    sums.as_mut_slice().par_chunks_exact_mut(2 * c).zip(y.par_chunks(rows * c)).for_each(|(sums, y)| {
        wide(|| {
            sums.fill(T::ZERO);
            let (sum, square) = sums.split_at_mut(c);
            let shift = &y[..c];
            for y in y.chunks_exact(c) {
                moments_row(sum, square, y, shift);
            }
        });
    });
    let each = || sums.as_slice().chunks_exact(2 * c).zip(y.chunks(rows * c)).map(|(s, y)| (s, &y[..c], (y.len() / c) as f64));
    let count = problem.pixels as f64;
    let mut mean = vec![0.0; c];
    for (sums, shift, rows) in each() {
        for ((mean, sum), shift) in mean.iter_mut().zip(sums).zip(shift) {
            *mean += sum.to_f64() + rows * shift.to_f64();
        }
    }
    mean.iter_mut().for_each(|m| *m /= count);
    let mut variance = vec![0.0; c];
    for (sums, shift, rows) in each() {
        let (sum, square) = sums.split_at(c);
        for i in 0..c {
            let own = sum[i].to_f64() / rows;
            let off = shift[i].to_f64() + own - mean[i];
            variance[i] += (square[i].to_f64() - own * sum[i].to_f64()).max(0.0) + rows * off * off;
        }
    }
    variance.iter_mut().for_each(|v| *v /= count);
    (mean, variance)
}

/// Masks `d` in place; sums of `d` and of `d * (y - mean)` per channel.
fn backward_sums<T: Real>(
    cpu: &Cpu<T>,
    problem: &NormProblem,
    d: &mut [T],
    mask: Option<&[T]>,
    y: &[T],
    mean: &[T],
) -> (Vec<f64>, Vec<f64>) {
    let c = problem.channels;
    let tile = rows_per_tile(problem) * c;
    let mut sums = cpu.scratch(sums_len(problem));
    let work = sums.as_mut_slice().par_chunks_exact_mut(2 * c).zip(d.par_chunks_mut(tile).zip(y.par_chunks(tile)));
    work.enumerate().for_each(|(i, (sums, (d, y)))| {
        let mask = mask.map(|m| &m[i * tile..i * tile + d.len()]);
        wide(|| {
            sums.fill(T::ZERO);
            let (sum_d, sum_dy) = sums.split_at_mut(c);
            let rows = d.chunks_exact_mut(c).zip(y.chunks_exact(c));
            if let Some(mask) = mask {
                for ((d, y), m) in rows.zip(mask.chunks_exact(c)) {
                    masked_backward_row(sum_d, sum_dy, d, m, y, mean);
                }
            } else {
                for (d, y) in rows {
                    backward_row(sum_d, sum_dy, d, y, mean);
                }
            }
        });
    });
    let (mut sum_d, mut sum_dy) = (vec![0.0; c], vec![0.0; c]);
    for sums in sums.as_slice().chunks_exact(2 * c) {
        for i in 0..c {
            sum_d[i] += sums[i].to_f64();
            sum_dy[i] += sums[c + i].to_f64();
        }
    }
    (sum_d, sum_dy)
}
