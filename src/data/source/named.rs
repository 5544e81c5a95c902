//! Names for the classes of a listing: those of `--class-names`, or of a file that lies beside the images and fits them.
//!
//! A file that merely lies there names numbered classes where it has as many names as there are classes, each with an image, and gives words
//! to named ones where it knows all of them. It never adds a class. Two that fit and name the classes otherwise are asked about.

use super::Listing;
use super::arrange::shown;
use super::class_names::{self, ClassNames};
use super::detect::Read;
use super::label_names::{NAMES, once};
use super::readings::Looked;
use super::resolve::{Names, all_numbers};
use crate::error::{Error, Result};
use crate::text::counted;
use std::path::{Path, PathBuf};

/// The listing, with names.
///
/// # Errors
/// Those of the source; `Usage` where given names do not fit, or two files beside the images name its classes otherwise.
pub fn listing(read: &Read<'_>, looked: &Looked) -> Result<Listing> {
    match &read.options.class_names {
        Some(path) => given(read, looked, path),
        None => found(read, looked),
    }
}

fn given(read: &Read<'_>, looked: &Looked, path: &Path) -> Result<Listing> {
    let named = class_names::read(path, read.files)?;
    let mut listing = match (read.listed(looked, Some(&named.names)), &named.other) {
        (Err(first), Some(other)) => read.listed(looked, Some(other)).map_err(|_| first)?,
        (listing, _) => listing?,
    };
    let known = listing.classes.iter().filter(|c| named.words.contains_key(*c)).count();
    let first = shown(listing.classes.first().map_or("", String::as_str));
    if known == 0 {
        return Err(Error::usage("--class-names holds none of the classes of this source")
            .at(path.display().to_string())
            .because(format!("the first class is \"{first}\""))
            .next("leave --class-names out, or give the file of this dataset: lines of a class name and words for it"));
    }
    if let Some(missing) = listing.classes.iter().find(|c| !named.words.contains_key(*c)) {
        let what =
            format!("--class-names knows {known} of {}, and not \"{}\"", counted(listing.classes.len() as u64, "class"), shown(missing));
        return Err(Error::usage(what)
            .at(path.display().to_string())
            .because("class names of another dataset, or some are missing")
            .next("leave --class-names out, or add a line for each class"));
    }
    put(&mut listing, named, path);
    Ok(listing)
}

fn found(read: &Read<'_>, looked: &Looked) -> Result<Listing> {
    let folders = read.beside.iter().flat_map(|f| NAMES.iter().map(move |n| f.join(n))).filter(|p| read.files.exists(p));
    let paths = once(folders.flat_map(|p| read.files.all_of(&p)).collect());
    let mut listing = read.listed(looked, None)?;
    let mut taken: Option<(PathBuf, ClassNames, Listing)> = None;
    for path in paths {
        // What cannot be read was not given.
        let Ok(named) = class_names::read(&path, read.files) else { continue };
        let count = listing.classes.len();
        if !all_numbers(&listing.classes) {
            if taken.is_none() && listing.classes.iter().all(|c| named.words.contains_key(c)) {
                put(&mut listing, named, &path);
                return Ok(listing);
            }
            continue;
        }
        if named.names.len() != count || listing.notes.iter().any(|n| n.contains("hold no images and still count")) {
            listing.notes.push(format!(
                "class names in {} are not used: {} names, and {count} numbered classes; --class-names uses them",
                path.display(),
                named.names.len()
            ));
            continue;
        }
        let with = |names: &Names| read.listed(looked, Some(names)).ok();
        let Some(other) = with(&named.names).or_else(|| named.other.as_ref().and_then(with)) else { continue };
        match &taken {
            None => taken = Some((path, named, other)),
            Some((first, before, _)) => {
                let names = |n: &ClassNames| n.names.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
                let (a, b) = (names(before), names(&named));
                if let Some(i) = (0..a.len()).find(|&i| a[i] != b[i]) {
                    return Err(Error::usage(format!("two files name the classes otherwise: {} and {}", first.display(), path.display()))
                        .at(read.input.display().to_string())
                        .because(format!("class {i} is \"{}\" by the first and \"{}\" by the second", shown(&a[i]), shown(&b[i])))
                        .next(format!("--class-names {}, or --class-names {}", first.display(), path.display())));
                }
            }
        }
    }
    match taken {
        Some((path, named, mut listing)) => {
            put(&mut listing, named, &path);
            Ok(listing)
        }
        None => Ok(listing),
    }
}

/// Puts words to the classes, and says where they are from.
fn put(listing: &mut Listing, named: ClassNames, path: &Path) {
    let ClassNames { words, note, .. } = named;
    let known = listing.classes.iter().filter(|c| words.contains_key(*c)).count();
    listing.notes.extend(note.filter(|_| known > 0));
    if listing.classes.iter().any(|c| words.get(c).is_some_and(|w| !w.is_empty())) {
        listing.words = listing.classes.iter().map(|c| words.get(c).cloned().unwrap_or_default()).collect();
    }
    if known > 0 {
        listing.notes.push(format!(
            "class names from {}: they know {known} of {}",
            path.display(),
            counted(listing.classes.len() as u64, "class")
        ));
    }
}
