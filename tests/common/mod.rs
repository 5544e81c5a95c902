//! What the test binaries share: the references, bounds and numbers of the library's self-test.
#![allow(unused_imports)] // each binary uses its part

pub use imagenet_engine::selftest::numbers::{integers, normal};
pub use imagenet_engine::selftest::{oracle, tolerance};
