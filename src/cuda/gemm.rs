//! The linear layer on the device: kernels/gemm.cu where it applies, kernels/gemm_direct.cu otherwise.

use super::Element;
use super::element::launch_for;
use super::handles::{LinearDbias, LinearDgrad, LinearFprop, LinearShape, LinearWgrad, M64N64};
use super::launch::{Dims, Driver, Ptr, PtrMut, launch};
use crate::error::{Error, Result};
use crate::shape::LinearProblem;

/// A kernel of the same job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// By the definition: any shape, any type.
    Direct,
    /// On tensor cores: bf16, both extents multiples of eight.
    Tiled,
}

const DIRECT_THREADS: u32 = 256;
const COLUMN_THREADS: u32 = 128;

/// The kernels that can solve `problem` on elements `T`, the best last.
pub fn variants<T: Element>(problem: &LinearProblem) -> Vec<Variant> {
    let tiled = T::IS_BF16 && problem.c.is_multiple_of(8) && problem.k.is_multiple_of(8);
    if tiled { vec![Variant::Direct, Variant::Tiled] } else { vec![Variant::Direct] }
}

fn check<T: Element>(op: &str, problem: &LinearProblem, variant: Variant, aligned: bool) -> Result<LinearShape> {
    if !variants::<T>(problem).contains(&variant) {
        return Err(Error::internal(format!("{variant:?} cannot solve {problem:?} in {}", T::NAME)).at(op.to_owned()));
    }
    if variant == Variant::Tiled && !aligned {
        return Err(Error::internal("an array that does not begin at a multiple of 16 bytes").at(op.to_owned()));
    }
    LinearShape::of(op, problem)
}

/// `y = x w^T + bias`.
#[allow(clippy::too_many_arguments)]
pub fn fprop<T: Element, D: Driver>(
    driver: &D,
    problem: &LinearProblem,
    variant: Variant,
    x: Ptr<T>,
    w: Ptr<T>,
    bias: Ptr<f32>,
    y: PtrMut<T>,
) -> Result<()> {
    let aligned = x.is_aligned(16) && w.is_aligned(16) && bias.is_aligned(16) && y.is_aligned(16);
    let shape = check::<T>("linear_fprop", problem, variant, aligned)?;
    if variant == Variant::Tiled {
        let dims = M64N64.dims(problem.n, problem.k, 1)?;
        return launch(driver, &dims, &LinearFprop { x: x.cast(), w: w.cast(), bias, y: y.cast(), shape });
    }
    let dims = Dims::linear(problem.n * problem.k, DIRECT_THREADS)?;
    launch_for!(T, driver, &dims, LinearDirectFpropF32 | LinearDirectFpropBf16 { x: x.cast(), w: w.cast(), bias, y: y.cast(), shape })
}

/// `dx [+]= dy w`.
pub fn dgrad<T: Element, D: Driver>(
    driver: &D,
    problem: &LinearProblem,
    variant: Variant,
    dy: Ptr<T>,
    w: Ptr<T>,
    dx: PtrMut<T>,
    accumulate: bool,
) -> Result<()> {
    let shape = check::<T>("linear_dgrad", problem, variant, dy.is_aligned(16) && w.is_aligned(16) && dx.is_aligned(16))?;
    let accumulate = accumulate.into();
    if variant == Variant::Tiled {
        let dims = M64N64.dims(problem.n, problem.c, 1)?;
        return launch(driver, &dims, &LinearDgrad { dy: dy.cast(), w: w.cast(), dx: dx.cast(), shape, accumulate });
    }
    let dims = Dims::linear(problem.n * problem.c, DIRECT_THREADS)?;
    launch_for!(
        T,
        driver,
        &dims,
        LinearDirectDgradF32 | LinearDirectDgradBf16 { dy: dy.cast(), w: w.cast(), dx: dx.cast(), shape, accumulate }
    )
}

/// `dw [+]= dy^T x` and `dbias [+]= column sums of dy`, in f32.
#[allow(clippy::too_many_arguments)]
pub fn wgrad<T: Element, D: Driver>(
    driver: &D,
    problem: &LinearProblem,
    variant: Variant,
    x: Ptr<T>,
    dy: Ptr<T>,
    dw: PtrMut<f32>,
    dbias: PtrMut<f32>,
    accumulate: bool,
) -> Result<()> {
    let shape = check::<T>("linear_wgrad", problem, variant, x.is_aligned(16) && dy.is_aligned(16) && dw.is_aligned(16))?;
    let accumulate = accumulate.into();
    if variant == Variant::Tiled {
        let dims = M64N64.dims(problem.k, problem.c, 1)?;
        launch(driver, &dims, &LinearWgrad { x: x.cast(), dy: dy.cast(), dw, shape, accumulate })?;
        let dims = Dims::linear(problem.k, COLUMN_THREADS)?;
        return launch(driver, &dims, &LinearDbias { dy: dy.cast(), dbias, shape, accumulate });
    }
    let dims = Dims::linear(problem.k * problem.c, DIRECT_THREADS)?;
    launch_for!(T, driver, &dims, LinearDirectWgradF32 | LinearDirectWgradBf16 { x: x.cast(), dy: dy.cast(), dw, dbias, shape, accumulate })
}
