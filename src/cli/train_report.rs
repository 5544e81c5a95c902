//! A run on the terminal: a bar where there is one, a line now and then where there is not. Everything goes to stderr.

use super::output::remark;
use super::progress::{ProgressMode, Terminal};
use crate::progress::Progress;
use crate::train::metrics::Event;
use crate::train::trainer::Notice;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::cell::RefCell;
use std::time::Duration;

pub struct Report {
    terminal: Terminal,
    mode: ProgressMode,
    silent: bool,
    bar: RefCell<Option<ProgressBar>>,
    total: RefCell<u64>,
}

impl Report {
    pub fn new(mode: ProgressMode) -> Self {
        let mode = mode.resolve();
        Self { terminal: Terminal::new(mode), mode, silent: false, bar: RefCell::new(None), total: RefCell::new(0) }
    }

    /// Says nothing at all, for what is printed otherwise.
    pub fn silent() -> Self {
        Self { silent: true, ..Self::new(ProgressMode::None) }
    }

    /// A line about how far the run is, where these are wanted.
    pub fn line(&self, text: &str) {
        if self.mode != ProgressMode::None {
            self.note(text);
        }
    }

    /// A line that stays, whatever `--progress` says.
    pub fn note(&self, text: &str) {
        if self.silent {
            return;
        }
        match &*self.bar.borrow() {
            Some(bar) => bar.suspend(|| remark!("{text}")),
            None => self.terminal.note(text),
        }
    }

    pub fn show(&self, notice: Notice<'_>) {
        match notice {
            Notice::Plan(plan, done) => {
                *self.total.borrow_mut() = plan.last_update;
                plan.warnings.iter().for_each(|warning| self.note(&format!("warning: {warning}")));
                self.line(&format!("{} updates, {} an epoch; learning rate {}", plan.last_update, plan.updates_per_epoch, plan.rates()));
                if self.mode == ProgressMode::Bar {
                    self.start_bar(plan.last_update, done);
                }
            }
            Notice::Update { update, epoch, loss, lr, images_per_s, logged } => {
                if let Some(bar) = &*self.bar.borrow() {
                    bar.set_position(update + 1);
                    bar.set_message(format!("epoch {epoch} loss {loss:.4} lr {lr:.3e} {images_per_s:.0} img/s"));
                } else if logged {
                    let total = *self.total.borrow();
                    self.line(&format!("update {update}/{total} epoch {epoch} loss {loss:.4} lr {lr:.4e} {images_per_s:.1} img/s"));
                }
            }
            Notice::Evaluating { done, total } => {
                if let Some(bar) = &*self.bar.borrow() {
                    bar.set_message(format!("evaluating {done}/{total}"));
                }
            }
            Notice::Event(Event::Eval { epoch, loss, top1, top5, images, ema, .. }) => {
                let score =
                    |loss: f64, top1: f64, top5: f64| format!("top-1 {:.2}% top-5 {:.2}% loss {loss:.4}", 100.0 * top1, 100.0 * top5);
                self.line(&format!("epoch {epoch} validation: {} ({images} images)", score(*loss, *top1, *top5)));
                if let Some(ema) = ema {
                    self.line(&format!("epoch {epoch} moving average: {}", score(ema.loss, ema.top1, ema.top5)));
                }
            }
            Notice::Event(Event::Skip { update, ids, skipped, .. }) => {
                let shown: Vec<String> = ids.iter().take(8).map(u64::to_string).collect();
                let more = if ids.len() > 8 { ",..." } else { "" };
                self.line(&format!("update {update} left out: not finite, pictures {}{more} ({skipped} so far)", shown.join(",")));
            }
            Notice::Event(Event::BadRecord { update, what, count, .. }) => {
                self.line(&format!("update {update}: a damaged record gave its place to the next ({count} so far): {what}"));
            }
            Notice::Event(Event::SaveError { update, what, count }) => {
                self.line(&format!("warning: saving after update {update} failed ({count} so far); the run goes on: {what}"));
            }
            Notice::Event(_) | Notice::Saved(_) => {}
            Notice::Line(text) => self.line(&text),
        }
    }

    fn start_bar(&self, total: u64, done: u64) {
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(8));
        if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} {msg} ETA {eta}") {
            bar.set_style(style);
        }
        bar.set_position(done);
        bar.reset_eta();
        bar.enable_steady_tick(Duration::from_millis(250));
        *self.bar.borrow_mut() = Some(bar);
    }

    pub fn end(&self) {
        if let Some(bar) = self.bar.borrow_mut().take() {
            bar.finish_and_clear();
        }
    }
}
