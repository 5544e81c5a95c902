//! Pooling on the device: launches of kernels/pool.cu.

use super::Element;
use super::arguments::index;
use super::element::launch_for;
use super::handles::PoolShape;
use super::launch::{Dims, Driver, Ptr, PtrMut};
use crate::error::{Error, Result};
use crate::shape::PoolProblem;

const THREADS: u32 = 256;
/// A position must fit a byte.
const MOST_WINDOW: usize = 16;

fn aligned(op: &str, channels: usize, ok: bool) -> Result<()> {
    if channels.is_multiple_of(8) && !ok {
        return Err(Error::internal("an array that does not begin at a multiple of 16 bytes").at(op.to_owned()));
    }
    Ok(())
}

fn shape(op: &str, g: &PoolProblem) -> Result<PoolShape> {
    let fits = g.window > 0 && g.stride > 0 && g.window <= MOST_WINDOW && g.pad < g.window;
    if !fits || g.h + 2 * g.pad < g.window || g.w + 2 * g.pad < g.window || g.x_len() == 0 {
        return Err(Error::internal(format!("unusable problem {g:?}")).at(op.to_owned()));
    }
    index(op, g.x_len())?;
    index(op, g.y_len())?;
    let small = |v: usize| v as i32;
    Ok(PoolShape {
        n: small(g.n),
        h: small(g.h),
        w: small(g.w),
        c: small(g.c),
        window: small(g.window),
        stride: small(g.stride),
        pad: small(g.pad),
        p: small(g.p()),
        q: small(g.q()),
    })
}

/// `y` and the positions of the maxima.
pub fn max<T: Element, D: Driver>(driver: &D, problem: &PoolProblem, x: Ptr<T>, y: PtrMut<T>, position: PtrMut<u8>) -> Result<()> {
    let shape = shape("max_pool", problem)?;
    aligned("max_pool", problem.c, x.is_aligned(16) && y.is_aligned(16) && position.is_aligned(8))?;
    let dims = Dims::linear(problem.n * problem.p() * problem.q() * problem.c.div_ceil(8), THREADS)?;
    launch_for!(T, driver, &dims, MaxPoolF32 | MaxPoolBf16 { x: x.cast(), y: y.cast(), position, shape })
}

/// Every `dy` goes to the remembered position.
pub fn max_backward<T: Element, D: Driver>(
    driver: &D,
    problem: &PoolProblem,
    dy: Ptr<T>,
    position: Ptr<u8>,
    dx: PtrMut<T>,
    accumulate: bool,
) -> Result<()> {
    let shape = shape("max_pool_backward", problem)?;
    aligned("max_pool_backward", problem.c, dy.is_aligned(16) && dx.is_aligned(16) && position.is_aligned(8))?;
    let dims = Dims::linear(problem.n * problem.h * problem.w * problem.c.div_ceil(8), THREADS)?;
    let accumulate = accumulate.into();
    launch_for!(T, driver, &dims, MaxPoolBackwardF32 | MaxPoolBackwardBf16 { dy: dy.cast(), position, dx: dx.cast(), shape, accumulate })
}

/// One window over all of `pixels`.
fn whole(op: &str, n: usize, pixels: usize, c: usize) -> Result<PoolShape> {
    if n == 0 || pixels == 0 || c == 0 {
        return Err(Error::internal(format!("nothing to do in {n} x {pixels} x {c}")).at(op.to_owned()));
    }
    index(op, n * pixels * c)?;
    let (n, h, c) = (n as i32, pixels as i32, c as i32);
    Ok(PoolShape { n, h, w: 1, c, window: 0, stride: 1, pad: 0, p: 1, q: 1 })
}

/// `x[n, pixels, c]` to `y[n, c]`.
pub fn average<T: Element, D: Driver>(driver: &D, n: usize, pixels: usize, c: usize, x: Ptr<T>, y: PtrMut<T>) -> Result<()> {
    let shape = whole("average_pool", n, pixels, c)?;
    aligned("average_pool", c, x.is_aligned(16) && y.is_aligned(16))?;
    let dims = Dims::linear(n * c.div_ceil(8), THREADS)?;
    launch_for!(T, driver, &dims, AveragePoolF32 | AveragePoolBf16 { x: x.cast(), y: y.cast(), shape })
}

pub fn average_backward<T: Element, D: Driver>(
    driver: &D,
    n: usize,
    pixels: usize,
    c: usize,
    dy: Ptr<T>,
    dx: PtrMut<T>,
    accumulate: bool,
) -> Result<()> {
    let shape = whole("average_pool_backward", n, pixels, c)?;
    aligned("average_pool_backward", c, dy.is_aligned(16) && dx.is_aligned(16))?;
    let dims = Dims::linear(n * pixels * c.div_ceil(8), THREADS)?;
    let accumulate = accumulate.into();
    launch_for!(T, driver, &dims, AveragePoolBackwardF32 | AveragePoolBackwardBf16 { dy: dy.cast(), dx: dx.cast(), shape, accumulate })
}
