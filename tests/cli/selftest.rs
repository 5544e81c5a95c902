//! `selftest` as a user meets it: the table, the JSON, and devices that are not there.

use super::{engine, refuses, stderr};
use std::path::Path;

fn passes(device: &str, only: &str, words: &[&str]) -> serde_json::Value {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.json");
    let output = engine(&["selftest", "--device", device, "--only", only, "--json", path.to_str().unwrap()]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}{}", stderr(&output));
    for word in words {
        assert!(text.contains(word), "'{word}' in {text}");
    }
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let cases = json["cases"].as_array().unwrap();
    assert!(!cases.is_empty() && json["failed"] == 0 && json["passed"].as_u64() == Some(cases.len() as u64), "{json}");
    for case in cases {
        assert!(case["passed"] == true && case["failure"].is_null() && case["worst"].as_f64().unwrap() <= 1.0, "{case}");
        for word in ["subject", "op", "shape", "element", "detail"] {
            assert!(case[word].is_string(), "{word} of {case}");
        }
        assert!(case["kernels"].is_array() && case["seconds"].is_number(), "{case}");
    }
    json
}

#[test]
fn the_cpu_backend_passes() {
    let json = passes("cpu", "pool", &["max_pool_backward", "average_pool", "passed", "worst"]);
    assert!(json["cases"].as_array().unwrap().iter().all(|c| c["element"] == "f32" && c["subject"] == "pool"));
}

#[cfg(feature = "emulator")]
#[test]
fn the_emulated_kernels_pass() {
    let json = passes("emulated", "conformance", &["mma", "conformance_multiply_add", "ldmatrix"]);
    assert!(json["cases"].as_array().unwrap().iter().all(|c| !c["kernels"].as_array().unwrap().is_empty()));
    let hash = json["kernels"]["conformance_multiply_add"].as_str().unwrap();
    assert!(json["command"] == "selftest" && json["gpu"] == "emulator" && hash.len() == 16, "a record: {json}");
}

#[cfg(not(feature = "emulator"))]
#[test]
fn the_emulator_is_a_feature() {
    refuses(&["selftest", "--device", "emulated"], 2, &["feature `emulator`", "cargo build --release --features emulator"]);
}

#[test]
fn what_is_not_there_is_said() {
    refuses(&["selftest", "--device", "tpu"], 2, &["tpu", "emulated", "cuda"]);
    refuses(&["selftest", "--device", "cuda:x"], 2, &["cuda:x"]);
    refuses(&["selftest", "--only", "no such case", "--progress", "none"], 2, &["no such case", "--only"]);
    refuses(&["selftest", "--fast"], 2, &["--fast"]);
    if Path::new("/dev/nvidia0").exists() {
        println!("this machine has a GPU: not tested here");
        return;
    }
    refuses(&["selftest", "--device", "cuda"], 71, &["CUDA", "--device cpu"]);
}
