//! The optimizer's step: the arenas' addresses for `crate::cuda::update`, and reports that come back late.

use super::Cuda;
use super::loss::Metrics;
use super::memory::Buffer;
use super::view::{View, ViewMut};
use crate::backend::{Counters, Measured, Memory, ParamGroups, Report, Update, UpdateRule, UpdateTable};
use crate::cuda::Element;
use crate::cuda::elementwise;
use crate::cuda::launch::Ptr;
use crate::cuda::stream::Stream;
use crate::cuda::update::{self, Arenas, Groups, UpdateControl};
use crate::error::{Error, Result};
use std::collections::VecDeque;

/// Tables, counters and measures on the device, and reports on their way.
pub struct Control<D: Stream> {
    inner: update::Control<D>,
    /// The tensors of the last update, and their table on the device.
    groups: Option<(ParamGroups, Groups<D>)>,
    under_way: VecDeque<D::Arriving>,
}

fn report(bytes: &[u8]) -> Result<Report> {
    let block: UpdateControl = bytemuck::try_pod_read_unaligned(bytes)
        .map_err(|e| Error::internal(format!("a report of {} bytes: {e}", bytes.len())).at("reports"))?;
    let measured = Measured { grad_norm: block.grad_norm, finite: block.finite != 0, overflowed: block.overflowed != 0 };
    Ok(Report { update: block.step.saturating_sub(1), loss: block.mean_loss, measured, skipped: block.skipped })
}

impl<D: Stream, T: Element> Update for Cuda<D, T> {
    type Control = Control<D>;
    const UNDER_WAY: usize = 4;

    fn control(&self, parameters: usize, table: &UpdateTable, counters: Counters) -> Result<Control<D>> {
        let inner = update::Control::new(&self.driver, table, counters, parameters)?;
        Ok(Control { inner, groups: None, under_way: VecDeque::new() })
    }

    fn include_loss(&self, control: &mut Control<D>, metrics: &Metrics<D>) -> Result<()> {
        control.inner.include_loss(Ptr::new(metrics.sums.address()), metrics.rows)
    }

    fn measure(&self, control: &mut Control<D>, clip: Option<f64>, grads: View<'_>) -> Result<()> {
        let len = grads.place.len;
        control.inner.measure(clip, grads.full::<T>("measure", "grads", len)?, len)
    }

    fn update<R: UpdateRule>(
        &self,
        rule: &R,
        control: &mut Control<D>,
        groups: &ParamGroups,
        params: ViewMut<'_>,
        grads: View<'_>,
        state: &mut Buffer<D>,
    ) -> Result<()> {
        const OP: &str = "update";
        let len = params.place.len;
        let (params, shadow) = params.full_and_rounded::<T>(OP, "params", len)?;
        let arenas = Arenas {
            params,
            grads: grads.full::<T>(OP, "grads", len)?,
            state: Self::all_mut(state).full::<T>(OP, "state", R::STATE * len)?,
            shadow,
        };
        if control.groups.as_ref().is_none_or(|(last, _)| last != groups) {
            control.groups = Some((groups.clone(), Groups::new(&self.driver, groups)?));
        }
        match &mut control.groups {
            Some((_, groups)) => control.inner.update(rule, groups, &arenas),
            None => Err(Error::internal("no table of tensors").at(OP)),
        }
    }

    fn average(&self, control: &Control<D>, values: View<'_>, average: ViewMut<'_>) -> Result<()> {
        const OP: &str = "average";
        let len = values.place.len;
        let (full, rounded) = average.full_and_rounded::<T>(OP, "average", len)?;
        control.inner.average(values.full::<T>(OP, "values", len)?, full, len)?;
        if rounded.is_null() {
            return Ok(());
        }
        elementwise::narrow(&self.driver, len, full.to_read(), rounded)
    }

    fn restore_if_skipped(&self, control: &Control<D>, src: View<'_>, dst: ViewMut<'_>) -> Result<()> {
        const OP: &str = "restore_if_skipped";
        let len = src.place.len;
        control.inner.restore_if_skipped(src.full::<T>(OP, "src", len)?, dst.full::<T>(OP, "dst", len)?, len)
    }

    fn advance(&self, control: &mut Control<D>) -> Result<()> {
        control.inner.advance()
    }

    fn send_report(&self, control: &mut Control<D>) -> Result<()> {
        let arriving = self.driver.send(control.inner.block.address(), size_of::<UpdateControl>())?;
        control.under_way.push_back(arriving);
        Ok(())
    }

    fn reports(&self, control: &mut Control<D>, all: bool) -> Result<Vec<Report>> {
        let mut come = Vec::new();
        while !control.under_way.is_empty() {
            let wait = all || control.under_way.len() >= Self::UNDER_WAY;
            let Some(next) = control.under_way.front_mut() else { break };
            let Some(bytes) = self.driver.arrived(next, wait)? else { break };
            control.under_way.pop_front();
            come.push(report(&bytes)?);
        }
        Ok(come)
    }

    fn measured(&self, control: &Control<D>) -> Result<(Measured, Counters)> {
        let update::Outcome { counters, grad_norm, finite, overflowed, .. } = control.inner.measured()?;
        Ok((Measured { grad_norm, finite, overflowed }, counters))
    }
}
