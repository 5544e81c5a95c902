//! The optimizer's step over all parameters: the norm, every rule with the rounded copy of its result, the moving average.

use super::Workload;
use crate::backend::{Counters, ParamGroups, UpdateRule, UpdateTable};
use crate::bench::case::{Case, Job, Operands};
use crate::cuda::launch::PtrMut;
use crate::cuda::timed::Timed;
use crate::cuda::update::{Arenas, Control, Groups};
use crate::optim::{AdamW, Lamb, Lars, Lion, Sgd};
use half::bf16;

pub fn cases<D: Timed>(w: &Workload) -> Vec<Case<D>> {
    let groups = w.layout.groups(1e-4, 0.0, 0.0);
    let len = w.layout.len();
    vec![
        norm(len).times(1),
        rule(Sgd { nesterov: false, dampening: 0.0 }, len, &groups).times(1),
        rule(AdamW { beta2: 0.999, eps: 1e-8 }, len, &groups),
        rule(Lion { beta2: 0.99 }, len, &groups),
        rule(Lars { trust_coefficient: 1e-3, eps: 1e-8, nesterov: false }, len, &groups),
        rule(Lamb { beta2: 0.999, eps: 1e-6 }, len, &groups),
        average(len),
        around(len).times(1),
    ]
}

fn control<D: Timed>(driver: &D, len: usize) -> crate::error::Result<Control<D>> {
    let table = UpdateTable { lr: vec![1e-3], momentum: vec![0.9], average_decay: vec![0.99] };
    Control::new(driver, &table, Counters::default(), len)
}

fn norm<D: Timed>(len: usize) -> Case<D> {
    Case::new("grad_norm", format!("{len} parameters"), move |o: &mut Operands<D>| {
        let grads = o.read::<f32>(len)?;
        let mut control = control(&o.driver, len)?;
        Ok(Job::moving(move || control.measure(Some(1.0), grads.ptr(), len)))
    })
}

/// One update by `rule`; a layerwise rule reads everything twice.
fn rule<D: Timed, R: UpdateRule>(rule: R, len: usize, groups: &ParamGroups) -> Case<D> {
    let groups = groups.clone();
    Case::new(R::NAME, format!("{len} parameters in {} tensors", groups.0.len()), move |o: &mut Operands<D>| {
        let (mut params, grads, mut state) = (o.read::<f32>(len)?, o.read::<f32>(len)?, o.read::<f32>(R::STATE * len)?);
        let mut shadow = o.write::<bf16>(len)?;
        o.pass::<f32>((1 + R::STATE) * len); // parameters and state go back
        if R::LAYERWISE {
            o.pass::<f32>((2 + R::STATE) * len);
        }
        let (mut control, mut groups) = (control(&o.driver, len)?, Groups::new(&o.driver, &groups)?);
        Ok(Job::moving(move || {
            let (params, state, shadow) = (params.ptr_mut(), state.ptr_mut(), shadow.ptr_mut());
            control.update(&rule, &mut groups, &Arenas { params, grads: grads.ptr(), state, shadow })
        }))
    })
}

fn average<D: Timed>(len: usize) -> Case<D> {
    Case::new("average", format!("{len} parameters"), move |o: &mut Operands<D>| {
        let (values, mut averages) = (o.read::<f32>(len)?, o.read::<f32>(len)?);
        o.pass::<f32>(len);
        let control = control(&o.driver, len)?;
        Ok(Job::moving(move || {
            let into: PtrMut<f32> = averages.ptr_mut();
            control.average(values.ptr(), into, len)
        }))
    })
}

/// What surrounds the step: the loss joins its report, running statistics stay or come back, the counters go on.
fn around<D: Timed>(len: usize) -> Case<D> {
    const STATISTICS: usize = 53_120;
    Case::new("loss, restore, advance", format!("{STATISTICS} running statistics"), move |o: &mut Operands<D>| {
        let (before, mut running, sums) = (o.scratch::<f32>(STATISTICS)?, o.scratch::<f32>(STATISTICS)?, o.given(&[1.0f64, 0.0, 0.0])?);
        let mut control = control(&o.driver, len)?;
        Ok(Job::moving(move || {
            control.include_loss(sums.ptr(), 1)?;
            control.restore_if_skipped(before.ptr(), running.ptr_mut(), STATISTICS)?;
            control.advance()
        }))
    })
}
