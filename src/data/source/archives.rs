//! What one or several archives are: WebDataset, a class each, or a tree of folders that is read as one on the disk is.
//!
//! Of several, the first members of a few are looked at, and all names only where these do not tell; a single one is listed once, whole.

use super::arrange::shown;
use super::class_tar::folder_class;
use super::class_tar_names::{Contents, named_by_archives};
use super::copies;
use super::image_folder::below;
use super::is_picture;
use super::looking::Look;
use super::mount::Files;
use super::peek::{MOST_ARCHIVES, Members, has_label, key};
use super::readings::{Looked, Noted, Seek};
use super::stem;
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// JSON members that are looked into for a label, evenly spread.
const LOOKED_AT: usize = 64;
const MOST_JSON: u64 = 1 << 20;

impl Looked {
    /// Archives by what is in them. `classes`: the user says that folders or archives are the classes.
    ///
    /// # Errors
    /// `Data` when one is damaged, naming file and byte; `Usage` where there are several readings.
    pub fn archives(archives: Vec<PathBuf>, seek: &Seek<'_>, classes: bool) -> Result<Noted> {
        let first = archives.first().cloned().unwrap_or_default();
        let several = archives.len() > 1;
        let looked = archives.iter().take(MOST_ARCHIVES).map(|a| Members::look(a).map(|m| (a, m))).collect::<Result<Vec<_>>>()?;
        let samples = looked.first().is_some_and(|(_, m)| m.samples());
        if several && seek.labels && !classes && !looked.iter().any(|(_, m)| m.tars) {
            let at = first.parent().unwrap_or(&first).to_owned();
            let files = Rc::new(mount_several(&at, archives)?);
            return Self::folder(&at, &Seek { files, ..*seek }, 0);
        }
        if several && !classes {
            no_copies(&archives)?;
            let other = looked.iter().find(|(_, m)| !m.samples());
            if let (Some((other, _)), Some((samples, _))) = (other, looked.iter().find(|(_, m)| m.samples())) {
                return Err(Error::usage("some of the archives hold images with labels beside them, others do not")
                    .at(samples.parent().unwrap_or(samples).display().to_string())
                    .because(format!("{} is WebDataset, {} is not", samples.display(), other.display()))
                    .next("move what does not belong to the dataset away; or --source webdataset, where every image without a label is a bad image"));
            }
            if samples && !looked.iter().any(|(_, m)| m.folders()) {
                return Ok((Self::Samples(archives, None), Vec::new(), seek.files.clone()));
            }
        }
        if let Some((path, m)) = looked.iter().find(|(_, m)| several && !classes && !seek.labels && m.flat() && m.unlabelled_samples()) {
            return Err(without_label(path, m));
        }
        if looked.iter().any(|(_, m)| m.tars) {
            return Ok((Self::ClassTars(archives), Vec::new(), seek.files.clone()));
        }
        if several && (classes || !samples) && looked.iter().any(|(_, m)| m.flat()) {
            // Where labels may follow behind all images, only a whole archive tells.
            let cut = !classes && looked.first().is_some_and(|(_, m)| m.cut);
            let samples = cut && labelled(&Files::mount(&first, vec![first.clone()])?)?;
            let looked = if samples { Self::Samples(archives, None) } else { Self::ClassTars(archives) };
            return Ok((looked, Vec::new(), seek.files.clone()));
        }
        let at = if several { first.parent().unwrap_or(&first).to_owned() } else { first };
        let files = Rc::new(Files::mount(&at, archives.clone())?);
        if files.tars() {
            return Ok((Self::ClassTars(archives), Vec::new(), seek.files.clone()));
        }
        let inside = Seek { files: files.clone(), ..*seek };
        if !classes && labelled(&files)? {
            let folders = match Self::folder(&at, &Seek { labels: false, ..inside }, 0) {
                Ok((Self::Folder(root), ..)) if Look::at(&root, &files)?.folders().len() > 1 => Some(root),
                // As the folder that it unpacks to; the labels beside the images are compared with the list.
                Ok((list @ Self::List(_), notes, files)) => return Ok((list, notes, files)),
                _ => None,
            };
            return Ok((Self::Samples(archives, folders), Vec::new(), files));
        }
        if several && named_by_archives(&contents(&files, archives.len()), &archives)? {
            return Ok((Self::ClassTars(archives), Vec::new(), seek.files.clone()));
        }
        let (looked, notes, files) = if classes { class_folders(&at, &inside)? } else { Self::folder(&at, &inside, 0)? };
        Ok((looked, notes, files))
    }
}

/// WebDataset in which no sample says its class.
fn without_label(path: &Path, members: &Members) -> Error {
    let keys = if members.keys.is_empty() { "no keys".to_owned() } else { format!("the keys {}", members.keys.join(", ")) };
    Error::usage("each image has a KEY.json, and none of these has a label")
        .at(path.display().to_string())
        .because(format!("WebDataset takes the class from KEY.cls or from \"label\" in KEY.json; the first of these has {}", shown(&keys)))
        .next("write the class as \"label\" in each KEY.json; or --labels FILE, a list of lines IMAGE CLASS; or --source train-tar if each archive is a class")
}

/// Several archives as one tree; each is a folder of it where images lie in no folder.
pub fn mount_several(at: &Path, archives: Vec<PathBuf>) -> Result<Files> {
    let flat = archives.iter().take(MOST_ARCHIVES).map(|a| Members::look(a)).any(|m| m.is_ok_and(|m| m.flat()));
    if flat { Files::mount_apart(at, archives) } else { Files::mount(at, archives) }
}

/// Second downloads make no classes.
fn no_copies(archives: &[PathBuf]) -> Result<()> {
    let names: Vec<String> = archives.iter().map(|p| p.file_name().unwrap_or_default().to_string_lossy().into_owned()).collect();
    let stems: Vec<&str> = names.iter().map(|n| stem(n)).collect();
    let Some((copy, of)) = copies::first(&stems) else { return Ok(()) };
    let path =
        |stem: &str| archives.iter().zip(&stems).find(|(_, s)| **s == stem).map_or_else(String::new, |(p, _)| p.display().to_string());
    Err(Error::usage(format!("\"{}\" looks like a second copy of {}", shown(copy), shown(of)))
        .at(path(copy))
        .because("it would be a class or a part of its own, and its images would count twice")
        .next(format!("cmp '{}' '{}' && rm '{0}'; or --source train-tar if each archive is a class", path(copy), path(of))))
}

/// WebDataset: at least half of the images have a label of the same key.
fn labelled(files: &Files) -> Result<bool> {
    let members = files.members();
    let (mut images, mut with_cls, mut with_json) = (0, 0, 0);
    let mut json = Vec::new();
    // Members of one key follow each other in the order of names.
    for sample in members.chunk_by(|a, b| key(&a.0.name) == key(&b.0.name)) {
        let ends = |end: &str| sample.iter().find(|(m, _)| m.name.len() > end.len() && m.name.to_ascii_lowercase().ends_with(end));
        let here = sample.iter().filter(|(m, _)| is_picture(&m.name)).count();
        images += here;
        if ends(".cls").is_some() {
            with_cls += here;
        } else if let (Some(member), true) = (ends(".json"), here > 0) {
            with_json += here;
            json.push(member);
        }
    }
    let looked: Vec<_> = json.iter().step_by(json.len().div_ceil(LOOKED_AT).max(1)).collect();
    let labels = looked.iter().filter(|(m, archive)| files.content(m, *archive, MOST_JSON).is_ok_and(|j| has_label(&j))).count();
    let labelled = with_cls + if labels > 0 && 2 * labels >= looked.len() { with_json } else { 0 };
    Ok(labelled > 0 && 2 * labelled >= images)
}

/// What each archive holds.
fn contents(files: &Files, archives: usize) -> Vec<Contents> {
    let mut all: Vec<Contents> = (0..archives).map(|_| Contents::default()).collect();
    for (member, archive) in files.members().iter().filter(|(m, _)| is_picture(&m.name)) {
        let Some(contents) = all.get_mut(*archive as usize) else { continue };
        match member.name.contains('/') {
            true => contents.folder(folder_class(&member.name), &member.name),
            false => contents.flat = true,
        }
    }
    all
}

/// The class folders in archives, below those of splits and what lies above all.
pub fn class_folders(at: &Path, seek: &Seek<'_>) -> Result<Noted> {
    let (mut root, mut notes) = (at.to_owned(), Vec::new());
    for _ in 0..12 {
        let look = Look::at(&root, &seek.files)?;
        if let Some(dir) = look.split(seek.part, true)? {
            root = dir;
            continue;
        }
        let above = super::layout::wrapper(&look.dirs, |name| super::looking::dirs(&below(&root, name), &seek.files))?;
        let Some((name, _)) = above else { break };
        notes.push(format!("{} is taken for a folder above those of the classes", shown(name)));
        root = below(&root, name);
    }
    Ok((Looked::Folder(root), notes, seek.files.clone()))
}
