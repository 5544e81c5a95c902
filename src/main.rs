//! Parse, run, print the error chain once, exit with its code.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: imagenet_engine::allocator::Allocator = imagenet_engine::allocator::Allocator;

fn main() -> ExitCode {
    ExitCode::from(imagenet_engine::cli::exit_code(std::env::args_os()))
}
