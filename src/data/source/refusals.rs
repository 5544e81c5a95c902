//! Layouts that are refused, and the errors that say why: folders that are no classes, or may be.

use super::arrange::shown;
use super::detect::labels_beside;
use super::layout::{self, Holds, ambiguous, says_nothing};
use super::looking::{Look, count, dirs};
use super::readings::Seek;
use super::splits::Part;
use super::{image_folder, is_picture, labels};
use crate::error::{Error, Result};
use std::collections::HashSet;
use std::path::Path;

/// Whether a label file in the folder itself knows images below it. Those of datasets whose class folders need none are left aside.
pub fn own_labels(root: &Path, seek: &Seek<'_>) -> bool {
    let Some(path) = labels_beside(root, &[], seek.part) else { return false };
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if path.parent() != Some(root) || name.starts_with("LOC_") || name.contains("devkit") {
        return false;
    }
    let mut images = Vec::new();
    let walked = image_folder::walk(root, &mut |path, _| {
        if is_picture(path) {
            images.push(path.to_owned());
        }
    });
    let keys: HashSet<&str> = images.iter().map(|path| labels::key(path)).collect();
    let read = labels::read(&path, None, &seek.wanted, &|key| keys.contains(key));
    walked.is_ok() && read.is_ok_and(|l| images.iter().any(|path| l.get("", path).0 != labels::Found::Missing))
}

/// Refuses folders beside each other that are no classes: one whose name says nothing (`images` beside `masks`), or splits below each.
pub fn says_classes(look: &Look, root: &Path) -> Result<()> {
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
            root.join(&one.name).display()
        )));
    }
    let Some(first) = folders.first() else { return Ok(()) };
    let inner = dirs(&root.join(&first.name))?;
    let filled: Vec<&layout::Dir> = inner.iter().filter(|d| d.holds != Holds::Nothing).collect();
    if folders.len() == 1 {
        return if filled.len() > 1 { Err(one_class_or_several(look, &first.name, &inner)) } else { Ok(()) };
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
    Ok(())
}

pub fn list_of_another_split(path: &Path, part: Part) -> Error {
    Error::usage(format!("no list of the split {} here, only {}", part.name(), path.display()))
        .because("the list, or the folders beside it, may say the classes")
        .next(format!("--input {} --split of that list; or --source folder for the folders", path.display()))
}

pub fn one_class_or_several(look: &Look, name: &str, inner: &[layout::Dir]) -> Error {
    let root = look.root.display().to_string();
    let below = look.root.join(name);
    let classes: Vec<String> = inner.iter().filter(|d| d.holds != Holds::Nothing).take(4).map(|d| shown(&d.name)).collect();
    let readings = [
        (format!("1 class: {} with {} images", shown(name), count(&below)), format!("--source folder --input {root}")),
        (format!("the classes in {}: {}", shown(name), classes.join(", ")), format!("--input {}", below.display())),
    ];
    ambiguous(&root, &readings)
}

pub fn no_classes(root: &Path, name: &str) -> Error {
    Error::usage(format!("all images lie in the folder {}, which says no class", shown(name)))
        .at(root.display().to_string())
        .because("one class of that name would be nothing to train on")
        .next("--labels FILE: a list of lines IMAGE CLASS; --source folder makes it a class all the same")
}
