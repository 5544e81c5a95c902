//! The weights of one dimension: which samples an output is made of, and how much of each, as fixed-point numbers.

use std::ops::Range;

/// Bits of a weight behind the point: of 32, eight are the sample's, and two are left for what sharp filters overshoot.
pub(super) const BITS: u32 = 32 - 8 - 2;
/// One half at the point: what a sum begins with, to be rounded.
pub(super) const HALF: i32 = 1 << (BITS - 1);

/// How an image is resized: the filters of Pillow's `Image.resize`, whose support grows with the reduction (antialiased).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Filter {
    /// A triangle two samples wide.
    #[default]
    Bilinear,
    /// Cubic convolution with a = -1/2, four samples wide.
    Bicubic,
    /// The sinc windowed by its own middle, six samples wide.
    Lanczos,
}

impl Filter {
    /// `bilinear`, `bicubic` or `lanczos`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bilinear => "bilinear",
            Self::Bicubic => "bicubic",
            Self::Lanczos => "lanczos",
        }
    }

    /// Half its width, samples.
    fn support(self) -> f64 {
        match self {
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
            Self::Lanczos => 3.0,
        }
    }

    /// Its height at `x`. The order of the operations is part of the result.
    fn at(self, x: f64) -> f64 {
        match self {
            Self::Bilinear => {
                let x = x.abs();
                if x < 1.0 { 1.0 - x } else { 0.0 }
            }
            Self::Bicubic => {
                const A: f64 = -0.5;
                let x = x.abs();
                if x < 1.0 {
                    ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
                } else if x < 2.0 {
                    (((x - 5.0) * x + 8.0) * x - 4.0) * A
                } else {
                    0.0
                }
            }
            Self::Lanczos if (-3.0..3.0).contains(&x) => sinc(x) * sinc(x / 3.0),
            Self::Lanczos => 0.0,
        }
    }
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 {
        return 1.0;
    }
    let x = x * std::f64::consts::PI;
    x.sin() / x
}

/// For each wanted output: its first sample and its weights, `width` of them, zero beyond its own.
#[derive(Default)]
pub(super) struct Taps {
    pub first: Vec<usize>,
    pub weights: Vec<i32>,
    pub width: usize,
    /// Every output is the sample of its own number, from `first[0]` on.
    pub copies: bool,
    /// The samples that are looked at.
    pub used: Range<usize>,
    exact: Vec<f64>,
}

impl Taps {
    /// From the part `begin..end` of `from` samples to `to`, of which the outputs `wanted` (at least one) are computed.
    pub fn set(&mut self, filter: Filter, from: usize, (begin, end): (f32, f32), to: usize, wanted: Range<usize>) {
        let scale = f64::from(end - begin) / to as f64; // the difference in f32, as Pillow takes it
        let stretch = scale.max(1.0);
        let (support, inverse) = (filter.support() * stretch, 1.0 / stretch);
        self.first.clear();
        self.weights.clear();
        self.copies = begin == 0.0 && to == from && end == to as f32;
        if self.copies {
            self.width = 1;
            self.first.extend(wanted.clone());
            self.weights.resize(wanted.len(), 1 << BITS);
            self.used = wanted;
            return;
        }
        let window = |output: usize| {
            let centre = f64::from(begin) + (output as f64 + 0.5) * scale;
            let first = ((centre - support + 0.5).max(0.0) as usize).min(from.saturating_sub(1)); // cut towards zero
            let end = ((centre + support + 0.5) as usize).clamp(first + 1, from.max(first + 1));
            (centre, first..end)
        };
        let (mut widest, mut low, mut high) = (1, usize::MAX, 0);
        for output in wanted.clone() {
            let (_, samples) = window(output);
            (widest, low, high) = (widest.max(samples.len()), low.min(samples.start), high.max(samples.end));
        }
        (self.width, self.used) = (widest, low..high);
        for output in wanted {
            let (centre, samples) = window(output);
            self.exact.clear();
            self.exact.extend(samples.clone().map(|sample| filter.at((sample as f64 - centre + 0.5) * inverse)));
            let total: f64 = self.exact.iter().fold(0.0, |sum, weight| sum + weight);
            self.first.push(samples.start);
            self.weights.extend(self.exact.iter().map(|&weight| fixed(if total == 0.0 { weight } else { weight / total })));
            self.weights.resize(self.first.len() * widest, 0);
        }
    }

    /// Counts samples from the first that is looked at; returns which are.
    pub fn begin_at_first(&mut self) -> Range<usize> {
        self.first.iter_mut().for_each(|first| *first -= self.used.start);
        self.used.clone()
    }

    pub fn weights(&self, output: usize) -> &[i32] {
        &self.weights[output * self.width..][..self.width]
    }
}

/// To `BITS` bits behind the point, halves away from zero.
fn fixed(weight: f64) -> i32 {
    let scaled = weight * f64::from(1 << BITS);
    (if weight < 0.0 { scaled - 0.5 } else { scaled + 0.5 }) as i32
}
