//! Convolutions: three passes of every layer but the stem, by each tensor-core kernel.

use super::Workload;
use crate::bench::case::{Case, Job, Operands};
use crate::cuda::Element;
use crate::cuda::conv::{self, Split, Variant};
use crate::cuda::timed::Timed;
use crate::models::Layer;
use crate::shape::ConvProblem;
use half::bf16;

pub fn cases<D: Timed>(w: &Workload) -> Vec<Case<D>> {
    let mut all = Vec::new();
    for (layer, times) in &w.layers {
        if let Layer::Conv(p) = layer
            && p.c.is_multiple_of(8)
        {
            all.extend(Variant::TILED.into_iter().flat_map(|v| passes::<bf16, D>(*p, v)).map(|c| c.times(*times)));
        }
    }
    // Variants of one pass side by side.
    all.sort_by_key(|c| ["conv_fprop", "conv_dgrad", "conv_wgrad"].iter().position(|op| *op == c.op));
    all
}

pub fn name(variant: Variant) -> &'static str {
    match variant {
        Variant::Direct => "direct",
        Variant::M128N128 => "m128n128",
        Variant::M128N64 => "m128n64",
        Variant::M64N64 => "m64n64",
    }
}

pub fn shape(p: &ConvProblem) -> String {
    format!("{}x{}x{} -> {}, {}x{}/{}", p.h, p.w, p.c, p.k, p.r, p.s, p.stride)
}

/// Elements of x that the filters touch: 1x1 filters with a stride skip the rest.
pub fn touched(p: &ConvProblem) -> usize {
    if p.r == 1 && p.s == 1 { p.n * p.p() * p.q() * p.c } else { p.x_len() }
}

/// fprop, dgrad and wgrad.
pub fn passes<T: Element, D: Timed>(p: ConvProblem, variant: Variant) -> [Case<D>; 3] {
    [fprop::<T, D>(p, variant), dgrad::<T, D>(p, variant), wgrad::<T, D>(p, variant)].map(|c| c.variant(name(variant)))
}

fn fprop<T: Element, D: Timed>(p: ConvProblem, variant: Variant) -> Case<D> {
    Case::new("conv_fprop", shape(&p), move |o: &mut Operands<D>| {
        let (x, w, mut y) = (o.noise::<T>(p.x_len())?, o.read::<T>(p.w_len())?, o.write::<T>(p.y_len())?);
        o.pass::<T>(touched(&p));
        let d = o.driver.clone();
        Ok(Job::computing(2 * p.macs(), move || conv::fprop(&d, &p, variant, x.ptr(), w.ptr(), y.ptr_mut())))
    })
}

fn dgrad<T: Element, D: Timed>(p: ConvProblem, variant: Variant) -> Case<D> {
    Case::new("conv_dgrad", shape(&p), move |o: &mut Operands<D>| {
        let (dy, w, mut dx) = (o.read::<T>(p.y_len())?, o.read::<T>(p.w_len())?, o.write::<T>(p.x_len())?);
        let d = o.driver.clone();
        Ok(Job::computing(2 * p.macs(), move || conv::dgrad(&d, &p, variant, dy.ptr(), w.ptr(), dx.ptr_mut(), false)))
    })
}

fn wgrad<T: Element, D: Timed>(p: ConvProblem, variant: Variant) -> Case<D> {
    Case::new("conv_wgrad", shape(&p), move |o: &mut Operands<D>| {
        let split = Split::choose(&p, variant, o.driver.properties().multiprocessors);
        let (x, dy, mut dw) = (o.noise::<T>(p.x_len())?, o.read::<T>(p.y_len())?, o.write::<f32>(p.w_len())?);
        o.pass::<T>(touched(&p));
        let (mut slabs, mut tickets, d) = (o.scratch::<f32>(split.slab_len)?, o.zeros::<u32>(split.tickets)?, o.driver.clone());
        Ok(Job::computing(2 * p.macs(), move || {
            let (slabs, tickets) = (slabs.ptr_mut(), tickets.ptr_mut());
            conv::wgrad(&d, &p, variant, &split, x.ptr(), dy.ptr(), dw.ptr_mut(), slabs, tickets, false)
        }))
    })
}
