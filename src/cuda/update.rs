//! The optimizer's step on the device: the counterpart of [`crate::backend::Update`], with its calls in its order. Launches of
//! kernels/grad.cu, kernels/average.cu and, through `update_rules`, of the rules' kernels.
//!
//! Whatever changes from update to update lies in device memory ([`Control`]), so that launches captured once replay. Norms are summed in
//! the order of src/cpu/update.rs: parameters, state and norms have the bits of the CPU's.

use super::arguments::index;
use super::handles::{Advance, Average, GradNorm, IncludeLoss, RestoreIfSkipped};
use super::launch::{Dims, Driver, Ptr, PtrMut, grid_extent, launch};
use super::memory::Array;
use super::update_rules;
use crate::backend::{Counters, ParamGroups, UpdateRule, UpdateTable};
use crate::error::{Error, Result};
use half::bf16;

pub use super::handles::{UpdateControl, UpdateGroup, UpdatePiece, UpdateRates, UpdateShape};

pub(super) const THREADS: u32 = 256;
/// `kSpan` of kernels/include/fours.cuh.
pub(super) const SPAN: usize = 8192;
/// `kPiece` and `kSquareSumsShared` of kernels/include/square_sums.cuh.
const PIECE: usize = 16384;
pub(super) const NORM_SHARED_BYTES: u32 = 64 * 17 * 8;

/// What was measured of the last update, and the counters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    pub counters: Counters,
    /// Over all pictures of all batches.
    pub mean_loss: f64,
    /// Euclidean norm of all gradients, before clipping.
    pub grad_norm: f64,
    /// False if a loss or a gradient is NaN or infinite: then the update changed nothing.
    pub finite: bool,
    /// Whether the update made a parameter or a number of the optimizer's state that is NaN or infinite.
    pub overflowed: bool,
}

/// Tables, counters, and what was measured of the update in the making.
pub struct Control<D: Driver> {
    pub(super) driver: D,
    pub(super) rates: Array<UpdateRates, D>,
    averages: bool,
    /// What the kernels read and write of it.
    pub block: Array<UpdateControl, D>,
    slabs: Array<f64, D>,
    ticket: Array<u32, D>,
}

/// The parameter tensors, and scratch memory for their norms.
pub struct Groups<D: Driver> {
    pub(super) groups: Array<UpdateGroup, D>,
    pub(super) pieces: Array<UpdatePiece, D>,
    /// Two a piece.
    pub(super) slabs: Array<f64, D>,
    pub(super) tickets: Array<u32, D>,
    pub(super) trusts: Array<f64, D>,
    /// Parameters.
    len: usize,
}

/// The arenas of an update, each as long as the tensors together; `state` is as many of them as the rule keeps, one after the other.
/// `shadow` is the parameters rounded to bf16, or null.
#[derive(Clone, Copy, Debug)]
pub struct Arenas {
    pub params: PtrMut<f32>,
    pub grads: Ptr<f32>,
    pub state: PtrMut<f32>,
    pub shadow: PtrMut<bf16>,
}

impl<D: Driver> Groups<D> {
    /// # Errors
    /// `Internal` if there are no tensors or their ends descend; those of the device.
    pub fn new(driver: &D, groups: &ParamGroups) -> Result<Self> {
        const OP: &str = "parameter groups";
        if groups.0.is_empty() || groups.0.windows(2).any(|w| w[0].end > w[1].end) {
            return Err(Error::internal(format!("{groups:?} are no tensors one after the other")).at(OP));
        }
        let (mut places, mut pieces, mut begin) = (Vec::new(), Vec::new(), 0);
        for (number, group) in groups.0.iter().enumerate() {
            let first_piece = index(OP, pieces.len())?;
            for at in (begin..group.end).step_by(PIECE) {
                let count = (group.end - at).min(PIECE);
                pieces.push(UpdatePiece { begin: at as u64, count: count as i32, group: index(OP, number)? });
            }
            let own = index(OP, pieces.len())? - first_piece;
            places.push(UpdateGroup { end: group.end as u64, weight_decay: group.weight_decay, first_piece, pieces: own });
            begin = group.end;
        }
        Ok(Self {
            slabs: Array::new(driver, 2 * pieces.len())?,
            tickets: Array::from_host(driver, &vec![0; places.len()])?,
            trusts: Array::new(driver, places.len())?,
            groups: Array::from_host(driver, &places)?,
            pieces: Array::from_host(driver, &pieces)?,
            len: begin,
        })
    }
}

/// Whether every four elements may be one access.
fn vector(len: usize, aligned: bool) -> i32 {
    (len.is_multiple_of(4) && aligned).into()
}

impl<D: Driver> Control<D> {
    /// For an arena of `len` gradients. Past their end the table's last entries hold.
    ///
    /// # Errors
    /// `Internal` if the table is empty or its columns differ in length; those of the device.
    pub fn new(driver: &D, table: &UpdateTable, counters: Counters, len: usize) -> Result<Self> {
        const OP: &str = "control";
        let (rows, averages) = (table.lr.len(), !table.average_decay.is_empty());
        if rows == 0 || table.momentum.len() != rows || averages && table.average_decay.len() != rows {
            let columns = (rows, table.momentum.len(), table.average_decay.len());
            return Err(Error::internal(format!("columns of rates, momenta and averaging factors have {columns:?} rows")).at(OP));
        }
        let row = |i: usize| {
            let average_decay = table.average_decay.get(i).copied().unwrap_or_default();
            UpdateRates { lr: table.lr[i], momentum: table.momentum[i], average_decay }
        };
        let Counters { step, skipped } = counters;
        let block = UpdateControl { step, skipped, scale: 1.0, finite: 1, loss_finite: 1, ..UpdateControl::default() };
        Ok(Self {
            driver: driver.clone(),
            rates: Array::from_host(driver, &(0..rows).map(row).collect::<Vec<_>>())?,
            averages,
            block: Array::from_host(driver, &[block])?,
            slabs: Array::new(driver, len.div_ceil(PIECE).max(1))?,
            ticket: Array::from_host(driver, &[0])?,
        })
    }

    /// Adds the loss of a batch of `rows` pictures to the update's; if it is not finite, the update changes nothing. `sums` are the loss's
    /// (first the sum of losses). Before [`Self::measure`].
    ///
    /// # Errors
    /// Those of the launch.
    pub fn include_loss(&mut self, sums: Ptr<f64>, rows: usize) -> Result<()> {
        launch(
            &self.driver,
            &Dims::linear(1, 32)?,
            &IncludeLoss { sums, rows: index("include_loss", rows)?, control: self.block.ptr_mut() },
        )
    }

    /// Measures the norm of `len` gradients. With `clip`, they then count as scaled by `min(1, clip / (norm + 1e-6))`.
    ///
    /// # Errors
    /// `Internal` if there are more gradients than the control block was made for, or none; those of the launch.
    pub fn measure(&mut self, clip: Option<f64>, grads: Ptr<f32>, len: usize) -> Result<()> {
        let pieces = len.div_ceil(PIECE);
        if len == 0 || pieces > self.slabs.len() {
            return Err(Error::internal(format!("{len} gradients, with room for {} x {PIECE}", self.slabs.len())).at("measure"));
        }
        let dims = Dims { grid: [grid_extent(pieces)?, 1, 1], block: [THREADS, 1, 1], shared_bytes: NORM_SHARED_BYTES };
        let norm = GradNorm {
            grads,
            len: len as u64,
            slabs: self.slabs.ptr_mut(),
            ticket: self.ticket.ptr_mut(),
            control: self.block.ptr_mut(),
            clip: clip.unwrap_or(f64::INFINITY),
        };
        launch(&self.driver, &dims, &norm)
    }

    /// Updates the whole arena by `rule`, unless what was measured is not finite.
    ///
    /// # Errors
    /// `Internal` if the rule has no kernel; those of the launch.
    pub fn update<R: UpdateRule>(&mut self, rule: &R, groups: &mut Groups<D>, arenas: &Arenas) -> Result<()> {
        let len = groups.len;
        if len == 0 {
            return Ok(());
        }
        let a = arenas;
        let aligned = a.params.is_aligned(16) && a.grads.is_aligned(16) && a.state.is_aligned(16) && a.shadow.is_aligned(8);
        let (num_rates, num_groups) = (self.rates.len() as u64, index("update", groups.groups.len())?);
        let shape = UpdateShape { len: len as u64, num_rates, num_groups, vector: vector(len, aligned) };
        update_rules::launch_rule(rule, self, groups, arenas, shape)
    }

    /// `average = d*average + (1-d)*values` for `len` elements with this update's `d`, unless the update is skipped.
    ///
    /// # Errors
    /// `Internal` if there is no table of averaging factors; those of the launch.
    pub fn average(&self, values: Ptr<f32>, averages: PtrMut<f32>, len: usize) -> Result<()> {
        if !self.averages {
            return Err(Error::internal("there is no table of averaging factors").at("average"));
        }
        let average = Average {
            values,
            averages,
            len: len as u64,
            vector: vector(len, values.is_aligned(16) && averages.is_aligned(16)),
            control: self.block.ptr(),
            rates: self.rates.ptr(),
            num_rates: self.rates.len() as u64,
        };
        launch(&self.driver, &span_dims(len)?, &average)
    }

    /// `dst = src` for `len` elements, only if the update is skipped.
    ///
    /// # Errors
    /// Those of the launch.
    pub fn restore_if_skipped(&self, src: Ptr<f32>, dst: PtrMut<f32>, len: usize) -> Result<()> {
        let vector = vector(len, src.is_aligned(16) && dst.is_aligned(16));
        launch(&self.driver, &span_dims(len)?, &RestoreIfSkipped { src, dst, len: len as u64, vector, control: self.block.ptr() })
    }

    /// Ends the update: advances the counters.
    ///
    /// # Errors
    /// Those of the launch.
    pub fn advance(&mut self) -> Result<()> {
        launch(&self.driver, &Dims::linear(1, 32)?, &Advance { control: self.block.ptr_mut() })
    }

    /// What was measured last, and the counters. Waits for the device.
    ///
    /// # Errors
    /// Those of the copy, and of what was launched before it.
    pub fn measured(&self) -> Result<Outcome> {
        let all = self.block.to_host()?;
        let block = all.first().copied().unwrap_or_default();
        Ok(Outcome {
            counters: Counters { step: block.step, skipped: block.skipped },
            mean_loss: block.mean_loss,
            grad_norm: block.grad_norm,
            finite: block.finite != 0,
            overflowed: block.overflowed != 0,
        })
    }
}

/// A block for each span of an arena.
pub(super) fn span_dims(len: usize) -> Result<Dims> {
    Ok(Dims { grid: [grid_extent(len.div_ceil(SPAN))?, 1, 1], block: [THREADS, 1, 1], shared_bytes: 0 })
}
