//! The linear layer, as convolution: integers first, then normal numbers, by every kernel. Its reference is that of a 1x1 convolution.

use super::case::{Case, Check, Depth, Expected, Output};
use super::numbers::{integers, normal, plus, rounded};
use super::ops::Ops;
use super::oracle::{Pass, Reference, reference};
use super::tolerance::{U32, unit};
use crate::cuda::Element;
use crate::shape::{ConvProblem, LinearProblem};
use half::bf16;
use std::sync::Arc;

/// `(n, c, k)` that only the direct kernels take, and around the edges of tiles.
const ODD: [(usize, usize, usize); 3] = [(1, 1, 1), (3, 5, 10), (16, 33, 7)];
const TILED: [(usize, usize, usize); 7] =
    [(1, 8, 8), (64, 64, 64), (65, 72, 8), (63, 200, 136), (5, 512, 1000), (127, 64, 16), (70, 72, 40)];

pub fn edges<O: Ops>() -> Vec<Case<O>> {
    let problem = |(n, c, k): (usize, usize, usize)| LinearProblem { n, c, k };
    let mut all = Vec::new();
    for pass in Pass::ALL {
        for pr in ODD.map(problem) {
            all.extend(case::<f32, O>(pass, pr, Depth::Every));
            all.extend(case::<bf16, O>(pass, pr, Depth::Every));
        }
        for pr in TILED.map(problem) {
            all.extend(case::<bf16, O>(pass, pr, Depth::Every).or_else(|| case::<f32, O>(pass, pr, Depth::Every)));
        }
    }
    all
}

/// One of `y`, `dx`, and `dw` with `dbias`; none if the device has no `T`.
pub fn case<T: Element, O: Ops>(pass: Pass, pr: LinearProblem, depth: Depth) -> Option<Case<O>> {
    let op = match pass {
        Pass::Fprop => "linear_fprop",
        Pass::Dgrad => "linear_dgrad",
        Pass::Wgrad => "linear_wgrad",
    };
    let shape = format!("{} rows of {}, {} outputs", pr.n, pr.c, pr.k);
    O::has::<T>().then(|| Case::new(("gemm", op), shape, T::NAME, move |device: &O| checks::<T, O>(device, pass, pr, depth)))
}

/// What a linear layer is: a 1x1 convolution of pictures of one pixel.
fn as_conv(pr: &LinearProblem) -> ConvProblem {
    ConvProblem { n: pr.n, h: 1, w: 1, c: pr.c, k: pr.k, r: 1, s: 1, stride: 1, pad: 0 }
}

/// Operands of a pass, and the bias.
struct Numbers {
    a: Vec<f64>,
    b: Vec<f64>,
    bias: Vec<f64>,
}

impl Numbers {
    fn new<T: Element>(pass: Pass, pr: &LinearProblem, of: fn(u64, usize) -> Vec<f64>) -> Self {
        let (a, b, _) = pass.lengths(&as_conv(pr));
        Self { a: rounded::<T>(&of(1, a)), b: rounded::<T>(&of(2, b)), bias: rounded::<f32>(&of(4, pr.k)) }
    }

    /// The result, the bias within.
    fn reference(&self, pass: Pass, pr: &LinearProblem, budget: u64) -> Reference {
        let mut want = reference(pass, &as_conv(pr), &self.a, &self.b, budget);
        if pass == Pass::Fprop {
            for i in 0..want.values.len() {
                let bias = self.bias[want.sample.as_ref().map_or(i, |s| s[i]) % pr.k];
                want.values[i] += bias;
                want.magnitude[i] += bias.abs();
            }
        }
        want
    }

    /// Sums of the columns of `dy`, and of their magnitudes.
    fn dbias(&self, pr: &LinearProblem) -> (Vec<f64>, Vec<f64>) {
        let column = |k: usize, f: fn(f64) -> f64| self.b.iter().skip(k).step_by(pr.k).map(|&v| f(v)).sum();
        ((0..pr.k).map(|k| column(k, |v| v)).collect(), (0..pr.k).map(|k| column(k, f64::abs)).collect())
    }
}

fn name(pass: Pass) -> &'static str {
    match pass {
        Pass::Fprop => "y",
        Pass::Dgrad => "dx",
        Pass::Wgrad => "dw",
    }
}

fn checks<T: Element, O: Ops>(device: &O, pass: Pass, pr: LinearProblem, depth: Depth) -> Vec<Check<O>> {
    let conv = as_conv(&pr);
    let len = pass.lengths(&conv).2;
    let stored = |v: &[f64]| if pass == Pass::Wgrad { rounded::<f32>(v) } else { rounded::<T>(v) };
    let sampled = |expected: Expected, of: &Reference| match &of.sample {
        None => expected,
        Some(at) => expected.sampled(at.clone(), len),
    };
    let with_bias = |main: Expected, dbias: Expected| Arc::new(if pass == Pass::Wgrad { vec![main, dbias] } else { vec![main] });

    let whole = Arc::new(Numbers::new::<T>(pass, &pr, integers));
    let exact = whole.reference(pass, &pr, depth.budget());
    let (columns, _) = if pass == Pass::Wgrad { whole.dbias(&pr) } else { Default::default() };
    let once = with_bias(sampled(Expected::exact(name(pass), stored(&exact.values)), &exact), Expected::exact("dbias", columns.clone()));
    let ones = |len: usize| vec![1.0; len];
    let added = with_bias(
        sampled(Expected::exact(name(pass), stored(&plus(&exact.values, &ones(exact.values.len())))), &exact),
        Expected::exact("dbias", plus(&columns, &ones(columns.len()))),
    );

    let real = Arc::new(Numbers::new::<T>(pass, &pr, normal));
    let want = real.reference(pass, &pr, depth.budget());
    let (columns, sizes) = if pass == Pass::Wgrad { real.dbias(&pr) } else { Default::default() };
    let terms = pass.terms(&conv) + usize::from(pass == Pass::Fprop);

    let mut checks = Vec::new();
    for way in device.linear_ways::<T>(&pr) {
        let (rounding, sums) = match pass {
            Pass::Wgrad => (if way.sums.rounds_once() { U32 } else { 0.0 }, way.sums.filters(terms)),
            _ => (unit::<T>(), way.sums.activations(terms)),
        };
        let main = Expected::within(name(pass), want.values.clone(), |i| rounding * want.values[i].abs() + sums * want.magnitude[i]);
        // Column sums in f32 one after the other: the kernels carry the rounding errors along, so that about one of the result is left.
        let carried = match way.sums {
            super::tolerance::Sums::Single => sums,
            _ => 2.0 * U32,
        };
        let close = with_bias(sampled(main, &want), Expected::within("dbias", columns.clone(), |i| carried * sizes[i]));
        let mut check = |numbers: &str, of: &Arc<Numbers>, expected: &Arc<Vec<Expected>>, add: bool| {
            let of = of.clone();
            checks.push(Check::new(format!("{}, {numbers}", way.name), expected, move |device: &O| {
                let start = add.then(|| (vec![1.0; len], vec![1.0; pr.k]));
                let one = start.as_ref().map(|s| s.0.as_slice());
                match pass {
                    Pass::Fprop => Ok(vec![Output::new("y", device.linear_fprop::<T>(&pr, way.variant, &of.a, &of.b, &of.bias)?)]),
                    Pass::Dgrad => Ok(vec![Output::new("dx", device.linear_dgrad::<T>(&pr, way.variant, &of.a, &of.b, one)?)]),
                    Pass::Wgrad => {
                        let start = start.as_ref().map(|s| (s.0.as_slice(), s.1.as_slice()));
                        device.linear_wgrad::<T>(&pr, way.variant, &of.a, &of.b, start)
                    }
                }
            }));
        };
        check("integers", &whole, &once, false);
        if pass != Pass::Fprop {
            check("integers added", &whole, &added, true);
        }
        check("normal numbers", &real, &close, false);
    }
    checks
}
