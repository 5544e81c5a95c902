//! LARS (You, Gitman and Ginsburg, "Large batch training of convolutional networks", 2017) in timm's form.
//!
//! Per tensor `trust = c*|p| / (|g| + wd*|p| + eps)`, 1 where either norm is 0 or the tensor has no decay; `g = (g + wd*p) * trust`, then
//! SGD with momentum: `b = mu*b + g; p -= lr*b` (Nesterov: `p -= lr*(g + mu*b)`). The trust ratio thus enters the buffer, the rate does not.

use crate::backend::{Hyper, UpdateRule};

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lars {
    /// `c`
    pub trust_coefficient: f64,
    pub eps: f64,
    pub nesterov: bool,
}

#[derive(Clone, Copy)]
pub struct Step {
    lr: f64,
    momentum: f64,
    weight_decay: f64,
}

impl UpdateRule for Lars {
    const NAME: &'static str = "lars";
    const STATE: usize = 1;
    const LAYERWISE: bool = true;
    type Step = Step;

    fn constants(&self) -> [f64; 3] {
        [self.trust_coefficient, self.eps, f64::from(u8::from(self.nesterov))]
    }

    fn begin(&self, hyper: &Hyper) -> Step {
        Step { lr: hyper.lr, momentum: hyper.momentum, weight_decay: hyper.weight_decay }
    }

    fn trust(&self, step: &Step, weight_norm: f64, grad_norm: f64) -> f64 {
        if step.weight_decay == 0.0 || weight_norm == 0.0 || grad_norm == 0.0 {
            return 1.0;
        }
        self.trust_coefficient * weight_norm / (grad_norm + weight_norm * step.weight_decay + self.eps)
    }

    fn update(&self, step: &Step, trust: f64, p: f64, g: f64, state: &mut [f64]) -> f64 {
        let g = (g + step.weight_decay * p) * trust;
        let b = step.momentum * state[0] + g;
        state[0] = b;
        let d = if self.nesterov { g + step.momentum * b } else { b };
        p - step.lr * d
    }
}
