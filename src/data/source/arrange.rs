//! From what a source meets, in whatever order, to a listing in the order of an ImageFolder.

use super::naming::{NO_CLASS, name_records};
use super::{Kind, Listing, Place, SourceFile, Store};
use crate::data::format::MOST_CLASSES;
use crate::error::{Error, Result};
use crate::text::counted;
use std::collections::HashMap;

/// Pictures and classes as a source meets them.
#[derive(Default)]
pub struct Found {
    classes: Vec<String>,
    ranks: HashMap<String, u32>,
    files: Vec<SourceFile>,
    pub notes: Vec<String>,
    /// Files that do not end like a picture.
    pub ignored: u64,
    /// Of them those that are called as label files are.
    pub label_files: usize,
}

impl Found {
    /// With classes that exist whether or not a picture is met.
    pub fn with_classes(classes: &[String]) -> Self {
        let mut found = Self::default();
        for class in classes {
            found.class(class);
        }
        found
    }

    /// The number of a class by its name, new or known.
    pub fn class(&mut self, name: &str) -> u32 {
        if let Some(&rank) = self.ranks.get(name) {
            return rank;
        }
        let rank = self.classes.len() as u32;
        self.classes.push(name.to_owned());
        self.ranks.insert(name.to_owned(), rank);
        rank
    }

    /// The names of the classes that were met.
    pub fn names(&self) -> &[String] {
        &self.classes
    }

    /// An image of a class; `path` as the source has it: the rule of [`super::naming`] makes the record's name of it.
    pub fn add(&mut self, class: u32, path: &str, place: Place, trouble: Option<String>) {
        self.files.push(SourceFile { path: path.to_owned(), label: class, place, trouble });
    }

    /// An image that cannot be packed because it has no class.
    pub fn add_without_class(&mut self, path: &str, place: Place, trouble: String) {
        self.files.push(SourceFile { path: path.to_owned(), label: NO_CLASS, place, trouble: Some(trouble) });
    }

    /// Sorts classes and pictures. `numbered`: the classes are numbers and keep their order.
    ///
    /// # Errors
    /// `Data` when there are no pictures or too many classes; `origin` is the source, `next` what to try.
    pub fn arrange(mut self, kind: Kind, store: Store, numbered: bool, origin: &str, next: &str) -> Result<Listing> {
        if self.classes.len() as u64 > MOST_CLASSES {
            return Err(Error::data(format!("{} classes, above {MOST_CLASSES}", self.classes.len())).at(origin));
        }
        if let Some(class) = self.classes.iter().find(|class| !is_folder(class)) {
            return Err(Error::data(format!("a class named \"{}\"", shown(class)))
                .at(origin)
                .because("names of classes become folders: their parts are neither empty nor . nor .., and hold no zero byte")
                .next("rename it, or look for a wrong column"));
        }
        if self.files.is_empty() {
            let classes = if self.classes.is_empty() { String::new() } else { format!(" in {} classes", self.classes.len()) };
            return Err(Error::data(format!("no images (.jpg, .jpeg, .png){classes}")).at(origin).next(next));
        }
        if !numbered {
            let mut order: Vec<u32> = (0..self.classes.len() as u32).collect();
            order.sort_unstable_by(|&a, &b| self.classes[a as usize].as_bytes().cmp(self.classes[b as usize].as_bytes()));
            let mut rank = vec![0; order.len()];
            for (to, &from) in order.iter().enumerate() {
                rank[from as usize] = to as u32;
            }
            self.classes.sort_unstable();
            for file in &mut self.files {
                file.label = rank.get(file.label as usize).copied().unwrap_or(NO_CLASS);
            }
        }
        // Of two of one name the first in the archive comes first.
        self.files = name_records(self.files, &self.classes);
        for file in &mut self.files {
            if file.path.len() > usize::from(u16::MAX) {
                file.trouble.get_or_insert_with(|| "a path longer than 65535 bytes".to_owned());
            }
        }
        for i in 1..self.files.len() {
            if self.files[i].path == self.files[i - 1].path && self.files[i - 1].label != NO_CLASS {
                self.files[i].trouble.get_or_insert_with(|| "the same name a second time".to_owned());
            }
        }
        let mut filled = vec![false; self.classes.len()];
        for file in &self.files {
            filled.get_mut(file.label as usize).into_iter().for_each(|f| *f = true);
        }
        self.files.iter_mut().filter(|f| f.label == NO_CLASS).for_each(|f| f.label = 0);
        let empty: Vec<&str> = self.classes.iter().zip(&filled).filter(|(_, filled)| !**filled).map(|(c, _)| c.as_str()).collect();
        if !empty.is_empty() {
            let names = empty.iter().take(5).copied().collect::<Vec<_>>().join(", ");
            self.notes.push(match empty.len() {
                1 => format!("1 class holds no images and still counts as a class: {}", shown(&names)),
                n => format!("{} hold no images and still count as classes: {}", counted(n as u64, "class"), shown(&names)),
            });
        }
        if self.ignored > 0 {
            self.notes.push(format!(
                "ignored {}: the names do not end like an image's (.jpg, .jpeg, .png, .webp)",
                counted(self.ignored, "file")
            ));
        }
        Ok(Listing {
            kind,
            store,
            classes: self.classes,
            words: Vec::new(),
            files: self.files,
            notes: self.notes,
            label_files: self.label_files,
        })
    }
}

/// Text from a file, for a message: at most 60 characters, on one line, without what steers a terminal.
pub fn shown(text: &str) -> String {
    let mut out: String = text.chars().take(60).flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect();
    if text.chars().nth(60).is_some() {
        out.push_str("...");
    }
    out
}

/// Whether `class` is a folder, or several, below the one it is put in.
pub fn is_folder(class: &str) -> bool {
    class.split('/').all(|part| !matches!(part, "" | "." | "..")) && !class.contains('\0')
}

/// The WordNet id in a picture's name, `n01440764_10026.JPEG` or `ILSVRC2012_val_00000293_n01440764.JPEG`.
pub fn wnid(name: &str) -> Option<&str> {
    let stem = super::stem(name);
    stem.split('_').next().filter(|s| is_wnid(s)).or_else(|| stem.rsplit('_').next().filter(|s| is_wnid(s)))
}

/// `n` and eight digits.
pub fn is_wnid(text: &str) -> bool {
    text.len() == 9 && text.starts_with('n') && text[1..].bytes().all(|b| b.is_ascii_digit())
}

/// Names for classes that a source only numbers: the WordNet ids in the names of their pictures, where each class has exactly one.
pub fn names_by_wnid<'a>(count: usize, pictures: impl Iterator<Item = (u32, &'a str)>) -> Option<Vec<String>> {
    let mut names: Vec<Option<&str>> = vec![None; count];
    for (label, name) in pictures {
        let id = wnid(name)?;
        let known = names.get_mut(label as usize)?.get_or_insert(id);
        if *known != id {
            return None;
        }
    }
    let names: Vec<String> = names.into_iter().map(|n| n.map(str::to_owned)).collect::<Option<_>>()?;
    let distinct: std::collections::HashSet<&String> = names.iter().collect();
    (distinct.len() == count).then_some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wordnet_ids_are_found_in_names() {
        assert_eq!(wnid("d/n01440764_10026.JPEG"), Some("n01440764"));
        assert_eq!(wnid("ILSVRC2012_val_00000293_n01440764.JPEG"), Some("n01440764"));
        assert_eq!(wnid("n0144076_1.JPEG"), None);
    }

    #[test]
    fn numbers_get_names_only_where_they_are_certain() {
        let names = |p: &[(u32, &str)]| names_by_wnid(2, p.iter().copied());
        assert_eq!(names(&[(1, "n00000001_1.jpg"), (0, "n00000002_1.jpg")]), Some(vec!["n00000002".into(), "n00000001".into()]));
        assert_eq!(names(&[(1, "n00000001_1.jpg"), (0, "n00000001_2.jpg")]), None);
        assert_eq!(names(&[(1, "n00000001_1.jpg"), (1, "n00000002_2.jpg"), (0, "n00000003_1.jpg")]), None);
        assert_eq!(names(&[(1, "n00000001_1.jpg")]), None);
    }
}
