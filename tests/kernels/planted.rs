//! Builds libraries of emulated kernels from changed sources: a test that planted a bug and was not told of it would be worthless.
//!
//! A mutant is a kernel file with small edits, each of a piece of text that must occur exactly once, in the file or in a header; so a
//! mutant cannot outlive the code it changes. It is compiled with the flags of the build and linked to the same runtime.

use imagenet_engine::cuda::emulated::Emulator;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// `(file below kernels/, text, text instead)`.
pub type Edit = (&'static str, &'static str, &'static str);

fn tree() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels")
}

/// A library of the kernels of `source` (a path), whose headers and text have the edits.
fn build(id: &str, source: &Path, edits: &[Edit]) -> PathBuf {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("planted").join(id);
    fs::create_dir_all(&root).unwrap();
    let include = root.join("include");
    fs::create_dir_all(&include).unwrap();
    let name = source.file_name().unwrap().to_str().unwrap();
    let mut texts = vec![(root.join(name), fs::read_to_string(source).unwrap(), name.to_owned())];
    for entry in fs::read_dir(tree().join("include")).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        texts.push((include.join(&name), fs::read_to_string(entry.path()).unwrap(), format!("include/{name}")));
    }
    for (file, find, replace) in edits {
        let (_, text, _) = texts.iter_mut().find(|t| t.2 == *file).unwrap_or_else(|| panic!("{id}: no file {file}"));
        assert_eq!(text.matches(find).count(), 1, "{id}: '{find}' must occur exactly once in {file}");
        *text = text.replace(find, replace);
    }
    let names: Vec<String> = kernel_names(&texts[0].1);
    for (path, text, _) in &texts {
        fs::write(path, text).unwrap();
    }
    let entries: String = names.iter().map(|n| format!("    entry(\"{n}\", &{n}),\n")).collect();
    let unit = format!(
        "#include \"{}\"\n#include \"registry.h\"\nnamespace emulator {{\nstatic const Entry planted[] = {{\n{entries}    {{}}}};\n\
         extern const Entry* const kernel_tables[];\nconst Entry* const kernel_tables[] = {{planted, nullptr}};\n}}\n",
        texts[0].0.display()
    );
    let (unit_path, library) = (root.join("unit.cpp"), root.join("library.so"));
    fs::write(&unit_path, unit).unwrap();
    let compiler = env::var("CXX").unwrap_or_else(|_| "c++".into());
    let done = Command::new(compiler)
        .args(env!("IMAGENET_EMULATOR_FLAGS").split(' '))
        .args(["-fPIC", "-shared", "-w", "-Wl,-Bsymbolic"])
        .arg(format!("-I{}", include.display()))
        .arg(format!("-I{}", tree().join("emulator").display()))
        .arg("-include")
        .arg(tree().join("emulator/cuda_on_cpu.h"))
        .arg(&unit_path)
        .args(["-Wl,--whole-archive", env!("IMAGENET_EMULATOR_RUNTIME"), "-Wl,--no-whole-archive", "-o"])
        .arg(&library)
        .output()
        .unwrap();
    assert!(done.status.success(), "{id} does not compile:\n{}", String::from_utf8_lossy(&done.stderr));
    library
}

/// The names after the launch bounds of `extern "C" __global__`.
fn kernel_names(source: &str) -> Vec<String> {
    let after = |piece: &str| {
        let bounds = piece.find("__launch_bounds__")?;
        let open = piece[bounds..].find(')')? + bounds + 1;
        let name: String = piece[open..].trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        Some(name)
    };
    source.split("extern \"C\" __global__").skip(1).filter_map(after).collect()
}

/// The kernels of kernels/FILE.cu with a bug.
pub fn mutant(id: &str, file: &str, edits: &[Edit]) -> Emulator {
    assert!(!edits.is_empty());
    Emulator::load(&build(&format!("{file}-{id}"), &tree().join(format!("{file}.cu")), edits), crate::device::schedules()[0]).unwrap()
}

/// The kernels of a file of the tests.
pub fn probes(file: &str) -> Emulator {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kernels").join(file);
    Emulator::load(&build(file, &path, &[]), crate::device::schedules()[0]).unwrap()
}
