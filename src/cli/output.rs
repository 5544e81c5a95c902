//! What commands say. A reader that goes away (`... | head`, a dead `tee`) is no reason to fail, least of all for a run in training;
//! a result that could not be written (a full disk) is.

use crate::error::{Error, Result};
use crate::files;
use std::borrow::Cow;
use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
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
        *failed = writeln!(io::stdout().lock(), "{}", printable(&text.to_string())).err();
    }
}

/// Remarks are worth nothing without someone to read them.
pub fn note(text: Arguments<'_>) {
    let _ = writeln!(io::stderr().lock(), "{}", printable(&text.to_string()));
}

/// What a terminal would obey, line breaks and tabs left out.
fn obeyed(c: char) -> bool {
    let turns = matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() && !matches!(c, '\n' | '\t') || turns
}

/// `text` without what a terminal would obey: control characters but line breaks and tabs, and those that turn the direction of writing,
/// as `\u` escapes. Names and values from files reach the terminal this way only; in JSON, where these can stand in strings alone, the
/// escapes mean the same characters.
fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(obeyed) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if obeyed(c) {
            let _ = std::fmt::Write::write_fmt(&mut shown, format_args!("\\u{:04x}", c as u32));
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// A name from a file within a line of text: [`line`] keeps line breaks, which a name must not make. As a shell's `$'...'`, so that a line
/// break and a backslash with an n stay two names.
pub fn name(text: &str) -> Cow<'_, str> {
    if !text.contains(|c: char| matches!(c, '\n' | '\t') || obeyed(c)) {
        return Cow::Borrowed(text);
    }
    let mut shown = "$'".to_owned();
    for c in text.chars() {
        match c {
            '\n' => shown.push_str("\\n"),
            '\t' => shown.push_str("\\t"),
            '\\' | '\'' => shown.extend(['\\', c]),
            c if obeyed(c) => shown.push_str(&format!("\\u{:04x}", c as u32)),
            c => shown.push(c),
        }
    }
    Cow::Owned(shown + "'")
}

/// Endings that promise a format.
const FORMATS: [&str; 30] = [
    "onnx",
    "pth",
    "pt",
    "ckpt",
    "bin",
    "h5",
    "hdf5",
    "pb",
    "tflite",
    "engine",
    "plan",
    "npz",
    "npy",
    "msgpack",
    "gguf",
    "safetensors",
    "png",
    "jpg",
    "jpeg",
    "webp",
    "gif",
    "bmp",
    "tif",
    "tiff",
    "svg",
    "pdf",
    "json",
    "csv",
    "tar",
    "zip",
];

/// Refuses an output file whose ending promises another format than `format`, which is what would be written. Endings that promise
/// nothing are taken.
///
/// # Errors
/// `Usage`.
pub fn check_ending(flag: &str, path: &Path, format: &str) -> Result<()> {
    let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_lowercase();
    if ending == format || !FORMATS.contains(&ending.as_str()) {
        return Ok(());
    }
    Err(Error::usage(format!("{flag} {}: this file is written as {format} only", path.display()))
        .next(format!("{flag} {}", path.with_extension(format).display())))
}

/// That the files a command is to write can be written, before the work whose results they are to hold.
///
/// # Errors
/// `Write`, as [`files::check_output`]; `Usage` for two results in one file.
pub fn check_outputs<'a>(kind: files::Kind, paths: impl IntoIterator<Item = Option<&'a PathBuf>>) -> Result<()> {
    let paths: Vec<&PathBuf> = paths.into_iter().flatten().collect();
    // The folder by what it is, however its path is spelled, and the name in it.
    let place = |path: &Path| {
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::metadata(folder).ok().map(|m| (m.dev(), m.ino(), path.file_name().map(ToOwned::to_owned)))
    };
    for (i, path) in paths.iter().enumerate() {
        files::check_output(path, kind)?;
        let same = |other: &&PathBuf| other == path || place(other).is_some_and(|other| Some(other) == place(path));
        if paths[..i].iter().any(same) && !std::fs::metadata(path).is_ok_and(|m| !m.is_file()) {
            return Err(Error::usage("two results cannot be written into one file").at(path.display().to_string()).next("a name for each"));
        }
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_not_given_orders() {
        let title = "\u{1b}]0;PWNED\u{7}";
        assert_eq!(printable(title), "\\u001b]0;PWNED\\u0007");
        assert_eq!(printable("\u{9b}2J \u{202e}RTL \r"), "\\u009b2J \\u202eRTL \\u000d");
        assert_eq!(printable("Pêche\tn01 \n日本"), "Pêche\tn01 \n日本");
        let json = serde_json::json!({ "class": "\u{1b}[2J\u{202e}\u{9b}x" }).to_string();
        let back: serde_json::Value = serde_json::from_str(&printable(&json)).unwrap();
        assert_eq!(back["class"], "\u{1b}[2J\u{202e}\u{9b}x");
        assert_eq!([name("a\nb"), name("a\\nb"), name("\u{1b}'")], ["$'a\\nb'", "a\\nb", "$'\\u001b\\''"]);
    }
}
