//! Images that do not lie in classes: `ILSVRC2012_img_val.tar`, or a folder such as Kaggle's `val` or Tiny-ImageNet's `val/images`. Their
//! labels are read beside them, or as `--labels` says.

use super::arrange::Found;
use super::join::{Image, join};
use super::label_names::of_labels;
use super::labels::{self, Labels};
use super::mount::Files;
use super::{Kind, Listing, Place, is_picture};
use crate::error::{Error, Result};
use crate::text::{count, counted};
use std::collections::HashSet;
use std::path::Path;

const NEXT: &str = "give the archive or folder that holds the images themselves";

/// Reads the label files; it is told which images are there, by [`labels::key`], and which files are called as label files below the folder.
pub type ReadLabels<'a> = &'a dyn Fn(&dyn Fn(&str) -> bool, &[String]) -> Result<Vec<Labels>>;

/// Lists the images in `folder`, at any depth.
///
/// # Errors
/// `Data` when it cannot be read or holds no images; those of the labels.
pub fn folder(folder: &Path, files: &Files, read: ReadLabels<'_>) -> Result<Listing> {
    let mut flat = Flat::default();
    files.walk(folder, &mut |path, place, trouble| flat.add(path, place, trouble))?;
    for (name, place, why) in files.outside() {
        flat.add(name, place, Some(why));
    }
    // In the order of their paths, whatever the disk's: the first of some is named in questions.
    flat.images.sort_unstable();
    flat.label_files.sort_unstable();
    let kind = if files.archived() { Kind::ValTar } else { Kind::Flat };
    flat.finish(kind, files, folder, read)
}

#[derive(Default)]
struct Flat {
    images: Vec<(String, Place, Option<String>)>,
    ignored: u64,
    label_files: Vec<String>,
}

impl Flat {
    fn add(&mut self, path: &str, place: Place, trouble: Option<String>) {
        if is_picture(path) {
            self.images.push((path.to_owned(), place, trouble));
        } else {
            self.ignored += 1;
            if of_labels(path.rsplit('/').next().unwrap_or(path)).is_some() {
                self.label_files.push(path.to_owned());
            }
        }
    }

    fn finish(self, kind: Kind, files: &Files, origin: &Path, read: ReadLabels<'_>) -> Result<Listing> {
        let keys: HashSet<&str> = self.images.iter().map(|(path, ..)| labels::key(path)).collect();
        let labels = read(&|key| keys.contains(key), &self.label_files)?;
        let first = labels.first().map(|l| l.origin.clone()).unwrap_or_default();
        let images: Vec<Image<'_>> = self.images.iter().map(|(path, place, _)| Image { path, archive: place.archive() }).collect();
        let lower: HashSet<String> = keys.iter().map(|k| k.to_lowercase()).collect();
        let by_case = labels.iter().any(|l| l.keys().any(|k| lower.contains(&k.to_lowercase())));
        let joined = join(&images, labels, origin, files)?;
        let file = &joined.names;
        let mut found = Found::with_classes(&joined.classes);
        found.ignored = self.ignored;
        let (mut listed, mut of_others) = (0, 0);
        for (i, (path, place, trouble)) in self.images.iter().enumerate() {
            let place = place.clone();
            listed += usize::from(joined.said[i] != labels::Found::Missing);
            let why = match joined.said[i] {
                labels::Found::Class(class) => {
                    found.add(class, path, place, trouble.clone());
                    continue;
                }
                labels::Found::Missing if joined.others[i] => {
                    of_others += 1;
                    continue;
                }
                labels::Found::Unlabelled => format!("listed without a label in {file}"),
                labels::Found::Missing => format!("no label for it in {file}"),
                labels::Found::Ambiguous => format!("several lines of {file} may mean it, with different classes"),
            };
            found.add_without_class(path, place, trouble.clone().unwrap_or(why));
        }
        if listed == 0 && !self.images.is_empty() && joined.len > 0 {
            return Err(Error::data(format!("none of the {} images is among the {} of the labels", self.images.len(), joined.len))
                .at(first.display().to_string())
                .because(match by_case {
                    true => "the names differ in upper and lower case alone: write them in the labels as the files are called",
                    false => "labels of other images, or a wrong column: an image is known by its file name without extension",
                })
                .next("check --labels; --image-column says which column names the images"));
        }
        found.notes.extend(joined.notes);
        if of_others > 0 {
            found.notes.push(format!("left out {}: their lines are of another split", counted(of_others as u64, "image")));
        }
        if listed < joined.len {
            let without = count((joined.len - listed) as u64);
            found.notes.push(format!("{without} of {} without an image", counted(joined.len as u64, "label")));
        }
        found.arrange(kind, files.store(origin), joined.numbered, &origin.display().to_string(), NEXT)
    }
}
