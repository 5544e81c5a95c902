//! From what a source meets, in whatever order, to a listing in the order of an ImageFolder.

use super::{Kind, Listing, Place, SourceFile, Store};
use crate::data::format::MOST_CLASSES;
use crate::error::{Error, Result};
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

    pub fn name(&self, class: u32) -> &str {
        &self.classes[class as usize]
    }

    /// A picture of a class; `name` without the class.
    pub fn add(&mut self, class: u32, name: &str, place: Place, trouble: Option<String>) {
        let path = format!("{}/{name}", self.classes[class as usize]);
        let too_long = (path.len() > usize::from(u16::MAX)).then(|| "a path longer than 65535 bytes".to_owned());
        self.files.push(SourceFile { path, label: class, place, trouble: trouble.or(too_long) });
    }

    /// A picture that cannot be packed because it has no class.
    pub fn add_without_class(&mut self, name: &str, place: Place, trouble: String) {
        self.files.push(SourceFile { path: name.to_owned(), label: 0, place, trouble: Some(trouble) });
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
            return Err(Error::data(format!("a class named {class:?}"))
                .at(origin)
                .because("names of classes become folders: their parts are neither empty nor . nor .., and hold no zero byte")
                .next("rename it, or look for a wrong column"));
        }
        if self.files.is_empty() {
            let classes = if self.classes.is_empty() { String::new() } else { format!(" in {} classes", self.classes.len()) };
            return Err(Error::data(format!("no pictures (.jpg, .jpeg, .png){classes}")).at(origin).next(next));
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
                file.label = rank.get(file.label as usize).copied().unwrap_or(0);
            }
        }
        // Of two of one name the first in the archive comes first.
        self.files.sort_by(|a, b| a.path.as_bytes().cmp(b.path.as_bytes()));
        for i in 1..self.files.len() {
            if self.files[i].path == self.files[i - 1].path {
                self.files[i].trouble.get_or_insert_with(|| "the same name a second time".to_owned());
            }
        }
        let mut filled = vec![false; self.classes.len()];
        for file in &self.files {
            filled.get_mut(file.label as usize).into_iter().for_each(|f| *f = true);
        }
        let empty: Vec<&str> = self.classes.iter().zip(&filled).filter(|(_, filled)| !**filled).map(|(c, _)| c.as_str()).collect();
        if !empty.is_empty() {
            let names = empty.iter().take(5).copied().collect::<Vec<_>>().join(", ");
            self.notes.push(format!("{} classes hold no pictures and still count as classes: {names}", empty.len()));
        }
        if self.ignored > 0 {
            self.notes.push(format!("{} files that do not end like a picture (.jpg, .jpeg, .png) are ignored", self.ignored));
        }
        Ok(Listing { kind, store, classes: self.classes, words: Vec::new(), files: self.files, notes: self.notes })
    }
}

/// Whether `class` is a folder, or several, below the one it is put in.
pub fn is_folder(class: &str) -> bool {
    class.split('/').all(|part| !matches!(part, "" | "." | "..")) && !class.contains('\0')
}

/// The rest of `path` behind the folder named as its class, or behind the folder of a split, or all of it: so that lists and archives
/// with other folders above give the record names of an ImageFolder. Parts that lead out are dropped.
pub fn below_class<'a>(path: &'a str, class: &str) -> String {
    let parts: Vec<&'a str> = path.split('/').filter(|p| !matches!(*p, "" | "." | "..")).collect();
    let folders = parts.len().saturating_sub(1);
    let split = |p: &&str| matches!(*p, "train" | "val" | "validation");
    let from = parts[..folders].iter().rposition(|p| *p == class).or_else(|| parts[..folders].iter().rposition(split)).map_or(0, |i| i + 1);
    parts[from..].join("/")
}

/// The WordNet id in a picture's name, `n01440764_10026.JPEG` or `ILSVRC2012_val_00000293_n01440764.JPEG`.
pub fn wnid(name: &str) -> Option<&str> {
    let is_wnid = |s: &&str| s.len() == 9 && s.starts_with('n') && s[1..].bytes().all(|b| b.is_ascii_digit());
    let stem = super::stem(name);
    stem.split('_').next().filter(is_wnid).or_else(|| stem.rsplit('_').next().filter(is_wnid))
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
    fn names_as_an_image_folder_gives_them() {
        assert_eq!(below_class("val/ILSVRC2012_val_1.JPEG", "n01"), "ILSVRC2012_val_1.JPEG");
        assert_eq!(below_class("/data/train/n01/a/b.jpg", "n01"), "a/b.jpg");
        assert_eq!(below_class("../x.jpg", "n01"), "x.jpg");
        assert_eq!(below_class("n01", "n01"), "n01");
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
