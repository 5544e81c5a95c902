//! Lion (Chen et al., "Symbolic discovery of optimization algorithms", 2023).
//!
//! `p *= 1 - lr*wd; p -= lr * sign(b1*m + (1-b1)*g); m = b2*m + (1-b2)*g`: the buffer moves after the step, with `b2`; sign(0) = 0.
//! `b1` is the table's momentum. Its authors advise rates 3 to 10 times smaller and decays as many times larger than AdamW's.

use crate::backend::{Hyper, UpdateRule};

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lion {
    pub beta2: f64,
}

#[derive(Clone, Copy)]
pub struct Step {
    lr: f64,
    keep: f64,
    beta1: f64,
}

impl UpdateRule for Lion {
    const NAME: &'static str = "lion";
    const STATE: usize = 1;
    type Step = Step;

    fn constants(&self) -> [f64; 3] {
        [self.beta2, 0.0, 0.0]
    }

    fn begin(&self, hyper: &Hyper) -> Step {
        Step { lr: hyper.lr, keep: 1.0 - hyper.lr * hyper.weight_decay, beta1: hyper.momentum }
    }

    fn update(&self, step: &Step, _trust: f64, p: f64, g: f64, state: &mut [f64]) -> f64 {
        let direction = step.beta1 * state[0] + (1.0 - step.beta1) * g;
        state[0] = self.beta2 * state[0] + (1.0 - self.beta2) * g;
        let sign = f64::from(u8::from(direction > 0.0)) - f64::from(u8::from(direction < 0.0)); // f64::signum(0) would be 1
        p * step.keep - step.lr * sign
    }
}
