//! Convolution: exact on integers, within the table's bounds on normal numbers, over shapes around every edge of a tile, the same bits
//! under every schedule.

use crate::common::tolerance::{close, equal};
use crate::common::{integers, normal, oracle};
use crate::device::{down, emulator, output, rounded, same_under_all_schedules, unit, up};
use half::bf16;
use imagenet_engine::cuda::Element;
use imagenet_engine::cuda::conv::{self, Split, Variant};
use imagenet_engine::cuda::emulated::Emulator;
use imagenet_engine::cuda::memory::Array;
use imagenet_engine::error::Result;
use imagenet_engine::shape::ConvProblem;

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Pass {
    Fprop,
    Dgrad,
    Wgrad,
}
const PASSES: [Pass; 3] = [Pass::Fprop, Pass::Dgrad, Pass::Wgrad];

pub fn problem((n, h, w, c, k): (usize, usize, usize, usize, usize), (r, s): (usize, usize), stride: usize, pad: usize) -> ConvProblem {
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
        problem((1, 1, 2, 8, 8), (1, 1), 3, 0),    // a stride beyond the picture: classes without pixels
    ]
}

/// Lengths of the two operands and the result.
pub fn lengths(pass: Pass, pr: &ConvProblem) -> (usize, usize, usize) {
    match pass {
        Pass::Fprop => (pr.x_len(), pr.w_len(), pr.y_len()),
        Pass::Dgrad => (pr.y_len(), pr.w_len(), pr.x_len()),
        Pass::Wgrad => (pr.x_len(), pr.y_len(), pr.w_len()),
    }
}

pub fn reference(pass: Pass, pr: &ConvProblem, a: &[f64], b: &[f64]) -> Vec<f64> {
    match pass {
        Pass::Fprop => oracle::conv_fprop(pr, a, b),
        Pass::Dgrad => oracle::conv_dgrad(pr, a, b),
        Pass::Wgrad => oracle::conv_wgrad(pr, a, b),
    }
}

/// Runs one pass, `times` over on the same scratch memory, adding to `start` if given. wgrad splits the pixels in `splits`.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    pub pass: Pass,
    pub problem: &'a ConvProblem,
    pub variant: Variant,
    pub splits: usize,
    pub start: Option<&'a [f64]>,
    pub times: usize,
}

impl Job<'_> {
    pub fn run<T: Element>(&self, device: &Emulator, a: &[f64], b: &[f64]) -> Result<Vec<f64>> {
        let Self { pass, problem, variant, start, .. } = *self;
        let len = lengths(pass, problem).2;
        let (a, b) = (up::<T>(device, a), up::<T>(device, b));
        if pass == Pass::Wgrad {
            let split = Split::new(problem, variant, self.splits);
            let (mut slabs, mut tickets) = (output::<f32>(device, split.slab_len), Array::from_host(device, &vec![0u32; split.tickets])?);
            let mut dw = start.map_or_else(|| output::<f32>(device, len), |s| up::<f32>(device, s));
            for _ in 0..self.times {
                let (slabs, tickets) = (slabs.ptr_mut(), tickets.ptr_mut());
                conv::wgrad(device, problem, variant, &split, a.ptr(), b.ptr(), dw.ptr_mut(), slabs, tickets, start.is_some())?;
            }
            return Ok(down(&dw));
        }
        let mut out = start.map_or_else(|| output::<T>(device, len), |s| up::<T>(device, s));
        for _ in 0..self.times {
            if pass == Pass::Fprop {
                conv::fprop(device, problem, variant, a.ptr(), b.ptr(), out.ptr_mut())?;
            } else {
                conv::dgrad(device, problem, variant, a.ptr(), b.ptr(), out.ptr_mut(), start.is_some())?;
            }
        }
        Ok(down(&out))
    }
}

/// The design's table. bf16 results: half an ulp of the result and 1e-6 of the sum of magnitudes. The f32 gradient by the filters: 6e-7
/// of that sum. The direct kernels round a sum of f64 once.
pub fn bound<'a, T: Element>(pass: Pass, variant: Variant, want: &'a [f64], magnitude: &'a [f64]) -> impl Fn(usize) -> f64 + 'a {
    let result = if pass == Pass::Wgrad { unit::<f32>() } else { unit::<T>() };
    let sums = match (variant, pass) {
        (Variant::Direct, _) => 1e-12,
        (_, Pass::Wgrad) => 6e-7,
        _ => 1e-6,
    };
    let result = if variant != Variant::Direct && pass == Pass::Wgrad { 0.0 } else { result };
    move |i| result * want[i].abs() + sums * magnitude[i]
}

fn absolute(values: &[f64]) -> Vec<f64> {
    values.iter().map(|v| v.abs()).collect()
}

fn stored<T: Element>(pass: Pass, values: &[f64]) -> Vec<f64> {
    if pass == Pass::Wgrad { rounded::<f32>(values) } else { rounded::<T>(values) }
}

fn check<T: Element>(pass: Pass, pr: &ConvProblem) {
    let (len_a, len_b, len) = lengths(pass, pr);
    let (ia, ib, start) = (integers(1, len_a), integers(2, len_b), integers(3, len));
    let exact = reference(pass, pr, &ia, &ib);
    let added: Vec<f64> = exact.iter().zip(&start).map(|(a, b)| a + b).collect();
    let (na, nb) = (rounded::<T>(&normal(4, len_a)), rounded::<T>(&normal(5, len_b)));
    let (want, magnitude) = (reference(pass, pr, &na, &nb), reference(pass, pr, &absolute(&na), &absolute(&nb)));
    for variant in conv::variants::<T>(pr) {
        let splits: &[usize] = if pass == Pass::Wgrad && variant != Variant::Direct { &[1, 2, 5] } else { &[1] };
        for &splits in splits {
            let what = format!("{pass:?} {variant:?} {} of {pr:?} in {splits}", T::NAME);
            let job = Job { pass, problem: pr, variant, splits, start: None, times: 1 };
            let run = |job: Job, device: &Emulator, a, b| job.run::<T>(device, a, b).unwrap_or_else(|e| panic!("{what}: {e}"));
            let got = same_under_all_schedules(&what, |device| run(job, device, &ia, &ib));
            equal(&got, &stored::<T>(pass, &exact)).unwrap_or_else(|e| panic!("integers, {what}: {e}"));
            if pass != Pass::Fprop {
                let got = run(Job { start: Some(&start), ..job }, &emulator(), &ia, &ib);
                equal(&got, &stored::<T>(pass, &added)).unwrap_or_else(|e| panic!("integers added, {what}: {e}"));
            }
            let got = run(job, &emulator(), &na, &nb);
            close(&got, &want, bound::<T>(pass, variant, &want, &magnitude)).unwrap_or_else(|e| panic!("{what}: {e}"));
        }
    }
}

#[test]
fn direct_on_odd_shapes() {
    for pr in odd_problems() {
        for pass in PASSES {
            check::<f32>(pass, &pr);
            check::<bf16>(pass, &pr);
        }
    }
}

#[test]
fn fprop_on_tensor_cores() {
    tiled_problems().iter().for_each(|pr| check::<bf16>(Pass::Fprop, pr));
}

#[test]
fn dgrad_on_tensor_cores() {
    tiled_problems().iter().for_each(|pr| check::<bf16>(Pass::Dgrad, pr));
}

#[test]
fn wgrad_on_tensor_cores() {
    tiled_problems().iter().for_each(|pr| check::<bf16>(Pass::Wgrad, pr));
}

/// Normal numbers, where the order of sums shows: the splits are added in one order whichever block comes last, and a second launch on
/// the same tickets does as the first.
#[test]
fn split_sums_are_repeatable() {
    let pr = problem((2, 14, 14, 64, 72), (3, 3), 1, 1);
    let (x, dy) = (rounded::<bf16>(&normal(1, pr.x_len())), rounded::<bf16>(&normal(2, pr.y_len())));
    for variant in Variant::TILED {
        let job = |splits, times| Job { pass: Pass::Wgrad, problem: &pr, variant, splits, start: None, times };
        let once = same_under_all_schedules("wgrad", |device| job(4, 1).run::<bf16>(device, &x, &dy).unwrap());
        let again = same_under_all_schedules("wgrad again", |device| job(4, 3).run::<bf16>(device, &x, &dy).unwrap());
        equal(&once, &again).unwrap();
        let other = job(3, 1).run::<bf16>(&emulator(), &x, &dy).unwrap();
        assert!(equal(&once, &other).is_err(), "other splits should round differently, or this test sees nothing");
    }
}

#[test]
fn tensor_core_kernels_have_no_bank_conflicts() {
    let pr = problem((2, 14, 14, 64, 128), (3, 3), 1, 1);
    for pass in PASSES {
        let (len_a, len_b, _) = lengths(pass, &pr);
        for variant in Variant::TILED {
            let device = emulator();
            let job = Job { pass, problem: &pr, variant, splits: 1, start: None, times: 1 };
            job.run::<bf16>(&device, &integers(1, len_a), &integers(2, len_b)).unwrap();
            let counted = device.take_counters();
            assert!(counted.mma > 0 && counted.ldmatrix > 0 && counted.async_copies > 0, "{variant:?}: {counted:?}");
            assert_eq!(counted.shared_conflicts, 0, "{pass:?} {variant:?}");
        }
    }
}

/// Strides cost no products by zero: dgrad of 3x3 with stride 2 does as many multiplications as fprop, but for tails of tiles.
#[test]
fn strided_dgrad_multiplies_no_zeros() {
    let pr = problem((1, 32, 32, 64, 64), (3, 3), 2, 1);
    let count = |pass| {
        let device = emulator();
        let (len_a, len_b, _) = lengths(pass, &pr);
        let job = Job { pass, problem: &pr, variant: Variant::M64N64, splits: 1, start: None, times: 1 };
        job.run::<bf16>(&device, &integers(1, len_a), &integers(2, len_b)).unwrap();
        device.take_counters().mma
    };
    assert_eq!(count(Pass::Fprop), count(Pass::Dgrad));
}

#[test]
fn what_a_kernel_cannot_do_is_an_error() {
    let device = emulator();
    let pr = problem((1, 4, 4, 8, 12), (3, 3), 1, 1);
    assert_eq!(conv::variants::<bf16>(&pr), [Variant::Direct]);
    assert_eq!(conv::variants::<f32>(&problem((1, 4, 4, 8, 8), (3, 3), 1, 1)), [Variant::Direct]);
    let (x, w, mut y) = (output::<bf16>(&device, pr.x_len()), output::<bf16>(&device, pr.w_len()), output::<bf16>(&device, pr.y_len()));
    let error = conv::fprop(&device, &pr, Variant::M64N64, x.ptr(), w.ptr(), y.ptr_mut()).unwrap_err().to_string();
    assert!(error.contains("M64N64 cannot solve") && error.contains("conv_fprop"), "{error}");
    let even = ConvProblem { k: 8, ..pr };
    let error = conv::fprop(&device, &even, Variant::M64N64, x.ptr().offset(1), w.ptr(), y.ptr_mut()).unwrap_err().to_string();
    assert!(error.contains("16 bytes"), "{error}");
    let huge = ConvProblem { n: 1 << 28, ..even };
    let error = conv::fprop(&device, &huge, Variant::M64N64, x.ptr(), w.ptr(), y.ptr_mut()).unwrap_err();
    assert_eq!(error.exit_code(), 2, "{error}");
    // and a launch with arrays that are too small is found by the emulator
    let larger = ConvProblem { n: 2, ..even };
    let error = conv::fprop(&device, &larger, Variant::M64N64, x.ptr(), w.ptr(), y.ptr_mut()).unwrap_err().to_string();
    assert!(error.contains("after the end of an allocation"), "{error}");
}
