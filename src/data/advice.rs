//! The commands that errors about a packed folder end with, ready to be pasted.

use crate::text::pasted;
use std::path::Path;

/// Finds all that is wrong in `dir`.
pub fn verify(dir: &Path) -> String {
    format!("imagenet-engine verify --full {}", pasted(dir))
}

/// Finds all that is wrong in `dir`, then makes damaged shards again from the images it was packed from.
pub fn repair(dir: &Path) -> String {
    // What follows # is a comment to the shell: the line can be pasted as it is.
    format!("{}  # then: imagenet-engine verify {} --repair-from IMAGES", verify(dir), pasted(dir))
}

/// The folder that a shard lies in.
pub fn folder_of(shard: &Path) -> &Path {
    shard.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
