//! Images that do not lie in classes: `ILSVRC2012_img_val.tar`, or a folder such as Kaggle's `val` or Tiny-ImageNet's `val/images`. Their
//! labels are read beside them, or as `--labels` says.

use super::arrange::{Found, shown};
use super::labels::{self, Labels};
use super::mount::Files;
use super::{Kind, Listing, Place, Store, is_picture};
use crate::error::{Error, Result};
use crate::text::{count, counted};
use std::collections::{HashMap, HashSet};
use std::path::Path;

const NEXT: &str = "give the archive or folder that holds the images themselves";

/// Reads the labels; it is told which images are there, by [`labels::key`].
pub type ReadLabels<'a> = &'a dyn Fn(&dyn Fn(&str) -> bool) -> Result<Labels>;

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
    let kind = if files.archived() { Kind::ValTar } else { Kind::Flat };
    flat.finish(kind, files.store(folder), folder, read)
}

/// The whole path of a folder, with `/`; of an archive without its ending, as the folder that it unpacks to.
fn whole(folder: &Path) -> String {
    let real = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let real = if real.is_file() { real.with_extension("") } else { real };
    real.to_string_lossy().replace('\\', "/").trim_end_matches('/').to_owned()
}

#[derive(Default)]
struct Flat {
    images: Vec<(String, Place, Option<String>)>,
    ignored: u64,
}

impl Flat {
    fn add(&mut self, path: &str, place: Place, trouble: Option<String>) {
        if is_picture(path) {
            self.images.push((path.to_owned(), place, trouble));
        } else {
            self.ignored += 1;
        }
    }

    /// A line that says the whole path of one image is of no other; one that may mean two images is asked about.
    fn one_line_one_image(&self, said: &mut [(labels::Found, Option<labels::Line>)], labels: &Labels) -> Result<()> {
        let whole: HashSet<usize> = said.iter().filter_map(|(_, line)| line.filter(|l| l.whole).map(|l| l.id)).collect();
        let mut users: HashMap<usize, usize> = HashMap::new();
        for (i, (found, line)) in said.iter_mut().enumerate() {
            let Some(line) = line.filter(|_| matches!(found, labels::Found::Class(_))) else { continue };
            if !line.whole && whole.contains(&line.id) {
                *found = labels::Found::Missing;
            } else if let Some(&before) = users.get(&line.id).filter(|_| !line.whole) {
                let (a, b) = (&self.images[before].0, &self.images[i].0);
                return Err(Error::usage(format!("one label may mean two images: {} and {}", shown(a), shown(b)))
                    .at(labels.origin.display().to_string())
                    .because("the label file knows images by names that are there in several folders, or with several extensions")
                    .next("give the paths of the images in the label file, as seen from --input; or give the one folder that is meant as --input"));
            } else {
                users.insert(line.id, i);
            }
        }
        Ok(())
    }

    fn finish(self, kind: Kind, store: Store, origin: &Path, read: ReadLabels<'_>) -> Result<Listing> {
        let keys: HashSet<&str> = self.images.iter().map(|(path, ..)| labels::key(path)).collect();
        let labels = read(&|key| keys.contains(key))?;
        let file = labels.origin.file_name().unwrap_or_default().to_string_lossy();
        let root = whole(origin);
        let mut said: Vec<_> = self.images.iter().map(|(path, ..)| labels.get(&root, path)).collect();
        self.one_line_one_image(&mut said, &labels)?;
        let mut found = Found::with_classes(&labels.classes);
        found.ignored = self.ignored;
        let mut listed = 0;
        for ((path, place, trouble), (said, _)) in self.images.iter().zip(&said) {
            let place = place.clone();
            listed += usize::from(*said != labels::Found::Missing);
            let why = match *said {
                labels::Found::Class(class) => {
                    found.add(class, path, place, trouble.clone());
                    continue;
                }
                labels::Found::Unlabelled => format!("listed without a label in {file}"),
                labels::Found::Missing => format!("no label for it in {file}"),
                labels::Found::Ambiguous => format!("several lines of {file} may mean it, with different classes"),
            };
            found.add_without_class(path, place, trouble.clone().unwrap_or(why));
        }
        if listed == 0 && !self.images.is_empty() && labels.len() > 0 {
            return Err(Error::data(format!("none of the {} images is among the {} of the labels", self.images.len(), labels.len()))
                .at(labels.origin.display().to_string())
                .because("labels of other images, or a wrong column: an image is known by its file name without extension")
                .next("check --labels; --image-column says which column names the images"));
        }
        found.notes.push(format!("labels from {}", labels.origin.display()));
        found.notes.extend(labels.notes.iter().cloned());
        if listed < labels.len() {
            found.notes.push(format!(
                "{} of {} without an image",
                count((labels.len() - listed) as u64),
                counted(labels.len() as u64, "label")
            ));
        }
        found.arrange(kind, store, labels.numbered, &origin.display().to_string(), NEXT)
    }
}
