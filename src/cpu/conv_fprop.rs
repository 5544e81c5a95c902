//! Forward convolution as implicit GEMM: `y[pixels, k] = im2col(x)[pixels, r*s*c] * w[k, r*s*c]^T`, a tile of pixels per work item.
//! The filters are transposed once per call: the GEMM packs columns of its right-hand side, and packs them faster from rows.

use super::conv::short;
use super::im2col::Gather;
use super::real::{Mat, gemm};
use super::{Buffer, Cpu, Real, wide};
use crate::error::Result;
use crate::shape::ConvProblem;
use rayon::prelude::*;

/// Elements of an im2col tile. Larger than the second-level cache on purpose: the GEMM packs the filters anew for every tile, so tiles
/// must be tall; a tile is read from the third-level cache in slices that do fit.
const TILE: usize = 1 << 19;

/// Rows of a tile, from the shape alone: as tall as `TILE` allows, and a number of tiles that eight threads share evenly.
pub(super) fn tile_rows(rows: usize, depth: usize) -> usize {
    let tallest = (TILE / depth).clamp(96, 1024);
    let tiles = rows.div_ceil(tallest).next_multiple_of(8);
    rows.div_ceil(tiles).max(48).next_multiple_of(4)
}

/// `w[rows, columns]` transposed, in blocks of 16 x 16 so that whole cache lines are read and written.
pub(super) fn transposed<T: Real>(cpu: &Cpu<T>, w: &[T], rows: usize, columns: usize) -> Buffer<T> {
    const BLOCK: usize = 16;
    let mut out = cpu.scratch(w.len());
    out.as_mut_slice().par_chunks_mut(BLOCK * rows).enumerate().for_each(|(strip, out)| {
        let first = strip * BLOCK;
        let width = out.len() / rows;
        let mut block = [[T::ZERO; BLOCK]; BLOCK];
        for at in (0..rows).step_by(BLOCK) {
            let height = (rows - at).min(BLOCK);
            for (i, from) in w[at * columns..].chunks(columns).take(height).enumerate() {
                for (j, &v) in from[first..first + width].iter().enumerate() {
                    block[j][i] = v;
                }
            }
            for (to, block) in out.chunks_exact_mut(rows).zip(&block) {
                to[at..at + height].copy_from_slice(&block[..height]);
            }
        }
    });
    out
}

pub(super) fn run<T: Real>(cpu: &Cpu<T>, problem: &ConvProblem, x: &[T], w: &[T], y: &mut [T]) -> Result<()> {
    let ConvProblem { h, w: width, c, k, r, s, stride, pad, .. } = *problem;
    let origin = -(pad as isize);
    let gather = Gather { h, w: width, c, p: problem.p(), q: problem.q(), r, s, stride, row: origin, column: origin };
    let depth = gather.depth();
    let filters = transposed(cpu, w, k, depth);
    let rows = tile_rows(y.len() / k, depth);
    y.par_chunks_mut(rows * k).enumerate().try_for_each_init(
        || (!gather.is_identity()).then(|| cpu.scratch(rows * depth)),
        |scratch, (tile, y)| {
            let begin = tile * rows;
            let end = begin + y.len() / k;
            let a = match scratch {
                None => &x[begin * depth..end * depth],
                Some(scratch) => {
                    let scratch = scratch.as_mut_slice();
                    wide(|| gather.fill(x, begin..end, scratch));
                    &*scratch
                }
            };
            let done = gemm((end - begin, k, depth), Mat::rows(a, depth), Mat::rows(filters.as_slice(), k), y, k, false);
            if done { Ok(()) } else { Err(short(problem)) }
        },
    )
}
