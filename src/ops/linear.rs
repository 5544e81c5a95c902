//! The linear layer. Saves its input.

use crate::autograd::{Function, Gradients, Param, Tape, Value, ValueId};
use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::shape::{LinearProblem, Shape};
use crate::tensor::Tensor;

/// `x` of shape `[n, c]` times `weight` `[k, c]` transposed plus `bias` `[k]`, to `[n, k]`. The two parameters are neighbours in the
/// arena, the weight first.
pub fn linear<B: Backend>(tape: &mut Tape<'_, B>, x: &Value<B>, weight: &Param, bias: &Param) -> Result<Value<B>> {
    let (n, c) = x.shape().matrix("linear")?;
    let k = bias.range.len();
    if weight.range.len() != k * c {
        return Err(Error::internal(format!("linear: {} weights for {c} inputs and {k} outputs", weight.range.len())));
    }
    let problem = LinearProblem { n, c, k };
    let mut y = tape.backend().empty(n * k)?;
    tape.backend().linear_fprop(&problem, x.view(), tape.weights(weight), tape.weights(bias), B::all_mut(&mut y))?;
    let (x_id, saved, weight, bias) = (x.id, x.tensor.clone(), weight.clone(), bias.clone());
    Ok(tape.record(Tensor::new(y, Shape::new([n, k])), &[x], "linear", move || Linear { problem, x_id, x: saved, weight, bias }))
}

struct Linear<B: Backend> {
    problem: LinearProblem,
    x_id: Option<ValueId>,
    x: Tensor<B>,
    weight: Param,
    bias: Param,
}

impl<B: Backend> Function<B> for Linear<B> {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn backward(self: Box<Self>, grad: B::Buffer, gradients: &mut Gradients<'_, B>) -> Result<()> {
        let dy = B::all(&grad);
        gradients.contribute_pair(&self.weight, &self.bias, |backend, dw, dbias, add| {
            backend.linear_wgrad(&self.problem, self.x.view(), dy, dw, dbias, add)
        })?;
        let w = gradients.weights(&self.weight);
        gradients.contribute(self.x_id, |backend, dx, add| backend.linear_dgrad(&self.problem, dy, w, dx, add))
    }
}
