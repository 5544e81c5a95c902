//! LAMB (You et al., "Large batch optimization for deep learning: training BERT in 76 minutes", ICLR 2020) in timm's form.
//!
//! `m = b1*m + (1-b1)*g; v = b2*v + (1-b2)*g^2; u = m/(1-b1^t) / (sqrt(v)/sqrt(1-b2^t) + eps) + wd*p; p -= lr * trust * u` with
//! `trust = |p|/|u|` per tensor, 1 where either norm is 0 or the tensor has no decay. Its gradients are
//! clipped to a global norm of 1 unless told otherwise.

use super::power;
use crate::backend::{Hyper, UpdateRule};

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lamb {
    pub beta2: f64,
    pub eps: f64,
}

#[derive(Clone, Copy)]
pub struct Step {
    lr: f64,
    beta1: f64,
    weight_decay: f64,
    /// `1-b1^t`
    correction: f64,
    /// `sqrt(1-b2^t)`
    root: f64,
}

impl Lamb {
    /// `m`, `v` and `u`.
    fn direction(&self, step: &Step, p: f64, g: f64, state: &[f64]) -> (f64, f64, f64) {
        let m = step.beta1 * state[0] + (1.0 - step.beta1) * g;
        let v = self.beta2 * state[1] + (1.0 - self.beta2) * (g * g);
        (m, v, m / step.correction / (v.sqrt() / step.root + self.eps) + step.weight_decay * p)
    }
}

impl UpdateRule for Lamb {
    const NAME: &'static str = "lamb";
    const STATE: usize = 2;
    const LAYERWISE: bool = true;
    type Step = Step;

    fn constants(&self) -> [f64; 3] {
        [self.beta2, self.eps, 0.0]
    }

    fn begin(&self, hyper: &Hyper) -> Step {
        let t = hyper.applied + 1;
        let (correction, root) = (1.0 - power(hyper.momentum, t), (1.0 - power(self.beta2, t)).sqrt());
        Step { lr: hyper.lr, beta1: hyper.momentum, weight_decay: hyper.weight_decay, correction, root }
    }

    fn measure(&self, step: &Step, p: f64, g: f64, state: &[f64]) -> f64 {
        self.direction(step, p, g, state).2
    }

    fn trust(&self, step: &Step, weight_norm: f64, direction_norm: f64) -> f64 {
        if step.weight_decay == 0.0 || weight_norm == 0.0 || direction_norm == 0.0 { 1.0 } else { weight_norm / direction_norm }
    }

    fn update(&self, step: &Step, trust: f64, p: f64, g: f64, state: &mut [f64]) -> f64 {
        let (m, v, u) = self.direction(step, p, g, state);
        (state[0], state[1]) = (m, v);
        p - step.lr * trust * u
    }
}
