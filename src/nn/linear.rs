//! The classifier.

use super::{Builder, Init, Kind};
use crate::autograd::{Param, Tape, Value};
use crate::backend::Backend;
use crate::error::Result;
use crate::ops;

#[derive(Clone, Debug)]
pub struct Linear {
    pub weight: Param,
    pub bias: Param,
}

impl Linear {
    pub fn new(builder: &mut Builder, name: &str, c: usize, k: usize) -> Self {
        let init = Init::Uniform { fan_in: c };
        let weight = builder.param(format!("{name}.weight"), Kind::Weight, &[k, c], init);
        let bias = builder.param(format!("{name}.bias"), Kind::Bias, &[k], init);
        Self { weight, bias }
    }

    pub fn forward<B: Backend>(&self, tape: &mut Tape<'_, B>, x: &Value<B>) -> Result<Value<B>> {
        ops::linear(tape, x, &self.weight, &self.bias)
    }
}
