//! Layouts that are refused, and the errors that say why: folders that are no classes, or may be.

use super::arrange::{is_wnid, shown};
use super::image_folder::below as folder;
use super::join::{Image, surely};
use super::label_names;
use super::labels::Found;
use super::layout::{self, Holds, ambiguous, says_nothing};
use super::looking::{Look, count, dirs};
use super::mount::Files;
use super::readings::Seek;
use super::resolve::Label;
use super::splits::Part;
use super::{container, copies};
use super::{is_picture, labels};
use crate::error::{Error, Result};
use std::collections::HashSet;
use std::path::Path;

/// What a label file beside folders says of the images in them.
pub struct Own {
    pub images: u64,
    /// Of how many it says the class.
    pub known: u64,
    /// These classes are the folders.
    pub agrees: bool,
}

/// What a label file in the folder itself (or above it) says of images below it, if it knows any. Those of datasets whose class folders need
/// none are left aside.
pub fn own_labels(root: &Path, seek: &Seek<'_>, above: bool) -> Option<Own> {
    let path = label_names::beside(root, &[], seek.wanted.parts, &seek.files)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if !above && seek.files.logical(&path).parent() != Some(root) || name.starts_with("LOC_") || name.contains("devkit") {
        return None;
    }
    let mut paths = Vec::new();
    let walked = seek.files.walk(root, &mut |path, place, _| {
        if is_picture(path) {
            paths.push((path.to_owned(), place.archive()));
        }
    });
    let keys: HashSet<&str> = paths.iter().map(|(path, _)| labels::key(path)).collect();
    let read = labels::read(&path, &seek.files, None, &seek.wanted, &|key| keys.contains(key)).ok().filter(|_| walked.is_ok())?;
    let images: Vec<Image<'_>> = paths.iter().map(|(path, archive)| Image { path, archive: *archive }).collect();
    let said = surely(&read, &images, "", root, &seek.files);
    let folder = |path: &str| path.split_once('/').map(|(f, _)| f.to_owned());
    let class = |found: Found| if let Found::Class(c) = found { read.classes.get(c as usize).cloned() } else { None };
    let known = said.iter().filter(|f| **f != Found::Missing).count() as u64;
    let rows = || images.iter().zip(&said).map(|(i, f)| (i.path, folder(i.path), class(*f)));
    let apart = rows().any(|(_, folder, class)| folder.is_none() && class.is_some());
    // Of one image each, any labels divide the images alike: they must be called so.
    let one_each = rows().filter(|(.., class)| class.is_some()).count() as u64 == known
        && known == rows().filter_map(|(.., class)| class).collect::<HashSet<String>>().len() as u64
        && rows().any(|(_, folder, class)| class.is_some() && folder != class);
    // Numbers that are all different describe images; of other labels that know enough of them the audit asks, which looks at all columns.
    let folders = rows().filter(|(.., class)| class.is_some()).map(|(_, folder, _)| folder).collect::<HashSet<_>>().len() as u64;
    let describes = one_each && read.numbered && folders < known;
    let same = || labels::contradiction(rows(), false).is_none() && !crossed(rows());
    let agrees = !apart && (describes || !one_each && (4 * known >= images.len() as u64 || same()));
    (known > 0).then_some(Own { images: images.len() as u64, known, agrees })
}

/// Whether an image lies in a folder that is called as the class of others, and not as its own.
fn crossed<'a>(rows: impl Iterator<Item = (&'a str, Option<String>, Option<String>)>) -> bool {
    let rows: Vec<(String, String)> = rows.filter_map(|(_, folder, class)| Some((folder?, class?))).collect();
    let folders: HashSet<&str> = rows.iter().map(|(folder, _)| folder.as_str()).collect();
    rows.iter().any(|(folder, class)| folder != class && folders.contains(class.as_str()) && Label::of(class) == Label::Name)
}

/// Refuses folders beside each other that are no classes: one whose name says nothing (`images` beside `masks`), splits below each, a
/// folder of classes beside another, copies.
pub fn says_classes(look: &Look<'_>, root: &Path, files: &Files, part: Part) -> Result<()> {
    let folders = look.folders();
    let origin = root.display().to_string();
    if let (true, Some(one)) = (folders.len() > 1, folders.iter().find(|d| says_nothing(&d.name) && Part::of_folder(&d.name).is_none())) {
        return Err(Error::usage(format!(
            "the folder {} says no class, and others lie beside it: {}",
            shown(&one.name),
            look.as_classes()
        ))
        .at(&origin)
        .because("images and what belongs to them (masks, annotations) lie side by side, or these are the classes")
        .next(format!(
            "--input {} for the images in it; --source folder --input {origin} if each folder is a class",
            root.join(&one.real).display()
        )));
    }
    let Some(first) = folders.first() else { return Ok(()) };
    let inner = |name: &str| -> Result<Vec<layout::Dir>> {
        Ok(dirs(&folder(root, name), files)?.into_iter().filter(|d| d.holds != Holds::Nothing).collect())
    };
    let filled = inner(&first.name)?;
    if folders.len() == 1 {
        return if filled.len() > 1 { Err(one_class_or_several(look, &first.name, &filled, files)) } else { Ok(()) };
    }
    if filled.len() > 1 && filled.iter().all(|d| Part::of_folder(&d.name).is_some()) {
        let names: Vec<String> = filled.iter().map(|d| shown(&d.name)).collect();
        return Err(Error::usage(format!("the splits lie below the classes: {} holds {}", shown(&first.name), names.join(", ")))
            .at(&origin)
            .because("each class would hold the images of all its splits")
            .next(format!(
                "move them to SPLIT/CLASS/IMAGE, or give a list of lines PATH CLASS; --source folder --input {origin} packs all of them"
            )));
    }
    super::same_below::refuse(look, root, files, part)?;
    // A folder of classes beside a few others, as of figures.
    let below: Vec<&&layout::Dir> = folders.iter().filter(|d| d.holds == Holds::Below).collect();
    let wnids = |dirs: &[layout::Dir]| dirs.len() > 1 && dirs.iter().all(|d| is_wnid(&d.name));
    if let [one] = below[..] {
        let inside = inner(&one.name)?;
        let known = inside.iter().any(|d| folders.iter().any(|f| f.name == d.name));
        if !known && (inside.len() >= folders.len() || wnids(&inside)) {
            return Err(two_levels(look, &one.name, &inside, files, None));
        }
    } else if below.len() == folders.len() && filled.len() > 1 {
        // Other folders in each: these may be the classes, in groups.
        let second = folders.get(1).map_or(Ok(Vec::new()), |d| inner(&d.name))?;
        let other = second.len() > 1 && !second.iter().any(|d| filled.iter().any(|f| f.name == d.name));
        if other || wnids(&filled) && !is_wnid(&first.name) {
            return Err(two_levels(look, &first.name, &filled, files, Some(part)));
        }
    }
    let names: Vec<&str> = folders.iter().map(|d| d.name.as_str()).collect();
    if let Some((copy, of)) = copies::first(&names) {
        return Err(Error::usage(format!("the folder \"{}\" looks like a copy of {}", shown(copy), shown(of)))
            .at(&origin)
            .because("it would be a class of its own")
            .next(format!("move it away; or --source folder --input {origin} if it is a class")));
    }
    Ok(())
}

/// The classes may be the folders, or those in one of them; `groups`: in each of them, of which this split is packed.
fn two_levels(look: &Look<'_>, name: &str, inside: &[layout::Dir], files: &Files, groups: Option<Part>) -> Error {
    let root = look.root.display().to_string();
    let below = folder(&look.root, name);
    let classes: Vec<String> = inside.iter().take(4).map(|d| shown(&d.name)).collect();
    let more = if inside.len() > 4 { ", ..." } else { "" };
    let readings = [
        (look.as_classes(), format!("--source folder --input {root}")),
        (
            format!("{} classes in {}: {}{more} with {} images", inside.len(), shown(name), classes.join(", "), count(&below, files)),
            match groups {
                None => format!("--input {}", below.display()),
                Some(part) => super::same_below::all_of_them(look, 1, files, part),
            },
        ),
    ];
    ambiguous(&root, &readings)
}

pub fn list_of_another_split(path: &Path, part: Part, of_list: Part, folders: Option<&Path>) -> Error {
    // What is called test may be packed as either.
    let as_split = if of_list == Part::Test { part } else { of_list };
    let all = folders.map_or_else(String::new, |f| format!("; or --source folder --input {} for all images of the folders", f.display()));
    Error::usage(format!("no list of the split {} here, only {}", part.name(), path.display()))
        .at(path.parent().unwrap_or(path).display().to_string())
        .because("the list, or the folders beside it, may say the classes")
        .next(format!("--input {} --split {} for the images of that list{all}", path.display(), as_split.name()))
}

pub fn one_class_or_several(look: &Look<'_>, name: &str, inner: &[layout::Dir], files: &Files) -> Error {
    let root = look.root.display().to_string();
    let below = folder(&look.root, name);
    let classes: Vec<String> = inner.iter().filter(|d| d.holds != Holds::Nothing).take(4).map(|d| shown(&d.name)).collect();
    let readings = [
        (format!("1 class: {} with {} images", shown(name), count(&below, files)), format!("--source folder --input {root}")),
        (format!("the classes in {}: {}", shown(name), classes.join(", ")), format!("--input {}", below.display())),
    ];
    ambiguous(&root, &readings)
}

/// The folder that says nothing in which all images of the only folder lie: itself, or the last of a chain of single folders.
pub fn names_nothing(root: &Path, folder: &layout::Dir, files: &Files) -> Result<Option<String>> {
    let (mut dir, mut name) = (root.join(&folder.real), folder.name.clone());
    for _ in 0..8 {
        let filled: Vec<layout::Dir> = dirs(&dir, files)?.into_iter().filter(|d| d.holds != Holds::Nothing).collect();
        let [one] = &filled[..] else { break };
        if files.holds(&dir) == Holds::Images {
            break;
        }
        dir = dir.join(&one.real);
        name.clone_from(&one.name);
    }
    Ok(says_nothing(&name).then_some(name))
}

pub fn no_classes(root: &Path, name: &str) -> Error {
    Error::usage(format!("all images lie in the folder {}, which says no class", shown(name)))
        .at(root.display().to_string())
        .because("one class of that name would be nothing to train on")
        .next("--labels FILE: a list of lines IMAGE CLASS; --source folder makes it a class all the same")
}

/// Archives that cannot be read where they lie, and downloads that did not finish, among class archives or alone: they would be missing
/// without a word.
pub fn unread_beside(look: &Look<'_>) -> Result<()> {
    let at = |name: &String| folder(&look.root, name);
    if let Some(name) = look.files.iter().find(|n| copies::unfinished(n)) {
        return Err(Error::usage(format!("{} is a download that did not finish", shown(name)))
            .at(look.root.display().to_string())
            .because("by its name; its images would be missing")
            .next("finish the download, or move the file away; or give one archive as --input"));
    }
    let unread = |n: &&String| {
        let lower = n.to_ascii_lowercase();
        container::piece_of(n).is_some()
            || container::is_archive(&lower) && ![".tar", ".zip"].iter().any(|e| lower.ends_with(e)) && !lower.contains("devkit")
    };
    let Some(name) = look.files.iter().find(unread) else { return Ok(()) };
    container::Archive::open(&at(name))?;
    Err(Error::usage(format!("{} lies here, whose images would be missing", shown(name)))
        .at(look.root.display().to_string())
        .next("rename it to .tar or .zip if it is one; or give one archive as --input"))
}

/// A word on archives beside class folders that are not read.
pub fn archives_beside(look: &Look<'_>) -> Option<String> {
    let tars = |n: &&String| [".tar", ".zip"].iter().any(|e| n.to_ascii_lowercase().ends_with(e));
    let unread: Vec<&String> =
        look.files.iter().filter(|n| (container::is_archive(n) || copies::unfinished(n)) && !tars(n) && !n.contains("devkit")).collect();
    let first = unread.first()?;
    Some(format!("{} archives beside the class folders are not read, such as {}", unread.len(), shown(first)))
}
