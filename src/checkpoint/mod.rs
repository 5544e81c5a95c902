//! What a run leaves behind to go on from: weights, running statistics, optimizer state, and where it stood.
//!
//! A checkpoint is a safetensors file under torchvision's names, so that it also serves as a weight file; the optimizer's arenas
//! follow as `optimizer.<i>.<name>`, the moving average as `ema.<name>`. Equal state gives equal bytes.

mod locate;
pub mod safetensors;
pub mod weights;

pub use locate::{Wanted, locate};

use crate::error::{Error, Result};
use crate::files::{self, Folder};
use crate::models::Model;
use safetensors::File;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Of checkpoints and weight files; a reader refuses others.
const FORMAT: u64 = 1;
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The numbers of a training state, on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    pub weights: Vec<f32>,
    pub running: Vec<f32>,
    /// The optimizer's arenas, one after the other.
    pub optimizer: Vec<f32>,
    /// The moving averages of weights and running statistics; empty where none is kept.
    pub average_weights: Vec<f32>,
    pub average_running: Vec<f32>,
}

impl State {
    /// A fresh training state: no optimizer state, no average.
    pub fn fresh(weights: Vec<f32>, running: Vec<f32>) -> Self {
        Self { weights, running, optimizer: Vec::new(), average_weights: Vec::new(), average_running: Vec::new() }
    }

    /// The moving average in the place of the weights, if there is one.
    pub fn averaged(&self) -> Option<Self> {
        (!self.average_weights.is_empty()).then(|| Self::fresh(self.average_weights.clone(), self.average_running.clone()))
    }
}

/// Where the run stood.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Updates applied.
    pub update: u64,
    /// Of these, left out because something was not finite.
    #[serde(default)]
    pub skipped: u64,
    /// Damaged records that others took the place of.
    #[serde(default)]
    pub bad_records: u64,
    /// Batches the normalisations have seen: torch's `num_batches_tracked`.
    pub batches: u64,
    /// How pictures are ordered; see [`crate::data::order`].
    pub order_version: u32,
    /// Updates applied when the validation pictures were last looked at.
    pub evaluated: Option<u64>,
    pub best_top1: Option<f64>,
    /// The highest of the moving average.
    #[serde(default)]
    pub best_ema_top1: Option<f64>,
    /// Updates applied when the best checkpoint was written: by the average's top-1 where one is kept.
    pub best_update: Option<u64>,
    pub dataset_id: String,
    /// Which run this is: a hash of its first settings and its data, kept when it is resumed.
    #[serde(default)]
    pub run_id: String,
    /// Every setting of the run.
    pub config: Value,
}

/// How to prepare images for a model, kept with its weights so that `eval` and `predict` need no flags.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelCard {
    pub model: String,
    /// Class names in the order of the logits.
    pub classes: Vec<String>,
    /// Side of the network's input at evaluation: torchvision's `CenterCrop`.
    pub val_crop_size: usize,
    /// Short side that images are resized to before: torchvision's `Resize`.
    #[serde(alias = "resize")]
    pub val_resize_size: usize,
    /// Filter of that resize.
    #[serde(default = "bilinear")]
    pub interpolation: String,
    pub mean: [f32; 3],
    pub std: [f32; 3],
}

fn bilinear() -> String {
    "bilinear".to_owned()
}

/// Writes a whole training state to `path`, over what bears the name.
///
/// # Errors
/// As [`save_in`].
pub fn save(path: &Path, model: &Model, card: &ModelCard, state: &State, progress: &Progress) -> Result<()> {
    let (folder, name) = placed(path)?;
    save_in(&folder, &name, model, card, state, progress)
}

/// Writes a whole training state as `name` in `folder`, over what bears the name.
///
/// # Errors
/// `Write`; `NonFinite` if a number of the state is not finite (nothing is written).
pub fn save_in(folder: &Folder, name: &str, model: &Model, card: &ModelCard, state: &State, progress: &Progress) -> Result<()> {
    check_finite(model, state, &folder.path().join(name))?;
    let mut tensors = weights::arena_to_tensors(&model.layout, "", &state.weights);
    tensors.extend(weights::running_to_tensors(&model.layout, &state.running, progress.batches));
    for (i, arena) in state.optimizer.chunks_exact(model.layout.len()).enumerate() {
        tensors.extend(weights::arena_to_tensors(&model.layout, &format!("optimizer.{i}."), arena));
    }
    if state.averaged().is_some() {
        tensors.extend(weights::arena_to_tensors(&model.layout, EMA, &state.average_weights));
        let mut running = weights::running_to_tensors(&model.layout, &state.average_running, progress.batches);
        running.retain(|t| !t.name.ends_with("num_batches_tracked"));
        running.iter_mut().for_each(|t| t.name.insert_str(0, EMA));
        tensors.extend(running);
    }
    let meta = object(json!({ "format": FORMAT, "version": VERSION, "card": card, "progress": progress }));
    safetensors::write_in(folder, name, true, tensors, meta)
}

/// The folder of a file, held, and the file's name.
fn placed(path: &Path) -> Result<(Folder, String)> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok((Folder::hold(path.parent().unwrap_or(Path::new(".")))?, name))
}

/// Writes weights and running statistics only: loads into torchvision with `strict=True`. A file of the name is not replaced.
///
/// # Errors
/// As [`save_in`]; `Write` where the name is taken.
pub fn save_weights(path: &Path, model: &Model, card: &ModelCard, state: &State, batches: u64) -> Result<()> {
    // What is written is a copy.
    safetensors::check_room(4 * model.layout.len() as u64, &format!("writing {}", path.display()), "raise the limit")?;
    if files::is_straight(path) {
        check_finite(model, state, path)?;
        let (tensors, meta) = as_file(model, card, state, batches);
        return safetensors::write_straight(path, tensors, meta);
    }
    let (folder, name) = placed(path)?;
    files::remove_left_of(&folder, &name);
    save_weights_in((&folder, &name, false), model, card, state, batches)
}

/// As [`save_weights`], as a name in a folder, over what bears it where the third says so.
///
/// # Errors
/// As there.
pub fn save_weights_in(
    (folder, name, replace): (&Folder, &str, bool),
    model: &Model,
    card: &ModelCard,
    state: &State,
    batches: u64,
) -> Result<()> {
    check_finite(model, state, &folder.path().join(name))?;
    let (tensors, meta) = as_file(model, card, state, batches);
    safetensors::write_in(folder, name, replace, tensors, meta)
}

/// What a file of weights holds.
fn as_file(model: &Model, card: &ModelCard, state: &State, batches: u64) -> (Vec<safetensors::TensorOut>, Map<String, Value>) {
    let mut tensors = weights::arena_to_tensors(&model.layout, "", &state.weights);
    tensors.extend(weights::running_to_tensors(&model.layout, &state.running, batches));
    (tensors, object(json!({ "format": FORMAT, "version": VERSION, "card": card })))
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// What of the state is not finite, if anything: a weight's name, or what else.
pub fn not_finite(model: &Model, state: &State) -> Option<String> {
    let infinite = |values: &[f32]| values.iter().any(|v| !v.is_finite());
    let bad = state.weights.iter().position(|v| !v.is_finite());
    let name = bad.and_then(|i| model.layout.params.iter().find(|p| p.param.range.contains(&i)).map(|p| p.name.clone()));
    let name = name.or_else(|| infinite(&state.running).then(|| "a running statistic".to_owned()));
    let name = name.or_else(|| infinite(&state.optimizer).then(|| "the optimizer's state".to_owned()));
    let average = infinite(&state.average_weights) || infinite(&state.average_running);
    name.or_else(|| average.then(|| "the moving average".to_owned()))
}

fn check_finite(model: &Model, state: &State, path: &Path) -> Result<()> {
    match not_finite(model, state) {
        Some(name) => Err(Error::non_finite(format!("{name} is not finite: the checkpoint was not written"))
            .at(path.display().to_string())
            .because("the training diverged")
            .next("--resume with an earlier file of the checkpoints folder and a lower --lr")),
        None => Ok(()),
    }
}

/// Reads a whole training state back.
///
/// # Errors
/// `Data`: damaged, another model, or a weight file without the state of a run.
pub fn load(path: &Path, model: &Model) -> Result<(State, Progress)> {
    unpack(&safetensors::read(path)?, model)
}

/// As [`load`], from a file that has been read and found undamaged.
///
/// # Errors
/// `Data`: another model, or a weight file without the state of a run.
pub fn unpack(file: &File, model: &Model) -> Result<(State, Progress)> {
    check_format(file)?;
    let progress = progress(file)?;
    let (weights, running) = weights::load(model, file)?;
    let mut optimizer = Vec::new();
    for i in 0.. {
        let prefix = format!("optimizer.{i}.");
        if !file.tensors.keys().any(|n| n.starts_with(&prefix)) {
            break;
        }
        optimizer.extend(weights::arena_from_file(&model.layout, &prefix, file)?);
    }
    let (average_weights, average_running) = match has_average(file) {
        true => weights::load_prefixed(model, EMA, file)?,
        false => Default::default(),
    };
    Ok((State { weights, running, optimizer, average_weights, average_running }, progress))
}

/// How far the run of a checkpoint is.
///
/// # Errors
/// `Data`: a weight file without the state of a run, or metadata of another program.
pub fn progress(file: &File) -> Result<Progress> {
    let path = &file.path;
    let Some(progress) = file.meta.get("progress") else {
        return Err(Error::data("this file holds weights only, not the state of a run")
            .at(path.display().to_string())
            .next("--init FILE to start from weights, --resume with a file of the checkpoints folder"));
    };
    serde_json::from_value(progress.clone())
        .map_err(|e| Error::data("the checkpoint's metadata is not understood").at(path.display().to_string()).source(e))
}

/// Refuses files whose metadata this program cannot know: those of a later format, or of none. Files of others have no metadata of ours.
///
/// # Errors
/// `Data`, naming the version of the program that wrote the file.
pub fn check_format(file: &File) -> Result<()> {
    if file.meta.is_empty() {
        return Ok(());
    }
    let shown = |key: &str| file.meta.get(key).map_or_else(|| "none".to_owned(), Value::to_string);
    let error = |what: String| Error::data(what).at(file.path.display().to_string());
    match file.meta.get("format").and_then(Value::as_u64) {
        Some(FORMAT) => Ok(()),
        Some(newer) if newer > FORMAT => {
            Err(error(format!("checkpoint format {newer}; this is imagenet-engine {VERSION}, which reads {FORMAT}"))
                .because(format!("it was written by imagenet-engine {}", shown("version")))
                .next("that version of the program, or a later one"))
        }
        _ => Err(error(format!("checkpoint format {}, expected {FORMAT}", shown("format")))
            .because("another program wrote or changed the metadata")),
    }
}

/// Prefix of the moving average's tensors.
pub const EMA: &str = "ema.";

/// Whether the file holds a moving average beside the weights.
pub fn has_average(file: &File) -> bool {
    file.tensors.keys().any(|n| n.starts_with(EMA))
}

/// The card in a file of ours; none in a file of others.
///
/// # Errors
/// `Data`: a file of ours of a later format, or whose card is missing or cannot be understood.
pub fn card(file: &File) -> Result<Option<ModelCard>> {
    check_format(file)?;
    if file.meta.is_empty() {
        return Ok(None);
    }
    let unreadable = |what: String| {
        Error::data(format!("the metadata of the weights cannot be understood: {what}"))
            .at(format!("{}: card", file.path.display()))
            .because("it was written by another version of this program, or altered")
            .next("the model.safetensors of the run, or: imagenet-engine export --weights CHECKPOINT --output FILE, by the version that wrote it")
    };
    let card = file.meta.get("card").ok_or_else(|| unreadable("it says nothing about the model".to_owned()))?;
    serde_json::from_value(card.clone()).map(Some).map_err(|e| unreadable(e.to_string()))
}

/// The run that saved a checkpoint; `None` where its metadata cannot be read.
pub fn run_id(path: &Path) -> Option<String> {
    Some(safetensors::read_meta(path)?.get("progress")?.get("run_id")?.as_str()?.to_owned())
}

/// `checkpoints/<update>.safetensors` of a run, newest first.
pub fn list(folder: &Path) -> Vec<(u64, PathBuf)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    numbered(entries.map(|e| e.file_name())).into_iter().map(|(update, name)| (update, folder.join(name))).collect()
}

/// Those of `names` that are a checkpoint's, newest first.
pub fn numbered(names: impl IntoIterator<Item = OsString>) -> Vec<(u64, OsString)> {
    let one = |name: OsString| Some((name.to_str()?.strip_suffix(".safetensors")?.parse::<u64>().ok()?, name));
    let mut found: Vec<_> = names.into_iter().filter_map(one).collect();
    found.sort_by_key(|(update, _)| std::cmp::Reverse(*update));
    found
}
