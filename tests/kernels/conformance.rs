//! Every wrapper of an instruction against a scalar definition, written from the PTX manual and not from the wrapper.

use crate::common::tolerance::equal;
use crate::common::{integers, normal};
use crate::device::{emulator, schedules};
use half::bf16;
use imagenet_engine::cuda::emulated::Emulator;
use imagenet_engine::cuda::handles::{
    ConformanceCopy, ConformanceDivide, ConformanceGroups, ConformanceMatrices, ConformanceMultiplyAdd, ConformancePack, ConformancePhilox,
    ConformanceWarp, FastDiv,
};
use imagenet_engine::cuda::launch::{Dims, Kernel, launch};
use imagenet_engine::cuda::memory::Array;
use imagenet_engine::rng::{Purpose, Stream, philox};

fn words(seed: u64, len: usize) -> Vec<u32> {
    let mut stream = Stream::new(seed, Purpose::Test, 3, 0);
    (0..len).map(|_| stream.next_u32()).collect()
}

fn one_warp(device: &Emulator, shared_bytes: u32, kernel: &impl Kernel) {
    launch(device, &Dims { grid: [1; 3], block: [32, 1, 1], shared_bytes }, kernel).unwrap();
}

/// 16 bytes where valid, zeros where not, and visible to others after a barrier; whenever the copies land.
#[test]
fn copies_fill_with_zeros() {
    for schedule in schedules() {
        let device = Emulator::new(schedule);
        let rows = words(1, 128);
        for valid in [0, 1, 0x8000_0000, 0x5A5A_0FF0, !0u32] {
            let (from, mut out) = (Array::from_host(&device, &rows).unwrap(), Array::<u32, _>::new(&device, 128).unwrap());
            one_warp(&device, 512, &ConformanceCopy { rows: from.ptr(), out: out.ptr_mut(), valid });
            let want: Vec<u32> =
                (0..128).map(|i| ((i / 4) ^ 1, i % 4)).map(|(row, i)| if valid >> row & 1 == 1 { rows[row * 4 + i] } else { 0 }).collect();
            assert_eq!(out.to_host().unwrap(), want);
        }
        let rows = words(2, 384);
        let (from, mut out) = (Array::from_host(&device, &rows).unwrap(), Array::<u32, _>::new(&device, 384).unwrap());
        one_warp(&device, 1536, &ConformanceGroups { rows: from.ptr(), out: out.ptr_mut() });
        assert_eq!(out.to_host().unwrap(), rows);
    }
}

/// "each thread holds a fragment of the row: thread i of the warp elements 2*(i%4), 2*(i%4)+1 of row i/4" of each matrix.
#[test]
fn ldmatrix_gives_each_lane_its_pairs() {
    let device = emulator();
    let halves: Vec<u16> = words(3, 256).iter().map(|w| *w as u16).collect();
    let packed: Vec<u32> = halves.chunks(2).map(|p| u32::from(p[0]) | u32::from(p[1]) << 16).collect();
    let (rows, mut out) = (Array::from_host(&device, &packed).unwrap(), Array::<u32, _>::new(&device, 256).unwrap());
    one_warp(&device, 512, &ConformanceMatrices { rows: rows.ptr(), out: out.ptr_mut() });
    let got = out.to_host().unwrap();
    let element = |matrix: usize, row: usize, column: usize| u32::from(halves[(matrix * 8 + row) * 8 + column]);
    for lane in 0..32 {
        for matrix in 0..4 {
            let (major, minor) = (lane / 4, lane % 4 * 2);
            let plain = element(matrix, major, minor) | element(matrix, major, minor + 1) << 16;
            let transposed = element(matrix, minor, major) | element(matrix, minor + 1, major) << 16;
            assert_eq!(got[lane * 4 + matrix], plain, "lane {lane}, matrix {matrix}");
            assert_eq!(got[128 + lane * 4 + matrix], transposed, "lane {lane}, matrix {matrix}, transposed");
        }
    }
}

/// The fragment layouts of mma.m16n8k16 with bf16, in the manual's own words: for a_i, row = groupID if 0<=i<2 or 4<=i<6, else
/// groupID+8; column = threadID*2 + (i&1), +8 for i>=4. For b_i, row = threadID*2 + (i&1), +8 for i>=2; column = groupID. For c_i, row =
/// groupID, +8 for i>=2; column = threadID*2 + (i&1).
#[test]
fn mma_multiplies_matrices() {
    let device = emulator();
    for (round, exact) in [(0u64, true), (1, false)] {
        let numbers = |seed, len| if exact { integers(seed + round, len) } else { normal(seed + round, len) };
        let to_bf16 = |v: Vec<f64>| v.into_iter().map(bf16::from_f64).collect::<Vec<_>>();
        let (a, b) = (to_bf16(numbers(10, 256)), to_bf16(numbers(20, 128)));
        let c: Vec<f32> = numbers(30, 128).iter().map(|&v| v as f32).collect();
        let (mut fa, mut fb, mut fc) = (vec![bf16::ZERO; 256], vec![bf16::ZERO; 128], vec![0f32; 128]);
        for lane in 0..32 {
            let (group, thread) = (lane / 4, lane % 4);
            for i in 0..8 {
                let row = if i < 2 || (4..6).contains(&i) { group } else { group + 8 };
                fa[lane * 8 + i] = a[row * 16 + thread * 2 + (i & 1) + if i >= 4 { 8 } else { 0 }];
            }
            for i in 0..4 {
                fb[lane * 4 + i] = b[(thread * 2 + (i & 1) + if i >= 2 { 8 } else { 0 }) * 8 + group];
                fc[lane * 4 + i] = c[(if i >= 2 { group + 8 } else { group }) * 8 + thread * 2 + (i & 1)];
            }
        }
        let pairs = |v: &[bf16]| v.chunks(2).map(|p| u32::from(p[0].to_bits()) | u32::from(p[1].to_bits()) << 16).collect::<Vec<_>>();
        let (da, db) = (Array::from_host(&device, &pairs(&fa)).unwrap(), Array::from_host(&device, &pairs(&fb)).unwrap());
        let mut dd = Array::from_host(&device, &fc).unwrap();
        one_warp(&device, 0, &ConformanceMultiplyAdd { a: da.ptr(), b: db.ptr(), d: dd.ptr_mut() });
        let got = dd.to_host().unwrap();
        for lane in 0..32 {
            for i in 0..4 {
                let (row, column) = (if i >= 2 { lane / 4 + 8 } else { lane / 4 }, lane % 4 * 2 + (i & 1));
                let products = (0..16).map(|k| a[row * 16 + k].to_f64() * b[k * 8 + column].to_f64());
                let (sum, magnitude) = products.fold((f64::from(c[row * 8 + column]), 0.0), |(s, m), p| (s + p, m + p.abs()));
                let bound = if exact { 0.0 } else { 18.0 / 16_777_216.0 * (magnitude + f64::from(c[row * 8 + column]).abs()) };
                let error = (f64::from(got[lane * 4 + i]) - sum).abs();
                assert!(error <= bound, "row {row}, column {column}: off by {error:e}, {bound:e} allowed");
            }
        }
    }
}

#[test]
fn pack_rounds_both_halves() {
    let device = emulator();
    let mut values: Vec<f32> = normal(5, 1000).iter().map(|&v| v as f32).collect();
    values.extend([f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, f32::MAX, f32::MIN_POSITIVE, 1e-45, 1.003_906_3]);
    let (from, mut out) = (Array::from_host(&device, &values).unwrap(), Array::<u32, _>::new(&device, values.len() / 2).unwrap());
    let count = (values.len() / 2) as i32;
    launch(&device, &Dims::linear(values.len() / 2, 256).unwrap(), &ConformancePack { values: from.ptr(), pairs: out.ptr_mut(), count })
        .unwrap();
    for (pair, values) in out.to_host().unwrap().iter().zip(values.chunks(2)) {
        for (half, value) in [(*pair as u16, values[0]), ((pair >> 16) as u16, values[1])] {
            let got = bf16::from_bits(half);
            // the definition: no bf16 is nearer, and of two equally near the even one is taken
            if value.is_nan() {
                assert_eq!(half, 0x7FFF);
            } else {
                assert_eq!(got.to_bits(), bf16::from_f32(value).to_bits(), "{value:e}");
            }
        }
    }
}

#[test]
fn division_and_random_numbers_equal_the_hosts() {
    let device = emulator();
    let n: Vec<u32> = words(6, 2000).iter().map(|w| w >> 1).chain([0, 1, i32::MAX as u32]).collect();
    let (from, mut out) = (Array::from_host(&device, &n).unwrap(), Array::<u32, _>::new(&device, n.len()).unwrap());
    let dims = Dims::linear(n.len(), 256).unwrap();
    for divisor in [1, 2, 3, 7, 56, 112, 3136, 12544, 65537, i32::MAX as u32] {
        let kernel = ConformanceDivide { n: from.ptr(), out: out.ptr_mut(), count: n.len() as i32, by: FastDiv::by(divisor) };
        launch(&device, &dims, &kernel).unwrap();
        assert_eq!(out.to_host().unwrap(), n.iter().map(|n| n / divisor).collect::<Vec<_>>(), "by {divisor}");
    }

    let counters = words(7, 400);
    let (from, mut out) = (Array::from_host(&device, &counters).unwrap(), Array::<u32, _>::new(&device, 400).unwrap());
    let kernel = ConformancePhilox { counters: from.ptr(), out: out.ptr_mut(), count: 100, key0: 0x1234_5678, key1: 0x9ABC_DEF0 };
    launch(&device, &Dims::linear(100, 256).unwrap(), &kernel).unwrap();
    let want: Vec<u32> = counters.chunks(4).flat_map(|c| philox([0x1234_5678, 0x9ABC_DEF0], [c[0], c[1], c[2], c[3]])).collect();
    assert_eq!(out.to_host().unwrap(), want);
}

#[test]
fn warp_reductions_give_every_lane_the_same() {
    let device = emulator();
    let values = integers(8, 128);
    let host: Vec<f32> = values.iter().map(|&v| v as f32).collect();
    let from = Array::from_host(&device, &host).unwrap();
    let (mut sums, mut maxima) = (Array::<f32, _>::new(&device, 128).unwrap(), Array::<f32, _>::new(&device, 128).unwrap());
    let mut positive = Array::<u32, _>::new(&device, 128).unwrap();
    let kernel = ConformanceWarp { values: from.ptr(), sums: sums.ptr_mut(), maxima: maxima.ptr_mut(), positive: positive.ptr_mut() };
    launch(&device, &Dims { grid: [2, 1, 1], block: [64, 1, 1], shared_bytes: 0 }, &kernel).unwrap();
    let wide = |v: Vec<f32>| v.into_iter().map(f64::from).collect::<Vec<_>>();
    let each = |f: &dyn Fn(&[f64]) -> f64| values.chunks(32).flat_map(|w| vec![f(w); 32]).collect::<Vec<_>>();
    equal(&wide(sums.to_host().unwrap()), &each(&|w| w.iter().sum())).unwrap();
    equal(&wide(maxima.to_host().unwrap()), &each(&|w| w.iter().copied().fold(f64::NEG_INFINITY, f64::max))).unwrap();
    let votes = each(&|w| w.iter().enumerate().map(|(i, v)| if *v > 0.0 { f64::from(1u32 << i) } else { 0.0 }).sum());
    equal(&positive.to_host().unwrap().into_iter().map(f64::from).collect::<Vec<_>>(), &votes).unwrap();
}
