//! Convolution: exact on integers, within the table's bounds on normal numbers, by every kernel that can solve the problem.

use super::case::{Case, Check, Depth, Expected, Output};
use super::numbers::{integers, normal, plus, rounded};
use super::ops::{ConvJob, Ops, Way};
use super::oracle::{Pass, Reference, reference};
use super::tolerance::{U32, unit};
use crate::cuda::{Element, conv::Variant};
use crate::shape::ConvProblem;
use std::sync::Arc;

pub const fn problem(
    (n, h, w, c, k): (usize, usize, usize, usize, usize),
    (r, s): (usize, usize),
    stride: usize,
    pad: usize,
) -> ConvProblem {
    ConvProblem { n, h, w, c, k, r, s, stride, pad }
}

/// Shapes for the direct kernels: anything goes.
pub const ODD: [ConvProblem; 9] = [
    problem((1, 1, 1, 1, 1), (1, 1), 1, 0),
    problem((2, 9, 8, 3, 5), (7, 7), 2, 3),
    problem((1, 7, 7, 5, 9), (3, 3), 1, 1),
    problem((3, 15, 9, 7, 13), (3, 3), 2, 1),
    problem((2, 13, 11, 3, 17), (1, 1), 2, 0),
    problem((2, 11, 12, 3, 4), (3, 3), 3, 1),
    problem((2, 8, 6, 4, 6), (2, 2), 2, 0),
    problem((2, 6, 5, 3, 4), (3, 3), 1, 3),
    problem((1, 9, 7, 3, 4), (3, 1), 2, 1),
];

/// Shapes for the tensor-core kernels: the kinds of layer of a ResNet, and tiles with every kind of edge.
pub const TILED: [ConvProblem; 21] = [
    problem((1, 1, 1, 8, 8), (1, 1), 1, 0),     // one pixel, one chunk: tail of 1
    problem((1, 8, 8, 64, 64), (1, 1), 1, 0),   // one tile of 64 exactly
    problem((1, 16, 8, 64, 128), (1, 1), 1, 0), // one tile of 128 exactly
    problem((1, 127, 1, 16, 64), (1, 1), 1, 0), // tails of 127 and 63
    problem((1, 43, 3, 64, 72), (1, 1), 1, 0),  // 129 pixels: tail of 1; 72 filters
    problem((2, 14, 14, 64, 64), (3, 3), 1, 1),
    problem((1, 7, 7, 128, 136), (3, 3), 1, 1), // odd extent, a tail of 8 filters
    problem((2, 15, 13, 64, 64), (3, 3), 2, 1), // odd extents, stride 2
    problem((2, 8, 8, 64, 128), (3, 3), 2, 1),  // even extents, stride 2
    problem((3, 9, 11, 64, 64), (1, 1), 2, 0),
    problem((2, 8, 8, 64, 64), (1, 1), 2, 0),
    problem((1, 9, 9, 24, 40), (3, 3), 1, 1),   // 27 chunks of k: several taps a stage, a tail of k
    problem((1, 12, 10, 16, 64), (4, 4), 1, 0), // the stem after rearranging
    problem((1, 6, 5, 8, 16), (3, 3), 1, 2),    // more padding than the filter needs
    problem((1, 11, 9, 8, 8), (3, 3), 3, 1),
    problem((1, 9, 7, 16, 8), (3, 1), 2, 1),
    problem((5, 4, 4, 256, 64), (1, 1), 1, 0), // a longer k
    problem((1, 1, 2, 8, 8), (1, 1), 3, 0),    // a stride beyond the picture: classes without pixels
    TAILED,
    STRIDED,
    SPLIT,
];

/// 3x3 with a tail of pixels, of filters, of k, and a halo; seven stages of k, so that the last lies where the epilogue writes.
pub const TAILED: ConvProblem = problem((1, 9, 15, 48, 72), (3, 3), 1, 1);
/// Odd extents, stride 2, tails of channels and filters.
pub const STRIDED: ConvProblem = problem((1, 9, 13, 72, 40), (3, 3), 2, 1);
/// 270 pixels: five splits, the last with a tail.
pub const SPLIT: ConvProblem = problem((2, 9, 15, 40, 72), (3, 3), 1, 1);

/// Around the edges of tiles, and shapes that only the direct kernels take.
pub fn edges<O: Ops>() -> Vec<Case<O>> {
    let mut all = Vec::new();
    for pass in Pass::ALL {
        for problem in ODD {
            all.extend(case::<f32, O>(pass, problem, Depth::Every));
            all.extend(case::<half::bf16, O>(pass, problem, Depth::Every));
        }
        for problem in TILED {
            // where there is no bf16, these shapes are as good for f32
            let narrow = case::<half::bf16, O>(pass, problem, Depth::Every);
            all.extend(narrow.or_else(|| case::<f32, O>(pass, problem, Depth::Every)));
        }
    }
    all
}

/// `2x14x14x64, 64 of 3x3 stride 1 pad 1`: the picture, the filters.
pub fn shape(pr: &ConvProblem) -> String {
    let ConvProblem { n, h, w, c, k, r, s, stride, pad } = pr;
    format!("{n}x{h}x{w}x{c}, {k} of {r}x{s} stride {stride} pad {pad}")
}

/// One pass of one problem; none if the device has no `T`.
pub fn case<T: Element, O: Ops>(pass: Pass, problem: ConvProblem, depth: Depth) -> Option<Case<O>> {
    let prepare = move |device: &O| checks::<T, O>(device, pass, problem, depth);
    O::has::<T>().then(|| Case::new(("conv", pass.op()), shape(&problem), T::NAME, prepare))
}

/// The result as it is stored: gradients by the filters in f32.
fn stored<T: Element>(pass: Pass, values: &[f64]) -> Vec<f64> {
    if pass == Pass::Wgrad { rounded::<f32>(values) } else { rounded::<T>(values) }
}

fn sampled(expected: Expected, reference: &Reference, len: usize) -> Arc<Vec<Expected>> {
    Arc::new(vec![match &reference.sample {
        None => expected,
        Some(at) => expected.sampled(at.clone(), len),
    }])
}

fn checks<T: Element, O: Ops>(device: &O, pass: Pass, problem: ConvProblem, depth: Depth) -> Vec<Check<O>> {
    let (len_a, len_b, len) = pass.lengths(&problem);
    let whole = Arc::new((integers(1, len_a), integers(2, len_b)));
    let exact = reference(pass, &problem, &whole.0, &whole.1, depth.budget());
    let once = sampled(Expected::exact("out", stored::<T>(pass, &exact.values)), &exact, len);
    // A second launch on the same scratch memory must do as the first: wgrad adds twice.
    let times = if pass == Pass::Wgrad && depth == Depth::Every { 2 } else { 1 };
    let start = Arc::new(integers(3, len));
    let own_start: Vec<f64> = exact.sample.as_ref().map_or_else(|| start.to_vec(), |at| at.iter().map(|&i| start[i]).collect());
    let added: Vec<f64> = exact.values.iter().map(|v| v * times as f64).collect();
    let added = sampled(Expected::exact("out", stored::<T>(pass, &plus(&added, &own_start))), &exact, len);

    let real = Arc::new((rounded::<T>(&normal(4, len_a)), rounded::<T>(&normal(5, len_b))));
    let want = reference(pass, &problem, &real.0, &real.1, depth.budget());

    let mut checks = Vec::new();
    for way in device.conv_ways::<T>(&problem) {
        let close = sampled(within::<T>(pass, &problem, &way, &want), &want, len);
        let splits = splits(pass, &problem, way.variant);
        for &splits in if depth == Depth::Every { splits } else { &splits[splits.len() - 1..] } {
            let mut check = |numbers: &str, operands: &Arc<(Vec<f64>, Vec<f64>)>, expected: &Arc<Vec<Expected>>, add: bool| {
                let cut = if splits > 1 { format!(" in {splits}") } else { String::new() };
                let (operands, start, times) = (operands.clone(), start.clone(), if add { times } else { 1 });
                checks.push(Check::new(format!("{}{cut}, {numbers}", way.name), expected, move |device: &O| {
                    let start = add.then_some(start.as_slice());
                    let job = ConvJob { pass, problem: &problem, variant: way.variant, splits, start, times };
                    Ok(vec![Output::new("out", device.conv::<T>(&job, &operands.0, &operands.1)?)])
                }));
            };
            if pass == Pass::Fprop || depth == Depth::Every {
                check("integers", &whole, &once, false);
            }
            if pass != Pass::Fprop {
                check("integers added", &whole, &added, true);
            }
            check("normal numbers", &real, &close, false);
        }
    }
    checks
}

/// How many parts wgrad divides the pixels into.
fn splits(pass: Pass, problem: &ConvProblem, variant: Variant) -> &'static [usize] {
    let pixels = Pass::Wgrad.terms(problem);
    match (pass, variant) {
        (Pass::Wgrad, Variant::M128N128 | Variant::M128N64 | Variant::M64N64) if pixels > 128 => &[1, 2, 5],
        (Pass::Wgrad, Variant::M128N128 | Variant::M128N64 | Variant::M64N64) if pixels > 64 => &[1, 2],
        _ => &[1],
    }
}

fn within<T: Element>(pass: Pass, problem: &ConvProblem, way: &Way<Variant>, want: &Reference) -> Expected {
    let terms = pass.terms(problem);
    let (rounding, sums) = match pass {
        Pass::Wgrad => (if way.sums.rounds_once() { U32 } else { 0.0 }, way.sums.filters(terms)),
        _ => (unit::<T>(), way.sums.activations(terms)),
    };
    Expected::within("out", want.values.clone(), |i| rounding * want.values[i].abs() + sums * want.magnitude[i])
}
