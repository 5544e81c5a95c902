//! Stochastic gradient descent as `torch.optim.SGD`: coupled weight decay, momentum, dampening, Nesterov.
//!
//! `g += wd*p; b = g` at the first update, `mu*b + (1-damp)*g` later; `d = g + mu*b if nesterov else b; p -= lr*d`. The first buffer is
//! `g`, not `(1-damp)*g`; the rate stands outside the buffer, so a drop acts at once.

use crate::backend::{Hyper, UpdateRule};

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sgd {
    pub nesterov: bool,
    /// Share of the gradient kept out of the buffer. Zero with Nesterov's momentum, as torch demands.
    pub dampening: f64,
}

#[derive(Clone, Copy)]
pub struct Step {
    lr: f64,
    momentum: f64,
    /// Share of the gradient that enters the buffer.
    entering: f64,
    weight_decay: f64,
}

impl UpdateRule for Sgd {
    const NAME: &'static str = "sgd";
    const STATE: usize = 1;
    type Step = Step;

    fn constants(&self) -> [f64; 3] {
        [self.dampening, f64::from(u8::from(self.nesterov)), 0.0]
    }

    fn begin(&self, hyper: &Hyper) -> Step {
        let entering = if hyper.applied == 0 { 1.0 } else { 1.0 - self.dampening };
        Step { lr: hyper.lr, momentum: hyper.momentum, entering, weight_decay: hyper.weight_decay }
    }

    fn update(&self, step: &Step, _trust: f64, p: f64, g: f64, state: &mut [f64]) -> f64 {
        let g = g + step.weight_decay * p;
        let b = step.momentum * state[0] + step.entering * g;
        state[0] = b;
        let d = if self.nesterov { g + step.momentum * b } else { b };
        p - step.lr * d
    }
}
