//! Max-pooling with remembered positions and global average pooling. Work items are rows of the output (max-pool forward) or whole
//! pictures (the others); channels are the inner, vectorised loop.

use super::memory::{Bytes, expect_len};
use super::{Cpu, Real, wide};
use crate::backend::Pool;
use crate::error::{Error, Result};
use crate::shape::PoolProblem;
use rayon::prelude::*;
use std::ops::Range;

/// Checks that the window fits and that a position fits a byte.
fn check(op: &str, problem: &PoolProblem) -> Result<()> {
    let PoolProblem { h, w, window, stride, pad, .. } = *problem;
    if window == 0 || stride == 0 || window > 16 || pad >= window || h + 2 * pad < window || w + 2 * pad < window {
        return Err(Error::internal(format!("unusable problem {problem:?}")).at(op.to_string()));
    }
    Ok(())
}

/// The window's taps that fall inside a picture of extent `size`, for output coordinate `at`.
fn taps(problem: &PoolProblem, at: usize, size: usize) -> Range<usize> {
    let origin = at * problem.stride;
    let first = problem.pad.saturating_sub(origin);
    first..(size + problem.pad).saturating_sub(origin).min(problem.window)
}

impl<T: Real> Pool for Cpu<T> {
    fn max_pool(&self, problem: &PoolProblem, x: &[T], y: &mut [T], position: &mut Bytes) -> Result<()> {
        const OP: &str = "max_pool";
        check(OP, problem)?;
        let position = position.as_mut_slice();
        expect_len(OP, "x", x.len(), problem.x_len())?;
        expect_len(OP, "y", y.len(), problem.y_len())?;
        expect_len(OP, "position", position.len(), problem.y_len())?;
        if y.is_empty() {
            return Ok(());
        }
        let PoolProblem { h, w, c, window, stride, pad, .. } = *problem;
        let (p, q) = (problem.p(), problem.q());
        y.par_chunks_exact_mut(q * c).zip(position.par_chunks_exact_mut(q * c)).enumerate().for_each(|(row, (y, position))| {
            let (picture, i) = (row / p, row % p);
            wide(|| {
                for (j, (y, position)) in y.chunks_exact_mut(c).zip(position.chunks_exact_mut(c)).enumerate() {
                    let (rows, columns) = (taps(problem, i, h), taps(problem, j, w));
                    let tap = |r: usize, s: usize| &x[((picture * h + i * stride + r - pad) * w + j * stride + s - pad) * c..][..c];
                    let whole = c / LANES * LANES;
                    for at in (0..whole).step_by(LANES) {
                        block::<T, LANES>(&rows, &columns, window, |r, s| &tap(r, s)[at..], &mut y[at..], &mut position[at..]);
                    }
                    for at in whole..c {
                        block::<T, 1>(&rows, &columns, window, |r, s| &tap(r, s)[at..], &mut y[at..], &mut position[at..]);
                    }
                }
            });
        });
        Ok(())
    }

    fn max_pool_backward(&self, problem: &PoolProblem, dy: &[T], position: &Bytes, dx: &mut [T], accumulate: bool) -> Result<()> {
        const OP: &str = "max_pool_backward";
        check(OP, problem)?;
        let position = position.as_slice();
        expect_len(OP, "dy", dy.len(), problem.y_len())?;
        expect_len(OP, "position", position.len(), problem.y_len())?;
        expect_len(OP, "dx", dx.len(), problem.x_len())?;
        if dx.is_empty() {
            return Ok(());
        }
        let PoolProblem { h, w, c, window, stride, pad, .. } = *problem;
        let (p, q) = (problem.p(), problem.q());
        dx.par_chunks_exact_mut(w * c).enumerate().for_each(|(row, dx)| {
            let (picture, i) = (row / h, row % h);
            if !accumulate {
                dx.fill(T::ZERO);
            }
            // output rows whose window holds row i, in increasing order: a fixed order of the sums
            let first = (i + pad + 1).saturating_sub(window).div_ceil(stride);
            wide(|| {
                for out_row in first..((i + pad) / stride + 1).min(p) {
                    let r = i + pad - out_row * stride;
                    for out_column in 0..q {
                        let from = ((picture * p + out_row) * q + out_column) * c;
                        for s in taps(problem, out_column, w) {
                            let to = (out_column * stride + s - pad) * c;
                            give(&dy[from..from + c], &position[from..from + c], (r * window + s) as u8, &mut dx[to..to + c]);
                        }
                    }
                }
            });
        });
        Ok(())
    }

    fn average_pool(&self, n: usize, pixels: usize, c: usize, x: &[T], y: &mut [T]) -> Result<()> {
        expect_len("average_pool", "x", x.len(), n * pixels * c)?;
        expect_len("average_pool", "y", y.len(), n * c)?;
        if x.is_empty() {
            return Ok(());
        }
        y.par_chunks_exact_mut(c).zip(x.par_chunks_exact(pixels * c)).for_each(|(y, x)| {
            wide(|| {
                y.fill(T::ZERO);
                x.chunks_exact(c).for_each(|x| y.iter_mut().zip(x).for_each(|(y, &x)| *y += x));
                let count = T::of_f64(pixels as f64);
                y.iter_mut().for_each(|y| *y = *y / count);
            });
        });
        Ok(())
    }

    fn average_pool_backward(&self, n: usize, pixels: usize, c: usize, dy: &[T], dx: &mut [T], accumulate: bool) -> Result<()> {
        expect_len("average_pool_backward", "dy", dy.len(), n * c)?;
        expect_len("average_pool_backward", "dx", dx.len(), n * pixels * c)?;
        if dx.is_empty() {
            return Ok(());
        }
        dx.par_chunks_exact_mut(pixels * c).zip(dy.par_chunks_exact(c)).for_each(|(dx, dy)| {
            let count = T::of_f64(pixels as f64);
            wide(|| {
                for dx in dx.chunks_exact_mut(c) {
                    for (dx, &dy) in dx.iter_mut().zip(dy) {
                        let d = dy / count;
                        *dx = if accumulate { *dx + d } else { d };
                    }
                }
            });
        });
        Ok(())
    }
}

/// Channels of one block.
const LANES: usize = 16;

/// The maxima of `N` channels over the window. A later tap wins only if it is greater or NaN, and nothing beats a NaN but a later NaN
/// (as torch). Arrays of known length and positions as wide as the values: both are needed for the compiler to use vectors.
#[inline(always)]
fn block<'a, T: Real, const N: usize>(
    rows: &Range<usize>,
    columns: &Range<usize>,
    window: usize,
    tap: impl Fn(usize, usize) -> &'a [T],
    y: &mut [T],
    position: &mut [u8],
) {
    let (mut best, mut at) = ([T::ZERO; N], [0u32; N]);
    let mut first = true;
    for r in rows.clone() {
        for s in columns.clone() {
            let Some(x) = tap(r, s).first_chunk::<N>() else { return };
            let here = (r * window + s) as u32;
            for i in 0..N {
                let wins = first | (x[i] > best[i]) | x[i].is_nan();
                best[i] = if wins { x[i] } else { best[i] };
                at[i] = if wins { here } else { at[i] };
            }
            first = false;
        }
    }
    y[..N].copy_from_slice(&best);
    position[..N].copy_from_slice(&at.map(|at| at as u8));
}

/// One tap backwards: `dx` takes the gradients whose maximum was here.
#[inline(always)]
fn give<T: Real>(dy: &[T], position: &[u8], here: u8, dx: &mut [T]) {
    let n = dx.len();
    let (dy, position) = (&dy[..n], &position[..n]);
    for i in 0..n {
        let (d, at) = (dy[i], position[i]);
        dx[i] += if at == here { d } else { T::ZERO };
    }
}
