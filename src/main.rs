//! Parse, run, print the error chain once, exit with its code.

use std::io::{Write, stderr};
use std::process::ExitCode;

fn main() -> ExitCode {
    match imagenet_engine::cli::run(std::env::args_os()) {
        Ok(outcome) => ExitCode::from(outcome.exit_code()),
        Err(error) => {
            let _ = writeln!(stderr(), "error: {error}"); // with nobody to tell, the code still says it
            ExitCode::from(error.exit_code())
        }
    }
}
