//! Batch norm on the device: launches of kernels/norm.cu and kernels/norm_backward.cu.

use super::Element;
use super::arguments::index;
use super::element::launch_for;
use super::handles::{NormBackwardFinish, NormFinish, NormInference, NormShape};
use super::launch::{Dims, Driver, Ptr, PtrMut, grid_extent, launch};
use crate::backend::NormProblem;
use crate::error::{Error, Result};

/// Rows of a tile: eight for each of a block's 32 row lanes.
const TILE_ROWS: usize = 256;
/// Channels of a block.
const BLOCK_CHANNELS: usize = 64;
const THREADS: u32 = 256;
/// `kTileSumsShared` of kernels/include/tile_sums.cuh.
const SHARED_BYTES: u32 = 8 * 64 * 4;

/// Floats of the scratch array `tiles`.
pub fn tiles_len(problem: &NormProblem) -> usize {
    2 * problem.channels * problem.pixels.div_ceil(TILE_ROWS)
}

/// Floats of the scratch array `coefficients`.
pub fn coefficients_len(problem: &NormProblem) -> usize {
    3 * problem.channels
}

/// Arrays of the forward pass with batch statistics. `residual` may be null.
#[derive(Clone, Copy, Debug)]
pub struct Train<T> {
    pub y: Ptr<T>,
    pub gamma: Ptr<f32>,
    pub beta: Ptr<f32>,
    pub residual: Ptr<T>,
    pub running: PtrMut<f32>,
    pub saved: PtrMut<f32>,
    pub out: PtrMut<T>,
    pub tiles: PtrMut<f32>,
}

/// Arrays of the forward pass with running statistics. `residual` may be null; `prepared` has two floats a channel.
#[derive(Clone, Copy, Debug)]
pub struct Eval<T> {
    pub y: Ptr<T>,
    pub gamma: Ptr<f32>,
    pub beta: Ptr<f32>,
    pub residual: Ptr<T>,
    pub running: Ptr<f32>,
    pub prepared: PtrMut<f32>,
    pub out: PtrMut<T>,
}

/// Arrays of the backward pass. `out` may be null without ReLU.
#[derive(Clone, Copy, Debug)]
pub struct Backward<T> {
    pub d: PtrMut<T>,
    pub out: Ptr<T>,
    pub y: Ptr<T>,
    pub gamma: Ptr<f32>,
    pub saved: Ptr<f32>,
    pub dgamma: PtrMut<f32>,
    pub dbeta: PtrMut<f32>,
    pub dy: PtrMut<T>,
    pub tiles: PtrMut<f32>,
    pub coefficients: PtrMut<f32>,
}

/// Vector accesses are used where the channels are a multiple of eight; then arrays must begin at multiples of 16 bytes, and arrays of
/// several values a channel are read from offsets that are multiples of eight floats.
fn shape(op: &str, problem: &NormProblem, least: usize, aligned: bool) -> Result<NormShape> {
    if problem.pixels < least || problem.channels == 0 {
        return Err(Error::internal(format!("needs at least {least} pixels and one channel, got {problem:?}")).at(op.to_owned()));
    }
    if problem.channels.is_multiple_of(8) && !aligned {
        return Err(Error::internal("an array that does not begin at a multiple of 16 bytes").at(op.to_owned()));
    }
    Ok(NormShape {
        rows: index(op, problem.pixels)?,
        channels: index(op, problem.channels)?,
        tile_rows: TILE_ROWS as i32,
        tiles: problem.pixels.div_ceil(TILE_ROWS) as i32,
        eps: problem.eps,
        momentum: problem.momentum,
        relu: problem.relu.into(),
        pad: 0,
    })
}

fn tile_dims(problem: &NormProblem) -> Result<Dims> {
    let grid = [grid_extent(problem.pixels.div_ceil(TILE_ROWS))?, grid_extent(problem.channels.div_ceil(BLOCK_CHANNELS))?, 1];
    Ok(Dims { grid, block: [THREADS, 1, 1], shared_bytes: SHARED_BYTES })
}

fn unit_dims(problem: &NormProblem) -> Result<Dims> {
    Dims::linear(problem.pixels * problem.channels.div_ceil(8), THREADS)
}

/// With batch statistics; updates `running` and leaves mean and invstd in `saved`.
pub fn train<T: Element, D: Driver>(driver: &D, problem: &NormProblem, a: &Train<T>) -> Result<()> {
    let aligned = a.y.is_aligned(16)
        && a.residual.is_aligned(16)
        && a.out.is_aligned(16)
        && a.gamma.is_aligned(16)
        && a.beta.is_aligned(16)
        && a.saved.is_aligned(16);
    let shape = shape("norm_train", problem, 2, aligned)?;
    launch_for!(T, driver, &tile_dims(problem)?, NormStatsF32 | NormStatsBf16 { y: a.y.cast(), tiles: a.tiles, shape })?;
    let channels = Dims::linear(problem.channels * 32, THREADS)?;
    launch(driver, &channels, &NormFinish { tiles: a.tiles.to_read(), running: a.running, saved: a.saved, shape })?;
    launch_for!(
        T,
        driver,
        &unit_dims(problem)?,
        NormApplyF32
            | NormApplyBf16 {
                y: a.y.cast(),
                gamma: a.gamma,
                beta: a.beta,
                residual: a.residual.cast(),
                saved: a.saved.to_read(),
                out: a.out.cast(),
                shape,
            }
    )
}

/// With running statistics.
pub fn eval<T: Element, D: Driver>(driver: &D, problem: &NormProblem, a: &Eval<T>) -> Result<()> {
    let aligned = a.y.is_aligned(16)
        && a.residual.is_aligned(16)
        && a.out.is_aligned(16)
        && a.gamma.is_aligned(16)
        && a.beta.is_aligned(16)
        && a.prepared.is_aligned(16);
    let shape = shape("norm_eval", problem, 1, aligned)?;
    let channels = Dims::linear(problem.channels, THREADS)?;
    launch(driver, &channels, &NormInference { running: a.running, saved: a.prepared, shape })?;
    launch_for!(
        T,
        driver,
        &unit_dims(problem)?,
        NormApplyF32
            | NormApplyBf16 {
                y: a.y.cast(),
                gamma: a.gamma,
                beta: a.beta,
                residual: a.residual.cast(),
                saved: a.prepared.to_read(),
                out: a.out.cast(),
                shape,
            }
    )
}

/// `d` leaves holding the gradient by the sum before the activation.
pub fn backward<T: Element, D: Driver>(driver: &D, problem: &NormProblem, a: &Backward<T>, accumulate: bool) -> Result<()> {
    const OP: &str = "norm_backward";
    let aligned = a.d.is_aligned(16)
        && a.out.is_aligned(16)
        && a.y.is_aligned(16)
        && a.dy.is_aligned(16)
        && a.saved.is_aligned(16)
        && a.coefficients.is_aligned(16);
    let shape = shape(OP, problem, 2, aligned)?;
    if problem.relu && a.out.is_null() {
        return Err(Error::internal("the mask of the ReLU needs `out`").at(OP));
    }
    launch_for!(
        T,
        driver,
        &tile_dims(problem)?,
        NormBackwardSumsF32
            | NormBackwardSumsBf16 { d: a.d.cast(), out: a.out.cast(), y: a.y.cast(), saved: a.saved, tiles: a.tiles, shape }
    )?;
    let finish = NormBackwardFinish {
        tiles: a.tiles.to_read(),
        gamma: a.gamma,
        saved: a.saved,
        dgamma: a.dgamma,
        dbeta: a.dbeta,
        coefficients: a.coefficients,
        shape,
        accumulate: accumulate.into(),
    };
    launch(driver, &Dims::linear(problem.channels * 32, THREADS)?, &finish)?;
    launch_for!(
        T,
        driver,
        &unit_dims(problem)?,
        NormBackwardApplyF32
            | NormBackwardApplyBf16 {
                d: a.d.to_read().cast(),
                y: a.y.cast(),
                saved: a.saved,
                coefficients: a.coefficients.to_read(),
                dy: a.dy.cast(),
                shape,
            }
    )
}
