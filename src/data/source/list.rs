//! A list of images and their classes (`train_list.txt`, `val.csv`), the paths below the folder of the list, or below the folder beside it
//! that holds them (`images`, `data`, that of the split), if they are in no other.

use super::arrange::{Found, shown};
use super::columns::{Wanted, rows};
use super::mount::Files;
use super::resolve::{Names, Resolved, Row};
use super::splits::Part;
use super::table::Text;
use super::{Kind, Listing};
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

const NEXT: &str = "one image a line: PATH CLASS, the path as seen from the folder of the list";
/// Rows that are looked for, evenly spread.
const LOOKED_FOR: usize = 64;

/// Lists the lines of `path`.
///
/// # Errors
/// `Data`, naming file and line, or when none of the images is there; `Usage` where looking does not tell the columns.
pub fn list(path: &Path, files: &Files, names: Option<&Names>, wanted: &Wanted<'_>) -> Result<Listing> {
    let root = path.parent().unwrap_or(Path::new("")).to_owned();
    let bases = bases(&root, files, wanted);
    let exists = |base: &Path, field: &str| !field.is_empty() && !field.contains('\0') && files.is_file(&base.join(field));
    let there = |field: &str| bases.iter().any(|b| exists(b, field) || field.contains('\\') && exists(b, &field.replace('\\', "/")));
    let (mut rows, mut notes) = rows(&Text::read(path, files)?, wanted, &there)?;
    let base = base(&rows, &bases, &exists).or_else(|| {
        // As Windows writes paths.
        rows.iter_mut().for_each(|r| r.picture = r.picture.replace('\\', "/"));
        base(&rows, &bases, &exists)
    });
    let Some(base) = base else { return Err(none_there(path, &rows)) };
    if base != root {
        notes.push(format!("the list's images lie in {}", base.display()));
    }
    let resolved = Resolved::new(&rows, names, path)?;
    let mut found = Found::with_classes(&resolved.classes);
    found.notes.extend(notes.into_iter().chain(resolved.notes));
    for (row, class) in rows.iter().zip(&resolved.labels) {
        let (place, trouble) = files.place(&base, &row.picture);
        let nul = row.picture.contains('\0').then(|| "a path with a zero byte".to_owned()).or(trouble);
        match class {
            Some(class) => found.add(*class, &row.picture, place, nul),
            None => found.add_without_class(&row.picture, place, format!("no label in line {} of the list", row.line.unwrap_or(0))),
        }
    }
    found.arrange(Kind::List, files.store(&base), resolved.numbered, &path.display().to_string(), NEXT)
}

/// The folders in which the images may lie, that of the list first.
fn bases(root: &Path, files: &Files, wanted: &Wanted<'_>) -> Vec<PathBuf> {
    let mut bases = vec![root.to_owned()];
    let part = Part::from(wanted.split);
    let usual = |name: &str| ["images", "data", "imgs", "img"].contains(&name.to_ascii_lowercase().as_str());
    let mut below: Vec<String> = files.children(root).unwrap_or_default().into_iter().filter(|c| c.is_dir).map(|c| c.name).collect();
    below.retain(|n| usual(n) || Part::of_folder(n) == Some(part));
    below.sort_unstable();
    for name in below {
        bases.push(root.join(&name));
        bases.push(root.join(&name).join("images"));
    }
    bases.retain(|b| b.as_os_str().is_empty() || files.is_dir(b));
    bases
}

/// The one that holds the most of some rows; that of the list where none holds more.
fn base(rows: &[Row], bases: &[PathBuf], exists: &dyn Fn(&Path, &str) -> bool) -> Option<PathBuf> {
    let step = rows.len().div_ceil(LOOKED_FOR).max(1);
    let held = |base: &Path| rows.iter().step_by(step).filter(|r| exists(base, &r.picture)).count();
    let best = bases.iter().map(|b| (held(b), b)).reduce(|a, b| if b.0 > a.0 { b } else { a })?;
    (best.0 > 0 || rows.is_empty()).then(|| best.1.clone())
}

fn none_there(path: &Path, rows: &[Row]) -> Error {
    let first = rows.first().map_or("", |r| r.picture.as_str());
    Error::data(format!("none of the {} images of the list is there; the first is \"{}\"", rows.len(), shown(first)))
        .at(path.display().to_string())
        .because("paths are taken as seen from the folder of the list")
        .next("move the list to the folder from which its paths lead to the images; a list of names without folders or extensions is one of labels: --input FOLDER --labels LIST")
}
