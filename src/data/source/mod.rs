//! Where pictures come from: one file per layout, each giving the same listing.

pub mod image_folder;

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

/// Larger files are no pictures that could be decoded (64 megapixels of 16-bit RGBA are half of it).
const MAX_FILE: u64 = 1 << 30;

/// Reads a picture file into `bytes`, replacing what they were.
///
/// # Errors
/// Why it cannot be read, in words for `bad_images.jsonl`.
pub fn read(path: &Path, bytes: &mut Vec<u8>) -> Result<(), String> {
    const KEPT: usize = 8 << 20; // a huge file's memory is not kept for the next one
    bytes.clear();
    bytes.shrink_to(KEPT);
    let reason = |e: std::io::Error| match e.kind() {
        _ if fs::symlink_metadata(path).is_ok_and(|m| m.is_symlink()) => format!("a link that leads to no file that can be read: {e}"),
        std::io::ErrorKind::PermissionDenied => "no permission to read the file".to_owned(),
        _ => format!("the file cannot be read: {e}"),
    };
    let metadata = fs::metadata(path).map_err(reason)?;
    if !metadata.is_file() {
        return Err("not a file but a pipe, socket or device".to_owned()); // opening it could wait for ever
    }
    if metadata.len() > MAX_FILE {
        return Err(format!("a file of {} bytes, above {MAX_FILE}", metadata.len()));
    }
    bytes.reserve(metadata.len() as usize + 1);
    File::open(path).and_then(|f| f.take(MAX_FILE).read_to_end(bytes)).map_err(reason)?;
    Ok(())
}

/// A picture file of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// Relative to the source's root, with `/` between the parts.
    pub path: String,
    /// Index into [`Listing::classes`].
    pub label: u32,
}

/// What a source holds: sorted, so that it depends on the names alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Sorted by bytes; the rank is the label.
    pub classes: Vec<String>,
    /// Sorted by the bytes of the path.
    pub files: Vec<SourceFile>,
    /// What a user would want to know: ignored files, empty classes.
    pub notes: Vec<String>,
}
