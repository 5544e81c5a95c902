//! The settings that are one of a few words.

use crate::error::{Error, Result};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

macro_rules! choices {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
        #[serde(rename_all = "lowercase")]
        pub enum $name { $($(#[$variant_doc])* $variant),* }
    };
}

choices!(
    /// `--sched`
    Sched {
        /// Half a cosine from the peak to the floor: the standard
        Cosine,
        /// Up and far down again, momentum the other way: for short runs
        Onecycle,
        /// Times --decay-rate every --decay-epochs: the classic papers
        Step,
        /// Times --decay-rate at each of --decay-milestones
        Multistep,
        /// Cosine with warm restarts
        Sgdr,
        /// A power of what is left of the run
        Poly,
        /// A straight line from the peak to the floor
        Linear,
        /// The peak throughout
        Constant,
    }
);
choices!(
    /// `--opt`
    Opt {
        /// SGD with momentum
        Sgd,
        /// Adam with decoupled weight decay
        Adamw,
        /// The sign of a momentum
        Lion,
        /// SGD with a trust ratio per tensor, for very large batches
        Lars,
        /// Adam with a trust ratio per tensor, for very large batches
        Lamb,
    }
);
choices!(
    /// `--augment`
    Augment {
        /// Random resized crop and horizontal flip
        Standard,
        /// Centre crop, no flip
        None,
    }
);
choices!(
    /// `--precision`
    Precision { Bf16, Fp32 }
);

impl Precision {
    /// As it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bf16 => "bf16",
            Self::Fp32 => "fp32",
        }
    }
}

choices!(
    /// `--on-save-error`
    #[derive(Default)]
    OnSaveError {
        /// Ends the run with 73
        #[default]
        Stop,
        /// Says so, counts it, and goes on; the last checkpoint of a run must be written
        Warn,
    }
);

impl OnSaveError {
    pub fn is_stop(&self) -> bool {
        *self == Self::Stop
    }
}

choices!(
    /// `--anneal`
    AnnealShape {
        Cos,
        Linear,
    }
);

/// `--on-nonfinite`, `--on-bad-record`: what a trouble does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum StopOrSkip {
    /// Ends the run.
    #[default]
    Stop,
    /// Is left out, so many times in the run.
    Skip(u64),
}

impl StopOrSkip {
    /// How many may be left out.
    pub fn most(self) -> u64 {
        match self {
            Self::Stop => 0,
            Self::Skip(most) => most,
        }
    }
}

impl FromStr for StopOrSkip {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.strip_prefix("skip:").map(str::parse) {
            None if text == "stop" => Ok(Self::Stop),
            Some(Ok(n)) if n > 0 => Ok(Self::Skip(n)),
            _ => Err(Error::usage(format!("'{text}' is neither stop nor skip:N, N the most to leave out"))),
        }
    }
}

impl fmt::Display for StopOrSkip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stop => f.write_str("stop"),
            Self::Skip(n) => write!(f, "skip:{n}"),
        }
    }
}

impl TryFrom<String> for StopOrSkip {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<StopOrSkip> for String {
    fn from(value: StopOrSkip) -> Self {
        value.to_string()
    }
}
