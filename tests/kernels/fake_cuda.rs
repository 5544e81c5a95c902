//! The GPU driver over a library that stands in for libcuda (fake_cuda.cpp): modules, functions, memory, launches, events and errors go
//! through the same calls as on a GPU; the kernels are run by the emulator.
//!
//! The library must be found when the process starts, so the test runs its own program again with another LD_LIBRARY_PATH.

use crate::common::integers;
use half::bf16;
use imagenet_engine::bench::subjects::Workload;
use imagenet_engine::bench::{self, Options};
use imagenet_engine::cuda::conv::{self, Variant};
use imagenet_engine::cuda::gpu::Gpu;
use imagenet_engine::cuda::memory::Array;
use imagenet_engine::cuda::timed::Timed;
use imagenet_engine::cuda::{self, KERNELS, elementwise};
use imagenet_engine::shape::ConvProblem;
use std::path::Path;
use std::process::Command;

/// Builds the library and returns its folder.
fn build() -> std::path::PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fake_cuda");
    std::fs::create_dir_all(&folder).unwrap();
    let tree = Path::new(env!("CARGO_MANIFEST_DIR"));
    let runtime = Path::new(env!("IMAGENET_EMULATOR_RUNTIME"));
    let done = Command::new(std::env::var("CXX").unwrap_or_else(|_| "c++".into()))
        .args(["-std=c++20", "-O1", "-Wall", "-Wextra", "-fPIC", "-shared", "-Wl,-Bsymbolic"])
        .arg(format!("-I{}", tree.join("kernels/emulator").display()))
        .arg(tree.join("tests/kernels/fake_cuda.cpp"))
        .arg("-Wl,--whole-archive")
        .args([&runtime.with_file_name("libemulated_kernels.a"), runtime])
        .args(["-Wl,--no-whole-archive", "-o"])
        .arg(folder.join("libcuda.so"))
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    folder
}

#[test]
fn the_gpu_driver_works_over_a_stand_in_for_cuda() {
    if KERNELS.is_empty() {
        println!("left out: built without nvcc, so there is no image to load");
        return;
    }
    let folder = build();
    for inner in ["fake_cuda::inside_runs", "fake_cuda::inside_fails"] {
        let done = Command::new(std::env::current_exe().unwrap())
            .args([inner, "--exact", "--ignored", "--nocapture", "--test-threads=1"])
            .env("LD_LIBRARY_PATH", &folder)
            .output()
            .unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        assert!(done.status.success() && said.contains("1 passed"), "{inner}: {said}");
    }
}

#[test]
#[ignore = "run by the_gpu_driver_works_over_a_stand_in_for_cuda, on its library"]
fn inside_runs() {
    let gpus = cuda::gpus().unwrap();
    assert_eq!((gpus.len(), gpus[0].name.as_str(), gpus[0].capability), (1, "Fake GPU", (8, 0)));
    assert!(gpus[0].driver.starts_with("CUDA 13.0") && gpus[0].clock_mhz == 1980 && gpus[0].memory_bus_bits == 5120);
    let gpu = Gpu::open(0).unwrap();
    assert!(!gpu.has_wgmma("ceilings"));

    // the right numbers come back, through the tile that needs more shared memory than a launch has by itself
    let problem = ConvProblem { n: 1, h: 9, w: 9, c: 64, k: 72, r: 3, s: 3, stride: 1, pad: 1 };
    let numbers = |seed, len| integers(seed, len).into_iter().map(bf16::from_f64).collect::<Vec<_>>();
    let (x, w) =
        (Array::from_host(&gpu, &numbers(1, problem.x_len())).unwrap(), Array::from_host(&gpu, &numbers(2, problem.w_len())).unwrap());
    let mut y = Array::<bf16, Gpu>::new(&gpu, problem.y_len()).unwrap();
    let mut run = |variant| {
        conv::fprop(&gpu, &problem, variant, x.ptr(), w.ptr(), y.ptr_mut()).unwrap();
        y.to_host().unwrap()
    };
    let want = run(Variant::Direct);
    assert!(want.iter().any(|v| v.to_f32() != 0.0));
    for variant in Variant::TILED {
        assert_eq!(run(variant), want, "{variant:?}");
    }
    // from another thread, and by a clone
    let clone = gpu.clone();
    std::thread::spawn(move || Array::<f32, Gpu>::from_host(&clone, &[1.0, 2.0]).unwrap().to_host().unwrap()).join().unwrap();

    // events: a launch takes a millisecond here, so each work of two launches two
    let (mut a, len) = (Array::<f32, Gpu>::new(&gpu, 64).unwrap(), 64);
    gpu.fill(a.address(), 0, 256).unwrap();
    let a = (a.ptr(), a.ptr_mut(), a);
    let twice = &mut || elementwise::relu(&gpu, len, a.0, a.1).and_then(|()| elementwise::relu(&gpu, len, a.0, a.1));
    let times = gpu.time(3, &mut || elementwise::relu(&gpu, len, a.0, a.1), twice).unwrap().unwrap();
    assert_eq!(times.len(), 3);
    assert!(times.iter().all(|t| (t - 2e-3).abs() < 1e-9), "{times:?}");

    let workload = Workload::tiny(2).unwrap();
    let report = bench::run(&gpu, &Options { workload, only: None, repeats: 2 }, &mut |_| {}).unwrap();
    assert!(report.ceilings.copy.is_some() && report.ceilings.mma.is_some() && report.ceilings.wgmma == [None; 3]);
    for row in &report.rows {
        assert_eq!(row.seconds.as_ref().unwrap().len(), 2);
        assert!(row.floor(&report.ceilings).unwrap() > 0.0);
    }
    let spent: f64 = report.totals().iter().map(|t| t.milliseconds).sum();
    assert!(spent > 0.0 && report.summary().contains("images/s"));
}

/// A fault of a kernel sticks, as on a GPU, so this is a process of its own.
#[test]
#[ignore = "run by the_gpu_driver_works_over_a_stand_in_for_cuda, on its library"]
fn inside_fails() {
    let error = Gpu::open(7).err().unwrap();
    assert!(error.exit_code() == 71 && error.to_string().contains("no GPU of that number"), "{error}");
    let gpu = Gpu::open(0).unwrap();
    let error = Array::<f32, Gpu>::new(&gpu, 1 << 40).err().unwrap().to_string();
    assert!(error.contains("no room for") && error.contains("memory is full") && error.contains("Fake GPU"), "{error}");
    let (x, mut y) = (Array::from_host(&gpu, &[1f32; 8]).unwrap(), Array::<f32, Gpu>::new(&gpu, 8).unwrap());
    elementwise::relu(&gpu, 8, x.ptr(), y.ptr_mut()).unwrap();
    gpu.synchronize().unwrap();
    // beyond the arrays: the launch succeeds, what comes after it fails and names it
    elementwise::relu(&gpu, 1 << 16, x.ptr(), y.ptr_mut()).unwrap();
    for error in [gpu.synchronize().unwrap_err(), y.to_host().unwrap_err()] {
        let text = error.to_string();
        assert!(text.contains("after the launch of relu_f32") && text.contains("left its memory"), "{text}");
        assert!(text.contains("CUDA_LAUNCH_BLOCKING") && error.exit_code() == 71, "{text}");
    }
    let error = elementwise::relu(&gpu, 8, x.ptr(), y.ptr_mut()).unwrap_err().to_string();
    assert!(error.contains("relu_f32 cannot be launched") && error.contains("grid: [1, 1, 1]"), "{error}");
}
