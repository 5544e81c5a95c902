//! A weight file and the model it belongs to, for `eval` and `predict`.

use crate::checkpoint::{self, ModelCard, safetensors, weights};
use crate::data;
use crate::error::{Error, Result};
use crate::models::Model;
use std::path::Path;

pub struct Weights {
    pub model: Model,
    pub card: ModelCard,
    pub weights: Vec<f32>,
    pub running: Vec<f32>,
    /// Batches the normalisations have seen.
    pub batches: u64,
}

impl Weights {
    /// Reads `path`, the moving average instead of the weights if `ema`. The model's name comes from `name` or the file; the class names from the file, else from `classes`, else they
    /// are numbers.
    ///
    /// # Errors
    /// `Usage` if nobody names the model, or there is no average; `Data` if the file is damaged, of another model, or knows other classes than `classes`.
    pub fn open(path: &Path, ema: bool, name: Option<&str>, classes: Option<&[String]>) -> Result<Self> {
        let file = safetensors::read(path)?;
        let own = checkpoint::card(&file);
        let Some(name) = name.map(str::to_owned).or_else(|| own.as_ref().map(|c| c.model.clone())) else {
            return Err(Error::usage("the weight file does not say which model it is for")
                .at(path.display().to_string())
                .next("--model resnet50, or whichever it is"));
        };
        let outputs = file.tensors.get("fc.bias").map_or(0, |t| t.shape.iter().product());
        if outputs == 0 {
            return Err(Error::data("tensor fc.bias is missing")
                .at(path.display().to_string())
                .because("these are no weights of a ResNet with torchvision's names"));
        }
        if let Some(card) = &own {
            let sizes_fit = (1..=4096).contains(&card.val_crop_size) && card.resize <= 4096;
            if !(card.classes.is_empty() || card.classes.len() == outputs) || !sizes_fit {
                return Err(Error::data("the file's description does not fit its tensors")
                    .at(path.display().to_string())
                    .because(format!("{} class names for {outputs} outputs, pictures of {}", card.classes.len(), card.val_crop_size)));
            }
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
        let mut card = own.unwrap_or_else(|| ModelCard {
            model: name.clone(),
            val_crop_size: 224,
            resize: 256,
            mean: data::MEAN,
            std: data::STD,
            ..ModelCard::default()
        });
        if let Some(classes) = classes {
            let same = card.classes.is_empty() && classes.len() == outputs || card.classes == classes;
            if !same {
                return Err(Error::data("the weights and the pictures have different classes")
                    .at(path.display().to_string())
                    .because(format!("{outputs} classes in the weights, {} in the pictures, or other names", classes.len()))
                    .next("pictures packed from the dataset the weights were trained on"));
            }
        }
        if card.classes.is_empty() {
            card.classes = classes.map_or_else(|| (0..outputs).map(|i| i.to_string()).collect(), <[String]>::to_vec);
        }
        Ok(Self { model, card, weights, running, batches: file.batches })
    }
}
