//! The boundary to the driver library.

use crate::error::{Error, Result};

/// Whether libcuda can be loaded. Nothing else of the driver may be called where it cannot.
pub fn is_present() -> bool {
    // SAFETY: the call only tries to load the library by name; what its initialisers do is NVIDIA's contract, the same as for any
    // program that links it.
    unsafe { cudarc::driver::sys::is_culib_present() }
}

/// Refuses a driver that cannot run what nvcc of `toolkit` (its major version, 0 for no kernels) compiled.
///
/// # Errors
/// `Device`.
pub fn need_version(api: i32, toolkit: i32) -> Result<()> {
    if api / 1000 >= toolkit {
        return Ok(());
    }
    Err(Error::device(format!("the driver is too old: {}, and this program's kernels need CUDA {toolkit}.0", describe(api)))
        .because("each major version of CUDA needs a driver of its own or a later one")
        .next("a newer driver from NVIDIA (580 or later for CUDA 13); or --device cpu"))
}

/// A version of the driver API, such as 13000, and that of the kernel module where Linux tells it.
pub fn describe(api: i32) -> String {
    let module = std::fs::read_to_string("/proc/driver/nvidia/version").ok().and_then(|text| module_version(&text));
    let api = format!("CUDA {}.{}", api / 1000, api % 1000 / 10);
    module.map_or(api.clone(), |m| format!("{api}, {m}"))
}

/// The first word like 580.159.04 of the file's first line.
fn module_version(text: &str) -> Option<String> {
    let like = |word: &&str| word.contains('.') && word.chars().all(|c| c.is_ascii_digit() || c == '.');
    text.lines().next()?.split_whitespace().find(like).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        let text = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.159.04  Release Build\nGCC version:  gcc 12.3.0";
        assert_eq!(module_version(text).as_deref(), Some("580.159.04"));
        assert_eq!(module_version("GCC"), None);
        assert!(describe(12080).starts_with("CUDA 12.8"));
        assert!(need_version(13020, 13).is_ok() && need_version(14000, 13).is_ok() && need_version(12080, 0).is_ok());
        let error = need_version(12080, 13).unwrap_err();
        assert!(error.exit_code() == 71 && error.to_string().contains("too old: CUDA 12.8"), "{error}");
    }
}
