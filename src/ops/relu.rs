//! ReLU on its own: the unfused twin of the one in `norm`. Saves its output.

use crate::autograd::{Function, Gradients, Tape, Value, ValueId};
use crate::backend::Backend;
use crate::error::Result;
use crate::tensor::Tensor;

/// `max(x, 0)`, any shape. The gradient at 0 is 0, as PyTorch.
pub fn relu<B: Backend>(tape: &mut Tape<'_, B>, x: &Value<B>) -> Result<Value<B>> {
    let mut y = tape.backend().empty(x.shape().len())?;
    tape.backend().relu(x.view(), B::all_mut(&mut y))?;
    let y = Tensor::new(y, x.shape());
    let saved = y.clone();
    let x_id = x.id;
    Ok(tape.record(y, &[x], "relu", move || Relu { x_id, y: saved }))
}

struct Relu<B: Backend> {
    x_id: Option<ValueId>,
    y: Tensor<B>,
}

impl<B: Backend> Function<B> for Relu<B> {
    fn name(&self) -> &'static str {
        "relu"
    }

    fn backward(self: Box<Self>, grad: B::Buffer, gradients: &mut Gradients<'_, B>) -> Result<()> {
        gradients.contribute(self.x_id, |backend, dx, add| backend.relu_backward(self.y.view(), B::all(&grad), dx, add))
    }
}
