//! Gradient by the input. Pixel `h` of `dx` hears filter row `r` of output row `p` where `p*stride - pad + r = h`. So pixels fall into
//! `stride^2` parity classes `(h+pad) % stride, (w+pad) % stride`; within a class the taps `r = class + stride*j` meet `dy` at
//! `p = (h+pad)/stride - j`: an ordinary stride-1 convolution of `dy` with the class's taps, mirrored and transposed. No
//! multiplication by inserted zeros, no scatter-add. Classes without taps are zeros (nothing, if accumulating).
//!
//! With stride 1 there is one class, and the GEMM writes (or adds to) `dx` itself. Otherwise a class is computed in a tile and its
//! rows are dealt out to `dx`; a work item is a run of whole pictures or rows of one picture, all classes.

use super::conv::short;
use super::conv_fprop::{gemm_scratch, implicit_gemm, tile_rows};
use super::im2col::Gather;
use super::paper::Scratch;
use super::real::{Mat, gemm};
use super::{Buffer, Cpu, Real, cut, wide};
use crate::error::Result;
use crate::shape::ConvProblem;
use rayon::prelude::*;
use std::ops::Range;

/// One parity class of one axis.
#[derive(Clone, Copy, Debug)]
struct Axis {
    /// First pixel of the class.
    first: usize,
    /// Pixels of the class.
    count: usize,
    /// Filter tap `class + stride*j`, for j below `taps`.
    class: usize,
    taps: usize,
    /// `dy` coordinate that the first pixel meets with the mirrored tap 0.
    origin: isize,
}

fn axis(class: usize, size: usize, filter: usize, stride: usize, pad: usize) -> Axis {
    let first = (class + stride - pad % stride) % stride; // smallest h with (h + pad) % stride == class
    let count = if first < size { (size - first).div_ceil(stride) } else { 0 };
    let taps = if class < filter { (filter - class).div_ceil(stride) } else { 0 };
    let origin = ((first + pad) / stride) as isize - taps as isize + 1;
    Axis { first, count, class, taps, origin }
}

/// A class of both axes.
#[derive(Clone, Copy)]
struct Class {
    row: Axis,
    column: Axis,
}

/// The classes that have pixels.
fn classes(problem: &ConvProblem) -> Vec<Class> {
    let ConvProblem { h, w, r, s, stride, pad, .. } = *problem;
    let each = (0..stride).flat_map(|a| (0..stride).map(move |b| (a, b)));
    let class = |(a, b)| Class { row: axis(a, h, r, stride, pad), column: axis(b, w, s, stride, pad) };
    each.map(class).filter(|c| c.row.count * c.column.count > 0).collect()
}

impl Class {
    /// Elements of its filters `[taps, taps, k, c]`.
    fn filters(&self, problem: &ConvProblem) -> usize {
        self.row.taps * self.column.taps * problem.k * problem.c
    }

    fn gather(&self, problem: &ConvProblem) -> Gather {
        Gather {
            h: problem.p(),
            w: problem.q(),
            c: problem.k,
            p: self.row.count,
            q: self.column.count,
            r: self.row.taps,
            s: self.column.taps,
            stride: 1,
            row: self.row.origin,
            column: self.column.origin,
        }
    }
}

/// Filters of a class, mirrored, with the taps outermost: `[t, u, k, c]`, the right-hand side of the class's GEMM.
fn class_filters<T: Real>(cpu: &Cpu<T>, problem: &ConvProblem, class: &Class, w: &[T]) -> Buffer<T> {
    let ConvProblem { c, k, s, stride, .. } = *problem;
    let Class { row, column } = *class;
    let mut filters = cpu.scratch(class.filters(problem));
    if filters.as_slice().is_empty() {
        return filters;
    }
    filters.as_mut_slice().par_chunks_exact_mut(k * c).enumerate().for_each(|(tap, out)| {
        let (t, u) = (tap / column.taps, tap % column.taps);
        let r_tap = row.class + stride * (row.taps - 1 - t);
        let s_tap = column.class + stride * (column.taps - 1 - u);
        for (k, out) in out.chunks_exact_mut(c).enumerate() {
            let from = ((k * problem.r + r_tap) * s + s_tap) * c;
            out.copy_from_slice(&w[from..from + c]);
        }
    });
    filters
}

/// Pixels, or the most of them, that one work item of `run` has.
fn pieces(problem: &ConvProblem) -> Vec<(Range<usize>, Range<usize>)> {
    let ConvProblem { n, h, w: width, stride, .. } = *problem;
    // pictures per work item, or pieces per picture: about 4096 pixels each
    let together = (4096 / (h * width)).clamp(1, n.div_ceil(4));
    let rows = (4096 / width).clamp(1, h).next_multiple_of(stride).min(h);
    if together > 1 || rows == h {
        (0..n).step_by(together).map(|at| (at..(at + together).min(n), 0..h)).collect()
    } else {
        (0..n).flat_map(|at| (0..h).step_by(rows).map(move |y| (at..at + 1, y..(y + rows).min(h)))).collect()
    }
}

/// Rows of the class inside the rows `rows` of a picture.
fn inside(class: &Class, stride: usize, rows: &Range<usize>) -> (usize, usize) {
    let index = |y: usize| y.saturating_sub(class.row.first).div_ceil(stride).min(class.row.count);
    (index(rows.start), index(rows.end))
}

/// Positions of a class that are computed at a time, of `positions`: whole rows of it.
fn step(gather: &Gather, positions: usize) -> usize {
    (tile_rows(positions, gather.depth()) / gather.q).max(1) * gather.q
}

/// What [`run`] takes.
pub(super) fn scratch(problem: &ConvProblem) -> Scratch {
    let classes = classes(problem);
    if problem.stride == 1 {
        let gathered = |c: &Class| gemm_scratch(&c.gather(problem), problem.x_len() / problem.c, c.filters(problem));
        return classes.first().map_or_else(Scratch::default, gathered);
    }
    let pieces = pieces(problem);
    let (mut tile, mut result) = (0, 0);
    for class in &classes {
        let gather = class.gather(problem);
        // The first item is as large as any.
        let Some((pictures, rows)) = pieces.first().filter(|_| gather.depth() > 0) else { continue };
        let (begin, end) = inside(class, problem.stride, rows);
        let positions = ((pictures.end - 1) * gather.p + end).saturating_sub(pictures.start * gather.p + begin) * gather.q;
        if positions > 0 {
            let step = step(&gather, positions);
            tile = tile.max(if gather.is_identity() { 0 } else { step * gather.depth() });
            result = result.max(step * problem.c);
        }
    }
    let each = [tile, result].into_iter().filter(|&len| len > 0).collect();
    Scratch { whole: classes.iter().map(|c| c.filters(problem)).collect(), each, items: pieces.len() }
}

pub(super) fn run<T: Real>(cpu: &Cpu<T>, problem: &ConvProblem, dy: &[T], w: &[T], dx: &mut [T], accumulate: bool) -> Result<()> {
    let ConvProblem { w: width, stride, .. } = *problem;
    let classes: Vec<_> = classes(problem).into_iter().map(|class| (class, class_filters(cpu, problem, &class, w))).collect();
    if stride == 1 {
        let [(class, filters)] = &classes[..] else { return Ok(()) };
        return implicit_gemm(cpu, problem, &class.gather(problem), dy, filters.as_slice(), dx, accumulate);
    }
    let pieces = pieces(problem);
    let lengths = pieces.iter().map(|(pictures, rows)| pictures.len() * rows.len() * width * problem.c);
    let work: Vec<_> = cut(dx, lengths).into_iter().zip(&pieces).collect();
    work.into_par_iter().try_for_each(|(dx, (pictures, rows))| {
        classes.iter().try_for_each(|class| dealt(cpu, problem, class, dy, dx, pictures, rows, accumulate))
    })
}

/// One class of one work item: the pixels of `pictures` in `rows` (all rows, if several pictures).
#[allow(clippy::too_many_arguments)]
fn dealt<T: Real>(
    cpu: &Cpu<T>,
    problem: &ConvProblem,
    (class, filters): &(Class, Buffer<T>),
    dy: &[T],
    dx: &mut [T],
    pictures: &Range<usize>,
    rows: &Range<usize>,
    accumulate: bool,
) -> Result<()> {
    let ConvProblem { w: width, c, stride, .. } = *problem;
    let gather = class.gather(problem);
    let (depth, q) = (gather.depth(), gather.q);
    let (begin, end) = inside(class, stride, rows);
    let mut put = |picture: usize, i: usize, values: Option<&[T]>| {
        let y = class.row.first + i * stride - rows.start;
        let line = ((picture - pictures.start) * rows.len() + y) * width;
        for j in 0..q {
            let at = (line + class.column.first + j * stride) * c;
            let out = &mut dx[at..at + c];
            match values {
                Some(values) if accumulate => out.iter_mut().zip(&values[j * c..]).for_each(|(o, &v)| *o += v),
                Some(values) => out.copy_from_slice(&values[j * c..(j + 1) * c]),
                None if accumulate => {}
                None => out.fill(T::ZERO),
            }
        }
    };
    if depth == 0 {
        pictures.clone().for_each(|n| (begin..end).for_each(|i| put(n, i, None)));
        return Ok(());
    }
    if begin == end {
        return Ok(());
    }
    let first = (pictures.start * gather.p + begin) * q;
    let last = ((pictures.end - 1) * gather.p + end) * q;
    let step = step(&gather, last - first);
    let mut tile = (!gather.is_identity()).then(|| cpu.scratch(step * depth));
    let mut result = cpu.scratch(step * c);
    for at in (first..last).step_by(step) {
        let positions = at..(at + step).min(last);
        let count = positions.len();
        let a = match &mut tile {
            None => &dy[at * depth..(at + count) * depth],
            Some(tile) => {
                let tile = tile.as_mut_slice();
                wide(|| gather.fill(dy, positions, tile));
                &*tile
            }
        };
        let result = result.as_mut_slice();
        if !gemm((count, c, depth), Mat::rows(a, depth), Mat::rows(filters.as_slice(), c), result, c, false) {
            return Err(short(problem));
        }
        for (row, values) in result.chunks_exact(q * c).take(count / q).enumerate() {
            let line = at / q + row;
            put(line / gather.p, line % gather.p, Some(values));
        }
    }
    Ok(())
}
