//! Batch norm with the residual and the ReLU behind it. Statistics over the batch need a pass of their own before values are normalised,
//! and the sums of the backward pass another: both are counted.

use super::Workload;
use crate::backend::NormProblem;
use crate::bench::case::{Case, Job, Operands};
use crate::cuda::Element;
use crate::cuda::launch::Ptr;
use crate::cuda::norm::{self, Backward, Eval, Train, coefficients_len, tiles_len};
use crate::cuda::timed::Timed;
use crate::models::Layer;
use half::bf16;

pub fn cases<D: Timed>(w: &Workload) -> Vec<Case<D>> {
    let mut all = Vec::new();
    let layers = || {
        w.layers
            .iter()
            .filter_map(|(l, times)| if let Layer::Norm { problem, residual } = l { Some((*problem, *residual, *times)) } else { None })
    };
    all.extend(layers().map(|(p, residual, times)| train::<bf16, D>(p, residual).times(times)));
    all.extend(layers().map(|(p, residual, times)| backward::<bf16, D>(p, residual).times(times)));
    all.extend(layers().take(1).map(|(p, residual, _)| eval::<bf16, D>(p, residual)));
    all
}

fn shape(p: &NormProblem, residual: bool) -> String {
    format!("{} x {}{}{}", p.pixels, p.channels, if residual { " + residual" } else { "" }, if p.relu { ", relu" } else { "" })
}

pub fn train<T: Element, D: Timed>(p: NormProblem, residual: bool) -> Case<D> {
    Case::new("norm_train", shape(&p, residual), move |o: &mut Operands<D>| {
        let len = p.pixels * p.channels;
        let y = o.read::<T>(len)?;
        o.pass::<T>(len);
        let added = if residual { Some(o.read::<T>(len)?) } else { None };
        let (gamma, beta, mut out) = (o.read::<f32>(p.channels)?, o.read::<f32>(p.channels)?, o.write::<T>(len)?);
        let (mut running, mut saved) = (o.zeros::<f32>(2 * p.channels)?, o.scratch::<f32>(2 * p.channels)?);
        let (mut tiles, d) = (o.scratch::<f32>(tiles_len(&p))?, o.driver.clone());
        Ok(Job::moving(move || {
            let arrays = Train {
                y: y.ptr(),
                gamma: gamma.ptr(),
                beta: beta.ptr(),
                residual: added.as_ref().map_or(Ptr::null(), |a| a.ptr()),
                running: running.ptr_mut(),
                saved: saved.ptr_mut(),
                out: out.ptr_mut(),
                tiles: tiles.ptr_mut(),
            };
            norm::train(&d, &p, &arrays)
        }))
    })
}

pub fn eval<T: Element, D: Timed>(p: NormProblem, residual: bool) -> Case<D> {
    Case::new("norm_eval", shape(&p, residual), move |o: &mut Operands<D>| {
        let len = p.pixels * p.channels;
        let y = o.read::<T>(len)?;
        let added = if residual { Some(o.read::<T>(len)?) } else { None };
        let (gamma, beta, mut out) = (o.read::<f32>(p.channels)?, o.read::<f32>(p.channels)?, o.write::<T>(len)?);
        let (running, mut prepared, d) = (o.zeros::<f32>(2 * p.channels)?, o.scratch::<f32>(2 * p.channels)?, o.driver.clone());
        Ok(Job::moving(move || {
            let arrays = Eval {
                y: y.ptr(),
                gamma: gamma.ptr(),
                beta: beta.ptr(),
                residual: added.as_ref().map_or(Ptr::null(), |a| a.ptr()),
                running: running.ptr(),
                prepared: prepared.ptr_mut(),
                out: out.ptr_mut(),
            };
            norm::eval(&d, &p, &arrays)
        }))
    })
}

/// The gradient of the residual is left in place, so it costs nothing here.
pub fn backward<T: Element, D: Timed>(p: NormProblem, residual: bool) -> Case<D> {
    Case::new("norm_backward", shape(&p, residual), move |o: &mut Operands<D>| {
        let len = p.pixels * p.channels;
        let (mut gradient, y) = (o.read::<T>(len)?, o.read::<T>(len)?);
        // The mask is read and the masked gradient written.
        let out = if p.relu { Some(o.read::<T>(len)?) } else { None };
        if p.relu {
            o.pass::<T>(len);
        }
        // Both again, for the second pass.
        o.pass::<T>(2 * len);
        let mut dy = o.write::<T>(len)?;
        let (gamma, saved) = (o.read::<f32>(p.channels)?, o.read::<f32>(2 * p.channels)?);
        let (mut dgamma, mut dbeta) = (o.write::<f32>(p.channels)?, o.write::<f32>(p.channels)?);
        let (mut tiles, mut coefficients) = (o.scratch::<f32>(tiles_len(&p))?, o.scratch::<f32>(coefficients_len(&p))?);
        let d = o.driver.clone();
        Ok(Job::moving(move || {
            let arrays = Backward {
                d: gradient.ptr_mut(),
                out: out.as_ref().map_or(Ptr::null(), |a| a.ptr()),
                y: y.ptr(),
                gamma: gamma.ptr(),
                saved: saved.ptr(),
                dgamma: dgamma.ptr_mut(),
                dbeta: dbeta.ptr_mut(),
                dy: dy.ptr_mut(),
                tiles: tiles.ptr_mut(),
                coefficients: coefficients.ptr_mut(),
            };
            norm::backward(&d, &p, &arrays, false)
        }))
    })
}
