//! Convolution on the device: which kernel a problem may run on, and its launch.

use super::Element;
use super::element::launch_for;
use super::handles::{self as k, ConvShape, M64N64, M128N64, M128N128};
use super::launch::{Dims, Driver, Ptr, PtrMut, Tile, launch};
use crate::error::{Error, Result};
use crate::shape::ConvProblem;
use half::bf16;

/// A kernel of the same job. Every legal one is tested, not only the one chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// By the definition: any shape, any type.
    Direct,
    /// Implicit matrix products on tensor cores, by tile: bf16, channels and filters multiples of eight.
    M128N128,
    M128N64,
    M64N64,
}

impl Variant {
    pub const TILED: [Self; 3] = [Self::M128N128, Self::M128N64, Self::M64N64];

    /// The tile of a tensor-core variant.
    pub fn tile(self) -> Option<Tile> {
        match self {
            Self::Direct => None,
            Self::M128N128 => Some(M128N128),
            Self::M128N64 => Some(M128N64),
            Self::M64N64 => Some(M64N64),
        }
    }
}

const DIRECT_THREADS: u32 = 256;

/// The kernels that can solve `problem` on elements `T`.
pub fn variants<T: Element>(problem: &ConvProblem) -> Vec<Variant> {
    let mut all = vec![Variant::Direct];
    if T::IS_BF16 && problem.c.is_multiple_of(8) && problem.k.is_multiple_of(8) {
        all.extend(Variant::TILED);
    }
    all
}

fn check<T: Element>(op: &str, problem: &ConvProblem, variant: Variant, aligned: bool) -> Result<ConvShape> {
    let shape = ConvShape::of(op, problem)?;
    if !variants::<T>(problem).contains(&variant) {
        return Err(Error::internal(format!("{variant:?} cannot solve {problem:?} in {}", T::NAME)).at(op.to_owned()));
    }
    if variant != Variant::Direct && !aligned {
        return Err(Error::internal("an array that does not begin at a multiple of 16 bytes").at(op.to_owned()));
    }
    Ok(shape)
}

/// `y = x * w`.
pub fn fprop<T: Element, D: Driver>(driver: &D, problem: &ConvProblem, variant: Variant, x: Ptr<T>, w: Ptr<T>, y: PtrMut<T>) -> Result<()> {
    let shape = check::<T>("conv_fprop", problem, variant, x.is_aligned(16) && w.is_aligned(16) && y.is_aligned(16))?;
    let Some(tile) = variant.tile() else {
        let dims = Dims::linear(problem.y_len(), DIRECT_THREADS)?;
        return launch_for!(T, driver, &dims, ConvDirectFpropF32 | ConvDirectFpropBf16 { x: x.cast(), w: w.cast(), y: y.cast(), shape });
    };
    let dims = tile.dims(problem.n * problem.p() * problem.q(), problem.k, 1)?;
    let (x, w, y): (Ptr<bf16>, Ptr<bf16>, PtrMut<bf16>) = (x.cast(), w.cast(), y.cast());
    match variant {
        Variant::M128N64 => launch(driver, &dims, &k::ConvFpropM128n64 { x, w, y, shape }),
        Variant::M64N64 => launch(driver, &dims, &k::ConvFpropM64n64 { x, w, y, shape }),
        _ => launch(driver, &dims, &k::ConvFpropM128n128 { x, w, y, shape }),
    }
}

/// `dx [+]= dy * w mirrored`.
#[allow(clippy::too_many_arguments)]
pub fn dgrad<T: Element, D: Driver>(
    driver: &D,
    problem: &ConvProblem,
    variant: Variant,
    dy: Ptr<T>,
    w: Ptr<T>,
    dx: PtrMut<T>,
    accumulate: bool,
) -> Result<()> {
    let shape = check::<T>("conv_dgrad", problem, variant, dy.is_aligned(16) && w.is_aligned(16) && dx.is_aligned(16))?;
    let accumulate = accumulate.into();
    let Some(tile) = variant.tile() else {
        let dims = Dims::linear(problem.x_len(), DIRECT_THREADS)?;
        return launch_for!(
            T,
            driver,
            &dims,
            ConvDirectDgradF32 | ConvDirectDgradBf16 { dy: dy.cast(), w: w.cast(), dx: dx.cast(), shape, accumulate }
        );
    };
    // Class (0, 0) has the most pixels.
    let (h, w_extent) = (problem.h.div_ceil(problem.stride), problem.w.div_ceil(problem.stride));
    // A stride beyond the extent leaves classes without pixels; their blocks return at once.
    let dims = tile.dims(problem.n * h * w_extent, problem.c, problem.stride * problem.stride)?;
    let (dy, w, dx): (Ptr<bf16>, Ptr<bf16>, PtrMut<bf16>) = (dy.cast(), w.cast(), dx.cast());
    match variant {
        Variant::M128N64 => launch(driver, &dims, &k::ConvDgradM128n64 { dy, w, dx, shape, accumulate }),
        Variant::M64N64 => launch(driver, &dims, &k::ConvDgradM64n64 { dy, w, dx, shape, accumulate }),
        _ => launch(driver, &dims, &k::ConvDgradM128n128 { dy, w, dx, shape, accumulate }),
    }
}

/// How wgrad divides the pixels among blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    pub splits: usize,
    pub pixels: usize,
    /// Floats of the slabs, and the number of tickets.
    pub slab_len: usize,
    pub tickets: usize,
}

impl Split {
    /// Into `splits` parts, or fewer if that leaves some empty. A part is whole blocks of 64 pixels.
    pub fn new(problem: &ConvProblem, variant: Variant, splits: usize) -> Self {
        let all = problem.n * problem.p() * problem.q();
        let pixels = all.div_ceil(splits.max(1)).next_multiple_of(64);
        let splits = if variant == Variant::Direct { 1 } else { all.div_ceil(pixels) };
        let columns = problem.r * problem.s * problem.c;
        let tickets = variant.tile().map_or(0, |t| problem.k.div_ceil(t.m) * columns.div_ceil(t.n));
        Self { splits, pixels, slab_len: if splits > 1 { splits * problem.w_len() } else { 0 }, tickets }
    }

    /// Two blocks for each of `multiprocessors`, and at least 512 pixels a part.
    pub fn choose(problem: &ConvProblem, variant: Variant, multiprocessors: usize) -> Self {
        let tiles = Self::new(problem, variant, 1).tickets.max(1);
        let pixels = problem.n * problem.p() * problem.q();
        Self::new(problem, variant, (2 * multiprocessors).div_ceil(tiles).min(pixels / 512).max(1))
    }
}

/// `dw [+]= sum over pixels of dy * x`, in f32. `slabs` and `tickets` have the sizes of `split`; tickets are zero before the first call
/// and after every call.
#[allow(clippy::too_many_arguments)]
pub fn wgrad<T: Element, D: Driver>(
    driver: &D,
    problem: &ConvProblem,
    variant: Variant,
    split: &Split,
    x: Ptr<T>,
    dy: Ptr<T>,
    dw: PtrMut<f32>,
    slabs: PtrMut<f32>,
    tickets: PtrMut<u32>,
    accumulate: bool,
) -> Result<()> {
    let aligned = x.is_aligned(16) && dy.is_aligned(16) && dw.is_aligned(16) && slabs.is_aligned(16);
    let shape = check::<T>("conv_wgrad", problem, variant, aligned)?;
    let accumulate = accumulate.into();
    let Some(tile) = variant.tile() else {
        let dims = Dims::linear(problem.w_len(), DIRECT_THREADS)?;
        return launch_for!(
            T,
            driver,
            &dims,
            ConvDirectWgradF32 | ConvDirectWgradBf16 { x: x.cast(), dy: dy.cast(), dw, shape, accumulate }
        );
    };
    let dims = tile.dims(problem.k, problem.r * problem.s * problem.c, split.splits)?;
    let (x, dy): (Ptr<bf16>, Ptr<bf16>) = (x.cast(), dy.cast());
    let (pixels_per_split, splits) = (split.pixels as i32, split.splits as i32);
    match variant {
        Variant::M128N64 => {
            launch(driver, &dims, &k::ConvWgradM128n64 { x, dy, dw, slabs, tickets, shape, pixels_per_split, splits, accumulate })
        }
        Variant::M64N64 => {
            launch(driver, &dims, &k::ConvWgradM64n64 { x, dy, dw, slabs, tickets, shape, pixels_per_split, splits, accumulate })
        }
        _ => launch(driver, &dims, &k::ConvWgradM128n128 { x, dy, dw, slabs, tickets, shape, pixels_per_split, splits, accumulate }),
    }
}
