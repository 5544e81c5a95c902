//! Pooling.

use super::Workload;
use crate::bench::case::{Case, Job, Operands};
use crate::cuda::Element;
use crate::cuda::pool;
use crate::cuda::timed::Timed;
use crate::models::Layer;
use crate::shape::PoolProblem;
use half::bf16;

pub fn cases<D: Timed>(w: &Workload) -> Vec<Case<D>> {
    let mut all = Vec::new();
    for (layer, times) in &w.layers {
        match *layer {
            Layer::MaxPool(p) => all.extend(max::<bf16, D>(p).map(|c| c.times(*times))),
            Layer::AveragePool { n, pixels, c } => all.extend(average::<bf16, D>(n, pixels, c).map(|c| c.times(*times))),
            _ => {}
        }
    }
    all
}

pub fn max<T: Element, D: Timed>(p: PoolProblem) -> [Case<D>; 2] {
    let shape = format!("{}x{}x{}, {}x{}/{}", p.h, p.w, p.c, p.window, p.window, p.stride);
    let forward = Case::new("max_pool", shape.clone(), move |o: &mut Operands<D>| {
        let (x, mut y, mut position) = (o.read::<T>(p.x_len())?, o.write::<T>(p.y_len())?, o.write::<u8>(p.y_len())?);
        let d = o.driver.clone();
        Ok(Job::moving(move || pool::max(&d, &p, x.ptr(), y.ptr_mut(), position.ptr_mut())))
    });
    let backward = Case::new("max_pool_backward", shape, move |o: &mut Operands<D>| {
        let (dy, mut position, mut dx) = (o.read::<T>(p.y_len())?, o.write::<u8>(p.y_len())?, o.write::<T>(p.x_len())?);
        let (x, mut y, d) = (o.noise::<T>(p.x_len())?, o.scratch::<T>(p.y_len())?, o.driver.clone());
        pool::max(&d, &p, x.ptr(), y.ptr_mut(), position.ptr_mut())?; // real positions
        Ok(Job::moving(move || pool::max_backward(&d, &p, dy.ptr(), position.ptr(), dx.ptr_mut(), false)))
    });
    [forward, backward]
}

pub fn average<T: Element, D: Timed>(n: usize, pixels: usize, c: usize) -> [Case<D>; 2] {
    let shape = format!("{pixels} x {c}");
    let forward = Case::new("average_pool", shape.clone(), move |o: &mut Operands<D>| {
        let (x, mut y, d) = (o.read::<T>(n * pixels * c)?, o.write::<T>(n * c)?, o.driver.clone());
        Ok(Job::moving(move || pool::average(&d, n, pixels, c, x.ptr(), y.ptr_mut())))
    });
    let backward = Case::new("average_pool_backward", shape, move |o: &mut Operands<D>| {
        let (dy, mut dx, d) = (o.read::<T>(n * c)?, o.write::<T>(n * pixels * c)?, o.driver.clone());
        Ok(Job::moving(move || pool::average_backward(&d, n, pixels, c, dy.ptr(), dx.ptr_mut(), false)))
    });
    [forward, backward]
}
