//! The emulator's library: the same kernel sources, compiled for this CPU. Only with the feature `emulator`; needs a C++20 compiler.

use crate::signatures::Signature;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Contraction would make a product and a sum round once where the kernel says twice.
const FLAGS: [&str; 9] = [
    "-std=c++20",
    "-O2",
    "-ffp-contract=off",
    "-fvisibility=hidden",
    "-ftls-model=initial-exec",
    "-Wall",
    "-Wextra",
    "-Wno-unknown-pragmas",
    "-DIMAGENET_EMULATOR",
];

/// Compiles the emulator and every kernel file into one static library.
pub fn compile(root: &Path, files: &[(String, Vec<Signature>)], out: &Path) -> Result<(), String> {
    let folder = root.join("kernels/emulator");
    let mut runtime: Vec<PathBuf> = fs::read_dir(&folder)
        .map_err(|e| format!("cannot read {}: {e}", folder.display()))?
        .flatten()
        .map(|e| e.path())
        .filter(|p| p.extension().is_some_and(|x| x == "cpp"))
        .collect();
    runtime.sort();
    let mut registry = String::from("#include \"registry.h\"\nnamespace emulator {\n");
    let mut sources = Vec::new();
    for (file, kernels) in files {
        let mut text = format!("#include \"{}\"\n#include \"registry.h\"\n", root.join(format!("kernels/{file}.cu")).display());
        let _ = writeln!(text, "namespace emulator {{ extern const Entry kernels_of_{file}[]; const Entry kernels_of_{file}[] = {{");
        for k in kernels {
            let _ = writeln!(text, "    entry(\"{0}\", &{0}),", k.name);
        }
        text.push_str("    {}};\n}\n");
        sources.push(write(&out.join(format!("{file}.emulated.cpp")), &text)?);
        let _ = writeln!(registry, "extern const Entry kernels_of_{file}[];");
    }
    registry.push_str("extern const Entry* const kernel_tables[];\nconst Entry* const kernel_tables[] = {");
    files.iter().for_each(|(file, _)| registry.push_str(&format!("kernels_of_{file}, ")));
    registry.push_str("nullptr};\n}\n");
    let registry = write(&out.join("registry.cpp"), &registry)?;

    // The runtime is a library of its own: tests link it to kernels with planted bugs.
    let library = |name: &str, sources: &[PathBuf]| {
        let mut build = cc::Build::new();
        build.cpp(true).include(&folder).include(root.join("kernels/include")).debug(false).cargo_metadata(false);
        FLAGS.iter().for_each(|f| {
            build.flag(f);
        });
        build.flag("-include").flag(folder.join("cuda_on_cpu.h"));
        build
            .files(sources)
            .try_compile(name)
            .map_err(|e| format!("the emulator does not compile (feature `emulator` needs a C++20 compiler): {e}"))
    };
    library("emulated_kernels", &[sources, vec![registry]].concat())?;
    library("emulator_runtime", &runtime)?;
    println!("cargo:rustc-link-search=native={}", out.display());
    println!("cargo:rustc-link-lib=static=emulated_kernels");
    println!("cargo:rustc-link-lib=static=emulator_runtime");
    println!("cargo:rustc-link-lib=dylib=stdc++");
    println!("cargo:rustc-env=IMAGENET_EMULATOR_RUNTIME={}", out.join("libemulator_runtime.a").display());
    println!("cargo:rustc-env=IMAGENET_EMULATOR_FLAGS={}", FLAGS.join(" "));
    Ok(())
}

/// Writes `text` unless it is there already, so that its time does not change.
fn write(path: &Path, text: &str) -> Result<PathBuf, String> {
    if !fs::read_to_string(path).is_ok_and(|old| old == text) {
        fs::write(path, text).map_err(|e| format!("cannot write {}: {e}", path.display()))?;
    }
    Ok(path.to_owned())
}
