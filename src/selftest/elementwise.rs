//! ReLU, its gradient, sums and conversions: exact, NaN included, at every tail length.

use super::case::{Case, Check, Expected, Output};
use super::numbers::{normal, rounded};
use super::on_driver::{OnDriver, down};
use super::ops::Ops;
use crate::cuda::launch::Driver;
use crate::cuda::{Element, elementwise};
use half::bf16;
use std::sync::Arc;

/// Around a thread's eight elements, a block's 2048, and several blocks.
const LENGTHS: [usize; 11] = [1, 2, 7, 8, 9, 31, 2047, 2048, 2049, 2051, 70_001];

pub fn edges<O: Ops>() -> Vec<Case<O>> {
    LENGTHS.into_iter().flat_map(|len| cases::<f32, O>(len).into_iter().chain(cases::<bf16, O>(len))).collect()
}

/// All operations on `len` elements.
pub fn cases<T: Element, O: Ops>(len: usize) -> Vec<Case<O>> {
    if !O::has::<T>() {
        return Vec::new();
    }
    type Prepare<O> = fn(Arc<(Vec<f64>, Vec<f64>)>) -> Vec<Check<O>>;
    let case = |op, prepare: Prepare<O>| {
        Case::new(("elementwise", op), format!("{len} elements"), T::NAME, move |_: &O| prepare(Arc::new(numbers::<T>(len))))
    };
    vec![case("relu", relu::<T, O>), case("relu_backward", relu_backward::<T, O>), case("add", add::<T, O>)]
}

/// Two operands; the first begins with NaN and zero.
fn numbers<T: Element>(len: usize) -> (Vec<f64>, Vec<f64>) {
    let (mut a, b) = (rounded::<T>(&normal(1, len)), rounded::<T>(&normal(2, len)));
    a.iter_mut().take(len / 2).zip([f64::NAN, 0.0]).for_each(|(a, special)| *a = special);
    (a, b)
}

type Both = Arc<(Vec<f64>, Vec<f64>)>;

fn each<T: Element>(both: &Both, f: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    rounded::<T>(&both.0.iter().zip(&both.1).map(|(&a, &b)| f(a, b)).collect::<Vec<_>>())
}

fn exact(want: Vec<f64>) -> Arc<Vec<Expected>> {
    Arc::new(vec![Expected::exact("out", want)])
}

fn relu<T: Element, O: Ops>(both: Both) -> Vec<Check<O>> {
    let want = each::<T>(&both, |a, _| if a < 0.0 { 0.0 } else { a });
    vec![Check::new("", &exact(want), move |device: &O| Ok(vec![Output::new("out", device.relu::<T>(&both.0)?)]))]
}

fn relu_backward<T: Element, O: Ops>(both: Both) -> Vec<Check<O>> {
    let masked = each::<T>(&both, |a, b| if a > 0.0 { b } else { 0.0 });
    let twice = masked.iter().map(|v| 2.0 * v).collect();
    let check = |detail, want, start: Option<Vec<f64>>| {
        let both = both.clone();
        Check::new(detail, &exact(want), move |device: &O| {
            Ok(vec![Output::new("out", device.relu_backward::<T>(&both.0, &both.1, start.as_deref())?)])
        })
    };
    vec![check("", masked.clone(), None), check("added", twice, Some(masked.clone()))]
}

/// By way of f32: a sum of two bf16 is not always exact there, and f64 would round once where the kernel rounds twice.
fn add<T: Element, O: Ops>(both: Both) -> Vec<Check<O>> {
    let want = exact(each::<T>(&both, |a, b| f64::from((a + b) as f32)));
    let again = both.clone();
    vec![
        Check::new("", &want, move |device: &O| Ok(vec![Output::new("out", device.add::<T>(&both.0, &both.1)?)])),
        Check::new("in place", &want, move |device: &O| Ok(vec![Output::new("out", device.add_into::<T>(&again.0, &again.1)?)])),
    ]
}

/// f32 to bf16 rounds to nearest even, and back is exact: halfway cases of both parities, the largest finite, what rounds to infinity,
/// subnormals, NaN.
pub fn conversions<D: Driver>() -> Case<OnDriver<D>> {
    Case::new(("elementwise", "convert"), "1010 elements", "both", |_: &OnDriver<D>| {
        let mut values: Vec<f64> = normal(3, 1000);
        let special =
            [0x3F80_8000u32, 0x3F81_8000, 0x3F80_8001, 0x3F80_7FFF, 0x7F7F_FFFF, 0x7F80_0000, 0x0000_8000, 0x0001_8000, 0x8000_0001];
        values.extend(special.iter().map(|&bits| f64::from(f32::from_bits(bits))));
        values.push(f64::NAN);
        let want: Vec<f64> = values.iter().map(|&v| bf16::from_f32(v as f32).to_f64()).collect();
        let expected = Arc::new(vec![Expected::exact("narrow", want.clone()), Expected::exact("wide", want)]);
        vec![Check::new("", &expected, move |device: &OnDriver<D>| {
            let from = device.up::<f32>(&values)?;
            let (mut narrow, mut wide) = (device.output::<bf16>(values.len())?, device.output::<f32>(values.len())?);
            elementwise::narrow(device.driver(), values.len(), from.ptr(), narrow.ptr_mut())?;
            elementwise::widen(device.driver(), values.len(), narrow.ptr(), wide.ptr_mut())?;
            device.check_guards()?;
            Ok(vec![Output::new("narrow", down(&narrow)?), Output::new("wide", down(&wide)?)])
        })]
    })
}
