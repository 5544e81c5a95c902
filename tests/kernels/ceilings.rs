//! The kernels that measure the machine give the right results, so they do the work that their rates are counted from; and the noise
//! that kernels are timed on is what it says.

use crate::device::emulator;
use half::bf16;
use imagenet_engine::cuda::handles::{
    CeilingCopy, CeilingMma, CeilingRead, CeilingWgmmaN64, CeilingWgmmaN128, CeilingWgmmaN256, NoiseBf16, NoiseF32,
};
use imagenet_engine::cuda::launch::{Dims, launch};
use imagenet_engine::cuda::memory::Array;

fn dims(blocks: u32, threads: u32) -> Dims {
    Dims { grid: [blocks, 1, 1], block: [threads, 1, 1], shared_bytes: 0 }
}

fn small_integers(len: usize) -> Vec<f32> {
    (0..len).map(|i| (i * 37 % 29) as f32 - 14.0).collect()
}

#[test]
fn copying_copies_everything() {
    let device = emulator();
    // below one round of loads in flight, several rounds, and tails
    for vectors in [1usize, 63, 1024, 5000] {
        let host = small_integers(4 * vectors);
        let (from, mut to) = (Array::from_host(&device, &host).unwrap(), Array::<f32, _>::new(&device, host.len()).unwrap());
        launch(&device, &dims(2, 256), &CeilingCopy { from: from.ptr(), to: to.ptr_mut(), count: vectors as u64 }).unwrap();
        assert_eq!(to.to_host().unwrap(), host, "{vectors}");
    }
}

#[test]
fn reading_reads_everything_every_round() {
    let device = emulator();
    for (vectors, rounds) in [(1usize, 1), (777, 3), (5000, 2)] {
        let host = small_integers(4 * vectors);
        let (from, mut sink) = (Array::from_host(&device, &host).unwrap(), Array::<f32, _>::new(&device, 512).unwrap());
        launch(&device, &dims(2, 256), &CeilingRead { from: from.ptr(), sink: sink.ptr_mut(), count: vectors as u64, rounds }).unwrap();
        let total: f64 = sink.to_host().unwrap().iter().map(|&v| f64::from(v)).sum();
        assert_eq!(total, f64::from(rounds) * host.iter().map(|&v| f64::from(v)).sum::<f64>(), "{vectors}");
    }
}

/// Each lane's sum over its part of eight products A * B_j, as often as there are rounds.
#[test]
fn mma_rate_multiplies_as_often_as_it_says() {
    let device = emulator();
    let numbers = |len: usize| (0..len).map(|i| bf16::from_f32((i * 31 % 7) as f32 - 3.0)).collect::<Vec<_>>();
    let (a, b) = (numbers(32 * 8), numbers(8 * 32 * 4));
    let (da, db) = (Array::from_host(&device, &a).unwrap(), Array::from_host(&device, &b).unwrap());
    let (mut sink, rounds) = (Array::<f32, _>::new(&device, 64).unwrap(), 3);
    device.take_counters();
    launch(&device, &dims(1, 64), &CeilingMma { a: da.ptr().cast(), b: db.ptr().cast(), sink: sink.ptr_mut(), rounds }).unwrap();
    assert_eq!(device.take_counters().mma, 2 * 3 * 8);
    // lane l, word w of a fragment: as in conformance.rs
    let left = |row: usize, k: usize| a[(row % 8 * 4 + k % 8 / 2) * 8 + (row / 8 + k / 8 * 2) * 2 + k % 2].to_f64();
    let right = |j: usize, k: usize, column: usize| b[(32 * j + column * 4 + k % 8 / 2) * 4 + k / 8 * 2 + k % 2].to_f64();
    for (thread, got) in sink.to_host().unwrap().into_iter().enumerate() {
        let lane = thread % 32;
        let mut want = 0.0;
        for (j, e) in (0..8).flat_map(|j| (0..4).map(move |e| (j, e))) {
            let (row, column) = (lane / 4 + e / 2 * 8, lane % 4 * 2 + e % 2);
            want += (0..16).map(|k| left(row, k) * right(j, k, column)).sum::<f64>();
        }
        assert_eq!(f64::from(got), f64::from(rounds) * want, "thread {thread}");
    }
}

/// Each thread's sum over its part of A * B^T, as often as there are rounds.
#[test]
fn wgmma_rate_multiplies_as_often_as_it_says() {
    let device = emulator();
    let rounds = 2;
    for columns in [64usize, 128, 256] {
        let rows: Vec<bf16> = (0..(128 + columns) * 64).map(|i| bf16::from_f32((i * 31 % 7) as f32 - 3.0)).collect();
        let operands = Array::from_host(&device, &rows).unwrap();
        let mut sink = Array::<f32, _>::new(&device, 256).unwrap();
        let dims = Dims { shared_bytes: ((128 + columns) * 128) as u32, ..dims(1, 256) };
        let (from, to) = (operands.ptr().cast(), sink.ptr_mut());
        device.take_counters();
        match columns {
            64 => launch(&device, &dims, &CeilingWgmmaN64 { operands: from, sink: to, rounds }).unwrap(),
            128 => launch(&device, &dims, &CeilingWgmmaN128 { operands: from, sink: to, rounds }).unwrap(),
            _ => launch(&device, &dims, &CeilingWgmmaN256 { operands: from, sink: to, rounds }).unwrap(),
        }
        assert_eq!(device.take_counters().wgmma, 8 * 2 * 32);
        // the kernel leaves out the swizzle, so chunk c of row r stands for chunk c ^ r % 8: the same for A and B only in rows alike mod 8
        let element = |row: usize, k: usize| rows[row * 64 + ((k / 8) ^ (row % 8)) * 8 + k % 8].to_f64();
        for (thread, got) in sink.to_host().unwrap().into_iter().enumerate() {
            let (row, lane) = (thread / 32 * 16 + thread % 32 / 4, thread % 32);
            let mut want = 0.0;
            for (row, column) in [row, row + 8].into_iter().flat_map(|r| (0..columns).map(move |c| (r, c))) {
                if column % 8 / 2 == lane % 4 {
                    want += (0..64).map(|k| element(row, k) * element(128 + column, k)).sum::<f64>();
                }
            }
            assert_eq!(f64::from(got), 8.0 * f64::from(rounds) * want, "{columns} columns, thread {thread}");
        }
    }
}

#[test]
fn noise_lies_between_a_half_and_two_with_either_sign() {
    let device = emulator();
    let fair = |values: &[f32]| {
        assert!(values.iter().all(|v| (0.5..2.0).contains(&v.abs())));
        let positive = values.iter().filter(|v| **v > 0.0).count() as f64 / values.len() as f64;
        let above = values.iter().filter(|v| v.abs() >= 1.0).count() as f64 / values.len() as f64;
        assert!((positive - 0.5).abs() < 0.05 && (above - 0.5).abs() < 0.05, "{positive}, {above}");
    };
    let mut words = Array::<f32, _>::new(&device, 4001).unwrap();
    launch(&device, &dims(3, 256), &NoiseF32 { out: words.ptr_mut().cast(), count: 4001, seed: 1 }).unwrap();
    fair(&words.to_host().unwrap());
    let mut pairs = Array::<bf16, _>::new(&device, 8000).unwrap();
    launch(&device, &dims(3, 256), &NoiseBf16 { out: pairs.ptr_mut().cast(), count: 4000, seed: 2 }).unwrap();
    let values = pairs.to_host().unwrap();
    fair(&values.iter().map(|v| v.to_f32()).collect::<Vec<_>>());
    let mut different: Vec<u16> = values.iter().map(|v| v.to_bits()).collect();
    different.sort_unstable();
    different.dedup();
    assert_eq!(different.len(), 512); // every pattern of sign, exponent and mantissa
}
