//! The first convolution, by space-to-depth: arranging, the convolution over what was arranged, gathering the gradient.

use super::{Workload, conv as layer};
use crate::bench::case::{Case, Job, Operands};
use crate::cuda::conv::{self, Split, Variant};
use crate::cuda::conv_stem;
use crate::cuda::timed::Timed;
use crate::models::Layer;
use crate::shape::ConvProblem;
use half::bf16;

pub fn cases<D: Timed>(w: &Workload) -> Vec<Case<D>> {
    let stem = w.first(|l| if let Layer::Conv(p) = l { conv_stem::applies(p).then_some(*p) } else { None });
    let passes = |p: ConvProblem| {
        [Variant::TILED.map(|v| fprop(p, v).variant(layer::name(v))), Variant::TILED.map(|v| wgrad(p, v).variant(layer::name(v)))]
    };
    stem.into_iter().flat_map(passes).flatten().map(|c| c.times(1)).collect()
}

fn fprop<D: Timed>(p: ConvProblem, variant: Variant) -> Case<D> {
    Case::new("stem_fprop", layer::shape(&p), move |o: &mut Operands<D>| {
        let over = conv_stem::arranged(&p)?;
        let (x, w, mut y) = (o.read::<bf16>(p.x_len())?, o.read::<bf16>(p.w_len())?, o.write::<bf16>(p.y_len())?);
        let (mut pictures, mut filters) = (o.scratch::<bf16>(over.x_len())?, o.scratch::<bf16>(over.w_len())?);
        let d = o.driver.clone();
        Ok(Job::computing(2 * p.macs(), move || {
            conv_stem::arrange(&d, &p, x.ptr(), pictures.ptr_mut())?;
            conv_stem::arrange_filters(&d, &p, w.ptr(), filters.ptr_mut())?;
            conv::fprop(&d, &over, variant, pictures.ptr(), filters.ptr(), y.ptr_mut())
        }))
    })
}

/// The arranged pictures are kept from the forward pass.
fn wgrad<D: Timed>(p: ConvProblem, variant: Variant) -> Case<D> {
    Case::new("stem_wgrad", layer::shape(&p), move |o: &mut Operands<D>| {
        let over = conv_stem::arranged(&p)?;
        let split = Split::choose(&over, variant, o.driver.properties().multiprocessors);
        let (x, dy, mut dw) = (o.read::<bf16>(over.x_len())?, o.read::<bf16>(p.y_len())?, o.write::<f32>(p.w_len())?);
        let (mut slabs, mut tickets) = (o.scratch::<f32>(split.slab_len)?, o.zeros::<u32>(split.tickets)?);
        let (mut arranged, d) = (o.scratch::<f32>(over.w_len())?, o.driver.clone());
        Ok(Job::computing(2 * p.macs(), move || {
            let (slabs, tickets) = (slabs.ptr_mut(), tickets.ptr_mut());
            conv::wgrad(&d, &over, variant, &split, x.ptr(), dy.ptr(), arranged.ptr_mut(), slabs, tickets, false)?;
            conv_stem::gather_gradient(&d, &p, arranged.ptr(), dw.ptr_mut(), false)
        }))
    })
}
