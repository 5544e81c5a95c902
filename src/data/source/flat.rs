//! Pictures that do not lie in classes: `ILSVRC2012_img_val.tar`, or a folder such as Kaggle's `val`. Their labels are read beside them.

use super::arrange::Found;
use super::container::{Archive, hidden};
use super::image_folder::children;
use super::labels::Labels;
use super::{Kind, Listing, Place, Store, is_picture};
use crate::error::Result;
use std::path::Path;

const NEXT: &str = "give the archive or folder that holds the validation pictures themselves";

/// Lists the pictures directly in `folder`.
///
/// # Errors
/// `Data` when it cannot be read or holds no pictures.
pub fn folder(folder: &Path, labels: &Labels) -> Result<Listing> {
    let mut flat = Flat::new(labels);
    for (name, is_dir) in children(folder)? {
        if !is_dir {
            flat.add(&name, |file| Place::File(file.into()), None);
        }
    }
    flat.finish(Kind::Flat, Store::new(folder.to_owned(), Vec::new()), folder)
}

/// Lists the images in an archive, at any depth.
///
/// # Errors
/// `Data` when it is damaged, naming file and byte, or holds no pictures.
pub fn tar(path: &Path, labels: &Labels) -> Result<Listing> {
    let mut flat = Flat::new(labels);
    let mut archives = 0u64;
    let notes = Archive::open(path)?.members(&mut |m| {
        if !hidden(&m.name) {
            archives += u64::from(m.is_archive());
            flat.add(&m.name, |_| m.place(0), m.trouble.clone());
        }
        Ok(())
    })?;
    flat.found.notes.extend(notes);
    if archives > 0 {
        flat.found.notes.push(format!("{archives} archives inside {} are not read", path.display()));
    }
    flat.finish(Kind::ValTar, Store::new(Default::default(), vec![path.to_owned()]), path)
}

struct Flat<'a> {
    found: Found,
    labels: &'a Labels,
    labelled: usize,
}

impl<'a> Flat<'a> {
    fn new(labels: &'a Labels) -> Self {
        Self { found: Found::with_classes(&labels.classes), labels, labelled: 0 }
    }

    fn add(&mut self, name: &str, place: impl FnOnce(&str) -> Place, trouble: Option<String>) {
        if !is_picture(name) {
            self.found.ignored += 1;
            return;
        }
        let last = name.rsplit('/').next().unwrap_or(name);
        match self.labels.get(name) {
            Some(class) => {
                self.labelled += 1;
                self.found.add(class, last, place(name), trouble);
            }
            None => {
                let file = self.labels.origin.file_name().unwrap_or_default().to_string_lossy();
                self.found.add_without_class(name, place(name), trouble.unwrap_or_else(|| format!("no label for it in {file}")));
            }
        }
    }

    fn finish(mut self, kind: Kind, store: Store, origin: &Path) -> Result<Listing> {
        self.found.notes.push(format!("labels from {}", self.labels.origin.display()));
        if self.labelled < self.labels.len() {
            let missing = self.labels.len() - self.labelled;
            self.found.notes.push(format!("{missing} of {} labels are of pictures that are not there", self.labels.len()));
        }
        self.found.arrange(kind, store, self.labels.numbered, &origin.display().to_string(), NEXT)
    }
}
