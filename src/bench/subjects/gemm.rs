//! The classifier.

use super::Workload;
use crate::bench::case::{Case, Job, Operands};
use crate::cuda::Element;
use crate::cuda::gemm::{self, Variant};
use crate::cuda::timed::Timed;
use crate::models::Layer;
use crate::shape::LinearProblem;
use half::bf16;

pub fn cases<D: Timed>(w: &Workload) -> Vec<Case<D>> {
    let layers = w.layers.iter().filter_map(|(l, times)| if let Layer::Linear(p) = l { Some((*p, *times)) } else { None });
    layers.flat_map(|(p, times)| passes::<bf16, D>(p, Variant::Tiled).map(|c| c.times(times))).collect()
}

/// fprop, dgrad and wgrad with the bias.
pub fn passes<T: Element, D: Timed>(p: LinearProblem, variant: Variant) -> [Case<D>; 3] {
    let (shape, macs) = (format!("{} x {} -> {}", p.n, p.c, p.k), (p.n * p.c * p.k) as u64);
    let fprop = Case::new("linear_fprop", shape.clone(), move |o: &mut Operands<D>| {
        let (x, w, bias) = (o.read::<T>(p.n * p.c)?, o.read::<T>(p.k * p.c)?, o.read::<f32>(p.k)?);
        let (mut y, d) = (o.write::<T>(p.n * p.k)?, o.driver.clone());
        Ok(Job::computing(2 * macs, move || gemm::fprop(&d, &p, variant, x.ptr(), w.ptr(), bias.ptr(), y.ptr_mut())))
    });
    let dgrad = Case::new("linear_dgrad", shape.clone(), move |o: &mut Operands<D>| {
        let (dy, w) = (o.read::<T>(p.n * p.k)?, o.read::<T>(p.k * p.c)?);
        let (mut dx, d) = (o.write::<T>(p.n * p.c)?, o.driver.clone());
        Ok(Job::computing(2 * macs, move || gemm::dgrad(&d, &p, variant, dy.ptr(), w.ptr(), dx.ptr_mut(), false)))
    });
    let wgrad = Case::new("linear_wgrad", shape, move |o: &mut Operands<D>| {
        let (x, dy) = (o.read::<T>(p.n * p.c)?, o.read::<T>(p.n * p.k)?);
        let (mut dw, mut dbias, d) = (o.write::<f32>(p.k * p.c)?, o.write::<f32>(p.k)?, o.driver.clone());
        Ok(Job::computing(2 * macs, move || gemm::wgrad(&d, &p, variant, x.ptr(), dy.ptr(), dw.ptr_mut(), dbias.ptr_mut(), false)))
    });
    let name = if variant == Variant::Direct { "direct" } else { "tiled" };
    [fprop, dgrad, wgrad].map(|c| c.variant(name))
}
