//! Max-pooling and global average pooling. Max-pool saves one byte per output (where its maximum was), average pool nothing.

use crate::autograd::{Function, Gradients, Tape, Value, ValueId};
use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::shape::{PoolProblem, Shape};
use crate::tensor::Tensor;

/// A square window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolGeometry {
    pub window: usize,
    pub stride: usize,
    pub pad: usize,
}

/// `x` of shape `[n, h, w, c]` to `[n, p, q, c]`, the padding counting as minus infinity.
///
/// # Errors
/// `Usage` if the window does not fit the padded picture.
pub fn max_pool<B: Backend>(tape: &mut Tape<'_, B>, x: &Value<B>, geometry: PoolGeometry) -> Result<Value<B>> {
    let (n, h, w, c) = x.shape().nhwc("max_pool")?;
    let PoolGeometry { window, stride, pad } = geometry;
    if h + 2 * pad < window || w + 2 * pad < window || 2 * pad > window {
        return Err(Error::usage("the pool window does not fit the image").at(format!("max_pool {geometry:?} of {:?}", x.shape())));
    }
    let problem = PoolProblem { n, h, w, c, window, stride, pad };
    let mut y = tape.backend().empty(problem.y_len())?;
    let mut position = tape.backend().empty_bytes(problem.y_len())?;
    tape.backend().max_pool(&problem, x.view(), B::all_mut(&mut y), &mut position)?;
    let y = Tensor::new(y, Shape::new([n, problem.p(), problem.q(), c]));
    let x_id = x.id;
    Ok(tape.record(y, &[x], "max_pool", move || MaxPool { problem, x_id, position }))
}

struct MaxPool<B: Backend> {
    problem: PoolProblem,
    x_id: Option<ValueId>,
    position: B::Bytes,
}

impl<B: Backend> Function<B> for MaxPool<B> {
    fn name(&self) -> &'static str {
        "max_pool"
    }

    fn backward(self: Box<Self>, grad: B::Buffer, gradients: &mut Gradients<'_, B>) -> Result<()> {
        gradients.contribute(self.x_id, |backend, dx, add| backend.max_pool_backward(&self.problem, B::all(&grad), &self.position, dx, add))
    }
}

/// `x` of shape `[n, h, w, c]` to `[n, c]`, the mean over the picture.
pub fn average_pool<B: Backend>(tape: &mut Tape<'_, B>, x: &Value<B>) -> Result<Value<B>> {
    let (n, h, w, c) = x.shape().nhwc("average_pool")?;
    let mut y = tape.backend().empty(n * c)?;
    tape.backend().average_pool(n, h * w, c, x.view(), B::all_mut(&mut y))?;
    let x_id = x.id;
    Ok(tape.record(Tensor::new(y, Shape::new([n, c])), &[x], "average_pool", move || AveragePool { n, pixels: h * w, c, x_id }))
}

struct AveragePool {
    n: usize,
    pixels: usize,
    c: usize,
    x_id: Option<ValueId>,
}

impl<B: Backend> Function<B> for AveragePool {
    fn name(&self) -> &'static str {
        "average_pool"
    }

    fn backward(self: Box<Self>, grad: B::Buffer, gradients: &mut Gradients<'_, B>) -> Result<()> {
        gradients
            .contribute(self.x_id, |backend, dx, add| backend.average_pool_backward(self.n, self.pixels, self.c, B::all(&grad), dx, add))
    }
}
