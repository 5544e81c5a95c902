//! The numbers that cases run on: the same for the same seed, on every machine.

use crate::cuda::Element;
use crate::rng::{Purpose, Stream};

/// Standard normal numbers.
pub fn normal(seed: u64, len: usize) -> Vec<f64> {
    let mut stream = Stream::new(seed, Purpose::Test, 0, 0);
    (0..len).map(|_| f64::from(stream.normal() as f32)).collect()
}

/// Small integers in -3..=3: their sums of products are exact in f32, so results must be equal bit for bit.
pub fn integers(seed: u64, len: usize) -> Vec<f64> {
    let mut stream = Stream::new(seed, Purpose::Test, 1, 0);
    (0..len).map(|_| f64::from(stream.below(7)) - 3.0).collect()
}

pub fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut stream = Stream::new(seed, Purpose::Test, 2, 0);
    (0..len).map(|_| stream.below(256) as u8).collect()
}

pub fn words(seed: u64, len: usize) -> Vec<u32> {
    let mut stream = Stream::new(seed, Purpose::Test, 3, 0);
    (0..len).map(|_| stream.next_u32()).collect()
}

/// Rounded to `T` and back: what the device will hold.
pub fn rounded<T: Element>(values: &[f64]) -> Vec<f64> {
    values.iter().map(|&v| T::of_f64(v).to_f64()).collect()
}

pub fn absolute(values: &[f64]) -> Vec<f64> {
    values.iter().map(|v| v.abs()).collect()
}

/// Element by element.
pub fn plus(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}
