//! `ROOT/<class>/.../image.jpg`: the layout of torchvision's ImageFolder and of ImageNet's train folder.
//!
//! The first folder below the root is the class; images may lie at any depth below it. An image is what ends in .jpg, .jpeg, .png or the
//! ending of another image format, in any case; its real type is found later, by content. Other files are counted and ignored, names
//! starting with a dot too. A name that is not UTF-8 is a bad image where an image bears it.

use super::arrange::{Found, shown};
use super::mount::Files;
use super::{Kind, Listing, is_picture};
use crate::data::manifest::MANIFEST;
use crate::error::{Error, Result};
use crate::text::{counted, escaped, pasted, unescaped};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// Deeper than this is taken for a loop of links.
const MAX_DEPTH: usize = 32;
const NEXT: &str = "give the folder that holds one folder per class: ROOT/<class>/image.jpg; images without class folders need --labels";
const NOT_UTF8: &str = "a name that is not UTF-8 (its bytes shown as \\xNN), and those of records are: rename it, by hand or by convmv";

/// Lists the tree below `root`.
///
/// # Errors
/// `Data` when a folder cannot be read, or there are no class folders or no images.
pub fn list(root: &Path, files: &Files) -> Result<Listing> {
    let mut found = Found::default();
    let mut stray = 0u64;
    let mut folders = Vec::new();
    for child in files.children(root)? {
        if child.is_dir {
            folders.push(child);
        } else if is_picture(&child.name) {
            stray += 1;
        } else {
            found.ignored += 1;
        }
    }
    if folders.is_empty() {
        if root.join(MANIFEST).is_file() {
            return Err(Error::usage("this folder is packed already")
                .at(root.display().to_string())
                .because(format!("it holds {MANIFEST}: shards that `pack` wrote"))
                .next(format!("imagenet-engine inspect {}; or the original images as --input", pasted(root))));
        }
        let what = format!("no class folders ({} directly in the folder)", counted(stray, "image"));
        return Err(Error::data(what).at(root.display().to_string()).next(NEXT));
    }
    for folder in folders {
        let class = folder.utf8.then(|| found.class(&folder.name));
        let mut ignored = 0;
        files.walk_folder(root, &folder, &mut |path, place, trouble| match class {
            _ if !is_picture(path) => ignored += 1,
            Some(class) => found.add(class, path, place, trouble),
            None => found.add_without_class(path, place, trouble.unwrap_or_else(|| NOT_UTF8.to_owned())),
        })?;
        found.ignored += ignored;
    }
    for (name, place, why) in files.outside() {
        match is_picture(name) {
            true => found.add_without_class(name, place, why),
            false => found.ignored += 1,
        }
    }
    if stray > 0 {
        found.notes.push(format!("ignored {} outside the class folders", counted(stray, "image")));
    }
    found.notes.extend(odd_names(found.names()));
    let kind = if files.archived() { Kind::TrainTar } else { Kind::Folder };
    found.arrange(kind, files.store(root), false, &root.display().to_string(), NEXT)
}

/// What may be wrong with the names of classes.
fn odd_names(names: &[String]) -> Option<String> {
    let mut sorted: Vec<&str> = names.iter().map(String::as_str).collect();
    sorted.sort_unstable();
    let number = |n: &&str| n.parse::<u64>().ok();
    let numbers: Option<Vec<u64>> = sorted.iter().map(number).collect();
    if let Some(at) = numbers.and_then(|n| n.windows(2).position(|w| w[1] < w[0])) {
        let (a, b) = (sorted[at], sorted[at + 1]);
        return Some(format!(
            "the classes are numbers, sorted as text, as ImageFolder does: {a} comes before {b}, so label and number differ"
        ));
    }
    let mut lower: Vec<(String, &str)> = sorted.iter().map(|n| (n.to_lowercase(), *n)).collect();
    lower.sort_unstable();
    let same = lower.windows(2).find(|w| w[0].0 == w[1].0)?;
    Some(format!("the classes {} and {} differ in upper and lower case alone", shown(same[0].1), shown(same[1].1)))
}

/// Calls `each` for every file below `root`, at any depth: its path from there, and why it cannot be used if so.
///
/// # Errors
/// `Data` when a folder cannot be read.
pub fn walk(root: &Path, each: &mut dyn FnMut(&str, Option<String>)) -> Result<()> {
    descend(root, "", true, 0, each)
}

/// As [`walk`], of one folder in `root`; paths begin with its name.
///
/// # Errors
/// As [`walk`].
pub fn walk_folder(root: &Path, folder: &Child, each: &mut dyn FnMut(&str, Option<String>)) -> Result<()> {
    descend(&root.join(&folder.real), &folder.name, folder.utf8, 0, each)
}

fn descend(dir: &Path, below: &str, utf8: bool, depth: usize, each: &mut dyn FnMut(&str, Option<String>)) -> Result<()> {
    if depth > MAX_DEPTH {
        return Err(Error::data(format!("folders nested deeper than {MAX_DEPTH}"))
            .at(dir.display().to_string())
            .because("a loop of links"));
    }
    for child in children(dir)? {
        let path = if below.is_empty() { child.name.clone() } else { format!("{below}/{}", child.name) };
        let utf8 = utf8 && child.utf8;
        if child.is_dir {
            descend(&dir.join(&child.real), &path, utf8, depth + 1, each)?;
        } else {
            each(&path, (!utf8).then(|| NOT_UTF8.to_owned()));
        }
    }
    Ok(())
}

/// What lies in a folder.
#[derive(Debug)]
pub struct Child {
    /// As text, with replacements where it is none.
    pub name: String,
    pub real: OsString,
    pub utf8: bool,
    pub is_dir: bool,
}

/// The folder `name` of `root` as the file system has it: names that are no UTF-8 come [`escaped`]. Those in archives stay so.
pub fn below(root: &Path, name: &str) -> PathBuf {
    let plain = root.join(name);
    if !name.contains("\\x") || fs::symlink_metadata(&plain).is_ok() {
        return plain;
    }
    let real = root.join(unescaped(name));
    if fs::symlink_metadata(&real).is_ok() { real } else { plain }
}

/// What lies in `dir`, links followed, dot names left out.
pub fn children(dir: &Path) -> Result<Vec<Child>> {
    let fail = |e| Error::reading(dir, e);
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let real = entry.file_name();
        let (name, utf8) = (escaped(&real).into_owned(), real.to_str().is_some());
        if super::container::hidden(&name) {
            continue;
        }
        let kind = entry.file_type().map_err(fail)?;
        // What is neither folder nor file (a link that leads nowhere, a pipe) and bears the name of an image is one that cannot be
        // read: reading it says so.
        let kind = if kind.is_symlink() { fs::metadata(entry.path()).map_or(kind, |m| m.file_type()) } else { kind };
        found.push(Child { name, real, utf8, is_dir: kind.is_dir() });
    }
    Ok(found)
}
