//! Tars whose pictures lie in classes: `ILSVRC2012_img_train.tar`, which holds one `nXXXXXXXX.tar` per class; a folder of those class
//! tars; or a tar of class folders.
//!
//! The inner tars are not copied out: their members are byte ranges of the outer file.

use super::arrange::{Found, below_class, is_folder};
use super::tar::{Archive, Member};
use super::{Kind, Listing, Place, Store, is_picture, stem};
use crate::error::Result;
use std::path::PathBuf;

const NEXT: &str = "give ILSVRC2012_img_train.tar, a folder of class tars, or a tar of class folders";

/// Lists the pictures of `archives`, in that order. Of several, each one without class tars or folders in it is a class of its own.
///
/// # Errors
/// `Data` when an archive is damaged, naming file and byte, or holds no pictures in classes.
pub fn list(archives: Vec<PathBuf>) -> Result<Listing> {
    let mut found = Found::default();
    let mut stray = 0u64;
    for (index, path) in archives.iter().enumerate() {
        let outer = Archive::open(path)?;
        let own_class = (archives.len() > 1).then(|| stem(&path.to_string_lossy()).to_owned());
        outer.members(&mut |member| {
            let index = index as u32;
            if member.name.to_ascii_lowercase().ends_with(".tar") && member.trouble.is_none() {
                let class = found.class(stem(&member.name));
                return outer.nested(&member)?.members(&mut |inner| {
                    add(&mut found, class, inner, index);
                    Ok(())
                });
            }
            match (member.name.split_once('/'), &own_class) {
                (None, None) if is_picture(&member.name) => stray += 1,
                (_, Some(class)) => {
                    let class = found.class(class);
                    add(&mut found, class, member, index);
                }
                (Some(_), None) if is_picture(&member.name) => {
                    let class = folder_class(&member.name);
                    if is_folder(class) {
                        let class = found.class(class);
                        add(&mut found, class, member, index);
                    } else {
                        // Its name leads out of the archive, and must not make a class.
                        let place = Place::Range { archive: index, offset: member.offset, len: member.len };
                        let trouble = member.trouble.unwrap_or_else(|| format!("in a folder named {class:?}"));
                        found.add_without_class(&member.name, place, trouble);
                    }
                }
                _ => found.ignored += u64::from(!hidden(&member.name)),
            }
            Ok(())
        })?;
    }
    if stray > 0 {
        found.notes.push(format!("{stray} pictures outside class tars and class folders are ignored"));
    }
    let origin = archives.first().map_or_else(String::new, |p| p.display().to_string());
    found.arrange(Kind::TrainTar, Store::new(PathBuf::new(), archives), false, &origin, NEXT)
}

fn add(found: &mut Found, class: u32, member: Member, archive: u32) {
    if !is_picture(&member.name) || hidden(&member.name) {
        found.ignored += u64::from(!hidden(&member.name));
        return;
    }
    let name = below_class(&member.name, found.name(class));
    found.add(class, &name, Place::Range { archive, offset: member.offset, len: member.len }, member.trouble);
}

/// `train/n01440764/x.JPEG`: the folder behind that of the split; otherwise the first one.
fn folder_class(name: &str) -> &str {
    let parts: Vec<&str> = name.split('/').collect();
    let folders = &parts[..parts.len() - 1];
    let split = folders.iter().position(|p| matches!(*p, "train" | "val" | "validation"));
    split.and_then(|i| folders.get(i + 1)).or(folders.first()).copied().unwrap_or(name)
}

/// `._x.JPEG` and the like, as archivers of some systems add them.
pub fn hidden(name: &str) -> bool {
    name.rsplit('/').next().is_some_and(|n| n.starts_with('.'))
}
