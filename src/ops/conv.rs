//! Convolution, NHWC by KRSC. Saves its input; backward is a wgrad and, unless the input is the pictures, a dgrad.

use crate::autograd::{Function, Gradients, Param, Tape, Value, ValueId};
use crate::backend::Backend;
use crate::error::Result;
use crate::shape::{ConvProblem, Shape};
use crate::tensor::Tensor;

/// Everything of a convolution but the picture: `k` filters of `r` x `s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvGeometry {
    pub k: usize,
    pub r: usize,
    pub s: usize,
    pub stride: usize,
    pub pad: usize,
}

/// `x` of shape `[n, h, w, c]` with filters `weight` of `k*r*s*c` elements, to `[n, p, q, k]`.
///
/// # Errors
/// `Usage` if the filter does not fit the padded picture.
pub fn conv<B: Backend>(tape: &mut Tape<'_, B>, x: &Value<B>, weight: &Param, geometry: ConvGeometry) -> Result<Value<B>> {
    let (n, h, w, c) = x.shape().nhwc("conv")?;
    let ConvGeometry { k, r, s, stride, pad } = geometry;
    let problem = ConvProblem { n, h, w, c, k, r, s, stride, pad };
    problem.check()?;
    let backend = tape.backend();
    let mut y = backend.empty(problem.y_len())?;
    backend.conv_fprop(&problem, x.view(), tape.weights(weight), B::all_mut(&mut y))?;
    let y = Tensor::new(y, Shape::new([n, problem.p(), problem.q(), k]));
    let (x_id, saved, weight) = (x.id, x.tensor.clone(), weight.clone());
    Ok(tape.record(y, &[x], "conv", move || Conv { problem, x_id, x: saved, weight }))
}

struct Conv<B: Backend> {
    problem: ConvProblem,
    x_id: Option<ValueId>,
    x: Tensor<B>,
    weight: Param,
}

impl<B: Backend> Function<B> for Conv<B> {
    fn name(&self) -> &'static str {
        "conv"
    }

    fn backward(self: Box<Self>, grad: B::Buffer, gradients: &mut Gradients<'_, B>) -> Result<()> {
        let dy = B::all(&grad);
        gradients.contribute_param(&self.weight, |backend, dw, add| backend.conv_wgrad(&self.problem, self.x.view(), dy, dw, add))?;
        let w = gradients.weights(&self.weight);
        gradients.contribute(self.x_id, |backend, dx, add| backend.conv_dgrad(&self.problem, dy, w, dx, add))
    }
}
