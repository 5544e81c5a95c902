//! Convolution: chooses a kernel, by the table of `crate::cuda::conv`, and finds it scratch memory.

use super::view::{View, ViewMut};
use super::{Cuda, TICKETS};
use crate::backend::Conv;
use crate::cuda::Element;
use crate::cuda::conv::{self, Split, Variant};
use crate::cuda::conv_stem;
use crate::cuda::launch::{Ptr, PtrMut};
use crate::cuda::stream::Stream;
use crate::error::{Error, Result};
use crate::shape::ConvProblem;
use half::bf16;

/// Multiprocessors that a grid of tiles should give work to before larger tiles pay.
fn choose<T: Element>(problem: &ConvProblem, rows: usize, columns: usize, multiprocessors: usize) -> Variant {
    let legal = conv::variants::<T>(problem);
    let blocks = |v: &Variant| v.tile().map_or(0, |t| rows.div_ceil(t.m) * columns.div_ceil(t.n));
    let fits = |v: &&Variant| v.tile().is_some_and(|t| columns > t.n / 2);
    let tiled = || Variant::TILED.iter().filter(|v| legal.contains(v));
    let busy = tiled().filter(fits).find(|v| blocks(v) >= multiprocessors);
    busy.or_else(|| tiled().next_back()).copied().unwrap_or(Variant::Direct)
}

impl<D: Stream, T: Element> Cuda<D, T> {
    fn choose(&self, problem: &ConvProblem, rows: usize, columns: usize) -> Variant {
        choose::<T>(problem, rows, columns, self.driver.properties().multiprocessors)
    }

    /// The stem by space-to-depth, on tensor cores; the pictures and filters are arranged first.
    fn stem_fprop(&self, problem: &ConvProblem, x: Ptr<T>, w: Ptr<T>, y: PtrMut<T>) -> Result<()> {
        let over = conv_stem::arranged(problem)?;
        let (pictures, filters) = (self.scratch(2 * over.x_len())?, self.scratch(2 * over.w_len())?);
        conv_stem::arrange(&self.driver, problem, x, PtrMut::new(pictures.address()))?;
        conv_stem::arrange_filters(&self.driver, problem, w.cast(), PtrMut::new(filters.address()))?;
        let variant = choose::<bf16>(&over, over.n * over.p() * over.q(), over.k, self.driver.properties().multiprocessors);
        let (x, w) = (Ptr::<bf16>::new(pictures.address()), Ptr::new(filters.address()));
        conv::fprop(&self.driver, &over, variant, x, w, y.cast())
    }

    fn stem_wgrad(&self, problem: &ConvProblem, x: Ptr<T>, dy: Ptr<T>, dw: PtrMut<f32>, accumulate: bool) -> Result<()> {
        let over = conv_stem::arranged(problem)?;
        let (pictures, gradient) = (self.scratch(2 * over.x_len())?, self.scratch(4 * over.w_len())?);
        conv_stem::arrange(&self.driver, problem, x, PtrMut::new(pictures.address()))?;
        let x = Ptr::<bf16>::new(pictures.address());
        self.split_wgrad(&over, x, dy.cast(), PtrMut::new(gradient.address()), false)?;
        conv_stem::gather_gradient(&self.driver, problem, Ptr::new(gradient.address()), dw, accumulate)
    }

    fn split_wgrad<E: Element>(&self, problem: &ConvProblem, x: Ptr<E>, dy: Ptr<E>, dw: PtrMut<f32>, accumulate: bool) -> Result<()> {
        // Few output tiles, many pixels: the split gives every multiprocessor work, so the largest tile that fits is the best.
        let variant = choose::<E>(problem, problem.k, problem.r * problem.s * problem.c, 1);
        let split = Split::choose(problem, variant, self.driver.properties().multiprocessors);
        if split.tickets > TICKETS {
            return Err(Error::internal(format!("{} tiles, {TICKETS} at most", split.tickets)).at(format!("conv_wgrad, {problem:?}")));
        }
        let slabs = self.scratch(4 * split.slab_len)?;
        let (slabs, tickets) = (PtrMut::new(slabs.address()), PtrMut::new(self.tickets.address()));
        conv::wgrad(&self.driver, problem, variant, &split, x, dy, dw, slabs, tickets, accumulate)
    }
}

impl<D: Stream, T: Element> Conv for Cuda<D, T> {
    fn conv_fprop(&self, problem: &ConvProblem, x: View<'_>, w: View<'_>, y: ViewMut<'_>) -> Result<()> {
        const OP: &str = "conv_fprop";
        let x = x.compute::<T>(OP, "x", problem.x_len())?;
        let w = w.weights::<T>(OP, "w", problem.w_len())?;
        let y = y.compute::<T>(OP, "y", problem.y_len())?;
        if T::IS_BF16 && conv_stem::applies(problem) {
            return self.stem_fprop(problem, x, w, y);
        }
        let variant = self.choose(problem, problem.n * problem.p() * problem.q(), problem.k);
        conv::fprop(&self.driver, problem, variant, x, w, y)
    }

    fn conv_dgrad(&self, problem: &ConvProblem, dy: View<'_>, w: View<'_>, dx: ViewMut<'_>, accumulate: bool) -> Result<()> {
        const OP: &str = "conv_dgrad";
        let dy = dy.compute::<T>(OP, "dy", problem.y_len())?;
        let w = w.weights::<T>(OP, "w", problem.w_len())?;
        let dx = dx.compute::<T>(OP, "dx", problem.x_len())?;
        let variant = self.choose(problem, problem.n * problem.h * problem.w, problem.c);
        conv::dgrad(&self.driver, problem, variant, dy, w, dx, accumulate)
    }

    fn conv_wgrad(&self, problem: &ConvProblem, x: View<'_>, dy: View<'_>, dw: ViewMut<'_>, accumulate: bool) -> Result<()> {
        const OP: &str = "conv_wgrad";
        let x = x.compute::<T>(OP, "x", problem.x_len())?;
        let dy = dy.compute::<T>(OP, "dy", problem.y_len())?;
        let dw = dw.full::<T>(OP, "dw", problem.w_len())?;
        if T::IS_BF16 && conv_stem::applies(problem) {
            return self.stem_wgrad(problem, x, dy, dw, accumulate);
        }
        self.split_wgrad(problem, x, dy, dw, accumulate)
    }
}
