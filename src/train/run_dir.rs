//! The folder of a run: config.toml, metrics.jsonl, checkpoints/, best.safetensors, last, model.safetensors. One process at a time.
//!
//! The folder and its `checkpoints` are held open, and everything is written, renamed and removed through these handles: a run whose folder
//! is moved or replaced touches nothing else. It ends at the next save, in the folder that it holds, and says where that is.

use crate::checkpoint::{self, ModelCard, Progress, State};
use crate::error::{Error, Result};
use crate::files::{Folder, Lock, make_dirs, moved, open_file, remove_empty, remove_temporaries};
use crate::models::Model;
use crate::text::pasted;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

const CHECKPOINTS: &str = "checkpoints";
const BEST: &str = "best.safetensors";
const CONFIG: &str = "config.toml";
const LOCK: &str = ".lock";

pub struct RunDir {
    folder: Folder,
    checkpoints: Folder,
    /// Steps after which this run saved the checkpoints that are there. Others are not this run's to remove.
    own: RefCell<BTreeSet<u64>>,
    /// Holds the lock until the run ends, however it ends.
    _lock: Lock,
}

impl RunDir {
    /// Creates `path` for a new run, or takes up the run there if `resume`.
    ///
    /// # Errors
    /// `Write`: it holds another run and `resume` is not set, another process uses it, its `checkpoints` is a link, or it cannot be created.
    pub fn open(path: &Path, resume: bool) -> Result<Self> {
        if let Some(found) = held_already(path).filter(|_| !resume) {
            return Err(Error::write("the output folder already holds a run")
                .at(found.display().to_string())
                .next("--resume auto to go on with it, or another --output"));
        }
        make_dirs(path)?;
        let folder = Folder::hold(path)?;
        let checkpoints = folder.inside(CHECKPOINTS)?;
        let lock = Lock::take_in(&folder, LOCK, false, "trains")?;
        remove_temporaries(&folder)?;
        remove_temporaries(&checkpoints)?;
        Ok(Self { folder, checkpoints, own: RefCell::default(), _lock: lock })
    }

    /// What is held, for the log.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// That the paths of the run still lead to what is held.
    ///
    /// # Errors
    /// `Write`, saying where the folder is now.
    pub fn check_in_place(&self) -> Result<()> {
        if !self.folder.in_place() {
            return Err(moved(&self.folder));
        }
        if self.folder.holds(CHECKPOINTS, &self.checkpoints) { Ok(()) } else { Err(moved(&self.checkpoints)) }
    }

    fn all(&self) -> Vec<(u64, OsString)> {
        checkpoint::numbered(self.checkpoints.names().unwrap_or_default())
    }

    fn named(&self, update: u64) -> Option<OsString> {
        self.all().into_iter().find(|(u, _)| *u == update).map(|(_, name)| name)
    }

    /// The checkpoint after `update` updates, if it is there.
    pub fn checkpoint(&self, update: u64) -> Option<PathBuf> {
        self.named(update).map(|name| self.checkpoints.path().join(name))
    }

    /// Whether the weights that a run ends with are there.
    pub fn has_model(&self) -> bool {
        self.folder.has("model.safetensors")
    }

    /// Writes the weights that a run ends with, or their moving average.
    ///
    /// # Errors
    /// As [`checkpoint::save_weights`].
    pub fn save_model(&self, averaged: bool, model: &Model, card: &ModelCard, state: &State, batches: u64) -> Result<()> {
        let name = if averaged { "model_ema.safetensors" } else { "model.safetensors" };
        checkpoint::save_weights_in((&self.folder, name, true), model, card, state, batches)
    }

    /// # Errors
    /// `Write`.
    pub fn write_config(&self, toml: &str) -> Result<()> {
        self.folder.write(CONFIG, &[toml.as_bytes()], true)
    }

    /// Writes `checkpoints/<update>.safetensors`, names it in `last`, makes it `best.safetensors` if it is, and only then removes
    /// all of this run but the newest `keep`.
    ///
    /// # Errors
    /// `Write`, `NonFinite`.
    pub fn save(&self, model: &Model, card: &ModelCard, state: &State, progress: &Progress, best: bool, keep: usize) -> Result<PathBuf> {
        let name = file_name(progress.update);
        checkpoint::save_in(&self.checkpoints, &name, model, card, state, progress)?;
        self.settle(progress.update, best, keep)?;
        Ok(self.checkpoints.path().join(name))
    }

    /// What follows the writing of the checkpoint after `update`: naming it, and removing older ones.
    ///
    /// # Errors
    /// `Write`.
    pub fn settle(&self, update: u64, best: bool, keep: usize) -> Result<()> {
        let name = file_name(update);
        self.own.borrow_mut().insert(update); // before what may fail: it is there, and a later save removes it
        self.folder.write("last", &[CHECKPOINTS.as_bytes(), b"/", name.as_bytes(), b"\n"], true)?;
        if best {
            self.link_best(name.as_ref())?;
        }
        let mut own = self.own.borrow_mut();
        while own.len() > keep.max(1) {
            let Some(oldest) = own.pop_first() else { break };
            if let Some(name) = self.named(oldest) {
                self.checkpoints.remove(&name)?;
            }
        }
        Ok(())
    }

    /// Makes the checkpoint of this name the best one.
    fn link_best(&self, name: &OsStr) -> Result<()> {
        self.folder.link_over(&self.checkpoints, name, BEST)
    }

    /// The newest checkpoint that is whole. Damaged ones are renamed to `.corrupt` and told to `note`.
    ///
    /// # Errors
    /// `Data` if there are checkpoints, but of another model; `Write` if a damaged one cannot be renamed.
    pub fn newest(&self, model: &Model, note: &mut dyn FnMut(String)) -> Result<Option<(PathBuf, State, Progress)>> {
        let all = self.all();
        for (_, name) in &all {
            let path = self.checkpoints.path().join(name);
            // A file that cannot be read is not a damaged one: only its content may condemn it.
            match whole(&path)? {
                // A file that is whole but of another model is not damage, and stays where it is.
                Ok(file) => return checkpoint::unpack(&file, model).map(|(state, progress)| Some((path, state, progress))),
                // Nor is one for which there is no memory.
                Err(error @ Error::Device(_)) => return Err(error),
                Err(error) => {
                    let aside = ending(name, ".corrupt");
                    self.checkpoints.replace(name, &aside)?;
                    let what = error.report().what.clone(); // one line; the rest of an error stands on lines of its own
                    note(format!("a damaged checkpoint was set aside as {}: {what}", path.with_file_name(aside).display()));
                }
            }
        }
        if all.is_empty() {
            return self.nothing_set_aside().map(|()| None);
        }
        Err(Error::data("every checkpoint of this run is damaged")
            .at(self.folder.path().display().to_string())
            .because("the disk, or something wrote over them; they were set aside as .corrupt")
            .next(self.without_checkpoints()))
    }

    /// A run whose checkpoints were all set aside must not silently begin anew over what it leaves.
    fn nothing_set_aside(&self) -> Result<()> {
        let aside = |name: &OsString| Path::new(name).extension().is_some_and(|e| e == "corrupt" || e == "abandoned");
        let set_aside = self.checkpoints.names()?.into_iter().find(aside).map(|name| self.checkpoints.path().join(name));
        match set_aside.or_else(|| self.folder.has(BEST).then(|| self.folder.path().join(BEST))) {
            None => Ok(()),
            Some(left) => Err(Error::data("this run has no checkpoint to go on from, though it had some")
                .at(left.display().to_string())
                .because("they were damaged and set aside, or deleted")
                .next(self.without_checkpoints())),
        }
    }

    /// What to type where no numbered checkpoint is left: the best one, if it is whole.
    fn without_checkpoints(&self) -> String {
        let (folder, best) = (self.folder.path(), self.folder.path().join(BEST));
        match checkpoint::safetensors::read(&best) {
            Ok(_) => format!("imagenet-engine train --resume {} --output {}", pasted(&best), pasted(folder)),
            Err(_) => "start again in another --output: nothing whole is left to go on from".to_owned(),
        }
    }

    /// Takes up the run that `progress` is of: its checkpoints in the folder are this run's own from now on, and what it leaves behind is
    /// set aside (see [`Self::abandon_after`]).
    ///
    /// # Errors
    /// `Write`.
    pub fn take_up(&self, progress: &Progress, resumed: &Path) -> Result<()> {
        self.abandon_after(progress, resumed)?;
        if let (Some(best), Some(own)) = (progress.best_update, self.named(progress.update))
            && best == progress.update
        {
            self.link_best(&own)?; // a kill right after the save may have left the link undone
        }
        let of_this_run = |name: &OsString| checkpoint::run_id(&self.checkpoints.path().join(name)).is_some_and(|id| id == progress.run_id);
        self.own.borrow_mut().extend(self.all().into_iter().filter(|(_, name)| of_this_run(name)).map(|(update, _)| update));
        Ok(())
    }

    /// Sets aside what a run that goes on from `resumed` after `progress.update` leaves behind: checkpoints of later updates, and the
    /// best one if it is not of this past. They would otherwise be taken for the run's own. Going on from `best.safetensors` makes it a
    /// numbered checkpoint first, so that the run can be found again.
    ///
    /// # Errors
    /// `Write`.
    fn abandon_after(&self, progress: &Progress, resumed: &Path) -> Result<()> {
        let all = self.all();
        let later: Vec<_> = all.iter().filter(|(update, _)| *update > progress.update).collect();
        if later.is_empty() {
            return Ok(());
        }
        let own = file_name(progress.update);
        let folder = |path: &Path| path.canonicalize().ok();
        if !self.checkpoints.has(&own)
            && resumed.parent().and_then(folder) == folder(self.folder.path())
            && let Some(name) = resumed.file_name()
        {
            self.checkpoints.link_over(&self.folder, name, &own)?;
        }
        later.iter().try_for_each(|(_, name)| self.checkpoints.replace(name, &ending(name, ".abandoned")))?;
        match progress.best_update.and_then(|update| self.named(update)) {
            Some(name) => self.link_best(&name),
            None if self.folder.has(BEST) => self.folder.replace(BEST.as_ref(), &ending(BEST.as_ref(), ".abandoned")),
            None => Ok(()),
        }
    }
}

/// `name` with more at its end.
fn ending(name: &OsStr, more: &str) -> OsString {
    let mut name = name.to_owned();
    name.push(more);
    name
}

/// The checkpoint at `path`, or what is damaged in it.
///
/// # Errors
/// `Data` when it cannot be read: that condemns no file.
fn whole(path: &Path) -> Result<Result<checkpoint::safetensors::File>> {
    open_file(path)?;
    Ok(checkpoint::safetensors::read(path))
}

/// What in `path` is of a run, if anything.
fn held_already(path: &Path) -> Option<PathBuf> {
    let files = [CONFIG, "metrics.jsonl", "last", BEST, "model.safetensors", "model_ema.safetensors"];
    let checkpoints = fs::read_dir(path.join(CHECKPOINTS)).into_iter().flatten().flatten();
    let saved = checkpoints.map(|e| e.path()).find(|p| p.to_string_lossy().contains(".safetensors"));
    files.iter().map(|name| path.join(name)).find(|p| fs::symlink_metadata(p).is_ok()).or(saved)
}

fn file_name(update: u64) -> String {
    format!("{update:08}.safetensors")
}

impl Drop for RunDir {
    fn drop(&mut self) {
        if !self.folder.has(CONFIG) {
            // Nothing was begun: leave no trace. Folders that hold anything stay.
            let _ = self.folder.remove(LOCK.as_ref());
            self.folder.remove_empty(CHECKPOINTS);
            if self.folder.in_place() {
                remove_empty(self.folder.path());
            }
        }
    }
}
