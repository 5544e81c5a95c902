//! Launches of kernels/elementwise.cu.

use super::Element;
use super::element::launch_for;
use super::handles::{NarrowToBf16, WidenToF32};
use super::launch::{Dims, Driver, Ptr, PtrMut, launch};
use crate::error::{Error, Result};
use half::bf16;

const THREADS: u32 = 256;
/// Elements of one thread.
const EACH: usize = 8;

fn dims(op: &str, len: usize, aligned: bool) -> Result<Dims> {
    if !aligned {
        return Err(Error::internal("an array that does not begin at a multiple of 16 bytes").at(op.to_owned()));
    }
    Dims::linear(len.div_ceil(EACH), THREADS)
}

/// `y = max(x, 0)`; NaN stays NaN.
pub fn relu<T: Element, D: Driver>(driver: &D, len: usize, x: Ptr<T>, y: PtrMut<T>) -> Result<()> {
    let dims = dims("relu", len, x.is_aligned(16) && y.is_aligned(16))?;
    launch_for!(T, driver, &dims, ReluF32 | ReluBf16 { x: x.cast(), y: y.cast(), len: len as u64 })
}

/// `dx [+]= dy where y > 0`.
pub fn relu_backward<T: Element, D: Driver>(driver: &D, len: usize, y: Ptr<T>, dy: Ptr<T>, dx: PtrMut<T>, accumulate: bool) -> Result<()> {
    let dims = dims("relu_backward", len, y.is_aligned(16) && dy.is_aligned(16) && dx.is_aligned(16))?;
    launch_for!(
        T,
        driver,
        &dims,
        ReluBackwardF32 | ReluBackwardBf16 { y: y.cast(), dy: dy.cast(), dx: dx.cast(), len: len as u64, accumulate: accumulate.into() }
    )
}

/// `out = a + b`.
pub fn add<T: Element, D: Driver>(driver: &D, len: usize, a: Ptr<T>, b: Ptr<T>, out: PtrMut<T>) -> Result<()> {
    let dims = dims("add", len, a.is_aligned(16) && b.is_aligned(16) && out.is_aligned(16))?;
    launch_for!(T, driver, &dims, AddF32 | AddBf16 { a: a.cast(), b: b.cast(), out: out.cast(), len: len as u64 })
}

/// Rounds to nearest even.
pub fn narrow<D: Driver>(driver: &D, len: usize, from: Ptr<f32>, to: PtrMut<bf16>) -> Result<()> {
    let dims = dims("narrow", len, from.is_aligned(16) && to.is_aligned(16))?;
    launch(driver, &dims, &NarrowToBf16 { from, to, len: len as u64 })
}

pub fn widen<D: Driver>(driver: &D, len: usize, from: Ptr<bf16>, to: PtrMut<f32>) -> Result<()> {
    let dims = dims("widen", len, from.is_aligned(16) && to.is_aligned(16))?;
    launch(driver, &dims, &WidenToF32 { from, to, len: len as u64 })
}
