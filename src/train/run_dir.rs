//! The folder of a run: config.toml, metrics.jsonl, checkpoints/, best.safetensors, last, model.safetensors. One process at a time.

use crate::checkpoint::{self, ModelCard, Progress, State};
use crate::error::{Error, Result};
use crate::files::{Lock, link_atomically, make_dirs, open_file, remove, remove_empty, remove_temporaries, rename, write_atomically};
use crate::models::Model;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

pub struct RunDir {
    path: PathBuf,
    /// Steps after which this run saved the checkpoints that are there. Others are not this run's to remove.
    own: RefCell<BTreeSet<u64>>,
    /// Holds the lock until the run ends, however it ends.
    _lock: Lock,
}

impl RunDir {
    /// Creates `path` for a new run, or takes up the run there if `resume`.
    ///
    /// # Errors
    /// `Write`: it holds another run and `resume` is not set, another process uses it, or it cannot be created.
    pub fn open(path: &Path, resume: bool) -> Result<Self> {
        if let Some(found) = held_already(path).filter(|_| !resume) {
            return Err(Error::write("the output folder already holds a run")
                .at(found.display().to_string())
                .next("--resume auto to go on with it, or another --output"));
        }
        make_dirs(&path.join("checkpoints"))?;
        let lock = Lock::take(&path.join(".lock"), false, "trains")?;
        remove_temporaries(path)?;
        remove_temporaries(&path.join("checkpoints"))?;
        Ok(Self { path: path.to_owned(), own: RefCell::default(), _lock: lock })
    }

    pub fn metrics(&self) -> PathBuf {
        self.path.join("metrics.jsonl")
    }

    /// The checkpoint after `update` updates, if it is there.
    pub fn checkpoint(&self, update: u64) -> Option<PathBuf> {
        checkpoint::list(&self.path.join("checkpoints")).into_iter().find(|(u, _)| *u == update).map(|(_, path)| path)
    }

    pub fn model_file(&self) -> PathBuf {
        self.path.join("model.safetensors")
    }

    pub fn average_file(&self) -> PathBuf {
        self.path.join("model_ema.safetensors")
    }

    /// # Errors
    /// `Write`.
    pub fn write_config(&self, toml: &str) -> Result<()> {
        write_atomically(&self.path.join("config.toml"), &[toml.as_bytes()])
    }

    /// Writes `checkpoints/<update>.safetensors`, names it in `last`, makes it `best.safetensors` if it is, and only then removes
    /// all of this run but the newest `keep`.
    ///
    /// # Errors
    /// `Write`, `NonFinite`.
    pub fn save(&self, model: &Model, card: &ModelCard, state: &State, progress: &Progress, best: bool, keep: usize) -> Result<PathBuf> {
        let path = self.path.join(file_name(progress.update));
        checkpoint::save(&path, model, card, state, progress)?;
        self.settle(progress.update, best, keep)?;
        Ok(path)
    }

    /// What follows the writing of the checkpoint after `update`: naming it, and removing older ones.
    ///
    /// # Errors
    /// `Write`.
    pub fn settle(&self, update: u64, best: bool, keep: usize) -> Result<()> {
        let name = file_name(update);
        self.own.borrow_mut().insert(update); // before what may fail: it is there, and a later save removes it
        write_atomically(&self.path.join("last"), &[name.as_bytes(), b"\n"])?;
        if best {
            self.link_best(&self.path.join(name))?;
        }
        let mut own = self.own.borrow_mut();
        while own.len() > keep.max(1) {
            let Some(oldest) = own.pop_first() else { break };
            if let Some(path) = self.checkpoint(oldest) {
                remove(&path)?;
            }
        }
        Ok(())
    }

    /// Makes `checkpoint` the best one.
    ///
    /// # Errors
    /// `Write`.
    pub fn link_best(&self, checkpoint: &Path) -> Result<()> {
        link_atomically(checkpoint, &self.path.join("best.safetensors"))
    }

    /// The newest checkpoint that is whole. Damaged ones are renamed to `.corrupt` and told to `note`.
    ///
    /// # Errors
    /// `Data` if there are checkpoints, but of another model; `Write` if a damaged one cannot be renamed.
    pub fn newest(&self, model: &Model, note: &mut dyn FnMut(String)) -> Result<Option<(PathBuf, State, Progress)>> {
        let all = checkpoint::list(&self.path.join("checkpoints"));
        for (_, path) in &all {
            // A file that cannot be read is not a damaged one: only its content may condemn it.
            match whole(path)? {
                // A file that is whole but of another model is not damage, and stays where it is.
                Ok(file) => return checkpoint::unpack(&file, model).map(|(state, progress)| Some((path.clone(), state, progress))),
                Err(error) => {
                    let aside = path.with_extension("safetensors.corrupt");
                    rename(path, &aside)?;
                    note(format!("a damaged checkpoint was set aside as {}: {error}", aside.display()));
                }
            }
        }
        if all.is_empty() {
            return self.nothing_set_aside().map(|()| None);
        }
        Err(Error::data("every checkpoint of this run is damaged")
            .at(self.path.display().to_string())
            .because("the disk, or something wrote over them; they were set aside as .corrupt")
            .next("--resume best.safetensors, or start again in another --output"))
    }

    /// A run whose checkpoints were all set aside must not silently begin anew over what it leaves.
    fn nothing_set_aside(&self) -> Result<()> {
        let folder = self.path.join("checkpoints");
        let entries = fs::read_dir(&folder).map_err(|e| Error::reading(&folder, e))?.flatten().map(|e| e.path());
        let aside = |path: &PathBuf| path.extension().is_some_and(|e| e == "corrupt" || e == "abandoned");
        let best = self.path.join("best.safetensors");
        match entries.chain(best.exists().then_some(best)).find(|path| aside(path) || path.ends_with("best.safetensors")) {
            None => Ok(()),
            Some(left) => Err(Error::data("this run has no checkpoint to go on from, though it had some")
                .at(left.display().to_string())
                .because("they were damaged and set aside, or deleted")
                .next("--resume with that file, or start again in another --output")),
        }
    }

    /// Takes up the run that `progress` is of: its checkpoints in the folder are this run's own from now on, and what it leaves behind is
    /// set aside (see [`Self::abandon_after`]).
    ///
    /// # Errors
    /// `Write`.
    pub fn take_up(&self, progress: &Progress, resumed: &Path) -> Result<()> {
        self.abandon_after(progress, resumed)?;
        if let (Some(best), Some(own)) = (progress.best_update, self.checkpoint(progress.update))
            && best == progress.update
        {
            self.link_best(&own)?; // a kill right after the save may have left the link undone
        }
        let all = checkpoint::list(&self.path.join("checkpoints"));
        let own = all.into_iter().filter(|(_, path)| checkpoint::run_id(path).is_some_and(|id| id == progress.run_id));
        self.own.borrow_mut().extend(own.map(|(update, _)| update));
        Ok(())
    }

    /// Sets aside what a run that goes on from `resumed` after `progress.update` leaves behind: checkpoints of later updates, and the
    /// best one if it is not of this past. They would otherwise be taken for the run's own. Going on from `best.safetensors` makes it a
    /// numbered checkpoint first, so that the run can be found again.
    ///
    /// # Errors
    /// `Write`.
    fn abandon_after(&self, progress: &Progress, resumed: &Path) -> Result<()> {
        let all = checkpoint::list(&self.path.join("checkpoints"));
        let later: Vec<_> = all.iter().filter(|(update, _)| *update > progress.update).collect();
        if later.is_empty() {
            return Ok(());
        }
        let own = self.path.join(file_name(progress.update));
        let folder = |path: &Path| path.canonicalize().ok();
        if !own.exists() && resumed.parent().and_then(folder) == folder(&self.path) {
            link_atomically(resumed, &own)?;
        }
        let aside = |path: &Path| rename(path, &path.with_extension("safetensors.abandoned"));
        later.iter().try_for_each(|(_, path)| aside(path))?;
        let best = self.path.join("best.safetensors");
        match progress.best_update.and_then(|update| self.checkpoint(update)) {
            Some(path) => self.link_best(&path),
            None if best.exists() => aside(&best),
            None => Ok(()),
        }
    }
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
    let files = ["config.toml", "metrics.jsonl", "last", "best.safetensors", "model.safetensors", "model_ema.safetensors"];
    let checkpoints = fs::read_dir(path.join("checkpoints")).into_iter().flatten().flatten();
    let saved = checkpoints.map(|e| e.path()).find(|p| p.to_string_lossy().contains(".safetensors"));
    files.iter().map(|name| path.join(name)).find(|p| fs::symlink_metadata(p).is_ok()).or(saved)
}

fn file_name(update: u64) -> String {
    format!("checkpoints/{update:08}.safetensors")
}

impl Drop for RunDir {
    fn drop(&mut self) {
        if !self.path.join("config.toml").exists() {
            // Nothing was begun: leave no trace. Folders that hold anything stay.
            let _ = remove(&self.path.join(".lock"));
            remove_empty(&self.path.join("checkpoints"));
            remove_empty(&self.path);
        }
    }
}
