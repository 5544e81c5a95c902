//! What commands say. A reader that goes away (`... | head`, a dead `tee`) is no reason to fail, least of all for a run in training;
//! a result that could not be written (a full disk) is.

use crate::error::{Error, Result};
use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};
use std::sync::{Mutex, PoisonError};

/// The first failure of writing to standard output.
static FAILED: Mutex<Option<io::Error>> = Mutex::new(None);

/// A line of the result, on standard output.
macro_rules! out {
    ($($text:tt)*) => { $crate::cli::output::line(format_args!($($text)*)) };
}
pub(super) use out;

/// A line about the work, on standard error.
macro_rules! remark {
    ($($text:tt)*) => { $crate::cli::output::note(format_args!($($text)*)) };
}
pub(super) use remark;

pub fn line(text: Arguments<'_>) {
    let mut failed = FAILED.lock().unwrap_or_else(PoisonError::into_inner);
    if failed.is_none() {
        *failed = writeln!(io::stdout().lock(), "{text}").err();
    }
}

/// Remarks are worth nothing without someone to read them.
pub fn note(text: Arguments<'_>) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// What [`line`] could not write, at the end of the command.
///
/// # Errors
/// `Write`, unless the reader went away.
pub fn finish() -> Result<()> {
    let flushed = io::stdout().lock().flush().err();
    let failed = FAILED.lock().unwrap_or_else(PoisonError::into_inner).take();
    match failed.or(flushed) {
        Some(e) if e.kind() != ErrorKind::BrokenPipe => {
            Err(Error::write("cannot write the result").at("standard output").source(e).next("free room where it is redirected to"))
        }
        _ => Ok(()),
    }
}
