//! The wrappers of wgmma against the PTX manual's own words: the 128-byte swizzle, descriptors, the layout of the sums, and groups in
//! flight. A device that runs these kernels from other code than sm_90a has no wgmma, and then nothing to check.

use super::case::{Case, Check, Expected, Output};
use super::numbers::{integers, normal};
use super::on_driver::OnDriver;
use super::tolerance::U32;
use crate::cuda::handles::{ConformanceWgmmaGroups, ConformanceWgmmaN64, ConformanceWgmmaN128, ConformanceWgmmaN256};
use crate::cuda::launch::{Dims, Driver, launch};
use crate::error::Result;
use half::bf16;
use std::sync::Arc;

const ROWS: usize = 64;
const DEPTH: usize = 64;

pub fn cases<D: Driver>() -> Vec<Case<OnDriver<D>>> {
    let shapes = [64, 128, 256].map(|columns| {
        Case::new(("conformance", "wgmma"), format!("m64n{columns}k16 over 64 k"), "bits", move |device: &OnDriver<D>| {
            if device.has_wgmma() { products(columns) } else { Vec::new() }
        })
    });
    let groups = Case::new(("conformance", "wgmma groups"), "2 groups of m64n64k16", "bits", |device: &OnDriver<D>| {
        if device.has_wgmma() { vec![groups()] } else { Vec::new() }
    });
    shapes.into_iter().chain([groups]).collect()
}

/// Row and column of number `i` of thread `thread`: warp w holds rows 16w to 16w + 15; "d[i]: row = groupID for i in {0, 1, 4, 5, ...}, else
/// groupID + 8; column = 8 * (i / 4) + threadID_in_group * 2 + (i & 1)".
fn place(thread: usize, i: usize) -> (usize, usize) {
    let (warp, lane) = (thread / 32, thread % 32);
    (warp * 16 + lane / 4 + if i & 2 == 0 { 0 } else { 8 }, 8 * (i / 4) + lane % 4 * 2 + (i & 1))
}

struct Operands {
    /// A's 64 rows of 64, then B's.
    rows: Vec<bf16>,
}

impl Operands {
    fn new(numbers: fn(u64, usize) -> Vec<f64>, columns: usize) -> Self {
        Self { rows: numbers(40, (ROWS + columns) * DEPTH).into_iter().map(bf16::from_f64).collect() }
    }

    /// `start` plus the products, and the sum of what was added in absolute value.
    fn sum(&self, row: usize, column: usize, start: f64) -> (f64, f64) {
        let element = |row: usize, k: usize| self.rows[row * DEPTH + k].to_f64();
        let products = (0..DEPTH).map(|k| element(row, k) * element(ROWS + column, k));
        products.fold((start, start.abs()), |(s, m), p| (s + p, m + p.abs()))
    }

    fn words(&self) -> Vec<u32> {
        self.rows.chunks(2).map(|p| u32::from(p[0].to_bits()) | u32::from(p[1].to_bits()) << 16).collect()
    }
}

fn dims(columns: usize) -> Dims {
    Dims { grid: [1; 3], block: [128, 1, 1], shared_bytes: ((ROWS + columns) * 2 * DEPTH) as u32 }
}

fn products<D: Driver>(columns: usize) -> Vec<Check<OnDriver<D>>> {
    let check = |detail: &str, numbers: fn(u64, usize) -> Vec<f64>, accumulate: bool, exact: bool| {
        let operands = Operands::new(numbers, columns);
        let start: Vec<f32> = numbers(50, ROWS * columns).iter().map(|&v| v as f32).collect();
        let of_thread = columns / 2;
        let (want, bound): (Vec<f64>, Vec<f64>) = (0..128 * of_thread)
            .map(|at| {
                let (row, column) = place(at / of_thread, at % of_thread);
                let (sum, size) = operands.sum(row, column, if accumulate { f64::from(start[at]) } else { 0.0 });
                (sum, if exact { 0.0 } else { (DEPTH + 2) as f64 * U32 * size })
            })
            .unzip();
        let expected = Arc::new(vec![Expected::within("out", want, |i| bound[i])]);
        let words = operands.words();
        Check::new(format!("{detail}, {}", if accumulate { "added" } else { "replaced" }), &expected, move |device: &OnDriver<D>| {
            let (rows, mut d) = (device.raw(&words)?, device.raw(&start)?);
            let (rows, to, accumulate, dims) = (rows.ptr(), d.ptr_mut(), i32::from(accumulate), dims(columns));
            match columns {
                64 => launch(device.driver(), &dims, &ConformanceWgmmaN64 { rows, d: to, accumulate })?,
                128 => launch(device.driver(), &dims, &ConformanceWgmmaN128 { rows, d: to, accumulate })?,
                _ => launch(device.driver(), &dims, &ConformanceWgmmaN256 { rows, d: to, accumulate })?,
            }
            down(device, "out", d.to_host()?).map(|out| vec![out])
        })
    };
    vec![check("integers", integers, true, true), check("integers", integers, false, true), check("normal numbers", normal, true, false)]
}

fn groups<D: Driver>() -> Check<OnDriver<D>> {
    let operands = Operands::new(integers, 128);
    let of_thread = |at: usize| (at / 64, at % 64);
    let want = (0..128 * 64).map(of_thread).map(|(thread, i)| {
        let (row, column) = place(thread, i % 32);
        operands.sum(row, column + i / 32 * 64, 0.0).0
    });
    let expected = Arc::new(vec![Expected::exact("out", want.collect())]);
    let words = operands.words();
    Check::new("integers", &expected, move |device: &OnDriver<D>| {
        let (rows, mut d) = (device.raw(&words)?, device.output::<f32>(128 * 64)?);
        launch(device.driver(), &dims(128), &ConformanceWgmmaGroups { rows: rows.ptr(), d: d.ptr_mut() })?;
        down(device, "out", d.to_host()?).map(|out| vec![out])
    })
}

fn down<D: Driver>(device: &OnDriver<D>, name: &'static str, values: Vec<f32>) -> Result<Output> {
    device.check_guards()?;
    Ok(Output::new(name, values.into_iter().map(f64::from).collect()))
}
