//! Compiles kernels/*.cu where there is an nvcc, and lets the program be built without them where there is none.
//!
//! Never asks for a GPU: the machine that builds need not have one. `CUDA_ARCHS` (such as `80,90a`) overrides the architectures,
//! `IMAGENET_ENGINE_REQUIRE_NVCC=1` turns a missing nvcc into an error.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};
use std::thread;

const DEFAULT_ARCHS: &str = "80,90a";
/// Virtual architecture of the PTX fallback, which newer drivers compile for GPUs we have no cubin for.
const PTX_ARCH: &str = "80";

struct Job {
    source: PathBuf,
    /// `sm_90a`, or `ptx`.
    target: String,
    output: PathBuf,
    flag: String,
}

fn main() {
    for variable in ["NVCC", "CUDA_HOME", "CUDA_PATH", "CUDA_ARCHS", "IMAGENET_ENGINE_REQUIRE_NVCC", "PATH"] {
        println!("cargo:rerun-if-env-changed={variable}");
    }
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=kernels");
    if Path::new(".cuda").exists() {
        println!("cargo:rerun-if-changed=.cuda"); // a path that does not exist would rerun this every time
    }

    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let jobs = match find_nvcc() {
        Some(nvcc) => compile(&nvcc, &out),
        None if env::var("IMAGENET_ENGINE_REQUIRE_NVCC").is_ok_and(|v| v == "1") => {
            fail("no nvcc was found, but IMAGENET_ENGINE_REQUIRE_NVCC=1 asks for one. Set NVCC or CUDA_HOME.")
        }
        None => {
            println!("cargo:warning=no nvcc found: built without CUDA kernels, for CPU use only (set NVCC or CUDA_HOME to include them)");
            Vec::new()
        }
    };
    let mut generated = String::from("[\n");
    for job in jobs {
        let name = job.source.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let _ =
            writeln!(generated, "    KernelImage {{ name: {name:?}, target: {:?}, bytes: include_bytes!({:?}) }},", job.target, job.output);
    }
    generated.push(']');
    if let Err(e) = fs::write(out.join("kernels.rs"), generated) {
        fail(&format!("cannot write to {}: {e}", out.display()));
    }
}

/// `NVCC`, then `CUDA_HOME` and `CUDA_PATH`, `.cuda/` in the tree, `PATH`, and the usual prefixes.
fn find_nvcc() -> Option<PathBuf> {
    let below = |root: PathBuf| root.join("bin").join("nvcc");
    let named = env::var_os("NVCC").map(PathBuf::from);
    let roots = ["CUDA_HOME", "CUDA_PATH"].into_iter().filter_map(env::var_os).map(|v| below(v.into()));
    let tree = env::var_os("CARGO_MANIFEST_DIR").map(|d| below(Path::new(&d).join(".cuda")));
    let path = env::var_os("PATH").unwrap_or_default();
    let on_path: Vec<_> = env::split_paths(&path).map(|p| p.join("nvcc")).collect();
    let usual = ["/usr/local/cuda", "/opt/cuda", "/usr/lib/cuda"].map(|p| below(p.into()));
    named.into_iter().chain(roots).chain(tree).chain(on_path).chain(usual).find(|p| p.is_file())
}

fn compile(nvcc: &Path, out: &Path) -> Vec<Job> {
    let archs = env::var("CUDA_ARCHS").unwrap_or_else(|_| DEFAULT_ARCHS.into());
    let mut sources: Vec<PathBuf> = fs::read_dir("kernels")
        .map(|entries| entries.flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|x| x == "cu")).collect())
        .unwrap_or_default();
    sources.sort();
    let mut jobs = Vec::new();
    for source in sources {
        let stem = source.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        for arch in archs.split(',').map(str::trim).filter(|a| !a.is_empty()) {
            let target = format!("sm_{arch}");
            let output = out.join(format!("{stem}.{target}.cubin"));
            jobs.push(Job { source: source.clone(), flag: format!("-arch={target}"), target, output });
        }
        let output = out.join(format!("{stem}.ptx"));
        jobs.push(Job { source, flag: format!("-arch=compute_{PTX_ARCH}"), target: "ptx".into(), output });
    }
    let threads = thread::available_parallelism().map_or(1, usize::from);
    for chunk in jobs.chunks(threads) {
        thread::scope(|scope| {
            for job in chunk {
                scope.spawn(move || run(nvcc, job));
            }
        });
    }
    jobs
}

fn run(nvcc: &Path, job: &Job) {
    let kind = if job.target == "ptx" { "-ptx" } else { "-cubin" };
    let result = Command::new(nvcc)
        .args([kind, &job.flag, "-std=c++17", "-O3", "-Ikernels/include", "-o"])
        .arg(&job.output)
        .arg(&job.source)
        .output();
    match result {
        Ok(o) if o.status.success() => {}
        Ok(o) => fail(&format!("{} does not compile for {}:\n{}", job.source.display(), job.target, String::from_utf8_lossy(&o.stderr))),
        Err(e) => fail(&format!("{} cannot be run: {e}", nvcc.display())),
    }
}

fn fail(message: &str) -> ! {
    eprintln!("error: {message}");
    exit(1)
}
