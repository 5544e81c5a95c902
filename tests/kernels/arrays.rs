//! Arrays on the emulator for tests that are no cases of the self-test.

use crate::common::tolerance::U32;
use crate::device::{emulator, schedules};
use imagenet_engine::cuda::Element;
use imagenet_engine::cuda::emulated::Emulator;
use imagenet_engine::cuda::memory::Array;

/// Rounded to `T` and back: what the device will hold.
pub fn rounded<T: Element>(values: &[f64]) -> Vec<f64> {
    values.iter().map(|&v| T::of_f64(v).to_f64()).collect()
}

pub fn up<T: Element>(device: &Emulator, values: &[f64]) -> Array<T, Emulator> {
    Array::from_host(device, &values.iter().map(|&v| T::of_f64(v)).collect::<Vec<_>>()).unwrap()
}

pub fn down<T: Element>(array: &Array<T, Emulator>) -> Vec<f64> {
    array.to_host().unwrap().into_iter().map(Element::to_f64).collect()
}

/// An output; the emulator fills new memory with NaN.
pub fn output<T: Element>(device: &Emulator, len: usize) -> Array<T, Emulator> {
    Array::new(device, len).unwrap()
}

pub fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|v| v.to_bits()).collect()
}

/// Unit roundoff of the type in which a result is stored.
pub fn unit<T: Element>() -> f64 {
    if T::IS_BF16 { 1.0 / 256.0 } else { U32 }
}

/// Runs `f` under every schedule; all must give the same bits, which come back.
pub fn same_under_all_schedules(what: &str, f: impl Fn(&Emulator) -> Vec<f64>) -> Vec<f64> {
    let base = emulator();
    let results: Vec<Vec<f64>> = schedules().into_iter().map(|s| f(&base.with(s))).collect();
    for (result, schedule) in results.iter().zip(schedules()) {
        assert!(bits(result) == bits(&results[0]), "{what}: other bits under {schedule:?}");
    }
    results.into_iter().next().unwrap()
}
