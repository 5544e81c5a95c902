//! Optimizers: one rule per file, chosen by name here.
//!
//! # Where weight decay enters
//! | rule | decay | with `wd`, `lr`, gradient `g`, parameter `p` |
//! |---|---|---|
//! | sgd | coupled | `g += wd*p` before the momentum |
//! | adamw, lion | decoupled, scaled by the rate | `p *= 1 - lr*wd` |
//! | lars | coupled, in the trust ratio too | `g = (g + wd*p) * c*|p| / (|g| + wd*|p| + eps)` before the momentum |
//! | lamb | inside the step that the trust ratio scales | `u += wd*p; p -= lr * |p|/|u| * u` |
//!
//! lars and lamb leave parameters without decay (by default norms and biases) at a trust ratio of 1, as timm does.
//! What a parameter's decay is, its kind decides: see [`crate::nn::Kind`].
//!
//! A new rule is a file here and a word in `rules!`; on GPUs, a kernel file too (kernels/include/update.cuh says what goes into it), an arm
//! in `src/cuda/update_rules.rs`, and a test in `tests/kernels/update_rules.rs`, which holds the kernel to the rule bit for bit.

mod adamw;
mod lamb;
mod lars;
mod lion;
mod sgd;

pub use adamw::AdamW;
pub use lamb::Lamb;
pub use lars::Lars;
pub use lion::Lion;
pub use sgd::Sgd;

use crate::backend::{Backend, ParamGroups, UpdateRule};
use crate::error::Result;

macro_rules! rules {
    ($($rule:ident),*) => {
        /// Any of the rules.
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub enum Rule {
            $($rule($rule)),*
        }

        impl Rule {
            /// Name as users type it.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$rule(_) => $rule::NAME),*
                }
            }

            /// Arenas of state the rule keeps.
            pub fn state(&self) -> usize {
                match self {
                    $(Self::$rule(_) => $rule::STATE),*
                }
            }

            /// One step over the arena; see [`crate::backend::Update::update`].
            ///
            /// # Errors
            /// Those of the backend.
            pub fn apply<B: Backend>(
                &self,
                backend: &B,
                control: &mut B::Control,
                groups: &ParamGroups,
                params: B::Mut<'_>,
                grads: B::Ref<'_>,
                state: &mut B::Buffer,
            ) -> Result<()> {
                match self {
                    $(Self::$rule(rule) => backend.update(rule, control, groups, params, grads, state)),*
                }
            }
        }
    };
}

rules!(Sgd, AdamW, Lion, Lars, Lamb);

/// `base^exponent` by squaring, highest bit last: the same multiplications in the same order here and in a kernel, for bit equality.
pub(crate) fn power(base: f64, mut exponent: u64) -> f64 {
    let (mut result, mut square) = (1.0, base);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result *= square;
        }
        square *= square;
        exponent >>= 1;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Hyper;

    /// The published three steps from p = [1, -2] with gradients [.5, .1], [-.3, .2], [.2, -.4]: torch 2.11's for sgd and adamw, timm's
    /// formulas for the others. One tensor of two numbers.
    fn three_steps<R: UpdateRule>(rule: R, lr: f64, momentum: f64, weight_decay: f64) -> [[f64; 2]; 3] {
        let (mut p, mut state) = ([1.0, -2.0], [[0.0; 4]; 2]);
        let norm = |v: [f64; 2]| (v[0] * v[0] + v[1] * v[1]).sqrt();
        let mut applied = 0;
        [[0.5, 0.1], [-0.3, 0.2], [0.2, -0.4]].map(|g| {
            let step = rule.begin(&Hyper { lr, momentum, weight_decay, applied });
            let trust = if R::LAYERWISE {
                let measured = [0, 1].map(|i| rule.measure(&step, p[i], g[i], &state[i][..R::STATE]));
                rule.trust(&step, norm(p), norm(measured))
            } else {
                1.0
            };
            p = [0, 1].map(|i| rule.update(&step, trust, p[i], g[i], &mut state[i][..R::STATE]));
            applied += 1;
            p
        })
    }

    fn close(got: [[f64; 2]; 3], published: [[f64; 2]; 3]) {
        for (x, y) in got.iter().flatten().zip(published.iter().flatten()) {
            assert!((x - y).abs() < 6e-9 * y.abs(), "{got:?} {published:?}");
        }
    }

    #[test]
    fn rules_follow_their_published_steps() {
        let sgd = Sgd { nesterov: false, dampening: 0.0 };
        close(three_steps(sgd, 0.1, 0.9, 1e-4), [[0.94999, -2.00998], [0.9349715, -2.0389419], [0.9014455, -2.02498722]]);
        let nesterov = Sgd { nesterov: true, ..sgd };
        close(three_steps(nesterov, 0.1, 0.9, 1e-4), [[0.904981, -2.018962], [0.921455705, -2.06500744], [0.871273577, -2.01242727]]);
        let damped = Sgd { dampening: 0.1, ..sgd };
        close(three_steps(damped, 0.1, 0.9, 1e-4), [[0.94999, -2.00998], [0.93197245, -2.03694391], [0.897748267, -2.0251931]]);
        let adamw = AdamW { beta2: 0.999, eps: 1e-8 };
        close(three_steps(adamw, 1e-3, 0.9, 0.01), [[0.99899, -2.00098], [0.998788512, -2.00192517], [0.998431097, -2.00171136]]);
        close(three_steps(Lion { beta2: 0.99 }, 1e-4, 0.9, 0.1), [[0.99989, -2.00008], [0.999980001, -2.00016], [0.999870001, -2.00004]]);
        let lars = Lars { trust_coefficient: 1e-3, eps: 1e-8, nesterov: false };
        close(three_steps(lars, 1.0, 0.9, 1e-4), [[0.997807878, -2.00043746], [0.997693229, -2.00206919], [0.996589679, -2.00153701]]);
        let lamb = Lamb { beta2: 0.999, eps: 1e-6 };
        close(three_steps(lamb, 0.01, 0.9, 0.01), [[0.983952009, -2.01557119], [0.979278348, -2.03750805], [0.95988975, -2.02588373]]);
        let wrong = three_steps(nesterov, 0.1, 0.9001, 1e-4); // the comparison can fail
        assert!((wrong[2][0] - 0.871273577).abs() > 1e-5);
    }

    #[test]
    fn power_multiplies() {
        for n in [0u32, 1, 2, 3, 7, 50, 100] {
            let plain = (0..n).fold(1.0, |x, _| x * 0.999);
            assert!((power(0.999, n.into()) - plain).abs() < 1e-13, "{n}");
        }
        assert_eq!(power(0.9, u64::MAX), 0.0);
    }
}
