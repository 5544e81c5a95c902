//! Labels that lie beside the images, and what people call the classes.
//!
//! Label files: the development kit, or a list whose columns are found by looking ([`super::columns`]), such as `LOC_val_solution.csv`
//! and Tiny-ImageNet's `val_annotations.txt`. An image is known by its file name without extension; where the file names folders too, or
//! has one name twice, these must agree as far as both say them.

use super::columns::{self, Wanted};
use super::devkit;
use super::mount::Files;
use super::resolve::Resolved;
use super::split_extension;
use super::splits::Part;
use super::table::Text;
use crate::error::{Error, Result};
use crate::files::open_file;
use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::arrange::shown;
pub use super::resolve::Names;

/// Which class each picture is of.
#[derive(Debug)]
pub struct Labels {
    pub classes: Vec<String>,
    /// The classes are numbers and keep their order.
    pub numbered: bool,
    pub origin: PathBuf,
    pub notes: Vec<String>,
    by_key: HashMap<Box<str>, Vec<Known>>,
    len: usize,
    /// The split that is packed, where folders of some lines say it.
    split_in_folders: Option<Part>,
}

/// A line of a label file.
#[derive(Debug)]
struct Known {
    /// Its number among those kept.
    id: usize,
    /// The folders and the extension that it says, which may be empty.
    folders: Box<str>,
    extension: Box<str>,
    /// The split that the folders say.
    part: Option<Part>,
    /// `None`: it says that there is no label.
    class: Option<u32>,
}

/// What a label file says about an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    Class(u32),
    /// It is listed as one without a label.
    Unlabelled,
    Missing,
    /// Several lines fit, and their classes differ.
    Ambiguous,
}

/// How surely a line means an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    pub id: usize,
    /// It says the whole path.
    pub whole: bool,
}

/// Folders, name without extension, extension.
fn parts(path: &str) -> (&str, &str, &str) {
    let (stem, extension) = split_extension(path);
    let at = stem.rfind(['/', '\\']);
    let folders = at.map_or("", |at| stem[..at].trim_start_matches("./").trim_matches('/'));
    (folders, &stem[at.map_or(0, |at| at + 1)..], extension.unwrap_or(""))
}

/// The split that the last folder of such a name says.
fn part_of(folders: &str) -> Option<Part> {
    folders.rsplit(['/', '\\']).find_map(Part::of_folder)
}

/// What an image is known by.
pub fn key(path: &str) -> &str {
    parts(path).1
}

impl Labels {
    fn new(classes: Vec<String>, numbered: bool, origin: &Path) -> Self {
        Self { classes, numbered, origin: origin.to_owned(), notes: Vec::new(), by_key: HashMap::new(), len: 0, split_in_folders: None }
    }

    pub fn of_classes(names: &Names, origin: &Path) -> Self {
        Self::new(names.iter().map(|(name, _)| name.clone()).collect(), false, origin)
    }

    /// # Errors
    /// `Data` when the image is there already, with another class.
    pub fn insert(&mut self, picture: &str, class: Option<u32>) -> Result<()> {
        let (folders, key, extension) = parts(picture);
        let known = self.by_key.entry(key.into()).or_default();
        if let Some(before) = known.iter().find(|k| &*k.folders == folders && &*k.extension == extension) {
            if before.class != class {
                return Err(
                    Error::data(format!("{} is there twice, with different classes", shown(picture))).at(self.origin.display().to_string())
                );
            }
            return Ok(());
        }
        let part = part_of(folders);
        known.push(Known { id: self.len, folders: folders.into(), extension: extension.into(), part, class });
        self.len += 1;
        Ok(())
    }

    /// What is said about the image at `picture` below the folder `root`, and by which line.
    pub fn get(&self, root: &str, picture: &str) -> (Found, Option<Line>) {
        let (folders, key, extension) = parts(picture);
        let Some(known) = self.by_key.get(key) else { return (Found::Missing, None) };
        let all_folders = if root.is_empty() || folders.is_empty() { format!("{root}{folders}") } else { format!("{root}/{folders}") };
        // Folders far above the images are of the machine, not of the dataset.
        let near = root.rmatch_indices('/').nth(1).map_or(root, |(at, _)| &root[at..]);
        let own = part_of(folders).or_else(|| part_of(near));
        let ends = |a: &str, b: &str| a.strip_suffix(b).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'));
        // One may say more folders than the other.
        let agree = |a: &str, b: &str| a.is_empty() || b.is_empty() || ends(a, b) || ends(b, a);
        let said = |k: &&Known| k.extension.is_empty() || extension.is_empty() || k.extension.eq_ignore_ascii_case(extension);
        let one = |known: &[&Known]| match known.split_first() {
            None => Found::Missing,
            Some((first, rest)) if rest.iter().any(|k| k.class != first.class) => Found::Ambiguous,
            Some((first, _)) => first.class.map_or(Found::Unlabelled, Found::Class),
        };
        // A label file made where the folders were others still knows the image, if only one is called so; not if it means another split.
        let others = |k: &&Known| k.part.is_some_and(|p| own.or(self.split_in_folders).is_some_and(|own| own != p));
        let all: Vec<&Known> = known.iter().filter(|k| !others(k)).collect();
        let placed: Vec<&Known> = all.iter().copied().filter(|k| agree(&k.folders, folders)).collect();
        let exact: Vec<&Known> = placed.iter().copied().filter(said).collect();
        // Folders that are the same are meant, whatever else ends like them; so are the last ones of the whole path, the more the better.
        let whole = |k: &&Known| *k.folders == *folders && *k.extension == *extension;
        let same: Vec<&Known> = known.iter().filter(|k| whole(k)).collect();
        let longest = known.iter().filter(|k| said(k) && ends(&all_folders, &k.folders)).map(|k| k.folders.len()).max().unwrap_or(0);
        let below: Vec<&Known> =
            known.iter().filter(|k| said(k) && longest > 0 && k.folders.len() == longest && ends(&all_folders, &k.folders)).collect();
        let same: &[&Known] = if folders.is_empty() && longest > 0 { &[] } else { &same };
        let tier = [same, &below, &exact, &placed, &all].into_iter().find(|k| !k.is_empty()).unwrap_or(&[]);
        (one(tier), tier.first().map(|k| Line { id: k.id, whole: whole(k) }))
    }

    pub fn len(&self) -> usize {
        self.len
    }

    /// The images about which two label files do not say the same, one of them: its name, and the class by each.
    pub fn contradicts(&self, other: &Self) -> Option<(String, String, String)> {
        let mut keys: Vec<&str> = self.by_key.keys().map(|k| &**k).filter(|k| other.by_key.contains_key(*k)).collect();
        keys.sort_unstable();
        let mut said = Vec::new();
        for key in keys {
            let (a, b) = (&self.by_key[key], &other.by_key[key]);
            for known in a {
                let same = |k: &&Known| k.folders == known.folders || a.len() == 1 && b.len() == 1;
                said.extend(b.iter().filter(same).map(|k| (key, known.class, k.class)));
            }
        }
        let name = |labels: &Self, class: Option<u32>| class.and_then(|c| labels.classes.get(c as usize).cloned());
        let rows = said.into_iter().map(|(key, a, b)| (key, name(self, a), name(other, b)));
        contradiction(rows, self.numbered == other.numbered)
    }
}

/// The first of some images whose classes by two files differ. Where one has numbers and the other names, the numbers may stand for the
/// names, if always for the same.
pub fn contradiction<'a>(
    rows: impl Iterator<Item = (&'a str, Option<String>, Option<String>)>,
    alike: bool,
) -> Option<(String, String, String)> {
    let (mut there, mut back) = (HashMap::new(), HashMap::new());
    for (key, a, b) in rows {
        let (Some(a), Some(b)) = (a, b) else { continue };
        let differ = if alike {
            a != b
        } else {
            *there.entry(a.clone()).or_insert(b.clone()) != b || *back.entry(b.clone()).or_insert(a.clone()) != a
        };
        if differ {
            return Some((key.to_owned(), a, b));
        }
    }
    None
}

/// Reads a label file of any kind; `there` says whether an image of that [`key`] is there.
///
/// # Errors
/// `Data`, naming file and line; `Usage` where looking does not tell the columns.
pub fn read(path: &Path, files: &Files, names: Option<&Names>, wanted: &Wanted<'_>, there: &dyn Fn(&str) -> bool) -> Result<Labels> {
    if devkit::is_devkit(path, files) {
        if wanted.image.or(wanted.label).is_some() {
            return Err(Error::usage("--image-column and --label-column: the development kit has no columns")
                .at(path.display().to_string())
                .next("leave them out"));
        }
        return devkit::labels(path, files);
    }
    if files.is_dir(path) {
        return Err(Error::data("a folder, but no development kit (data/meta.mat)")
            .at(path.display().to_string())
            .next("give the label file itself"));
    }
    let (rows, mut notes) = columns::rows(&Text::read(path, files)?, wanted, &|field| there(key(field)))?;
    let resolved = Resolved::new(&rows, names, path)?;
    notes.extend(resolved.notes);
    let mut labels = Labels { notes, ..Labels::new(resolved.classes, resolved.numbered, path) };
    for (row, &class) in rows.iter().zip(&resolved.labels) {
        labels.insert(&row.picture, class)?;
    }
    let part = Part::from(wanted.split);
    let said = labels.by_key.values().flatten().any(|k| k.part == Some(part));
    labels.split_in_folders = said.then_some(part);
    Ok(labels)
}

/// Reads the label files that lie beside images: the first, if none of the others says something else.
///
/// # Errors
/// Those of [`read`] for the first, where none can be read; `Usage` where two of them contradict each other.
pub fn read_found(
    paths: &[PathBuf],
    files: &Files,
    names: Option<&Names>,
    wanted: &Wanted<'_>,
    there: &dyn Fn(&str) -> bool,
) -> Result<Labels> {
    let mut failed: Option<(&PathBuf, Error)> = None;
    let mut taken: Option<Labels> = None;
    for path in paths {
        let labels = match read(path, files, names, wanted, there) {
            Ok(labels) if labels.by_key.keys().any(|k| there(k)) || paths.len() == 1 => labels,
            Ok(_) => continue, // of other images
            Err(e) => {
                failed.get_or_insert((path, e));
                continue;
            }
        };
        let Some(first) = &taken else {
            taken = Some(labels);
            continue;
        };
        if let Some((image, a, b)) = first.contradicts(&labels) {
            return Err(Error::usage(format!("two label files contradict each other: {} and {}", first.origin.display(), path.display()))
                .at(format!("image {}", shown(&image)))
                .because(format!("its class is \"{}\" by the first and \"{}\" by the second", shown(&a), shown(&b)))
                .next(format!("--labels {}, or --labels {}", first.origin.display(), path.display())));
        }
    }
    match (taken, failed) {
        (Some(mut labels), Some((path, e))) => {
            labels.notes.push(format!("{} is not used as labels: {}", path.display(), e.report().what));
            Ok(labels)
        }
        (Some(labels), None) => Ok(labels),
        (None, Some((_, e))) => Err(e),
        (None, None) => read(paths.first().map_or(Path::new(""), PathBuf::as_path), files, names, wanted, there),
    }
}

/// A whole file of at most `most` bytes.
pub fn read_limited(path: &Path, most: u64) -> Result<Vec<u8>> {
    let fail = |e| Error::reading(path, e);
    let mut bytes = Vec::new();
    open_file(path)?.0.take(most + 1).read_to_end(&mut bytes).map_err(fail)?;
    if bytes.len() as u64 > most {
        return Err(Error::data(format!("more than {most} bytes, too many for labels")).at(path.display().to_string()));
    }
    Ok(bytes)
}
