//! A look into archives: what the first members say, and which archives beside folders are left over from these. Bounded: a header read
//! for each of a few members.

use super::container::{Archive, Member, counts_as_image, hidden};
use super::looking::Look;
use super::{is_picture, stem};
use crate::error::{Error, Result};
use crate::text::are;
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
    /// Those whose neighbour of the same key is JSON, and the keys in the first of these.
    pub described: usize,
    pub keys: Vec<String>,
    /// A tar inside holds images.
    pub tars: bool,
}

impl Members {
    /// # Errors
    /// `Data` when the archive is damaged.
    pub fn look(path: &Path) -> Result<Self> {
        let mut found = Self::default();
        let archive = Archive::open(path)?;
        let (mut labels, mut texts, mut cut) = (Vec::new(), std::collections::HashSet::new(), false);
        let looked = archive.members(&mut |member| {
            let name = member.name.to_ascii_lowercase();
            let json = name.ends_with(".json") && member.trouble.is_none();
            if name.ends_with(".cls") || json && archive.content(&member, 1 << 20).is_ok_and(|j| has_label(&j)) {
                labels.push(key(&member.name).to_owned());
            }
            if json {
                if texts.is_empty() {
                    found.keys = archive.content(&member, 1 << 20).map_or_else(|_| Vec::new(), |j| keys_of(&j));
                }
                texts.insert(key(&member.name).to_owned());
            }
            found.tars = found.tars || holds_images(&archive, &member);
            found.names.push(member.name);
            cut = found.names.len() >= LOOKED_AT;
            if cut { Err(Error::data("seen enough")) } else { Ok(()) }
        });
        if !cut {
            looked?;
        }
        let labels: std::collections::HashSet<&str> = labels.iter().map(String::as_str).collect();
        found.labelled = found.images().filter(|n| labels.contains(key(n))).count();
        found.described = found.images().filter(|n| texts.contains(key(n))).count();
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

    /// As [`Members::samples`], where JSON says no label.
    pub fn unlabelled_samples(&self) -> bool {
        let images = self.images().count();
        images > 0 && self.labelled == 0 && 2 * self.described + 1 >= images && self.described > 0
    }

    /// Whether images lie in no folder.
    pub fn flat(&self) -> bool {
        self.images().any(|n| !n.contains('/'))
    }

    /// Whether images lie in several folders.
    pub fn folders(&self) -> bool {
        let mut folders = self.images().map(|n| n.rsplit_once('/').map_or("", |(f, _)| f));
        let first = folders.next();
        folders.any(|f| Some(f) != first)
    }
}

/// Up to the first dot behind the last `/`: what the parts of a sample share.
pub fn key(name: &str) -> &str {
    let last = name.rfind('/').map_or(0, |i| i + 1);
    name[last..].find('.').map_or(name, |dot| &name[..last + dot])
}

fn keys_of(json: &[u8]) -> Vec<String> {
    let object = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(json).unwrap_or_default();
    object.keys().take(8).cloned().collect()
}

pub fn has_label(json: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Value>(json).is_ok_and(|j| j.get("label").is_some())
}

/// Takes out tars that folders beside them were made from, and those that hold no images.
pub fn without_leftovers(tars: &mut Vec<PathBuf>, look: &Look) -> Vec<String> {
    let before = tars.len();
    let folders: Vec<String> = look.folders().iter().map(|d| d.name.clone()).collect();
    tars.retain(|t| !folders.iter().any(|f| f == stem(&t.to_string_lossy())));
    let unpacked = before - tars.len();
    let left = tars.len();
    let holds_images = |t: &PathBuf| Members::look(t).is_ok_and(|m| m.tars || m.images().next().is_some());
    if left <= MOST_ARCHIVES {
        tars.retain(holds_images);
    }
    let mut notes = Vec::new();
    if unpacked > 0 {
        notes.push(format!("{} not read: folders of the same names lie beside", are(unpacked as u64, "tar")));
    }
    if left > tars.len() {
        notes.push(format!("{} not read: no images among the first members", are((left - tars.len()) as u64, "tar")));
    }
    notes
}

/// Whether a member is a tar in a tar, and one that holds images, or cannot be read.
pub fn holds_images(archive: &Archive, member: &Member) -> bool {
    let tar = matches!(archive, Archive::Tar(_)) && member.name.to_ascii_lowercase().ends_with(".tar");
    if !tar || member.folder || hidden(&member.name) {
        return false;
    }
    let mut image = false;
    let looked = archive.nested(member).and_then(|tar| {
        tar.members(&mut |m| {
            image |= counts_as_image(&m);
            if image { Err(Error::data("seen enough")) } else { Ok(()) }
        })
    });
    looked.is_err()
}

/// Whether a table beside folders may be the dataset.
#[cfg(feature = "parquet")]
pub fn labelled_table(table: &Path) -> bool {
    super::parquet::list(vec![table.to_owned()], None, &Default::default()).is_ok()
}

/// This build cannot tell.
#[cfg(not(feature = "parquet"))]
pub fn labelled_table(_: &Path) -> bool {
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
