//! Convolution: the self-test's cases under every schedule, and what the emulator counts.

use crate::device::{emulator, every_layer, on, pass_under_all_schedules, schedules};
use half::bf16;
use imagenet_engine::cuda::conv::{self, Variant};
use imagenet_engine::cuda::memory::Array;
use imagenet_engine::selftest::Ops;
use imagenet_engine::selftest::conv::{edges, problem};
use imagenet_engine::selftest::numbers::{integers, normal};
use imagenet_engine::selftest::ops::ConvJob;
use imagenet_engine::selftest::oracle::Pass;
use imagenet_engine::shape::ConvProblem;

fn edges_of(pass: Pass) {
    let cases: Vec<_> = edges().into_iter().filter(|c| c.op == pass.op()).collect();
    pass_under_all_schedules(&cases);
}

#[test]
fn fprop() {
    edges_of(Pass::Fprop);
}

#[test]
fn dgrad() {
    edges_of(Pass::Dgrad);
}

#[test]
fn wgrad() {
    edges_of(Pass::Wgrad);
}

#[test]
fn every_layer_of_every_resnet() {
    every_layer("conv");
}

/// Normal numbers, where the order of sums shows: a second launch on the same tickets does as the first, and other splits do not.
#[test]
fn split_sums_are_repeatable() {
    let pr = problem((2, 14, 14, 64, 72), (3, 3), 1, 1);
    let (x, dy) = (normal(1, pr.x_len()), normal(2, pr.y_len()));
    for variant in Variant::TILED {
        let job = |splits, times| ConvJob { pass: Pass::Wgrad, problem: &pr, variant, splits, start: None, times };
        let run = |schedule, job: ConvJob| on(emulator().with(schedule)).conv::<bf16>(&job, &x, &dy).unwrap();
        let once = run(schedules()[0], job(4, 1));
        for schedule in schedules() {
            assert!(run(schedule, job(4, 1)) == once && run(schedule, job(4, 3)) == once, "{variant:?} under {schedule:?}");
        }
        assert!(run(schedules()[0], job(3, 1)) != once, "other splits should round differently, or this test sees nothing");
    }
}

#[test]
fn tensor_core_kernels_have_no_bank_conflicts() {
    let pr = problem((2, 14, 14, 64, 128), (3, 3), 1, 1);
    for pass in Pass::ALL {
        let (len_a, len_b, _) = pass.lengths(&pr);
        for variant in Variant::TILED {
            let emulator = emulator();
            let job = ConvJob { pass, problem: &pr, variant, splits: 1, start: None, times: 1 };
            on(emulator.clone()).conv::<bf16>(&job, &integers(1, len_a), &integers(2, len_b)).unwrap();
            let counted = emulator.take_counters();
            assert!(counted.mma > 0 && counted.ldmatrix > 0 && counted.async_copies > 0, "{variant:?}: {counted:?}");
            assert_eq!(counted.shared_conflicts, 0, "{pass:?} {variant:?}");
        }
    }
}

/// Strides cost no products by zero: dgrad of 3x3 with stride 2 does as many multiplications as fprop, but for tails of tiles.
#[test]
fn strided_dgrad_multiplies_no_zeros() {
    let pr = problem((1, 32, 32, 64, 64), (3, 3), 2, 1);
    let count = |pass: Pass| {
        let emulator = emulator();
        let (len_a, len_b, _) = pass.lengths(&pr);
        let job = ConvJob { pass, problem: &pr, variant: Variant::M64N64, splits: 1, start: None, times: 1 };
        on(emulator.clone()).conv::<bf16>(&job, &integers(1, len_a), &integers(2, len_b)).unwrap();
        emulator.take_counters().mma
    };
    assert_eq!(count(Pass::Fprop), count(Pass::Dgrad));
}

#[test]
fn what_a_kernel_cannot_do_is_an_error() {
    let device = emulator();
    let pr = problem((1, 4, 4, 8, 12), (3, 3), 1, 1);
    assert_eq!(conv::variants::<bf16>(&pr), [Variant::Direct]);
    assert_eq!(conv::variants::<f32>(&problem((1, 4, 4, 8, 8), (3, 3), 1, 1)), [Variant::Direct]);
    let output = |len| Array::<bf16, _>::new(&device, len).unwrap();
    let (x, w, mut y) = (output(pr.x_len()), output(pr.w_len()), output(pr.y_len()));
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
