//! A look at a folder: what it holds, and which readings of that are possible. Bounded: a folder is looked into until its first image.

use super::arrange::shown;
use super::columns::Wanted;
use super::container::hidden;
use super::image_folder::{self, Child};
use super::labels::contradiction;
use super::layout::{self, Dir, Holds, Reading, ambiguous, no_such_split};
use super::mount::Files;
use super::resolve::all_numbers;
use super::splits::Part;
use super::{Listing, SourceFile, id_joined, is_picture, list};
use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Folders in folders are looked at to this depth.
const DEPTH: usize = 8;

/// What a folder holds.
pub struct Look<'f> {
    files_of: &'f Files,
    pub root: PathBuf,
    pub dirs: Vec<Dir>,
    pub images: u64,
    pub files: Vec<String>,
}

impl<'f> Look<'f> {
    /// # Errors
    /// `Data` when the folder cannot be read.
    pub fn at(root: &Path, files: &'f Files) -> Result<Self> {
        let mut look = Self { files_of: files, root: root.to_owned(), dirs: Vec::new(), images: 0, files: Vec::new() };
        for child in files.children(root)? {
            if child.is_dir {
                look.dirs.push(Dir { holds: files.holds(&root.join(&child.real)), name: child.name, real: child.real });
            } else if is_picture(&child.name) {
                look.images += 1;
            } else {
                if let (false, Some(e)) = (files.archived(), dangling(&root.join(&child.real))) {
                    return Err(e);
                }
                look.files.push(child.name);
            }
        }
        look.dirs.sort_by(|a, b| a.name.cmp(&b.name));
        look.files.sort_unstable();
        Ok(look)
    }

    /// Folders that hold images.
    pub fn folders(&self) -> Vec<&Dir> {
        self.dirs.iter().filter(|d| matches!(d.holds, Holds::Images | Holds::Below)).collect()
    }

    fn origin(&self) -> String {
        self.root.display().to_string()
    }

    /// The folder of the split, if the folders are splits.
    ///
    /// # Errors
    /// `Usage` when the split is not there, or they may be classes too.
    pub fn split(&self, part: Part, explicit: bool) -> Result<Option<PathBuf>> {
        match layout::read(&self.dirs, part, explicit) {
            Reading::Classes { .. } => Ok(None),
            Reading::Split(name) => Ok(Some(image_folder::below(&self.root, name))),
            Reading::NoSuchSplit => Err(no_such_split(&self.dirs, part, &self.origin())),
            Reading::Mixed => {
                let folders = self.folders();
                let of_split = folders.iter().find(|d| Part::of_folder(&d.name) == Some(part));
                let of_split = of_split.or_else(|| folders.iter().find(|d| layout::part_of(d, &self.dirs) == Some(part)));
                let split = part.name();
                let second = match of_split.map(|d| self.root.join(&d.real)) {
                    Some(dir) => (
                        format!("the split {split}: {} with {} images", dir.display(), count(&dir, self.files_of)),
                        format!("--input {} --split {split}", dir.display()),
                    ),
                    None => (
                        format!("splits, of which none is called {split}: they are not all called train, val or test"),
                        format!("--input {}/FOLDER --split {split} packs one of them as {split}", self.origin()),
                    ),
                };
                Err(ambiguous(&self.origin(), &[(self.as_classes(), format!("--source folder --input {}", self.origin())), second]))
            }
        }
    }

    /// The class folders, in words.
    pub fn as_classes(&self) -> String {
        let folders = self.folders();
        let each: Vec<String> = folders
            .iter()
            .take(4)
            .map(|d| format!("{} ({} images)", shown(&d.name), count(&self.root.join(&d.real), self.files_of)))
            .collect();
        let more = if folders.len() > each.len() { ", ..." } else { "" };
        format!("{} class folders: {}{more}", folders.len(), each.join(", "))
    }

    /// Files with one of these endings and no word of `devkit`. If all bear the name of a split, those of this one.
    ///
    /// # Errors
    /// `Usage` when there are some, but of other splits alone.
    pub fn ending(&self, extensions: &[&str], part: Part) -> Result<Vec<PathBuf>> {
        let ends = |n: &&String| n.rsplit_once('.').is_some_and(|(_, e)| extensions.iter().any(|x| e.eq_ignore_ascii_case(x)));
        let all: Vec<&String> = self.files.iter().filter(ends).filter(|n| !n.to_ascii_lowercase().contains("devkit")).collect();
        let parts: Vec<Option<Part>> = all.iter().map(|n| Part::of_file(n)).collect();
        let named = parts.iter().flatten().count();
        // A class may be called train: then most others bear no such name.
        let classes = named == 1 && all.len() > 2;
        let take = |p: &Option<Part>| named == 0 || classes || *p == Some(part);
        let taken: Vec<PathBuf> = all.iter().zip(&parts).filter(|(_, p)| take(p)).map(|(n, _)| self.root.join(n)).collect();
        if taken.is_empty() && named > 0 && named == all.len() {
            let mut there: Vec<&str> = parts.iter().flatten().map(|p| p.name()).collect();
            there.sort_unstable();
            there.dedup();
            return Err(Error::usage(format!("no files of the split {} here, of: {}", part.name(), there.join(", ")))
                .at(self.origin())
                .because(format!("by their names: {}", all.iter().take(3).map(|n| shown(n)).collect::<Vec<_>>().join(", ")))
                .next("--split of what is there, or give one file as --input"));
        }
        Ok(taken)
    }

    /// A list of this split in the folder, if what it lists is there.
    ///
    /// # Errors
    /// `Usage` when there are several that do not say the same.
    pub fn list(&self, part: Part, wanted: &Wanted<'_>) -> Result<Option<(PathBuf, usize)>> {
        let ends = ["_list.txt", ".txt", "_list.csv", ".csv", ".lst", ".tsv", ".jsonl", ".json"];
        let is_list = |n: &&String| {
            let lower = n.to_ascii_lowercase();
            ends.iter().any(|e| lower.strip_suffix(e).is_some_and(|stem| Part::of_folder(stem) == Some(part)))
        };
        let joined = Some(self.root.join(id_joined::IMAGES)).filter(|p| id_joined::is(p, self.files_of));
        // What contradicts itself is said, and not passed over for the folders.
        if let Some(path) = &joined
            && let Err(e) = list::list(path, self.files_of, None, wanted)
            && e.exit_code() == 2
        {
            return Err(e);
        }
        let lists = self.files.iter().filter(is_list).map(|n| self.root.join(n)).chain(joined);
        let mut read = lists.filter_map(|path| list::list(&path, self.files_of, None, wanted).ok().map(|l| (path, l)));
        let Some((path, listing)) = read.next() else { return Ok(None) };
        for (other, second) in read {
            if let Some(cause) = differ(&listing, &second) {
                return Err(Error::usage(format!("two lists contradict each other: {} and {}", path.display(), other.display()))
                    .at(self.origin())
                    .because(cause)
                    .next(format!(
                        "--input {}, or --input {}; or --input FOLDER --labels {0}, if these are labels of all its images",
                        path.display(),
                        other.display()
                    )));
            }
        }
        Ok(Some((path, listing.files.len())))
    }
}

/// A link that leads nowhere and is not called as a file is: its class, or its split, would be missing.
fn dangling(path: &Path) -> Option<Error> {
    let link = std::fs::symlink_metadata(path).is_ok_and(|m| m.is_symlink());
    let file = path.extension().is_some_and(|e| matches!(e.len(), 2..=7) && e.to_string_lossy().bytes().all(|b| b.is_ascii_alphanumeric()));
    if !link || file || path.exists() {
        return None;
    }
    let to = std::fs::read_link(path).unwrap_or_default();
    Some(
        Error::data(format!("a link that leads nowhere, to {}", to.display()))
            .at(path.display().to_string())
            .because("a disk that is not mounted, or a folder that was moved; if it is a class, its images would be missing")
            .next("mount the disk, or mend or remove the link"),
    )
}

/// What two lists do not say alike.
fn differ(a: &Listing, b: &Listing) -> Option<String> {
    let by_file = |l: &Listing| -> BTreeMap<String, Option<String>> {
        let class = |f: &SourceFile| if f.trouble.is_some() { None } else { l.classes.get(f.label as usize).cloned() };
        l.files.iter().map(|f| (l.store.describe("", &f.place), class(f))).collect()
    };
    let (first, second) = (by_file(a), by_file(b));
    if first.len() != second.len() || first.keys().ne(second.keys()) {
        return Some(format!("they list {} and {} images, not the same", first.len(), second.len()));
    }
    let rows = first.iter().map(|(path, class)| (path.as_str(), class.clone(), second[path].clone()));
    let numbers = |l: &Listing| all_numbers(&l.classes);
    let (image, one, other) = contradiction(rows, numbers(a) == numbers(b))?;
    Some(format!("the class of {} is \"{}\" by the first and \"{}\" by the second", shown(&image), shown(&one), shown(&other)))
}

/// What a folder on the disk holds, looked at until it is clear.
pub fn holds(dir: &Path, depth: usize) -> Holds {
    let Ok(entries) = std::fs::read_dir(dir) else { return Holds::Nothing };
    let (mut folders, mut archives) = (Vec::new(), false);
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if hidden(&name) {
            continue;
        }
        let kind = entry.file_type();
        let is_dir = match kind {
            Ok(k) if k.is_symlink() => std::fs::metadata(entry.path()).is_ok_and(|m| m.is_dir()),
            Ok(k) => k.is_dir(),
            Err(_) => false,
        };
        if is_dir {
            folders.push(entry.path());
        } else if is_picture(&name) {
            return Holds::Images;
        } else {
            archives |= [".tar", ".zip", ".parquet"].iter().any(|e| name.to_ascii_lowercase().ends_with(e));
        }
    }
    folders.sort_unstable();
    let below = folders.iter().filter(|_| depth < DEPTH).map(|f| holds(f, depth + 1)).find(|h| *h != Holds::Nothing);
    match below {
        Some(Holds::Images | Holds::Below) => Holds::Below,
        Some(other) => other,
        None if archives => Holds::Archives,
        None => Holds::Nothing,
    }
}

/// The images below a folder.
pub fn count(dir: &Path, files: &Files) -> u64 {
    let mut images = 0;
    let _ = files.walk(dir, &mut |path, _, _| images += u64::from(is_picture(path)));
    images
}

/// The subfolders of `dir` and what they hold.
///
/// # Errors
/// `Data` when it cannot be read.
pub fn dirs(dir: &Path, files: &Files) -> Result<Vec<Dir>> {
    let mut folders: Vec<Child> = files.children(dir)?.into_iter().filter(|c| c.is_dir).collect();
    folders.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(folders.into_iter().map(|Child { name, real, .. }| Dir { holds: files.holds(&dir.join(&real)), name, real }).collect())
}
