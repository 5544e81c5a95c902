//! The program, pictures to feed it, and what it wrote.

use imagenet_engine::data::{Split, demo};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub fn engine() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_imagenet-engine"));
    command.stdin(Stdio::null());
    command
}

/// Exit code of a command whose output nobody reads.
pub fn run_code(command: &mut Command) -> Option<i32> {
    let output = command.output().unwrap();
    if !output.status.success() {
        eprintln!("{}", String::from_utf8_lossy(&output.stderr));
    }
    output.status.code()
}

/// 100 training and 40 validation pictures below `folder`: `train` and `val`.
pub fn demo_pictures(folder: &Path) -> PathBuf {
    let data = folder.join("data");
    demo::write(&data.join("train"), Split::Train, 100, 1).unwrap();
    demo::write(&data.join("val"), Split::Val, 40, 1).unwrap();
    data
}

/// The lines of a run's metrics.jsonl.
pub fn events(output: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(output.join("metrics.jsonl")).unwrap();
    text.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}
