//! A convolution without bias, as every one in a ResNet.

use super::{Builder, Init, Kind};
use crate::autograd::{Param, Tape, Value};
use crate::backend::Backend;
use crate::error::Result;
use crate::ops::{self, ConvGeometry};

#[derive(Clone, Debug)]
pub struct Conv2d {
    pub weight: Param,
    pub geometry: ConvGeometry,
}

impl Conv2d {
    /// `window` x `window` filters from `c` to `k` channels, padded so that stride 1 keeps the size.
    pub fn new(builder: &mut Builder, name: &str, c: usize, k: usize, window: usize, stride: usize) -> Self {
        let init = Init::KaimingNormal { fan_out: k * window * window };
        let weight = builder.param(format!("{name}.weight"), Kind::Weight, &[k, c, window, window], init);
        Self { weight, geometry: ConvGeometry { k, r: window, s: window, stride, pad: window / 2 } }
    }

    pub fn forward<B: Backend>(&self, tape: &mut Tape<'_, B>, x: &Value<B>) -> Result<Value<B>> {
        ops::conv(tape, x, &self.weight, self.geometry)
    }
}
