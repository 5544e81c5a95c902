//! Learning-rate schedules: pure f64 functions of the update index, resolved to updates before anything runs.
//!
//! Warm-up is linear from `warmup_lr` at update 0 to the peak at update W (torch's `LinearLR` stepped per update); the curve then runs
//! over the remaining U-W updates by torch's closed forms, as `SequentialLR([LinearLR, ...])` stepped per update. One-cycle has a
//! warm-up of its own and spans all U updates. After the end the last value holds: no schedule of ours ever rises again.
//!
//! There is no state: resuming, skipping and restarting cannot drift.

mod check;
mod one_cycle;
mod sgdr;

pub use one_cycle::{Anneal, OneCycle};
pub use sgdr::Sgdr;

use std::f64::consts::PI;

/// The shape after the warm-up. T = U-W is its length, t = u-W the position in it.
#[derive(Clone, Debug, PartialEq)]
pub enum Curve {
    /// `min + (peak-min) * (1 + cos(pi*t/T)) / 2`, as `CosineAnnealingLR(T, min)`.
    Cosine,
    /// `peak * (1 + (min/peak-1) * t/T)`, as `LinearLR(1, min/peak, T)`.
    Linear,
    /// `min + (peak-min) * (1-t/T)^power`, as `PolynomialLR(T, power)` above a floor.
    Poly { power: f64 },
    /// `peak * rate^floor(t/every)`, not below the floor, as `StepLR(every, rate)`.
    Step { every: u64, rate: f64 },
    /// `peak * rate^(milestones <= u)`, not below the floor, as `MultiStepLR`; milestones are updates of the whole run, warm-up
    /// included, in ascending order. One listed twice counts twice.
    MultiStep { milestones: Vec<u64>, rate: f64 },
    /// Cosine with warm restarts, as `CosineAnnealingWarmRestarts`.
    Sgdr(Sgdr),
    /// As `OneCycleLR`; the floor does not apply.
    OneCycle(OneCycle),
    /// The peak throughout; the floor does not apply.
    Constant,
}

/// A whole run's rates and momenta.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    pub curve: Curve,
    pub peak: f64,
    /// The floor.
    pub min: f64,
    pub warmup_lr: f64,
    /// W, in updates.
    pub warmup: u64,
    /// U, in updates.
    pub total: u64,
    /// SGD's momentum or the first beta of Adam-likes, where the curve does not move it.
    pub momentum: f64,
}

/// What one update uses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    pub lr: f64,
    /// Momentum, or the first beta of Adam-likes.
    pub momentum: f64,
}

impl Schedule {
    /// What update `u`, counted from 0, uses. Past the end, what the last update used.
    pub fn at(&self, u: u64) -> Point {
        let u = u.min(self.total.saturating_sub(1));
        if let Curve::OneCycle(cycle) = &self.curve {
            let (lr, momentum) = cycle.at(self.peak, self.total, u);
            return Point { lr, momentum: momentum.unwrap_or(self.momentum) };
        }
        // Rounding may leave a closed form an ulp above the peak.
        let lr = if u < self.warmup { self.warming(u) } else { self.after_warmup(u).min(self.peak) };
        Point { lr, momentum: self.momentum }
    }

    /// The rate of update `u`.
    pub fn lr(&self, u: u64) -> f64 {
        self.at(u).lr
    }

    fn warming(&self, u: u64) -> f64 {
        self.warmup_lr + (self.peak - self.warmup_lr) * u as f64 / self.warmup as f64
    }

    fn after_warmup(&self, u: u64) -> f64 {
        let (t, all) = (u - self.warmup, self.total - self.warmup);
        let (peak, min, done) = (self.peak, self.min, t as f64 / all as f64);
        if t == 0 && !matches!(self.curve, Curve::MultiStep { .. }) {
            return peak;
        }
        match &self.curve {
            Curve::Constant | Curve::OneCycle(_) => peak,
            Curve::Cosine => cosine(peak, min, t as f64, all as f64),
            Curve::Linear => (peak * (1.0 + (min / peak - 1.0) * t as f64 / all as f64)).max(min),
            Curve::Poly { power } => min + (peak - min) * (1.0 - done).powf(*power),
            Curve::Step { every, rate } => decayed(peak, *rate, t / every).max(min),
            Curve::MultiStep { milestones, rate } => decayed(peak, *rate, milestones.partition_point(|m| *m <= u) as u64).max(min),
            Curve::Sgdr(sgdr) => sgdr.lr(peak, min, t),
        }
    }

    /// What every update uses.
    pub fn table(&self) -> Vec<Point> {
        (0..self.total).map(|u| self.at(u)).collect()
    }

    /// Updates at which something begins, in order, and what: the curve after the warm-up, drops, restarts, phases.
    pub fn marks(&self) -> Vec<(u64, &'static str)> {
        let warm = (self.warmup > 0).then_some((self.warmup, "warm-up ends"));
        let (what, after): (&str, Vec<u64>) = match &self.curve {
            Curve::Cosine | Curve::Linear | Curve::Poly { .. } | Curve::Constant => ("", Vec::new()),
            Curve::Step { every, .. } => {
                let drops = (1..).map_while(|i| every.checked_mul(i)?.checked_add(self.warmup));
                ("drop", drops.take_while(|u| *u < self.total).collect())
            }
            Curve::MultiStep { milestones, .. } => ("drop", milestones.clone()),
            Curve::Sgdr(sgdr) => {
                let restarts = sgdr.restarts().map_while(|t| t.checked_add(self.warmup));
                ("restart", restarts.take_while(|u| *u < self.total).collect())
            }
            Curve::OneCycle(cycle) => {
                let names = ["peak", "first rate again"]; // the last phase ends with the run
                let ends = cycle.phase_ends(self.total).map(|end| end.ceil() as u64).zip(names);
                return ends.filter(|m| m.0 + 1 < self.total).collect();
            }
        };
        let mut marks: Vec<_> = warm.into_iter().chain(after.into_iter().map(|u| (u, what))).filter(|m| m.0 < self.total).collect();
        marks.dedup();
        marks
    }
}

/// Half a cosine from `from` at t = 0 to `to` at t = `all`.
fn cosine(from: f64, to: f64, t: f64, all: f64) -> f64 {
    to + (from - to) * (1.0 + (PI * t / all).cos()) / 2.0
}

/// `peak * rate^times`.
fn decayed(peak: f64, rate: f64, times: u64) -> f64 {
    peak * rate.powf(times as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COSINE: Schedule = Schedule { curve: Curve::Cosine, peak: 1.0, min: 1e-6, warmup_lr: 0.01, warmup: 0, total: 10, momentum: 0.9 };

    /// Published values of torch 2.11; the long sequences are in tests/schedule.
    #[test]
    fn cosine_is_torchs_until_the_end_and_then_holds() {
        let torch = [1.0, 0.97552828, 0.90450859, 0.79389283, 0.65450884, 0.5000005, 0.34549216, 0.20610817, 0.09549241, 0.02447272];
        for (u, expected) in torch.into_iter().enumerate() {
            assert!((COSINE.lr(u as u64) - expected).abs() < 1e-8, "{u}");
        }
        assert_eq!(COSINE.lr(10), COSINE.lr(9));
        assert_eq!(COSINE.lr(u64::MAX), COSINE.lr(9));
    }

    #[test]
    fn warmup_is_linear_and_reaches_the_peak() {
        let s = Schedule { curve: Curve::Constant, warmup: 5, ..COSINE };
        for (u, expected) in [0.01, 0.208, 0.406, 0.604, 0.802, 1.0, 1.0].into_iter().enumerate() {
            assert!((s.lr(u as u64) - expected).abs() < 1e-12, "{u}");
        }
        let s = Schedule { warmup: 5, ..COSINE };
        assert_eq!(s.lr(5), 1.0);
        assert!(s.table().windows(2).skip(5).all(|w| w[1].lr < w[0].lr), "falls after the peak");
    }

    #[test]
    fn marks_are_where_something_begins() {
        let with = |curve, warmup| Schedule { curve, warmup, total: 20, ..COSINE }.marks().iter().map(|m| m.0).collect::<Vec<_>>();
        assert_eq!(with(Curve::Cosine, 5), [5]);
        assert_eq!(with(Curve::Step { every: 6, rate: 0.1 }, 2), [2, 8, 14]);
        assert_eq!(with(Curve::MultiStep { milestones: vec![7, 9, 40], rate: 0.1 }, 0), [7, 9]);
        assert_eq!(with(Curve::Sgdr(Sgdr { first: 3, mul: 2, decay: 1.0 }), 1), [1, 4, 10]);
        assert_eq!(with(Curve::Constant, 0), [0u64; 0]);
    }
}
