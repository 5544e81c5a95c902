//! ResNet v1.5 (He et al. 2015, with the stride on the 3x3 convolution of a bottleneck), as `torchvision.models.resnet*`:
//! the same parameters under the same names.

use crate::autograd::{Tape, Value};
use crate::backend::{Backend, NormProblem};
use crate::error::Result;
use crate::models::Layer;
use crate::nn::{BatchNorm2d, Builder, Conv2d, Linear};
use crate::ops::{self, ConvGeometry, NormParams, PoolGeometry};
use crate::shape::{ConvProblem, LinearProblem, PoolProblem};

/// One row a depth.
#[derive(Clone, Copy, Debug)]
pub struct Depth {
    pub name: &'static str,
    /// Of each stage.
    pub blocks: [usize; 4],
    pub bottleneck: bool,
    /// Channels of the stem and of the first stage's inner convolutions; 64 in the published networks.
    pub width: usize,
}

pub const DEPTHS: [Depth; 5] = [
    Depth { name: "resnet18", blocks: [2, 2, 2, 2], bottleneck: false, width: 64 },
    Depth { name: "resnet34", blocks: [3, 4, 6, 3], bottleneck: false, width: 64 },
    Depth { name: "resnet50", blocks: [3, 4, 6, 3], bottleneck: true, width: 64 },
    Depth { name: "resnet101", blocks: [3, 4, 23, 3], bottleneck: true, width: 64 },
    Depth { name: "resnet152", blocks: [3, 8, 36, 3], bottleneck: true, width: 64 },
];

#[derive(Clone, Debug)]
pub struct ResNet {
    stem: ConvNorm,
    blocks: Vec<Block>,
    classifier: Linear,
}

#[derive(Clone, Debug)]
struct ConvNorm {
    conv: Conv2d,
    norm: BatchNorm2d,
}

/// Two or three convolutions and a shortcut, which is a 1x1 convolution where the shape changes.
#[derive(Clone, Debug)]
struct Block {
    body: Vec<ConvNorm>,
    shortcut: Option<ConvNorm>,
}

impl ConvNorm {
    fn forward<B: Backend>(&self, tape: &mut Tape<'_, B>, x: &Value<B>, residual: Option<&Value<B>>, relu: bool) -> Result<Value<B>> {
        let y = self.conv.forward(tape, x)?;
        self.norm.forward(tape, &y, residual, relu)
    }

    /// What [`ConvNorm::forward`] computes on `x`, and the extents of the result.
    fn layers(&self, x: Extents, residual: bool, relu: bool, out: &mut Vec<Layer>) -> Result<Extents> {
        let ConvGeometry { k, r, s, stride, pad } = self.conv.geometry;
        let problem = ConvProblem { n: x.n, h: x.h, w: x.w, c: x.c, k, r, s, stride, pad };
        problem.check()?;
        let y = Extents { n: x.n, h: problem.p(), w: problem.q(), c: k };
        let NormParams { eps, momentum, .. } = self.norm.params;
        out.push(Layer::Conv(problem));
        out.push(Layer::Norm { problem: NormProblem { pixels: y.n * y.h * y.w, channels: k, eps, momentum, relu }, residual });
        Ok(y)
    }
}

#[derive(Clone, Copy)]
struct Extents {
    n: usize,
    h: usize,
    w: usize,
    c: usize,
}

impl Block {
    fn new(builder: &mut Builder, name: &str, c: usize, width: usize, stride: usize, depth: &Depth, last_gamma: f32) -> Self {
        let out = if depth.bottleneck { 4 * width } else { width };
        // (window, stride, output channels) of each convolution
        let plan: &[(usize, usize, usize)] =
            if depth.bottleneck { &[(1, 1, width), (3, stride, width), (1, 1, out)] } else { &[(3, stride, width), (3, 1, width)] };
        let mut body: Vec<ConvNorm> = Vec::with_capacity(plan.len());
        let mut channels = c;
        for (i, &(window, stride, k)) in plan.iter().enumerate() {
            let gamma = if i + 1 == plan.len() { last_gamma } else { 1.0 };
            let conv = Conv2d::new(builder, &format!("{name}.conv{}", i + 1), channels, k, window, stride);
            let norm = BatchNorm2d::new(builder, &format!("{name}.bn{}", i + 1), k, gamma);
            body.push(ConvNorm { conv, norm });
            channels = k;
        }
        let shortcut = (stride != 1 || c != out).then(|| {
            let conv = Conv2d::new(builder, &format!("{name}.downsample.0"), c, out, 1, stride);
            let norm = BatchNorm2d::new(builder, &format!("{name}.downsample.1"), out, 1.0);
            ConvNorm { conv, norm }
        });
        Self { body, shortcut }
    }

    fn forward<B: Backend>(&self, tape: &mut Tape<'_, B>, x: &Value<B>) -> Result<Value<B>> {
        let shortcut = match &self.shortcut {
            Some(layer) => layer.forward(tape, x, None, false)?,
            None => x.clone(),
        };
        let mut y = x.clone();
        for (i, layer) in self.body.iter().enumerate() {
            let residual = (i + 1 == self.body.len()).then_some(&shortcut);
            y = layer.forward(tape, &y, residual, true)?;
        }
        Ok(y)
    }

    fn layers(&self, x: Extents, out: &mut Vec<Layer>) -> Result<Extents> {
        if let Some(layer) = &self.shortcut {
            layer.layers(x, false, false, out)?;
        }
        self.body.iter().enumerate().try_fold(x, |x, (i, layer)| layer.layers(x, i + 1 == self.body.len(), true, out))
    }
}

/// After the stem.
const STEM_POOL: PoolGeometry = PoolGeometry { window: 3, stride: 2, pad: 1 };

impl ResNet {
    pub fn new(builder: &mut Builder, depth: &Depth, classes: usize, zero_init_residual: bool) -> Self {
        let conv = Conv2d::new(builder, "conv1", 3, depth.width, 7, 2);
        let norm = BatchNorm2d::new(builder, "bn1", depth.width, 1.0);
        let last_gamma = if zero_init_residual { 0.0 } else { 1.0 };
        let expansion = if depth.bottleneck { 4 } else { 1 };
        let mut blocks = Vec::new();
        let mut c = depth.width;
        for (stage, &count) in depth.blocks.iter().enumerate() {
            let width = depth.width << stage;
            for i in 0..count {
                let stride = if i == 0 && stage > 0 { 2 } else { 1 };
                let name = format!("layer{}.{i}", stage + 1);
                blocks.push(Block::new(builder, &name, c, width, stride, depth, last_gamma));
                c = width * expansion;
            }
        }
        Self { stem: ConvNorm { conv, norm }, blocks, classifier: Linear::new(builder, "fc", c, classes) }
    }

    /// Pictures `[n, h, w, 3]` to logits `[n, classes]`.
    pub fn forward<B: Backend>(&self, tape: &mut Tape<'_, B>, pictures: &Value<B>) -> Result<Value<B>> {
        let y = self.stem.forward(tape, pictures, None, true)?;
        let mut y = ops::max_pool(tape, &y, STEM_POOL)?;
        for block in &self.blocks {
            y = block.forward(tape, &y)?;
        }
        let y = ops::average_pool(tape, &y)?;
        self.classifier.forward(tape, &y)
    }

    /// What [`ResNet::forward`] computes on `n` square pictures, in order.
    pub fn layers(&self, n: usize, side: usize) -> Result<Vec<Layer>> {
        let mut out = Vec::new();
        let x = self.stem.layers(Extents { n, h: side, w: side, c: 3 }, false, true, &mut out)?;
        let PoolGeometry { window, stride, pad } = STEM_POOL;
        let pool = PoolProblem { n, h: x.h, w: x.w, c: x.c, window, stride, pad };
        out.push(Layer::MaxPool(pool));
        let pooled = Extents { h: pool.p(), w: pool.q(), ..x };
        let x = self.blocks.iter().try_fold(pooled, |x, block| block.layers(x, &mut out))?;
        out.push(Layer::AveragePool { n, pixels: x.h * x.w, c: x.c });
        out.push(Layer::Linear(LinearProblem { n, c: x.c, k: self.classifier.bias.range.len() }));
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use crate::models::{Layer, Model};
    use crate::shape::LinearProblem;

    /// Counts of `sum(p.numel() for p in torchvision.models.resnetN().parameters())` and of state_dict entries, torchvision 0.26.
    #[test]
    fn parameter_counts_are_torchvisions() {
        for (name, params, tensors) in [
            ("resnet18", 11_689_512, 122),
            ("resnet34", 21_797_672, 218),
            ("resnet50", 25_557_032, 320),
            ("resnet101", 44_549_160, 626),
            ("resnet152", 60_192_808, 932),
        ] {
            let layout = Model::new(name, 1000, false).unwrap().layout;
            assert_eq!(layout.len(), params, "{name}");
            assert_eq!(layout.params.len() + 3 * layout.running.len(), tensors, "{name}");
        }
    }

    /// 4.089 G multiply-accumulates a picture, as commonly given for ResNet-50 v1.5 at 224, and what a training step of it consists of.
    #[test]
    fn layers_are_those_of_the_paper() {
        let layers = Model::new("resnet50", 1000, false).unwrap().layers(2, 224).unwrap();
        let convs: Vec<_> = layers.iter().filter_map(|l| if let Layer::Conv(c) = l { Some(c) } else { None }).collect();
        let norms = layers.iter().filter(|l| matches!(l, Layer::Norm { .. })).count();
        let joins = layers.iter().filter(|l| matches!(l, Layer::Norm { residual: true, .. })).count();
        assert_eq!((convs.len(), norms, joins), (53, 53, 16));
        let macs: u64 = convs.iter().map(|c| c.macs()).sum();
        assert_eq!(macs / 2, 4_087_136_256);
        assert_eq!(layers.last(), Some(&Layer::Linear(LinearProblem { n: 2, c: 2048, k: 1000 })));
        assert!(layers.contains(&Layer::AveragePool { n: 2, pixels: 49, c: 2048 }));
        assert!(Model::new("resnet50", 10, false).unwrap().layers(1, 0).is_err());
    }

    #[test]
    fn unknown_models_are_refused_with_the_known_ones() {
        let error = Model::new("resnet51", 10, false).unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains("resnet50"), "{error}");
    }

    #[test]
    fn zero_init_touches_only_the_last_scale_of_each_block() {
        let plain = Model::new("resnet50", 10, false).unwrap().layout.init(1);
        let model = Model::new("resnet50", 10, true).unwrap();
        let zeroed = model.layout.init(1);
        for entry in &model.layout.params {
            let (a, b) = (&plain[entry.param.range.clone()], &zeroed[entry.param.range.clone()]);
            if entry.name.ends_with("bn3.weight") {
                assert!(b.iter().all(|&v| v == 0.0), "{}", entry.name);
            } else {
                assert_eq!(a, b, "{}", entry.name);
            }
        }
    }
}
