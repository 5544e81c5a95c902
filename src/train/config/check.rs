//! Settings that make no sense, each by its flag. Schedules are checked as a whole in [`crate::schedule`].

use super::Config;
use crate::data::crop::MOST_SIDE;
use crate::data::validation::Asked;
use crate::error::{Error, Result};

impl Config {
    /// Refuses integers that a file of settings (TOML) cannot hold.
    ///
    /// # Errors
    /// `Usage` naming the flag.
    pub(super) fn check_integers(&self) -> Result<()> {
        let settings = serde_json::to_value(self).map_err(|e| Error::internal("settings do not serialise").source(e))?;
        let numbers = settings.as_object().into_iter().flatten().filter_map(|(key, value)| Some((key, value.as_u64()?)));
        if let Some((key, n)) = numbers.into_iter().find(|&(_, n)| i64::try_from(n).is_err()) {
            return Err(Error::usage(format!("--{key} {n}: at most {}", i64::MAX)));
        }
        Ok(())
    }

    /// # Errors
    /// `Usage` naming the flag.
    pub(super) fn check(&self) -> Result<()> {
        let bad = |flag: &str, what: &str| Err(Error::usage(what).at(flag.to_owned()).next("imagenet-engine train --help"));
        let positive: [(&str, u64); 10] = [
            ("--epochs", self.epochs),
            ("--batch-size", self.batch_size as u64),
            ("--grad-accum", self.grad_accum as u64),
            ("--lr-base-size", self.lr_base_size as u64),
            ("--checkpoint-hist", self.checkpoint_hist as u64),
            ("--val-interval", self.val_interval),
            ("--log-interval", self.log_interval),
            ("--save-every", self.save_every.unwrap_or(1)),
            ("--limit-train-batches", self.limit_train_batches.unwrap_or(1)),
            ("--limit-val-batches", self.limit_val_batches.unwrap_or(1)),
        ];
        for (flag, value) in [("--batch-size", self.batch_size as u64), ("--grad-accum", self.grad_accum as u64), ("--epochs", self.epochs)]
        {
            if value > 1 << 24 {
                return bad(flag, "must be at most 16777216");
            }
        }
        if let Some((flag, _)) = positive.iter().find(|(_, v)| *v == 0) {
            return bad(flag, "must be at least 1");
        }
        // As their flags: a file of settings has no flags.
        for (flag, value, most) in [
            ("--shuffle-block", self.shuffle_block, 1 << 32),
            ("--shuffle-window", self.shuffle_window, 1 << 24),
            ("--workers", self.workers, 256),
        ] {
            if value.is_some_and(|value| !(1..=most).contains(&value)) {
                return bad(flag, &format!("must lie between 1 and {most}"));
            }
        }
        for (flag, side) in [("--train-crop-size", self.train_crop_size), ("--val-crop-size", self.val_crop_size)] {
            if !(1..=MOST_SIDE as usize).contains(&side) {
                return bad(flag, &format!("must lie between 1 and {MOST_SIDE}"));
            }
        }
        if self.val_resize_size.is_some_and(|side| !(1..=MOST_SIDE as usize).contains(&side)) {
            return bad("--val-resize-size", &format!("must lie between 1 and {MOST_SIDE}"));
        }
        self.validation().settle(None)?;
        let &[low, high] = self.rrc_scale.as_slice() else { return bad("--rrc-scale", "needs two numbers, such as 0.08,1") };
        if !(low > 0.0 && low <= high && high <= 1.0) {
            return bad("--rrc-scale", "needs 0 < LOW <= HIGH <= 1");
        }
        if !(0.0..1.0).contains(&self.momentum) {
            return bad("--momentum", "must lie in [0, 1)");
        }
        if self.nesterov && self.momentum == 0.0 {
            return bad("--nesterov", "needs --momentum above 0");
        }
        if !(0.0..=1.0).contains(&self.dampening) {
            return bad("--dampening", "must lie between 0 and 1");
        }
        if self.nesterov && self.dampening != 0.0 {
            return bad("--dampening", "must be 0 with --nesterov");
        }
        self.check_optimizer()?;
        if !(0.0..1.0).contains(&self.label_smoothing) {
            return bad("--label-smoothing", "must lie in [0, 1)");
        }
        for (flag, decay) in [
            ("--weight-decay", self.decays()[0]),
            ("--norm-weight-decay", self.norm_weight_decay),
            ("--bias-weight-decay", self.bias_weight_decay),
        ] {
            if !(decay.is_finite() && decay >= 0.0) {
                return bad(flag, "must be finite and not negative");
            }
        }
        for (flag, epochs) in [("--warmup-epochs", self.warmup_epochs), ("--cycle-epochs", self.cycle_epochs)] {
            if epochs.is_some_and(|e| !(e.is_finite() && e >= 0.0)) {
                return bad(flag, "must be finite and not negative");
            }
        }
        if !(self.decay_epochs.is_finite() && self.decay_epochs > 0.0) {
            return bad("--decay-epochs", "must be finite and positive");
        }
        if self.decay_milestones.iter().any(|m| !(m.is_finite() && *m >= 0.0)) {
            return bad("--decay-milestones", "must be finite and not negative");
        }
        Ok(())
    }

    /// What the settings say about validation.
    pub fn validation(&self) -> Asked {
        let side = |side: usize| u32::try_from(side).unwrap_or(u32::MAX);
        Asked {
            resize: self.val_resize_size.map(side),
            crop_pct: self.crop_pct,
            crop: side(self.val_crop_size),
            filter: self.val_interpolation,
        }
    }

    fn check_optimizer(&self) -> Result<()> {
        let bad = |flag: &str, what: &str| Err(Error::usage(what).at(flag.to_owned()).next("imagenet-engine train --help"));
        if self.opt_betas.as_ref().is_some_and(|betas| betas.len() != 2 || betas.iter().any(|b| !(0.0..1.0).contains(b))) {
            return bad("--opt-betas", "needs two numbers in [0, 1), such as 0.9,0.999");
        }
        if self.opt_eps.is_some_and(|eps| !(eps.is_finite() && eps > 0.0)) {
            return bad("--opt-eps", "must be finite and positive");
        }
        if !(self.trust_coefficient.is_finite() && self.trust_coefficient > 0.0) {
            return bad("--trust-coefficient", "must be finite and positive");
        }
        if self.clip_grad_norm.is_some_and(|norm| !(norm.is_finite() && norm >= 0.0)) {
            return bad("--clip-grad-norm", "must be finite and not negative");
        }
        if !(0.0..1.0).contains(&self.model_ema_decay) {
            return bad("--model-ema-decay", "must lie in [0, 1)");
        }
        Ok(())
    }
}
