//! Convolution: exact on small integers, bounded on random numbers, the same bits for any number of threads.

use crate::common::tolerance::{close, equal, sum_bound};
use crate::common::{integers, normal, oracle};
use crate::{bits, down, on_threads, poison, unit, up};
use imagenet_engine::backend::{Conv, Memory};
use imagenet_engine::cpu::{Cpu, Real};
use imagenet_engine::error::Error;
use imagenet_engine::shape::ConvProblem;

#[derive(Clone, Copy, PartialEq, Debug)]
enum Pass {
    Fprop,
    Dgrad,
    Wgrad,
}
const PASSES: [Pass; 3] = [Pass::Fprop, Pass::Dgrad, Pass::Wgrad];

fn problem((n, h, w, c, k): (usize, usize, usize, usize, usize), (r, s): (usize, usize), stride: usize, pad: usize) -> ConvProblem {
    ConvProblem { n, h, w, c, k, r, s, stride, pad }
}

fn problems() -> Vec<ConvProblem> {
    let mut all = vec![
        // the layer kinds of a ResNet, small
        problem((2, 14, 14, 16, 32), (1, 1), 1, 0),
        problem((2, 14, 14, 32, 48), (1, 1), 2, 0),
        problem((2, 14, 14, 24, 24), (3, 3), 1, 1),
        problem((2, 14, 14, 16, 24), (3, 3), 2, 1),
        problem((2, 18, 18, 3, 16), (7, 7), 2, 3),
        // odd extents, counts that are no multiple of eight, batch 1
        problem((1, 7, 7, 5, 9), (3, 3), 1, 1),
        problem((3, 15, 9, 7, 13), (3, 3), 2, 1),
        problem((1, 13, 11, 1, 1), (1, 1), 1, 0),
        problem((1, 13, 11, 3, 17), (1, 1), 2, 0),
        problem((1, 9, 8, 33, 65), (3, 3), 1, 1),
        // generic: other filters, strides and paddings, padding beyond the filter
        problem((2, 9, 10, 3, 5), (5, 5), 1, 2),
        problem((2, 9, 10, 3, 5), (5, 5), 2, 2),
        problem((2, 8, 6, 4, 6), (2, 2), 2, 0),
        problem((2, 8, 7, 4, 6), (2, 2), 1, 1),
        problem((2, 11, 12, 3, 4), (3, 3), 3, 1),
        problem((2, 11, 12, 3, 4), (1, 1), 3, 0),
        problem((2, 12, 13, 2, 3), (2, 2), 3, 0),
        problem((2, 6, 5, 3, 4), (1, 1), 1, 2),
        problem((2, 6, 5, 3, 4), (3, 3), 1, 3),
        problem((1, 7, 6, 3, 4), (1, 1), 2, 1),
        problem((2, 7, 9, 3, 4), (1, 3), 1, 1),
        problem((2, 9, 7, 3, 4), (3, 1), 2, 1),
        problem((1, 3, 3, 4, 4), (3, 3), 1, 0),
        problem((1, 7, 7, 2, 3), (7, 7), 1, 3),
        problem((1, 1, 1, 8, 8), (3, 3), 1, 1),
        problem((1, 2, 2, 8, 8), (3, 3), 2, 1),
        problem((5, 4, 4, 16, 16), (3, 3), 2, 1),
        // many tiles with a tail: 48 rows is the smallest tile
        problem((1, 49, 1, 3, 4), (1, 1), 1, 0),
        problem((1, 95, 1, 3, 4), (1, 1), 1, 0),
        problem((1, 97, 17, 4, 6), (3, 3), 1, 1),
        problem((1, 33, 31, 20, 18), (3, 3), 1, 1),
        problem((1, 65, 64, 4, 8), (3, 3), 2, 1),
        problem((17, 6, 6, 8, 8), (3, 3), 1, 1),
        problem((1, 1025, 1, 8, 16), (1, 1), 1, 0),
        // deep: filter rows one after the other, gradients by the filters in groups of rows or taps, strips of filters
        problem((1, 5, 4, 240, 6), (3, 3), 1, 1),
        problem((1, 5, 4, 6, 240), (3, 3), 1, 1),
        problem((1, 6, 5, 345, 3), (3, 3), 2, 1),
        problem((1, 6, 5, 8, 300), (1, 1), 1, 0),
        problem((1, 6, 5, 8, 520), (1, 1), 2, 0),
    ];
    for stride in 1..=3 {
        for pad in 0..=3 {
            all.push(problem((1, 8, 9, 2, 3), (3, 3), stride, pad));
        }
    }
    all
}

/// Runs one pass on `a` (x, dy or x) and `b` (w, w or dy), adding to `start` if given.
fn run<T: Real>(pass: Pass, pr: &ConvProblem, a: &[f64], b: &[f64], start: Option<&[f64]>) -> Vec<f64> {
    let cpu = Cpu::<T>::new();
    let (a, b) = (up(&cpu, a), up(&cpu, b));
    let (a, b) = (Cpu::<T>::all(&a), Cpu::<T>::all(&b));
    let len = [pr.y_len(), pr.x_len(), pr.w_len()][pass as usize];
    let mut out = start.map_or_else(|| poison(&cpu, len), |s| up(&cpu, s));
    match pass {
        Pass::Fprop => cpu.conv_fprop(pr, a, b, Cpu::<T>::all_mut(&mut out)),
        Pass::Dgrad => cpu.conv_dgrad(pr, a, b, Cpu::<T>::all_mut(&mut out), start.is_some()),
        Pass::Wgrad => cpu.conv_wgrad(pr, a, b, Cpu::<T>::all_mut(&mut out), start.is_some()),
    }
    .unwrap();
    down(&cpu, &out)
}

fn oracle(pass: Pass, pr: &ConvProblem, a: &[f64], b: &[f64]) -> Vec<f64> {
    match pass {
        Pass::Fprop => oracle::conv_fprop(pr, a, b),
        Pass::Dgrad => oracle::conv_dgrad(pr, a, b),
        Pass::Wgrad => oracle::conv_wgrad(pr, a, b),
    }
}

fn inputs(pass: Pass, pr: &ConvProblem, make: impl Fn(u64, usize) -> Vec<f64>) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let (x, w, y) = (pr.x_len(), pr.w_len(), pr.y_len());
    let (a, b, out) = [(x, w, y), (y, w, x), (x, y, w)][pass as usize];
    (make(1, a), make(2, b), make(3, out))
}

/// Products per element of the result.
fn terms(pass: Pass, pr: &ConvProblem) -> usize {
    [pr.r * pr.s * pr.c, pr.r * pr.s * pr.k, pr.n * pr.p() * pr.q()][pass as usize]
}

fn exact<T: Real>() {
    for pr in problems() {
        for pass in PASSES {
            let (a, b, start) = inputs(pass, &pr, integers);
            let want = oracle(pass, &pr, &a, &b);
            equal(&run::<T>(pass, &pr, &a, &b, None), &want).unwrap_or_else(|e| panic!("{pass:?} of {pr:?}: {e}"));
            if pass != Pass::Fprop {
                let sum: Vec<f64> = want.iter().zip(&start).map(|(a, b)| a + b).collect();
                equal(&run::<T>(pass, &pr, &a, &b, Some(&start)), &sum).unwrap_or_else(|e| panic!("adding {pass:?} of {pr:?}: {e}"));
            }
        }
    }
}

fn bounded<T: Real>() {
    let abs = |v: &[f64]| v.iter().map(|v| v.abs()).collect::<Vec<_>>();
    for pr in problems() {
        for pass in PASSES {
            let (a, b, start) = inputs(pass, &pr, normal);
            let want = oracle(pass, &pr, &a, &b);
            let magnitude = oracle(pass, &pr, &abs(&a), &abs(&b));
            // the oracle's own f64 error is within the bound's f64 instance, hence the factor two
            let bound = sum_bound(2.0 * unit::<T>(), terms(pass, &pr), &magnitude);
            close(&run::<T>(pass, &pr, &a, &b, None), &want, &bound).unwrap_or_else(|e| panic!("{pass:?} of {pr:?}: {e}"));
            if pass != Pass::Fprop {
                let sum: Vec<f64> = want.iter().zip(&start).map(|(a, b)| a + b).collect();
                let bound = |i: usize| bound(i) + 2.0 * unit::<T>() * (start[i].abs() + sum[i].abs());
                close(&run::<T>(pass, &pr, &a, &b, Some(&start)), &sum, bound).unwrap_or_else(|e| panic!("adding {pass:?} of {pr:?}: {e}"));
            }
        }
    }
}

#[test]
fn exact_on_integers_f32() {
    exact::<f32>();
}
#[test]
fn exact_on_integers_f64() {
    exact::<f64>();
}
#[test]
fn within_the_rounding_bound_f32() {
    bounded::<f32>();
}
#[test]
fn within_the_rounding_bound_f64() {
    bounded::<f64>();
}

#[test]
fn same_bits_for_any_number_of_threads() {
    for pr in [
        problem((3, 28, 28, 32, 40), (3, 3), 1, 1),
        problem((3, 28, 28, 32, 40), (3, 3), 2, 1),
        problem((3, 28, 28, 32, 40), (1, 1), 1, 0),
        problem((2, 56, 56, 3, 16), (7, 7), 2, 3),
    ] {
        for pass in PASSES {
            let (a, b, _) = inputs(pass, &pr, normal);
            let results = on_threads(|| bits(&run::<f32>(pass, &pr, &a, &b, None)));
            assert!(results.iter().all(|r| *r == results[0]), "{pass:?} of {pr:?}");
        }
    }
}

#[test]
fn wrong_lengths_are_errors() {
    let cpu = Cpu::<f32>::new();
    let pr = problem((1, 4, 4, 2, 3), (3, 3), 1, 1);
    let (x, w, y) = (vec![0.0; pr.x_len()], vec![0.0; pr.w_len()], vec![0.0; pr.y_len()]);
    let is_internal = |r: Result<(), Error>, op: &str| {
        let e = r.unwrap_err();
        assert!(matches!(e, Error::Internal(_)) && e.to_string().contains(op), "{e}");
    };
    is_internal(cpu.conv_fprop(&pr, &x[1..], &w, &mut y.clone()), "conv_fprop");
    is_internal(cpu.conv_fprop(&pr, &x, &w[1..], &mut y.clone()), "conv_fprop");
    is_internal(cpu.conv_fprop(&pr, &x, &w, &mut y.clone()[1..]), "conv_fprop");
    is_internal(cpu.conv_dgrad(&pr, &y, &w, &mut x.clone()[1..], false), "conv_dgrad");
    is_internal(cpu.conv_wgrad(&pr, &x, &y[1..], &mut w.clone(), false), "conv_wgrad");
    let empty = ConvProblem { stride: 0, ..pr };
    assert!(cpu.conv_fprop(&empty, &x, &w, &mut y.clone()).is_err());
}

/// The comparison must be able to say no: two swapped taps, one shifted pixel, a dropped padding row.
#[test]
fn a_wrong_result_is_rejected() {
    let pr = problem((1, 9, 8, 4, 6), (3, 3), 1, 1);
    let (x, w, _) = inputs(Pass::Fprop, &pr, integers);
    let got = run::<f32>(Pass::Fprop, &pr, &x, &w, None);
    let mut swapped = w.clone();
    let (a, b) = swapped[..8].split_at_mut(4);
    a.swap_with_slice(b);
    assert!(equal(&got, &oracle::conv_fprop(&pr, &x, &swapped)).is_err());
    let mut shifted = x.clone();
    shifted.rotate_left(pr.c);
    assert!(equal(&got, &oracle::conv_fprop(&pr, &shifted, &w)).is_err());
    let mut off = got.clone();
    off[17] = f64::NAN;
    assert!(equal(&off, &got).is_err());
}
