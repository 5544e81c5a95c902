//! The optimizer's step: the rule's Rust body over the arena, pieces of 16 Ki parameters in parallel.
//!
//! Rules compute in f32 whatever the backend's type, so that this backend is the oracle of the kernels.

use super::memory::expect_len;
use super::{Buffer, Cpu, Real, wide};
use crate::backend::{Hyper, ParamGroups, Update, UpdateRule};
use crate::error::{Error, Result};
use rayon::prelude::*;

/// Parameters of one work item.
const PIECE: usize = 1 << 14;

/// Most numbers of state per parameter that a rule may ask for.
const MAX_STATE: usize = 4;

/// Rates and momenta by update, and the number of updates done.
#[derive(Clone, Debug)]
pub struct Schedule {
    lr: Vec<f32>,
    momentum: Vec<f32>,
    step: u64,
}

impl Schedule {
    /// Updates done so far.
    pub fn step(&self) -> u64 {
        self.step
    }
}

/// One piece of the arena: its parameters and state in, and the group it belongs to.
struct Piece<'a, T> {
    params: &'a mut [T],
    grads: &'a [T],
    state: [&'a mut [T]; MAX_STATE],
    weight_decay: f32,
}

impl<T: Real> Update for Cpu<T> {
    type Schedule = Schedule;

    fn schedule(&self, lr: &[f32], momentum: &[f32], done: u64) -> Result<Schedule> {
        expect_len("schedule", "the momentum table", momentum.len(), lr.len())?;
        if lr.is_empty() {
            return Err(Error::internal("the table of rates is empty").at("schedule"));
        }
        Ok(Schedule { lr: lr.to_vec(), momentum: momentum.to_vec(), step: done })
    }

    fn update<R: UpdateRule>(
        &self,
        rule: &R,
        schedule: &mut Schedule,
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
        let increasing = groups.0.windows(2).all(|w| w[0].0 <= w[1].0);
        if !increasing || groups.0.last().map_or(0, |g| g.0) != count {
            return Err(Error::internal(format!("parameter groups {groups:?} do not cover {count} parameters")).at(R::NAME));
        }
        let at = usize::try_from(schedule.step).unwrap_or(usize::MAX).min(schedule.lr.len() - 1);
        let hyper = Hyper { lr: schedule.lr[at], momentum: schedule.momentum[at], weight_decay: 0.0, step: schedule.step };

        let mut planes = [const { Vec::new() }; MAX_STATE];
        if count > 0 {
            for (plane, data) in planes.iter_mut().zip(state.chunks_exact_mut(count)) {
                *plane = pieces(data, groups);
            }
        }
        let mut planes = planes.map(Vec::into_iter);
        let mut begin = 0;
        let mut work: Vec<Piece<T>> = Vec::new();
        for (params, weight_decay) in pieces(params, groups).into_iter().zip(decays(groups)) {
            let grads = &grads[begin..begin + params.len()];
            begin += params.len();
            let state = planes.each_mut().map(|plane| plane.next().unwrap_or_default());
            work.push(Piece { params, grads, state, weight_decay });
        }
        work.into_par_iter().for_each(|piece| wide(|| apply(rule, piece, hyper)));
        schedule.step += 1;
        Ok(())
    }
}

/// Lengths of the work items: groups cut into pieces.
fn lengths(groups: &ParamGroups) -> impl Iterator<Item = (usize, f32)> + '_ {
    let begins = std::iter::once(0).chain(groups.0.iter().map(|g| g.0));
    begins.zip(&groups.0).flat_map(|(begin, &(end, decay))| (begin..end).step_by(PIECE).map(move |at| ((end - at).min(PIECE), decay)))
}

fn pieces<'a, T>(data: &'a mut [T], groups: &ParamGroups) -> Vec<&'a mut [T]> {
    super::cut(data, lengths(groups).map(|l| l.0))
}

fn decays(groups: &ParamGroups) -> impl Iterator<Item = f32> + '_ {
    lengths(groups).map(|l| l.1)
}

#[inline(always)]
fn apply<T: Real, R: UpdateRule>(rule: &R, piece: Piece<T>, hyper: Hyper) {
    let hyper = Hyper { weight_decay: piece.weight_decay, ..hyper };
    let state = piece.state;
    for (i, (p, &g)) in piece.params.iter_mut().zip(piece.grads).enumerate() {
        let mut own = [0.0f32; MAX_STATE];
        for s in 0..R::STATE {
            own[s] = state[s][i].to_f32();
        }
        *p = T::of_f32(rule.update(p.to_f32(), g.to_f32(), &mut own[..R::STATE], &hyper));
        for s in 0..R::STATE {
            state[s][i] = T::of_f32(own[s]);
        }
    }
}
