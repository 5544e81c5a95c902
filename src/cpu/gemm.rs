//! The linear layer. Small beside the convolutions (1000 x 2048 weights, a few dozen rows), so it is cut along the weights alone: a
//! strip of filters (fprop, wgrad) or of input features (dgrad) per work item, and every item reads all rows of the batch.

use super::memory::expect_len;
use super::real::{Mat, gemm};
use super::{Cpu, Real, cut};
use crate::backend::Gemm;
use crate::error::{Error, Result};
use crate::shape::LinearProblem;
use rayon::prelude::*;

/// Filters of one work item.
const STRIP: usize = 64;

fn short(op: &str) -> Error {
    Error::internal("a matrix is shorter than its product needs").at(op.to_string())
}

/// `out[m, n] (+)= a[m, k] * b[k, n]` with the columns of `out` cut into strips. Every strip is computed in a tile of its own and
/// copied, since columns of a row-major matrix are not one slice.
fn by_columns<T: Real>(
    cpu: &Cpu<T>,
    op: &str,
    (m, n, k): (usize, usize, usize),
    a: Mat<T>,
    b: Mat<T>,
    out: &mut [T],
    add: bool,
) -> Result<()> {
    let mut tiles = cpu.scratch(m * n);
    let widths = (0..n).step_by(STRIP).map(|at| (n - at).min(STRIP));
    let work: Vec<_> = cut(tiles.as_mut_slice(), widths.map(|w| m * w)).into_iter().zip((0..n).step_by(STRIP)).collect();
    work.into_par_iter().try_for_each(|(tile, at)| {
        let width = (n - at).min(STRIP);
        let strip = Mat { data: b.data.get(at * b.column..).unwrap_or_default(), ..b };
        if gemm((m, width, k), a, strip, tile, width, false) { Ok(()) } else { Err(short(op)) }
    })?;
    for at in (0..n).step_by(STRIP) {
        let width = (n - at).min(STRIP);
        let tile = &tiles.as_slice()[m * at..m * (at + width)];
        for (row, tile) in out.chunks_exact_mut(n).zip(tile.chunks_exact(width)) {
            let row = &mut row[at..at + width];
            if add {
                row.iter_mut().zip(tile).for_each(|(o, &t)| *o += t);
            } else {
                row.copy_from_slice(tile);
            }
        }
    }
    Ok(())
}

impl<T: Real> Gemm for Cpu<T> {
    fn linear_fprop(&self, problem: &LinearProblem, x: &[T], w: &[T], bias: &[T], y: &mut [T]) -> Result<()> {
        const OP: &str = "linear_fprop";
        let LinearProblem { n, c, k } = *problem;
        expect_len(OP, "x", x.len(), n * c)?;
        expect_len(OP, "w", w.len(), k * c)?;
        expect_len(OP, "bias", bias.len(), k)?;
        expect_len(OP, "y", y.len(), n * k)?;
        if n * k == 0 {
            return Ok(());
        }
        // y^T = w * x^T: so the GEMM reads the rows of `w` where they are
        let mut transposed = self.scratch(n * k);
        transposed.as_mut_slice().par_chunks_mut(STRIP * n).enumerate().try_for_each(|(strip, out)| {
            let w = Mat::rows(w.get(strip * STRIP * c..).unwrap_or_default(), c);
            if gemm((out.len() / n, n, c), w, Mat::rows(x, c).transposed(), out, n, false) { Ok(()) } else { Err(short(OP)) }
        })?;
        for (i, row) in y.chunks_exact_mut(k).enumerate() {
            row.iter_mut().zip(transposed.as_slice().chunks_exact(n)).zip(bias).for_each(|((y, t), &b)| *y = t[i] + b);
        }
        Ok(())
    }

    fn linear_dgrad(&self, problem: &LinearProblem, dy: &[T], w: &[T], dx: &mut [T], accumulate: bool) -> Result<()> {
        const OP: &str = "linear_dgrad";
        let LinearProblem { n, c, k } = *problem;
        expect_len(OP, "dy", dy.len(), n * k)?;
        expect_len(OP, "w", w.len(), k * c)?;
        expect_len(OP, "dx", dx.len(), n * c)?;
        if n * c == 0 {
            return Ok(());
        }
        by_columns(self, OP, (n, c, k), Mat::rows(dy, k), Mat::rows(w, c), dx, accumulate)
    }

    fn linear_wgrad(&self, problem: &LinearProblem, x: &[T], dy: &[T], dw: &mut [T], dbias: &mut [T], accumulate: bool) -> Result<()> {
        const OP: &str = "linear_wgrad";
        let LinearProblem { n, c, k } = *problem;
        expect_len(OP, "x", x.len(), n * c)?;
        expect_len(OP, "dy", dy.len(), n * k)?;
        expect_len(OP, "dw", dw.len(), k * c)?;
        expect_len(OP, "dbias", dbias.len(), k)?;
        if k == 0 {
            return Ok(());
        }
        if c > 0 {
            dw.par_chunks_mut(STRIP * c).enumerate().try_for_each(|(strip, dw)| {
                let dy = Mat::rows(dy.get(strip * STRIP..).unwrap_or_default(), k).transposed();
                if gemm((dw.len() / c, c, n), dy, Mat::rows(x, c), dw, c, accumulate) { Ok(()) } else { Err(short(OP)) }
            })?;
        }
        if !accumulate {
            dbias.fill(T::ZERO);
        }
        dy.chunks_exact(k).for_each(|row| dbias.iter_mut().zip(row).for_each(|(b, &d)| *b += d));
        Ok(())
    }
}
