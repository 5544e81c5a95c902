//! What the machine can do at most: kernels/ceilings.cu, each under a few grids, the best of which counts.

use super::case::Operands;
use crate::cuda::handles::{CeilingCopy, CeilingMma, CeilingRead, CeilingWgmmaN64, CeilingWgmmaN128, CeilingWgmmaN256};
use crate::cuda::launch::{Dims, launch};
use crate::cuda::memory::Array;
use crate::cuda::timed::Timed;
use crate::error::Result;
use half::bf16;

/// Bytes and operations a second; none where nothing was measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ceilings {
    /// Of device memory, bytes read and bytes written together.
    pub copy: Option<f64>,
    /// Read from L2.
    pub l2: Option<f64>,
    /// Of the tensor cores, in bf16, by mma.sync.
    pub mma: Option<f64>,
    /// By wgmma, for 64, 128 and 256 columns, where the device has it.
    pub wgmma: [Option<f64>; 3],
}

impl Ceilings {
    /// The best rate of the tensor cores.
    pub fn peak(&self) -> Option<f64> {
        self.wgmma.iter().chain([&self.mma]).flatten().copied().max_by(f64::total_cmp)
    }

    /// Name, value and unit of each.
    pub fn list(&self) -> [(&'static str, Option<f64>, &'static str); 6] {
        [
            ("copy, read and written", self.copy.map(|v| v * 1e-9), "GB/s"),
            ("read from L2", self.l2.map(|v| v * 1e-9), "GB/s"),
            ("mma.sync m16n8k16 bf16", self.mma.map(|v| v * 1e-12), "TFLOP/s"),
            ("wgmma m64n64k16 bf16", self.wgmma[0].map(|v| v * 1e-12), "TFLOP/s"),
            ("wgmma m64n128k16 bf16", self.wgmma[1].map(|v| v * 1e-12), "TFLOP/s"),
            ("wgmma m64n256k16 bf16", self.wgmma[2].map(|v| v * 1e-12), "TFLOP/s"),
        ]
    }
}

/// Sizes of the measurement: large on a GPU, tiny where only the launches matter.
struct Sizes {
    copied: usize,
    l2: usize,
    read_rounds: i32,
    mma_rounds: i32,
    wgmma_rounds: i32,
    repeats: usize,
}

/// Bytes of a float4.
const VECTOR: usize = 16;
const STREAM_THREADS: u32 = 512;
const TENSOR_THREADS: u32 = 256;

/// # Errors
/// Of the device.
pub fn measure<D: Timed>(driver: &D) -> Result<Ceilings> {
    let p = driver.properties();
    let sizes = if p.l2_bytes == 0 {
        Sizes { copied: 1 << 16, l2: 1 << 14, read_rounds: 2, mma_rounds: 2, wgmma_rounds: 1, repeats: 1 }
    } else {
        // A quarter of L2: well inside, also where each half of the chip keeps a copy of what it reads.
        Sizes { copied: 1 << 30, l2: p.l2_bytes / 4, read_rounds: 64, mma_rounds: 20_000, wgmma_rounds: 1_000, repeats: 9 }
    };
    let mut ceilings = Ceilings { copy: copy(driver, &sizes)?, l2: read(driver, &sizes)?, mma: mma(driver, &sizes)?, wgmma: [None; 3] };
    if driver.has_wgmma("ceilings") {
        for (rate, columns) in ceilings.wgmma.iter_mut().zip([64, 128, 256]) {
            *rate = wgmma(driver, &sizes, columns)?;
        }
    }
    Ok(ceilings)
}

/// The best of `grids`, in blocks a multiprocessor: `amount(threads)` over the median time of `work(dims)`.
fn best<D: Timed>(
    driver: &D,
    sizes: &Sizes,
    grids: &[u32],
    block: (u32, u32),
    amount: impl Fn(f64) -> f64,
    mut work: impl FnMut(&Dims) -> Result<()>,
) -> Result<Option<f64>> {
    let mut best = None;
    for per_multiprocessor in grids {
        let blocks = per_multiprocessor * driver.properties().multiprocessors as u32;
        let (threads, shared_bytes) = block;
        let dims = Dims { grid: [blocks, 1, 1], block: [threads, 1, 1], shared_bytes };
        work(&dims)?;
        if let Some(mut seconds) = driver.time(sizes.repeats, &mut || Ok(()), &mut || work(&dims))? {
            seconds.sort_by(f64::total_cmp);
            let rate = amount(f64::from(blocks) * f64::from(threads)) / seconds[seconds.len() / 2];
            best = Some(best.map_or(rate, |b: f64| b.max(rate)));
        }
    }
    Ok(best)
}

/// Room for one number of every thread of the largest grid below.
fn sink<D: Timed>(driver: &D, most_blocks: usize, threads: u32) -> Result<Array<f32, D>> {
    Array::new(driver, most_blocks * driver.properties().multiprocessors * threads as usize)
}

fn copy<D: Timed>(driver: &D, sizes: &Sizes) -> Result<Option<f64>> {
    let len = sizes.copied / size_of::<f32>();
    let (from, mut to) = (Operands::new(driver).noise::<f32>(len)?, Array::<f32, D>::new(driver, len)?);
    let count = (sizes.copied / VECTOR) as u64;
    best(
        driver,
        sizes,
        &[2, 4, 8, 16, 32],
        (STREAM_THREADS, 0),
        |_| 2.0 * sizes.copied as f64,
        |dims| launch(driver, dims, &CeilingCopy { from: from.ptr(), to: to.ptr_mut(), count }),
    )
}

fn read<D: Timed>(driver: &D, sizes: &Sizes) -> Result<Option<f64>> {
    let from = Operands::new(driver).noise::<f32>(sizes.l2 / size_of::<f32>())?;
    let (mut sink, rounds) = (sink(driver, 4, STREAM_THREADS)?, sizes.read_rounds);
    let count = (from.len() * size_of::<f32>() / VECTOR) as u64;
    let bytes = count as f64 * VECTOR as f64 * f64::from(rounds);
    best(
        driver,
        sizes,
        &[1, 2, 4],
        (STREAM_THREADS, 0),
        |_| bytes,
        |dims| launch(driver, dims, &CeilingRead { from: from.ptr(), sink: sink.ptr_mut(), count, rounds }),
    )
}

fn mma<D: Timed>(driver: &D, sizes: &Sizes) -> Result<Option<f64>> {
    const OF_WARP: f64 = 8.0 * 2.0 * 16.0 * 8.0 * 16.0;
    let (a, b) = (Operands::new(driver).noise::<bf16>(32 * 8)?, Operands::new(driver).noise::<bf16>(8 * 32 * 4)?);
    let (mut sink, rounds) = (sink(driver, 4, TENSOR_THREADS)?, sizes.mma_rounds);
    best(
        driver,
        sizes,
        &[1, 2, 4],
        (TENSOR_THREADS, 0),
        |threads| threads / 32.0 * f64::from(rounds) * OF_WARP,
        |dims| launch(driver, dims, &CeilingMma { a: a.ptr().cast(), b: b.ptr().cast(), sink: sink.ptr_mut(), rounds }),
    )
}

fn wgmma<D: Timed>(driver: &D, sizes: &Sizes, columns: usize) -> Result<Option<f64>> {
    let rows = 128 + columns;
    let operands = Operands::new(driver).noise::<bf16>(rows * 64)?;
    let (mut sink, rounds) = (sink(driver, 2, TENSOR_THREADS)?, sizes.wgmma_rounds);
    let of_warpgroup = 32.0 * 2.0 * 64.0 * 16.0 * columns as f64;
    let block = (TENSOR_THREADS, (rows * 128) as u32);
    best(
        driver,
        sizes,
        &[1, 2],
        block,
        |threads| threads / 128.0 * f64::from(rounds) * of_warpgroup,
        |dims| {
            let (operands, sink) = (operands.ptr().cast(), sink.ptr_mut());
            match columns {
                64 => launch(driver, dims, &CeilingWgmmaN64 { operands, sink, rounds }),
                128 => launch(driver, dims, &CeilingWgmmaN128 { operands, sink, rounds }),
                _ => launch(driver, dims, &CeilingWgmmaN256 { operands, sink, rounds }),
            }
        },
    )
}
