//! What the settings mean for the schedule: epochs become updates, and everything is checked before anything runs.

use super::{AnnealShape, Config, Opt, Sched};
use crate::error::Result;
use crate::schedule::{Anneal, Curve, OneCycle, Schedule, Sgdr};
use crate::text::{count, counted, number};

/// A schedule, and what is odd about it.
pub struct Resolved {
    pub schedule: Schedule,
    pub warnings: Vec<String>,
}

impl Config {
    /// The schedule of a run with so many updates an epoch. Fractions of epochs are rounded to whole updates.
    ///
    /// # Errors
    /// `Usage` naming the flag.
    pub fn schedule(&self, updates_per_epoch: u64) -> Result<Resolved> {
        let updates = |epochs: f64| epochs * updates_per_epoch as f64;
        let total = self.epochs.saturating_mul(updates_per_epoch);
        let own_warmup = matches!(self.sched, Sched::Constant | Sched::Onecycle);
        let warmup = match self.warmup_epochs {
            Some(epochs) => updates(epochs).round() as u64,
            None if own_warmup => 0,
            // A default that nobody typed must not fail the shortest runs.
            None => updates(f64::min(5.0, self.epochs as f64 / 2.0)).floor() as u64,
        };
        let curve = match self.sched {
            Sched::Cosine => Curve::Cosine,
            Sched::Linear => Curve::Linear,
            Sched::Constant => Curve::Constant,
            Sched::Poly => Curve::Poly { power: self.poly_power },
            Sched::Step => Curve::Step { every: updates(self.decay_epochs).round() as u64, rate: self.decay_rate },
            Sched::Multistep => {
                let mut milestones: Vec<u64> = self.decay_milestones.iter().map(|m| updates(*m).round() as u64).collect();
                milestones.sort_unstable();
                Curve::MultiStep { milestones, rate: self.decay_rate }
            }
            Sched::Sgdr => Curve::Sgdr(Sgdr {
                first: self.first_cycle(total.saturating_sub(warmup), updates_per_epoch),
                mul: self.cycle_mul,
                decay: self.cycle_decay,
            }),
            Sched::Onecycle => Curve::OneCycle(OneCycle {
                pct_start: self.pct_start,
                div_factor: self.div_factor,
                final_div_factor: self.final_div_factor,
                three_phase: self.three_phase,
                anneal: match self.anneal {
                    AnnealShape::Cos => Anneal::Cos,
                    AnnealShape::Linear => Anneal::Linear,
                },
                momentum: self.cycle_momentum.then_some((self.base_momentum, self.max_momentum)),
            }),
        };
        let peak = self.peak_lr();
        let warmup_lr = self.warmup_lr.unwrap_or(peak * 0.01);
        let schedule = Schedule { curve, peak, min: self.min_lr, warmup_lr, warmup, total, momentum: self.first_momentum() };
        let mut warnings = schedule.check()?;
        warnings.extend(self.idle_flags(warmup));
        if let Some(epochs) = self.warmup_epochs.filter(|e| *e > 0.0 && warmup == 0) {
            warnings.push(format!("--warmup-epochs: {epochs} epochs are less than half a step: there is no warm-up"));
        }
        if let Some(steps) = self.max_steps.filter(|steps| *steps < total) {
            let lr = schedule.lr(steps.saturating_sub(1));
            warnings.push(format!(
                "--max-steps: the run ends after {} of the schedule's {}, at a learning rate of {}",
                count(steps),
                counted(total, "step"),
                number(lr)
            ));
        }
        if matches!(self.opt, Opt::Adamw | Opt::Lion) && peak > 0.02 {
            warnings.push(format!(
                "--lr: a peak of {} is a learning rate for sgd; {} is trained with 0.01 at most",
                number(peak),
                word(self.opt)
            ));
        }
        Ok(Resolved { schedule, warnings })
    }

    /// Updates of sgdr's first cycle: as said, or so that the third ends with the run. Rounded up, lest a fourth begin at its peak.
    fn first_cycle(&self, updates: u64, updates_per_epoch: u64) -> u64 {
        match self.cycle_epochs {
            Some(epochs) => (epochs * updates_per_epoch as f64).round() as u64,
            None => updates.div_ceil(self.cycle_mul.saturating_mul(self.cycle_mul).saturating_add(self.cycle_mul).saturating_add(1)),
        }
    }

    /// Flags that were changed but do nothing beside the others.
    fn idle_flags(&self, warmup: u64) -> Vec<String> {
        let default = Self::default();
        let (sched, opt) = (self.sched, self.opt);
        let by_sched = format!("with --sched {}", word(sched));
        let by_opt = format!("with --opt {}", word(opt));
        let onecycle = sched == Sched::Onecycle;
        let cycles = onecycle && self.cycle_momentum;
        let by_cycle = if onecycle { "with --cycle-momentum false" } else { &by_sched };
        let by_momentum = if cycles { "with --sched onecycle, which moves it (--max-momentum)" } else { &by_opt };
        let flags: [(&str, bool, bool, &str); 25] = [
            ("--min-lr", self.min_lr != default.min_lr, !matches!(sched, Sched::Constant | Sched::Onecycle), &by_sched),
            ("--warmup-lr", self.warmup_lr.is_some(), warmup > 0, "without a warm-up"),
            ("--decay-epochs", self.decay_epochs != default.decay_epochs, sched == Sched::Step, &by_sched),
            ("--decay-milestones", !self.decay_milestones.is_empty(), sched == Sched::Multistep, &by_sched),
            ("--decay-rate", self.decay_rate != default.decay_rate, matches!(sched, Sched::Step | Sched::Multistep), &by_sched),
            ("--cycle-epochs", self.cycle_epochs.is_some(), sched == Sched::Sgdr, &by_sched),
            ("--cycle-mul", self.cycle_mul != default.cycle_mul, sched == Sched::Sgdr, &by_sched),
            ("--cycle-decay", self.cycle_decay != default.cycle_decay, sched == Sched::Sgdr, &by_sched),
            ("--poly-power", self.poly_power != default.poly_power, sched == Sched::Poly, &by_sched),
            ("--pct-start", self.pct_start != default.pct_start, onecycle, &by_sched),
            ("--div-factor", self.div_factor != default.div_factor, onecycle, &by_sched),
            ("--final-div-factor", self.final_div_factor != default.final_div_factor, onecycle, &by_sched),
            ("--three-phase", self.three_phase, onecycle, &by_sched),
            ("--anneal", self.anneal != default.anneal, onecycle, &by_sched),
            ("--cycle-momentum", !self.cycle_momentum, onecycle, &by_sched),
            ("--base-momentum", self.base_momentum != default.base_momentum, cycles, by_cycle),
            ("--max-momentum", self.max_momentum != default.max_momentum, cycles, by_cycle),
            ("--momentum", self.momentum != default.momentum, !opt.has_betas() && !cycles, by_momentum),
            ("--nesterov", self.nesterov, matches!(opt, Opt::Sgd | Opt::Lars), &by_opt),
            ("--dampening", self.dampening != 0.0, opt == Opt::Sgd, &by_opt),
            ("--opt-betas", self.opt_betas.is_some(), opt.has_betas(), &by_opt),
            ("--opt-eps", self.opt_eps.is_some(), matches!(opt, Opt::Adamw | Opt::Lars | Opt::Lamb), &by_opt),
            ("--trust-coefficient", self.trust_coefficient != default.trust_coefficient, opt == Opt::Lars, &by_opt),
            ("--model-ema-decay", self.model_ema_decay != default.model_ema_decay, self.model_ema, "without --model-ema"),
            ("--lr-base-size", self.lr_base_size != default.lr_base_size, self.lr.is_none(), "with --lr"),
        ];
        let idle = flags.into_iter().filter(|(_, changed, used, _)| *changed && !used);
        idle.map(|(flag, _, _, beside)| format!("{flag}: does nothing {beside}")).collect()
    }
}

/// A choice as it is typed.
fn word(choice: impl clap::ValueEnum) -> String {
    choice.to_possible_value().map_or_else(String::new, |v| v.get_name().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(sched: Sched) -> Config {
        Config { sched, epochs: 12, lr: Some(0.5), warmup_epochs: None, ..Config::default() }
    }

    #[test]
    fn epochs_become_updates() {
        let warmup = |c: &Config| c.schedule(78).unwrap().schedule.warmup;
        assert_eq!(warmup(&config(Sched::Cosine)), 390);
        assert_eq!(warmup(&Config { epochs: 4, ..config(Sched::Cosine) }), 156);
        assert_eq!((warmup(&config(Sched::Constant)), warmup(&config(Sched::Onecycle))), (0, 0));
        assert_eq!(warmup(&Config { warmup_epochs: Some(0.5), ..config(Sched::Cosine) }), 39);
        let multi = Config { decay_milestones: vec![9.0, 6.0], warmup_epochs: Some(1.0), ..config(Sched::Multistep) };
        assert_eq!(multi.schedule(10).unwrap().schedule.curve, Curve::MultiStep { milestones: vec![60, 90], rate: 0.1 });
        let step = Config { decay_epochs: 2.5, ..config(Sched::Step) };
        assert_eq!(step.schedule(10).unwrap().schedule.curve, Curve::Step { every: 25, rate: 0.1 });
    }

    #[test]
    fn three_cycles_fill_the_run_whatever_the_rounding() {
        for updates_per_epoch in 1..40 {
            for mul in 1..4 {
                let c = Config { cycle_mul: mul, warmup_epochs: Some(1.0), ..config(Sched::Sgdr) };
                let schedule = c.schedule(updates_per_epoch).unwrap().schedule;
                let Curve::Sgdr(sgdr) = &schedule.curve else { panic!() };
                let three = sgdr.first * (1 + mul + mul * mul);
                assert!(three >= schedule.total - schedule.warmup, "a fourth cycle would begin: {sgdr:?}");
                assert!(updates_per_epoch < 20 || schedule.lr(u64::MAX) < 0.05 * schedule.peak, "{updates_per_epoch} {sgdr:?}");
            }
        }
    }

    #[test]
    fn flags_without_effect_are_told() {
        let warnings = |c: Config| c.schedule(10).unwrap().warnings.join("\n");
        assert_eq!(warnings(Config { warmup_epochs: Some(1.0), ..config(Sched::Cosine) }), "");
        let idle = Config {
            decay_rate: 0.5,
            poly_power: 3.0,
            three_phase: true,
            opt: Opt::Lion,
            lr: Some(1e-3),
            nesterov: true,
            ..config(Sched::Cosine)
        };
        let told = warnings(idle);
        for (flag, beside) in [("--decay-rate", "sched cosine"), ("--three-phase", "sched cosine"), ("--nesterov", "opt lion")] {
            assert!(told.contains(&format!("{flag}: does nothing with --{beside}")), "{told}");
        }
        let lone = |c: Config| warnings(Config { warmup_epochs: Some(0.0), ..c });
        assert!(lone(Config { warmup_lr: Some(0.1), ..config(Sched::Cosine) }).contains("does nothing without a warm-up"));
        assert!(lone(Config { momentum: 0.8, ..config(Sched::Onecycle) }).contains("which moves it"));
        assert!(lone(Config { lr_base_size: 64, ..config(Sched::Cosine) }).contains("with --lr"));
        assert_eq!(lone(Config { opt: Opt::Lamb, batch_size: 32768, lr: None, ..config(Sched::Cosine) }), "");
        assert!(warnings(Config { opt: Opt::Adamw, lr: Some(0.1), ..config(Sched::Cosine) }).contains("a learning rate for sgd"));
        assert!(warnings(Config { max_steps: Some(7), ..config(Sched::Cosine) }).contains("--max-steps"));
        assert!(warnings(Config { warmup_epochs: Some(0.01), ..config(Sched::Cosine) }).contains("no warm-up"));
    }
}
