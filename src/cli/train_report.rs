//! A run on the terminal: a bar where there is one, a line now and then where there is not, and a row an epoch in both. Everything goes to
//! stderr.

use super::output::remark;
use super::plot_text::columns;
use super::progress::{ProgressMode, Terminal, with_numbers};
use super::run_facts::{self, Fact};
use super::run_table;
use crate::progress::Progress;
use crate::text::{count, counted, number, rate, wrapped};
use crate::train::metrics::Event;
use crate::train::trainer::Notice;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

/// Between two lines that say how far an evaluation is, where there is no bar.
const EVALUATION_LINES: Duration = Duration::from_secs(10);

pub struct Report {
    terminal: Terminal,
    mode: ProgressMode,
    silent: bool,
    bar: RefCell<Option<ProgressBar>>,
    epochs: Cell<u64>,
    /// The epoch, counted from 1, in whose middle the run went on.
    resumed_in: Cell<Option<u64>>,
    /// The line before was a row of the table.
    in_table: Cell<bool>,
    /// When the last line about an evaluation was printed, or it began.
    evaluation: Cell<Option<Instant>>,
}

impl Report {
    pub fn new(mode: ProgressMode) -> Self {
        let mode = mode.resolve();
        Self {
            terminal: Terminal::new(mode),
            mode,
            silent: false,
            bar: RefCell::new(None),
            epochs: Cell::new(0),
            resumed_in: Cell::new(None),
            in_table: Cell::new(false),
            evaluation: Cell::new(None),
        }
    }

    /// Says nothing at all, for what is printed otherwise.
    pub fn silent() -> Self {
        Self { silent: true, ..Self::new(ProgressMode::None) }
    }

    /// Whether the rows of the epochs are shown.
    pub fn shows_epochs(&self) -> bool {
        self.mode != ProgressMode::None && !self.silent
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
        self.in_table.set(false);
        match &*self.bar.borrow() {
            Some(bar) => bar.suspend(|| remark!("{text}")),
            None => self.terminal.note(text),
        }
    }

    /// What is known of the run, aligned; warnings whatever `--progress` says.
    pub fn facts(&self, facts: &[Fact]) {
        for fact in facts {
            let line = run_facts::line(fact, columns());
            if run_facts::is_warning(fact) { self.note(&line) } else { self.line(&line) }
        }
    }

    /// A row of the table, under its header.
    fn row(&self, row: &str) {
        if !self.in_table.get() {
            self.line(&run_table::header());
        }
        self.line(row);
        self.in_table.set(true);
    }

    pub fn show(&self, notice: Notice<'_>) {
        match notice {
            Notice::Plan(plan, done) => {
                let each = plan.updates_per_epoch.max(1);
                self.epochs.set(plan.total_updates / each);
                self.resumed_in.set((!done.is_multiple_of(each)).then_some(done / each + 1));
                self.facts(&run_facts::plan(plan, done));
                if self.mode == ProgressMode::Bar {
                    self.start_bar(plan.last_update, done);
                }
            }
            Notice::Update { update, epoch, loss, lr, images_per_s, logged } => {
                if let Some(bar) = &*self.bar.borrow() {
                    bar.set_position(update + 1);
                    let (epochs, lr, rate) = (self.epochs.get(), number(lr), rate(images_per_s));
                    bar.set_message(format!("epoch {}/{epochs} loss {loss:.4} lr {lr} {rate} images/s", epoch + 1));
                } else if logged {
                    self.row(&run_table::step(update, loss, lr, images_per_s));
                }
            }
            Notice::Evaluating { done, total } => self.evaluating(done, total),
            Notice::Epoch(end) => {
                self.evaluation.set(None);
                self.row(&run_table::epoch(end));
                if self.resumed_in.get() == Some(end.epoch) {
                    self.line("  (loss and time: of the part of this epoch since the run went on)");
                    self.in_table.set(true);
                }
            }
            Notice::Event(Event::Skip { update, ids, skipped, .. }) => {
                let shown: Vec<String> = ids.iter().take(8).map(u64::to_string).collect();
                let more = if ids.len() > 8 { ",..." } else { "" };
                let images = format!("images {}{more}", shown.join(","));
                self.line(&format!("skipped step {update}: its loss or gradient is not finite, {images} ({skipped} skipped so far)"));
            }
            Notice::Event(Event::BadRecord { update, what, count, .. }) => {
                self.line(&format!("step {update}: replaced a corrupt record with the next ({count} so far): {what}"));
            }
            Notice::Event(Event::SaveError { update, what, count }) => {
                self.line(&format!(
                    "warning: saving after step {update} failed ({count} so far); the run goes on: {}",
                    what.replace("\n  ", "; ")
                ));
            }
            Notice::Event(_) | Notice::Saved(_) => {}
            Notice::Line(text) => self.line(&wrapped(&text, columns(), 2)),
        }
    }

    /// How far an evaluation is: in the bar, else a line now and then.
    fn evaluating(&self, done: u64, total: u64) {
        if self.mode == ProgressMode::Bar && self.bar.borrow().is_none() {
            self.start_bar(total, done); // of an evaluation alone
        }
        if let Some(bar) = &*self.bar.borrow() {
            if self.epochs.get() == 0 {
                bar.set_position(done);
            }
            bar.set_message(format!("evaluating, batch {}/{}", count(done), count(total)));
            return;
        }
        let last = self.evaluation.get().unwrap_or_else(Instant::now);
        let due = last.elapsed() >= EVALUATION_LINES && done < total;
        if due {
            self.line(&format!("evaluating: {} of {}", count(done), counted(total, "batch")));
        }
        self.evaluation.set(Some(if due { Instant::now() } else { last }));
    }

    fn start_bar(&self, total: u64, done: u64) {
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(8));
        if let Ok(style) = ProgressStyle::with_template("{wide_bar} {human_pos}/{human_len} {msg} ETA {left}") {
            bar.set_style(with_numbers(style));
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
