//! Settings that make no sense, each by its flag: numbers by [`ranges`], here what takes two settings to be wrong. Schedules are checked
//! as a whole in [`crate::schedule`].

use super::{Config, ranges};
use crate::data::validation::Asked;
use crate::error::{Error, Result};

impl Config {
    /// Refuses paths that a file of settings (TOML) cannot hold.
    ///
    /// # Errors
    /// `Usage` naming the flag.
    pub(super) fn check_paths(&self) -> Result<()> {
        for (flag, path) in [("--val", &self.val), ("--init", &self.init)] {
            if let Some(path) = path.as_ref().filter(|path| path.to_str().is_none()) {
                return Err(Error::usage(format!("{flag} {}: not UTF-8, which the run's config.toml has to be", path.display()))
                    .next("a link or a name in UTF-8"));
            }
        }
        Ok(())
    }

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
        ranges::check(self)?;
        if let Some(val) = self.val.as_ref().filter(|_| self.data == "demo") {
            return Err(Error::usage(format!(
                "--val {}: the demo, which is what there is without --data, has validation images of its own",
                val.display()
            ))
            .next("--data DIR, the packed training images of the same dataset; or --data demo without --val"));
        }
        self.validation().settle(None)?;
        let list = |values: &[f64]| values.iter().map(f64::to_string).collect::<Vec<_>>().join(",");
        let shown = list(&self.rrc_scale);
        let &[low, high] = self.rrc_scale.as_slice() else {
            return bad("--rrc-scale", &format!("--rrc-scale {shown}: expected two numbers, such as 0.08,1"));
        };
        if !(low > 0.0 && low <= high && high <= 1.0) {
            return bad("--rrc-scale", &format!("--rrc-scale {shown}: expected LOW,HIGH with 0 < LOW <= HIGH <= 1, such as 0.08,1"));
        }
        if self.nesterov && self.momentum == 0.0 {
            return bad("--nesterov", "--nesterov needs --momentum above 0");
        }
        if self.nesterov && self.dampening != 0.0 {
            return bad("--dampening", "--dampening must be 0 with --nesterov");
        }
        if let Some(betas) = self.opt_betas.as_ref().filter(|b| b.len() != 2 || b.iter().any(|b| !(0.0..1.0).contains(b))) {
            let wanted = "two numbers of at least 0 and below 1, such as 0.9,0.999";
            return bad("--opt-betas", &format!("--opt-betas {}: expected {wanted}", list(betas)));
        }
        if let Some(m) = self.decay_milestones.iter().find(|m| !(m.is_finite() && **m >= 0.0)) {
            return bad("--decay-milestones", &format!("--decay-milestones {m}: expected numbers of at least 0"));
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
}
