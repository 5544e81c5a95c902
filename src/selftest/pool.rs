//! Pooling: values and positions exact, NaN and ties included; gradients gathered in order.

use super::case::{Case, Check, Expected, Output};
use super::numbers::{integers, normal, plus, rounded};
use super::ops::Ops;
use super::oracle;
use super::tolerance::{U32, unit};
use crate::cuda::Element;
use crate::shape::PoolProblem;
use half::bf16;
use std::sync::Arc;

pub const fn problem(n: usize, (h, w): (usize, usize), c: usize, window: usize, stride: usize, pad: usize) -> PoolProblem {
    PoolProblem { n, h, w, c, window, stride, pad }
}

/// Odd and even extents, channels with and without vectors, windows that overlap and that do not, one pixel. In an even extent the last
/// row is in fewer windows than its place suggests.
const MAX: [PoolProblem; 8] = [
    problem(2, (8, 8), 8, 3, 2, 1),
    EVEN_AND_ODD,
    problem(2, (9, 7), 16, 3, 2, 1),
    problem(1, (5, 6), 5, 3, 1, 1),
    problem(3, (4, 4), 3, 2, 2, 0),
    problem(1, (7, 7), 9, 5, 3, 2),
    problem(1, (1, 1), 8, 3, 2, 1),
    problem(2, (17, 13), 24, 3, 2, 1),
];
pub const EVEN_AND_ODD: PoolProblem = problem(2, (8, 7), 16, 3, 2, 1);
/// `(n, pixels, c)`.
const AVERAGE: [(usize, usize, usize); 4] = [(1, 1, 1), (3, 49, 24), (2, 16, 7), (5, 4, 2048)];

pub fn edges<O: Ops>() -> Vec<Case<O>> {
    let mut all = Vec::new();
    for pr in MAX {
        all.extend(max::<f32, O>(pr).into_iter().chain(max::<bf16, O>(pr)));
    }
    for (n, pixels, c) in AVERAGE {
        all.extend(average::<f32, O>(n, pixels, c).into_iter().chain(average::<bf16, O>(n, pixels, c)));
    }
    all
}

/// `max_pool` and its gradient.
pub fn max<T: Element, O: Ops>(pr: PoolProblem) -> Vec<Case<O>> {
    if !O::has::<T>() {
        return Vec::new();
    }
    let PoolProblem { n, h, w, c, window, stride, pad } = pr;
    let shape = format!("{n}x{h}x{w}x{c}, window {window} stride {stride} pad {pad}");
    let case = |op, prepare: fn(PoolProblem) -> Vec<Check<O>>| Case::new(("pool", op), shape.clone(), T::NAME, move |_: &O| prepare(pr));
    vec![case("max_pool", max_checks::<T, O>), case("max_pool_backward", max_backward_checks::<T, O>)]
}

/// Small integers tie often; a few are not numbers.
fn picture(pr: &PoolProblem) -> Vec<f64> {
    let mut x = integers(1, pr.x_len());
    x.iter_mut().step_by(37).for_each(|v| *v = f64::NAN);
    x
}

fn max_checks<T: Element, O: Ops>(pr: PoolProblem) -> Vec<Check<O>> {
    let check = |detail, x: Vec<f64>| {
        let (y, position) = oracle::max_pool(&pr, &x);
        let position = position.into_iter().map(f64::from).collect();
        let expected = Arc::new(vec![Expected::exact("y", y), Expected::exact("position", position)]);
        Check::new(detail, &expected, move |device: &O| device.max_pool::<T>(&pr, &x))
    };
    vec![check("ties and NaN", picture(&pr)), check("normal numbers", rounded::<T>(&normal(4, pr.x_len())))]
}

fn max_backward_checks<T: Element, O: Ops>(pr: PoolProblem) -> Vec<Check<O>> {
    let position = Arc::new(oracle::max_pool(&pr, &picture(&pr)).1);
    let (dy, start) = (Arc::new(integers(2, pr.y_len())), Arc::new(integers(3, pr.x_len())));
    let want = oracle::max_pool_backward(&pr, &position, &dy);
    let check = |detail, want, add: bool| {
        let (dy, position, start) = (dy.clone(), position.clone(), start.clone());
        Check::new(detail, &Arc::new(vec![Expected::exact("dx", want)]), move |device: &O| {
            let start = add.then_some(start.as_slice());
            Ok(vec![Output::new("dx", device.max_pool_backward::<T>(&pr, &dy, &position, start)?)])
        })
    };
    vec![check("integers", want.clone(), false), check("integers added", plus(&want, &start), true)]
}

/// `average_pool` and its gradient.
pub fn average<T: Element, O: Ops>(n: usize, pixels: usize, c: usize) -> Vec<Case<O>> {
    if !O::has::<T>() {
        return Vec::new();
    }
    type Prepare<O> = fn(usize, usize, usize) -> Vec<Check<O>>;
    let case = |op, prepare: Prepare<O>| {
        Case::new(("pool", op), format!("{n}x{pixels}x{c}"), T::NAME, move |_: &O| prepare(n, pixels, c)) //
    };
    vec![case("average_pool", average_checks::<T, O>), case("average_pool_backward", average_backward_checks::<T, O>)]
}

fn average_checks<T: Element, O: Ops>(n: usize, pixels: usize, c: usize) -> Vec<Check<O>> {
    let x = rounded::<T>(&normal(1, n * pixels * c));
    let (want, size) = oracle::average_pool(n, pixels, c, &x);
    let sums = (pixels as f64 + 2.0) * U32;
    let expected = Arc::new(vec![Expected::within("y", want.clone(), |i| unit::<T>() * want[i].abs() + sums * size[i])]);
    vec![Check::new("", &expected, move |device: &O| Ok(vec![Output::new("y", device.average_pool::<T>(n, pixels, c, &x)?)]))]
}

/// One division, and one rounding to T; or one of the sum, if added.
fn average_backward_checks<T: Element, O: Ops>(n: usize, pixels: usize, c: usize) -> Vec<Check<O>> {
    let dy = Arc::new(rounded::<T>(&normal(2, n * c)));
    let start = Arc::new(rounded::<T>(&normal(3, n * pixels * c)));
    let want: Vec<f64> = (0..n * pixels * c).map(|i| dy[i / c / pixels * c + i % c] / pixels as f64).collect();
    let added = plus(&want, &start);
    let plain = Expected::within("dx", want.clone(), |i| (unit::<T>() + U32) * want[i].abs());
    let sum = Expected::within("dx", added.clone(), |i| (unit::<T>() + U32) * added[i].abs() + U32 * want[i].abs());
    let check = |detail, expected, add: bool| {
        let (dy, start) = (dy.clone(), start.clone());
        Check::new(detail, &Arc::new(vec![expected]), move |device: &O| {
            let start = add.then_some(start.as_slice());
            Ok(vec![Output::new("dx", device.average_pool_backward::<T>(n, pixels, c, &dy, start)?)])
        })
    };
    vec![check("", plain, false), check("added", sum, true)]
}
