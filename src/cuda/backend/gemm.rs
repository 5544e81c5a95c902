//! The linear layer.

use super::Cuda;
use super::view::{View, ViewMut};
use crate::backend::Gemm;
use crate::cuda::Element;
use crate::cuda::gemm::{self, Variant};
use crate::cuda::stream::Stream;
use crate::error::Result;
use crate::shape::LinearProblem;

fn best<T: Element>(problem: &LinearProblem) -> Variant {
    gemm::variants::<T>(problem).pop().unwrap_or(Variant::Direct)
}

impl<D: Stream, T: Element> Gemm for Cuda<D, T> {
    fn linear_fprop(&self, problem: &LinearProblem, x: View<'_>, w: View<'_>, bias: View<'_>, y: ViewMut<'_>) -> Result<()> {
        const OP: &str = "linear_fprop";
        let &LinearProblem { n, c, k } = problem;
        let (x, w) = (x.compute::<T>(OP, "x", n * c)?, w.weights::<T>(OP, "w", k * c)?);
        let (bias, y) = (bias.full::<T>(OP, "bias", k)?, y.compute::<T>(OP, "y", n * k)?);
        gemm::fprop(&self.driver, problem, best::<T>(problem), x, w, bias, y)
    }

    fn linear_dgrad(&self, problem: &LinearProblem, dy: View<'_>, w: View<'_>, dx: ViewMut<'_>, accumulate: bool) -> Result<()> {
        const OP: &str = "linear_dgrad";
        let &LinearProblem { n, c, k } = problem;
        let (dy, w) = (dy.compute::<T>(OP, "dy", n * k)?, w.weights::<T>(OP, "w", k * c)?);
        gemm::dgrad(&self.driver, problem, best::<T>(problem), dy, w, dx.compute::<T>(OP, "dx", n * c)?, accumulate)
    }

    fn linear_wgrad(
        &self,
        problem: &LinearProblem,
        x: View<'_>,
        dy: View<'_>,
        dw: ViewMut<'_>,
        dbias: ViewMut<'_>,
        accumulate: bool,
    ) -> Result<()> {
        const OP: &str = "linear_wgrad";
        let &LinearProblem { n, c, k } = problem;
        let (x, dy) = (x.compute::<T>(OP, "x", n * c)?, dy.compute::<T>(OP, "dy", n * k)?);
        let (dw, dbias) = (dw.full::<T>(OP, "dw", k * c)?, dbias.full::<T>(OP, "dbias", k)?);
        gemm::wgrad(&self.driver, problem, best::<T>(problem), x, dy, dw, dbias, accumulate)
    }
}
