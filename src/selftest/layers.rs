//! Cases at the shapes of every layer of every ResNet at 224 pixels, taken from the models.

use super::case::{Case, Depth};
use super::ops::Ops;
use super::oracle::Pass;
use super::{augment, conv, gemm, loss, norm, pool};
use crate::backend::NormProblem;
use crate::error::Result;
use crate::models::{self, Layer, Model};
use crate::shape::{ConvProblem, LinearProblem, PoolProblem};
use half::bf16;

/// How large the layers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Channels, filters, windows and strides are the layer's; the output has 7x7 pixels of two pictures: 98, which are a tile and a
    /// tail for some kernels, a tail for others, and two splits. For the emulator.
    Reduced,
    /// The layers as they are, eight pictures. Of a large result a sample is compared.
    Full,
}

const SIDE: usize = 224;
/// Of the output.
const REDUCED_SIDE: usize = 7;
const CLASSES: usize = 1000;

impl Extent {
    fn pictures(self) -> usize {
        if self == Self::Full { 8 } else { 2 }
    }

    fn depth(self) -> Depth {
        Depth::Layer { budget: if self == Self::Full { 1 << 27 } else { u64::MAX } }
    }

    fn shrink(self, layer: Layer) -> Layer {
        if self == Self::Full {
            return layer;
        }
        match layer {
            Layer::Conv(pr) => Layer::Conv(ConvProblem { h: REDUCED_SIDE * pr.stride, w: REDUCED_SIDE * pr.stride, ..pr }),
            Layer::Norm { problem, residual } => {
                let pixels = self.pictures() * REDUCED_SIDE * REDUCED_SIDE;
                Layer::Norm { problem: NormProblem { pixels, ..problem }, residual }
            }
            Layer::MaxPool(pr) => Layer::MaxPool(PoolProblem { h: REDUCED_SIDE * pr.stride, w: REDUCED_SIDE * pr.stride, ..pr }),
            small @ (Layer::AveragePool { .. } | Layer::Linear(_)) => small,
        }
    }
}

/// The different layers of all models.
///
/// # Errors
/// None that the models' own tests would not show.
pub fn layers(extent: Extent) -> Result<Vec<Layer>> {
    let mut found = Vec::new();
    for name in models::names() {
        let layers = Model::new(name, CLASSES, false)?.layers(extent.pictures(), SIDE)?;
        for layer in layers.into_iter().map(|l| extent.shrink(l)) {
            if !found.contains(&layer) {
                found.push(layer);
            }
        }
    }
    Ok(found)
}

/// # Errors
/// As [`layers`].
pub fn cases<O: Ops>(extent: Extent) -> Result<Vec<Case<O>>> {
    let mut all = Vec::new();
    for layer in layers(extent)? {
        match layer {
            Layer::Conv(pr) => {
                for pass in Pass::ALL {
                    all.extend(conv::case::<bf16, O>(pass, pr, extent.depth()));
                    all.extend(conv::case::<f32, O>(pass, pr, extent.depth()));
                }
            }
            Layer::Norm { problem: NormProblem { pixels, channels, relu, .. }, residual } => {
                let fused = norm::Fused { residual, relu };
                all.extend(norm::cases::<bf16, O>(pixels, channels, fused));
                all.extend(norm::cases::<f32, O>(pixels, channels, fused));
            }
            Layer::MaxPool(pr) => all.extend(pool::max::<bf16, O>(pr).into_iter().chain(pool::max::<f32, O>(pr))),
            Layer::AveragePool { n, pixels, c } => {
                all.extend(pool::average::<bf16, O>(n, pixels, c).into_iter().chain(pool::average::<f32, O>(n, pixels, c)));
            }
            Layer::Linear(pr) => all.extend(linear::<O>(pr, extent)),
        }
    }
    let side = if extent == Extent::Full { SIDE } else { SIDE / 4 };
    all.extend(augment::photograph::<bf16, O>(side).into_iter().chain(augment::photograph::<f32, O>(side)));
    if extent == Extent::Full {
        all.extend(loss::case::<bf16, O>(256, CLASSES).into_iter().chain(loss::case::<f32, O>(256, CLASSES)));
    }
    Ok(all)
}

fn linear<O: Ops>(pr: LinearProblem, extent: Extent) -> Vec<Case<O>> {
    let one = |pass| [gemm::case::<bf16, O>(pass, pr, extent.depth()), gemm::case::<f32, O>(pass, pr, extent.depth())];
    Pass::ALL.into_iter().flat_map(one).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_layer_is_there_and_reduction_keeps_what_kernels_see() {
        let (full, reduced) = (layers(Extent::Full).unwrap(), layers(Extent::Reduced).unwrap());
        let convs =
            |layers: &[Layer]| layers.iter().filter_map(|l| if let Layer::Conv(c) = l { Some(*c) } else { None }).collect::<Vec<_>>();
        let (full, reduced) = (convs(&full), convs(&reduced));
        assert!(full.contains(&ConvProblem { n: 8, h: 224, w: 224, c: 3, k: 64, r: 7, s: 7, stride: 2, pad: 3 }));
        assert!(full.contains(&ConvProblem { n: 8, h: 7, w: 7, c: 512, k: 2048, r: 1, s: 1, stride: 1, pad: 0 }));
        let kind = |c: &ConvProblem| (c.c, c.k, c.r, c.s, c.stride, c.pad);
        for layer in &full {
            assert!(reduced.iter().any(|r| kind(r) == kind(layer)), "{layer:?}");
        }
        assert!(reduced.iter().all(|r| (r.n, r.p(), r.q()) == (2, 7, 7)), "{reduced:?}");
    }
}
