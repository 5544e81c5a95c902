//! Where a run starts: fresh, from given weights, or from a checkpoint.

use super::config::Config;
use super::run_dir::RunDir;
use crate::checkpoint::{self, Progress, State, safetensors, weights};
use crate::data::order::ORDER_VERSION;
use crate::error::{Error, Result};
use crate::models::Model;
use serde_json::Value;
use std::path::Path;

/// Settings that decide which pictures an update sees. A run that goes on must not change them.
const ORDER: [&str; 8] = ["seed", "batch-size", "grad-accum", "shuffle", "shuffle-block", "shuffle-window", "limit-train-batches", "model"];
/// Settings that decide what the checkpoint's optimizer state means.
const OPTIMIZER: [&str; 1] = ["opt"];

/// The state to start from, and how far it is.
///
/// # Errors
/// `Data`: a checkpoint or weight file that is damaged or of another model. `Usage`: settings or pictures that differ from the
/// checkpoint's where they must not.
pub fn start(config: &Config, model: &Model, dir: &RunDir, dataset_id: &str, note: &mut dyn FnMut(String)) -> Result<(State, Progress)> {
    let found = match config.resume.as_deref() {
        None => None,
        Some("auto") => dir.newest(model, note)?,
        Some(path) => {
            let path = Path::new(path);
            let (state, progress) = checkpoint::load(path, model)?;
            Some((path.to_owned(), state, progress))
        }
    };
    let settings = serde_json::to_value(config).map_err(|e| Error::internal("settings do not serialise").source(e))?;
    let Some((path, state, mut progress)) = found else {
        let state = match &config.init {
            Some(path) => {
                let (weights, running) = weights::load(model, &safetensors::read(path)?)?;
                note(format!("weights from {}", path.display()));
                State::fresh(weights, running)
            }
            None => State::fresh(model.layout.init(config.seed), model.layout.init_running()),
        };
        let fresh = Progress { dataset_id: dataset_id.to_owned(), order_version: ORDER_VERSION, config: settings, ..Progress::default() };
        return Ok((state, fresh));
    };
    if progress.dataset_id != dataset_id {
        return Err(Error::usage("the training pictures are not those of the checkpoint")
            .at(format!("{}: dataset {}, checkpoint {}", config.data, dataset_id, progress.dataset_id))
            .because("another --data, or it was packed again with other options")
            .next("the same --data; or --init FILE to start a new run from the weights"));
    }
    if progress.order_version != ORDER_VERSION {
        return Err(Error::usage(format!(
            "this version orders pictures differently ({ORDER_VERSION}) than the checkpoint's ({})",
            progress.order_version
        ))
        .at(path.display().to_string())
        .next("the version of the program that began the run; or --init FILE to start a new run from the weights"));
    }
    for (key, was, is) in differences(&progress.config, &settings) {
        let flag = format!("--{key}");
        let because = match key.as_str() {
            k if ORDER.contains(&k) => Some("it decides which pictures an update sees"),
            k if OPTIMIZER.contains(&k) => Some("the optimizer's state in the checkpoint would mean something else"),
            _ => None,
        };
        if let Some(because) = because {
            return Err(Error::usage(format!("{flag} is {is}, but the checkpoint's run had {was}"))
                .at(path.display().to_string())
                .because(because)
                .next(format!("{flag} {was}; or --init FILE to start a new run from the weights")));
        }
        note(format!("{flag} is now {is}; the checkpoint's run had {was}"));
    }
    note(format!("going on from {} after {} updates", path.display(), progress.update));
    dir.abandon_after(&progress, &path)?;
    if progress.best_update == Some(progress.update)
        && let Some(own) = dir.checkpoint(progress.update)
    {
        dir.link_best(&own)?; // a kill right after the save may have left the link undone
    }
    progress.config = settings;
    Ok((state, progress))
}

/// `(key, was, is)` of the settings that differ.
fn differences(was: &Value, is: &Value) -> Vec<(String, String, String)> {
    let empty = serde_json::Map::new();
    let (was, is) = (was.as_object().unwrap_or(&empty), is.as_object().unwrap_or(&empty));
    let mut keys: Vec<_> = was.keys().chain(is.keys()).collect();
    keys.sort();
    keys.dedup();
    let show = |v: Option<&Value>| v.map_or("unset".to_owned(), Value::to_string);
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
