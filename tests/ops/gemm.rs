//! The linear layer: exact on integers, bounded on random numbers.

use crate::common::tolerance::{close, equal, sum_bound};
use crate::common::{integers, normal, oracle};
use crate::{bits, down, on_threads, poison, unit, up};
use imagenet_engine::backend::{Gemm, Memory};
use imagenet_engine::cpu::{Cpu, Real};
use imagenet_engine::shape::LinearProblem;

struct Outcome {
    y: Vec<f64>,
    dx: Vec<f64>,
    dw: Vec<f64>,
    dbias: Vec<f64>,
}

fn run<T: Real>(pr: &LinearProblem, x: &[f64], w: &[f64], bias: &[f64], dy: &[f64], start: Option<f64>) -> Outcome {
    let cpu = Cpu::<T>::new();
    let all = |b| Cpu::<T>::all(b);
    let (x, w, bias, dy) = (up(&cpu, x), up(&cpu, w), up(&cpu, bias), up(&cpu, dy));
    let fresh = |len| up(&cpu, &vec![start.unwrap_or(f64::NAN); len]);
    let (mut y, mut dx, mut dw, mut db) = (poison(&cpu, pr.n * pr.k), fresh(pr.n * pr.c), fresh(pr.k * pr.c), fresh(pr.k));
    cpu.linear_fprop(pr, all(&x), all(&w), all(&bias), Cpu::<T>::all_mut(&mut y)).unwrap();
    cpu.linear_dgrad(pr, all(&dy), all(&w), Cpu::<T>::all_mut(&mut dx), start.is_some()).unwrap();
    let (dwm, dbm) = (Cpu::<T>::all_mut(&mut dw), Cpu::<T>::all_mut(&mut db));
    cpu.linear_wgrad(pr, all(&x), all(&dy), dwm, dbm, start.is_some()).unwrap();
    Outcome { y: down(&cpu, &y), dx: down(&cpu, &dx), dw: down(&cpu, &dw), dbias: down(&cpu, &db) }
}

fn check<T: Real>() {
    for (n, c, k) in [(1, 1, 1), (2, 3, 5), (16, 512, 10), (7, 65, 130), (3, 64, 64), (1, 2048, 100), (33, 17, 129)] {
        let pr = LinearProblem { n, c, k };
        let make = |f: fn(u64, usize) -> Vec<f64>| (f(1, n * c), f(2, k * c), f(3, k), f(4, n * k));
        let (x, w, bias, dy) = make(integers);
        let column_sums = |dy: &[f64]| (0..k).map(|j| dy.iter().skip(j).step_by(k).sum::<f64>()).collect::<Vec<_>>();
        for start in [None, Some(2.0)] {
            let got = run::<T>(&pr, &x, &w, &bias, &dy, start);
            let plus = |v: Vec<f64>| v.iter().map(|v| v + start.unwrap_or(0.0)).collect::<Vec<_>>();
            equal(&got.y, &oracle::linear(&pr, &x, &w, &bias)).unwrap();
            equal(&got.dx, &plus(oracle::linear_dx(&pr, &dy, &w))).unwrap();
            equal(&got.dw, &plus(oracle::linear_dw(&pr, &x, &dy))).unwrap();
            equal(&got.dbias, &plus(column_sums(&dy))).unwrap();
        }
        let (x, w, bias, dy) = make(normal);
        let abs = |v: &[f64]| v.iter().map(|v| v.abs()).collect::<Vec<_>>();
        let got = run::<T>(&pr, &x, &w, &bias, &dy, None);
        let u = 2.0 * unit::<T>();
        let size = oracle::linear(&pr, &abs(&x), &abs(&w), &abs(&bias));
        close(&got.y, &oracle::linear(&pr, &x, &w, &bias), sum_bound(u, c + 1, &size)).unwrap();
        close(&got.dx, &oracle::linear_dx(&pr, &dy, &w), sum_bound(u, k, &oracle::linear_dx(&pr, &abs(&dy), &abs(&w)))).unwrap();
        close(&got.dw, &oracle::linear_dw(&pr, &x, &dy), sum_bound(u, n, &oracle::linear_dw(&pr, &abs(&x), &abs(&dy)))).unwrap();
        close(&got.dbias, &column_sums(&dy), sum_bound(u, n, &column_sums(&abs(&dy)))).unwrap();
    }
}

#[test]
fn linear_f32() {
    check::<f32>();
}
#[test]
fn linear_f64() {
    check::<f64>();
}

#[test]
fn same_bits_for_any_number_of_threads() {
    let pr = LinearProblem { n: 20, c: 300, k: 200 };
    let (x, w, bias, dy) = (normal(1, 6000), normal(2, 60000), normal(3, 200), normal(4, 4000));
    let results = on_threads(|| {
        let o = run::<f32>(&pr, &x, &w, &bias, &dy, None);
        [o.y, o.dx, o.dw, o.dbias].map(|v| bits(&v))
    });
    assert!(results[0] == results[1] && results[0] == results[2]);
}

#[test]
fn wrong_lengths_are_errors() {
    let cpu = Cpu::<f32>::new();
    let pr = LinearProblem { n: 2, c: 3, k: 4 };
    let (x, w, b, y) = ([0.0; 6], [0.0; 12], [0.0; 4], [0.0; 8]);
    assert!(cpu.linear_fprop(&pr, &x, &w, &b[1..], &mut y.clone()).unwrap_err().to_string().contains("linear_fprop"));
    assert!(cpu.linear_dgrad(&pr, &y, &w[1..], &mut x.clone(), false).unwrap_err().to_string().contains("linear_dgrad"));
    assert!(cpu.linear_wgrad(&pr, &x, &y, &mut w.clone(), &mut [0.0; 3], false).unwrap_err().to_string().contains("linear_wgrad"));
}
