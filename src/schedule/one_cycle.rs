//! One-cycle (Smith and Topin, "Super-convergence", 2018), as `OneCycleLR`: up to the peak, down far below the start, while the
//! momentum goes the other way. Two phases are fastai's form and torch's default, three the paper's.
//!
//! Phases end at (fractional) update indices `pct*U - 1`, [`2*pct*U - 2`,] `U - 1`; torch divides by zero or runs past the end where
//! these do not ascend, which [`super::Schedule::check`] refuses.

use std::f64::consts::PI;

/// How a phase goes from its first value to its last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anneal {
    Cos,
    Linear,
}

impl Anneal {
    fn between(self, from: f64, to: f64, done: f64) -> f64 {
        match self {
            Self::Cos => to + (from - to) / 2.0 * ((PI * done).cos() + 1.0),
            Self::Linear => (to - from) * done + from,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OneCycle {
    /// Share of the updates that go up: a fraction, not a percentage.
    pub pct_start: f64,
    /// The first rate is the peak divided by this.
    pub div_factor: f64,
    /// The last rate is the first divided by this.
    pub final_div_factor: f64,
    /// Back to the first rate in a second phase as long as the first, and only then down.
    pub three_phase: bool,
    pub anneal: Anneal,
    /// Momentum (the first beta of Adam-likes) between these, against the rate; `None` leaves it alone.
    pub momentum: Option<(f64, f64)>,
}

/// Ends at `end` with the values `lr` and `momentum`.
struct Phase {
    end: f64,
    lr: f64,
    momentum: f64,
}

impl OneCycle {
    /// Rate and momentum of update `u` of `total`.
    pub fn at(&self, peak: f64, total: u64, u: u64) -> (f64, Option<f64>) {
        let (base, high) = self.momentum.unwrap_or_default();
        let first = peak / self.div_factor;
        let (mut begin, mut lr, mut momentum) = (0.0, first, high);
        let phases = self.phases(peak, total);
        let last = phases.len() - 1;
        for (i, phase) in phases.iter().enumerate() {
            if u as f64 <= phase.end || i == last {
                let done = (u as f64 - begin) / (phase.end - begin);
                lr = self.anneal.between(lr, phase.lr, done);
                momentum = self.anneal.between(momentum, phase.momentum, done);
                break;
            }
            (begin, lr, momentum) = (phase.end, phase.lr, phase.momentum);
        }
        // Rounding may leave the closed form an ulp outside.
        (lr.clamp(0.0, peak), self.momentum.map(|_| momentum.clamp(base, high)))
    }

    fn phases(&self, peak: f64, total: u64) -> Vec<Phase> {
        let (base, high) = self.momentum.unwrap_or_default();
        let first = peak / self.div_factor;
        let up = Phase { end: self.pct_start * total as f64 - 1.0, lr: peak, momentum: base };
        let down = Phase { end: total as f64 - 1.0, lr: first / self.final_div_factor, momentum: high };
        if self.three_phase {
            let back = Phase { end: 2.0 * self.pct_start * total as f64 - 2.0, lr: first, momentum: high };
            vec![up, back, down]
        } else {
            vec![up, down]
        }
    }

    /// Where phases end, as (fractional) update indices.
    pub(super) fn phase_ends(&self, total: u64) -> impl Iterator<Item = f64> {
        self.phases(1.0, total).into_iter().map(|p| p.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAPER: OneCycle = OneCycle {
        pct_start: 0.3,
        div_factor: 25.0,
        final_div_factor: 1e4,
        three_phase: false,
        anneal: Anneal::Cos,
        momentum: Some((0.85, 0.95)),
    };

    /// Values of torch 2.11, max_lr 1.
    #[test]
    fn is_torchs() {
        let two = [
            (0.04, 0.95),
            (0.52, 0.9),
            (1.0, 0.85),
            (0.950484632, 0.854952),
            (0.8117456539, 0.868826),
            (0.6112620219, 0.888874),
            (0.3887419781, 0.911126),
            (0.1882583461, 0.931174),
            (0.049519368, 0.945048),
            (4e-6, 0.95),
        ];
        for (u, (lr, momentum)) in two.into_iter().enumerate() {
            let got = PAPER.at(1.0, 10, u as u64);
            assert!((got.0 - lr).abs() < 1e-9 && (got.1.unwrap() - momentum).abs() < 1e-6, "{u}: {got:?}");
        }
        let three = [0.04, 0.1316718427, 0.3716718427, 0.6683281573, 0.9083281573, 1.0, 0.9083281573, 0.6683281573, 0.3716718427];
        for (u, lr) in three.into_iter().enumerate() {
            let got = OneCycle { three_phase: true, ..PAPER }.at(1.0, 20, u as u64).0;
            assert!((got - lr).abs() < 1e-9, "{u}: {got}");
        }
    }

    #[test]
    fn momentum_stays_where_it_is_not_cycled() {
        assert_eq!(OneCycle { momentum: None, ..PAPER }.at(1.0, 10, 3).1, None);
    }
}
