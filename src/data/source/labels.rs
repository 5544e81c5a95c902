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
    /// It lies above the input, and may be about more than its images, or about others.
    pub outside: bool,
    by_key: HashMap<Box<str>, Vec<Known>>,
    /// Keys whose accents may be written otherwise in the names of files; `None` where several are the same then.
    by_twin: HashMap<String, Option<Box<str>>>,
    /// Images of lines of another split, as [`Labels::by_key`] has them.
    others: HashMap<Box<str>, Vec<Box<str>>>,
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
        Self {
            classes,
            numbered,
            origin: origin.to_owned(),
            outside: false,
            notes: Vec::new(),
            by_key: HashMap::new(),
            by_twin: HashMap::new(),
            others: HashMap::new(),
            len: 0,
            split_in_folders: None,
        }
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
        let twin = || self.by_twin.get(&super::nfc::composed(key)).and_then(|k| self.by_key.get(k.as_deref()?));
        let Some(known) = self.by_key.get(key).or_else(|| if self.by_twin.is_empty() { None } else { twin() }) else {
            return (Found::Missing, None);
        };
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

    /// What the images are known by.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.by_key.keys().map(|k| &**k)
    }

    /// Takes up the images of a file of another split: those without a line of their own here are of that one.
    pub fn leave_out(&mut self, of_others: &Self) {
        for (key, known) in &of_others.by_key {
            self.others.entry(key.clone()).or_default().extend(known.iter().map(|k| k.folders.clone()));
        }
    }

    /// Whether a line of another split means the image: it lies beside those of this one.
    pub fn of_another_split(&self, picture: &str) -> bool {
        let (folders, key, _) = parts(picture);
        let ends = |a: &str, b: &str| a.strip_suffix(b).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'));
        let agree = |f: &str| f.is_empty() || folders.is_empty() || ends(f, folders) || ends(folders, f);
        self.others.get(key).is_some_and(|all| all.iter().any(|f| agree(f)))
    }

    /// Whether it knows any of some images, by their [`key`].
    pub fn knows(&self, there: &dyn Fn(&str) -> bool) -> bool {
        self.by_key.keys().any(|k| there(k)) || !self.by_twin.is_empty()
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
    if let Some(e) = super::members::archive_as_text(path) {
        return Err(e);
    }
    let lines = columns::rows(&Text::read(path, files)?, wanted, &|field| there(key(field)))?;
    of_lines(path, lines, names, wanted)
}

/// The labels that some lines say.
///
/// # Errors
/// `Data`, naming file and line.
pub fn of_lines(path: &Path, lines: columns::Lines, names: Option<&Names>, wanted: &Wanted<'_>) -> Result<Labels> {
    let (rows, mut notes) = (lines.rows, lines.notes);
    let resolved = Resolved::new(&rows, names, path)?;
    notes.extend(resolved.notes);
    let mut labels = Labels { notes, ..Labels::new(resolved.classes, resolved.numbered, path) };
    for (row, &class) in rows.iter().zip(&resolved.labels) {
        labels.insert(&row.picture, class)?;
    }
    for key in labels.by_key.keys().filter(|k| !k.is_ascii()) {
        let twin = labels.by_twin.entry(super::nfc::composed(key));
        twin.and_modify(|t| *t = None).or_insert_with(|| Some(key.clone()));
    }
    for other in &lines.others {
        let (folders, key, _) = parts(other);
        labels.others.entry(key.into()).or_default().push(folders.into());
    }
    let said = |part: &Part| labels.by_key.values().flatten().any(|k| k.part == Some(*part));
    labels.split_in_folders = wanted.parts.into_iter().find(said);
    Ok(labels)
}

/// Reads the label files that lie beside images, of those that know any of them.
///
/// # Errors
/// Those of [`read`] for the first, where none can be read.
pub fn read_found(
    paths: &[PathBuf],
    files: &Files,
    names: Option<&Names>,
    wanted: &Wanted<'_>,
    there: &dyn Fn(&str) -> bool,
) -> Result<Vec<Labels>> {
    let mut failed: Option<(&PathBuf, Error)> = None;
    let mut taken: Vec<Labels> = Vec::new();
    for path in paths {
        match read(path, files, names, wanted, there) {
            Ok(labels) if labels.knows(there) || paths.len() == 1 => taken.push(labels),
            Ok(_) => {} // of other images
            Err(e) => {
                failed.get_or_insert((path, e));
            }
        }
    }
    match (taken.first_mut(), failed) {
        (Some(first), Some((path, e))) => first.notes.push(format!("{} is not used as labels: {}", path.display(), e.report().what)),
        (Some(_), None) => {}
        (None, Some((_, e))) => return Err(e),
        (None, None) => taken.push(read(paths.first().map_or(Path::new(""), PathBuf::as_path), files, names, wanted, there)?),
    }
    Ok(taken)
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
