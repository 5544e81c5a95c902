//! The compiled kernels inside the program: which there are, which of them a device can run, and the hash of each kernel's source.

use crate::error::{Error, Result};

/// One kernel file compiled for one target.
#[derive(Clone, Copy, Debug)]
pub struct KernelImage {
    /// The file's name without `.cu`.
    pub name: &'static str,
    /// `sm_90a` for a cubin, `ptx` for the fallback.
    pub target: &'static str,
    pub bytes: &'static [u8],
}

/// What build.rs compiled; empty where there was no nvcc.
pub static KERNELS: &[KernelImage] = &include!(concat!(env!("OUT_DIR"), "/kernels.rs"));

/// The major version of the CUDA toolkit that compiled them; 0 where there was none.
pub fn toolkit() -> i32 {
    env!("IMAGENET_ENGINE_TOOLKIT").parse().unwrap_or(0)
}

/// A kernel file and the hash of what it is compiled from: its code and that of the headers it includes, without comments and layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelSource {
    /// The file's name without `.cu`.
    pub file: &'static str,
    pub hash: &'static str,
}

/// Every kernel file, compiled or not.
pub static SOURCES: &[KernelSource] = &include!(concat!(env!("OUT_DIR"), "/sources.rs"));

/// The hash of a kernel file's source.
pub fn hash_of(file: &str) -> Option<&'static str> {
    SOURCES.iter().find(|s| s.file == file).map(|s| s.hash)
}

/// How well code for `target` suits a device; none if it cannot run there. Cubins run within their major version from their minor version
/// on, those for one architecture (`a`) on exactly that one; the driver compiles PTX for 8.0 and later.
fn rank(target: &str, (major, minor): (i32, i32)) -> Option<i32> {
    if target == "ptx" {
        return (major >= 8).then_some(0);
    }
    let digits = target.strip_prefix("sm_")?;
    let (number, exact) = digits.strip_suffix('a').map_or((digits, false), |n| (n, true));
    let number: i32 = number.parse().ok()?;
    let (of_major, of_minor) = (number / 10, number % 10);
    let runs = of_major == major && if exact { of_minor == minor } else { of_minor <= minor };
    runs.then_some(1 + 2 * of_minor + i32::from(exact))
}

/// The image among `images` of `file` that suits a device best.
///
/// # Errors
/// `Device`, saying which targets there are.
pub fn choose<'a>(images: &'a [KernelImage], file: &str, capability: (i32, i32)) -> Result<&'a KernelImage> {
    let of_file = || images.iter().filter(|i| i.name == file);
    let best = of_file().filter_map(|i| rank(i.target, capability).map(|r| (r, i))).max_by_key(|(r, _)| *r);
    if let Some((_, image)) = best {
        return Ok(image);
    }
    let (major, minor) = capability;
    let place = format!("kernels/{file}.cu, compute capability {major}.{minor}");
    let targets: Vec<_> = of_file().map(|i| i.target).collect();
    if targets.is_empty() {
        return Err(Error::device("this program has no compiled kernels")
            .at(place)
            .because("no nvcc was found when it was built")
            .next("tools/get-nvcc.sh, then build again"));
    }
    Err(Error::device("no compiled kernel runs on this GPU")
        .at(place)
        .because(format!("built for {}; compute capability 8.0 is needed", targets.join(", ")))
        .next("--device cpu, or build with CUDA_ARCHS naming this GPU"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images(targets: &[&'static str]) -> Vec<KernelImage> {
        targets.iter().map(|target| KernelImage { name: "conv", target, bytes: b"" }).collect()
    }

    #[test]
    fn each_device_gets_the_best_code_it_can_run() {
        let all = images(&["sm_80", "sm_86", "sm_90a", "ptx"]);
        let cases = [((8, 0), "sm_80"), ((8, 6), "sm_86"), ((8, 9), "sm_86"), ((9, 0), "sm_90a"), ((10, 0), "ptx"), ((12, 1), "ptx")];
        for (capability, target) in cases {
            assert_eq!(choose(&all, "conv", capability).unwrap().target, target, "{capability:?}");
        }
        // code for 9.0a is for 9.0 alone, and the sm_80 cubin is none for 9.0
        assert_eq!(choose(&all, "conv", (9, 1)).unwrap().target, "ptx");
        assert_eq!(choose(&images(&["sm_80", "ptx"]), "conv", (9, 0)).unwrap().target, "ptx");
        assert_eq!(choose(&images(&["sm_90", "sm_90a", "ptx"]), "conv", (9, 0)).unwrap().target, "sm_90a");
    }

    #[test]
    fn no_code_is_an_error_that_says_what_there_is() {
        let error = choose(&images(&["sm_80", "ptx"]), "conv", (7, 5)).unwrap_err();
        assert!(error.exit_code() == 71 && error.to_string().contains("sm_80, ptx") && error.to_string().contains("7.5"), "{error}");
        let error = choose(&images(&["sm_80"]), "conv", (9, 0)).unwrap_err().to_string();
        assert!(error.contains("no compiled kernel runs"), "{error}");
        let error = choose(&[], "conv", (9, 0)).unwrap_err().to_string();
        assert!(error.contains("no nvcc") && error.contains("kernels/conv.cu"), "{error}");
    }

    #[test]
    fn every_kernel_has_a_source_with_a_hash() {
        for kernel in super::super::handles::ALL {
            let hash = hash_of(kernel.file).unwrap_or_else(|| panic!("{} has no hash", kernel.file));
            assert!(hash.len() == 16 && hash.chars().all(|c| c.is_ascii_hexdigit()), "{hash}");
        }
        assert!(hash_of("no such file").is_none());
    }
}
