//! Batch normalisation with torch's defaults: eps 1e-5, momentum 0.1.

use super::{Builder, Init, Kind};
use crate::autograd::{Tape, Value};
use crate::backend::Backend;
use crate::error::Result;
use crate::ops::{self, NormParams};

#[derive(Clone, Debug)]
pub struct BatchNorm2d {
    pub params: NormParams,
}

impl BatchNorm2d {
    /// Over `channels` channels, its scale starting at `gamma`.
    pub fn new(builder: &mut Builder, name: &str, channels: usize, gamma: f32) -> Self {
        let scale = builder.param(format!("{name}.weight"), Kind::Norm, &[channels], Init::Constant(gamma));
        let shift = builder.param(format!("{name}.bias"), Kind::Norm, &[channels], Init::Constant(0.0));
        let running = builder.running(name.to_owned(), channels);
        Self { params: NormParams { gamma: scale, beta: shift, running, eps: 1e-5, momentum: 0.1 } }
    }

    /// The normalisation, then `+ residual`, then the ReLU if `relu`.
    pub fn forward<B: Backend>(&self, tape: &mut Tape<'_, B>, x: &Value<B>, residual: Option<&Value<B>>, relu: bool) -> Result<Value<B>> {
        ops::norm(tape, x, &self.params, residual, relu)
    }
}
