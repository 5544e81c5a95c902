//! The optimizer's step over all parameters.

use super::Workload;
use crate::bench::case::{Case, Job, Operands};
use crate::cuda::handles::{Sgd, UpdateControl};
use crate::cuda::launch::{Dims, launch};
use crate::cuda::timed::Timed;

const THREADS: u32 = 256;
/// Parameters of a thread.
const EACH: usize = 4;

pub fn cases<D: Timed>(w: &Workload) -> Vec<Case<D>> {
    let groups = w.layout.groups(1e-4, 0.0, 0.0).0;
    let len = w.layout.len().next_multiple_of(EACH);
    let sgd = Case::new("sgd", format!("{len} in {} groups", groups.len()), move |o: &mut Operands<D>| {
        let (mut params, grads, mut buffer) = (o.read::<f32>(len)?, o.read::<f32>(len)?, o.read::<f32>(len)?);
        o.pass::<f32>(2 * len); // parameters and momentum go back
        let ends: Vec<u64> = groups.iter().map(|g| g.end as u64).collect();
        let decays: Vec<f64> = groups.iter().map(|g| g.weight_decay).collect();
        let (ends, decays) = (o.given(&ends)?, o.given(&decays)?);
        let (lr, momentum) = (o.given(&[1e-3f64])?, o.given(&[0.9f64])?);
        let control = o.given(&[UpdateControl { step: 1, skipped: 0, scale: 1.0, finite: 1, pad: 0 }])?;
        let (num_groups, d) = (groups.len() as i32, o.driver.clone());
        Ok(Job::moving(move || {
            let kernel = Sgd {
                params: params.ptr_mut(),
                grads: grads.ptr(),
                buffer: buffer.ptr_mut(),
                n4: (len / EACH) as u64,
                lr_table: lr.ptr(),
                momentum_table: momentum.ptr(),
                table_len: 1,
                control: control.ptr(),
                group_end: ends.ptr(),
                group_decay: decays.ptr(),
                num_groups,
                dampening: 0.0,
                nesterov: 0,
            };
            launch(&d, &Dims::linear(len / EACH, THREADS)?, &kernel)
        }))
    });
    vec![sgd.times(1)]
}
