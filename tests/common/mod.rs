//! What the test binaries share. Include with `#[path = "../common/mod.rs"] mod common;`.
#![allow(dead_code)] // each binary uses its part

pub mod oracle;
pub mod tolerance;

use imagenet_engine::rng::{Purpose, Stream};

/// Standard normal numbers, the same for the same seed.
pub fn normal(seed: u64, len: usize) -> Vec<f64> {
    let mut stream = Stream::new(seed, Purpose::Test, 0, 0);
    (0..len).map(|_| f64::from(stream.normal() as f32)).collect()
}

/// Small integers in -3..=3: their sums of products are exact in f32, so results must be equal bit for bit.
pub fn integers(seed: u64, len: usize) -> Vec<f64> {
    let mut stream = Stream::new(seed, Purpose::Test, 1, 0);
    (0..len).map(|_| f64::from(stream.below(7)) - 3.0).collect()
}
