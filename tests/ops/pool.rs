//! Pooling: exact against the definition and PyTorch, ties and NaN included.

use crate::common::tolerance::{close, equal};
use crate::common::{integers, normal, oracle};
use crate::golden::{golden, numbers};
use crate::{bits, down, on_threads, poison, up};
use imagenet_engine::backend::{Memory, Pool};
use imagenet_engine::cpu::{Cpu, Real};
use imagenet_engine::shape::PoolProblem;

fn problems() -> Vec<PoolProblem> {
    let pr = |n, h, w, c, window, stride, pad| PoolProblem { n, h, w, c, window, stride, pad };
    vec![
        pr(2, 16, 16, 8, 3, 2, 1),
        pr(1, 7, 9, 5, 3, 2, 1),
        pr(2, 5, 4, 3, 2, 2, 0),
        pr(1, 6, 6, 17, 3, 1, 1),
        pr(1, 8, 7, 2, 3, 3, 0),
        pr(1, 9, 9, 1, 5, 2, 2),
    ]
}

/// `y` and the gradient by `x` for the gradient `dy`, added to `start` if given.
fn max_pool<T: Real>(pr: &PoolProblem, x: &[f64], dy: &[f64], start: Option<&[f64]>) -> (Vec<f64>, Vec<f64>) {
    let cpu = Cpu::<T>::new();
    let (x, dy) = (up(&cpu, x), up(&cpu, dy));
    let (mut y, mut position) = (poison(&cpu, pr.y_len()), cpu.empty_bytes(pr.y_len()).unwrap());
    cpu.max_pool(pr, Cpu::<T>::all(&x), Cpu::<T>::all_mut(&mut y), &mut position).unwrap();
    let mut dx = start.map_or_else(|| poison(&cpu, pr.x_len()), |s| up(&cpu, s));
    cpu.max_pool_backward(pr, Cpu::<T>::all(&dy), &position, Cpu::<T>::all_mut(&mut dx), start.is_some()).unwrap();
    (down(&cpu, &y), down(&cpu, &dx))
}

fn scatter(pr: &PoolProblem, position: &[u8], dy: &[f64]) -> Vec<f64> {
    let mut dx = vec![0.0; pr.x_len()];
    for (i, (&d, &at)) in dy.iter().zip(position).enumerate() {
        let (c, pixel) = (i % pr.c, i / pr.c);
        let (q, p, n) = (pixel % pr.q(), pixel / pr.q() % pr.p(), pixel / pr.q() / pr.p());
        let y = p * pr.stride + at as usize / pr.window - pr.pad;
        let x = q * pr.stride + at as usize % pr.window - pr.pad;
        dx[((n * pr.h + y) * pr.w + x) * pr.c + c] += d;
    }
    dx
}

fn exact<T: Real>() {
    for pr in problems() {
        for x in [integers(1, pr.x_len()), normal(2, pr.x_len())] {
            let (dy, start) = (integers(3, pr.y_len()), integers(4, pr.x_len()));
            let (want, position) = oracle::max_pool(&pr, &x);
            let dx = scatter(&pr, &position, &dy);
            let (y, got) = max_pool::<T>(&pr, &x, &dy, None);
            equal(&y, &want).unwrap_or_else(|e| panic!("{pr:?}: {e}"));
            equal(&got, &dx).unwrap_or_else(|e| panic!("{pr:?}: {e}"));
            let sum: Vec<f64> = dx.iter().zip(&start).map(|(a, b)| a + b).collect();
            equal(&max_pool::<T>(&pr, &x, &dy, Some(&start)).1, &sum).unwrap_or_else(|e| panic!("{pr:?}: {e}"));
        }
    }
}

#[test]
fn max_pool_is_exact_f32() {
    exact::<f32>();
}
#[test]
fn max_pool_is_exact_f64() {
    exact::<f64>();
}

#[test]
fn ties_and_nan_as_torch() {
    let g = golden("max_pool");
    let pr = PoolProblem { n: 2, h: 7, w: 6, c: 3, window: 3, stride: 2, pad: 1 };
    let nchw: Vec<f64> = (0..pr.y_len()).map(|i| i as f64).collect();
    // the golden gradient counts in NCHW: reorder to NHWC
    let (p, q) = (pr.p(), pr.q());
    let order = |i: usize| ((i / (p * q * 3) * 3 + i % 3) * p + i / (3 * q) % p) * q + i / 3 % q;
    let dy: Vec<f64> = (0..pr.y_len()).map(|i| nchw[order(i)]).collect();
    let (y, dx) = max_pool::<f32>(&pr, &numbers(&g["x"]), &dy, None);
    equal(&y, &numbers(&g["y"])).unwrap();
    equal(&dx, &numbers(&g["dx_of_arange_nchw"])).unwrap();
    let pixels = numbers(&g["pixel"]);
    let position = oracle::max_pool(&pr, &numbers(&g["x"])).1;
    for (i, (&at, &pixel)) in position.iter().zip(&pixels).enumerate() {
        let (row, column) = (i / (3 * q) % p * 2 + at as usize / 3 - 1, i / 3 % q * 2 + at as usize % 3 - 1);
        assert_eq!(row * 6 + column, pixel as usize, "element {i}");
    }
    // positions that are all the window's middle are rejected
    let middle = vec![4; pr.y_len()];
    assert!(equal(&scatter(&pr, &middle, &dy), &numbers(&g["dx_of_arange_nchw"])).is_err());
}

#[test]
fn average_and_its_gradient() {
    let cpu = Cpu::<f32>::new();
    let (n, pixels, c) = (3, 49, 20);
    let (x, dy, start) = (normal(1, n * pixels * c), normal(2, n * c), normal(3, n * pixels * c));
    let mut y = poison(&cpu, n * c);
    cpu.average_pool(n, pixels, c, Cpu::<f32>::all(&up(&cpu, &x)), Cpu::<f32>::all_mut(&mut y)).unwrap();
    let mean = |i: usize| (0..pixels).map(|p| x[(i / c * pixels + p) * c + i % c]).sum::<f64>() / pixels as f64;
    close(&down(&cpu, &y), &(0..n * c).map(mean).collect::<Vec<_>>(), |_| 1e-5).unwrap();
    let want: Vec<f64> = (0..x.len()).map(|i| dy[i / (pixels * c) * c + i % c] / pixels as f64).collect();
    let mut dx = poison(&cpu, x.len());
    cpu.average_pool_backward(n, pixels, c, Cpu::<f32>::all(&up(&cpu, &dy)), Cpu::<f32>::all_mut(&mut dx), false).unwrap();
    close(&down(&cpu, &dx), &want, |_| 1e-7).unwrap();
    let mut dx = up(&cpu, &start);
    cpu.average_pool_backward(n, pixels, c, Cpu::<f32>::all(&up(&cpu, &dy)), Cpu::<f32>::all_mut(&mut dx), true).unwrap();
    let sum: Vec<f64> = want.iter().zip(&start).map(|(a, b)| a + b).collect();
    close(&down(&cpu, &dx), &sum, |i| 1e-6 * (1.0 + sum[i].abs())).unwrap();
}

#[test]
fn same_bits_for_any_number_of_threads() {
    let pr = problems()[0];
    let (x, dy) = (normal(1, pr.x_len()), normal(2, pr.y_len()));
    let results = on_threads(|| {
        let (y, dx) = max_pool::<f32>(&pr, &x, &dy, None);
        (bits(&y), bits(&dx))
    });
    assert!(results[0] == results[1] && results[0] == results[2]);
}

#[test]
fn wrong_lengths_are_errors() {
    let cpu = Cpu::<f32>::new();
    let pr = problems()[0];
    let mut position = cpu.empty_bytes(pr.y_len() - 1).unwrap();
    let (x, mut y) = (vec![0.0; pr.x_len()], vec![0.0; pr.y_len()]);
    assert!(cpu.max_pool(&pr, &x, &mut y, &mut position).unwrap_err().to_string().contains("max_pool"));
    assert!(cpu.max_pool(&PoolProblem { pad: 3, ..pr }, &x, &mut y, &mut position).is_err());
    assert!(cpu.average_pool(2, 3, 4, &x[..23], &mut y[..8]).is_err());
}
