//! The boundary to the driver library.

/// Whether libcuda can be loaded. Nothing else of the driver may be called where it cannot.
pub fn is_present() -> bool {
    // SAFETY: the call only tries to load the library by name; what its initialisers do is NVIDIA's contract, the same as for any
    // program that links it.
    unsafe { cudarc::driver::sys::is_culib_present() }
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
    }
}
