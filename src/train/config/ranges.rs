//! The values that a numeric setting takes: one table for the parser's messages, for files of settings, and for the check of both.

use super::Config;
use crate::data::crop::MOST_SIDE;
use crate::error::{Error, Result};
use crate::text::count;

/// Whole numbers, with their least and most.
struct Whole {
    flag: &'static str,
    value: fn(&Config) -> Option<u64>,
    least: u64,
    most: u64,
}

/// Real numbers, with a test and its words.
struct Real {
    flag: &'static str,
    value: fn(&Config) -> Option<f64>,
    within: fn(f64) -> bool,
    words: &'static str,
}

/// More than any run asks for; products of two such numbers still fit.
const MANY: u64 = 1 << 24;
const SIDE: u64 = MOST_SIDE as u64;

macro_rules! whole {
    ($($flag:literal $least:literal $most:expr, $value:expr;)*) => {
        &[$(Whole { flag: $flag, value: $value, least: $least, most: $most }),*]
    };
}

macro_rules! real {
    ($($flag:literal $words:literal $within:expr, $value:expr;)*) => {
        &[$(Real { flag: $flag, value: $value, within: $within, words: $words }),*]
    };
}

const WHOLE: &[Whole] = whole! {
    "--epochs" 1 MANY, |c| Some(c.epochs);
    "--batch-size" 1 MANY, |c| Some(c.batch_size as u64);
    "--grad-accum" 1 MANY, |c| Some(c.grad_accum as u64);
    "--max-steps" 1 u64::MAX, |c| c.max_steps;
    "--lr-base-size" 1 u64::MAX, |c| Some(c.lr_base_size as u64);
    "--checkpoint-hist" 1 u64::MAX, |c| Some(c.checkpoint_hist as u64);
    "--val-interval" 1 u64::MAX, |c| Some(c.val_interval);
    "--log-interval" 1 u64::MAX, |c| Some(c.log_interval);
    "--save-every" 1 u64::MAX, |c| c.save_every;
    "--limit-train-batches" 1 u64::MAX, |c| c.limit_train_batches;
    "--limit-val-batches" 1 u64::MAX, |c| c.limit_val_batches;
    "--shuffle-block" 1 1 << 32, |c| c.shuffle_block;
    "--shuffle-window" 1 MANY, |c| c.shuffle_window;
    "--workers" 1 256, |c| c.workers;
    "--train-crop-size" 1 SIDE, |c| Some(c.train_crop_size as u64);
    "--val-crop-size" 1 SIDE, |c| Some(c.val_crop_size as u64);
    "--val-resize-size" 1 SIDE, |c| c.val_resize_size.map(|side| side as u64);
    "--cycle-mul" 1 MANY, |c| Some(c.cycle_mul);
    "--seed" 0 u64::MAX, |c| Some(c.seed);
    "--threads" 1 u64::MAX, |_| None;
};

const REAL: &[Real] = real! {
    "--lr" "a number above 0" |v| v > 0.0, |c| c.lr;
    "--lr-base" "a number above 0" |v| v > 0.0, |c| c.lr_base;
    "--warmup-lr" "a number of at least 0" |v| v >= 0.0, |c| c.warmup_lr;
    "--min-lr" "a number of at least 0" |v| v >= 0.0, |c| Some(c.min_lr);
    "--momentum" "a number of at least 0 and below 1" |v| (0.0..1.0).contains(&v), |c| Some(c.momentum);
    "--dampening" "a number from 0 to 1" |v| (0.0..=1.0).contains(&v), |c| Some(c.dampening);
    "--label-smoothing" "a number of at least 0 and below 1" |v| (0.0..1.0).contains(&v), |c| Some(c.label_smoothing);
    "--weight-decay" "a number of at least 0" |v| v >= 0.0, |c| Some(c.decays()[0]);
    "--norm-weight-decay" "a number of at least 0" |v| v >= 0.0, |c| Some(c.norm_weight_decay);
    "--bias-weight-decay" "a number of at least 0" |v| v >= 0.0, |c| Some(c.bias_weight_decay);
    "--warmup-epochs" "a number of at least 0" |v| v >= 0.0, |c| c.warmup_epochs;
    "--cycle-epochs" "a number of at least 0" |v| v >= 0.0, |c| c.cycle_epochs;
    "--decay-epochs" "a number above 0" |v| v > 0.0, |c| Some(c.decay_epochs);
    "--opt-eps" "a number above 0" |v| v > 0.0, |c| c.opt_eps;
    "--trust-coefficient" "a number above 0" |v| v > 0.0, |c| Some(c.trust_coefficient);
    "--clip-grad-norm" "a number of at least 0" |v| v >= 0.0, |c| c.clip_grad_norm;
    "--model-ema-decay" "a number of at least 0 and below 1" |v| (0.0..1.0).contains(&v), |c| Some(c.model_ema_decay);
};

impl Whole {
    fn words(&self) -> String {
        match self.most {
            u64::MAX => format!("a whole number of at least {}", self.least),
            most => format!("a whole number from {} to {}", self.least, count(most)),
        }
    }
}

/// What the numeric setting `flag` takes, in words; nothing for another.
pub fn expected(flag: &str) -> Option<String> {
    let flag = if flag == "--wd" { "--weight-decay" } else { flag };
    let whole = WHOLE.iter().find(|w| w.flag == flag).map(Whole::words);
    whole.or_else(|| REAL.iter().find(|r| r.flag == flag).map(|r| r.words.to_owned()))
}

/// # Errors
/// `Usage` naming flag, value and range.
pub(super) fn check(config: &Config) -> Result<()> {
    let bad = |flag: &str, value: String, words: &str| {
        Err(Error::usage(format!("{flag} {value}: expected {words}")).next("imagenet-engine train --help"))
    };
    for whole in WHOLE {
        if let Some(value) = (whole.value)(config).filter(|value| !(whole.least..=whole.most).contains(value)) {
            return bad(whole.flag, value.to_string(), &whole.words());
        }
    }
    for real in REAL {
        if let Some(value) = (real.value)(config).filter(|&value| !(value.is_finite() && (real.within)(value))) {
            return bad(real.flag, value.to_string(), real.words);
        }
    }
    Ok(())
}
