//! Compiles kernels/*.cu where there is an nvcc, lets the program be built without them where there is none, and generates the typed
//! handles through which Rust launches them. With the feature `emulator`, compiles them for this CPU too.
//!
//! `CUDA_ARCHS` (such as `80,90a`) overrides the architectures, `IMAGENET_ENGINE_REQUIRE_NVCC=1` turns a missing nvcc into an error.

#[cfg(feature = "emulator")]
#[path = "build/emulator.rs"]
mod emulator;
#[path = "build/handles.rs"]
mod handles;
#[path = "build/hashes.rs"]
mod hashes;
#[path = "build/nvcc.rs"]
mod nvcc;
#[path = "build/signatures.rs"]
mod signatures;

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::exit;

fn main() {
    for variable in ["NVCC", "CUDA_HOME", "CUDA_PATH", "CUDA_ARCHS", "IMAGENET_ENGINE_REQUIRE_NVCC", "PATH"] {
        println!("cargo:rerun-if-env-changed={variable}");
    }
    for path in ["build.rs", "build", "kernels"] {
        println!("cargo:rerun-if-changed={path}");
    }
    if Path::new(".cuda/installed.txt").exists() {
        println!("cargo:rerun-if-changed=.cuda/installed.txt"); // a path that does not exist would rerun this every time
    }
    if let Err(message) = build() {
        eprintln!("error: {message}");
        exit(1)
    }
}

fn build() -> Result<(), String> {
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let sources = files("kernels", "cu")?;
    let headers = files("kernels/include", "cuh")?;
    let read = |path: &PathBuf| fs::read_to_string(path).map_err(|e| format!("cannot read {}: {e}", path.display()));
    let header_texts = headers.iter().map(read).collect::<Result<Vec<_>, _>>()?;

    let (mut structs, mut tiles) = (Vec::new(), Vec::new());
    for (path, text) in headers.iter().zip(&header_texts) {
        let in_file = |e| format!("{}: {e}", path.display());
        let found = signatures::structs(text, &structs).map_err(in_file)?;
        structs.extend(found);
        tiles.extend(signatures::tiles(text).map_err(in_file)?);
    }
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let by_name: BTreeMap<String, String> = headers.iter().map(|p| name(p)).zip(header_texts.iter().map(|t| signatures::code(t))).collect();
    let (mut kernels, mut hashes) = (Vec::new(), String::from("[\n"));
    for path in &sources {
        let in_file = |e| format!("{}: {e}", path.display());
        let (text, file) = (read(path)?, path.file_stem().unwrap_or_default().to_string_lossy().into_owned());
        let _ = writeln!(
            hashes,
            "    KernelSource {{ file: {file:?}, hash: {:?} }},",
            hashes::of(&signatures::code(&text), &by_name).map_err(in_file)?
        );
        kernels.push((file, signatures::kernels(&text, &structs).map_err(in_file)?));
    }
    hashes.push(']');
    write(&out.join("sources.rs"), &hashes)?;
    write(&out.join("handles.rs"), &handles::generate(&structs, &tiles, &kernels))?;

    let (images, toolkit) = match nvcc::find() {
        Some(nvcc) => (nvcc::compile(&nvcc, &sources, &header_texts.concat(), &out)?, nvcc::major_version(&nvcc)?),
        None if env::var("IMAGENET_ENGINE_REQUIRE_NVCC").is_ok_and(|v| v == "1") => {
            return Err(
                "no nvcc was found, but IMAGENET_ENGINE_REQUIRE_NVCC=1 asks for one. Run tools/get-nvcc.sh, or set NVCC or CUDA_HOME."
                    .into(),
            );
        }
        None => {
            println!(
                "cargo:warning=no nvcc found: built without CUDA kernels, for CPU use only (tools/get-nvcc.sh installs one; or set NVCC or CUDA_HOME)"
            );
            (Vec::new(), 0)
        }
    };
    println!("cargo:rustc-env=IMAGENET_ENGINE_TOOLKIT={toolkit}");
    let mut list = String::from("[\n");
    for image in images {
        let _ = writeln!(
            list,
            "    KernelImage {{ name: {:?}, target: {:?}, bytes: include_bytes!({:?}) }},",
            image.name, image.target, image.path
        );
    }
    list.push(']');
    write(&out.join("kernels.rs"), &list)?;

    #[cfg(feature = "emulator")]
    emulator::compile(&env::current_dir().map_err(|e| e.to_string())?, &kernels, &out)?;
    Ok(())
}

/// The files of a folder with an extension, in order; none if the folder is missing.
fn files(folder: &str, extension: &str) -> Result<Vec<PathBuf>, String> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(Vec::new()) };
    let mut found: Vec<PathBuf> = entries.flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|x| x == extension)).collect();
    found.sort();
    Ok(found)
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|e| format!("cannot write {}: {e}", path.display()))
}
