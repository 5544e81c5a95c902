//! Stochastic gradient descent as `torch.optim.SGD`: coupled weight decay, momentum, Nesterov.
//!
//! `g += wd*p; b = mu*b + g; d = g + mu*b if nesterov else b; p -= lr*d`. The buffer starts at zero, so the first one is `g` itself,
//! as torch's; the rate stands outside the buffer, so a drop acts at once.

use crate::backend::{Hyper, UpdateRule};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sgd {
    pub nesterov: bool,
}

impl UpdateRule for Sgd {
    const NAME: &'static str = "sgd";
    const STATE: usize = 1;

    fn update(&self, p: f32, g: f32, state: &mut [f32], hyper: &Hyper) -> f32 {
        let g = g + hyper.weight_decay * p;
        let b = hyper.momentum * state[0] + g;
        state[0] = b;
        let d = if self.nesterov { g + hyper.momentum * b } else { b };
        p - hyper.lr * d
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three steps of torch.optim.SGD (2.11) from p = [1, -2] with gradients [.5, .1], [-.3, .2], [.2, -.4], lr 0.1, wd 1e-4.
    #[test]
    fn follows_torch() {
        let run = |nesterov, momentum| {
            let (mut p, mut b) = ([1.0f32, -2.0], [[0.0f32], [0.0]]);
            let mut steps = Vec::new();
            for (step, g) in [[0.5, 0.1], [-0.3, 0.2], [0.2, -0.4]].iter().enumerate() {
                let hyper = Hyper { lr: 0.1, momentum, weight_decay: 1e-4, step: step as u64 };
                for i in 0..2 {
                    p[i] = Sgd { nesterov }.update(p[i], g[i], &mut b[i], &hyper);
                }
                steps.push(p);
            }
            steps
        };
        let close = |a: Vec<[f32; 2]>, b: [[f32; 2]; 3]| {
            for (x, y) in a.iter().flatten().zip(b.iter().flatten()) {
                assert!((x - y).abs() < 3e-7 * y.abs(), "{a:?} {b:?}");
            }
        };
        close(run(false, 0.9), [[0.949_99, -2.009_98], [0.934_971_5, -2.038_941_9], [0.901_445_5, -2.024_987_2]]);
        close(run(true, 0.9), [[0.904_981, -2.018_962], [0.921_455_7, -2.065_007_4], [0.871_273_6, -2.012_427_3]]);
        let mutated = run(true, 0.8); // the comparison can fail
        assert!((mutated[2][0] - 0.871_273_6).abs() > 1e-3);
    }
}
