//! Element by element.

use super::Cuda;
use super::view::{View, ViewMut};
use crate::backend::Elementwise;
use crate::cuda::Element;
use crate::cuda::elementwise;
use crate::cuda::stream::Stream;
use crate::error::Result;

impl<D: Stream, T: Element> Elementwise for Cuda<D, T> {
    fn relu(&self, x: View<'_>, y: ViewMut<'_>) -> Result<()> {
        let len = y.place.len;
        elementwise::relu(&self.driver, len, x.compute::<T>("relu", "x", len)?, y.compute::<T>("relu", "y", len)?)
    }

    fn relu_backward(&self, y: View<'_>, dy: View<'_>, dx: ViewMut<'_>, accumulate: bool) -> Result<()> {
        const OP: &str = "relu_backward";
        let len = dx.place.len;
        let (y, dy) = (y.compute::<T>(OP, "y", len)?, dy.compute::<T>(OP, "dy", len)?);
        elementwise::relu_backward(&self.driver, len, y, dy, dx.compute::<T>(OP, "dx", len)?, accumulate)
    }

    fn add(&self, a: View<'_>, b: View<'_>, out: ViewMut<'_>) -> Result<()> {
        let len = out.place.len;
        let (a, b) = (a.compute::<T>("add", "a", len)?, b.compute::<T>("add", "b", len)?);
        elementwise::add(&self.driver, len, a, b, out.compute::<T>("add", "out", len)?)
    }

    fn add_assign(&self, x: View<'_>, into: ViewMut<'_>) -> Result<()> {
        const OP: &str = "add_assign";
        let len = into.place.len;
        let into = into.compute::<T>(OP, "into", len)?;
        elementwise::add(&self.driver, len, x.compute::<T>(OP, "x", len)?, into.to_read(), into)
    }
}
