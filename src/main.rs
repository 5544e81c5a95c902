//! Parse, run, print the error chain once, exit with its code.

use std::process::ExitCode;

fn main() -> ExitCode {
    match imagenet_engine::cli::run(std::env::args_os()) {
        Ok(outcome) => ExitCode::from(outcome.exit_code()),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
