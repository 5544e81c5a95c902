//! Every primitive of the CPU backend against a naive f64 reference, in f32 and in f64.

#[path = "../common/mod.rs"]
mod common;

mod augment;
mod conv;
mod elementwise;
mod gemm;
mod golden;
#[path = "../common/images.rs"]
mod images;
mod loss;
mod memory;
mod norm;
mod pool;
mod update;
mod update_rules;

use imagenet_engine::backend::Memory;
use imagenet_engine::cpu::{Cpu, Real};

/// Host to device, every bit kept where the type allows.
pub fn up<T: Real>(cpu: &Cpu<T>, host: &[f64]) -> <Cpu<T> as Memory>::Buffer {
    cpu.upload_f64(host).unwrap()
}

/// An output full of NaN: what is not written shows.
pub fn poison<T: Real>(cpu: &Cpu<T>, len: usize) -> <Cpu<T> as Memory>::Buffer {
    up(cpu, &vec![f64::NAN; len])
}

pub fn down<T: Real>(cpu: &Cpu<T>, buffer: &<Cpu<T> as Memory>::Buffer) -> Vec<f64> {
    let mut host = vec![0.0; Cpu::<T>::len(buffer)];
    cpu.read_f64(Cpu::<T>::all(buffer), &mut host).unwrap();
    host
}

/// Unit roundoff of the backend's type.
pub fn unit<T: Real>() -> f64 {
    if size_of::<T>() == 4 { common::tolerance::U32 } else { common::tolerance::U64 }
}

/// Runs `f` on 1, 2 and 3 threads and returns the three results.
pub fn on_threads<R: Send>(f: impl Fn() -> R + Sync) -> Vec<R> {
    let pool = |n| rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
    [1, 2, 3].map(|n| pool(n).install(&f)).into()
}

/// Bit patterns, so that comparisons are bitwise.
pub fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|v| v.to_bits()).collect()
}
