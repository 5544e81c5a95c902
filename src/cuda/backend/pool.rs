//! Pooling.

use super::Cuda;
use super::memory::Bytes;
use super::view::{View, ViewMut};
use crate::backend::Pool;
use crate::cuda::Element;
use crate::cuda::launch::{Ptr, PtrMut};
use crate::cuda::pool;
use crate::cuda::stream::Stream;
use crate::error::{Error, Result};
use crate::shape::PoolProblem;

fn positions<D: Stream>(op: &str, bytes: &Bytes<D>, len: usize) -> Result<u64> {
    if bytes.len != len {
        return Err(Error::internal(format!("position has {} elements, the problem needs {len}", bytes.len)).at(op.to_owned()));
    }
    Ok(bytes.block.address())
}

impl<D: Stream, T: Element> Pool for Cuda<D, T> {
    fn max_pool(&self, problem: &PoolProblem, x: View<'_>, y: ViewMut<'_>, position: &mut Bytes<D>) -> Result<()> {
        const OP: &str = "max_pool";
        let (x, y) = (x.compute::<T>(OP, "x", problem.x_len())?, y.compute::<T>(OP, "y", problem.y_len())?);
        pool::max(&self.driver, problem, x, y, PtrMut::new(positions(OP, position, problem.y_len())?))
    }

    fn max_pool_backward(&self, problem: &PoolProblem, dy: View<'_>, position: &Bytes<D>, dx: ViewMut<'_>, accumulate: bool) -> Result<()> {
        const OP: &str = "max_pool_backward";
        let (dy, dx) = (dy.compute::<T>(OP, "dy", problem.y_len())?, dx.compute::<T>(OP, "dx", problem.x_len())?);
        pool::max_backward(&self.driver, problem, dy, Ptr::new(positions(OP, position, problem.y_len())?), dx, accumulate)
    }

    fn average_pool(&self, n: usize, pixels: usize, c: usize, x: View<'_>, y: ViewMut<'_>) -> Result<()> {
        const OP: &str = "average_pool";
        let (x, y) = (x.compute::<T>(OP, "x", n * pixels * c)?, y.compute::<T>(OP, "y", n * c)?);
        pool::average(&self.driver, n, pixels, c, x, y)
    }

    fn average_pool_backward(&self, n: usize, pixels: usize, c: usize, dy: View<'_>, dx: ViewMut<'_>, accumulate: bool) -> Result<()> {
        const OP: &str = "average_pool_backward";
        let (dy, dx) = (dy.compute::<T>(OP, "dy", n * c)?, dx.compute::<T>(OP, "dx", n * pixels * c)?);
        pool::average_backward(&self.driver, n, pixels, c, dy, dx, accumulate)
    }
}
