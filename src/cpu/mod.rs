//! The CPU backend: rayon, a GEMM crate, and loops that the compiler vectorises.
//!
//! It trains where there is no GPU, and it is the oracle of the CUDA backend. Work is cut into tiles by shape alone, and every sum
//! is taken in an order that depends on the tiles alone; so results are the same bits whatever the number of threads, on one kind of processor (the GEMM
//! crate chooses its kernels and blocks by the processor's vectors and caches).

mod augment;
mod conv;
mod conv_dgrad;
mod conv_fprop;
mod conv_wgrad;
mod elementwise;
mod gemm;
mod im2col;
mod loss;
mod memory;
mod norm;
mod paper;
mod pool;
mod real;
mod replay;
mod update;

pub use memory::{Buffer, Bytes};
pub use paper::Paper;
pub use real::Real;
pub use update::Control;

use std::marker::PhantomData;

/// The host's cores, computing in `T`. Handles of one device share its memory pool.
#[derive(Clone)]
pub struct Cpu<T> {
    pool: memory::Pool,
    element: PhantomData<T>,
}

impl<T: Real> Cpu<T> {
    pub fn new() -> Self {
        Self { pool: memory::Pool::default(), element: PhantomData }
    }
}

impl<T: Real> Default for Cpu<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// Runs `f` compiled for the widest vectors this machine has.
#[inline(always)]
fn wide<R>(f: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(f)
}

/// Cuts `data` into pieces of the given lengths, which are the work items of one parallel loop.
fn cut<T>(mut data: &mut [T], lengths: impl IntoIterator<Item = usize>) -> Vec<&mut [T]> {
    let mut pieces = Vec::new();
    for length in lengths {
        let (piece, rest) = data.split_at_mut(length.min(data.len()));
        pieces.push(piece);
        data = rest;
    }
    pieces
}
