//! What makes no sense is refused before anything runs, by the flag that says it; what is odd but possible is told.

use super::{Curve, OneCycle, Schedule, Sgdr};
use crate::error::{Error, Result};
use crate::text::{count, counted, number};

fn bad<T>(flag: &str, what: String) -> Result<T> {
    Err(Error::usage(what).at(flag.to_owned()).next("imagenet-engine schedule --help"))
}

impl Schedule {
    /// Checks the schedule as a whole. Returns warnings, each naming its flag.
    ///
    /// # Errors
    /// `Usage` naming the flag: rates that are not finite and positive, a floor above the peak, a warm-up as long as the run, phases or
    /// cycles without width, factors out of range.
    pub fn check(&self) -> Result<Vec<String>> {
        let floor_counts = !matches!(self.curve, Curve::Constant | Curve::OneCycle(_));
        if !(self.peak.is_finite() && self.peak > 0.0) {
            return bad("--lr", format!("the peak learning rate must be positive and finite, not {}", self.peak));
        }
        if !(self.min.is_finite() && self.min >= 0.0) || (floor_counts && self.min > self.peak) {
            return bad("--min-lr", format!("the min lr {} must lie between 0 and the max lr {}", number(self.min), number(self.peak)));
        }
        if !(self.warmup_lr.is_finite() && self.warmup_lr >= 0.0 && self.warmup_lr <= self.peak) {
            return bad(
                "--warmup-lr",
                format!("the first lr {} must lie between 0 and the max lr {}", number(self.warmup_lr), number(self.peak)),
            );
        }
        if !(0.0..1.0).contains(&self.momentum) {
            return bad("--momentum", format!("the momentum {} must lie in [0, 1)", self.momentum));
        }
        if self.total == 0 {
            return bad("--epochs", "the run has no steps".into());
        }
        if self.warmup >= self.total && self.warmup > 0 {
            return bad(
                "--warmup-epochs",
                format!("the warm-up takes {}, but the run has only {}", counted(self.warmup, "step"), count(self.total)),
            );
        }
        let mut warnings = Vec::new();
        match &self.curve {
            Curve::Cosine | Curve::Linear | Curve::Constant => {}
            Curve::Poly { power } if power.is_finite() && *power > 0.0 => {}
            Curve::Poly { power } => return bad("--poly-power", format!("the power must be positive and finite, not {power}")),
            Curve::Step { every, rate } => self.check_step(*every, *rate, &mut warnings)?,
            Curve::MultiStep { milestones, rate } => self.check_milestones(milestones, *rate, &mut warnings)?,
            Curve::Sgdr(sgdr) => self.check_cycles(sgdr, &mut warnings)?,
            Curve::OneCycle(cycle) => self.check_one_cycle(cycle)?,
        }
        Ok(warnings)
    }

    fn check_step(&self, every: u64, rate: f64, warnings: &mut Vec<String>) -> Result<()> {
        check_factor("--decay-rate", rate)?;
        if every == 0 {
            return bad("--decay-epochs", "the rate would drop every 0 steps: it must span at least one step".into());
        }
        if every >= self.total - self.warmup {
            warnings.push(format!(
                "--decay-epochs: the first drop would come {} after the warm-up, but only {} follow it: the rate never drops",
                counted(every, "step"),
                count(self.total - self.warmup)
            ));
        }
        Ok(())
    }

    fn check_milestones(&self, milestones: &[u64], rate: f64, warnings: &mut Vec<String>) -> Result<()> {
        const FLAG: &str = "--decay-milestones";
        check_factor("--decay-rate", rate)?;
        if milestones.is_empty() {
            return Err(Error::usage("--sched multistep needs the epochs at which the rate drops")
                .at(FLAG)
                .next(format!("{FLAG} 30,60,80")));
        }
        if let Some(early) = milestones.iter().find(|m| **m <= self.warmup && self.warmup > 0) {
            return bad(
                FLAG,
                format!("the drop at step {} lies inside the warm-up, which ends at step {}", count(*early), count(self.warmup)),
            );
        }
        if let Some(0) = milestones.first() {
            return bad(FLAG, "a drop at step 0 would mean that the peak is never used: lower --lr instead".into());
        }
        let past = milestones.iter().filter(|m| **m >= self.total).count();
        if past > 0 {
            warnings.push(format!("{FLAG}: {past} of {} lie past the end of the run at step {}", milestones.len(), count(self.total)));
        }
        if let Some(twice) = milestones.windows(2).find(|w| w[0] == w[1]) {
            warnings.push(format!("{FLAG}: the drop at step {} is listed twice and counts twice", twice[0]));
        }
        Ok(())
    }

    fn check_cycles(&self, sgdr: &Sgdr, warnings: &mut Vec<String>) -> Result<()> {
        if sgdr.first == 0 {
            return bad("--cycle-epochs", "the first cycle spans no step".into());
        }
        if sgdr.mul == 0 {
            return bad("--cycle-mul", "must be a whole number of at least 1".into());
        }
        check_factor("--cycle-decay", sgdr.decay)?;
        let last = sgdr.position(self.total - self.warmup - 1);
        if last.t + 1 < last.len && last.t / 9 < last.len / 10 {
            warnings.push(format!(
                "--cycle-epochs: the run ends {} into a cycle of {}, at a learning rate of {}: see where cycles end with the schedule command",
                counted(last.t + 1, "step"),
                count(last.len),
                number(self.lr(self.total))
            ));
        }
        Ok(())
    }

    fn check_one_cycle(&self, cycle: &OneCycle) -> Result<()> {
        if self.warmup > 0 {
            return bad("--warmup-epochs", "onecycle brings its own warm-up: its length is --pct-start".into());
        }
        for (flag, factor) in [("--div-factor", cycle.div_factor), ("--final-div-factor", cycle.final_div_factor)] {
            if !(factor.is_finite() && factor >= 1.0) {
                return bad(flag, format!("must be at least 1, not {factor}"));
            }
        }
        if let Some((base, high)) = cycle.momentum {
            for (flag, value) in [("--base-momentum", base), ("--max-momentum", high)] {
                if !(0.0..1.0).contains(&value) {
                    return bad(flag, format!("must lie in [0, 1), not {value}"));
                }
            }
            if base > high {
                return bad("--base-momentum", format!("{base} is above --max-momentum {high}"));
            }
        }
        let (pct, most) = (cycle.pct_start, if cycle.three_phase { 0.5 } else { 1.0 });
        if !(pct > 0.0 && pct <= most) {
            let form = if cycle.three_phase { ", half at most with --three-phase" } else { "" };
            return bad("--pct-start", format!("is a fraction of the run{form}: {pct} must lie between 0 and {most}"));
        }
        let mut begin = 0.0;
        for end in cycle.phase_ends(self.total) {
            if end <= begin {
                let least = 2.0 / self.total as f64;
                let remedy = if least < most {
                    format!("a fraction between {least:.3} and {most}, or more --epochs")
                } else {
                    "more --epochs".into()
                };
                return bad("--pct-start", format!("with {} a phase would have no width at {pct}: {remedy}", counted(self.total, "step")));
            }
            begin = end;
        }
        Ok(())
    }
}

/// A factor that rates are multiplied with must not raise them.
fn check_factor(flag: &str, factor: f64) -> Result<()> {
    if factor > 0.0 && factor <= 1.0 { Ok(()) } else { bad(flag, format!("must lie between 0 and 1, not {factor}")) }
}

#[cfg(test)]
mod tests {
    use super::super::Anneal;
    use super::*;

    fn cosine() -> Schedule {
        Schedule { curve: Curve::Cosine, peak: 1.0, min: 1e-6, warmup_lr: 0.01, warmup: 0, total: 10, momentum: 0.9 }
    }

    fn refused(s: Schedule, flag: &str) {
        let e = s.check().unwrap_err();
        assert!(e.exit_code() == 2 && e.report().place.as_deref() == Some(flag), "{e}");
    }

    fn warned(s: Schedule, flag: &str) {
        let warnings = s.check().unwrap();
        assert!(warnings.iter().any(|w| w.starts_with(flag)), "{warnings:?}");
    }

    #[test]
    fn nonsense_is_refused_by_flag() {
        assert_eq!(cosine().check().unwrap(), [""; 0]);
        refused(Schedule { peak: 0.0, ..cosine() }, "--lr");
        refused(Schedule { peak: f64::NAN, ..cosine() }, "--lr");
        refused(Schedule { min: 2.0, ..cosine() }, "--min-lr");
        assert!(Schedule { min: 2.0, curve: Curve::Constant, ..cosine() }.check().is_ok());
        refused(Schedule { warmup_lr: -1.0, ..cosine() }, "--warmup-lr");
        refused(Schedule { warmup: 10, ..cosine() }, "--warmup-epochs");
        refused(Schedule { total: 0, ..cosine() }, "--epochs");
        refused(Schedule { momentum: 1.0, ..cosine() }, "--momentum");
    }

    #[test]
    fn decays_are_checked() {
        let step = |every, rate| Schedule { curve: Curve::Step { every, rate }, ..cosine() };
        refused(step(0, 0.1), "--decay-epochs");
        refused(step(3, 0.0), "--decay-rate");
        refused(step(3, 1.5), "--decay-rate");
        warned(step(10, 0.1), "--decay-epochs");
        assert!(step(9, 0.1).check().unwrap().is_empty());
        let multi = |milestones: &[u64]| Schedule { curve: Curve::MultiStep { milestones: milestones.to_vec(), rate: 0.1 }, ..cosine() };
        refused(multi(&[]), "--decay-milestones");
        refused(multi(&[0, 3]), "--decay-milestones");
        refused(Schedule { warmup: 5, ..multi(&[4, 8]) }, "--decay-milestones");
        warned(multi(&[3, 10]), "--decay-milestones");
        warned(multi(&[3, 3]), "--decay-milestones");
        refused(Schedule { curve: Curve::Poly { power: 0.0 }, ..cosine() }, "--poly-power");
        refused(Schedule { curve: Curve::Poly { power: f64::INFINITY }, ..cosine() }, "--poly-power");
    }

    #[test]
    fn cycles_are_checked() {
        let sgdr = |first, mul, decay| Schedule { curve: Curve::Sgdr(Sgdr { first, mul, decay }), ..cosine() };
        refused(sgdr(0, 2, 1.0), "--cycle-epochs");
        refused(sgdr(3, 0, 1.0), "--cycle-mul");
        refused(sgdr(3, 2, 0.0), "--cycle-decay");
        warned(sgdr(3, 2, 1.0), "--cycle-epochs"); // cycles of 3 and 6, and one update of the third
        assert!(sgdr(5, 1, 1.0).check().unwrap().is_empty());
    }

    /// Every way in which torch's OneCycleLR divides by zero or runs past its end.
    #[test]
    fn one_cycle_without_width_is_refused() {
        let cycle =
            OneCycle { pct_start: 0.3, div_factor: 25.0, final_div_factor: 1e4, three_phase: false, anneal: Anneal::Cos, momentum: None };
        let of = |cycle, total| Schedule { curve: Curve::OneCycle(cycle), total, ..cosine() };
        assert!(of(cycle, 10).check().is_ok());
        for (pct_start, total) in [(0.5, 2), (1.0, 1), (0.0, 10), (1.0, 10), (30.0, 10), (f64::NAN, 10), (0.1, 10), (0.3, 1)] {
            refused(of(OneCycle { pct_start, ..cycle }, total), "--pct-start");
        }
        refused(of(OneCycle { pct_start: 0.6, three_phase: true, ..cycle }, 20), "--pct-start");
        assert!(of(OneCycle { pct_start: 0.5, three_phase: true, ..cycle }, 20).check().is_ok());
        refused(of(OneCycle { div_factor: 0.5, ..cycle }, 20), "--div-factor");
        refused(of(OneCycle { final_div_factor: f64::NAN, ..cycle }, 20), "--final-div-factor");
        refused(of(OneCycle { momentum: Some((0.9, 0.8)), ..cycle }, 20), "--base-momentum");
        refused(of(OneCycle { momentum: Some((0.9, 1.0)), ..cycle }, 20), "--max-momentum");
        refused(Schedule { warmup: 2, ..of(cycle, 20) }, "--warmup-epochs");
    }
}
