//! Batch norm.

use super::Cuda;
use super::view::{View, ViewMut};
use crate::backend::{Norm, NormProblem};
use crate::cuda::Element;
use crate::cuda::launch::{Ptr, PtrMut};
use crate::cuda::norm::{self, Backward, Eval, Train};
use crate::cuda::stream::Stream;
use crate::error::Result;

fn optional<T: Element>(view: Option<View<'_>>, op: &str, what: &str, len: usize) -> Result<Ptr<T>> {
    view.map_or(Ok(Ptr::null()), |v| v.compute::<T>(op, what, len))
}

impl<D: Stream, T: Element> Norm for Cuda<D, T> {
    fn norm_train(
        &self,
        problem: &NormProblem,
        y: View<'_>,
        gamma: View<'_>,
        beta: View<'_>,
        residual: Option<View<'_>>,
        running: ViewMut<'_>,
        saved: ViewMut<'_>,
        out: ViewMut<'_>,
    ) -> Result<()> {
        const OP: &str = "norm_train";
        let (c, len) = (problem.channels, problem.pixels * problem.channels);
        let tiles = self.scratch(4 * norm::tiles_len(problem))?;
        let arrays = Train {
            y: y.compute::<T>(OP, "y", len)?,
            gamma: gamma.full::<T>(OP, "gamma", c)?,
            beta: beta.full::<T>(OP, "beta", c)?,
            residual: optional(residual, OP, "residual", len)?,
            running: running.full::<T>(OP, "running", 2 * c)?,
            saved: saved.full::<T>(OP, "saved", 2 * c)?,
            out: out.compute::<T>(OP, "out", len)?,
            tiles: PtrMut::new(tiles.address()),
        };
        norm::train(&self.driver, problem, &arrays)
    }

    fn norm_eval(
        &self,
        problem: &NormProblem,
        y: View<'_>,
        gamma: View<'_>,
        beta: View<'_>,
        residual: Option<View<'_>>,
        running: View<'_>,
        out: ViewMut<'_>,
    ) -> Result<()> {
        const OP: &str = "norm_eval";
        let (c, len) = (problem.channels, problem.pixels * problem.channels);
        let prepared = self.scratch(4 * 2 * c)?;
        let arrays = Eval {
            y: y.compute::<T>(OP, "y", len)?,
            gamma: gamma.full::<T>(OP, "gamma", c)?,
            beta: beta.full::<T>(OP, "beta", c)?,
            residual: optional(residual, OP, "residual", len)?,
            running: running.full::<T>(OP, "running", 2 * c)?,
            prepared: PtrMut::new(prepared.address()),
            out: out.compute::<T>(OP, "out", len)?,
        };
        norm::eval(&self.driver, problem, &arrays)
    }

    fn norm_backward(
        &self,
        problem: &NormProblem,
        d: ViewMut<'_>,
        out: Option<View<'_>>,
        y: View<'_>,
        gamma: View<'_>,
        saved: View<'_>,
        dgamma: ViewMut<'_>,
        dbeta: ViewMut<'_>,
        dy: ViewMut<'_>,
        accumulate_params: bool,
    ) -> Result<()> {
        const OP: &str = "norm_backward";
        let (c, len) = (problem.channels, problem.pixels * problem.channels);
        let (tiles, coefficients) = (self.scratch(4 * norm::tiles_len(problem))?, self.scratch(4 * norm::coefficients_len(problem))?);
        let arrays = Backward {
            d: d.compute::<T>(OP, "d", len)?,
            out: optional(out, OP, "out", len)?,
            y: y.compute::<T>(OP, "y", len)?,
            gamma: gamma.full::<T>(OP, "gamma", c)?,
            saved: saved.full::<T>(OP, "saved", 2 * c)?,
            dgamma: dgamma.full::<T>(OP, "dgamma", c)?,
            dbeta: dbeta.full::<T>(OP, "dbeta", c)?,
            dy: dy.compute::<T>(OP, "dy", len)?,
            tiles: PtrMut::new(tiles.address()),
            coefficients: PtrMut::new(coefficients.address()),
        };
        norm::backward(&self.driver, problem, &arrays, accumulate_params)
    }
}
