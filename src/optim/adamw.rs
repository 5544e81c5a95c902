//! AdamW (Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019) as `torch.optim.AdamW`.
//!
//! `p *= 1 - lr*wd; m = b1*m + (1-b1)*g; v = b2*v + (1-b2)*g^2; p -= lr/(1-b1^t) * m / (sqrt(v)/sqrt(1-b2^t) + eps)`, t counted from 1.
//! `b1` is the table's momentum, so that one-cycle can move it; as in torch, the correction then takes the momentary `b1` to the power t.

use super::power;
use crate::backend::{Hyper, UpdateRule};

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    pub beta2: f64,
    pub eps: f64,
}

#[derive(Clone, Copy)]
pub struct Step {
    keep: f64,
    beta1: f64,
    /// `lr / (1-b1^t)`
    rate: f64,
    /// `sqrt(1-b2^t)`
    root: f64,
}

impl UpdateRule for AdamW {
    const NAME: &'static str = "adamw";
    const STATE: usize = 2;
    type Step = Step;

    fn constants(&self) -> [f64; 3] {
        [self.beta2, self.eps, 0.0]
    }

    fn begin(&self, hyper: &Hyper) -> Step {
        let t = hyper.applied + 1;
        let rate = hyper.lr / (1.0 - power(hyper.momentum, t));
        let root = (1.0 - power(self.beta2, t)).sqrt();
        Step { keep: 1.0 - hyper.lr * hyper.weight_decay, beta1: hyper.momentum, rate, root }
    }

    fn update(&self, step: &Step, _trust: f64, p: f64, g: f64, state: &mut [f64]) -> f64 {
        let m = step.beta1 * state[0] + (1.0 - step.beta1) * g;
        let v = self.beta2 * state[1] + (1.0 - self.beta2) * (g * g);
        (state[0], state[1]) = (m, v);
        p * step.keep - step.rate * (m / (v.sqrt() / step.root + self.eps))
    }
}
