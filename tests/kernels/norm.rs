//! Batch norm, under every schedule.

use crate::device::{emulator, every_layer, pass_under_all_schedules};
use imagenet_engine::backend::NormProblem;
use imagenet_engine::cuda::launch::Ptr;
use imagenet_engine::cuda::memory::Array;
use imagenet_engine::cuda::norm;
use imagenet_engine::selftest::numbers::normal;
use imagenet_engine::selftest::tolerance::close;
use imagenet_engine::selftest::{self, oracle};

#[test]
fn edges_of_tiles() {
    pass_under_all_schedules(&selftest::norm::edges());
}

#[test]
fn every_layer_of_every_resnet() {
    every_layer("norm");
}

/// The case of a mean of 100 sigma bites: the one-pass formula in f32 is rejected by its bound on the variance.
#[test]
fn sums_of_squares_would_not_pass() {
    let y: Vec<f64> = normal(9, 3136 * 16).iter().map(|v| f64::from((100.0 + v) as f32)).collect();
    let (_, variance) = oracle::moments(16, &y);
    let naive = |c: usize| {
        let (mut s, mut q) = (0.0f32, 0.0f32);
        for v in y.iter().skip(c).step_by(16) {
            s += *v as f32;
            q += (*v as f32).powi(2);
        }
        f64::from(q / 3136.0 - (s / 3136.0).powi(2))
    };
    assert!(close(&(0..16).map(naive).collect::<Vec<_>>(), &variance, |i| 1e-5 * variance[i]).is_err());
}

#[test]
fn too_few_pixels_and_a_missing_mask_are_errors() {
    let device = emulator();
    let mut d = Array::<f32, _>::new(&device, 32).unwrap();
    let (read, write) = (d.ptr(), d.ptr_mut());
    let one = NormProblem { pixels: 1, channels: 8, eps: 1e-5, momentum: 0.1, relu: false };
    let arrays =
        norm::Train { y: read, gamma: read, beta: read, residual: Ptr::null(), running: write, saved: write, out: write, tiles: write };
    assert!(norm::train(&device, &one, &arrays).unwrap_err().to_string().contains("norm_train"));
    let relu = NormProblem { pixels: 4, relu: true, ..one };
    let arrays = norm::Backward {
        d: write,
        out: Ptr::null(),
        y: read,
        gamma: read,
        saved: read,
        dgamma: write,
        dbeta: write,
        dy: write,
        tiles: write,
        coefficients: write,
    };
    assert!(norm::backward(&device, &relu, &arrays, false).unwrap_err().to_string().contains("mask"));
}
