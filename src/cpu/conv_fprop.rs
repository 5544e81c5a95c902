//! Forward convolution as implicit GEMM: `y[pixels, k] = im2col(x)[pixels, r*s*c] * w[k, r*s*c]^T`, a tile of pixels per work item.

use super::conv::short;
use super::im2col::Gather;
use super::real::{Mat, gemm};
use super::{Cpu, Real, wide};
use crate::error::Result;
use crate::shape::ConvProblem;
use rayon::prelude::*;

/// Elements of an im2col tile: half of a typical second-level cache in f32.
const TILE: usize = 1 << 17;

/// Rows of a tile, from the shape alone: it fits the cache, and there are enough tiles to balance.
pub(super) fn tile_rows(rows: usize, depth: usize) -> usize {
    let fit = (TILE / depth).clamp(48, 1024);
    fit.min(rows.div_ceil(16).max(48)).next_multiple_of(16)
}

pub(super) fn run<T: Real>(cpu: &Cpu<T>, problem: &ConvProblem, x: &[T], w: &[T], y: &mut [T]) -> Result<()> {
    let ConvProblem { h, w: width, c, k, r, s, stride, pad, .. } = *problem;
    let origin = -(pad as isize);
    let gather = Gather { h, w: width, c, p: problem.p(), q: problem.q(), r, s, stride, row: origin, column: origin };
    let depth = gather.depth();
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
            let done = gemm((end - begin, k, depth), Mat::rows(a, depth), Mat::rows(w, depth).transposed(), y, k, false);
            if done { Ok(()) } else { Err(short(problem)) }
        },
    )
}
