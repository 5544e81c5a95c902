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
