//! Kernels of the CPU backend on the layers of a training step: GFLOP/s, GB/s, and the sum as ms per picture. ResNet-50 at 224,
//! batch 16, or with `--small` ResNet-18 at 64, batch 64.
//!
//! `cargo bench --bench kernels -- [--small] [--batch N] [--only conv|norm|other] [--cpu-time]`. Medians. On a machine shared with other
//! work, `--cpu-time` with RAYON_NUM_THREADS=1 counts the time this process had a core (Linux), not the time that passed.

use imagenet_engine::backend::{
    Augment, Conv, Counters, Crop, Elementwise, Gemm, Memory, Norm, NormProblem, ParamGroup, ParamGroups, PictureView, Pool, StoredBatch,
    Update, UpdateTable,
};
use imagenet_engine::cpu::Cpu;
use imagenet_engine::optim::{AdamW, Sgd};
use imagenet_engine::shape::{ConvProblem, LinearProblem, PoolProblem};
use std::hint::black_box;
use std::sync::LazyLock;
use std::time::Instant;

type Buffer = <Cpu<f32> as Memory>::Buffer;

/// Input extent, c, k, filter, stride, times per step. Padding is filter/2.
type ConvRow = (usize, usize, usize, usize, usize, usize);
const CONVS: &[ConvRow] = &[
    (224, 3, 64, 7, 2, 1),
    (56, 64, 64, 1, 1, 1),
    (56, 256, 64, 1, 1, 2),
    (56, 64, 64, 3, 1, 3),
    (56, 64, 256, 1, 1, 4),
    (56, 256, 128, 1, 1, 1),
    (56, 128, 128, 3, 2, 1),
    (56, 256, 512, 1, 2, 1),
    (28, 128, 512, 1, 1, 4),
    (28, 512, 128, 1, 1, 3),
    (28, 128, 128, 3, 1, 3),
    (28, 512, 256, 1, 1, 1),
    (28, 256, 256, 3, 2, 1),
    (28, 512, 1024, 1, 2, 1),
    (14, 256, 1024, 1, 1, 6),
    (14, 1024, 256, 1, 1, 5),
    (14, 256, 256, 3, 1, 5),
    (14, 1024, 512, 1, 1, 1),
    (14, 512, 512, 3, 2, 1),
    (14, 1024, 2048, 1, 2, 1),
    (7, 512, 2048, 1, 1, 3),
    (7, 2048, 512, 1, 1, 2),
    (7, 512, 512, 3, 1, 2),
];

/// Extent, channels, residual, relu, times per step.
type NormRow = (usize, usize, bool, bool, usize);
const NORMS: &[NormRow] = &[
    (112, 64, false, true, 1),
    (56, 64, false, true, 6),
    (56, 256, true, true, 3),
    (56, 256, false, false, 1),
    (56, 128, false, true, 1),
    (28, 128, false, true, 7),
    (28, 512, true, true, 4),
    (28, 512, false, false, 1),
    (28, 256, false, true, 1),
    (14, 256, false, true, 11),
    (14, 1024, true, true, 6),
    (14, 1024, false, false, 1),
    (7, 512, false, true, 6),
    (7, 2048, true, true, 4),
];

/// Seconds on a clock: the wall's, or what this process has used.
fn now() -> f64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    if !*CPU_TIME {
        return START.elapsed().as_secs_f64();
    }
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let used = tasks.filter_map(|t| std::fs::read_to_string(t.path().join("schedstat")).ok());
    used.filter_map(|s| s.split_whitespace().next()?.parse::<f64>().ok()).sum::<f64>() * 1e-9
}

static CPU_TIME: LazyLock<bool> = LazyLock::new(|| std::env::args().any(|a| a == "--cpu-time"));

const SMALL_CONVS: &[ConvRow] = &[
    (64, 3, 64, 7, 2, 1),
    (16, 64, 64, 3, 1, 4),
    (16, 64, 128, 3, 2, 1),
    (16, 64, 128, 1, 2, 1),
    (8, 128, 128, 3, 1, 3),
    (8, 128, 256, 3, 2, 1),
    (8, 128, 256, 1, 2, 1),
    (4, 256, 256, 3, 1, 3),
    (4, 256, 512, 3, 2, 1),
    (4, 256, 512, 1, 2, 1),
    (2, 512, 512, 3, 1, 3),
];

const SMALL_NORMS: &[NormRow] = &[
    (32, 64, false, true, 1),
    (16, 64, false, true, 2),
    (16, 64, true, true, 2),
    (8, 128, false, true, 2),
    (8, 128, true, true, 2),
    (8, 128, false, false, 1),
    (4, 256, false, true, 2),
    (4, 256, true, true, 2),
    (4, 256, false, false, 1),
    (2, 512, false, true, 2),
    (2, 512, true, true, 2),
    (2, 512, false, false, 1),
];

static SMALL: LazyLock<bool> = LazyLock::new(|| std::env::args().any(|a| a == "--small"));

/// Median seconds of one call: at least five calls and 60 ms after one to warm up.
fn time(mut f: impl FnMut()) -> f64 {
    f();
    let mut all = Vec::new();
    let begin = Instant::now();
    while all.len() < 5 || (begin.elapsed().as_secs_f64() < 0.06 && all.len() < 50) {
        let start = now();
        f();
        all.push(now() - start);
    }
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

fn filled(cpu: &Cpu<f32>, len: usize) -> Buffer {
    let host: Vec<f32> = (0..len).map(|i| ((i * 7919) % 257) as f32 / 128.0 - 1.0).collect();
    cpu.upload(&host).expect("upload")
}

fn all(b: &Buffer) -> &[f32] {
    Cpu::<f32>::all(b)
}
fn all_mut(b: &mut Buffer) -> &mut [f32] {
    Cpu::<f32>::all_mut(b)
}

/// Seconds per step of all convolutions.
fn convs(cpu: &Cpu<f32>, n: usize) -> f64 {
    println!("{:<26} {:>5} {:>22} {:>22} {:>22}", "convolution", "times", "fprop GFLOP/s (ms)", "dgrad", "wgrad");
    let (mut seconds, mut flops) = ([0.0; 3], [0.0; 3]);
    for (i, (h, c, k, f, stride, times)) in (if *SMALL { SMALL_CONVS } else { CONVS }).iter().copied().enumerate() {
        let pr = ConvProblem { n, h, w: h, c, k, r: f, s: f, stride, pad: f / 2 };
        let (mut x, mut w, mut y) = (filled(cpu, pr.x_len()), filled(cpu, pr.w_len()), filled(cpu, pr.y_len()));
        let flop = 2.0 * pr.macs() as f64;
        let t = [
            time(|| cpu.conv_fprop(&pr, all(&x), all(&w), all_mut(&mut y)).expect("fprop")),
            // the first layer's input needs no gradient
            if i == 0 { 0.0 } else { time(|| cpu.conv_dgrad(&pr, all(&y), all(&w), all_mut(&mut x), false).expect("dgrad")) },
            time(|| cpu.conv_wgrad(&pr, all(&x), all(&y), all_mut(&mut w), true).expect("wgrad")),
        ];
        print!("{:<26} {times:>5}", format!("{h}x{h}x{c} -> {k}, {f}x{f}/{stride}"));
        for (pass, t) in t.into_iter().enumerate() {
            print!(" {:>13.0} ({:>6.2})", if t > 0.0 { flop / t / 1e9 } else { 0.0 }, t * 1e3);
            seconds[pass] += t * times as f64;
            flops[pass] += if t > 0.0 { flop * times as f64 } else { 0.0 };
        }
        println!();
    }
    print!("{:<26} {:>5}", "all", "");
    for pass in 0..3 {
        print!(" {:>12.0} ({:>7.1})", flops[pass] / seconds[pass] / 1e9, seconds[pass] * 1e3);
    }
    let (s, f): (f64, f64) = (seconds.iter().sum(), flops.iter().sum());
    println!("\n{:<26} {:>5} {:>12.0} ({:>7.1})", "all passes", "", f / s / 1e9, s * 1e3);
    s
}

/// Seconds per step of all batch norms.
fn norms(cpu: &Cpu<f32>, n: usize) -> f64 {
    println!("\n{:<26} {:>5} {:>22} {:>22}", "batch norm", "times", "forward GB/s (ms)", "backward");
    let mut sum = [0.0; 2];
    for (h, c, res, relu, times) in if *SMALL { SMALL_NORMS } else { NORMS }.iter().copied() {
        let pr = NormProblem { pixels: n * h * h, channels: c, eps: 1e-5, momentum: 0.1, relu };
        let len = pr.pixels * c;
        let (y, residual, mut out, mut d, mut dy) =
            (filled(cpu, len), filled(cpu, len), filled(cpu, len), filled(cpu, len), filled(cpu, len));
        let (gamma, beta) = (filled(cpu, c), filled(cpu, c));
        let (mut running, mut saved, mut dgamma, mut dbeta) = (filled(cpu, 2 * c), filled(cpu, 2 * c), filled(cpu, c), filled(cpu, c));
        let forward = time(|| {
            let (running, saved) = (all_mut(&mut running), all_mut(&mut saved));
            cpu.norm_train(&pr, all(&y), all(&gamma), all(&beta), res.then(|| all(&residual)), running, saved, all_mut(&mut out))
                .expect("norm");
        });
        let backward = time(|| {
            let (dgamma, dbeta) = (all_mut(&mut dgamma), all_mut(&mut dbeta));
            let mask = relu.then(|| all(&out));
            cpu.norm_backward(&pr, all_mut(&mut d), mask, all(&y), all(&gamma), all(&saved), dgamma, dbeta, all_mut(&mut dy), true)
                .expect("norm");
        });
        let bytes = 4e-9 * len as f64;
        let (f, b) = (bytes * (3.0 + f64::from(u8::from(res))), bytes * (5.0 + 2.0 * f64::from(u8::from(relu))));
        let name = format!("{h}x{h}x{c}{}{}", if res { " +res" } else { "" }, if relu { " relu" } else { "" });
        println!("{name:<26} {times:>5} {:>13.1} ({:>6.2}) {:>13.1} ({:>6.2})", f / forward, forward * 1e3, b / backward, backward * 1e3);
        sum[0] += forward * times as f64;
        sum[1] += backward * times as f64;
    }
    println!("{:<26} {:>5} {:>13} ({:>6.1}) {:>13} ({:>6.1})", "all", "", "", sum[0] * 1e3, "", sum[1] * 1e3);
    sum[0] + sum[1]
}

/// Seconds per step of everything else.
fn rest(cpu: &Cpu<f32>, n: usize) -> f64 {
    println!("\n{:<26} {:>5} {:>22}", "other", "times", "GB/s (ms)");
    let mut sum = 0.0;
    let mut line = |name: &str, times: f64, bytes: f64, t: f64| {
        println!("{name:<26} {times:>5} {:>13.1} ({:>6.2})", bytes * 1e-9 / t, t * 1e3);
        sum += t * times;
    };
    let (extent, features, last, count) = if *SMALL { (32, 512, 4, 11_689_512) } else { (112, 2048, 49, 25_557_032) };
    let pr = PoolProblem { n, h: extent, w: extent, c: 64, window: 3, stride: 2, pad: 1 };
    let (mut x, mut y, mut position) = (filled(cpu, pr.x_len()), filled(cpu, pr.y_len()), cpu.empty_bytes(pr.y_len()).expect("bytes"));
    let bytes = (4 * pr.x_len() + 5 * pr.y_len()) as f64;
    line("max pool", 1.0, bytes, time(|| cpu.max_pool(&pr, all(&x), all_mut(&mut y), &mut position).expect("pool")));
    let back = time(|| cpu.max_pool_backward(&pr, all(&y), &position, all_mut(&mut x), false).expect("pool"));
    line("max pool backward", 1.0, bytes, back);
    let len = n * last * features;
    let (mut x, mut y) = (filled(cpu, len), filled(cpu, n * features));
    line("average pool", 1.0, 4.0 * len as f64, time(|| cpu.average_pool(n, last, features, all(&x), all_mut(&mut y)).expect("pool")));
    let back = time(|| cpu.average_pool_backward(n, last, features, all(&y), all_mut(&mut x), false).expect("pool"));
    line("average pool backward", 1.0, 4.0 * len as f64, back);
    let pr = LinearProblem { n, c: features, k: 1000 };
    let (x, mut w, mut bias, mut out) = (filled(cpu, n * features), filled(cpu, features * 1000), filled(cpu, 1000), filled(cpu, n * 1000));
    let bytes = 4.0 * (features * 1000) as f64;
    line("linear", 1.0, bytes, time(|| cpu.linear_fprop(&pr, all(&x), all(&w), all(&bias), all_mut(&mut out)).expect("linear")));
    line("linear dgrad", 1.0, bytes, time(|| cpu.linear_dgrad(&pr, all(&out), all(&w), all_mut(&mut y), false).expect("linear")));
    let wgrad = time(|| cpu.linear_wgrad(&pr, all(&x), all(&out), all_mut(&mut w), all_mut(&mut bias), true).expect("linear"));
    line("linear wgrad", 1.0, bytes, wgrad);
    let (mut p, g, mut state) = (filled(cpu, count), filled(cpu, count), filled(cpu, count));
    let table = UpdateTable { lr: vec![1e-3], momentum: vec![0.9], average_decay: vec![] };
    let mut control = cpu.control(count, &table, Counters::default()).expect("control");
    line("gradient norm", 1.0, 4.0 * count as f64, time(|| cpu.measure(&mut control, None, all(&g)).expect("measure")));
    let groups = ParamGroups(vec![ParamGroup { end: count, weight_decay: 1e-4 }]);
    let sgd = Sgd { nesterov: false, dampening: 0.0 };
    let update = time(|| cpu.update(&sgd, &mut control, &groups, all_mut(&mut p), all(&g), &mut state).expect("update"));
    line("sgd, all parameters", 1.0, 20.0 * count as f64, update);
    let (adamw, mut state) = (AdamW { beta2: 0.999, eps: 1e-8 }, cpu.zeros(2 * count).expect("zeros"));
    let update = time(|| cpu.update(&adamw, &mut control, &groups, all_mut(&mut p), all(&g), &mut state).expect("update"));
    line("adamw, all parameters", 0.0, 28.0 * count as f64, update);
    // gradients of the sixteen residual branches meet; with dgrad's accumulate none of these is needed, so they do not count
    let len = n * 56 * 56 * 256;
    let (a, b, mut out) = (filled(cpu, len), filled(cpu, len), filled(cpu, len));
    line("add 56x56x256", 0.0, 12.0 * len as f64, time(|| cpu.add(all(&a), all(&b), all_mut(&mut out)).expect("add")));
    line("relu 56x56x256", 0.0, 8.0 * len as f64, time(|| cpu.relu(all(&a), all_mut(&mut out)).expect("relu")));
    black_box(&out);
    let (stored, size) = if *SMALL { (80, 64) } else { (320, 224) };
    let view = |i| PictureView {
        offset: i * stored * stored * 3,
        width: stored as u32,
        height: stored as u32,
        crop: Crop::resized((1, 1, stored as u32 - 8, stored as u32 - 9), size as u32, true),
    };
    let batch = StoredBatch { pixels: vec![7; n * stored * stored * 3].into(), views: (0..n).map(view).collect(), labels: Vec::new() };
    let mut out = filled(cpu, n * size * size * 3);
    let bytes = (n * (stored * stored + 4 * size * size) * 3) as f64;
    let augment = time(|| cpu.augment(&batch, size, [0.5; 3], [0.25; 3], all_mut(&mut out)).expect("augment"));
    line("augment", 1.0, bytes, augment);
    sum
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let value = |name: &str| args.iter().position(|a| a == name).and_then(|i| args.get(i + 1));
    let n = value("--batch").and_then(|v| v.parse().ok()).unwrap_or(if *SMALL { 64 } else { 16 });
    let only = value("--only").map(String::as_str);
    let cpu = Cpu::<f32>::new();
    println!("{}, {}, batch {n}\n", cpu.describe(), if *SMALL { "ResNet-18 at 64" } else { "ResNet-50 at 224" });
    let mut parts = Vec::new();
    for (name, f) in [("conv", convs as fn(&Cpu<f32>, usize) -> f64), ("norm", norms), ("other", rest)] {
        if only.is_none_or(|o| o == name) {
            parts.push((name, f(&cpu, n)));
        }
    }
    let total: f64 = parts.iter().map(|p| p.1).sum();
    println!();
    for (name, seconds) in &parts {
        println!("{name:<6} {:>7.1} ms/img", seconds * 1e3 / n as f64);
    }
    println!("step   {:>7.1} ms/img = {:.2} img/s of kernels", total * 1e3 / n as f64, n as f64 / total);
}
