//! Max-pooling with remembered positions, and global average pooling.

use super::Memory;
use crate::error::Result;
use crate::shape::PoolProblem;

pub trait Pool: Memory {
    /// `y` and, per element of `y`, the position of its maximum in the window (`r*window+s`; the first of equals, as torch; NaN wins).
    fn max_pool(&self, problem: &PoolProblem, x: Self::Ref<'_>, y: Self::Mut<'_>, position: &mut Self::Bytes) -> Result<()>;

    /// Every `dy` goes to the remembered position.
    fn max_pool_backward(
        &self,
        problem: &PoolProblem,
        dy: Self::Ref<'_>,
        position: &Self::Bytes,
        dx: Self::Mut<'_>,
        accumulate: bool,
    ) -> Result<()>;

    /// `x[n, pixels, c]` to `y[n, c]`.
    fn average_pool(&self, n: usize, pixels: usize, c: usize, x: Self::Ref<'_>, y: Self::Mut<'_>) -> Result<()>;

    fn average_pool_backward(
        &self,
        n: usize,
        pixels: usize,
        c: usize,
        dy: Self::Ref<'_>,
        dx: Self::Mut<'_>,
        accumulate: bool,
    ) -> Result<()>;
}
