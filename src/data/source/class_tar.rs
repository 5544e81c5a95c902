//! Archives whose images lie in classes: `ILSVRC2012_img_train.tar`, which holds one `nXXXXXXXX.tar` per class; a folder of class
//! archives. Tars and zips alike, see [`super::container`].
//!
//! The inner tars are not copied out: their members are byte ranges of the outer file. What could hold images and is not read is an
//! error or a note, never dropped. [`super::class_tar_names`] decides between the names of several archives and the folders in them;
//! trees of class folders are read by [`super::mount`] and the rules of folders.

use super::arrange::{Found, is_folder, shown};
use super::class_tar_names::{Contents, named_by_archives};
use super::container::{Archive, Member, hidden};
use super::copies;
use super::label_names::of_labels;
use super::splits::{Part, of_split};
use super::{Kind, Listing, Store, is_picture, stem};
use crate::error::{Error, Result};
use crate::text::{count, counted};
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

const NEXT: &str = "give ILSVRC2012_img_train.tar, a folder of class archives, or an archive of class folders";
/// Notes of archives that are alike are not repeated for each of them.
const MOST_NOTES: usize = 8;

/// An image, and the inner tar that it lies in.
struct Image {
    archive: u32,
    tar: Option<u32>,
    member: Member,
}

/// What was met so far.
#[derive(Default)]
struct Seen {
    images: Vec<Image>,
    /// Names of inner tars, and whether images are in them.
    tars: Vec<(String, bool)>,
    notes: Vec<String>,
    ignored: u64,
    label_files: usize,
    /// Archives that are members and are not read, and their bytes.
    unread: Vec<String>,
    unread_bytes: u64,
}

/// Lists the images of `archives`, in that order. Of several, each one without class tars or folders in it is a class of its own.
///
/// # Errors
/// `Data` when an archive is damaged, naming file and byte, or holds no images in classes; `Usage` where names have two readings.
pub fn list(archives: Vec<PathBuf>, part: Part) -> Result<Listing> {
    let mut seen = Seen::default();
    for (index, path) in archives.iter().enumerate() {
        seen.archive(&Archive::open(path)?, index as u32)?;
    }
    let origin = archives.first().map_or_else(String::new, |p| p.display().to_string());
    let bytes: u64 = seen.images.iter().map(|i| i.member.len).sum();
    if let Some(first) = seen.unread.first() {
        let what = format!("{} archives inside that are not read, such as {first}", seen.unread.len());
        if seen.unread_bytes > bytes {
            return Err(Error::data(format!("{what}: {} bytes, and {bytes} in images outside them", seen.unread_bytes))
                .at(origin)
                .because("of archives in archives, only tars in a tar can be read in place")
                .next("unpack the outer archive and give the folder that it makes"));
        }
        seen.notes.push(what);
    }
    seen.last_of_each();
    seen.choose_split(part, &origin)?;
    let own = if archives.len() > 1 { named_by_archives(&seen.contents(&archives), &archives)? } else { false };
    let in_tars = seen.images.iter().filter(|i| i.tar.is_some()).count();
    let in_folders = seen.images.iter().filter(|i| i.tar.is_none() && i.member.trouble.is_none() && i.member.name.contains('/')).count();
    if in_tars > 0 && in_folders > 0 && !own {
        let first = seen.tars.iter().find(|(_, images)| *images).map_or("", |(name, _)| name.as_str());
        return Err(Error::usage(format!(
            "{in_tars} images in tars inside, such as {}, and {in_folders} in folders beside them",
            shown(first)
        ))
        .at(origin)
        .because("the tars may be classes, or left over from the folders")
        .next("unpack it, remove what is left over, and give the folder"));
    }
    let mut found = Found::default();
    found.ignored = seen.ignored;
    found.label_files = seen.label_files;
    // An inner tar without images is a class as an empty folder is one, but not beside class folders: there it is something else.
    let only_tars = in_tars == seen.images.len();
    let empty: Vec<&str> = seen.tars.iter().filter(|(_, images)| !images).map(|(name, _)| name.as_str()).collect();
    if only_tars {
        seen.tars.iter().for_each(|(name, _)| {
            found.class(stem(name));
        });
    } else if let Some(first) = empty.first() {
        seen.notes.push(format!("no classes: {} inside without images, such as {first}", counted(empty.len() as u64, "tar")));
    }
    let stems: Vec<String> = archives.iter().map(|p| stem(&p.to_string_lossy()).to_owned()).collect();
    // Inner tars, then the archives themselves where each is a class.
    let classes: Vec<&str> = seen.tars.iter().map(|(name, _)| stem(name)).chain(stems.iter().map(String::as_str)).collect();
    let class_of = |image: &Image| match image.tar {
        Some(tar) => Some(tar as usize),
        None => own.then_some(seen.tars.len() + image.archive as usize),
    };
    let inside = all_inside(&classes, &seen.images, &class_of);
    // An image that cannot be used makes no class.
    let usable_classes: HashSet<&str> =
        seen.images.iter().filter(|i| i.member.trouble.is_none()).filter_map(|i| class_of(i).map(|c| classes[c])).collect();
    let mut stray: Vec<&Image> = Vec::new();
    for image in &seen.images {
        let (member, place) = (&image.member, image.member.place(image.archive));
        let (class, path) = match class_of(image) {
            Some(c) => (classes[c], if inside[c] { member.name.clone() } else { format!("{}/{}", classes[c], member.name) }),
            None if member.trouble.is_some() => ("", String::new()),
            None => {
                stray.push(image);
                continue;
            }
        };
        let known = member.trouble.is_none() || usable_classes.contains(class);
        if is_folder(class) && known {
            let class = found.class(class);
            found.add(class, &path, place, member.trouble.clone());
        } else {
            // Its name leads out of the archive, and must not make a class.
            let trouble = member.trouble.clone().unwrap_or_else(|| format!("in a folder named \"{}\"", shown(class)));
            found.add_without_class(&member.name, place, trouble);
        }
    }
    if let Some(image) = stray.iter().find(|i| i.member.after_zeros.is_some()) {
        return Err(Error::data(format!("{} lies in no class, after zeros that do not end the archive", image.member.name))
            .at(format!("{}, byte {}", archives[image.archive as usize].display(), image.member.after_zeros.unwrap_or(0)))
            .because("the zeros lie over the header of the class tar that holds it: the download did not finish")
            .next("compare its size and md5sum with those of where it came from, and fetch it again"));
    }
    if !stray.is_empty() {
        found.notes.push(format!("ignored {} outside class tars and class folders", counted(stray.len() as u64, "image")));
    }
    let more = seen.notes.len().saturating_sub(MOST_NOTES);
    found.notes.extend(seen.notes.into_iter().take(MOST_NOTES));
    if more > 0 {
        found.notes.push(format!("and {} more of this kind", count(more as u64)));
    }
    found.arrange(Kind::TrainTar, Store::new(PathBuf::new(), archives), false, &origin, NEXT)
}

impl Seen {
    /// Of images and inner tars that are in an archive twice the last counts, as unpacking leaves it.
    fn last_of_each(&mut self) {
        let mut tars: HashMap<(u32, String), u32> = HashMap::new();
        let of_tar: HashMap<u32, u32> = self.images.iter().filter_map(|i| Some((i.tar?, i.archive))).collect();
        for (i, (name, _)) in self.tars.iter().enumerate() {
            tars.insert((of_tar.get(&(i as u32)).copied().unwrap_or(u32::MAX), name.clone()), i as u32);
        }
        let last: HashSet<u32> = tars.into_values().collect();
        let mut seen = HashSet::new();
        let mut twice: Option<String> = None;
        let before = self.images.len();
        let mut keep: Vec<bool> = Vec::with_capacity(before);
        for image in self.images.iter().rev() {
            let kept = image.tar.is_none_or(|t| last.contains(&t)) && seen.insert((image.archive, image.tar, image.member.name.as_str()));
            if !kept {
                twice = Some(image.member.name.clone());
            }
            keep.push(kept);
        }
        let mut keep = keep.into_iter().rev();
        self.images.retain(|_| keep.next() == Some(true));
        for (i, tar) in self.tars.iter_mut().enumerate().filter(|(i, _)| !last.contains(&(*i as u32))) {
            let _ = i;
            tar.1 = false;
        }
        if let Some(example) = twice {
            let more = before - self.images.len();
            self.notes.push(format!(
                "{more} images are in an archive a second time, such as {example}: the last of each counts, as unpacking leaves it"
            ));
        }
    }

    /// Leaves the images of other splits out, where inner tars lie in folders named as splits.
    ///
    /// # Errors
    /// `Usage` when the split is not there, or the tars themselves are splits.
    fn choose_split(&mut self, part: Part, origin: &str) -> Result<()> {
        let with_images: Vec<usize> = (0..self.tars.len()).filter(|&t| self.tars[t].1).collect();
        let names: Vec<&str> = with_images.iter().map(|&t| self.tars[t].0.as_str()).collect();
        if names.len() > 1 && names.iter().all(|n| Part::of_folder(stem(n)).is_some()) {
            return Err(Error::usage(format!(
                "the tars inside are splits, not classes: {}",
                names.iter().map(|n| shown(n)).collect::<Vec<_>>().join(", ")
            ))
            .at(origin)
            .next("unpack the outer archive and give the tar of one split as --input"));
        }
        let stems: Vec<&str> = names.iter().map(|n| n.rsplit_once('.').map_or(*n, |(s, _)| s)).collect();
        if let Some((copy, of)) = copies::first(&stems) {
            return Err(Error::usage(format!("the tar inside \"{}\" looks like a second copy of {}", shown(copy), shown(of)))
                .at(origin)
                .because("it would be a class of its own, and its images would count twice")
                .next("unpack the outer archive, remove the copy, and give the folder of class tars"));
        }
        let Some(taken) = of_split(&names, part, origin)? else { return Ok(()) };
        let out: HashSet<u32> = with_images.iter().zip(&taken).filter(|(_, t)| !**t).map(|(&tar, _)| tar as u32).collect();
        if !out.is_empty() {
            self.notes.push(format!("{} of other splits left out", counted(out.len() as u64, "tar")));
        }
        self.images.retain(|i| i.tar.is_none_or(|t| !out.contains(&t)));
        // Their names must make no classes, and no class of this split may go by its number alone.
        let mut number = vec![0; self.tars.len()];
        let mut kept = Vec::new();
        for (t, tar) in std::mem::take(&mut self.tars).into_iter().enumerate() {
            number[t] = kept.len() as u32;
            if !out.contains(&(t as u32)) {
                kept.push(tar);
            }
        }
        self.tars = kept;
        self.images.iter_mut().for_each(|i| i.tar = i.tar.map(|t| number[t as usize]));
        Ok(())
    }

    /// Takes up the members of an archive.
    fn archive(&mut self, archive: &Archive, index: u32) -> Result<()> {
        let in_tar = matches!(archive, Archive::Tar(_));
        let notes = archive.members(&mut |member| {
            if in_tar && member.name.to_ascii_lowercase().ends_with(".tar") && !hidden(&member.name) {
                if let Some(trouble) = &member.trouble {
                    return Err(Error::data(format!("a tar inside that cannot be read: {}: {trouble}", member.name))
                        .at(archive.place(&member))
                        .next("unpack the outer archive and give the folder that it makes"));
                }
                let tar = self.tars.len() as u32;
                self.tars.push((member.name.clone(), false));
                let inner = archive.nested(&member)?.members(&mut |inner| {
                    self.member(inner, index, Some(tar));
                    Ok(())
                })?;
                self.notes.extend(inner);
                return Ok(());
            }
            self.member(member, index, None);
            Ok(())
        })?;
        self.notes.extend(notes);
        Ok(())
    }

    fn member(&mut self, member: Member, archive: u32, tar: Option<u32>) {
        if hidden(&member.name) {
            return;
        }
        if member.is_archive() {
            self.unread_bytes += member.len;
            self.unread.push(member.name);
        } else if is_picture(&member.name) {
            if let Some(tar) = tar {
                self.tars[tar as usize].1 = true;
            }
            self.images.push(Image { archive, tar, member });
        } else {
            self.ignored += 1;
            self.label_files += usize::from(is_label_file(&member.name));
        }
    }

    /// What each archive holds beside inner tars.
    fn contents(&self, archives: &[PathBuf]) -> Vec<Contents> {
        let mut all: Vec<Contents> = archives.iter().map(|_| Contents::default()).collect();
        for Image { archive, tar, member } in &self.images {
            let contents = &mut all[*archive as usize];
            match tar {
                Some(_) => contents.tars = true,
                None if member.name.contains('/') => contents.folder(folder_class(&member.name), &member.name),
                None => contents.flat = true,
            }
        }
        all
    }
}

/// Whether a member is called as a label file is.
pub fn is_label_file(name: &str) -> bool {
    of_labels(name.rsplit('/').next().unwrap_or(name)).is_some()
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

/// `train/n01440764/x.JPEG`: the folder behind that of the split; otherwise the first one.
pub fn folder_class(name: &str) -> &str {
    let parts: Vec<&str> = name.split('/').collect();
    let folders = &parts[..parts.len() - 1];
    let split = folders.iter().position(|p| Part::of_folder(p).is_some());
    split.and_then(|i| folders.get(i + 1)).or(folders.first()).copied().unwrap_or(name)
}
