//! A list of pictures, `PATH CLASS` a line (`train_list.txt`, `val.txt`), the paths below the folder of the list.

use super::arrange::Found;
use super::labels::{Names, Resolved, rows};
use super::{Kind, Listing, Place, Store};
use crate::error::Result;
use std::path::Path;

const NEXT: &str = "one picture a line: PATH CLASS, the path as seen from the folder of the list";

/// Lists the lines of `path`.
///
/// # Errors
/// `Data`, naming file and line.
pub fn list(path: &Path, names: Option<&Names>) -> Result<Listing> {
    let root = path.parent().unwrap_or(Path::new("")).to_owned();
    let rows = rows(path)?;
    let resolved = Resolved::new(&rows, names, path)?;
    let mut found = Found::with_classes(&resolved.classes);
    for (row, &class) in rows.iter().zip(&resolved.labels) {
        let nul = row.picture.contains('\0').then(|| "a path with a zero byte".to_owned());
        found.add(class, &resolved.name(row, class), Place::File(row.picture.as_str().into()), nul);
    }
    found.arrange(Kind::List, Store::new(root, Vec::new()), resolved.numbered, &path.display().to_string(), NEXT)
}
