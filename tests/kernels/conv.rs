//! Convolution: exact on integers, within the table's bounds on normal numbers, over shapes around every edge of a tile.

use crate::common::tolerance::{close, equal};
use crate::common::{integers, normal, oracle};
use crate::device::{down, emulator, output, rounded, same_under_all_schedules, unit, up};
use half::bf16;
use imagenet_engine::cuda::Element;
use imagenet_engine::cuda::conv::{self, Variant};
use imagenet_engine::cuda::emulated::Emulator;
use imagenet_engine::shape::ConvProblem;

fn problem((n, h, w, c, k): (usize, usize, usize, usize, usize), (r, s): (usize, usize), stride: usize, pad: usize) -> ConvProblem {
    ConvProblem { n, h, w, c, k, r, s, stride, pad }
}

/// Shapes for the direct kernels: anything goes.
fn odd_problems() -> Vec<ConvProblem> {
    vec![
        problem((1, 1, 1, 1, 1), (1, 1), 1, 0),
        problem((2, 9, 8, 3, 5), (7, 7), 2, 3),
        problem((1, 7, 7, 5, 9), (3, 3), 1, 1),
        problem((3, 15, 9, 7, 13), (3, 3), 2, 1),
        problem((2, 13, 11, 3, 17), (1, 1), 2, 0),
        problem((2, 11, 12, 3, 4), (3, 3), 3, 1),
        problem((2, 8, 6, 4, 6), (2, 2), 2, 0),
        problem((2, 6, 5, 3, 4), (3, 3), 1, 3),
        problem((1, 9, 7, 3, 4), (3, 1), 2, 1),
    ]
}

/// Shapes for the tensor-core kernels: the kinds of layer of a ResNet, and tiles with every kind of edge.
fn tiled_problems() -> Vec<ConvProblem> {
    vec![
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
        problem((1, 9, 9, 24, 40), (3, 3), 1, 1), // 27 chunks of k: several taps a stage, a tail of k
        problem((1, 12, 10, 16, 64), (4, 4), 1, 0), // the stem after rearranging
        problem((1, 6, 5, 8, 16), (3, 3), 1, 2),  // more padding than the filter needs
        problem((1, 11, 9, 8, 8), (3, 3), 3, 1),
        problem((1, 9, 7, 16, 8), (3, 1), 2, 1),
        problem((5, 4, 4, 256, 64), (1, 1), 1, 0), // a longer k
    ]
}

/// |ref| * (half an ulp of the result) + 1e-6 * the sum of magnitudes: the design's table, for bf16; f32 results of the direct kernels
/// are rounded sums of f64.
fn bound<'a, T: Element>(want: &'a [f64], magnitude: &'a [f64]) -> impl Fn(usize) -> f64 + 'a {
    let sums = if T::IS_BF16 { 1e-6 } else { 1e-12 };
    move |i| unit::<T>() * want[i].abs() + sums * magnitude[i]
}

fn absolute(values: &[f64]) -> Vec<f64> {
    values.iter().map(|v| v.abs()).collect()
}

fn fprop<T: Element>(device: &Emulator, pr: &ConvProblem, variant: Variant, x: &[f64], w: &[f64]) -> Vec<f64> {
    let (x, w, mut y) = (up::<T>(device, x), up::<T>(device, w), output::<T>(device, pr.y_len()));
    conv::fprop(device, pr, variant, x.ptr(), w.ptr(), y.ptr_mut()).unwrap_or_else(|e| panic!("{variant:?} of {pr:?}: {e}"));
    down(&y)
}

fn check_fprop<T: Element>(pr: &ConvProblem) {
    for variant in conv::variants::<T>(pr) {
        let what = format!("fprop {variant:?} {} of {pr:?}", T::NAME);
        let (x, w) = (integers(1, pr.x_len()), integers(2, pr.w_len()));
        let want = rounded::<T>(&oracle::conv_fprop(pr, &x, &w));
        let got = same_under_all_schedules(&what, |device| fprop::<T>(device, pr, variant, &x, &w));
        equal(&got, &want).unwrap_or_else(|e| panic!("integers, {what}: {e}"));

        let (x, w) = (rounded::<T>(&normal(3, pr.x_len())), rounded::<T>(&normal(4, pr.w_len())));
        let (want, magnitude) = (oracle::conv_fprop(pr, &x, &w), oracle::conv_fprop(pr, &absolute(&x), &absolute(&w)));
        close(&fprop::<T>(&emulator(), pr, variant, &x, &w), &want, bound::<T>(&want, &magnitude))
            .unwrap_or_else(|e| panic!("{what}: {e}"));
    }
}

#[test]
fn fprop_of_odd_shapes() {
    for pr in odd_problems() {
        check_fprop::<f32>(&pr);
        check_fprop::<bf16>(&pr);
    }
}

#[test]
fn fprop_on_tensor_cores() {
    for pr in tiled_problems() {
        check_fprop::<bf16>(&pr);
    }
}

#[test]
fn tensor_core_kernels_have_no_bank_conflicts() {
    let pr = problem((2, 14, 14, 64, 128), (3, 3), 1, 1);
    let device = emulator();
    for variant in Variant::TILED {
        fprop::<bf16>(&device, &pr, variant, &integers(1, pr.x_len()), &integers(2, pr.w_len()));
        let counted = device.take_counters();
        assert!(counted.mma > 0 && counted.ldmatrix > 0 && counted.async_copies > 0, "{variant:?}: {counted:?}");
        assert_eq!(counted.shared_conflicts, 0, "{variant:?}");
    }
}
