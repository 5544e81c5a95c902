//! The cases of each subject at the shapes of one training step.

mod augment;
mod conv;
mod conv_stem;
mod elementwise;
mod gemm;
mod loss;
mod norm;
mod pool;
mod reference;
mod update;

use super::case::Case;
use crate::cuda::timed::Timed;
use crate::error::Result;
use crate::models::{Layer, Model, distinct};
use crate::nn::Layout;

/// A training step to take shapes from.
#[derive(Clone, Debug)]
pub struct Workload {
    pub batch: usize,
    /// Of the pictures.
    pub side: usize,
    pub classes: usize,
    /// The different layers, and how often each occurs.
    pub layers: Vec<(Layer, usize)>,
    pub layout: Layout,
}

const CLASSES: usize = 1000;

impl Workload {
    /// ResNet-50 at 224.
    ///
    /// # Errors
    /// None that `batch` could cause.
    pub fn resnet50(batch: usize) -> Result<Self> {
        Self::of(&Model::new("resnet50", CLASSES, false)?, batch, 224)
    }

    /// `model` on pictures of `side`.
    ///
    /// # Errors
    /// `Usage` for pictures too small for the network.
    pub fn of(model: &Model, batch: usize, side: usize) -> Result<Self> {
        let layers = distinct(&model.layers(batch, side)?);
        Ok(Self { batch, side, classes: model.classes, layers, layout: model.layout.clone() })
    }

    /// The same network with pictures of 32, an eighth of the channels and a few parameters: every launch, in little time.
    ///
    /// # Errors
    /// None that `batch` could cause.
    pub fn tiny(batch: usize) -> Result<Self> {
        let (side, classes) = (32, 16);
        let layers = Model::new("resnet50", classes, false)?.layers(batch, side)?;
        let layers: Vec<_> = layers.into_iter().map(narrow).collect();
        let mut layout = Model::new("resnet18", classes, false)?.layout;
        layout.params.truncate(6);
        Ok(Self { batch, side, classes, layers: distinct(&layers), layout })
    }

    /// The first layer that `pick` takes.
    fn first<T>(&self, pick: impl Fn(&Layer) -> Option<T>) -> Option<T> {
        self.layers.iter().find_map(|(l, _)| pick(l))
    }
}

/// With an eighth of the channels, of which the tensor cores need multiples of eight; colours stay three.
fn narrow(layer: Layer) -> Layer {
    let eighth = |channels: usize| if channels == 3 { 3 } else { (channels / 8).next_multiple_of(8) };
    match layer {
        Layer::Conv(mut p) => {
            (p.c, p.k) = (eighth(p.c), eighth(p.k));
            Layer::Conv(p)
        }
        Layer::Norm { mut problem, residual } => {
            problem.channels = eighth(problem.channels);
            Layer::Norm { problem, residual }
        }
        Layer::MaxPool(mut p) => {
            p.c = eighth(p.c);
            Layer::MaxPool(p)
        }
        Layer::AveragePool { n, pixels, c } => Layer::AveragePool { n, pixels, c: eighth(c) },
        Layer::Linear(mut p) => {
            p.c = eighth(p.c);
            Layer::Linear(p)
        }
    }
}

type Cases<D> = fn(&Workload) -> Vec<Case<D>>;

/// Every subject. A new one is a line here.
pub fn table<D: Timed>() -> [(&'static str, Cases<D>); 10] {
    [
        ("conv", conv::cases),
        ("conv_stem", conv_stem::cases),
        ("gemm", gemm::cases),
        ("norm", norm::cases),
        ("pool", pool::cases),
        ("loss", loss::cases),
        ("augment", augment::cases),
        ("elementwise", elementwise::cases),
        ("update", update::cases),
        ("reference", reference::cases),
    ]
}

/// The cases of every subject.
pub fn cases<D: Timed>(workload: &Workload) -> Vec<Case<D>> {
    table().into_iter().flat_map(|(_, of_subject)| of_subject(workload)).collect()
}
