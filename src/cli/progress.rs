//! Progress on the terminal: a bar where there is one, plain lines where there is not.

use super::output::remark;
use crate::progress::Progress;
use crate::text::count;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
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
            if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {human_pos}/{human_len} {per_sec} ETA {eta}") {
                bar.set_style(style);
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
