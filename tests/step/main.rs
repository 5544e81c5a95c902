//! The training step of the CUDA backend, on the emulator: the same kernels, launches, recordings and copies as on a GPU, held to the CPU
//! backend. Needs `--features emulator`.

#[cfg(not(feature = "emulator"))]
#[test]
fn the_step_is_not_run_without_the_emulator() {
    println!("left out: the CUDA step is run by `cargo test --release --features emulator`");
}

#[cfg(feature = "emulator")]
mod learner;
#[cfg(feature = "emulator")]
mod memory;
#[cfg(feature = "emulator")]
mod replay;
#[cfg(feature = "emulator")]
mod training;
