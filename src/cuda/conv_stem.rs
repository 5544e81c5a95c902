//! The stem by space-to-depth: launches of kernels/conv_stem.cu around the tensor-core convolution.

use super::Element;
use super::arguments::index;
use super::element::launch_for;
use super::handles::{StemArrangeFilters, StemGatherGradient};
use super::launch::{Dims, Driver, Ptr, PtrMut, launch};
use crate::error::{Error, Result};
use crate::shape::ConvProblem;
use half::bf16;

const THREADS: u32 = 256;
/// Of the arranged pictures; twelve hold colours.
const CHANNELS: usize = 16;

/// Whether `problem` is the stem this file knows: 7x7, stride 2, padding 3, three colours, even extents.
pub fn applies(problem: &ConvProblem) -> bool {
    let kind = (problem.c, problem.r, problem.s, problem.stride, problem.pad) == (3, 7, 7, 2, 3);
    kind && problem.h.is_multiple_of(2) && problem.w.is_multiple_of(2) && problem.k.is_multiple_of(8)
}

/// The convolution over arranged pictures that gives the same result.
///
/// # Errors
/// `Internal` if [`applies`] says no.
pub fn arranged(problem: &ConvProblem) -> Result<ConvProblem> {
    if !applies(problem) {
        return Err(Error::internal(format!("no stem: {problem:?}")).at("conv_stem"));
    }
    Ok(ConvProblem { h: problem.h / 2 + 3, w: problem.w / 2 + 3, c: CHANNELS, r: 4, s: 4, stride: 1, pad: 0, ..*problem })
}

/// Pictures `[n,h,w,3]` to those of [`arranged`].
pub fn arrange<T: Element, D: Driver>(driver: &D, problem: &ConvProblem, x: Ptr<T>, to: PtrMut<bf16>) -> Result<()> {
    let over = arranged(problem)?;
    index("conv_stem", over.x_len())?;
    if !to.is_aligned(16) {
        return Err(Error::internal("an array that does not begin at a multiple of 16 bytes").at("conv_stem"));
    }
    let dims = Dims::linear(over.n * over.h * over.w, THREADS)?;
    let (n, h, w) = (problem.n as i32, problem.h as i32, problem.w as i32);
    launch_for!(T, driver, &dims, StemArrangeF32 | StemArrangeBf16 { x: x.cast(), arranged: to, n, h, w })
}

/// Filters `[k,7,7,3]` to `[k,4,4,16]`.
pub fn arrange_filters<D: Driver>(driver: &D, problem: &ConvProblem, w: Ptr<bf16>, to: PtrMut<bf16>) -> Result<()> {
    let over = arranged(problem)?;
    launch(driver, &Dims::linear(over.w_len(), THREADS)?, &StemArrangeFilters { w, arranged: to, k: problem.k as i32 })
}

/// `dw [+]=` the gradient by the arranged filters.
pub fn gather_gradient<D: Driver>(driver: &D, problem: &ConvProblem, from: Ptr<f32>, dw: PtrMut<f32>, accumulate: bool) -> Result<()> {
    arranged(problem)?;
    let kernel = StemGatherGradient { arranged: from, dw, k: problem.k as i32, accumulate: accumulate.into() };
    launch(driver, &Dims::linear(problem.w_len(), THREADS)?, &kernel)
}
