//! The loop: updates, evaluation at the end of an epoch, checkpoints, and a clean stop when asked.
//!
//! At the end of an epoch the order is: save, evaluate, save again with the result, look whether to stop. A checkpoint knows whether
//! the evaluation that belongs to it was made; a run that goes on from one without it evaluates first. So the losses, the evaluations and the final
//! bytes are those of a run never stopped.

use super::config::{Config, OnSaveError};
pub use super::datasets::Datasets;
use super::diverged::{self, Done};
pub use super::loading::pictures;
use super::metrics::{EmaScore, Event, Log};
use super::notice::EpochSums;
pub use super::notice::Notice;
use super::plan::Plan;
pub use super::requests::{Left, Requests};
use super::resume::{self, Start};
use super::run_dir::RunDir;
use super::speed::Speed;
use super::step::Learner;
use super::{eval, loading};
use crate::backend::{Backend, Counters, Measured};
use crate::checkpoint::{self, ModelCard, Progress};
use crate::data::loader::{Batch, Loader, Source};
use crate::error::{Error, Result};
use crate::models::Model;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// How a run ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Finish {
    /// False if it was stopped and can be resumed.
    pub complete: bool,
    pub updates: u64,
    /// Steps that this process did.
    pub steps: u64,
    /// Over these steps.
    pub images_per_s: f64,
    pub last_eval: Option<eval::Score>,
    /// Of the moving average.
    pub last_ema: Option<EmaScore>,
    pub best_top1: Option<f64>,
    /// Steps after which that was reached.
    pub best_update: Option<u64>,
    /// Checkpoints that could not be written and were let pass.
    pub failed_saves: u64,
}

/// Trains as `config` says.
///
/// # Errors
/// Any; `NonFinite` if a loss or gradient is not finite and `--on-nonfinite` does not let it pass. That update changed nothing.
pub fn run<B: Backend>(
    backend: B,
    config: &Config,
    data: &Datasets,
    dir: &RunDir,
    requests: &Requests,
    notice: &mut dyn FnMut(Notice<'_>),
) -> Result<Finish> {
    let model = Model::new(&config.model, data.train.classes().len(), config.zero_init_residual)?;
    let plan = Plan::new(config, data.train.len() as u64)?;
    let card = data.card(config);
    let Start { state, progress, from } = resume::start(config, &model, dir, &data.train.id(), &mut |line| notice(Notice::Line(line)))?;
    plan.check_progress(progress.update)?;
    let evaluated = data.val.is_none() || progress.evaluated == Some(progress.update);
    if progress.update >= plan.last_update && evaluated && dir.has_model() {
        let Progress { update: updates, best_top1, best_update, .. } = progress;
        return Ok(Finish { complete: true, updates, best_top1, best_update, ..Finish::default() });
    }
    let options = plan.learner_options(config, &model);
    let counters = Counters { step: progress.update, skipped: progress.skipped };
    let learner = Learner::new(backend, model, options, &state, counters)?;
    drop(state);
    dir.check_in_place()?;
    // From here on the folder changes: a run that cannot start leaves it as it was.
    if let Some(from) = &from {
        dir.take_up(&progress, from)?;
    }
    dir.write_config(&plan.config_toml(config, data.transform.resize)?)?;
    let log = Log::open(dir.folder(), progress.update, progress.evaluated, &mut |line| notice(Notice::Line(line)))?;
    notice(Notice::Plan(&plan, progress.update));
    let saved = dir.checkpoint(progress.update).map(|path| (progress.update, path));
    requests.left.store(if saved.is_some() { Left::Checkpoint } else { Left::Settings } as u8, Ordering::Relaxed);
    let run = Run {
        config,
        data,
        dir,
        requests,
        notice,
        plan,
        card,
        log,
        learner,
        began: (Instant::now(), progress.update),
        epoch: EpochSums::begin(),
        progress,
        under_way: VecDeque::new(),
        saved,
        failed_saves: 0,
        last_eval: None,
        last_ema: None,
    };
    run.all()
}

struct Run<'a, B: Backend> {
    config: &'a Config,
    data: &'a Datasets,
    dir: &'a RunDir,
    requests: &'a Requests,
    notice: &'a mut dyn FnMut(Notice<'_>),
    plan: Plan,
    card: ModelCard,
    log: Log,
    learner: Learner<B>,
    progress: Progress,
    /// When this process began, after how many steps.
    began: (Instant, u64),
    epoch: EpochSums,
    /// Pictures of the updates begun whose reports have not come.
    under_way: VecDeque<Vec<u64>>,
    /// Updates done when the newest checkpoint was written, and where.
    saved: Option<(u64, PathBuf)>,
    failed_saves: u64,
    last_eval: Option<eval::Score>,
    last_ema: Option<EmaScore>,
}

impl<B: Backend> Run<'_, B> {
    fn all(mut self) -> Result<Finish> {
        let mut training = Speed::default();
        let mut logged = Speed::default();
        self.evaluate_if_due()?;
        self.end_epoch();
        let mut batches = self.batches()?;
        while self.begun() < self.plan.last_update && !self.stopped() {
            let start = Instant::now();
            let begun = self.begin_update(&mut batches)?;
            let end_of_epoch = begun.is_multiple_of(self.plan.updates_per_epoch);
            let asked = self.requests.save.swap(false, Ordering::Relaxed);
            let due = asked || self.config.save_every.is_some_and(|n| begun.is_multiple_of(n));
            let images = (self.config.batch_size * self.config.grad_accum) as u64;
            [&mut training, &mut logged, &mut self.epoch.speed].into_iter().for_each(|speed| speed.add(images, start.elapsed()));
            self.end_updates(due || end_of_epoch, &mut logged)?;
            if due || end_of_epoch {
                self.save()?; // before the evaluation, which may take long or fail
            }
            if end_of_epoch {
                self.evaluate_if_due()?;
                self.end_epoch();
            }
        }
        drop(batches);
        self.end_updates(true, &mut logged)?;
        let complete = self.progress.update >= self.plan.last_update;
        self.save()?;
        if complete {
            self.evaluate_if_due()?;
            self.end_epoch();
        }
        // A stop during the last evaluation leaves it to the run that goes on.
        let complete = complete && !(self.evaluation_due() && self.stopped());
        if complete {
            let state = self.learner.state()?;
            let (model, batches) = (self.learner.model(), self.progress.batches);
            if let Some(average) = state.averaged() {
                self.dir.save_model(true, model, &self.card, &average, batches)?;
            }
            self.dir.save_model(false, model, &self.card, &state, batches)?;
            let Progress { best_top1, best_ema_top1, skipped, bad_records, .. } = self.progress;
            let wall_s = self.began.0.elapsed().as_secs_f64();
            let (images_per_s, failed_saves) = (training.rate(), self.failed_saves);
            self.emit(Event::End { images_per_s, wall_s, best_top1, best_ema_top1, skipped, bad_records, failed_saves })?;
        }
        self.dir.check_in_place()?;
        Ok(Finish {
            complete,
            updates: self.progress.update,
            steps: self.progress.update - self.began.1,
            images_per_s: training.rate(),
            last_eval: self.last_eval,
            last_ema: self.last_ema,
            best_top1: self.progress.best_top1,
            best_update: self.progress.best_update,
            failed_saves: self.failed_saves,
        })
    }

    fn stopped(&self) -> bool {
        self.requests.stop.load(Ordering::Relaxed)
    }

    /// The training batches from where the run stands to its end.
    fn batches(&self) -> Result<Option<Loader>> {
        let done = self.progress.update;
        if done >= self.plan.last_update {
            return Ok(None);
        }
        Loader::new(self.data.train.clone(), &loading::options(self.config, done, self.plan.updates_per_epoch)).map(Some)
    }

    /// Updates begun: done, or under way on the device.
    fn begun(&self) -> u64 {
        self.progress.update + self.under_way.len() as u64
    }

    /// Sends an update on its way. Returns how many are begun with it.
    fn begin_update(&mut self, batches: &mut Option<Loader>) -> Result<u64> {
        let mut ids = Vec::new();
        for _ in 0..self.config.grad_accum {
            let batch = batches.as_mut().and_then(|b| b.wait(&mut |line| (self.notice)(Notice::Line(line))));
            let batch = batch.ok_or_else(|| Error::internal("the loader ended before the run"))??;
            self.note_bad(&batch)?;
            ids.extend_from_slice(&batch.ids);
            self.learner.accumulate(pictures(batch, self.config.train_crop_size), None)?;
        }
        self.learner.apply()?;
        self.under_way.push_back(ids);
        Ok(self.begun())
    }

    /// Counts the damaged records of a batch, and says so.
    fn note_bad(&mut self, batch: &Batch) -> Result<()> {
        for event in loading::bad_records(batch, self.begun(), self.progress.bad_records) {
            self.progress.bad_records += 1;
            self.emit(event)?;
        }
        loading::check_bad(batch, &self.config.data, self.config.on_bad_record, self.progress.bad_records)
    }

    /// Takes note of the updates that the device has finished; with `all`, of every one begun.
    fn end_updates(&mut self, all: bool, speed: &mut Speed) -> Result<()> {
        for report in self.learner.reports(all)? {
            let ids = self.under_way.pop_front().unwrap_or_default();
            let Measured { grad_norm, finite, overflowed } = report.measured;
            let done = Done { loss: report.loss, grad_norm, finite, ids };
            let limit = self.config.on_nonfinite.most();
            if overflowed || !finite && report.skipped > limit {
                return Err(self.diverged(&done, limit, overflowed)?);
            }
            (self.progress.update, self.progress.skipped) = (report.update + 1, report.skipped);
            if finite {
                self.progress.batches += self.config.grad_accum as u64;
            }
            self.report(report.update, &done, speed)?;
        }
        Ok(())
    }

    /// Writes down the update that ends the run, and says so.
    fn diverged(&mut self, done: &Done, limit: u64, applied: bool) -> Result<Error> {
        let update = self.progress.update;
        let epoch = self.plan.epoch_of(update);
        self.log.append(&Event::Nonfinite { update, epoch, ids: done.ids.clone(), applied })?;
        if applied {
            let name = checkpoint::not_finite(self.learner.model(), &self.learner.state()?);
            return Ok(diverged::overflowed(done, update, name.as_deref(), &self.last_good()));
        }
        Ok(diverged::not_finite(done, update, limit, &self.last_good()))
    }

    /// What a run that diverged can go back to.
    fn last_good(&self) -> diverged::Back {
        diverged::Back::of(self.config, self.dir.folder().path(), self.saved.as_ref().map(|(_, path)| path.as_path()))
    }

    fn report(&mut self, update: u64, done: &Done, speed: &mut Speed) -> Result<()> {
        let (epoch, lr, images_per_s) = (self.plan.epoch_of(update), self.plan.schedule.lr(update), speed.rate());
        if !done.finite {
            let (ids, skipped) = (done.ids.clone(), self.progress.skipped);
            return self.emit(Event::Skip { update, epoch, ids, skipped });
        }
        let is_logged = update.is_multiple_of(self.config.log_interval) || update + 1 == self.plan.last_update;
        let (loss, grad_norm) = (done.loss, done.grad_norm);
        self.epoch.add(loss);
        if is_logged {
            let order = done.ids.iter().fold(0, |crc, id| crc32c::crc32c_append(crc, &id.to_le_bytes()));
            self.log.append(&Event::Step { update, epoch, loss, lr, images_per_s, grad_norm, order })?;
            *speed = Speed { before: images_per_s, ..Speed::default() }; // several updates may be told at once
        }
        (self.notice)(Notice::Update { update, epoch, loss, lr, images_per_s, logged: is_logged });
        Ok(())
    }

    fn emit(&mut self, event: Event) -> Result<()> {
        self.log.append(&event)?;
        (self.notice)(Notice::Event(&event));
        Ok(())
    }

    /// Says how the epoch of the last step ended, and begins the next; nothing where neither a step nor an evaluation is new.
    fn end_epoch(&mut self) {
        let sums = std::mem::replace(&mut self.epoch, EpochSums::begin());
        let (done, (began, before)) = (self.progress.update, self.began);
        if sums.is_empty() || done == 0 {
            return;
        }
        let left = self.plan.last_update.saturating_sub(done);
        let pace = (done > before).then(|| began.elapsed().div_f64((done - before) as f64));
        let best = self.progress.best_ema_top1.or(self.progress.best_top1);
        let (epoch, lr) = (self.plan.epoch_of(done - 1) + 1, self.plan.schedule.lr(done - 1));
        let end = sums.end(epoch, self.config.epochs, lr, best, pace.map(|pace| pace.mul_f64(left as f64)));
        (self.notice)(Notice::Epoch(&end));
    }

    /// Whether an evaluation belongs to where the run stands and has not been made.
    fn evaluation_due(&self) -> bool {
        let done = self.progress.update;
        let epochs = done / self.plan.updates_per_epoch;
        let at_interval = done > 0 && done.is_multiple_of(self.plan.updates_per_epoch) && epochs.is_multiple_of(self.config.val_interval);
        let wanted = at_interval || done == self.plan.last_update;
        self.data.val.is_some() && wanted && self.progress.evaluated != Some(done)
    }

    fn evaluate_if_due(&mut self) -> Result<()> {
        let Some(val) = self.data.val.clone().filter(|_| self.evaluation_due()) else { return Ok(()) };
        let Some(score) = self.score(&val, false)? else { return Ok(()) }; // stopped half-way
        let average = if self.learner.averages() { self.score(&val, true)? } else { None };
        if self.learner.averages() && average.is_none() {
            return Ok(());
        }
        let update = self.progress.update;
        let epoch = self.plan.epoch_of(update.saturating_sub(1));
        self.progress.evaluated = Some(update);
        self.last_eval = Some(score);
        let ema = average.map(|s| EmaScore { loss: s.loss, top1: s.top1, top5: s.top5 });
        self.last_ema = ema;
        self.epoch.eval = Some((score, ema));
        let raise = |best: &mut Option<f64>, top1: f64| {
            let better = best.is_none_or(|b| top1 > b);
            *best = if better { Some(top1) } else { *best };
            better
        };
        let before = (self.progress.best_top1, self.progress.best_ema_top1, self.progress.best_update);
        let mut best = raise(&mut self.progress.best_top1, score.top1);
        if let Some(ema) = &ema {
            best = raise(&mut self.progress.best_ema_top1, ema.top1);
        }
        if best {
            self.progress.best_update = Some(update);
        }
        self.emit(Event::Eval { update, epoch, loss: score.loss, top1: score.top1, top5: score.top5, images: score.images, ema })?;
        if !self.save_as(best)? {
            // What could not be written is not there to be the best.
            (self.progress.best_top1, self.progress.best_ema_top1, self.progress.best_update) = before;
        }
        Ok(())
    }

    /// The validation pictures' score with the weights or their moving average. `None` if stopped half-way.
    fn score(&mut self, val: &Arc<dyn Source>, averaged: bool) -> Result<Option<eval::Score>> {
        let options = eval::Options::of(self.config, self.data.transform);
        let score = eval::run(val, &options, &self.requests.stop, self.notice, &mut self.learner.scorer(averaged)?)?;
        match score {
            Some(score) if !score.loss.is_finite() => Err(diverged::validation(score.loss, self.progress.update, &self.last_good())),
            score => Ok(score),
        }
    }

    fn save(&mut self) -> Result<()> {
        if self.saved.as_ref().is_some_and(|(update, _)| *update == self.progress.update) {
            return Ok(());
        }
        self.save_as(false).map(|_| ())
    }

    /// What a run ends with must be saved, whatever it was told to let pass.
    fn may_go_on_unsaved(&self) -> bool {
        let ends = self.stopped() || self.progress.update >= self.plan.last_update;
        self.config.on_save_error == OnSaveError::Warn && !ends
    }

    /// Whether it was saved: a failure may be let pass.
    fn save_as(&mut self, best: bool) -> Result<bool> {
        let state = self.learner.state()?;
        let path = match self.dir.save(self.learner.model(), &self.card, &state, &self.progress, best, self.config.checkpoint_hist) {
            Err(error @ Error::NonFinite(_)) => {
                return Err(error.next(diverged::go_back(&self.last_good())));
            }
            Err(error @ Error::Write(_)) if self.may_go_on_unsaved() => {
                self.failed_saves += 1;
                let what = error.to_string();
                self.emit(Event::SaveError { update: self.progress.update, what, count: self.failed_saves })?;
                return Ok(false);
            }
            saved => saved?,
        };
        // Saved, in the folder that is held; whoever looks for it by its path must find it there.
        self.dir.check_in_place()?;
        self.requests.left.store(Left::Checkpoint as u8, Ordering::Relaxed);
        self.saved = Some((self.progress.update, path.clone()));
        (self.notice)(Notice::Saved(path));
        Ok(true)
    }
}
