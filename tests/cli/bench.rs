//! `bench loader`, `bench pack` and `bench step`: that each does its work and leaves the figures it promises. How fast is no test's matter.

use super::{engine, refuses, stderr};
use serde_json::Value;
use std::path::Path;

fn json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn above_zero(found: &Value, keys: &[&str]) {
    let value = keys.iter().fold(found, |v, key| &v[*key]);
    assert!(value.as_f64().is_some_and(|v| v > 0.0), "{keys:?}: {found}");
}

#[test]
fn the_loader_is_measured_on_pictures_made_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let (out, csv) = (folder.path().join("l.json"), folder.path().join("l.csv"));
    let made =
        ["bench", "loader", "--made", "300x40", "--batch-size", "32", "--train-crop-size", "16", "--repeats", "2", "--shuffle", "block"];
    let done = engine(&[&made[..], &["--json", out.to_str().unwrap(), "--csv", csv.to_str().unwrap()]].concat());
    assert_eq!(done.status.code(), Some(0), "{}", stderr(&done));
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(said.contains("300 images") && said.contains("9 batches of 32"), "{said}");
    let found = json(&out);
    assert!(found["pictures"] == 300 && found["encoding"] == "raw_fixed", "{found}");
    for what in ["checked", "again", "augmented"] {
        above_zero(&found, &[what, "images_per_s"]);
        above_zero(&found, &[what, "images_per_s_per_core"]);
    }
    above_zero(&found, &["first_batch_s"]);
    assert_eq!(std::fs::read_to_string(&csv).unwrap().lines().count(), 4);
    refuses(&["bench", "loader", "--made", "300"], 2, &["COUNTxSIDE", "2048x256"]);
    refuses(&["bench", "loader", "--data", "no/such/folder"], 65, &["no/such/folder"]);
}

/// More pictures than the address space may hold: they are read and never mapped. (With control groups: tools/loader_limit.sh.)
#[test]
fn pictures_need_no_memory_of_their_size() {
    let kib = 450_000;
    let bench =
        format!("ulimit -v {kib}; exec {} bench loader --made 2700x256 --batch-size 64 --repeats 1", env!("CARGO_BIN_EXE_imagenet-engine"));
    let done = std::process::Command::new("sh").args(["-c", &bench]).output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert_eq!(done.status.code(), Some(0), "{said}{}", stderr(&done));
    assert!(2700 * 256 * 256 * 3 > kib << 10 && said.contains("2,700 images"), "{said}");
}

#[test]
fn packing_is_measured_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (out, input) = (folder.path().join("p.json"), folder.path().join("in"));
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/golden/yuv420.jpg");
    for class in ["a", "b"] {
        std::fs::create_dir_all(input.join(class)).unwrap();
        for i in 0..3 {
            std::fs::copy(&golden, input.join(class).join(format!("{i}.jpg"))).unwrap();
        }
    }
    for more in [&[][..], &["--jpeg"]] {
        let fixed =
            ["bench", "pack", "--input", input.to_str().unwrap(), "--resize", "32", "--repeats", "2", "--json", out.to_str().unwrap()];
        let done = engine(&[&fixed[..], more].concat());
        assert_eq!(done.status.code(), Some(0), "{}", stderr(&done));
        assert_eq!(json(&out)["pictures"], 6);
        above_zero(&json(&out), &["images_per_s_per_core"]);
    }
}

#[test]
fn a_step_is_measured_with_made_and_loaded_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("s.json");
    let fixed = ["bench", "step", "--device", "cpu", "--model", "resnet18", "--batch-size", "4", "--train-crop-size", "32", "--steps", "2"];
    let done = engine(&[&fixed[..], &["--data", "made", "--json", out.to_str().unwrap()]].concat());
    assert_eq!(done.status.code(), Some(0), "{}", stderr(&done));
    let found = json(&out);
    assert!(found["batch"] == 4 && found["precision"] == "fp32" && found["device"].as_str().unwrap().contains("CPU"), "{found}");
    above_zero(&found, &["images_per_s"]);
    above_zero(&found, &["loaded", "images_per_s"]);
    above_zero(&found, &["start_up_s"]);
    let kernels = found["kernels"].as_array().unwrap();
    let calls = |name: &str| kernels.iter().find(|k| k["name"] == name).and_then(|k| k["calls"].as_f64());
    assert_eq!((calls("conv.forward"), calls("conv.backward"), calls("update")), (Some(20.0), Some(20.0), Some(1.0)));
}
