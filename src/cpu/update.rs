//! The optimizer's step: the rule's Rust body over the arena, tensors cut into pieces of 16 Ki parameters in parallel.
//!
//! Rules compute in f64 whatever the backend's type, so that this backend is the oracle of the kernels. Norms are sums over pieces in
//! order: the same bits for any number of threads.

use super::memory::expect_len;
use super::{Buffer, Cpu, Real, wide};
use crate::backend::{BatchMetrics, Counters, Hyper, Measured, ParamGroups, Report, Update, UpdateRule, UpdateTable};
use crate::error::{Error, Result};
use rayon::prelude::*;

/// Parameters of one work item.
const PIECE: usize = 1 << 14;
/// Most numbers of state per parameter that a rule may ask for.
const MAX_STATE: usize = 4;
/// Running sums of a norm, so that additions need not wait for each other.
const LANES: usize = 16;
/// Numbers summed before the next compensation.
const BLOCK: usize = 256;

/// Tables, counters, and what was measured of the update in the making.
#[derive(Clone, Debug)]
pub struct Control {
    table: UpdateTable,
    counters: Counters,
    measured: Measured,
    /// Of the update in the making: its losses' sum, and their number.
    loss: f64,
    rows: u64,
    reports: Vec<Report>,
    /// What gradients count as multiplied with.
    scale: f64,
}

impl Control {
    fn at(&self, column: &[f64]) -> f64 {
        let i = usize::try_from(self.counters.step).unwrap_or(usize::MAX).min(column.len().saturating_sub(1));
        column.get(i).copied().unwrap_or_default()
    }
}

/// One piece of the arena: its parameters and state, and the tensor it belongs to.
struct Piece<'a, T> {
    params: &'a mut [T],
    grads: &'a [T],
    state: [&'a mut [T]; MAX_STATE],
    group: usize,
}

impl<T: Real> Update for Cpu<T> {
    type Control = Control;
    const UNDER_WAY: usize = 1;

    fn control(&self, _parameters: usize, table: &UpdateTable, counters: Counters) -> Result<Control> {
        expect_len("control", "the momentum table", table.momentum.len(), table.lr.len())?;
        if table.lr.is_empty() {
            return Err(Error::internal("the table of rates is empty").at("control"));
        }
        if !table.average_decay.is_empty() {
            expect_len("control", "the averaging table", table.average_decay.len(), table.lr.len())?;
        }
        let measured = Measured { grad_norm: 0.0, finite: true, overflowed: false };
        Ok(Control { table: table.clone(), counters, measured, loss: 0.0, rows: 0, reports: Vec::new(), scale: 1.0 })
    }

    fn include_loss(&self, control: &mut Control, metrics: &BatchMetrics) -> Result<()> {
        control.loss += metrics.loss;
        control.rows += metrics.rows;
        Ok(())
    }

    fn measure(&self, control: &mut Control, clip: Option<f64>, grads: &[T]) -> Result<()> {
        let pieces: Vec<f64> = grads.par_chunks(PIECE).map(|piece| wide(|| square_sum(piece))).collect();
        let grad_norm = pieces.iter().sum::<f64>().sqrt();
        control.measured = Measured { grad_norm, finite: grad_norm.is_finite() && control.loss.is_finite(), overflowed: false };
        control.scale = clip.map_or(1.0, |most| (most / (grad_norm + 1e-6)).min(1.0));
        Ok(())
    }

    fn update<R: UpdateRule>(
        &self,
        rule: &R,
        control: &mut Control,
        groups: &ParamGroups,
        params: &mut [T],
        grads: &[T],
        state: &mut Buffer<T>,
    ) -> Result<()> {
        let count = params.len();
        let state = state.as_mut_slice();
        expect_len("update", "grads", grads.len(), count)?;
        expect_len("update", "state", state.len(), R::STATE * count)?;
        if R::STATE > MAX_STATE {
            return Err(Error::internal(format!("{} numbers of state per parameter, {MAX_STATE} at most", R::STATE)).at(R::NAME));
        }
        let increasing = groups.0.windows(2).all(|w| w[0].end <= w[1].end);
        if !increasing || groups.0.last().map_or(0, |g| g.end) != count {
            return Err(Error::internal(format!("parameter groups {groups:?} do not cover {count} parameters")).at(R::NAME));
        }
        if !control.measured.finite {
            return Ok(());
        }
        let (lr, momentum) = (control.at(&control.table.lr), control.at(&control.table.momentum));
        let applied = control.counters.step - control.counters.skipped;
        let begin = |weight_decay| rule.begin(&Hyper { lr, momentum, weight_decay, applied });
        let steps: Vec<R::Step> = groups.0.iter().map(|g| begin(g.weight_decay)).collect();
        let work = cut_arena(groups, params, grads, state);
        let mut trusts = vec![1.0; steps.len()];
        if R::LAYERWISE {
            let sums: Vec<[f64; 2]> =
                work.par_iter().map(|piece| wide(|| norms(rule, &steps[piece.group], control.scale, piece))).collect();
            let mut squares = vec![[0.0; 2]; steps.len()];
            for (piece, [weights, measured]) in work.iter().zip(sums) {
                squares[piece.group][0] += weights;
                squares[piece.group][1] += measured;
            }
            for (trust, (step, [weights, measured])) in trusts.iter_mut().zip(steps.iter().zip(squares)) {
                *trust = rule.trust(step, weights.sqrt(), measured.sqrt());
            }
        }
        let scale = control.scale;
        let finite = |piece: Piece<T>| wide(|| apply(rule, &steps[piece.group], trusts[piece.group], scale, piece));
        control.measured.overflowed = !work.into_par_iter().map(finite).reduce(|| true, |a, b| a && b);
        Ok(())
    }

    fn average(&self, control: &Control, values: &[T], average: &mut [T]) -> Result<()> {
        expect_len("average", "average", average.len(), values.len())?;
        if control.table.average_decay.is_empty() {
            return Err(Error::internal("there is no table of averaging factors").at("average"));
        }
        if !control.measured.finite {
            return Ok(());
        }
        let keep = control.at(&control.table.average_decay);
        average.par_chunks_mut(PIECE).zip(values.par_chunks(PIECE)).for_each(|(average, values)| {
            wide(|| {
                for (a, v) in average.iter_mut().zip(values) {
                    *a = T::of_f64(keep * a.to_f64() + (1.0 - keep) * v.to_f64());
                }
            });
        });
        Ok(())
    }

    fn restore_if_skipped(&self, control: &Control, src: &[T], dst: &mut [T]) -> Result<()> {
        expect_len("restore_if_skipped", "dst", dst.len(), src.len())?;
        if !control.measured.finite {
            dst.copy_from_slice(src);
        }
        Ok(())
    }

    fn advance(&self, control: &mut Control) -> Result<()> {
        let update = control.counters.step;
        control.counters.step += 1;
        control.counters.skipped += u64::from(!control.measured.finite);
        let (loss, skipped) = (control.loss / control.rows.max(1) as f64, control.counters.skipped);
        control.reports.push(Report { update, loss, measured: control.measured, skipped });
        (control.loss, control.rows) = (0.0, 0);
        Ok(())
    }

    fn send_report(&self, _control: &mut Control) -> Result<()> {
        Ok(())
    }

    fn reports(&self, control: &mut Control, _all: bool) -> Result<Vec<Report>> {
        Ok(std::mem::take(&mut control.reports))
    }

    fn measured(&self, control: &Control) -> Result<(Measured, Counters)> {
        Ok((control.measured, control.counters))
    }
}

/// Tensors cut into pieces.
fn cut_arena<'a, T: Real>(groups: &ParamGroups, params: &'a mut [T], grads: &'a [T], state: &'a mut [T]) -> Vec<Piece<'a, T>> {
    let begins = std::iter::once(0).chain(groups.0.iter().map(|g| g.end));
    let pieces = |(group, (begin, end)): (usize, (usize, usize))| {
        (begin..end).step_by(PIECE).map(move |at| (group, at, (end - at).min(PIECE))) //
    };
    let places: Vec<_> = begins.zip(groups.0.iter().map(|g| g.end)).enumerate().flat_map(pieces).collect();
    let lengths = || places.iter().map(|p| p.2);
    let mut planes = [const { Vec::new() }; MAX_STATE];
    for (plane, data) in planes.iter_mut().zip(state.chunks_exact_mut(params.len().max(1))) {
        *plane = super::cut(data, lengths());
    }
    let mut planes = planes.map(Vec::into_iter);
    let params = super::cut(params, lengths());
    let piece = |(params, &(group, at, length)): (&'a mut [T], &(usize, usize, usize))| {
        let state = planes.each_mut().map(|plane| plane.next().unwrap_or_default());
        Piece { params, grads: &grads[at..at + length], state, group }
    };
    params.into_iter().zip(&places).map(piece).collect()
}

/// Sums of blocks added up with compensation (Neumaier), so that a trust ratio is good to the last digits of f64 and a step that lands
/// next to zero is still right in f32.
#[inline(always)]
fn compensated(blocks: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut lost) = (0.0f64, 0.0);
    for block in blocks {
        let next = sum + block;
        lost += if sum >= block { (sum - next) + block } else { (block - next) + sum };
        sum = next;
    }
    sum + lost
}

#[inline(always)]
fn square_sum<T: Real>(values: &[T]) -> f64 {
    let block = |block: &[T]| {
        let mut lanes = [0.0f64; LANES];
        let rows = block.chunks_exact(LANES);
        let rest = rows.remainder();
        for row in rows {
            for (lane, v) in lanes.iter_mut().zip(row) {
                *lane += v.to_f64() * v.to_f64();
            }
        }
        for (lane, v) in lanes.iter_mut().zip(rest) {
            *lane += v.to_f64() * v.to_f64();
        }
        lanes.iter().sum::<f64>()
    };
    compensated(values.chunks(BLOCK).map(block))
}

/// Sums of squares of a piece's parameters and of what the rule measures of them.
#[inline(always)]
fn norms<T: Real, R: UpdateRule>(rule: &R, step: &R::Step, scale: f64, piece: &Piece<T>) -> [f64; 2] {
    let measure = |i: usize| {
        let (p, g, own) = (piece.params[i].to_f64(), scale * piece.grads[i].to_f64(), load::<T, R>(&piece.state, i));
        rule.measure(step, p, g, &own[..R::STATE])
    };
    let len = piece.params.len();
    let block = |begin: usize| {
        let mut measured = [0.0f64; BLOCK];
        let end = len.min(begin + BLOCK);
        measured.iter_mut().zip(begin..end).for_each(|(m, i)| *m = measure(i));
        square_sum(&measured[..end - begin])
    };
    [square_sum(piece.params), compensated((0..len).step_by(BLOCK).map(block))]
}

/// False if a new number is not finite.
#[inline(always)]
fn apply<T: Real, R: UpdateRule>(rule: &R, step: &R::Step, trust: f64, scale: f64, mut piece: Piece<T>) -> bool {
    let mut sound = true;
    for (i, (p, g)) in piece.params.iter_mut().zip(piece.grads).enumerate() {
        let mut own = load::<T, R>(&piece.state, i);
        *p = T::of_f64(rule.update(step, trust, p.to_f64(), scale * g.to_f64(), &mut own[..R::STATE]));
        sound &= p.to_f64().is_finite() & store::<T, R>(&mut piece.state, i, &own);
    }
    sound
}

#[inline(always)]
fn load<T: Real, R: UpdateRule>(state: &[&mut [T]; MAX_STATE], i: usize) -> [f64; MAX_STATE] {
    let mut own = [0.0; MAX_STATE];
    for s in 0..R::STATE {
        own[s] = state[s][i].to_f64();
    }
    own
}

#[inline(always)]
fn store<T: Real, R: UpdateRule>(state: &mut [&mut [T]; MAX_STATE], i: usize, own: &[f64; MAX_STATE]) -> bool {
    let mut sound = true;
    for s in 0..R::STATE {
        state[s][i] = T::of_f64(own[s]);
        sound &= state[s][i].to_f64().is_finite();
    }
    sound
}
