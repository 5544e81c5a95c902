//! `ROOT/<class>/.../picture.jpg`: the layout of torchvision's ImageFolder and of ImageNet's train folder.
//!
//! The first folder below the root is the class; pictures may lie at any depth below it. A picture is what ends in .jpg, .jpeg,
//! .png or the ending of another picture format, in any case; its real type is found later, by content. Other files are counted and
//! ignored, names starting with a dot too.

use super::arrange::Found;
use super::{Kind, Listing, Place, Store, is_picture};
use crate::error::{Error, Result};
use std::fs;
use std::path::Path;

/// Deeper than this is taken for a loop of links.
const MAX_DEPTH: usize = 32;
const NEXT: &str =
    "give the folder that holds one folder per class: ROOT/<class>/picture.jpg; pictures without class folders need --labels";

/// Lists the tree below `root`.
///
/// # Errors
/// `Data` when a folder cannot be read, there are no class folders or no pictures, or a name is not UTF-8.
pub fn list(root: &Path) -> Result<Listing> {
    let mut found = Found::default();
    let mut stray = 0u64;
    let mut classes = Vec::new();
    for (name, is_dir) in children(root)? {
        if is_dir {
            classes.push(name);
        } else if is_picture(&name) {
            stray += 1;
        } else {
            found.ignored += 1;
        }
    }
    if classes.is_empty() {
        let what = format!("no class folders ({stray} pictures lie directly in the folder)");
        return Err(Error::data(what).at(root.display().to_string()).next(NEXT));
    }
    for class in classes {
        let label = found.class(&class);
        walk(&root.join(&class), "", label, 0, &mut found)?;
    }
    if stray > 0 {
        found.notes.push(format!("{stray} pictures outside the class folders are ignored"));
    }
    found.arrange(Kind::Folder, Store::new(root.to_owned(), Vec::new()), false, &root.display().to_string(), NEXT)
}

fn walk(dir: &Path, below: &str, label: u32, depth: usize, found: &mut Found) -> Result<()> {
    if depth > MAX_DEPTH {
        return Err(Error::data(format!("folders nested deeper than {MAX_DEPTH}"))
            .at(dir.display().to_string())
            .because("a loop of links"));
    }
    for (name, is_dir) in children(dir)? {
        let below = if below.is_empty() { name.clone() } else { format!("{below}/{name}") };
        if is_dir {
            walk(&dir.join(&name), &below, label, depth + 1, found)?;
        } else if is_picture(&name) {
            found.add(label, &below, Place::Own, None);
        } else {
            found.ignored += 1;
        }
    }
    Ok(())
}

/// Name and "is a folder" of what lies in `dir`, links followed, dot names left out.
pub fn children(dir: &Path) -> Result<Vec<(String, bool)>> {
    let fail = |e| Error::reading(dir, e);
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let name = entry.file_name().into_string().map_err(|name| {
            Error::data(format!("a name that is not UTF-8: {}", name.to_string_lossy()))
                .at(dir.display().to_string())
                .next("rename it: names are stored in the shards as UTF-8")
        })?;
        if name.starts_with('.') {
            continue;
        }
        let kind = entry.file_type().map_err(fail)?;
        // What is neither folder nor file (a link that leads nowhere, a pipe) and bears the name of a picture is one that cannot be
        // read: reading it says so.
        let kind = if kind.is_symlink() { fs::metadata(entry.path()).map_or(kind, |m| m.file_type()) } else { kind };
        found.push((name, kind.is_dir()));
    }
    Ok(found)
}
