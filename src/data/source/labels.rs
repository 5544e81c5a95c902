//! Labels that lie beside the pictures, and what people call the classes.
//!
//! A picture is known by its file name without folder and extension. Label files: `LOC_val_solution.csv` (`ImageId,PredictionString`,
//! the class being the first word), the development kit, or a list of two columns, picture and class, separated by blanks, a tab or a
//! comma. A class is a name, or a number: then its name is line `number` (from 0) of the file of class names, or the number itself.

use super::arrange::below_class;
use super::{devkit, stem};
use crate::data::format::MOST_CLASSES;
use crate::error::{Error, Result};
use crate::files::open_file;
use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The largest list there is, of ImageNet's training pictures with their boxes, has 30 MB.
const MOST: u64 = 1 << 30;

/// Names of classes with the words for them, which may be empty.
pub type Names = Vec<(String, String)>;

/// Which class each picture is of.
#[derive(Debug)]
pub struct Labels {
    pub classes: Vec<String>,
    /// The classes are numbers and keep their order.
    pub numbered: bool,
    pub origin: PathBuf,
    by_stem: HashMap<Box<str>, u32>,
}

impl Labels {
    pub fn of_classes(names: &Names, origin: &Path) -> Self {
        let classes = names.iter().map(|(name, _)| name.clone()).collect();
        Self { classes, numbered: false, origin: origin.to_owned(), by_stem: HashMap::new() }
    }

    /// # Errors
    /// `Data` when the picture is there already, with another class.
    pub fn insert(&mut self, picture: &str, class: u32) -> Result<()> {
        let before = self.by_stem.insert(stem(picture).into(), class);
        if before.is_some_and(|b| b != class) {
            return Err(Error::data(format!("{picture} is there twice, with different classes")).at(self.origin.display().to_string()));
        }
        Ok(())
    }

    pub fn get(&self, picture: &str) -> Option<u32> {
        self.by_stem.get(stem(picture)).copied()
    }

    pub fn len(&self) -> usize {
        self.by_stem.len()
    }
}

/// Reads a label file of any kind.
///
/// # Errors
/// `Data`, naming file and line.
pub fn read(path: &Path, names: Option<&Names>) -> Result<Labels> {
    if devkit::is_devkit(path) {
        return devkit::labels(path);
    }
    if path.is_dir() {
        return Err(Error::data("a folder, but no development kit (data/meta.mat)")
            .at(path.display().to_string())
            .next("give the label file itself"));
    }
    let rows = rows(path)?;
    let resolved = Resolved::new(&rows, names, path)?;
    let mut labels = Labels { classes: resolved.classes, numbered: resolved.numbered, origin: path.to_owned(), by_stem: HashMap::new() };
    for (row, &class) in rows.iter().zip(&resolved.labels) {
        labels.insert(&row.picture, class)?;
    }
    Ok(labels)
}

/// A line of a list.
#[derive(Debug)]
pub struct Row {
    /// From 1, where it is a line of a file.
    pub line: Option<usize>,
    pub picture: String,
    pub class: String,
}

/// The lines of a list of two columns or a Kaggle solution.
///
/// # Errors
/// `Data` when a line has no two columns, or the file is no text.
pub fn rows(path: &Path) -> Result<Vec<Row>> {
    let bytes = read_limited(path, MOST)?;
    let text = String::from_utf8(bytes).map_err(|e| {
        Error::data(format!("not text in UTF-8: byte {}", e.utf8_error().valid_up_to()))
            .at(path.display().to_string())
            .because("a picture or archive given as a list")
    })?;
    let mut rows = Vec::new();
    let mut solution = false;
    for (i, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let line = line.trim();
        if i == 0 && line == "ImageId,PredictionString" {
            solution = true;
            continue;
        }
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let separator = |c: char| c.is_whitespace() || c == ',';
        // A solution is `picture,class x y x y, ...`; in a list the class is the last word, since a path may hold blanks.
        let split = if solution {
            line.split_once(',').map(|(picture, rest)| (picture, rest.split_whitespace().next().unwrap_or("")))
        } else {
            line.rsplit_once(separator).map(|(picture, class)| (picture.trim_end_matches(separator), class))
        };
        let Some((picture, class)) = split.filter(|(picture, class)| !picture.is_empty() && !class.is_empty()) else {
            return Err(Error::data(format!("line {}: expected a picture and its class, found \"{}\"", i + 1, cut(line)))
                .at(path.display().to_string())
                .next("one picture a line: PATH CLASS"));
        };
        if i == 0 && matches!(class.to_ascii_lowercase().as_str(), "label" | "class" | "class_id" | "synset" | "wnid" | "target") {
            continue;
        }
        let unquoted = |s: &str| s.trim_matches('"').to_owned();
        rows.push(Row { line: Some(i + 1), picture: unquoted(picture), class: unquoted(class) });
    }
    Ok(rows)
}

/// Classes that numbers alone may make of so many pictures. A wrong column would otherwise give hundreds of thousands of empty ones.
pub fn most_numbers(pictures: usize) -> u64 {
    (4 * pictures as u64).clamp(1 << 16, MOST_CLASSES)
}

/// The classes of a list's lines.
pub struct Resolved {
    pub classes: Vec<String>,
    pub numbered: bool,
    /// One for each row.
    pub labels: Vec<u32>,
}

impl Resolved {
    /// # Errors
    /// `Data`, naming the line of a class that is not among the names, or too large a number.
    pub fn new(rows: &[Row], names: Option<&Names>, path: &Path) -> Result<Self> {
        let wrong = |row: &Row, what: String| {
            let place = row.line.map_or_else(|| row.picture.clone(), |line| format!("line {line}"));
            Error::data(format!("{place}: {what}"))
                .at(path.display().to_string())
                .because("labels and class names of different data sets, or a wrong column")
        };
        let numbers: Option<Vec<u64>> = rows.iter().map(|r| r.class.parse().ok()).collect();
        let mut index: HashMap<&str, u32> = HashMap::new();
        if let Some(numbers) = numbers {
            let count = names.map_or_else(|| numbers.iter().max().map_or(0, |m| m.saturating_add(1)), |n| n.len() as u64);
            let most = if names.is_some() { MOST_CLASSES } else { most_numbers(rows.len()) };
            let outside = numbers.iter().position(|&n| n >= count || n >= most);
            if let Some(i) = outside {
                return Err(wrong(&rows[i], format!("class {} of {}", numbers[i], count.min(most))));
            }
            let labels: Vec<u32> = numbers.iter().map(|&n| n as u32).collect();
            let by_wnid =
                || super::arrange::names_by_wnid(count as usize, labels.iter().copied().zip(rows.iter().map(|r| r.picture.as_str())));
            let named = names.map(|n| n.iter().map(|(name, _)| name.clone()).collect()).or_else(by_wnid);
            let numbered = named.is_none();
            let classes = named.unwrap_or_else(|| (0..count).map(|n| n.to_string()).collect());
            return Ok(Self { classes, numbered, labels });
        }
        let mut classes = Vec::new();
        if let Some(names) = names {
            classes = names.iter().map(|(name, _)| name.clone()).collect();
            index = names.iter().enumerate().map(|(i, (name, _))| (name.as_str(), i as u32)).collect();
        }
        let mut labels = Vec::with_capacity(rows.len());
        for row in rows {
            let next = classes.len() as u32;
            let class = match index.get(row.class.as_str()) {
                Some(&class) => class,
                None if names.is_some() => return Err(wrong(row, format!("class \"{}\" is not among the class names", cut(&row.class)))),
                None if row.class.contains('/') => return Err(wrong(row, format!("class \"{}\" holds a /", cut(&row.class)))),
                None => {
                    classes.push(row.class.clone());
                    index.insert(&row.class, next);
                    next
                }
            };
            labels.push(class);
        }
        Ok(Self { classes, numbered: false, labels })
    }

    /// The name of a row's record, without its class.
    pub fn name(&self, row: &Row, class: u32) -> String {
        below_class(&row.picture, &self.classes[class as usize])
    }
}

/// Names of classes: a development kit, or lines of a name and words for it (`LOC_synset_mapping.txt`, `synset_words.txt`).
///
/// # Errors
/// `Data`, naming the line of a name that is there twice.
pub fn read_names(path: &Path) -> Result<Names> {
    if devkit::is_devkit(path) {
        return devkit::names(path);
    }
    let bytes = read_limited(path, MOST)?;
    let text = String::from_utf8_lossy(&bytes);
    let mut seen = HashMap::new();
    let mut names = Names::new();
    for (i, line) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
        let (name, words) = line.trim().split_once(char::is_whitespace).unwrap_or((line.trim(), ""));
        if let Some(before) = seen.insert(name.to_owned(), i + 1) {
            return Err(Error::data(format!("line {}: class {} is there already, in line {before}", i + 1, cut(name)))
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

/// The start of a text from a file, for a message.
fn cut(text: &str) -> String {
    text.chars().take(60).collect()
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
