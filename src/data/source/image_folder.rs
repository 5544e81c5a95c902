//! `ROOT/<class>/.../picture.jpg`: the layout of torchvision's ImageFolder and of ImageNet's train folder.
//!
//! The first folder below the root is the class; pictures may lie at any depth below it. A picture is what ends in .jpg, .jpeg,
//! .png or the ending of another picture format, in any case; its real type is found later, by content. Other files are counted and
//! ignored, names starting with a dot too.

use super::{Listing, SourceFile};
use crate::error::{Error, Result};
use std::fs;
use std::path::Path;

/// Deeper than this is taken for a loop of links.
const MAX_DEPTH: usize = 32;
/// The first three are what is read; the others are taken up too, so that they are refused by name instead of quietly missing.
const EXTENSIONS: [&str; 13] = ["jpg", "jpeg", "png", "gif", "webp", "bmp", "tif", "tiff", "avif", "heic", "jxl", "ppm", "pgm"];

/// Lists the tree below `root`.
///
/// # Errors
/// `Data` when a folder cannot be read, there are no class folders or no pictures, or a name is not UTF-8.
pub fn list(root: &Path) -> Result<Listing> {
    let mut listing = Listing::default();
    let (mut stray, mut ignored) = (0u64, 0u64);
    let next = "give the folder that holds one folder per class: ROOT/<class>/picture.jpg";
    for (name, path, is_dir) in children(root)? {
        if is_dir {
            listing.classes.push(name);
        } else if is_picture(&path) {
            stray += 1;
        } else {
            ignored += 1;
        }
    }
    if listing.classes.is_empty() {
        let what = format!("no class folders ({stray} pictures lie directly in the folder)");
        return Err(Error::data(what).at(root.display().to_string()).next(next));
    }
    listing.classes.sort_unstable();
    let mut empty = Vec::new();
    for (label, class) in listing.classes.iter().enumerate() {
        let before = listing.files.len();
        walk(&root.join(class), class, label as u32, 0, &mut listing.files, &mut ignored)?;
        if listing.files.len() == before {
            empty.push(class.as_str());
        }
    }
    if listing.files.is_empty() {
        let what = format!("no pictures (.jpg, .jpeg, .png) in {} class folders", listing.classes.len());
        return Err(Error::data(what).at(root.display().to_string()).next(next));
    }
    listing.files.sort_unstable_by(|a, b| a.path.as_bytes().cmp(b.path.as_bytes()));
    if !empty.is_empty() {
        let names = empty.iter().take(5).copied().collect::<Vec<_>>().join(", ");
        listing.notes.push(format!("{} class folders hold no pictures and still count as classes: {names}", empty.len()));
    }
    if stray > 0 {
        listing.notes.push(format!("{stray} pictures outside the class folders are ignored"));
    }
    if ignored > 0 {
        listing.notes.push(format!("{ignored} files that do not end like a picture (.jpg, .jpeg, .png) are ignored"));
    }
    Ok(listing)
}

fn walk(dir: &Path, relative: &str, label: u32, depth: usize, files: &mut Vec<SourceFile>, ignored: &mut u64) -> Result<()> {
    if depth > MAX_DEPTH {
        return Err(Error::data(format!("folders nested deeper than {MAX_DEPTH}"))
            .at(dir.display().to_string())
            .because("a loop of links"));
    }
    for (name, path, is_dir) in children(dir)? {
        let relative = format!("{relative}/{name}");
        if is_dir {
            walk(&path, &relative, label, depth + 1, files, ignored)?;
        } else if is_picture(&path) {
            if relative.len() > usize::from(u16::MAX) {
                return Err(Error::data("a path longer than 65535 bytes").at(path.display().to_string()));
            }
            files.push(SourceFile { path: relative, label });
        } else {
            *ignored += 1;
        }
    }
    Ok(())
}

/// Name, path and "is a folder" of what lies in `dir`, links followed, dot names left out.
fn children(dir: &Path) -> Result<Vec<(String, std::path::PathBuf, bool)>> {
    let fail = |e| Error::reading(dir, e);
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let path = entry.path();
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
        let kind = if kind.is_symlink() { fs::metadata(&path).map_or(kind, |m| m.file_type()) } else { kind };
        found.push((name, path, kind.is_dir()));
    }
    Ok(found)
}

fn is_picture(path: &Path) -> bool {
    path.extension().and_then(|e| e.to_str()).is_some_and(|e| EXTENSIONS.iter().any(|x| e.eq_ignore_ascii_case(x)))
}
