//! How a model's parameters lie in memory: one flat arena in the order of torch's `state_dict`, so that an optimizer's step is one
//! pass and a checkpoint one copy. Filters lie KRSC (torch: KCRS); running statistics have an arena of their own.

use super::Init;
use crate::autograd::{Param, Slot};
use crate::backend::{ParamGroup, ParamGroups};
use crate::rng::{Purpose, Stream};

/// What a parameter is, which decides its weight decay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Filters and matrices.
    Weight,
    /// Scale and shift of a normalisation.
    Norm,
    Bias,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Weight => "weight",
            Self::Norm => "norm",
            Self::Bias => "bias",
        }
    }
}

/// One parameter.
#[derive(Clone, Debug)]
pub struct ParamEntry {
    /// torchvision's name, such as `layer1.0.conv1.weight`.
    pub name: String,
    pub kind: Kind,
    /// torch's shape: `[k, c, r, s]` of filters, `[k, c]` of matrices, `[c]` otherwise.
    pub shape: Vec<usize>,
    pub param: Param,
    pub init: Init,
}

/// The running statistics of one normalisation: `[mean][variance]` at `slot`.
#[derive(Clone, Debug)]
pub struct RunningEntry {
    /// torchvision's name of the layer, such as `layer1.0.bn1`.
    pub prefix: String,
    pub slot: Slot,
    pub channels: usize,
}

/// Every parameter and statistic of a model.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    pub params: Vec<ParamEntry>,
    pub running: Vec<RunningEntry>,
}

impl Layout {
    /// Elements of the arena of weights.
    pub fn len(&self) -> usize {
        self.params.last().map_or(0, |e| e.param.range.end)
    }

    pub fn is_empty(&self) -> bool {
        self.params.is_empty()
    }

    /// Elements of the arena of running statistics.
    pub fn running_len(&self) -> usize {
        self.running.last().map_or(0, |e| e.slot.0.end)
    }

    /// Fresh weights: each parameter draws from its own stream of `seed`.
    pub fn init(&self, seed: u64) -> Vec<f32> {
        let mut weights = vec![0.0; self.len()];
        for entry in &self.params {
            let mut stream = Stream::new(seed, Purpose::Init, 0, entry.param.index as u64);
            entry.init.fill(&mut stream, &mut weights[entry.param.range.clone()]);
        }
        weights
    }

    /// Fresh running statistics: mean 0, variance 1.
    pub fn init_running(&self) -> Vec<f32> {
        let mut running = vec![0.0; self.running_len()];
        for entry in &self.running {
            let range = entry.slot.0.clone();
            running[range.start + entry.channels..range.end].fill(1.0);
        }
        running
    }

    /// The parameter tensors in order, each with the weight decay of its kind.
    pub fn groups(&self, weight: f64, norm: f64, bias: f64) -> ParamGroups {
        let group = |entry: &ParamEntry| {
            let weight_decay = match entry.kind {
                Kind::Weight => weight,
                Kind::Norm => norm,
                Kind::Bias => bias,
            };
            ParamGroup { end: entry.param.range.end, weight_decay }
        };
        ParamGroups(self.params.iter().map(group).collect())
    }
}

/// Hands out places in the arenas while a model is put together.
#[derive(Default)]
pub struct Builder {
    layout: Layout,
}

impl Builder {
    /// A parameter of torch shape `shape`.
    pub fn param(&mut self, name: String, kind: Kind, shape: &[usize], init: Init) -> Param {
        let start = self.layout.len();
        let len: usize = shape.iter().product();
        let param = Param { index: self.layout.params.len(), range: start..start + len };
        self.layout.params.push(ParamEntry { name, kind, shape: shape.to_vec(), param: param.clone(), init });
        param
    }

    /// Running mean and variance of `channels` channels.
    pub fn running(&mut self, prefix: String, channels: usize) -> Slot {
        let start = self.layout.running_len();
        let slot = Slot(start..start + 2 * channels);
        self.layout.running.push(RunningEntry { prefix, slot: slot.clone(), channels });
        slot
    }

    pub fn finish(self) -> Layout {
        self.layout
    }
}
