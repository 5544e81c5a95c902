//! Several archives: is each of them a class, or are they parts of one dataset whose classes are the folders in them?
//!
//! `n01440764.tar`, `n01443537.tar`... are classes, whatever folders are inside; `train_part1.tar`, `train_part2.tar` with `n01440764/` and
//! `n01443537/` in them are parts. Where both readings make sense and give different labels, it is an error that asks.

use super::arrange::wnid;
use super::stem;
use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Words that archives of a part or split of a dataset bear, besides their numbers.
const PARTS: [&str; 24] = [
    "train",
    "training",
    "val",
    "valid",
    "validation",
    "test",
    "part",
    "parts",
    "shard",
    "shards",
    "image",
    "images",
    "img",
    "imgs",
    "chunk",
    "split",
    "batch",
    "vol",
    "volume",
    "data",
    "dataset",
    "imagenet",
    "ilsvrc",
    "of",
];

/// What an archive holds beside inner tars.
#[derive(Default)]
pub struct Contents {
    /// Folders that would be classes, each with a member.
    folders: BTreeMap<String, String>,
    /// Images outside of folders.
    pub flat: bool,
    /// Inner tars with images.
    pub tars: bool,
}

impl Contents {
    pub fn folder(&mut self, folder: &str, member: &str) {
        if !self.folders.contains_key(folder) {
            self.folders.insert(folder.to_owned(), member.to_owned());
        }
    }
}

/// Whether each archive is a class of its own.
///
/// # Errors
/// `Data` when that cannot be told.
pub fn named_by_archives(contents: &[Contents], archives: &[PathBuf]) -> Result<bool> {
    let of = |c: &Contents| !c.tars && (c.flat || !c.folders.is_empty());
    let all: Vec<(&Contents, &Path)> = contents.iter().zip(archives).filter(|(c, _)| of(c)).map(|(c, p)| (c, p.as_path())).collect();
    let Some((_, first)) = all.first() else { return Ok(false) };
    let origin = first.parent().unwrap_or(first).display().to_string();
    let names: Vec<String> = all.iter().map(|(_, p)| stem(&p.to_string_lossy()).to_owned()).collect();
    let parts = names.len() > 1 && names.iter().all(|n| wnid(n).is_none() && is_part(n)) || names.len() == 1 && is_part(&names[0]);
    if all.iter().any(|(c, _)| c.flat) {
        // Folders beside images that lie in none are no classes.
        if parts {
            return Err(Error::data(format!("images that lie in no class folder, in archives named as parts of a dataset ({})", names[0]))
                .at(origin)
                .because("neither the archives' names nor folders in them say what the classes are")
                .next("--source webdataset if the labels lie beside the images in them; otherwise unpack them and give --labels"));
        }
        return Ok(true);
    }
    if parts {
        return Ok(false);
    }
    let alone = all.iter().all(|(c, _)| c.folders.len() == 1);
    let mut folders: Vec<&String> = all.iter().flat_map(|(c, _)| c.folders.keys()).collect();
    let met = folders.len();
    folders.sort_unstable();
    folders.dedup();
    let different = folders.len() == met;
    if alone && (different || folders.len() == 1)
        || all.iter().zip(&names).all(|((c, _), name)| c.folders.len() == 1 && c.folders.contains_key(name))
    {
        return Ok(true); // the labels are the same either way, or there is one folder name that says nothing
    }
    let example = all.iter().zip(&names).find_map(|((c, p), name)| Some((p, c.folders.iter().find(|(folder, _)| *folder != name)?)));
    let (path, member) = example.map_or((*first, ""), |(p, (_, member))| (*p, member.as_str()));
    let command = if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("zip")) { "unzip $f -d" } else { "tar xf $f -C" };
    Err(Error::data(format!(
        "{} archives with {} folders in them: is each archive a class, or is each folder? Such as {}: {member}",
        all.len(),
        folders.len(),
        path.display()
    ))
    .at(origin)
    .next(format!(
        "folders: for f in *; do mkdir -p all && {command} all; done. Archives: for f in *; do mkdir -p all/${{f%.*}} && {command} all/${{f%.*}}; \
         done. Then --input all --source folder"
    )))
}

/// `train_part1`, `images-00003-of-00010`: made of numbers and of words for parts.
fn is_part(name: &str) -> bool {
    let words: Vec<&str> = name.split(|c: char| !c.is_ascii_alphabetic()).filter(|w| !w.is_empty()).collect();
    !words.is_empty() && name.is_ascii() && words.iter().all(|w| PARTS.iter().any(|p| w.eq_ignore_ascii_case(p)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(archives: &[(&str, &[&str], bool)]) -> Option<bool> {
        let paths: Vec<PathBuf> = archives.iter().map(|(name, ..)| PathBuf::from(format!("in/{name}.tar"))).collect();
        let contents: Vec<Contents> = archives
            .iter()
            .map(|(_, folders, flat)| {
                let mut c = Contents { flat: *flat, ..Contents::default() };
                folders.iter().for_each(|f| c.folder(f, &format!("{f}/0.jpg")));
                c
            })
            .collect();
        named_by_archives(&contents, &paths).ok()
    }

    #[test]
    fn classes_or_parts() {
        let (own, folders, asks) = (Some(true), Some(false), None);
        assert_eq!(told(&[("n01440764", &[], true), ("n01443537", &[], true)]), own);
        assert_eq!(told(&[("n01440764", &["n01440764"], false), ("n01443537", &["n01443537"], false)]), own);
        assert_eq!(told(&[("cat", &["images"], false), ("dog", &["images"], false)]), own);
        assert_eq!(told(&[("0", &[], true), ("1", &[], true), ("class2", &[], true)]), own);
        assert_eq!(told(&[("cat", &["a"], true), ("dog", &["a", "b"], true)]), own);
        assert_eq!(told(&[("train_part1", &["n01", "n02"], false), ("train_part2", &["n02", "n03"], false)]), folders);
        assert_eq!(told(&[("train-0", &["n01"], false), ("train-1", &["n01"], false)]), folders);
        assert_eq!(told(&[("bus", &["a", "b"], false), ("car", &["a", "b"], false)]), asks);
        assert_eq!(told(&[("set_1", &["n01", "n02"], false), ("set_2", &["n03"], false)]), asks);
        assert_eq!(told(&[("train_0", &[], true), ("train_1", &[], true)]), asks);
    }
}
