//! Softmax cross-entropy with its gradient, and the sums of a batch.

use super::Workload;
use crate::bench::case::{Case, Job, Operands};
use crate::cuda::Element;
use crate::cuda::loss::{CrossEntropy, cross_entropy};
use crate::cuda::timed::Timed;
use half::bf16;

pub fn cases<D: Timed>(w: &Workload) -> Vec<Case<D>> {
    vec![case::<bf16, D>(w.batch, w.classes).times(1)]
}

pub fn case<T: Element, D: Timed>(rows: usize, classes: usize) -> Case<D> {
    Case::new("cross_entropy", format!("{rows} x {classes}"), move |o: &mut Operands<D>| {
        let of_rows: Vec<u32> = (0..rows).map(|i| (i * 37 % classes) as u32).collect();
        let (logits, labels) = (o.read::<T>(rows * classes)?, o.given(&of_rows)?);
        let (mut dlogits, mut losses) = (o.write::<T>(rows * classes)?, o.write::<f32>(rows)?);
        let (mut ranks, mut sums, d) = (o.write::<i32>(rows)?, o.write::<f64>(3)?, o.driver.clone());
        Ok(Job::moving(move || {
            let arrays = CrossEntropy {
                logits: logits.ptr(),
                labels: labels.ptr(),
                dlogits: dlogits.ptr_mut(),
                losses: losses.ptr_mut(),
                ranks: ranks.ptr_mut(),
                sums: sums.ptr_mut(),
            };
            cross_entropy(&d, rows, classes, 0.1, 1.0, &arrays)
        }))
    })
}
