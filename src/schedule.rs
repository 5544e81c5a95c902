//! Learning-rate schedules: pure f64 functions of the update index, resolved to updates before anything runs.
//!
//! Warm-up is linear from `warmup_lr` at update 0 to the peak at update W (torch's `LinearLR` stepped per update); the schedule then
//! runs over the remaining U-W updates as torch's closed forms, so the peak is reached exactly at W. After the end the last value
//! holds: no schedule of ours ever rises again.

use crate::error::{Error, Result};
use std::f64::consts::PI;

/// The shape after the warm-up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Curve {
    /// `min + (peak-min) * (1 + cos(pi*t/T)) / 2` with T = U-W, as `CosineAnnealingLR`.
    Cosine,
    /// The peak throughout.
    Constant,
}

/// A whole run's rates.
#[derive(Clone, Copy, Debug, PartialEq)]
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
}

impl Schedule {
    /// # Errors
    /// `Usage` naming the flag: rates that are not finite and positive, a floor above the peak, a warm-up as long as the run.
    pub fn check(&self) -> Result<()> {
        let bad = |flag: &str, what: String| Err(Error::usage(what).at(flag.to_owned()).next("imagenet-engine train --help"));
        if !(self.peak.is_finite() && self.peak > 0.0) {
            return bad("--lr", format!("the peak learning rate must be positive and finite, not {}", self.peak));
        }
        if !(self.min.is_finite() && self.min >= 0.0) || (self.curve == Curve::Cosine && self.min > self.peak) {
            return bad("--min-lr", format!("the floor {} must lie between 0 and the peak {}", self.min, self.peak));
        }
        if !(self.warmup_lr.is_finite() && self.warmup_lr >= 0.0 && self.warmup_lr <= self.peak) {
            return bad("--warmup-lr", format!("the first rate {} must lie between 0 and the peak {}", self.warmup_lr, self.peak));
        }
        if self.total == 0 {
            return bad("--epochs", "the run has no updates".into());
        }
        if self.warmup >= self.total && self.warmup > 0 {
            return bad("--warmup-epochs", format!("the warm-up takes {} updates, but the run has only {}", self.warmup, self.total));
        }
        Ok(())
    }

    /// The rate of update `u`, counted from 0.
    pub fn lr(&self, u: u64) -> f64 {
        let u = u.min(self.total.saturating_sub(1));
        if u < self.warmup {
            return self.warmup_lr + (self.peak - self.warmup_lr) * u as f64 / self.warmup as f64;
        }
        match self.curve {
            Curve::Constant => self.peak,
            Curve::Cosine => {
                let (t, all) = ((u - self.warmup) as f64, (self.total - self.warmup) as f64);
                self.min + (self.peak - self.min) * (1.0 + (PI * t / all).cos()) / 2.0
            }
        }
    }

    /// The rates of all updates.
    pub fn table(&self) -> Vec<f64> {
        (0..self.total).map(|u| self.lr(u)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COSINE: Schedule = Schedule { curve: Curve::Cosine, peak: 1.0, min: 1e-6, warmup_lr: 0.01, warmup: 0, total: 10 };

    /// torch.optim.lr_scheduler.CosineAnnealingLR(T_max=10, eta_min=1e-6) from 1, torch 2.11.
    #[test]
    fn cosine_is_torchs_until_the_end_and_then_holds() {
        let torch = [1.0, 0.97552828, 0.90450859, 0.79389283, 0.65450884, 0.5000005, 0.34549216, 0.20610817, 0.09549241, 0.02447272];
        for (u, expected) in torch.into_iter().enumerate() {
            assert!((COSINE.lr(u as u64) - expected).abs() < 1e-8, "{u}");
        }
        assert_eq!(COSINE.lr(10), COSINE.lr(9));
        assert_eq!(COSINE.lr(u64::MAX), COSINE.lr(9));
    }

    /// torch.optim.lr_scheduler.LinearLR(start_factor=0.01, total_iters=5) from 1.
    #[test]
    fn warmup_is_linear_and_reaches_the_peak() {
        let s = Schedule { curve: Curve::Constant, warmup: 5, ..COSINE };
        for (u, expected) in [0.01, 0.208, 0.406, 0.604, 0.802, 1.0, 1.0].into_iter().enumerate() {
            assert!((s.lr(u as u64) - expected).abs() < 1e-12, "{u}");
        }
        let s = Schedule { warmup: 5, ..COSINE };
        assert_eq!(s.lr(5), 1.0);
        assert!(s.table().windows(2).skip(5).all(|w| w[1] < w[0]), "falls after the peak");
    }

    #[test]
    fn nonsense_is_refused_by_flag() {
        let refused = |s: Schedule, flag: &str| {
            let e = s.check().unwrap_err();
            assert!(e.exit_code() == 2 && e.to_string().contains(flag), "{e}");
        };
        assert!(COSINE.check().is_ok());
        refused(Schedule { peak: 0.0, ..COSINE }, "--lr");
        refused(Schedule { peak: f64::NAN, ..COSINE }, "--lr");
        refused(Schedule { min: 2.0, ..COSINE }, "--min-lr");
        refused(Schedule { warmup_lr: -1.0, ..COSINE }, "--warmup-lr");
        refused(Schedule { warmup: 10, ..COSINE }, "--warmup-epochs");
        refused(Schedule { total: 0, ..COSINE }, "--epochs");
    }
}
