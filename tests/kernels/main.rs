//! Every CUDA kernel against an f64 reference, run by the emulator: values, bounds of memory, races, schedules, and planted bugs.
//! Needs `--features emulator`.

#[cfg(not(feature = "emulator"))]
#[test]
fn kernels_are_not_run_without_the_emulator() {
    println!("left out: the CUDA kernels are run by `cargo test --release --features emulator`");
}

#[cfg(feature = "emulator")]
#[path = "../common/mod.rs"]
mod common;
mod hashes;
mod launches;
#[path = "../../build/signatures.rs"]
mod parser;
mod signatures;

#[cfg(feature = "emulator")]
mod arrays;
#[cfg(feature = "emulator")]
mod augment;
#[cfg(feature = "emulator")]
mod bench;
#[cfg(feature = "emulator")]
mod ceilings;
#[cfg(feature = "emulator")]
mod conformance;
#[cfg(feature = "emulator")]
mod conv;
#[cfg(feature = "emulator")]
mod conv_stem;
#[cfg(feature = "emulator")]
mod device;
#[cfg(feature = "emulator")]
mod elementwise;
#[cfg(feature = "emulator")]
mod emulator;
#[cfg(feature = "emulator")]
mod fake_cuda;
#[cfg(feature = "emulator")]
mod gemm;
#[cfg(feature = "emulator")]
mod loss;
#[cfg(feature = "emulator")]
mod loss_mixed;
#[cfg(feature = "emulator")]
mod mutants;
#[cfg(feature = "emulator")]
mod mutants_conv;
#[cfg(feature = "emulator")]
mod mutants_update;
#[cfg(feature = "emulator")]
mod mutants_wgmma;
#[cfg(feature = "emulator")]
mod norm;
#[cfg(feature = "emulator")]
mod planted;
#[cfg(feature = "emulator")]
mod pool;
#[cfg(feature = "emulator")]
mod registry;
#[cfg(feature = "emulator")]
mod update;
#[cfg(feature = "emulator")]
mod update_rules;
