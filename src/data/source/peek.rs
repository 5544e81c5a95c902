//! A look into archives: what the first members say, and which archives beside folders are left over from these. Bounded: a header read
//! for each of a few members.

use super::container::Archive;
use super::looking::Look;
use super::{is_picture, stem};
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

/// Members of an archive that are looked at to tell what it is.
const LOOKED_AT: usize = 64;
/// Archives beside folders that are looked into.
pub const MOST_ARCHIVES: usize = 16;

/// What the first members of an archive say.
#[derive(Debug, Default)]
pub struct Members {
    pub names: Vec<String>,
    /// There are more.
    pub cut: bool,
    /// Images whose neighbour of the same key holds their label.
    pub labelled: usize,
}

impl Members {
    /// # Errors
    /// `Data` when the archive is damaged.
    pub fn look(path: &Path) -> Result<Self> {
        let mut found = Self::default();
        let archive = Archive::open(path)?;
        let (mut labels, mut cut) = (Vec::new(), false);
        let looked = archive.members(&mut |member| {
            let name = member.name.to_ascii_lowercase();
            let json = name.ends_with(".json") && member.trouble.is_none();
            if name.ends_with(".cls") || json && archive.content(&member, 1 << 20).is_ok_and(|j| has_label(&j)) {
                labels.push(key(&member.name).to_owned());
            }
            found.names.push(member.name);
            cut = found.names.len() >= LOOKED_AT;
            if cut { Err(Error::data("seen enough")) } else { Ok(()) }
        });
        if !cut {
            looked?;
        }
        let labels: std::collections::HashSet<&str> = labels.iter().map(String::as_str).collect();
        found.labelled = found.images().filter(|n| labels.contains(key(n))).count();
        found.cut = cut;
        Ok(found)
    }

    pub fn images(&self) -> impl Iterator<Item = &String> {
        self.names.iter().filter(|n| is_picture(n))
    }

    /// WebDataset: the images have labels of their own. The last one looked at may be cut from its label.
    pub fn samples(&self) -> bool {
        let images = self.images().count();
        self.labelled > 0 && 2 * self.labelled + 1 >= images
    }

    pub fn tars(&self) -> bool {
        self.names.iter().any(|n| n.to_ascii_lowercase().ends_with(".tar"))
    }

    /// The folder in which all of them lie that were looked at; empty for none.
    pub fn folder(&self) -> Option<&str> {
        let folder = |n: &'_ String| -> usize { n.rfind('/').unwrap_or(0) };
        let first = self.images().next()?;
        let at = &first[..folder(first)];
        self.images().all(|n| &n[..folder(n)] == at).then_some(at)
    }
}

/// Up to the first dot behind the last `/`: what the parts of a sample share.
fn key(name: &str) -> &str {
    let last = name.rfind('/').map_or(0, |i| i + 1);
    name[last..].find('.').map_or(name, |dot| &name[..last + dot])
}

fn has_label(json: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Value>(json).is_ok_and(|j| j.get("label").is_some())
}

/// Takes out tars that folders beside them were made from, and those that hold no images.
pub fn without_leftovers(tars: &mut Vec<PathBuf>, look: &Look) -> Vec<String> {
    let before = tars.len();
    let folders: Vec<String> = look.folders().iter().map(|d| d.name.clone()).collect();
    tars.retain(|t| !folders.iter().any(|f| f == stem(&t.to_string_lossy())));
    let unpacked = before - tars.len();
    let left = tars.len();
    let holds_images = |t: &PathBuf| Members::look(t).is_ok_and(|m| m.tars() || m.images().next().is_some());
    if left <= MOST_ARCHIVES {
        tars.retain(holds_images);
    }
    let mut notes = Vec::new();
    if unpacked > 0 {
        notes.push(format!("{unpacked} tars are not read: folders of the same names lie beside them"));
    }
    if left > tars.len() {
        notes.push(format!("{} tars are not read: no images are among their first members", left - tars.len()));
    }
    notes
}

/// Whether a table beside folders may be the dataset.
#[cfg(feature = "parquet")]
pub fn holds_images(table: &Path) -> bool {
    super::parquet::list(vec![table.to_owned()], None, &Default::default()).is_ok()
}

/// This build cannot tell.
#[cfg(not(feature = "parquet"))]
pub fn holds_images(_: &Path) -> bool {
    true
}

pub fn images_in(path: &Path) -> usize {
    let mut images = 0;
    let counted = Archive::open(path).and_then(|a| {
        a.members(&mut |m| {
            images += usize::from(is_picture(&m.name));
            Ok(())
        })
    });
    counted.map_or(images, |_| images)
}

/// Whether all images of an archive lie in this folder.
pub fn one_folder(path: &Path, folder: &str) -> Result<bool> {
    let mut all = true;
    Archive::open(path)?.members(&mut |m| {
        all &= !is_picture(&m.name) || m.name.rsplit_once('/').map_or("", |(f, _)| f) == folder;
        Ok(())
    })?;
    Ok(all)
}
