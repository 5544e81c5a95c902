//! Tars whose images lie in classes: `ILSVRC2012_img_train.tar`, which holds one `nXXXXXXXX.tar` per class; a folder of those class
//! tars; or a tar of class folders.
//!
//! The inner tars are not copied out: their members are byte ranges of the outer file. What the folders in tars mean is decided by
//! [`super::archive_folders`], when all names are known.

use super::archive_folders::Folders;
use super::arrange::{Found, is_folder, shown};
use super::splits::Part;
use super::tar::{Archive, Member};
use super::{Kind, Listing, Place, Store, is_picture, stem};
use crate::error::Result;
use std::path::PathBuf;

const NEXT: &str = "give ILSVRC2012_img_train.tar, a folder of class tars, or a tar of class folders";

/// An image, and the inner tar that it lies in.
struct Image {
    archive: u32,
    tar: Option<u32>,
    member: Member,
}

/// Lists the images of `archives`, in that order. Of several, each one without class tars or folders in it is a class of its own.
///
/// # Errors
/// `Data` when an archive is damaged, naming file and byte, or holds no images in classes; `Usage` where names have two readings.
pub fn list(archives: Vec<PathBuf>, part: Part) -> Result<Listing> {
    let mut found = Found::default();
    let (mut images, mut tars): (Vec<Image>, Vec<String>) = (Vec::new(), Vec::new());
    for (index, path) in archives.iter().enumerate() {
        let (outer, archive) = (Archive::open(path)?, index as u32);
        let ignored = &mut found.ignored;
        let mut take = |member: Member, tar: Option<u32>| match () {
            () if hidden(&member.name) => {}
            () if is_picture(&member.name) => images.push(Image { archive, tar, member }),
            () => *ignored += 1,
        };
        outer.members(&mut |member| {
            if member.name.to_ascii_lowercase().ends_with(".tar") && member.trouble.is_none() {
                let tar = tars.len() as u32;
                tars.push(stem(&member.name).to_owned());
                return outer.nested(&member)?.members(&mut |inner| {
                    take(inner, Some(tar));
                    Ok(())
                });
            }
            take(member, None);
            Ok(())
        })?;
    }
    for class in &tars {
        found.class(class);
    }
    let origin = archives.first().map_or_else(String::new, |p| p.display().to_string());
    let own = archives.len() > 1;
    let stems: Vec<String> = archives.iter().map(|p| stem(&p.to_string_lossy()).to_owned()).collect();
    let usable = |i: &&Image| i.tar.is_none() && i.member.trouble.is_none() && i.member.name.contains('/');
    let names: Vec<&str> = if own { Vec::new() } else { images.iter().filter(usable).map(|i| i.member.name.as_str()).collect() };
    let folders = Folders::of(&names, part, &origin)?;
    // Class tars of the outer one, then the archives themselves where each is a class.
    let classes: Vec<&str> = tars.iter().chain(&stems).map(String::as_str).collect();
    let class_of = |image: &Image| match image.tar {
        Some(tar) => Some(tar as usize),
        None => own.then_some(tars.len() + image.archive as usize),
    };
    let inside = all_inside(&classes, &images, &class_of);
    let mut stray = 0u64;
    for image in &images {
        let Image { archive, member, .. } = image;
        let place = Place::Range { archive: *archive, offset: member.offset, len: member.len };
        let (class, path) = match (class_of(image), folders.class(&member.name)) {
            (Some(c), _) => (classes[c], if inside[c] { member.name.clone() } else { format!("{}/{}", classes[c], member.name) }),
            (None, Some((class, path))) => (class, path.to_owned()),
            (None, None) if member.trouble.is_some() => ("", String::new()),
            (None, None) => {
                stray += u64::from(!member.name.contains('/')); // those of other splits are counted already
                continue;
            }
        };
        if is_folder(class) {
            let class = found.class(class);
            found.add(class, &path, place, member.trouble.clone());
        } else {
            // Its name leads out of the archive, and must not make a class.
            let trouble = member.trouble.clone().unwrap_or_else(|| format!("in a folder named \"{}\"", shown(class)));
            found.add_without_class(&member.name, place, trouble);
        }
    }
    found.notes.extend(folders.notes);
    if stray > 0 {
        found.notes.push(format!("{stray} images outside class tars and class folders are ignored"));
    }
    found.arrange(Kind::TrainTar, Store::new(PathBuf::new(), archives), false, &origin, NEXT)
}

/// For each class that is an archive of its own, whether all its images lie in a folder called like it: that is the class's folder then.
fn all_inside(classes: &[&str], images: &[Image], class_of: &dyn Fn(&Image) -> Option<usize>) -> Vec<bool> {
    let mut all = vec![true; classes.len()];
    for image in images {
        if let Some(c) = class_of(image) {
            all[c] &= image.member.name.split_once('/').is_some_and(|(folder, _)| folder == classes[c]);
        }
    }
    all
}

/// `._x.JPEG` and the like, as archivers of some systems add them.
pub fn hidden(name: &str) -> bool {
    name.rsplit('/').next().is_some_and(|n| n.starts_with('.'))
}
