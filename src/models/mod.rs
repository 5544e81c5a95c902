//! Models by name.

mod layers;
mod resnet;

pub use layers::{Layer, distinct};
pub use resnet::{Depth, ResNet};

use crate::autograd::{Tape, Value};
use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::nn::{Builder, Layout};

/// A network and where its parameters lie.
#[derive(Clone, Debug)]
pub struct Model {
    pub name: String,
    pub classes: usize,
    pub layout: Layout,
    net: ResNet,
}

/// Every name [`Model::new`] knows.
pub fn names() -> impl Iterator<Item = &'static str> {
    resnet::DEPTHS.iter().map(|d| d.name)
}

/// The model whose tensors `has`, by torchvision's names: the deepest of which it has every block.
pub fn recognise(has: impl Fn(&str) -> bool) -> Option<&'static str> {
    let fits = |d: &&resnet::Depth| {
        let last = |stage: usize| format!("layer{}.{}.conv1.weight", stage + 1, d.blocks[stage] - 1);
        has("layer1.0.conv3.weight") == d.bottleneck && (0..d.blocks.len()).all(|stage| has(&last(stage)))
    };
    resnet::DEPTHS.iter().rfind(fits).map(|d| d.name)
}

impl Model {
    /// The model called `name` with `classes` outputs; `zero_init_residual` starts the last scale of each block at 0.
    ///
    /// # Errors
    /// `Usage` for an unknown name, listing the known ones, and for no classes.
    pub fn new(name: &str, classes: usize, zero_init_residual: bool) -> Result<Self> {
        let Some(depth) = resnet::DEPTHS.iter().find(|d| d.name == name) else {
            let known: Vec<_> = names().collect();
            // ResNet50, resnet-50, resnet_50
            let plain: String = name.to_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
            let next = match known.iter().find(|known| **known == plain) {
                Some(near) => format!("--model {near}"),
                None => format!("one of: {}", known.join(", ")),
            };
            return Err(Error::usage(format!("unknown model '{name}'")).at("--model").next(next));
        };
        Self::of(depth, classes, zero_init_residual)
    }

    /// A ResNet of any depth and width.
    ///
    /// # Errors
    /// `Usage` for no classes.
    pub fn of(depth: &Depth, classes: usize, zero_init_residual: bool) -> Result<Self> {
        if classes == 0 {
            return Err(Error::usage("a model needs at least one class").at("--model"));
        }
        let mut builder = Builder::default();
        let net = ResNet::new(&mut builder, depth, classes, zero_init_residual);
        Ok(Self { name: depth.name.to_owned(), classes, layout: builder.finish(), net })
    }

    /// What [`Model::forward`] computes on `n` pictures of `side` x `side`, layer by layer.
    ///
    /// # Errors
    /// `Usage` if the pictures are too small.
    pub fn layers(&self, n: usize, side: usize) -> Result<Vec<Layer>> {
        self.net.layers(n, side)
    }

    /// Pictures `[n, h, w, 3]` to logits `[n, classes]`.
    pub fn forward<B: Backend>(&self, tape: &mut Tape<'_, B>, pictures: &Value<B>) -> Result<Value<B>> {
        self.net.forward(tape, pictures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_model_is_recognised_by_its_names() {
        for name in names() {
            let model = Model::new(name, 10, false).unwrap();
            let has = |wanted: &str| model.layout.params.iter().any(|p| p.name == wanted);
            assert_eq!(recognise(has), Some(name));
        }
        assert_eq!(recognise(|_| false), None);
    }
}
