//! Forward convolution as implicit GEMM: `y[pixels, k] = im2col(x)[pixels, r*s*c] * w[k, r*s*c]^T`, a tile of pixels per work item.
//! The filters are transposed once per call: the GEMM packs columns of its right-hand side, and packs them faster from rows.

use super::conv::short;
use super::im2col::Gather;
use super::paper::Scratch;
use super::real::{Mat, gemm};
use super::{Buffer, Cpu, Real, wide};
use crate::error::Result;
use crate::shape::ConvProblem;
use rayon::prelude::*;

/// Elements of an im2col tile. Larger than a second-level cache on purpose: the GEMM packs the filters anew for every tile, so tiles
/// must be tall; it reads the tile in slices that do fit.
const TILE: usize = 1 << 19;

/// Deepest tile. Beyond it the filter rows are gathered and multiplied one after the other.
const DEEP: usize = 2048;

/// Rows of a tile, from the shape alone: as tall as `TILE` allows, and a number of tiles that is shared evenly.
pub(super) fn tile_rows(rows: usize, depth: usize) -> usize {
    let tallest = (TILE / depth).clamp(256, 1024);
    // few rows: packing the filters for every tile weighs more than an even share
    let even = [(512, 2), (2048, 4)].iter().find(|few| rows < few.0).map_or(8, |few| few.1);
    let tiles = rows.div_ceil(tallest).next_multiple_of(even);
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

/// How `positions` outputs of `gather` are cut: filter rows multiplied one after the other, and rows of a tile.
fn tiling(gather: &Gather, positions: usize) -> (usize, usize) {
    let slices = if gather.depth() > DEEP { gather.r } else { 1 };
    (slices, tile_rows(positions, gather.depth() / slices))
}

/// What [`implicit_gemm`] takes, beside filters of `filters` elements.
pub(super) fn gemm_scratch(gather: &Gather, positions: usize, filters: usize) -> Scratch {
    let (slices, rows) = tiling(gather, positions);
    let each = if gather.is_identity() { Vec::new() } else { vec![rows * (gather.depth() / slices)] };
    Scratch { whole: vec![filters], each, items: positions.div_ceil(rows) }
}

/// What [`run`] takes.
pub(super) fn scratch(problem: &ConvProblem) -> Scratch {
    gemm_scratch(&Gather::of_fprop(problem), problem.y_len() / problem.k, problem.w_len())
}

pub(super) fn run<T: Real>(cpu: &Cpu<T>, problem: &ConvProblem, x: &[T], w: &[T], y: &mut [T]) -> Result<()> {
    let gather = Gather::of_fprop(problem);
    let filters = transposed(cpu, w, problem.k, gather.depth());
    implicit_gemm(cpu, problem, &gather, x, filters.as_slice(), y, false)
}

/// `out[positions, n] (+)= gathered(source)[positions, depth] * filters[depth, n]`, tile by tile. Forward convolution, and the
/// gradient by the input for stride 1.
pub(super) fn implicit_gemm<T: Real>(
    cpu: &Cpu<T>,
    problem: &ConvProblem,
    gather: &Gather,
    source: &[T],
    filters: &[T],
    out: &mut [T],
    accumulate: bool,
) -> Result<()> {
    let depth = gather.depth();
    let n = filters.len() / depth;
    let (slices, rows) = tiling(gather, out.len() / n);
    let slice = gather.rows_of_filter(0, gather.r / slices);
    let part = slice.depth();
    out.par_chunks_mut(rows * n).enumerate().try_for_each_init(
        || (!gather.is_identity()).then(|| cpu.scratch(rows * part)),
        |scratch, (tile, out)| {
            let positions = tile * rows..tile * rows + out.len() / n;
            let count = positions.len();
            for (r, filters) in filters.chunks_exact(part * n).enumerate() {
                let a = match scratch {
                    None => &source[positions.start * depth..positions.end * depth],
                    Some(scratch) => {
                        let scratch = scratch.as_mut_slice();
                        wide(|| gather.rows_of_filter(r * slice.r, slice.r).fill(source, positions.clone(), scratch));
                        &*scratch
                    }
                };
                if !gemm((count, n, part), Mat::rows(a, part), Mat::rows(filters, n), out, n, accumulate || r > 0) {
                    return Err(short(problem));
                }
            }
            Ok(())
        },
    )
}
