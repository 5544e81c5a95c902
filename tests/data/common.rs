//! Small inputs and short ways to pack them.

use imagenet_engine::data::bad::OnBad;
use imagenet_engine::data::manifest::Split;
use imagenet_engine::data::pack::{PackEnd, PackOptions, PackReport, pack};
use imagenet_engine::data::plan::PlanOptions;
use imagenet_engine::data::sheet::write_png;
use imagenet_engine::data::source::SourceOptions;
use imagenet_engine::error::Result;
use imagenet_engine::progress::Silent;
use imagenet_engine::rng::{Purpose, Stream};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::AtomicBool;

/// The folder of committed inputs.
pub fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/golden").join(name)
}

/// A folder of pictures that a developer's machine may have beside the tree; says so in one line where it is absent.
pub fn shared(name: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(name);
    let found = folder.is_dir().then_some(folder);
    if found.is_none() {
        eprintln!("skipped: no ../shared/data/{name} on this machine");
    }
    found
}

/// `classes` folders of `each` PNG pictures of about `side` pixels, content from `seed`.
pub fn tree(root: &Path, classes: usize, each: usize, side: u32, seed: u64) {
    for c in 0..classes {
        let dir = root.join(format!("class{c:02}"));
        std::fs::create_dir_all(&dir).unwrap();
        for i in 0..each {
            let mut s = Stream::new(seed, Purpose::Test, 0, (c * each + i) as u64);
            let (w, h) = (side + s.below(side / 2 + 1), side + s.below(side / 2 + 1));
            let base = [s.below(200), s.below(200), s.below(200)];
            let rgb: Vec<u8> = (0..w * h * 3).map(|k| (base[(k % 3) as usize] + s.below(56)) as u8).collect();
            write_png(&dir.join(format!("p{i:04}.png")), w, h, &rgb).unwrap();
        }
    }
}

pub fn options(input: &Path, output: &Path) -> PackOptions {
    let plan = PlanOptions { size: 32, records_per_shard: 8, ..PlanOptions::new(Split::Train) };
    PackOptions {
        input: input.to_owned(),
        source: SourceOptions::default(),
        output: output.to_owned(),
        plan,
        on_bad: OnBad::default(),
        jobs: 2,
    }
}

/// Packs; not stopped.
pub fn run(options: &PackOptions) -> Result<PackReport> {
    match pack(options, &Silent, &AtomicBool::new(false))? {
        PackEnd::Finished(report) => Ok(*report),
        PackEnd::Stopped => panic!("nobody stopped it"),
    }
}

/// All files of a folder, by name.
pub fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
    entries.filter(|p| p.is_file()).map(|p| (p.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(&p).unwrap())).collect()
}

/// The program with arguments.
pub fn program(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_imagenet-engine"));
    command.args(args);
    command
}

/// Runs the program; the test fails when it dies of a signal or speaks of a panic.
pub fn call(args: &[&str]) -> (i32, String) {
    let Output { status, stdout, stderr } = program(args).output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(!text.contains("panicked"), "{args:?}: {text}");
    (status.code().unwrap_or_else(|| panic!("{args:?} died: {status}")), text)
}

/// Bytes of picture `i`'s pixels.
pub fn room(dataset: &imagenet_engine::data::Dataset, i: usize) -> usize {
    dataset.describe(i).map(|p| 3 * p.width as usize * p.height as usize).unwrap()
}

/// Whether the long counts are asked for; docs/reliability.md has what they came to.
pub fn long() -> bool {
    std::env::var_os("IE_LONG_TESTS").is_some()
}

/// How often to try: a sample, or the count of docs/reliability.md.
pub fn rounds(sample: usize, all: usize) -> usize {
    if long() { all } else { sample }
}

/// The most memory that this process ever held, in MB.
pub fn peak_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}
