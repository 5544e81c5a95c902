//! Batch normalisation with the residual add and ReLU behind it, fused. Saves its input, its output where it needs the ReLU's mask,
//! and two numbers a channel.
//!
//! The backward kernel masks the incoming gradient in place; what is left in that buffer is the residual branch's gradient, which is
//! handed on without a copy.

use crate::autograd::{Function, Gradients, Param, Running, Slot, Tape, Value, ValueId};
use crate::backend::{Backend, NormProblem};
use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// Where the parameters and statistics of one batch norm lie. `gamma` and `beta` are neighbours in the arena.
#[derive(Clone, Debug, PartialEq)]
pub struct NormParams {
    pub gamma: Param,
    pub beta: Param,
    pub running: Slot,
    pub eps: f64,
    pub momentum: f64,
}

/// `[relu](gamma * (x - mean) * invstd + beta [+ residual])` per channel of `x`, of shape `[n, h, w, c]`.
///
/// Batch statistics on a training tape (which also updates the running ones), running statistics on an evaluation tape.
///
/// # Errors
/// `Usage` when training on a single value per channel, as PyTorch; `Internal` if the residual's shape differs.
pub fn norm<B: Backend>(
    tape: &mut Tape<'_, B>,
    x: &Value<B>,
    params: &NormParams,
    residual: Option<&Value<B>>,
    relu: bool,
) -> Result<Value<B>> {
    let shape = x.shape();
    let (n, h, w, channels) = shape.nhwc("norm")?;
    if let Some(r) = residual.filter(|r| r.shape() != shape) {
        return Err(Error::internal(format!("norm of {shape:?} with a residual of {:?}", r.shape())));
    }
    let problem = NormProblem { pixels: n * h * w, channels, eps: params.eps, momentum: params.momentum, relu };
    let backend = tape.backend();
    let (gamma, beta) = (tape.weights(&params.gamma), tape.weights(&params.beta));
    let mut out = backend.empty(shape.len())?;
    let rest = residual.map(|r| r.view());
    let saved = match tape.running() {
        Running::Update(running) => {
            if problem.pixels < 2 {
                return Err(Error::usage("batch norm needs more than one value per channel to train")
                    .at(format!("norm of {shape:?}"))
                    .because("one image has shrunk to one pixel")
                    .next("a larger --batch-size or --train-crop-size"));
            }
            let mut saved = backend.empty_full(2 * channels)?;
            let running = B::view_mut(running, params.running.0.clone());
            backend.norm_train(&problem, x.view(), gamma, beta, rest, running, B::all_mut(&mut saved), B::all_mut(&mut out))?;
            Some(saved)
        }
        Running::Use(running) => {
            let running = B::view(running, params.running.0.clone());
            backend.norm_eval(&problem, x.view(), gamma, beta, rest, running, B::all_mut(&mut out))?;
            None
        }
    };
    let out = Tensor::new(out, shape);
    let inputs: Vec<&Value<B>> = [x].into_iter().chain(residual).collect();
    let mask = relu.then(|| out.clone());
    Ok(tape.record(out, &inputs, "norm", || Norm {
        problem,
        x_id: x.id,
        residual_id: residual.and_then(|r| r.id),
        x: x.tensor.clone(),
        mask,
        saved,
        gamma: params.gamma.clone(),
        beta: params.beta.clone(),
    }))
}

struct Norm<B: Backend> {
    problem: NormProblem,
    x_id: Option<ValueId>,
    residual_id: Option<ValueId>,
    x: Tensor<B>,
    mask: Option<Tensor<B>>,
    saved: Option<B::Buffer>,
    gamma: Param,
    beta: Param,
}

impl<B: Backend> Function<B> for Norm<B> {
    fn name(&self) -> &'static str {
        "norm"
    }

    fn backward(self: Box<Self>, mut grad: B::Buffer, gradients: &mut Gradients<'_, B>) -> Result<()> {
        let Some(saved) = &self.saved else {
            return Err(Error::internal("backward through a batch norm in evaluation"));
        };
        let gamma = gradients.weights(&self.gamma);
        let mut dx = gradients.backend().empty(B::len(&grad))?;
        gradients.contribute_pair(&self.gamma, &self.beta, |backend, dgamma, dbeta, add| {
            let mask = self.mask.as_ref().map(|m| m.view());
            let d = B::all_mut(&mut grad);
            backend.norm_backward(&self.problem, d, mask, self.x.view(), gamma, B::all(saved), dgamma, dbeta, B::all_mut(&mut dx), add)
        })?;
        gradients.contribute_buffer(self.x_id, dx)?;
        gradients.contribute_buffer(self.residual_id, grad)
    }
}
