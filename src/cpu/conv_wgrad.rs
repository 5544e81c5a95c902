//! Gradient by the filters: `dw[k, r*s*c] = dy[pixels, k]^T * im2col(x)[pixels, r*s*c]`.
//!
//! `dw` is cut into blocks: groups of columns (all of them while they are few, else one filter row, else one tap: a group gathers
//! only its own columns, so nothing is gathered twice) by strips of filters. The sum over pixels is cut into splits. A work item is
//! one block of one split, a matrix of its own summed tile by tile; then the splits are added in order. All numbers depend on the
//! shape alone, and no two threads ever add to the same number.

use super::conv::short;
use super::im2col::Gather;
use super::paper::Scratch;
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

/// Splits of a sum over `pixels`, and pixels of each.
fn splits(blocks: usize, pixels: usize) -> (usize, usize) {
    let splits = (ITEMS / blocks).clamp(1, pixels.div_ceil(1024));
    (splits, pixels.div_ceil(splits))
}

/// Rows of a block's gathered tile, of `pixels`.
fn tile_rows(width: usize, pixels: usize) -> usize {
    (TILE / width).clamp(256, 1024).min(pixels)
}

/// What [`run`] takes.
pub(super) fn scratch(problem: &ConvProblem) -> Scratch {
    let blocks = blocks(problem);
    let (splits, share) = splits(blocks.len(), problem.y_len() / problem.k);
    let tile = |b: &Block| if b.gather.is_identity() { 0 } else { tile_rows(b.gather.depth(), share) * b.gather.depth() };
    let each = blocks.iter().map(tile).max().into_iter().filter(|&len| len > 0).collect();
    Scratch { whole: vec![splits * problem.w_len()], each, items: splits * blocks.len() }
}

pub(super) fn run<T: Real>(cpu: &Cpu<T>, problem: &ConvProblem, x: &[T], dy: &[T], dw: &mut [T], accumulate: bool) -> Result<()> {
    let depth = dw.len() / problem.k;
    let pixels = dy.len() / problem.k;
    let blocks = blocks(problem);
    let (splits, share) = splits(blocks.len(), pixels);
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
    let rows = tile_rows(width, pixels.len());
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
