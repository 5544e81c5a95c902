//! Kernels that a bf16 step does not use: the direct ones, which any shape may run on, and the f32 ones, on one layer each.

use super::{Workload, augment, conv, elementwise, gemm, loss, norm, pool};
use crate::bench::case::{Case, Job, Operands};
use crate::cuda::conv::Variant;
use crate::cuda::timed::Timed;
use crate::cuda::{conv_stem, gemm as linear};
use crate::models::Layer;
use half::bf16;

/// The direct kernels do without tensor cores, in f64: a part of the batch will do.
const PART: usize = 8;

pub fn cases<D: Timed>(w: &Workload) -> Vec<Case<D>> {
    let mut all = Vec::new();
    let convs = || w.layers.iter().filter_map(|(l, _)| if let Layer::Conv(p) = l { Some(*p) } else { None });
    for mut p in convs().filter(|p| p.r == 3 && p.stride == 1).take(1) {
        p.n = p.n.div_ceil(PART);
        all.extend(conv::passes::<bf16, D>(p, Variant::Direct));
        all.extend(conv::passes::<f32, D>(p, Variant::Direct).map(in_f32));
    }
    for p in convs().filter(conv_stem::applies).take(1) {
        let case = Case::new("stem_arrange", conv::shape(&p), move |o: &mut Operands<D>| {
            let (x, d) = (o.read::<f32>(p.x_len())?, o.driver.clone());
            let mut pictures = o.write::<bf16>(conv_stem::arranged(&p)?.x_len())?;
            Ok(Job::moving(move || conv_stem::arrange(&d, &p, x.ptr(), pictures.ptr_mut())))
        });
        all.push(in_f32(case));
    }
    for (layer, _) in &w.layers {
        match *layer {
            Layer::Linear(p) => {
                all.extend(gemm::passes::<bf16, D>(p, linear::Variant::Direct));
                all.extend(gemm::passes::<f32, D>(p, linear::Variant::Direct).map(in_f32));
            }
            Layer::MaxPool(p) => all.extend(pool::max::<f32, D>(p).map(in_f32)),
            Layer::AveragePool { n, pixels, c } => all.extend(pool::average::<f32, D>(n, pixels, c).map(in_f32)),
            _ => {}
        }
    }
    if let Some((p, residual)) = w.first(|l| if let Layer::Norm { problem, residual } = l { Some((*problem, *residual)) } else { None }) {
        all.extend(
            [norm::train::<f32, D>(p, residual), norm::eval::<f32, D>(p, residual), norm::backward::<f32, D>(p, residual)].map(in_f32),
        );
    }
    all.extend(elementwise::on_activations::<f32, D>(elementwise::largest(w)).map(in_f32));
    all.push(in_f32(loss::case::<f32, D>(w.batch, w.classes)));
    all.push(in_f32(augment::case::<f32, D>(w.batch, w.side)));
    all
}

fn in_f32<D: Timed>(mut case: Case<D>) -> Case<D> {
    case.op.push_str(" f32");
    case
}
