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
use super::table::Text;
use crate::data::format::MOST_CLASSES;
use crate::error::{Error, Result};
use crate::files::open_file;
use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::arrange::shown;
pub use super::resolve::Names;

/// Bytes of class names.
const MOST: u64 = 64 << 20;

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
}

/// A line of a label file.
#[derive(Debug)]
struct Known {
    /// The folders and the extension that it says, which may be empty.
    folders: Box<str>,
    extension: Box<str>,
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

/// Folders, name without extension, extension.
fn parts(path: &str) -> (&str, &str, &str) {
    let (stem, extension) = split_extension(path);
    let at = stem.rfind(['/', '\\']);
    let folders = at.map_or("", |at| stem[..at].trim_start_matches("./").trim_matches('/'));
    (folders, &stem[at.map_or(0, |at| at + 1)..], extension.unwrap_or(""))
}

/// What an image is known by.
pub fn key(path: &str) -> &str {
    parts(path).1
}

impl Labels {
    fn new(classes: Vec<String>, numbered: bool, origin: &Path) -> Self {
        Self { classes, numbered, origin: origin.to_owned(), notes: Vec::new(), by_key: HashMap::new(), len: 0 }
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
        known.push(Known { folders: folders.into(), extension: extension.into(), class });
        self.len += 1;
        Ok(())
    }

    pub fn get(&self, picture: &str) -> Found {
        let (folders, key, extension) = parts(picture);
        let Some(known) = self.by_key.get(key) else { return Found::Missing };
        // One may say more folders than the other.
        let agree =
            |a: &str, b: &str| a.is_empty() || b.is_empty() || a == b || a.ends_with(&format!("/{b}")) || b.ends_with(&format!("/{a}"));
        let said = |k: &&Known| k.extension.is_empty() || extension.is_empty() || k.extension.eq_ignore_ascii_case(extension);
        let one = |known: &[&Known]| match known.split_first() {
            None => Found::Missing,
            Some((first, rest)) if rest.iter().any(|k| k.class != first.class) => Found::Ambiguous,
            Some((first, _)) => first.class.map_or(Found::Unlabelled, Found::Class),
        };
        // A label file made where the folders were others still knows the image, if only one is called so.
        let all: Vec<&Known> = known.iter().collect();
        let placed: Vec<&Known> = known.iter().filter(|k| agree(&k.folders, folders)).collect();
        let exact: Vec<&Known> = placed.iter().copied().filter(said).collect();
        // Folders that are the same are meant, whatever else ends like them.
        let same: Vec<&Known> = exact.iter().copied().filter(|k| *k.folders == *folders && !folders.is_empty()).collect();
        [&same, &exact, &placed, &all].into_iter().map(|k| one(k)).find(|f| *f != Found::Missing).unwrap_or(Found::Missing)
    }

    pub fn len(&self) -> usize {
        self.len
    }
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
    Ok(labels)
}

/// Names of classes: a development kit, or lines of a name and words for it (`LOC_synset_mapping.txt`, `synset_words.txt`).
///
/// # Errors
/// `Data`, naming the line of a name that is there twice.
pub fn read_names(path: &Path, files: &Files) -> Result<Names> {
    if devkit::is_devkit(path, files) {
        return devkit::names(path, files);
    }
    let bytes = files.read(path, MOST)?;
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim_start_matches('\u{feff}');
    let mut seen = HashMap::new();
    let mut names = Names::new();
    for (i, line) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
        let (name, words) = line.trim().split_once(char::is_whitespace).unwrap_or((line.trim(), ""));
        if let Some(before) = seen.insert(name.to_owned(), i + 1) {
            return Err(Error::data(format!("line {}: class {} is there already, in line {before}", i + 1, shown(name)))
                .at(path.display().to_string()));
        }
        names.push((name.to_owned(), words.trim().to_owned()));
    }
    if names.is_empty() || names.len() as u64 > MOST_CLASSES {
        return Err(Error::data(format!("{} class names", names.len()))
            .at(path.display().to_string())
            .next("one class a line: NAME WORDS"));
    }
    Ok(names)
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
