//! Gradient by the filters: `dw[k, r*s*c] = dy[pixels, k]^T * im2col(x)[pixels, r*s*c]`.
//!
//! `dw` is cut into blocks: groups of columns (all of them while they are few, else one filter row, else one tap: a group gathers
//! only its own columns, so nothing is gathered twice) by strips of filters. The sum over pixels is cut into splits. A work item is
//! one block of one split, a matrix of its own summed tile by tile; then the splits are added in order. All numbers depend on the
//! shape alone, and no two threads ever add to the same number.

use super::conv::short;
use super::im2col::Gather;
use super::real::{Mat, gemm};
use super::{Cpu, Real, cut, wide};
use crate::error::Result;
use crate::shape::ConvProblem;
use rayon::prelude::*;
use std::ops::Range;

/// Most columns of a group, if filter rows or taps can be told apart.
const COLUMNS: usize = 1024;
/// Filters of a strip. More strips would pack `x` more often.
const STRIP: usize = 256;
/// Work items aimed at.
const ITEMS: usize = 16;
/// Elements of a gathered tile.
const TILE: usize = 1 << 18;

/// A block of `dw`: some filters, some columns.
struct Block {
    gather: Gather,
    filters: Range<usize>,
    column: usize,
}

impl Block {
    fn len(&self) -> usize {
        self.filters.len() * self.gather.depth()
    }
}

fn blocks(problem: &ConvProblem) -> Vec<Block> {
    let whole = Gather::of_fprop(problem);
    let ConvProblem { c, k, r, s, .. } = *problem;
    let groups: Vec<(Gather, usize)> = if whole.depth() <= COLUMNS {
        vec![(whole, 0)]
    } else if s * c <= COLUMNS {
        (0..r).map(|i| (whole.rows_of_filter(i, 1), i * s * c)).collect()
    } else {
        (0..r * s).map(|i| (whole.tap(i / s, i % s), i * c)).collect()
    };
    // groups already share the work; strips only where there is one group
    let strip = if groups.len() == 1 { STRIP } else { k };
    let strips = |(gather, column)| (0..k).step_by(strip).map(move |at| Block { gather, filters: at..(at + strip).min(k), column });
    groups.into_iter().flat_map(strips).collect()
}

pub(super) fn run<T: Real>(cpu: &Cpu<T>, problem: &ConvProblem, x: &[T], dy: &[T], dw: &mut [T], accumulate: bool) -> Result<()> {
    let depth = dw.len() / problem.k;
    let pixels = dy.len() / problem.k;
    let blocks = blocks(problem);
    let splits = (ITEMS / blocks.len()).clamp(1, pixels.div_ceil(1024));
    let share = pixels.div_ceil(splits);
    let mut parts = cpu.scratch(splits * dw.len());
    let lengths = (0..splits).flat_map(|_| blocks.iter().map(Block::len));
    let work: Vec<_> = cut(parts.as_mut_slice(), lengths).into_iter().enumerate().collect();
    work.into_par_iter().try_for_each(|(item, part)| {
        let split = item / blocks.len();
        let range = split * share..((split + 1) * share).min(pixels);
        sum(cpu, problem, &blocks[item % blocks.len()], x, dy, part, range)
    })?;

    let (parts, len) = (parts.as_slice(), dw.len());
    dw.par_chunks_exact_mut(depth).enumerate().for_each(|(filter, dw)| {
        let mut begin = 0;
        for block in &blocks {
            let width = block.gather.depth();
            if block.filters.contains(&filter) {
                let at = begin + (filter - block.filters.start) * width;
                let dw = &mut dw[block.column..block.column + width];
                wide(|| {
                    if !accumulate {
                        dw.fill(T::ZERO);
                    }
                    for part in parts.chunks_exact(len) {
                        dw.iter_mut().zip(&part[at..]).for_each(|(d, &p)| *d += p);
                    }
                });
            }
            begin += block.len();
        }
    });
    Ok(())
}

/// The block's sum over `pixels`, into `part`.
fn sum<T: Real>(cpu: &Cpu<T>, problem: &ConvProblem, block: &Block, x: &[T], dy: &[T], part: &mut [T], pixels: Range<usize>) -> Result<()> {
    let (k, width) = (problem.k, block.gather.depth());
    if pixels.is_empty() {
        part.fill(T::ZERO);
        return Ok(());
    }
    let rows = (TILE / width).clamp(256, 1024).min(pixels.len());
    let mut scratch = (!block.gather.is_identity()).then(|| cpu.scratch(rows * width));
    for at in pixels.clone().step_by(rows) {
        let stop = (at + rows).min(pixels.end);
        let b = match &mut scratch {
            None => &x[at * width..stop * width],
            Some(scratch) => {
                let scratch = scratch.as_mut_slice();
                wide(|| block.gather.fill(x, at..stop, scratch));
                &*scratch
            }
        };
        let a = Mat::rows(&dy[at * k + block.filters.start..stop * k], k).transposed();
        if !gemm((block.filters.len(), width, stop - at), a, Mat::rows(b, width), part, width, at > pixels.start) {
            return Err(short(problem));
        }
    }
    Ok(())
}
