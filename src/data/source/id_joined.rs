//! CUB-200's and NABirds' way: `images.txt` gives each image an id (`1 001.Albatross/a.jpg`), and other files in the same folder say by that id
//! the class (`image_class_labels.txt`), and whether the image is of the training split (`train_test_split.txt`, 1 or 0).
//!
//! Classes are called as the folders of their images where each has its own, else as `classes.txt` says, else by their numbers. Cost: the
//! files in memory.

use super::arrange::shown;
use super::columns::{Lines, Wanted};
use super::mount::Files;
use super::resolve::Row;
use super::split_extension;
use super::splits::{Part, truth};
use super::table::decode;
use crate::error::{Error, Result};
use std::collections::{HashMap, HashSet};
use std::path::Path;

const MOST: u64 = 64 << 20;
pub const IMAGES: &str = "images.txt";
const LABELS: &str = "image_class_labels.txt";
const SPLIT: &str = "train_test_split.txt";

/// Lines of an id and a text.
fn pairs(path: &Path, files: &Files) -> Result<Vec<(String, String)>> {
    let text = decode(path, files.read(path, MOST)?)?;
    let lines = text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty());
    lines
        .map(|(i, line)| {
            let pair = line.trim().split_once(char::is_whitespace).map(|(id, rest)| (id.to_owned(), rest.trim().to_owned()));
            pair.ok_or_else(|| {
                Error::data(format!("line {}: expected an id and a text, found \"{}\"", i + 1, shown(line)))
                    .at(path.display().to_string())
                    .because("it is read with the images.txt beside it, as in CUB-200")
            })
        })
        .collect()
}

/// Whether there are such files: `path` is `images.txt`, of ids before names, and the classes lie beside it.
pub fn is(path: &Path, files: &Files) -> bool {
    let named = path.file_name().is_some_and(|n| n.eq_ignore_ascii_case(IMAGES));
    if !named || !files.is_file(&path.with_file_name(LABELS)) && !files.is_file(&path.with_file_name(SPLIT)) {
        return false;
    }
    pairs(path, files).is_ok_and(|all| !all.is_empty() && all.iter().all(|(_, name)| split_extension(name).1.is_some()))
}

/// The images of the split, if these are such files.
///
/// # Errors
/// `Data` for an id that one of the files lacks; `Usage` where no image is of the split.
pub fn rows(path: &Path, files: &Files, wanted: &Wanted<'_>) -> Result<Option<Lines>> {
    if !is(path, files) {
        return Ok(None);
    }
    let by_id = |name: &str| -> Result<Option<HashMap<String, String>>> {
        let at = path.with_file_name(name);
        if files.is_file(&at) { pairs(&at, files).map(|all| Some(all.into_iter().collect())) } else { Ok(None) }
    };
    let (labels, split, names) = (by_id(LABELS)?, by_id(SPLIT)?, by_id("classes.txt")?.unwrap_or_default());
    let lacks = |id: &str, name: &str| {
        Error::data(format!("the image of id {} has no line in {name}", shown(id)))
            .at(path.display().to_string())
            .next("fetch the dataset again; or --source folder with the folder of the images as --input")
    };
    let mut all = Vec::new();
    for (i, (id, name)) in pairs(path, files)?.into_iter().enumerate() {
        let class = match &labels {
            Some(labels) => labels.get(&id).cloned().ok_or_else(|| lacks(&id, LABELS))?,
            None => String::new(),
        };
        let part = match &split {
            Some(split) => {
                let train = split.get(&id).and_then(|s| truth(s)).ok_or_else(|| lacks(&id, SPLIT))?;
                Some(if train { Part::Train } else { Part::Val })
            }
            None => None,
        };
        all.push((i + 1, name, class, part));
    }
    // The folder of each class, where both say the same.
    let folder = |name: &str| name.rsplit_once('/').map_or("", |(f, _)| f).rsplit('/').next().unwrap_or("").to_owned();
    let (mut there, mut back) = (HashMap::new(), HashMap::new());
    let same = all.iter().all(|(_, name, class, _)| {
        let folder = folder(name);
        let one = there.entry(class.clone()).or_insert_with(|| folder.clone()) == &folder;
        !folder.is_empty() && (labels.is_none() || one && back.entry(folder).or_insert_with(|| class.clone()) == class)
    });
    let called: HashSet<&String> = names.values().collect();
    let other = |(_, name, class, _): &&(usize, String, String, Option<Part>)| {
        let folder = folder(name);
        called.contains(&folder) && names.get(class).is_some_and(|n| *n != folder)
    };
    if let Some((line, name, class, _)) = all.iter().find(other).filter(|_| !same) {
        return Err(Error::usage(format!("line {line}: {} lies in the folder of another class than {LABELS} says", shown(name)))
            .at(path.display().to_string())
            .because(format!("class {} is \"{}\" by classes.txt", shown(class), shown(names.get(class).map_or("", String::as_str))))
            .next("--source folder, with the folder of the images as --input, takes the folders; or correct the file"));
    }
    let mut lines = Lines::default();
    let has = |part: Part| all.iter().any(|(.., p)| *p == Some(part));
    let part = wanted.parts.into_iter().find(|p| has(*p)).or(wanted.parts.contains(&Part::Test).then_some(Part::Val));
    for (line, picture, class, of) in all {
        if of.is_some() && of != part {
            lines.others.push(picture);
            continue;
        }
        let class = if same { folder(&picture) } else { names.get(&class).cloned().unwrap_or(class) };
        lines.rows.push(Row { line: Some(line), picture, class });
    }
    if lines.rows.is_empty() {
        return Err(Error::usage(format!("no image of the split {} in {SPLIT}", wanted.parts[0].name())).at(path.display().to_string()));
    }
    let by = [labels.is_some().then_some(LABELS), split.is_some().then_some(SPLIT)].into_iter().flatten().collect::<Vec<_>>().join(" and ");
    lines.notes.push(format!(
        "ids of {IMAGES} are read with {by}: {} images of this split, {} of the other",
        lines.rows.len(),
        lines.others.len()
    ));
    Ok(Some(lines))
}
