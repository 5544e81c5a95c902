//! What the settings mean for the optimizer: its rule, and the defaults that depend on it.

use super::{Config, Opt};
use crate::optim::{AdamW, Lamb, Lars, Lion, Rule, Sgd};

/// What an optimizer uses where nothing is said. Rates are per 256 pictures of an update.
struct Defaults {
    lr_base: f64,
    weight_decay: f64,
    betas: [f64; 2],
    eps: f64,
    /// 0 for never.
    clip: f64,
}

impl Opt {
    /// torch's for sgd and adamw (but for momentum 0.9 and the decay ResNets are trained with), the authors' and timm's for the rest.
    fn defaults(self) -> Defaults {
        let sgd = Defaults { lr_base: 0.1, weight_decay: 1e-4, betas: [0.0; 2], eps: 0.0, clip: 0.0 };
        match self {
            Self::Sgd => sgd,
            Self::Adamw => Defaults { lr_base: 1e-3, weight_decay: 1e-2, betas: [0.9, 0.999], eps: 1e-8, ..sgd },
            Self::Lion => Defaults { lr_base: 1e-4, weight_decay: 0.0, betas: [0.9, 0.99], ..sgd },
            Self::Lars => Defaults { lr_base: 1.0, eps: 1e-8, ..sgd },
            Self::Lamb => Defaults { lr_base: 1e-3, weight_decay: 1e-2, betas: [0.9, 0.999], eps: 1e-6, clip: 1.0 },
        }
    }

    /// Whether the optimizer has betas instead of a momentum.
    pub(super) fn has_betas(self) -> bool {
        matches!(self, Self::Adamw | Self::Lion | Self::Lamb)
    }
}

impl Config {
    /// Writes down the defaults that depend on the optimizer, so that `config.toml` says them.
    pub(super) fn settle_optimizer(&mut self) {
        let defaults = self.opt.defaults();
        self.lr_base.get_or_insert(defaults.lr_base);
        self.weight_decay.get_or_insert(defaults.weight_decay);
        self.clip_grad_norm.get_or_insert(defaults.clip);
        if self.opt.has_betas() {
            self.opt_betas.get_or_insert(defaults.betas.to_vec());
        }
        if defaults.eps > 0.0 {
            self.opt_eps.get_or_insert(defaults.eps);
        }
    }

    fn betas(&self) -> [f64; 2] {
        match self.opt_betas.as_deref() {
            Some(&[first, second]) => [first, second],
            _ => self.opt.defaults().betas,
        }
    }

    fn eps(&self) -> f64 {
        self.opt_eps.unwrap_or(self.opt.defaults().eps)
    }

    /// The peak learning rate: `--lr`, or `--lr-base` scaled to the pictures of one update.
    pub fn peak_lr(&self) -> f64 {
        let batch = (self.batch_size * self.grad_accum) as f64;
        self.lr.unwrap_or(self.lr_base.unwrap_or(self.opt.defaults().lr_base) * batch / self.lr_base_size as f64)
    }

    /// The rate the optimizer is usually trained with at 256 pictures an update.
    pub fn usual_lr(&self) -> f64 {
        self.opt.defaults().lr_base
    }

    /// Momentum, or the first beta, where the schedule does not move it.
    pub fn first_momentum(&self) -> f64 {
        if self.opt.has_betas() { self.betas()[0] } else { self.momentum }
    }

    /// Weight decays of weights, norms and biases.
    pub fn decays(&self) -> [f64; 3] {
        [self.weight_decay.unwrap_or(self.opt.defaults().weight_decay), self.norm_weight_decay, self.bias_weight_decay]
    }

    /// The global norm gradients are clipped to.
    pub fn clip(&self) -> Option<f64> {
        Some(self.clip_grad_norm.unwrap_or(self.opt.defaults().clip)).filter(|norm| *norm > 0.0)
    }

    pub fn rule(&self) -> Rule {
        let ([_, beta2], eps, nesterov) = (self.betas(), self.eps(), self.nesterov);
        match self.opt {
            Opt::Sgd => Rule::Sgd(Sgd { nesterov, dampening: self.dampening }),
            Opt::Adamw => Rule::AdamW(AdamW { beta2, eps }),
            Opt::Lion => Rule::Lion(Lion { beta2 }),
            Opt::Lars => Rule::Lars(Lars { trust_coefficient: self.trust_coefficient, eps, nesterov }),
            Opt::Lamb => Rule::Lamb(Lamb { beta2, eps }),
        }
    }

    /// How much of the moving average update `t` keeps: little at first, so that the average forgets the fresh weights.
    pub fn average_decay(&self, t: u64) -> f64 {
        self.model_ema_decay.min((1 + t) as f64 / (10 + t) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_those_of_the_optimizer() {
        let of = |opt| {
            let mut c = Config { opt, batch_size: 512, ..Config::default() };
            c.settle_optimizer();
            (c.peak_lr(), c.decays()[0], c.first_momentum(), c.clip())
        };
        assert_eq!(of(Opt::Sgd), (0.2, 1e-4, 0.9, None));
        assert_eq!(of(Opt::Adamw), (2e-3, 1e-2, 0.9, None));
        assert_eq!(of(Opt::Lion), (2e-4, 0.0, 0.9, None));
        assert_eq!(of(Opt::Lars), (2.0, 1e-4, 0.9, None));
        assert_eq!(of(Opt::Lamb), (2e-3, 1e-2, 0.9, Some(1.0)));
        let mut own = Config { opt: Opt::Adamw, opt_betas: Some(vec![0.8, 0.95]), clip_grad_norm: Some(3.0), ..Config::default() };
        own.settle_optimizer();
        assert_eq!((own.first_momentum(), own.clip()), (0.8, Some(3.0)));
        assert_eq!(own.rule(), Rule::AdamW(AdamW { beta2: 0.95, eps: 1e-8 }));
    }

    #[test]
    fn the_average_warms_up() {
        let config = Config { model_ema_decay: 0.99, ..Config::default() };
        assert_eq!(config.average_decay(0), 0.1);
        assert!((config.average_decay(90) - 0.91).abs() < 1e-15);
        assert_eq!(config.average_decay(1_000_000), 0.99);
    }
}
