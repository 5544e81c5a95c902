//! Progress on the terminal: a bar where there is one, plain lines where there is not.

use super::output::remark;
use crate::progress::Progress;
use crate::text::{clock, count, rate};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use std::fmt::Write;
use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::Duration;

/// `--progress`: how far a job is. Notes, which are about its data, do not depend on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProgressMode {
    /// A bar on a terminal, plain lines otherwise.
    #[default]
    Auto,
    Bar,
    Plain,
    /// No bar and no lines of progress; notes all the same.
    None,
}

impl ProgressMode {
    /// What `Auto` comes to here.
    #[must_use]
    pub fn resolve(self) -> Self {
        match self {
            Self::Auto if std::io::stderr().is_terminal() => Self::Bar,
            Self::Auto => Self::Plain,
            other => other,
        }
    }
}

/// `{rate}` and `{left}` of a bar, as every other line writes them; no time before anything was done.
pub fn with_numbers(style: ProgressStyle) -> ProgressStyle {
    let left = |state: &ProgressState, out: &mut dyn Write| {
        let left = state.eta().as_secs_f64();
        let known = left > 0.0 || state.len() == Some(state.pos());
        let _ = out.write_str(&if known { clock(left) } else { "-".to_owned() });
    };
    let per_second = |state: &ProgressState, out: &mut dyn Write| {
        let _ = out.write_str(&rate(state.per_sec()));
    };
    style.with_key("left", left).with_key("rate", per_second)
}

/// A [`Progress`] on stderr.
pub struct Terminal {
    mode: ProgressMode,
    bar: Mutex<ProgressBar>,
}

impl Terminal {
    pub fn new(mode: ProgressMode) -> Self {
        Self { mode: mode.resolve(), bar: Mutex::new(ProgressBar::hidden()) }
    }

    fn bar(&self) -> ProgressBar {
        self.bar.lock().unwrap_or_else(|e| e.into_inner()).clone()
    }
}

impl Progress for Terminal {
    fn start(&self, what: &str, total: u64) {
        if self.mode == ProgressMode::Bar {
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(8));
            if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {human_pos}/{human_len} {rate}/s ETA {left}") {
                bar.set_style(with_numbers(style));
            }
            bar.set_message(what.to_owned());
            bar.enable_steady_tick(Duration::from_millis(200));
            *self.bar.lock().unwrap_or_else(|e| e.into_inner()) = bar;
        } else if self.mode == ProgressMode::Plain {
            remark!("{what}: {}", count(total));
        }
    }

    fn advance(&self, units: u64) {
        self.bar().inc(units);
    }

    fn finish(&self) {
        self.bar().finish_and_clear();
    }

    fn note(&self, line: &str) {
        self.bar().suspend(|| remark!("{line}"));
    }
}
