//! Pooling: values and positions exact, NaN and ties included; gradients gathered in order.

use crate::common::tolerance::{U32, close, equal};
use crate::common::{integers, normal, oracle};
use crate::device::{down, emulator, output, rounded, same_under_all_schedules, unit, up};
use half::bf16;
use imagenet_engine::cuda::emulated::Emulator;
use imagenet_engine::cuda::memory::Array;
use imagenet_engine::cuda::{Element, pool};
use imagenet_engine::error::Result;
use imagenet_engine::shape::PoolProblem;

pub fn problem(n: usize, (h, w): (usize, usize), c: usize, window: usize, stride: usize, pad: usize) -> PoolProblem {
    PoolProblem { n, h, w, c, window, stride, pad }
}

/// Values, positions, and the gradient of `dy`, added to `start` if given.
pub fn run<T: Element>(
    device: &Emulator,
    pr: &PoolProblem,
    x: &[f64],
    dy: &[f64],
    start: Option<&[f64]>,
) -> Result<(Vec<f64>, Vec<u8>, Vec<f64>)> {
    let (x, dy) = (up::<T>(device, x), up::<T>(device, dy));
    let (mut y, mut position) = (output::<T>(device, pr.y_len()), Array::<u8, _>::new(device, pr.y_len())?);
    pool::max(device, pr, x.ptr(), y.ptr_mut(), position.ptr_mut())?;
    let mut dx = start.map_or_else(|| output::<T>(device, pr.x_len()), |s| up::<T>(device, s));
    pool::max_backward(device, pr, dy.ptr(), position.ptr(), dx.ptr_mut(), start.is_some())?;
    Ok((down(&y), position.to_host()?, down(&dx)))
}

/// Where each window's gradient goes.
pub fn scatter(pr: &PoolProblem, position: &[u8], dy: &[f64]) -> Vec<f64> {
    let mut dx = vec![0.0; pr.x_len()];
    for (i, (&at, &d)) in position.iter().zip(dy).enumerate() {
        let (c, q, p, n) = (i % pr.c, i / pr.c % pr.q(), i / pr.c / pr.q() % pr.p(), i / pr.c / pr.q() / pr.p());
        let (r, s) = (at as usize / pr.window, at as usize % pr.window);
        dx[((n * pr.h + p * pr.stride + r - pr.pad) * pr.w + q * pr.stride + s - pr.pad) * pr.c + c] += d;
    }
    dx
}

fn check<T: Element>() {
    for pr in [
        problem(2, (8, 8), 8, 3, 2, 1),
        problem(2, (9, 7), 16, 3, 2, 1),
        problem(1, (5, 6), 5, 3, 1, 1),
        problem(3, (4, 4), 3, 2, 2, 0),
        problem(1, (7, 7), 9, 5, 3, 2),
        problem(1, (1, 1), 8, 3, 2, 1),
    ] {
        let what = format!("{pr:?} {}", T::NAME);
        // small integers tie often; a few are not numbers
        let mut x = integers(1, pr.x_len());
        x.iter_mut().step_by(37).for_each(|v| *v = f64::NAN);
        let dy = integers(2, pr.y_len());
        let (want, position) = oracle::max_pool(&pr, &x);
        let (y, got, dx) = run::<T>(&emulator(), &pr, &x, &dy, None).unwrap();
        equal(&y, &want).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!(got, position, "{what}");
        equal(&dx, &scatter(&pr, &position, &dy)).unwrap_or_else(|e| panic!("{what}: {e}"));
        let start = integers(3, pr.x_len());
        let added: Vec<f64> = scatter(&pr, &position, &dy).iter().zip(&start).map(|(a, b)| a + b).collect();
        equal(&run::<T>(&emulator(), &pr, &x, &dy, Some(&start)).unwrap().2, &added).unwrap_or_else(|e| panic!("{what}: {e}"));
    }
}

#[test]
fn max_f32() {
    check::<f32>();
}

#[test]
fn max_bf16() {
    check::<bf16>();
}

fn average<T: Element>() {
    for (n, pixels, c) in [(1, 1, 1), (3, 49, 24), (2, 16, 7), (5, 4, 2048)] {
        let device = emulator();
        let x = rounded::<T>(&normal(1, n * pixels * c));
        let dy = rounded::<T>(&normal(2, n * c));
        let (dx, dd) = (up::<T>(&device, &x), up::<T>(&device, &dy));
        let mut y = output::<T>(&device, n * c);
        pool::average(&device, n, pixels, c, dx.ptr(), y.ptr_mut()).unwrap();
        let at = |n: usize, p: usize, k: usize| x[(n * pixels + p) * c + k];
        let mean = |f: &dyn Fn(f64) -> f64| {
            (0..n * c).map(|i| (0..pixels).map(|p| f(at(i / c, p, i % c))).sum::<f64>() / pixels as f64).collect::<Vec<_>>()
        };
        let (want, size) = (mean(&|v| v), mean(&f64::abs));
        let u = unit::<T>();
        close(&down(&y), &want, |i| u * want[i].abs() + (pixels as f64 + 2.0) * U32 * size[i]).unwrap();
        let mut out = output::<T>(&device, n * pixels * c);
        pool::average_backward(&device, n, pixels, c, dd.ptr(), out.ptr_mut(), false).unwrap();
        let want: Vec<f64> = (0..n * pixels * c).map(|i| dy[i / c / pixels * c + i % c] / pixels as f64).collect();
        close(&down(&out), &want, |i| 2.0 * u * want[i].abs()).unwrap();
        pool::average_backward(&device, n, pixels, c, dd.ptr(), out.ptr_mut(), true).unwrap();
        close(&down(&out), &want.iter().map(|v| 2.0 * v).collect::<Vec<_>>(), |i| 6.0 * u * want[i].abs()).unwrap();
    }
}

#[test]
fn average_f32() {
    average::<f32>();
}

#[test]
fn average_bf16() {
    average::<bf16>();
}

#[test]
fn same_bits_under_all_schedules() {
    let pr = problem(2, (17, 13), 24, 3, 2, 1);
    let (x, dy) = (normal(1, pr.x_len()), normal(2, pr.y_len()));
    same_under_all_schedules("max_pool", |device| {
        let (y, position, dx) = run::<bf16>(device, &pr, &x, &dy, None).unwrap();
        [y, position.into_iter().map(f64::from).collect(), dx].concat()
    });
}

#[test]
fn unusable_problems_are_errors() {
    for pr in
        [problem(1, (4, 4), 8, 17, 1, 8), problem(1, (4, 4), 8, 2, 1, 2), problem(1, (4, 4), 8, 2, 0, 0), problem(1, (1, 4), 8, 3, 1, 0)]
    {
        let device = emulator();
        let (x, mut y) = (output::<f32>(&device, 128), output::<f32>(&device, 128));
        let mut position = Array::<u8, _>::new(&device, 128).unwrap();
        let error = pool::max(&device, &pr, x.ptr(), y.ptr_mut(), position.ptr_mut()).unwrap_err().to_string();
        assert!(error.contains("max_pool"), "{error}");
    }
}
