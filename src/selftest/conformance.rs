//! Every wrapper of an instruction against a scalar definition, written from the PTX manual and not from the wrapper.

use super::case::{Case, Check, Expected, Output};
use super::numbers::{integers, normal, words};
use super::on_driver::OnDriver;
use super::tolerance::U32;
use crate::cuda::handles::{
    ConformanceCopy, ConformanceDivide, ConformanceGroups, ConformanceMatrices, ConformanceMultiplyAdd, ConformancePack, ConformancePhilox,
    ConformanceWarp, FastDiv,
};
use crate::cuda::launch::{Dims, Driver, Kernel, launch};
use crate::error::Result;
use crate::rng::philox;
use half::bf16;
use std::sync::Arc;

type Cases<D> = Vec<Case<OnDriver<D>>>;
type Checks<D> = Vec<Check<OnDriver<D>>>;

pub fn cases<D: Driver>() -> Cases<D> {
    let case = |op, shape: &str, prepare: fn() -> Checks<D>| {
        Case::new(("conformance", op), shape, "bits", move |_: &OnDriver<D>| prepare()) //
    };
    vec![
        case("cp.async", "32 lanes of 16 bytes", copies),
        case("cp.async groups", "3 groups", groups),
        case("ldmatrix", "x4, plain and .trans", matrices),
        case("mma", "m16n8k16, bf16", multiply_add),
        case("cvt.rn.bf16x2", "1008 values", pack),
        case("fast division", "2003 dividends", divisions),
        case("philox", "100 counters", random),
        case("shfl and ballot", "4 warps", warps),
    ]
}

fn wide(words: &[u32]) -> Vec<f64> {
    words.iter().map(|&w| f64::from(w)).collect()
}

fn out(want: Vec<f64>) -> Arc<Vec<Expected>> {
    Arc::new(vec![Expected::exact("out", want)])
}

/// Launches what `kernel` makes of the addresses of `from` and of `len` words, and gives those back.
fn words_to_words<D: Driver, K: Kernel>(
    device: &OnDriver<D>,
    dims: &Dims,
    from: &[u32],
    len: usize,
    kernel: impl FnOnce(crate::cuda::launch::Ptr<u32>, crate::cuda::launch::PtrMut<u32>) -> K,
) -> Result<Vec<Output>> {
    let (from, mut to) = (device.raw(from)?, device.output::<u32>(len)?);
    launch(device.driver(), dims, &kernel(from.ptr(), to.ptr_mut()))?;
    device.check_guards()?;
    Ok(vec![Output::new("out", wide(&to.to_host()?))])
}

const fn one_warp(shared_bytes: u32) -> Dims {
    Dims { grid: [1; 3], block: [32, 1, 1], shared_bytes }
}

/// 16 bytes where valid, zeros where not, and visible to others after a barrier; whenever the copies land.
fn copies<D: Driver>() -> Checks<D> {
    let check = |valid: u32| {
        let rows = words(1, 128);
        let of = |(row, i): (usize, usize)| if valid >> row & 1 == 1 { rows[row * 4 + i] } else { 0 };
        let want: Vec<u32> = (0..128).map(|i| ((i / 4) ^ 1, i % 4)).map(of).collect();
        Check::new(format!("lanes {valid:#010x}"), &out(wide(&want)), move |device: &OnDriver<D>| {
            words_to_words(device, &one_warp(512), &rows, 128, |rows, out| ConformanceCopy { rows, out, valid })
        })
    };
    [0, 1, 0x8000_0000, 0x5A5A_0FF0, !0u32].map(check).into()
}

fn groups<D: Driver>() -> Checks<D> {
    let rows = words(2, 384);
    vec![Check::new("", &out(wide(&rows)), move |device: &OnDriver<D>| {
        words_to_words(device, &one_warp(1536), &rows, 384, |rows, out| ConformanceGroups { rows, out })
    })]
}

/// "each thread holds a fragment of the row: thread i of the warp elements 2*(i%4), 2*(i%4)+1 of row i/4" of each matrix.
fn matrices<D: Driver>() -> Checks<D> {
    let halves: Vec<u16> = words(3, 256).iter().map(|w| *w as u16).collect();
    let packed: Vec<u32> = halves.chunks(2).map(|p| u32::from(p[0]) | u32::from(p[1]) << 16).collect();
    let element = |matrix: usize, row: usize, column: usize| u32::from(halves[(matrix * 8 + row) * 8 + column]);
    let mut want = vec![0; 256];
    for lane in 0..32 {
        for matrix in 0..4 {
            let (major, minor) = (lane / 4, lane % 4 * 2);
            want[lane * 4 + matrix] = element(matrix, major, minor) | element(matrix, major, minor + 1) << 16;
            want[128 + lane * 4 + matrix] = element(matrix, minor, major) | element(matrix, minor + 1, major) << 16;
        }
    }
    vec![Check::new("", &out(wide(&want)), move |device: &OnDriver<D>| {
        words_to_words(device, &one_warp(512), &packed, 256, |rows, out| ConformanceMatrices { rows, out })
    })]
}

/// The fragment layouts of mma.m16n8k16 with bf16, in the manual's own words: for a_i, row = groupID if 0<=i<2 or 4<=i<6, else
/// groupID+8; column = threadID*2 + (i&1), +8 for i>=4. For b_i, row = threadID*2 + (i&1), +8 for i>=2; column = groupID. For c_i, row =
/// groupID, +8 for i>=2; column = threadID*2 + (i&1).
fn multiply_add<D: Driver>() -> Checks<D> {
    let place = |lane: usize, i: usize| (if i >= 2 { lane / 4 + 8 } else { lane / 4 }, lane % 4 * 2 + (i & 1));
    let check = |detail, numbers: fn(u64, usize) -> Vec<f64>, exact: bool| {
        let to_bf16 = |v: Vec<f64>| v.into_iter().map(bf16::from_f64).collect::<Vec<_>>();
        let (a, b) = (to_bf16(numbers(10, 256)), to_bf16(numbers(20, 128)));
        let c: Vec<f32> = numbers(30, 128).iter().map(|&v| v as f32).collect();
        let (mut fa, mut fb, mut fc) = (vec![bf16::ZERO; 256], vec![bf16::ZERO; 128], vec![0f32; 128]);
        let (mut want, mut bound) = (vec![0.0; 128], vec![0.0; 128]);
        for lane in 0..32 {
            let (group, thread) = (lane / 4, lane % 4);
            for i in 0..8 {
                let row = if i < 2 || (4..6).contains(&i) { group } else { group + 8 };
                fa[lane * 8 + i] = a[row * 16 + thread * 2 + (i & 1) + if i >= 4 { 8 } else { 0 }];
            }
            for i in 0..4 {
                fb[lane * 4 + i] = b[(thread * 2 + (i & 1) + if i >= 2 { 8 } else { 0 }) * 8 + group];
                let (row, column) = place(lane, i);
                let start = f64::from(c[row * 8 + column]);
                fc[lane * 4 + i] = c[row * 8 + column];
                let products = (0..16).map(|k| a[row * 16 + k].to_f64() * b[k * 8 + column].to_f64());
                let (sum, size) = products.fold((start, start.abs()), |(s, m), p| (s + p, m + p.abs()));
                want[lane * 4 + i] = sum;
                bound[lane * 4 + i] = if exact { 0.0 } else { 18.0 * U32 * size };
            }
        }
        let pairs = |v: &[bf16]| v.chunks(2).map(|p| u32::from(p[0].to_bits()) | u32::from(p[1].to_bits()) << 16).collect::<Vec<_>>();
        let (fa, fb) = (pairs(&fa), pairs(&fb));
        Check::new(detail, &Arc::new(vec![Expected::within("out", want, |i| bound[i])]), move |device: &OnDriver<D>| {
            let (a, b, mut d) = (device.raw(&fa)?, device.raw(&fb)?, device.raw(&fc)?);
            launch(device.driver(), &one_warp(0), &ConformanceMultiplyAdd { a: a.ptr(), b: b.ptr(), d: d.ptr_mut() })?;
            device.check_guards()?;
            Ok(vec![Output::new("out", d.to_host()?.into_iter().map(f64::from).collect())])
        })
    };
    vec![check("integers", integers, true), check("normal numbers", normal, false)]
}

/// To nearest, ties to even, as the `half` crate rounds; NaN is 0x7FFF.
fn pack<D: Driver>() -> Checks<D> {
    let mut values: Vec<f32> = normal(5, 1000).iter().map(|&v| v as f32).collect();
    values.extend([f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, f32::MAX, f32::MIN_POSITIVE, 1e-45, 1.003_906_3]);
    let half = |v: f32| u32::from(if v.is_nan() { 0x7FFF } else { bf16::from_f32(v).to_bits() });
    let want: Vec<u32> = values.chunks(2).map(|p| half(p[0]) | half(p[1]) << 16).collect();
    vec![Check::new("", &out(wide(&want)), move |device: &OnDriver<D>| {
        let count = values.len() / 2;
        let (from, mut to) = (device.raw(&values)?, device.output::<u32>(count)?);
        let kernel = ConformancePack { values: from.ptr(), pairs: to.ptr_mut(), count: count as i32 };
        launch(device.driver(), &Dims::linear(count, 256)?, &kernel)?;
        device.check_guards()?;
        Ok(vec![Output::new("out", wide(&to.to_host()?))])
    })]
}

fn divisions<D: Driver>() -> Checks<D> {
    let n: Arc<Vec<u32>> = Arc::new(words(6, 2000).iter().map(|w| w >> 1).chain([0, 1, i32::MAX as u32]).collect());
    let check = |divisor: u32| {
        let want: Vec<u32> = n.iter().map(|n| n / divisor).collect();
        let n = n.clone();
        Check::new(format!("by {divisor}"), &out(wide(&want)), move |device: &OnDriver<D>| {
            let (count, by) = (n.len() as i32, FastDiv::by(divisor));
            words_to_words(device, &Dims::linear(n.len(), 256)?, &n, n.len(), |n, out| ConformanceDivide { n, out, count, by })
        })
    };
    [1, 2, 3, 7, 56, 112, 3136, 12544, 65537, i32::MAX as u32].map(check).into()
}

fn random<D: Driver>() -> Checks<D> {
    let counters = words(7, 400);
    let (key0, key1) = (0x1234_5678, 0x9ABC_DEF0);
    let want: Vec<u32> = counters.chunks(4).flat_map(|c| philox([key0, key1], [c[0], c[1], c[2], c[3]])).collect();
    vec![Check::new("", &out(wide(&want)), move |device: &OnDriver<D>| {
        let dims = Dims::linear(100, 256)?;
        words_to_words(device, &dims, &counters, 400, |counters, out| ConformancePhilox { counters, out, count: 100, key0, key1 })
    })]
}

/// Every lane has the same sum, maximum and votes.
fn warps<D: Driver>() -> Checks<D> {
    let values = integers(8, 128);
    let each = |f: &dyn Fn(&[f64]) -> f64| values.chunks(32).flat_map(|w| vec![f(w); 32]).collect::<Vec<_>>();
    let votes = |w: &[f64]| w.iter().enumerate().map(|(i, v)| if *v > 0.0 { f64::from(1u32 << i) } else { 0.0 }).sum();
    let expected = Arc::new(vec![
        Expected::exact("sums", each(&|w| w.iter().sum())),
        Expected::exact("maxima", each(&|w| w.iter().copied().fold(f64::NEG_INFINITY, f64::max))),
        Expected::exact("positive", each(&votes)),
    ]);
    vec![Check::new("integers", &expected, move |device: &OnDriver<D>| {
        let from = device.up::<f32>(&values)?;
        let (mut sums, mut maxima) = (device.output::<f32>(128)?, device.output::<f32>(128)?);
        let mut positive = device.output::<u32>(128)?;
        let kernel = ConformanceWarp { values: from.ptr(), sums: sums.ptr_mut(), maxima: maxima.ptr_mut(), positive: positive.ptr_mut() };
        launch(device.driver(), &Dims { grid: [2, 1, 1], block: [64, 1, 1], shared_bytes: 0 }, &kernel)?;
        device.check_guards()?;
        let wide_f32 = |v: Vec<f32>| v.into_iter().map(f64::from).collect();
        Ok(vec![
            Output::new("sums", wide_f32(sums.to_host()?)),
            Output::new("maxima", wide_f32(maxima.to_host()?)),
            Output::new("positive", wide(&positive.to_host()?)),
        ])
    })]
}
