//! Gradient by the filters: `dw[k, r*s*c] = dy[pixels, k]^T * im2col(x)[pixels, r*s*c]`.
//!
//! The sum over pixels is cut into a number of splits that depends on the shape alone; every split sums its tiles in order into a
//! matrix of its own, and the splits are added in order. So no two threads ever add to the same number.

use super::conv::short;
use super::im2col::Gather;
use super::real::{Mat, gemm};
use super::{Cpu, Real, wide};
use crate::error::Result;
use crate::shape::ConvProblem;
use rayon::prelude::*;

/// Elements of an im2col tile.
const TILE: usize = 1 << 17;

pub(super) fn run<T: Real>(cpu: &Cpu<T>, problem: &ConvProblem, x: &[T], dy: &[T], dw: &mut [T], accumulate: bool) -> Result<()> {
    let ConvProblem { n, h, w, c, k, r, s, stride, pad } = *problem;
    let origin = -(pad as isize);
    let gather = Gather { h, w, c, p: problem.p(), q: problem.q(), r, s, stride, row: origin, column: origin };
    let depth = gather.depth();
    let pixels = n * gather.p * gather.q;
    let splits = pixels.div_ceil(512).clamp(1, 8);
    let share = pixels.div_ceil(splits);
    let rows = (TILE / depth).clamp(32, 512).min(share);
    let mut parts = cpu.scratch(splits * dw.len());
    parts.as_mut_slice().par_chunks_exact_mut(dw.len()).enumerate().try_for_each(|(split, part)| {
        let (begin, end) = (split * share, ((split + 1) * share).min(pixels));
        if begin >= end {
            part.fill(T::ZERO);
            return Ok(());
        }
        let mut scratch = (!gather.is_identity()).then(|| cpu.scratch(rows * depth));
        for at in (begin..end).step_by(rows) {
            let stop = (at + rows).min(end);
            let b = match &mut scratch {
                None => &x[at * depth..stop * depth],
                Some(scratch) => {
                    let scratch = scratch.as_mut_slice();
                    wide(|| gather.fill(x, at..stop, scratch));
                    &*scratch
                }
            };
            let a = Mat::rows(&dy[at * k..stop * k], k).transposed();
            if !gemm((k, depth, stop - at), a, Mat::rows(b, depth), part, depth, at > begin) {
                return Err(short(problem));
            }
        }
        Ok(())
    })?;
    let parts = parts.as_slice();
    let len = dw.len();
    dw.par_chunks_mut(1 << 12).enumerate().for_each(|(piece, dw)| {
        wide(|| {
            if !accumulate {
                dw.fill(T::ZERO);
            }
            for part in parts.chunks_exact(len) {
                dw.iter_mut().zip(&part[piece << 12..]).for_each(|(d, &p)| *d += p);
            }
        });
    });
    Ok(())
}
