//! Element by element: the unfused twins of what the other subjects fuse.

use super::Memory;
use crate::error::Result;

pub trait Elementwise: Memory {
    /// `y = max(x, 0)`; NaN stays NaN.
    fn relu(&self, x: Self::Ref<'_>, y: Self::Mut<'_>) -> Result<()>;
    /// `dx = dy where y > 0`.
    fn relu_backward(&self, y: Self::Ref<'_>, dy: Self::Ref<'_>, dx: Self::Mut<'_>, accumulate: bool) -> Result<()>;
    /// `out = a + b`.
    fn add(&self, a: Self::Ref<'_>, b: Self::Ref<'_>, out: Self::Mut<'_>) -> Result<()>;
    /// `into += x`.
    fn add_assign(&self, x: Self::Ref<'_>, into: Self::Mut<'_>) -> Result<()>;
}
