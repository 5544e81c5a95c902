//! Addition of two values of one shape. Saves nothing.

use crate::autograd::{Function, Gradients, Tape, Value, ValueId};
use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// `a + b`.
///
/// # Errors
/// `Internal` if the shapes differ.
pub fn add<B: Backend>(tape: &mut Tape<'_, B>, a: &Value<B>, b: &Value<B>) -> Result<Value<B>> {
    if a.shape() != b.shape() {
        return Err(Error::internal(format!("add of {:?} and {:?}", a.shape(), b.shape())));
    }
    let mut out = tape.backend().empty(a.shape().len())?;
    tape.backend().add(a.view(), b.view(), B::all_mut(&mut out))?;
    let (a_id, b_id) = (a.id, b.id);
    Ok(tape.record(Tensor::new(out, a.shape()), &[a, b], "add", move || Add { a_id, b_id }))
}

struct Add {
    a_id: Option<ValueId>,
    b_id: Option<ValueId>,
}

impl<B: Backend> Function<B> for Add {
    fn name(&self) -> &'static str {
        "add"
    }

    fn backward(self: Box<Self>, grad: B::Buffer, gradients: &mut Gradients<'_, B>) -> Result<()> {
        if self.a_id.is_some() {
            let mut copy = gradients.backend().empty(B::len(&grad))?;
            gradients.backend().copy(B::all(&grad), B::all_mut(&mut copy))?;
            gradients.contribute_buffer(self.a_id, copy)?;
        }
        gradients.contribute_buffer(self.b_id, grad)
    }
}
