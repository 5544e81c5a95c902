//! The stem by space-to-depth gives what the 7x7 convolution gives: exactly, on integers.

use super::case::{Case, Check, Expected, Output};
use super::conv::{problem, shape};
use super::numbers::{integers, plus, rounded};
use super::on_driver::{OnDriver, down};
use super::oracle::{Pass, reference};
use crate::cuda::conv::{self, Split, Variant};
use crate::cuda::launch::Driver;
use crate::cuda::{Element, conv_stem};
use crate::error::Result;
use crate::shape::ConvProblem;
use half::bf16;
use std::sync::Arc;

/// Pictures of f32, as augmentation may leave them, and of bf16.
pub fn edges<D: Driver>() -> Vec<Case<OnDriver<D>>> {
    let stem = |(n, h, w, k)| problem((n, h, w, 3, k), (7, 7), 2, 3);
    let mut all: Vec<_> = [(1, 2, 2, 8), (2, 20, 16, 64), (1, 34, 6, 24)].into_iter().map(stem).map(case::<bf16, D>).collect();
    all.push(case::<f32, D>(stem((1, 4, 4, 8))));
    all
}

pub fn case<T: Element, D: Driver>(pr: ConvProblem) -> Case<OnDriver<D>> {
    Case::new(("conv_stem", "conv_stem"), shape(&pr), T::NAME, move |_: &OnDriver<D>| {
        let (x, w, dy) = (integers(1, pr.x_len()), integers(2, pr.w_len()), integers(3, pr.y_len()));
        let ones = vec![1.0; pr.w_len()];
        let y = rounded::<bf16>(&reference(Pass::Fprop, &pr, &x, &w, u64::MAX).values);
        let dw = plus(&reference(Pass::Wgrad, &pr, &x, &dy, u64::MAX).values, &ones);
        let expected = Arc::new(vec![Expected::exact("y", y), Expected::exact("dw", dw)]);
        vec![Check::new("integers, the gradient added", &expected, move |device: &OnDriver<D>| {
            run::<T, D>(device, &pr, &x, &w, &dy, &ones)
        })]
    })
}

/// The output, and the gradient by the filters added to `start`.
fn run<T: Element, D: Driver>(
    device: &OnDriver<D>,
    pr: &ConvProblem,
    x: &[f64],
    w: &[f64],
    dy: &[f64],
    start: &[f64],
) -> Result<Vec<Output>> {
    let (over, driver) = (conv_stem::arranged(pr)?, device.driver());
    let (x, w, dy) = (device.up::<T>(x)?, device.up::<bf16>(w)?, device.up::<bf16>(dy)?);
    let (mut ax, mut aw) = (device.output::<bf16>(over.x_len())?, device.output::<bf16>(over.w_len())?);
    conv_stem::arrange::<T, _>(driver, pr, x.ptr(), ax.ptr_mut())?;
    conv_stem::arrange_filters(driver, pr, w.ptr(), aw.ptr_mut())?;
    let mut y = device.output::<bf16>(over.y_len())?;
    conv::fprop(driver, &over, Variant::M128N64, ax.ptr(), aw.ptr(), y.ptr_mut())?;
    let split = Split::new(&over, Variant::M64N64, 3);
    let (mut slabs, mut tickets) = (device.output::<f32>(split.slab_len)?, device.raw(&vec![0u32; split.tickets])?);
    let (mut adw, mut dw) = (device.output::<f32>(over.w_len())?, device.up::<f32>(start)?);
    let (s, t) = (slabs.ptr_mut(), tickets.ptr_mut());
    conv::wgrad(driver, &over, Variant::M64N64, &split, ax.ptr(), dy.ptr(), adw.ptr_mut(), s, t, false)?;
    conv_stem::gather_gradient(driver, pr, adw.ptr(), dw.ptr_mut(), true)?;
    device.check_guards()?;
    Ok(vec![Output::new("y", down(&y)?), Output::new("dw", down(&dw)?)])
}
