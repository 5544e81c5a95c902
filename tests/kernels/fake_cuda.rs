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
use imagenet_engine::data::{Split, demo};
use imagenet_engine::shape::ConvProblem;
use std::path::Path;
use std::process::Command;

/// Builds the library in a folder of its own, which it returns: tests run side by side.
fn build(name: &str) -> std::path::PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fake_cuda").join(name);
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
    let folder = build("driver");
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

/// The program itself on the stand-in, which `machine` makes another one: exit code, what it said, what it complained of.
fn engine(folder: &Path, machine: &[(&str, &str)], arguments: &[&str]) -> (Option<i32>, String, String) {
    let done = Command::new(env!("CARGO_BIN_EXE_imagenet-engine"))
        .args(arguments)
        .env("LD_LIBRARY_PATH", folder)
        .envs(machine.iter().copied())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (done.status.code(), text(&done.stdout), text(&done.stderr))
}

const SMALL: [&str; 8] = ["--model", "resnet18", "--train-crop-size", "33", "--batch-size", "4", "--device", "cuda"];

/// Uploads through landing places, a recorded and replayed step, results that come late, evaluation: the bytes of the emulated device's run.
#[test]
fn a_run_on_the_stand_in_has_the_bytes_of_an_emulated_one() {
    if KERNELS.is_empty() {
        println!("left out: built without nvcc, so there is no image to load");
        return;
    }
    let (folder, place) = (build("run"), tempfile::tempdir().unwrap());
    let path = |name: &str| place.path().join(name).display().to_string();
    for (split, count) in [(Split::Train, 40), (Split::Val, 7)] {
        demo::write(Path::new(&path(split.name())), split, count, 1).unwrap();
    }
    let train = |device: &str, output: &str| {
        let (train, val, output) = (path("train"), path("val"), path(output));
        let mut all = vec!["train", "--data", &train, "--val", &val, "--output", &output, "--val-crop-size", "33", "--lr", "0.01"];
        all.extend(["--max-steps", "3", "--log-interval", "1", "--progress", "none"]);
        all.extend(SMALL.iter().map(|word| if *word == "cuda" { device } else { *word }));
        let (code, _, said) = engine(&folder, &[], &all);
        assert_eq!(code, Some(0), "{said}");
        let losses = std::fs::read_to_string(place.path().join(Path::new(&output)).join("metrics.jsonl")).unwrap();
        let losses: Vec<f64> = losses.lines().filter_map(|l| l.split("\"loss\":").nth(1)?.split([',', '}']).next()?.parse().ok()).collect();
        (losses, std::fs::read(Path::new(&output).join("model.safetensors")).unwrap())
    };
    let (cuda, emulated) = (train("cuda", "cuda"), train("emulated", "emulated"));
    assert_eq!(cuda.0.len(), 4);
    assert_eq!(cuda.0, emulated.0);
    assert!(cuda.1 == emulated.1, "the weights differ");
}

/// What may be wrong with a GPU machine, each with its own words.
#[test]
fn each_trouble_of_a_gpu_machine_has_its_own_error() {
    if KERNELS.is_empty() {
        println!("left out: built without nvcc, so there is no image to load");
        return;
    }
    let folder = build("troubles");
    let place = tempfile::tempdir().unwrap();
    let output = place.path().join("run").display().to_string();
    let run = |machine: &[(&str, &str)], more: &[&str]| {
        let mut all = vec!["train", "--data", "synthetic", "--max-steps", "3", "--lr", "0.01", "--progress", "none", "--output", &output];
        all.extend(SMALL);
        all.extend(more);
        let (code, _, said) = engine(&folder, machine, &all);
        assert_eq!(code, Some(71), "{said}");
        said
    };
    let said = run(&[("FAKE_CUDA_VERSION", "12040")], &[]);
    assert!(said.contains("too old: CUDA 12.4") && said.contains("need CUDA 13.0") && said.contains("580"), "{said}");
    let said = run(&[("FAKE_CUDA_CAPABILITY", "75")], &[]);
    assert!(said.contains("no compiled kernel runs on this GPU") && said.contains("7.5"), "{said}");
    let said = run(&[], &["--batch-size", "100000"]);
    assert!(said.contains("a batch of 100,000 needs") && said.contains("3.00 GiB are free") && said.contains("--batch-size"), "{said}");
    let said = run(&[("FAKE_CUDA_LOST", "150")], &[]);
    assert!(said.contains("the device is lost") && said.contains("--resume auto") && said.contains("Fake GPU"), "{said}");
    // `auto` goes to the CPU, and says why
    let (code, _, said) = engine(&folder, &[("FAKE_CUDA_VERSION", "12040")], &["train", "--dry-run"]);
    assert!(code == Some(0) && said.contains("the CPU is used: the driver is too old"), "{said}");
}

#[test]
fn a_step_is_taken_apart_and_the_doctor_looks_at_the_machine() {
    if KERNELS.is_empty() {
        println!("left out: built without nvcc, so there is no image to load");
        return;
    }
    let (folder, place) = (build("step"), tempfile::tempdir().unwrap());
    let json = place.path().join("step.json").display().to_string();
    let mut all = vec!["bench", "step", "--steps", "1", "--json", &json, "--data", "made"];
    all.extend(SMALL);
    let (code, said, complaint) = engine(&folder, &[], &all);
    assert!(code == Some(0) && said.contains("loading costs") && said.contains("to the end of the first step"), "{said} {complaint}");
    let found: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    assert!(found["precision"] == "bf16" && found["images_per_s"].as_f64().unwrap() > 0.0 && found["loaded"]["images_per_s"].is_f64());
    let kernels = found["kernels"].as_array().unwrap();
    let of_fprop = kernels.iter().filter(|k| k["op"] == "conv_fprop");
    // every launch takes a millisecond here; the stem's convolution is an operation of its own
    let (calls, ms) = of_fprop.fold((0.0, 0.0), |(c, m), k| (c + k["calls"].as_f64().unwrap(), m + k["ms_per_step"].as_f64().unwrap()));
    assert!((calls - 19.0).abs() < 1e-9 && (ms - calls).abs() < 1e-6, "{calls} calls, {ms} ms");
    assert!(kernels.iter().filter(|k| k["op"] != "other").all(|k| k["op_roofline_percent"].as_f64().unwrap() > 0.0), "{kernels:?}");
    let alone = kernels.iter().filter(|k| ["conv_fprop", "conv_dgrad"].iter().any(|op| k["op"] == *op));
    assert!(alone.clone().count() >= 2 && alone.clone().all(|k| k["roofline_percent"].as_f64().unwrap() > 0.0), "{kernels:?}");

    // an nvidia-smi of our own, first on the path
    let smi = place.path().join("nvidia-smi");
    std::fs::write(&smi, "#!/bin/sh\necho '345, 1980, 3201, 3201, 4, 8, 16, 41, 120, 700, Disabled, 0x0000000000000008'\n").unwrap();
    std::fs::set_permissions(&smi, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", place.path().display(), std::env::var("PATH").unwrap());
    let (code, said, _) = engine(&folder, &[("PATH", &path)], &["doctor"]);
    assert_eq!(code, Some(0));
    for part in
        ["Fake GPU", "3.0 of 4.0 GiB are free", "25.0 GB/s to the device", "345 of 1980 MHz", "gpu 0 runs sm_80", "8 of 16 PCIe lanes"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(said.contains("fix    hardware slows it down") && said.contains("-pm 1"), "{said}");
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
