//! Every launch of a ResNet-50 step at 224 with 256 pictures, on a device of paper: that CUDA allows it, how many blocks share a
//! multiprocessor, and that operations and bytes are counted as elsewhere. Runs without the emulator.
//!
//! kernels/launches.txt holds the result; `UPDATE_LAUNCHES=1 cargo test --release --test kernels launches` writes it anew.

use imagenet_engine::bench::subjects::Workload;
use imagenet_engine::bench::{self, Options, Report};
use imagenet_engine::cuda::paper::Paper;
use imagenet_engine::cuda::timed::Properties;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

const BATCH: usize = 256;

static H100: LazyLock<Properties> =
    LazyLock::new(|| Properties { capability: (9, 0), multiprocessors: 132, shared_bytes: 227 << 10, ..Properties::default() });

fn report() -> &'static Report {
    static REPORT: LazyLock<Report> = LazyLock::new(|| {
        let options = Options { workload: Workload::resnet50(BATCH).unwrap(), only: None, repeats: 1 };
        bench::run(&Paper::new(&H100), &options, &mut |_| {}).unwrap()
    });
    &REPORT
}

/// A multiprocessor's resources: capability, shared memory of all blocks and of one, threads, blocks. From the CUDA C++ Programming
/// Guide's table of technical specifications; 64 K registers in each.
struct Multiprocessor {
    name: &'static str,
    target: &'static str,
    shared: usize,
    shared_of_block: usize,
    threads: usize,
    blocks: usize,
}

const MULTIPROCESSORS: [Multiprocessor; 4] = [
    Multiprocessor { name: "8.0", target: "sm_80", shared: 164 << 10, shared_of_block: 163 << 10, threads: 2048, blocks: 32 },
    Multiprocessor { name: "8.6", target: "sm_80", shared: 100 << 10, shared_of_block: 99 << 10, threads: 1536, blocks: 16 },
    Multiprocessor { name: "8.9", target: "sm_80", shared: 100 << 10, shared_of_block: 99 << 10, threads: 1536, blocks: 24 },
    Multiprocessor { name: "9.0", target: "sm_90a", shared: 228 << 10, shared_of_block: 227 << 10, threads: 2048, blocks: 32 },
];

impl Multiprocessor {
    /// Blocks that fit at once; 0 if a block is more than a launch may ask for.
    fn blocks(&self, threads: usize, registers: usize, shared: usize) -> usize {
        if shared > self.shared_of_block {
            return 0;
        }
        let warps = threads.div_ceil(32);
        let by_registers = 65536 / (warps * (registers * 32).next_multiple_of(256));
        // CUDA keeps 1 KB for itself in every block
        let by_shared = self.shared / (shared + 1024).next_multiple_of(128);
        by_registers.min(by_shared).min(self.threads / (warps * 32)).min(self.blocks)
    }
}

/// Registers and static shared memory by kernel and target, from kernels/budget.txt.
fn budgets(root: &Path) -> BTreeMap<(String, String), (usize, usize)> {
    let text = fs::read_to_string(root.join("kernels/budget.txt")).unwrap();
    let lines = text.lines().filter(|l| !l.starts_with('#'));
    lines
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            ((words[1].to_owned(), words[2].to_owned()), (words[3].parse().unwrap(), words[4].parse().unwrap()))
        })
        .collect()
}

#[test]
fn every_launch_fits_and_the_table_is_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let budgets = budgets(root);
    let mut launches: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
    for (kernel, dims) in report().launches() {
        let threads: u32 = dims.block.iter().product();
        assert!(threads <= kernel.max_threads && dims.grid[1] <= 65535 && dims.grid[2] <= 65535, "{}: {dims:?}", kernel.name);
        let most = launches.entry(kernel.name).or_default();
        *most = (most.0.max(threads), most.1.max(dims.shared_bytes));
    }
    let mut table = String::from(
        "# Written and checked by tests/kernels/launches.rs: at the shapes of ResNet-50, the most threads and dynamic shared memory of a block,\n\
         # and how many blocks share a multiprocessor of a compute capability, by the registers of budget.txt.\n\
         # kernel threads dynamic-shared-bytes 8.0 8.6 8.9 9.0\n",
    );
    for (kernel, (threads, dynamic)) in launches {
        let mut counts = Vec::new();
        for m in &MULTIPROCESSORS {
            let found = budgets.get(&(kernel.to_owned(), m.target.to_owned()));
            let (registers, fixed) =
                *found.unwrap_or_else(|| panic!("{kernel} is not in kernels/budget.txt: tools/sass-guard.sh --update"));
            let blocks = m.blocks(threads as usize, registers, fixed + dynamic as usize);
            assert!(blocks > 0, "{kernel}: no block of {threads} threads, {registers} registers, {dynamic} bytes fits on {}", m.name);
            counts.push(blocks.to_string());
        }
        table.push_str(&format!("{kernel} {threads} {dynamic} {}\n", counts.join(" ")));
    }
    let path = root.join("kernels/launches.txt");
    if std::env::var_os("UPDATE_LAUNCHES").is_some() {
        fs::write(&path, &table).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == table,
        "kernels/launches.txt is not what is launched: UPDATE_LAUNCHES=1 cargo test --release --test kernels launches"
    );
}

/// What include/tiles.cuh says of its tiles.
#[test]
fn tiles_share_multiprocessors_as_intended() {
    let table = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels/launches.txt")).unwrap();
    for (tile, blocks) in [("m128n128", 2), ("m128n64", 3), ("m64n64", 4)] {
        for op in ["fprop", "dgrad", "wgrad"] {
            let line = table.lines().find(|l| l.starts_with(&format!("conv_{op}_{tile} "))).unwrap();
            let on_hopper: usize = line.split(' ').next_back().unwrap().parse().unwrap();
            assert!(on_hopper >= blocks, "{line}: {blocks} blocks intended");
        }
    }
}

#[test]
fn operations_of_a_step_are_those_of_the_network() {
    let (step_macs, stem_macs) = (4_087_136_256u64, 118_013_952u64);
    let one_each = |r: &&bench::Row| r.variant == "m64n64" && r.times > 0;
    let convs: f64 = report().rows.iter().filter(one_each).map(|r| r.flop * r.times as f64).sum();
    assert_eq!(convs, 2.0 * BATCH as f64 * (3 * step_macs - stem_macs) as f64);
    let linear: f64 = report().rows.iter().filter(|r| r.variant == "tiled").map(|r| r.flop * r.times as f64).sum();
    assert_eq!(linear, 3.0 * 2.0 * BATCH as f64 * 2048.0 * 1000.0);
}

/// MB a picture of each kind of kernel, from element counts made by a script of its own: 11 113 984 outputs of convolutions, of which
/// 9 608 704 go through a ReLU and 5 519 360 meet a residual. Filters (23 445 504 but for the stem's) are shared by the batch.
#[test]
fn bytes_of_a_step_are_those_of_its_activations() {
    let (outputs, relus, joins) = (11_113_984.0, 9_608_704.0, 5_519_360.0);
    let filters = 23_445_504.0 / BATCH as f64;
    for (op, variant, bytes) in [
        ("conv_fprop", "m64n64", 39_538_688.0 + 2.0 * filters),
        ("conv_dgrad", "m64n64", 41_646_080.0 + 2.0 * filters),
        ("conv_wgrad", "m64n64", 39_538_688.0 + 4.0 * filters),
        ("norm_train", "", 2.0 * (3.0 * outputs + joins)),
        ("norm_backward", "", 2.0 * (5.0 * outputs + 2.0 * relus)),
    ] {
        let rows = report().rows.iter().filter(|r| r.op == op && r.variant == variant && r.times > 0);
        let counted = rows.map(|r| r.bytes * r.times as f64).sum::<f64>() / BATCH as f64;
        // the norms' few numbers a channel are left out here
        assert!((counted - bytes).abs() < 3e3, "{op}: {counted} bytes a picture, {bytes} expected");
    }
}

#[test]
fn bytes_of_one_case_are_its_arrays() {
    let row = |op: &str, shape: &str| report().rows.iter().find(|r| r.op == op && r.shape == shape).unwrap();
    let pixels = (BATCH * 56 * 56) as f64;
    assert_eq!(row("conv_fprop", "56x56x64 -> 256, 1x1/1").bytes, 2.0 * (pixels * 64.0 + pixels * 256.0 + 64.0 * 256.0));
    // a filter of one pixel with a stride of two reads a quarter of the input
    let strided = row("conv_fprop", "56x56x256 -> 512, 1x1/2").bytes;
    assert_eq!(strided, 2.0 * (pixels / 4.0 * 256.0 + pixels / 4.0 * 512.0 + 256.0 * 512.0));
    // but its gradient is written whole, and the filters' gradient is f32
    let dgrad = row("conv_dgrad", "56x56x256 -> 512, 1x1/2").bytes;
    assert_eq!(dgrad, 2.0 * (pixels * 256.0 + pixels / 4.0 * 512.0 + 256.0 * 512.0));
    let wgrad = row("conv_wgrad", "56x56x256 -> 512, 1x1/2").bytes;
    assert_eq!(wgrad, 2.0 * (pixels / 4.0 * 256.0 + pixels / 4.0 * 512.0) + 4.0 * 256.0 * 512.0);
    let pool = row("max_pool", "112x112x64, 3x3/2").bytes;
    assert_eq!(pool, 2.0 * 4.0 * pixels * 64.0 + 3.0 * pixels * 64.0);
    assert_eq!(row("average_pool", "49 x 2048").bytes, 2.0 * BATCH as f64 * 50.0 * 2048.0);
}
