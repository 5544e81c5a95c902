//! What folders mean, by their names and what they hold: classes, or the splits of a dataset. One rule for folders on a disk and in archives.
//!
//! Folders that all bear names of splits (`train`, `Validation`, `test`, see [`Part`]) are splits. One such name among folders that hold
//! images in the same way is a class that is called so: CIFAR-100, VOC and COCO have a class `train`. Everything else that mixes the
//! two has two readings and is an error that shows both.

use super::arrange::shown;
use super::splits::Part;
use crate::error::{Error, Result};
use std::ffi::OsString;

/// What a folder holds, as far as it says what the folder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    Nothing,
    /// Images, perhaps in folders too.
    Images,
    /// Images in folders alone.
    Below,
    /// Archives or tables alone.
    Archives,
}

/// A folder.
#[derive(Clone, Debug)]
pub struct Dir {
    /// As text; see [`Child`](super::image_folder::Child).
    pub name: String,
    /// As the file system has it.
    pub real: OsString,
    pub holds: Holds,
}

/// What the folders beside each other are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading<'a> {
    /// Each is a class. One of them bears the name of a split, if so.
    Classes { named: Option<&'a str> },
    /// They are splits, and this one was asked for.
    Split(&'a str),
    /// They are splits, and the one asked for is not there.
    NoSuchSplit,
    /// Splits and classes.
    Mixed,
}

/// The folders that hold images or archives.
fn filled(dirs: &[Dir]) -> impl Iterator<Item = &Dir> {
    dirs.iter().filter(|d| d.holds != Holds::Nothing)
}

/// The split that the name of a folder says, alone or beside others that differ in that word alone (`cars_train`, `cars_test`).
pub fn part_of(dir: &Dir, dirs: &[Dir]) -> Option<Part> {
    Part::of_folder(&dir.name).or_else(|| {
        let (part, rest) = Part::with_rest(&dir.name)?;
        let sibling = |d: &Dir| Part::with_rest(&d.name).is_some_and(|(p, r)| p != part && r == rest);
        filled(dirs).any(sibling).then_some(part)
    })
}

/// Reads the names of `dirs`. `explicit`: the user said that they are class folders; then only splits alone are splits.
pub fn read(dirs: &[Dir], part: Part, explicit: bool) -> Reading<'_> {
    let (splits, others): (Vec<&Dir>, Vec<&Dir>) = filled(dirs).partition(|d| part_of(d, dirs).is_some());
    if splits.is_empty() {
        return Reading::Classes { named: None };
    }
    if others.iter().all(|d| d.holds == Holds::Archives) {
        let of_this: Vec<&&Dir> = splits.iter().filter(|d| part_of(d, dirs) == Some(part)).collect();
        return match of_this[..] {
            [one] => Reading::Split(&one.name),
            [] => Reading::NoSuchSplit,
            _ => Reading::Mixed,
        };
    }
    let alike = others.iter().all(|o| splits.iter().all(|s| s.holds == o.holds));
    match splits[..] {
        [one] if alike && (one.holds == Holds::Images || others.len() > 1) => Reading::Classes { named: Some(&one.name) },
        _ if explicit => Reading::Classes { named: None },
        _ => Reading::Mixed,
    }
}

/// The only folder, if it holds nothing but folders, and those look like classes or splits of their own: it lies above them. So does one
/// that holds another of this kind (`ILSVRC/Data/CLS-LOC/train`). `inner` gives the folders in a folder, by its path from here.
pub fn wrapper(dirs: &[Dir], inner: impl Fn(&str) -> Result<Vec<Dir>>) -> Result<Option<(&str, Vec<Dir>)>> {
    const DEPTH: usize = 8;
    let Some(first) = only_folders(dirs) else { return Ok(None) };
    let first_inner = inner(&first.name)?;
    let (mut path, mut below) = (first.name.clone(), first_inner.clone());
    for _ in 0..DEPTH {
        let several = filled(&below).filter(|d| d.holds != Holds::Archives).count() > 1;
        let split = filled(&below).next().is_some_and(|d| Part::of_folder(&d.name).is_some());
        if several || split {
            return Ok(Some((first.name.as_str(), first_inner)));
        }
        let Some(next) = only_folders(&below) else { return Ok(None) };
        path = format!("{path}/{}", next.name);
        below = inner(&path)?;
    }
    Ok(None)
}

/// The only one of `dirs` that holds anything, if that is folders, and it is not named as a split.
fn only_folders(dirs: &[Dir]) -> Option<&Dir> {
    let mut all = filled(dirs);
    let one = all.next().filter(|_| all.next().is_none())?;
    (one.holds == Holds::Below && Part::of_folder(&one.name).is_none()).then_some(one)
}

/// A folder whose name says nothing about its images.
pub fn says_nothing(name: &str) -> bool {
    let usual = ["images", "image", "imgs", "img", "data", "dataset", "jpegs", "jpg", "pictures", "photos", "jpegimages"];
    usual.contains(&name.to_ascii_lowercase().as_str()) || Part::of_folder(name).is_some()
}

/// Folders that are called as parts of a whole, alike but for a number: `images_001`, `images_002`.
pub fn parts_of_one(names: &[String]) -> bool {
    const WORDS: [&str; 22] = [
        "part", "parts", "images", "image", "imgs", "img", "batch", "chunk", "shard", "piece", "block", "fold", "data", "dataset", "dir",
        "folder", "volume", "disk", "set", "pictures", "photos", "jpegs",
    ];
    let words = |n: &String| -> Vec<String> {
        let lower = n.to_ascii_lowercase();
        lower.split(|c: char| !c.is_alphabetic()).filter(|w| !w.is_empty()).map(str::to_owned).collect()
    };
    let Some(first) = names.first().map(words) else { return false };
    first.iter().any(|w| WORDS.contains(&w.as_str())) && names.iter().all(|n| words(n) == first && n.bytes().any(|b| b.is_ascii_digit()))
}

/// The named split is not there.
pub fn no_such_split(dirs: &[Dir], part: Part, origin: &str) -> Error {
    let there: Vec<&Dir> = filled(dirs).filter(|d| part_of(d, dirs).is_some()).collect();
    let names: Vec<String> = there.iter().map(|d| shown(&d.name)).collect();
    // Training images are no validation images, nor the other way round.
    let other = there.iter().find(|d| part_of(d, dirs) == Some(Part::Test));
    let split = part.name();
    Error::usage(format!("no split {split} here; there are: {}", names.join(", ")))
        .at(origin)
        .because(format!("--split {split} looks for a folder named so (train, training; val, valid, validation, in any case)"))
        .next(match other {
            Some(other) => {
                format!("--input {origin}/{} --split {split} packs that folder as {split}; or --split of what is there", other.name)
            }
            None => format!("--split of what is there; or give the folder with the images of {split} as --input, with --split {split}"),
        })
}

/// Several readings, each with what it comes to and how to say it.
pub fn ambiguous(origin: &str, readings: &[(String, String)]) -> Error {
    let what: Vec<&str> = readings.iter().map(|r| r.0.as_str()).collect();
    let how: Vec<String> = readings.iter().map(|(what, how)| format!("{how} ({})", what.split(':').next().unwrap_or(what))).collect();
    Error::usage(format!("this may be read as {}", what.join(", or as "))).at(origin).next(how.join("; or "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Holds::{Archives, Below, Images, Nothing};

    fn dirs(all: &[(&str, Holds)]) -> Vec<Dir> {
        all.iter().map(|(name, holds)| Dir { name: (*name).to_owned(), real: (*name).into(), holds: *holds }).collect()
    }

    #[test]
    fn classes_and_splits_are_told_apart() {
        let owed = [
            (dirs(&[("cat", Images), ("dog", Images)]), Reading::Classes { named: None }),
            (dirs(&[("bus", Images), ("car", Images), ("train", Images)]), Reading::Classes { named: Some("train") }),
            (dirs(&[("bus", Below), ("car", Below), ("train", Below)]), Reading::Classes { named: Some("train") }),
            (dirs(&[("bus", Images), ("train", Images)]), Reading::Classes { named: Some("train") }),
            (dirs(&[("extra", Below), ("train", Below)]), Reading::Mixed),
            (dirs(&[("bus", Images), ("car", Images), ("train", Below)]), Reading::Mixed),
            (dirs(&[("bus", Images), ("train", Images), ("val", Images)]), Reading::Mixed),
            (dirs(&[("Training", Below), ("Validation", Below), ("devkit", Nothing)]), Reading::Split("Validation")),
            (dirs(&[("train", Below), ("val", Images), ("tars", Archives)]), Reading::Split("val")),
            (dirs(&[("train", Archives), ("valid", Archives)]), Reading::Split("valid")),
            (dirs(&[("train", Below), ("test", Below)]), Reading::NoSuchSplit),
            (dirs(&[("val", Below), ("validation", Below)]), Reading::Mixed),
        ];
        for (dirs, reading) in &owed {
            assert_eq!(read(dirs, Part::Val, false), *reading, "{dirs:?}");
        }
        assert_eq!(read(&owed[5].0, Part::Train, true), Reading::Classes { named: None });
        assert_eq!(read(&owed[7].0, Part::Train, true), Reading::Split("Training"), "not the level of classes");
    }
}
