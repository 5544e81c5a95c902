//! Where a run starts: fresh, from given weights, or from a checkpoint.

use super::config::Config;
use super::run_dir::RunDir;
use crate::checkpoint::{self, Progress, State, Wanted, safetensors, weights};
use crate::data::order::ORDER_VERSION;
use crate::error::{Error, Result};
use crate::models::Model;
use crate::text::counted;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// Settings that decide which pictures an update sees. A run that goes on must not change them.
const ORDER: [&str; 8] = ["seed", "batch-size", "grad-accum", "shuffle", "shuffle-block", "shuffle-window", "limit-train-batches", "model"];
/// Settings that decide what the checkpoint's optimizer state means.
const OPTIMIZER: [&str; 1] = ["opt"];

/// The value of a setting that is not set.
const UNSET: &str = "unset";

/// Where a run starts.
pub struct Start {
    pub state: State,
    pub progress: Progress,
    /// The checkpoint that it goes on from.
    pub from: Option<PathBuf>,
}

/// The state to start from, and how far it is. Nothing is written or renamed but damaged checkpoints that `auto` sets aside.
///
/// # Errors
/// `Data`: a checkpoint or weight file that is damaged or of another model. `Usage`: settings or pictures that differ from the
/// checkpoint's where they must not.
pub fn start(config: &Config, model: &Model, dir: &RunDir, dataset_id: &str, note: &mut dyn FnMut(String)) -> Result<Start> {
    let found = match config.resume.as_deref() {
        None => None,
        Some("auto") => dir.newest(model, note)?,
        Some(path) => {
            let path = checkpoint::locate(Path::new(path), Wanted::Checkpoint)?;
            let (state, progress) = checkpoint::load(&path, model).map_err(|error| weights_alone(error, &path))?;
            Some((path, state, progress))
        }
    };
    let settings = serde_json::to_value(config).map_err(|e| Error::internal("settings do not serialise").source(e))?;
    let Some((path, state, mut progress)) = found else {
        let state = match &config.init {
            Some(path) => {
                let path = checkpoint::locate(path, Wanted::Weights)?;
                let (weights, running) = weights::load(model, &safetensors::read(&path)?)?;
                note(format!("weights from {}", path.display()));
                State::fresh(weights, running)
            }
            None => State::fresh(model.layout.init(config.seed), model.layout.init_running()),
        };
        let run_id = run_id(&settings, dataset_id);
        let dataset_id = dataset_id.to_owned();
        let progress = Progress { dataset_id, run_id, order_version: ORDER_VERSION, config: settings, ..Progress::default() };
        return Ok(Start { state, progress, from: None });
    };
    if progress.dataset_id != dataset_id {
        return Err(Error::usage("the training images are not those of the checkpoint")
            .at(format!("{}: dataset {}, checkpoint {}", config.data, short(dataset_id), short(&progress.dataset_id)))
            .because("another --data, or it was packed again with other options")
            .next("the same --data; or --init FILE to start a new run from the weights"));
    }
    if progress.order_version != ORDER_VERSION {
        return Err(Error::usage(format!(
            "this version orders images differently ({ORDER_VERSION}) than the checkpoint's ({})",
            progress.order_version
        ))
        .at(path.display().to_string())
        .next("the version of the program that began the run; or --init FILE to start a new run from the weights"));
    }
    for (key, was, is) in differences(&progress.config, &settings) {
        let flag = format!("--{key}");
        let because = match key.as_str() {
            k if ORDER.contains(&k) => Some("it decides which images a step sees"),
            k if OPTIMIZER.contains(&k) => Some("the optimizer's state in the checkpoint would mean something else"),
            _ => None,
        };
        if let Some(because) = because {
            return Err(Error::usage(format!("{flag} is {is}, but the checkpoint's run had {was}"))
                .at(path.display().to_string())
                .because(because)
                .next(match was.as_str() {
                    UNSET => format!("leave {flag} out; or --init FILE to start a new run from the weights"),
                    _ => format!("{flag} {was}; or --init FILE to start a new run from the weights"),
                }));
        }
        note(match (was.as_str(), is.as_str()) {
            (UNSET, _) => format!("{flag} is now {is}; the checkpoint's run did not set it"),
            (_, UNSET) => format!("{flag} is no longer set; the checkpoint's run had {was}"),
            _ => format!("{flag} is now {is}; the checkpoint's run had {was}"),
        });
    }
    let averaged = progress.config.get("model-ema").and_then(Value::as_bool) == Some(true);
    if averaged && state.averaged().is_none() {
        return Err(Error::data("the checkpoint has lost its moving average (tensors ema.*)")
            .at(path.display().to_string())
            .because("its run kept one (--model-ema), so another program wrote or changed the file")
            .next("an earlier file of the checkpoints folder; or --init FILE to start a new run from the weights"));
    }
    note(format!("going on from {} after {}", path.display(), counted(progress.update, "step")));
    progress.config = settings;
    Ok(Start { state, progress, from: Some(path) })
}

/// The checkpoint that `config.resume` goes on from with the run in `output`, and the steps done in it. Nothing is set aside.
///
/// # Errors
/// `Data` for one that cannot be read or is damaged; `Usage` if it stands at no step of a run.
pub fn newest(config: &Config, output: &Path) -> Result<Option<(PathBuf, u64)>> {
    let path = match config.resume.as_deref() {
        None => return Ok(None),
        // Damaged ones are left out, as the run itself would.
        Some("auto") => {
            checkpoint::list(&output.join("checkpoints")).into_iter().map(|(_, path)| path).find(|p| safetensors::read(p).is_ok())
        }
        Some(path) => Some(checkpoint::locate(Path::new(path), Wanted::Checkpoint)?),
    };
    let Some(path) = path else { return Ok(None) };
    let done = checkpoint::progress(&safetensors::read(&path).map_err(|error| weights_alone(error, &path))?)?.update;
    Ok(Some((path, done)))
}

/// `error` of a `--resume` with a file of torch.save: no run of ours wrote it.
fn weights_alone(error: Error, path: &Path) -> Error {
    match path.extension().is_some_and(|e| ["pth", "pt", "ckpt", "tar"].iter().any(|torch| e == *torch)) {
        true => error.because("--resume goes on with a run of this program; --init starts from the weights of others, once converted"),
        false => error,
    }
}

/// The start of a dataset's id, as messages show it.
fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

/// The same for a repeated run, so that its checkpoints are the same bytes.
fn run_id(settings: &Value, dataset_id: &str) -> String {
    let mut id = Sha256::new();
    id.update(settings.to_string());
    id.update(dataset_id);
    id.finalize()[..8].iter().map(|b| format!("{b:02x}")).collect()
}

/// `(key, was, is)` of the settings that differ.
fn differences(was: &Value, is: &Value) -> Vec<(String, String, String)> {
    let empty = serde_json::Map::new();
    let (was, is) = (was.as_object().unwrap_or(&empty), is.as_object().unwrap_or(&empty));
    let mut keys: Vec<_> = was.keys().chain(is.keys()).collect();
    keys.sort();
    keys.dedup();
    let show = |v: Option<&Value>| v.map_or(UNSET.to_owned(), Value::to_string);
    let differing = keys.into_iter().filter(|k| was.get(*k) != is.get(*k));
    differing.map(|k| (k.clone(), show(was.get(k)), show(is.get(k)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_difference_is_seen() {
        let found = differences(&json!({"a": 1, "b": 2, "c": 3}), &json!({"a": 1, "b": 4, "d": 5}));
        let expected = [("b", "2", "4"), ("c", "3", "unset"), ("d", "unset", "5")];
        assert_eq!(found, expected.map(|(a, b, c)| (a.into(), b.into(), c.into())));
    }
}
