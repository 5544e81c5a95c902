//! Elementwise operations. A step uses only the rounding of the parameters; ReLUs and sums are fused into others there, so the rest is
//! measured once, on the largest activation.

use super::Workload;
use crate::bench::case::{Case, Job, Operands};
use crate::cuda::Element;
use crate::cuda::elementwise as ops;
use crate::cuda::timed::Timed;
use crate::models::Layer;
use half::bf16;

pub fn cases<D: Timed>(w: &Workload) -> Vec<Case<D>> {
    let parameters = w.layout.len();
    let narrow = Case::new("narrow", format!("{parameters}"), move |o: &mut Operands<D>| {
        let (from, mut to, d) = (o.read::<f32>(parameters)?, o.write::<bf16>(parameters)?, o.driver.clone());
        Ok(Job::moving(move || ops::narrow(&d, parameters, from.ptr(), to.ptr_mut())))
    });
    let widen = Case::new("widen", format!("{parameters}"), move |o: &mut Operands<D>| {
        let (from, mut to, d) = (o.read::<bf16>(parameters)?, o.write::<f32>(parameters)?, o.driver.clone());
        Ok(Job::moving(move || ops::widen(&d, parameters, from.ptr(), to.ptr_mut())))
    });
    let mut all = vec![narrow.times(1), widen];
    all.extend(on_activations::<bf16, D>(largest(w)));
    all
}

/// Elements of the largest activation.
pub fn largest(w: &Workload) -> usize {
    let of_norm = |(l, _): &(Layer, usize)| if let Layer::Norm { problem: p, .. } = l { Some(p.pixels * p.channels) } else { None };
    w.layers.iter().filter_map(of_norm).max().unwrap_or(1)
}

pub fn on_activations<T: Element, D: Timed>(len: usize) -> [Case<D>; 3] {
    let shape = format!("{len}");
    let relu = Case::new("relu", shape.clone(), move |o: &mut Operands<D>| {
        let (x, mut y, d) = (o.read::<T>(len)?, o.write::<T>(len)?, o.driver.clone());
        Ok(Job::moving(move || ops::relu(&d, len, x.ptr(), y.ptr_mut())))
    });
    let backward = Case::new("relu_backward", shape.clone(), move |o: &mut Operands<D>| {
        let (y, dy, mut dx, d) = (o.read::<T>(len)?, o.read::<T>(len)?, o.write::<T>(len)?, o.driver.clone());
        Ok(Job::moving(move || ops::relu_backward(&d, len, y.ptr(), dy.ptr(), dx.ptr_mut(), false)))
    });
    let add = Case::new("add", shape, move |o: &mut Operands<D>| {
        let (a, b, mut out, d) = (o.read::<T>(len)?, o.read::<T>(len)?, o.write::<T>(len)?, o.driver.clone());
        Ok(Job::moving(move || ops::add(&d, len, a.ptr(), b.ptr(), out.ptr_mut())))
    });
    [relu, backward, add]
}
