//! A weight file and the model it belongs to, for `eval` and `predict`.

use crate::checkpoint::{self, ModelCard, Wanted, locate, safetensors, weights};
use crate::data;
use crate::data::crop::MOST_SIDE;
use crate::data::validation::Filter;
use crate::error::{Error, Result};
use crate::models::{Model, recognise};
use crate::text::{count, counted};
use std::path::{Path, PathBuf};

pub struct Weights {
    /// The file that was read.
    pub path: PathBuf,
    pub model: Model,
    pub card: ModelCard,
    /// The card was in the file; otherwise it holds torchvision's defaults.
    pub described: bool,
    pub weights: Vec<f32>,
    pub running: Vec<f32>,
    /// Batches the normalisations have seen.
    pub batches: u64,
}

impl Weights {
    /// Reads `path`, or the best weights of the run whose folder it is; the moving average instead of the weights if `ema`. The model's name
    /// comes from the file's metadata or its tensors, and `name` must not contradict it; the class names from `names`, else from the file, else from `classes` (those of the images), else they are numbers.
    ///
    /// # Errors
    /// `Usage` if `name` is another model's, or there is no average; `Data` if the file is damaged, its metadata cannot be understood, it is
    /// of another model, or its classes are others than `classes`.
    pub fn open(path: &Path, ema: bool, name: Option<&str>, names: Option<Vec<String>>, classes: Option<&[String]>) -> Result<Self> {
        let path = &locate(path, Wanted::Weights)?;
        let file = safetensors::read(path)?;
        let own = checkpoint::card(&file)?;
        let recognised = recognise(|tensor| file.tensors.contains_key(tensor)).map(str::to_owned);
        let says = own.as_ref().map(|c| c.model.clone()).or(recognised);
        let name = match (name, says) {
            (Some(asked), Some(is)) if asked != is => {
                return Err(Error::usage(format!("--model {asked}: these are weights of {is}"))
                    .at(path.display().to_string())
                    .next(format!("leave --model out, or --model {is}")));
            }
            (asked, is) => asked.map(str::to_owned).or(is),
        };
        let Some(name) = name else {
            return Err(Error::data("no ResNet's tensors are in this file")
                .at(path.display().to_string())
                .because("weights of another network, or under other names than torchvision's"));
        };
        let outputs = file.tensors.get("fc.bias").map_or(0, |t| t.shape.iter().product());
        if outputs == 0 {
            return Err(Error::data("tensor fc.bias is missing")
                .at(path.display().to_string())
                .because("these are no weights of a ResNet with torchvision's names"));
        }
        // Before a model of so many outputs is made: a bias of a few bytes would claim gigabytes.
        let rows = file.tensors.get("fc.weight").and_then(|t| t.shape.first().copied());
        if rows != Some(outputs) {
            let rows = rows.map_or_else(|| "is missing".to_owned(), |rows| format!("has {rows} rows"));
            return Err(Error::data(format!("tensor fc.weight {rows}, and fc.bias {outputs} elements")).at(path.display().to_string()));
        }
        if let Some(card) = &own {
            check_card(card, outputs, path)?;
        }
        let model = Model::new(&name, outputs, false)?;
        let (mut weights, mut running) = weights::load(&model, &file)?;
        if ema {
            if !checkpoint::has_average(&file) {
                return Err(Error::usage("the file holds no moving average")
                    .at(format!("--ema, {}", path.display()))
                    .because("only checkpoints of runs with --model-ema hold one")
                    .next("a file of such a run's checkpoints folder, or its model_ema.safetensors without --ema"));
            }
            (weights, running) = weights::load_prefixed(&model, checkpoint::EMA, &file)?;
        }
        let described = own.is_some();
        let mut card = own.unwrap_or_else(|| ModelCard {
            model: name.clone(),
            classes: Vec::new(),
            val_crop_size: 224,
            val_resize_size: 256,
            interpolation: Filter::Bilinear.name().to_owned(),
            mean: data::MEAN,
            std: data::STD,
        });
        if let Some(names) = names {
            if names.len() != outputs {
                return Err(Error::data(format!(
                    "{} for {}",
                    counted(names.len() as u64, "class name"),
                    counted(outputs as u64, "output")
                ))
                .at(format!("--class-names, {}", path.display()))
                .next("one class a line, in the order of the outputs"));
            }
            card.classes = names;
        }
        if let Some(classes) = classes {
            let same = card.classes.is_empty() && classes.len() == outputs || card.classes == classes;
            if !same {
                return Err(Error::data("the weights and the images have different classes")
                    .at(path.display().to_string())
                    .because(format!(
                        "{} in the weights, {} in the images, or other names",
                        counted(outputs as u64, "class"),
                        count(classes.len() as u64)
                    ))
                    .next("images packed from the dataset the weights were trained on; --class-names where only the names differ"));
            }
        }
        if card.classes.is_empty() {
            card.classes = classes.map_or_else(|| (0..outputs).map(|i| i.to_string()).collect(), <[String]>::to_vec);
        }
        Ok(Self { path: path.clone(), model, card, described, weights, running, batches: file.batches })
    }
}

impl Weights {
    /// File, model and classes in one line.
    pub fn describe(&self) -> String {
        format!("weights: {}, {} for {}", self.path.display(), self.model.name, counted(self.model.classes as u64, "class"))
    }
}

/// That what the metadata says can be done, and fits the tensors.
fn check_card(card: &ModelCard, outputs: usize, path: &Path) -> Result<()> {
    let wrong = |what: String| {
        Err(Error::data(format!("the metadata of the weights makes no sense: {what}"))
            .at(path.display().to_string())
            .because("it was written by another version of this program, or altered")
            .next("the model.safetensors that the run wrote"))
    };
    if !(card.classes.is_empty() || card.classes.len() == outputs) {
        return wrong(format!("{} for {}", counted(card.classes.len() as u64, "class name"), counted(outputs as u64, "output")));
    }
    for (what, side) in [("crop", card.val_crop_size), ("resize", card.val_resize_size)] {
        if !(1..=MOST_SIDE as usize).contains(&side) {
            return wrong(format!("a {what} size of {side}: expected a whole number from 1 to {}", count(MOST_SIDE.into())));
        }
    }
    if card.val_resize_size < card.val_crop_size {
        return wrong(format!("a crop of {} of images resized to {}", card.val_crop_size, card.val_resize_size));
    }
    let finite = card.mean.iter().chain(&card.std).all(|v| v.is_finite());
    if !finite || card.std.iter().any(|s| *s <= 0.0) {
        return wrong(format!("mean {:?}, standard deviation {:?}", card.mean, card.std));
    }
    Ok(())
}
