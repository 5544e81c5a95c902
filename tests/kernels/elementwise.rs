//! ReLU, its gradient, sums and conversions: exact, NaN included, at every tail length.

use crate::common::normal;
use crate::common::tolerance::equal;
use crate::device::{down, emulator, output, rounded, up};
use half::bf16;
use imagenet_engine::cuda::{Element, elementwise};

fn check<T: Element>() {
    let device = emulator();
    for len in [1, 2, 7, 8, 9, 31, 2047, 2048, 2049, 70_001] {
        let (mut a, b) = (rounded::<T>(&normal(1, len)), rounded::<T>(&normal(2, len)));
        if len > 2 {
            (a[0], a[1]) = (f64::NAN, 0.0);
        }
        let each = |f: &dyn Fn(f64, f64) -> f64| rounded::<T>(&a.iter().zip(&b).map(|(&a, &b)| f(a, b)).collect::<Vec<_>>());
        let (da, db) = (up::<T>(&device, &a), up::<T>(&device, &b));

        let mut out = output::<T>(&device, len);
        elementwise::relu(&device, len, da.ptr(), out.ptr_mut()).unwrap();
        equal(&down(&out), &each(&|a, _| if a < 0.0 { 0.0 } else { a })).unwrap();

        let mut out = output::<T>(&device, len);
        elementwise::relu_backward(&device, len, da.ptr(), db.ptr(), out.ptr_mut(), false).unwrap();
        let masked = each(&|a, b| if a > 0.0 { b } else { 0.0 });
        equal(&down(&out), &masked).unwrap();
        elementwise::relu_backward(&device, len, da.ptr(), db.ptr(), out.ptr_mut(), true).unwrap();
        equal(&down(&out), &masked.iter().map(|v| 2.0 * v).collect::<Vec<_>>()).unwrap();

        let mut out = output::<T>(&device, len);
        elementwise::add(&device, len, da.ptr(), db.ptr(), out.ptr_mut()).unwrap();
        // f64 to bf16 rounds once, the kernel by way of f32: a sum of two bf16 is not always exact in f32, so round the same way
        let sum = each(&|a, b| f64::from((a + b) as f32));
        equal(&down(&out), &sum).unwrap();
        let mut into = up::<T>(&device, &b);
        let target = into.ptr_mut();
        elementwise::add(&device, len, da.ptr(), target.to_read(), target).unwrap();
        equal(&down(&into), &sum).unwrap();
    }
}

#[test]
fn exact_f32() {
    check::<f32>();
}

#[test]
fn exact_bf16() {
    check::<bf16>();
}

#[test]
fn conversions_round_to_nearest_even() {
    let device = emulator();
    let mut values: Vec<f64> = normal(3, 1000);
    // halfway cases of both parities, the largest finite, what rounds to infinity, subnormals
    for bits in [0x3F80_8000u32, 0x3F81_8000, 0x3F80_8001, 0x3F80_7FFF, 0x7F7F_FFFF, 0x7F80_0000, 0x0000_8000, 0x0001_8000, 0x8000_0001] {
        values.push(f64::from(f32::from_bits(bits)));
    }
    values.push(f64::NAN);
    let (from, mut narrow, mut wide) =
        (up::<f32>(&device, &values), output::<bf16>(&device, values.len()), output::<f32>(&device, values.len()));
    elementwise::narrow(&device, values.len(), from.ptr(), narrow.ptr_mut()).unwrap();
    let want: Vec<f64> = values.iter().map(|&v| bf16::from_f32(v as f32).to_f64()).collect();
    equal(&down(&narrow), &want).unwrap();
    elementwise::widen(&device, values.len(), narrow.ptr(), wide.ptr_mut()).unwrap();
    equal(&down(&wide), &want).unwrap();
}
