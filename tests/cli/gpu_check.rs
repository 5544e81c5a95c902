//! tools/gpu-check.sh with programs that stand in: one that works, one that fails, one that hangs, checkers that are missing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

fn program(path: &Path, body: &str) {
    fs::write(path, format!("#!/bin/bash\n{body}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Runs the script with an `engine` that does `body`, other tools as in `tools`, and a PATH with nothing else of a GPU's.
fn check(folder: &Path, body: &str, tools: &[(&str, &str)], seconds: u32, flags: &[&str]) -> (Output, String) {
    let bin = folder.join("bin");
    fs::create_dir_all(&bin).unwrap();
    program(&bin.join("engine"), body);
    program(&bin.join("python3"), "exit 1"); // no PyTorch
    tools.iter().for_each(|(name, body)| program(&bin.join(name), body));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/gpu-check.sh");
    let out = folder.join("out");
    let mut command = Command::new("bash");
    command.arg(script).args(flags).arg("--out").arg(&out).arg(bin.join("engine"));
    command.env("PATH", format!("{}:/usr/bin:/bin", bin.display())).env("GPU_CHECK_SECONDS", seconds.to_string());
    let output = command.output().unwrap();
    (output, fs::read_to_string(out.join("summary.txt")).unwrap_or_default())
}

#[test]
fn all_is_well_and_the_results_are_where_they_belong() {
    let folder = tempfile::tempdir().unwrap();
    let engine = r#"while [ $# -gt 0 ]; do case $1 in --json|--csv) echo "\"$IMAGENET_ENGINE_COMMIT\"" > "$2";;
        --output) mkdir -p "$2"; echo weights > "$2/model.safetensors";; esac; shift; done"#;
    let sanitizer = r#"while [[ $1 == -* ]]; do shift; [[ $1 == -* || -x $1 ]] || shift; done; exec "$@""#;
    let tools = [("nvidia-smi", "echo a GPU"), ("compute-sanitizer", sanitizer)];
    let (output, summary) = check(folder.path(), engine, &tools, 60, &["--commit", "abc1234"]);
    assert!(output.status.success(), "{summary}{}", String::from_utf8_lossy(&output.stderr));
    for step in ["machine", "doctor", "selftest", "bench-kernels", "memcheck-conv", "racecheck-gemm", "initcheck-norm"] {
        assert!(summary.lines().any(|l| l.starts_with(step) && l.contains(" ok ")), "{step}: {summary}");
    }
    assert!(summary.contains("left out: no PyTorch") && summary.contains("0 not ok"), "{summary}");
    for file in ["selftest.json", "bench-kernels.json", "bench-kernels.csv"] {
        assert_eq!(fs::read_to_string(folder.path().join("out").join(file)).unwrap(), "\"abc1234\"\n", "{file}");
    }
    let all: serde_json::Value = serde_json::from_str(&fs::read_to_string(folder.path().join("out/gpu-check.json")).unwrap()).unwrap();
    assert!(all["commit"] == "abc1234" && all["selftest"] == "abc1234" && all["torch"].as_array().unwrap().is_empty(), "{all}");
    let hashes = all["weights_of_200_updates"].as_array().unwrap();
    assert!(hashes.len() == 2 && hashes[0] == hashes[1] && hashes[0].as_str().unwrap().len() == 64, "{all}");
    assert!(all["steps"].as_array().unwrap().iter().any(|s| s["step"] == "repeatable" && s["outcome"] == "ok"), "{all}");
    // what comes back from a machine is a handful of files
    assert!(fs::read_dir(folder.path().join("out")).unwrap().count() <= 7);
}

#[test]
fn failures_and_hangs_do_not_stop_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let engine = r#"case $1 in doctor) echo "no such device"; exit 71;; selftest) sleep 100;; esac"#;
    let (output, summary) = check(folder.path(), engine, &[], 9, &[]);
    assert_eq!(output.status.code(), Some(1), "{summary}");
    assert!(summary.contains("failed: code 71") && summary.contains("    no such device"), "{summary}");
    assert!(summary.lines().any(|l| l.starts_with("selftest") && l.contains("timeout after")), "{summary}");
    assert!(summary.contains("left out: no time"), "{summary}");
    assert!(folder.path().join("out/logs.tar.gz").is_file());
}

/// Two runs that end in other bytes are a failure, and the file that holds everything says which bytes.
#[test]
fn runs_that_differ_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let engine = r#"while [ $# -gt 0 ]; do case $1 in --output) mkdir -p "$2"; echo "$2" > "$2/model.safetensors";; esac; shift; done"#;
    let (output, summary) = check(folder.path(), engine, &[], 60, &[]);
    assert_eq!(output.status.code(), Some(1), "{summary}");
    assert!(summary.contains("failed: other bytes") && summary.contains("1 not ok"), "{summary}");
    let all: serde_json::Value = serde_json::from_str(&fs::read_to_string(folder.path().join("out/gpu-check.json")).unwrap()).unwrap();
    assert!(all["weights_of_200_updates"][0] != all["weights_of_200_updates"][1] && all["selftest"].is_null(), "{all}");
}

#[test]
fn a_dry_run_shows_every_step_and_stays_under_eight_minutes() {
    let folder = tempfile::tempdir().unwrap();
    let (output, summary) = check(folder.path(), "exit 1", &[], 470, &["--dry-run"]);
    assert!(output.status.success() && summary.is_empty());
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let limit = |line: &str| line.split_whitespace().nth(1).and_then(|w| w.strip_suffix('s')).and_then(|n| n.parse::<u32>().ok());
    let limits: Vec<u32> = said.lines().filter_map(limit).collect();
    assert!(limits.len() == said.lines().count() && limits.iter().sum::<u32>() <= 470, "{said}");
    assert!(said.contains("selftest --device cuda --json") && said.contains("torch_step.py --device cuda"), "{said}");
}
