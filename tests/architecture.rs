//! The shape of the code, enforced: imports go downward only, files stay readable, unsafe and panics stay where they belong.
//! The rules are those of the table in src/lib.rs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The floors: a module may use those named.
fn allowed(module: &str) -> &'static [&'static str] {
    match module {
        "error" | "shape" | "dtype" | "rng" | "schedule" | "progress" | "files" | "limits" | "allocator" | "text" | "date" => {
            &["error", "text", "shape", "dtype", "rng", "schedule", "progress", "files", "limits"]
        }
        "backend" => &["error", "shape", "dtype", "rng", "schedule"],
        "resample" => &["error", "rng"],
        "cpu" => &["error", "shape", "dtype", "rng", "schedule", "backend", "resample"],
        "cuda" | "dry" => &["error", "shape", "dtype", "rng", "schedule", "backend"],
        "tensor" | "autograd" => &["error", "shape", "dtype", "rng", "schedule", "backend", "tensor", "autograd"],
        "ops" => &["error", "shape", "dtype", "rng", "schedule", "backend", "tensor", "autograd"],
        "nn" | "optim" => &["error", "shape", "dtype", "rng", "schedule", "backend", "tensor", "autograd", "ops"],
        "models" => &["error", "shape", "dtype", "rng", "schedule", "backend", "tensor", "autograd", "ops", "nn", "optim"],
        "data" => &["error", "text", "shape", "dtype", "rng", "schedule", "progress", "files", "limits", "backend", "resample"],
        "checkpoint" => {
            &["error", "text", "shape", "dtype", "rng", "files", "limits", "backend", "tensor", "autograd", "nn", "optim", "models"]
        }
        "train" => &[
            "error",
            "text",
            "date",
            "shape",
            "dtype",
            "rng",
            "schedule",
            "progress",
            "files",
            "backend",
            "resample",
            "tensor",
            "autograd",
            "ops",
            "nn",
            "optim",
            "models",
            "data",
            "checkpoint",
        ],
        "bench" => &["error", "text", "shape", "dtype", "rng", "backend", "cpu", "cuda", "nn", "optim", "models", "data"],
        // beside training: it runs a run's own host code on a device of paper
        "fit" => &["error", "text", "limits", "backend", "cpu", "cuda", "models", "data", "checkpoint", "train"],
        // beside training: it calls what a backend computes on each device, at the shapes of the models
        "selftest" => &["error", "shape", "dtype", "rng", "progress", "backend", "cpu", "cuda", "optim", "models"],
        "cli" | "main" | "lib" => &[
            "error",
            "text",
            "date",
            "shape",
            "dtype",
            "rng",
            "schedule",
            "progress",
            "files",
            "limits",
            "allocator",
            "backend",
            "resample",
            "bench",
            "cpu",
            "cuda",
            "dry",
            "tensor",
            "autograd",
            "ops",
            "nn",
            "optim",
            "models",
            "data",
            "checkpoint",
            "selftest",
            "train",
            "fit",
            "cli",
        ],
        _ => &[],
    }
}

/// Files that may say `unsafe`: the allocator, the boundaries to GEMM, to the driver and the emulator, the one launch and what passes it on, mapped memory,
/// the handler of a fault within it.
const UNSAFE: [&str; 13] = [
    "src/allocator.rs",
    "src/cpu/real.rs",
    "src/cuda/driver.rs",
    "src/cuda/emulated.rs",
    "src/cuda/gpu/mod.rs",
    "src/cuda/gpu/modules.rs",
    "src/cuda/gpu/stream.rs",
    "src/cuda/guarded.rs",
    "src/cuda/launch.rs",
    "src/cuda/paper.rs",
    "src/cuda/recorder.rs",
    "src/data/fault.rs",
    "src/data/map.rs",
];
/// Lines in a file, outside generated tables.
const MOST_LINES: usize = 400;

struct Source {
    path: String,
    /// The text without the tests at its end and without comments.
    code: String,
    lines: usize,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &str, extensions: &[&str]) -> Vec<Source> {
    fn walk(folder: &Path, extensions: &[&str], found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                walk(&path, extensions, found);
            } else if path.extension().is_some_and(|e| extensions.contains(&e.to_str().unwrap())) {
                found.push(path);
            }
        }
    }
    let mut paths = Vec::new();
    walk(&root().join(folder), extensions, &mut paths);
    paths.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        let code = code.lines().map(|l| l.split("//").next().unwrap()).collect::<Vec<_>>().join("\n");
        Source { path: path.strip_prefix(root()).unwrap().to_str().unwrap().replace('\\', "/"), code, lines: text.lines().count() }
    };
    paths.into_iter().map(read).collect()
}

fn module_of(path: &str) -> &str {
    let below = path.strip_prefix("src/").unwrap();
    below.split('/').next().unwrap().trim_end_matches(".rs")
}

/// The top-level modules a source names through `crate::`, grouped imports included.
fn uses(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for piece in code.split("crate::").skip(1) {
        match piece.strip_prefix('{') {
            Some(group) => {
                let (mut depth, mut name) = (0, String::new());
                for c in group.chars() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => found.push(std::mem::take(&mut name)),
                        _ if depth == 0 => name.push(c),
                        _ => {}
                    }
                }
                found.push(name);
            }
            None => found.push(piece.to_owned()),
        }
    }
    let first = |s: String| s.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    found.into_iter().map(first).filter(|s| !s.is_empty()).collect()
}

#[test]
fn imports_go_downward_only() {
    let mut wrong = Vec::new();
    for source in sources("src", &["rs"]) {
        let module = module_of(&source.path);
        assert!(!allowed(module).is_empty(), "{}: a module the table of floors does not know", source.path);
        for used in uses(&source.code) {
            if used != module && !allowed(module).contains(&used.as_str()) {
                wrong.push(format!("{} uses {used}", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_import_reader_sees_every_form() {
    let code = "use crate::{error::{Error, Result}, cpu};\nuse crate::data::x;\nlet y = crate::models::Model::new();";
    assert_eq!(uses(code), ["error", "cpu", "data", "models"]);
    assert!(!allowed("ops").contains(&"cpu") && !allowed("cpu").contains(&"cuda") && !allowed("data").contains(&"train"));
}

#[test]
fn files_stay_readable() {
    let mut long: BTreeMap<String, usize> = BTreeMap::new();
    for source in sources("src", &["rs"]).into_iter().chain(sources("kernels", &["cu", "cuh", "h", "cpp"])).chain(sources("tests", &["rs"]))
    {
        if source.lines > MOST_LINES {
            long.insert(source.path, source.lines);
        }
    }
    assert!(long.is_empty(), "more than {MOST_LINES} lines: {long:#?}");
}

#[test]
fn unsafe_stays_in_its_few_files_with_a_reason() {
    for source in sources("src", &["rs"]) {
        let says_unsafe = source.code.contains("unsafe ");
        assert!(!says_unsafe || UNSAFE.contains(&source.path.as_str()), "{} says unsafe", source.path);
        if says_unsafe {
            let text = fs::read_to_string(root().join(&source.path)).unwrap();
            assert!(text.contains("SAFETY"), "{}: unsafe without its reason", source.path);
        }
    }
}

#[test]
fn library_code_neither_panics_nor_prints() {
    let forbidden = [".unwrap()", ".expect(", "panic!(", "todo!(", "unimplemented!(", "unreachable!(", "dbg!("];
    let printing = ["println!(", "eprintln!(", "print!(", "eprint!("];
    let mut wrong = Vec::new();
    for source in sources("src", &["rs"]) {
        // cli/output.rs copes with a reader that goes away; the macros of std panic
        for word in forbidden.iter().chain(&printing) {
            if source.code.contains(word) {
                wrong.push(format!("{}: {word}", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn inline_ptx_stays_behind_its_wrappers() {
    for source in sources("kernels", &["cu", "cuh"]) {
        let wrapper = source.path.starts_with("kernels/include/ptx");
        assert!(wrapper || !source.code.contains("asm volatile") && !source.code.contains("asm("), "{} holds inline PTX", source.path);
    }
}
