//! The images of a run, and what its weights will say about preparing others.

use super::config::Config;
use crate::checkpoint::ModelCard;
use crate::data::loader::Source;
use crate::data::validation::ResizeCrop;
use crate::data::{MEAN, STD};
use std::sync::Arc;

/// The images of a run.
#[derive(Clone)]
pub struct Datasets {
    pub train: Arc<dyn Source>,
    pub val: Option<Arc<dyn Source>>,
    /// What validation does to an image; `predict` does the same.
    pub transform: ResizeCrop,
}

impl Datasets {
    /// What is kept with the weights.
    pub fn card(&self, config: &Config) -> ModelCard {
        ModelCard {
            model: config.model.clone(),
            classes: self.train.classes().to_vec(),
            val_crop_size: self.transform.crop as usize,
            val_resize_size: self.transform.resize as usize,
            interpolation: self.transform.filter.name().to_owned(),
            mean: MEAN,
            std: STD,
        }
    }
}
