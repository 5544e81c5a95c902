//! `bench kernels` on the emulator: every kernel of the tree is launched, with the operations that are counted, and no time is told.

use crate::device::emulator;
use imagenet_engine::bench::subjects::Workload;
use imagenet_engine::bench::{self, Options};
use imagenet_engine::cuda::handles;
use imagenet_engine::cuda::images::hash_of;
use std::collections::BTreeSet;
use std::process::{Command, Stdio};

fn options(only: Option<&str>) -> Options {
    Options { workload: Workload::tiny(2).unwrap(), only: only.map(str::to_owned), repeats: 1 }
}

/// Kernels that are not measured, each for a reason.
fn left_out(kernel: &str) -> bool {
    // of tests only; the noise that cases begin with
    kernel.starts_with("conformance_") || kernel.starts_with("noise_")
}

#[test]
fn every_kernel_is_measured() {
    let report = bench::run(&emulator(), &options(None), &mut |_| {}).unwrap();
    let launched: BTreeSet<&str> = report.launches().map(|(k, _)| k.name).collect();
    let missing: Vec<_> = handles::ALL.iter().map(|k| k.name).filter(|k| !left_out(k) && !launched.contains(k)).collect();
    assert!(missing.is_empty(), "no case of src/bench/subjects launches {missing:?}");
    assert!(report.rows.iter().all(|r| r.seconds.is_none() && r.bytes > 0.0 && !r.launches.is_empty()));
    assert!(report.totals().is_empty() && report.summary().contains("no performance"));
    assert_eq!(report.ceilings, Default::default());
}

/// 1x1 filters over whole tiles multiply nothing in vain, so the emulator counts what is claimed; elsewhere it counts more.
#[test]
fn operations_are_those_that_tensor_cores_do() {
    let mut workload = Workload::resnet50(1).unwrap();
    workload.layers.retain(|(l, _)| format!("{l:?}").contains("ConvProblem { n: 1, h: 56, w: 56, c: 64, k: 64, r: 1"));
    assert_eq!(workload.layers.len(), 1);
    for (op, variant) in [("conv_fprop", "m64n64"), ("conv_dgrad", "m64n64"), ("conv_wgrad", "m64n64")] {
        let device = emulator();
        let only = Some(op.to_owned());
        let report = bench::run(&device, &Options { workload: workload.clone(), only, repeats: 1 }, &mut |_| {}).unwrap();
        device.take_counters();
        let row = report.rows.iter().find(|r| r.variant == variant).unwrap();
        assert_eq!(row.flop, 2.0 * 3136.0 * 64.0 * 64.0);
        let again = Options { workload: workload.clone(), only: Some(format!("{op} {} {variant}", row.shape)), repeats: 1 };
        bench::run(&device, &again, &mut |_| {}).unwrap();
        // once to see the kernels, once timed; the ceilings' own are known
        let of_ceilings = 7 * 4 * 8 * 2 * 8 * 2;
        let counted = device.take_counters().mma - of_ceilings;
        assert_eq!(counted as f64 * 4096.0, 2.0 * row.flop, "{op}");
    }
}

#[test]
fn nothing_that_matches_is_an_error_with_what_there_is() {
    let error = bench::run(&emulator(), &options(Some("no such thing")), &mut |_| {}).unwrap_err();
    assert!(error.exit_code() == 2 && error.to_string().contains("conv_fprop"), "{error}");
}

#[test]
fn the_command_writes_a_record_and_rows() {
    let folder = tempfile::tempdir().unwrap();
    let (json, csv) = (folder.path().join("b.json"), folder.path().join("b.csv"));
    let args = ["bench", "kernels", "--device", "emulated", "--only", "relu", "--commit", "abc1234", "--json", json.to_str().unwrap()];
    let output = Command::new(env!("CARGO_BIN_EXE_imagenet-engine"))
        .args(args)
        .args(["--csv", csv.to_str().unwrap()])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("emulated: no performance") && !said.contains("images/s"), "{said}");
    let record: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(json).unwrap()).unwrap();
    assert_eq!(record["kernels"]["relu_bf16"], hash_of("elementwise").unwrap());
    assert_eq!((&record["commit"], &record["timed"], &record["gpu"]), (&"abc1234".into(), &false.into(), &"emulator".into()));
    assert!(record["rows"][0]["seconds"].is_null() && record["rows"][0]["bytes"].as_f64() > Some(0.0));
    let csv = std::fs::read_to_string(csv).unwrap();
    assert!(csv.starts_with("op,shape,variant,kernels") && csv.contains("relu_backward_bf16"), "{csv}");
    assert!(csv.lines().all(|l| l.matches(',').count() == 12), "{csv}");
}
