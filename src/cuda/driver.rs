//! The boundary to the driver library.

/// Whether libcuda can be loaded. Nothing else of the driver may be called where it cannot.
pub fn is_present() -> bool {
    // SAFETY: the call only tries to load the library by name; what its initialisers do is NVIDIA's contract, the same as for any
    // program that links it.
    unsafe { cudarc::driver::sys::is_culib_present() }
}
