//! nvcc: where it is, and compiling each kernel file for each architecture. Never asks for a GPU: the machine that builds need not
//! have one.

use std::collections::hash_map::DefaultHasher;
use std::env;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;

const DEFAULT_ARCHS: &str = "80,90a";
/// Virtual architecture of the PTX fallback, which newer drivers compile for GPUs we have no cubin for.
const PTX_ARCH: &str = "80";
const FLAGS: [&str; 4] = ["-std=c++17", "-O3", "-lineinfo", "-Ikernels/include"];

/// One file for one target.
pub struct Image {
    pub name: String,
    /// `sm_90a`, or `ptx`.
    pub target: String,
    pub path: PathBuf,
}

/// `NVCC`, then `CUDA_HOME` and `CUDA_PATH`, `.cuda/` in the tree, `PATH`, and the usual prefixes.
pub fn find() -> Option<PathBuf> {
    let below = |root: PathBuf| root.join("bin").join("nvcc");
    let named = env::var_os("NVCC").map(PathBuf::from);
    let roots = ["CUDA_HOME", "CUDA_PATH"].into_iter().filter_map(env::var_os).map(|v| below(v.into()));
    let tree = env::var_os("CARGO_MANIFEST_DIR").map(|d| below(Path::new(&d).join(".cuda")));
    let path = env::var_os("PATH").unwrap_or_default();
    let on_path: Vec<_> = env::split_paths(&path).map(|p| p.join("nvcc")).collect();
    let usual = ["/usr/local/cuda", "/opt/cuda", "/usr/lib/cuda"].map(|p| below(p.into()));
    named.into_iter().chain(roots).chain(tree).chain(on_path).chain(usual).find(|p| p.is_file())
}

/// nvcc's major version, which a driver must have too: code of one is not for drivers of the one before.
pub fn major_version(nvcc: &Path) -> Result<i32, String> {
    let said = Command::new(nvcc).arg("--version").output().map_err(|e| format!("{} cannot be run: {e}", nvcc.display()))?;
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    let found = text.split("release ").nth(1).and_then(|rest| rest.split('.').next()).and_then(|major| major.trim().parse().ok());
    found.ok_or_else(|| format!("{} --version says no version: {text}", nvcc.display()))
}

/// Compiles `sources` for every target, `NUM_JOBS` at a time. A file whose text, headers and flags are those of its last compilation
/// is left as it is.
pub fn compile(nvcc: &Path, sources: &[PathBuf], headers: &str, out: &Path) -> Result<Vec<Image>, String> {
    let archs = env::var("CUDA_ARCHS").unwrap_or_else(|_| DEFAULT_ARCHS.into());
    let mut jobs = Vec::new();
    for source in sources {
        let name = source.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        for arch in archs.split(',').map(str::trim).filter(|a| !a.is_empty()) {
            let target = format!("sm_{arch}");
            let path = out.join(format!("{name}.{target}.cubin"));
            jobs.push((source, format!("-arch={target}"), Image { name: name.clone(), target, path }));
        }
        let path = out.join(format!("{name}.ptx"));
        jobs.push((source, format!("-arch=compute_{PTX_ARCH}"), Image { name, target: "ptx".into(), path }));
    }
    let threads = env::var("NUM_JOBS").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    let (queue, errors) = (Mutex::new(jobs.iter()), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((source, arch, image)) = queue.lock().ok().and_then(|mut q| q.next()) {
                    if let (Err(e), Ok(mut errors)) = (one(nvcc, source, arch, image, headers), errors.lock()) {
                        errors.push(e);
                    }
                }
            });
        }
    });
    let errors = errors.into_inner().unwrap_or_default();
    if errors.is_empty() { Ok(jobs.into_iter().map(|(.., image)| image).collect()) } else { Err(errors.join("\n")) }
}

fn one(nvcc: &Path, source: &Path, arch: &str, image: &Image, headers: &str) -> Result<(), String> {
    let text = fs::read_to_string(source).map_err(|e| format!("cannot read {}: {e}", source.display()))?;
    let mut hasher = DefaultHasher::new();
    (text, headers, arch, FLAGS, nvcc).hash(&mut hasher);
    let hash = format!("{:016x}", hasher.finish());
    let stamp = image.path.with_extension(format!("{}.stamp", image.target));
    if image.path.is_file() && fs::read_to_string(&stamp).is_ok_and(|s| s == hash) {
        return Ok(());
    }
    let kind = if image.target == "ptx" { "-ptx" } else { "-cubin" };
    let result = Command::new(nvcc).args([kind, arch]).args(FLAGS).arg("-o").arg(&image.path).arg(source).output();
    let result = result.map_err(|e| format!("{} cannot be run: {e}", nvcc.display()))?;
    if !result.status.success() {
        let said = String::from_utf8_lossy(&result.stderr);
        return Err(format!("{} does not compile for {}:\n{said}", source.display(), image.target));
    }
    fs::write(&stamp, hash).map_err(|e| format!("cannot write {}: {e}", stamp.display()))
}
