//! Lists that divide the images of class folders into splits: Food-101's `meta/train.txt` and `meta/test.txt`, DTD's `labels/train1.txt`.
//!
//! Where they name all images, each once, the list of the split is the dataset. Where they name some of them, either may be meant.

use super::audit::{Audited, Verdict, inside};
use super::columns::Wanted;
use super::label_names::{of_labels, of_lists};
use super::list;
use super::readings::Looked;
use super::refusals::list_of_another_split;
use super::splits::Part;
use super::witness::Image;
use super::{Listing, Place};
use crate::error::{Error, Result};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Lists that are read at most, the likeliest first.
const MOST: usize = 64;

/// Lists of splits above the class folders, and in folders of lists there.
fn paths(audited: &Audited<'_>) -> Vec<(Part, PathBuf)> {
    let files = &audited.files;
    let mut folders: Vec<PathBuf> = vec![audited.root.clone()];
    folders.extend(audited.root.ancestors().skip(1).take_while(|p| p.starts_with(&audited.tree)).map(Path::to_owned));
    let more: Vec<PathBuf> = folders.iter().flat_map(|f| of_lists(f, files)).collect();
    let mut found = Vec::new();
    for folder in folders.iter().chain(&more) {
        let mut names: Vec<String> = files.children(folder).unwrap_or_default().into_iter().filter(|c| !c.is_dir).map(|c| c.name).collect();
        names.sort_unstable();
        found.extend(names.iter().filter_map(|n| Some((of_labels(n)??, folder.join(n)))));
    }
    found.truncate(MOST);
    found
}

/// Whether there are any, beside class folders that are not those of a split.
pub fn are_there(audited: &Audited<'_>) -> bool {
    of_no_split(audited) && !paths(audited).is_empty()
}

/// Whether neither the input nor a folder above the classes is called as a split.
pub fn of_no_split(audited: &Audited<'_>) -> bool {
    let name = |p: &Path| p.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let of_split = |p: &Path| Part::of_folder(&name(p)).is_some();
    let split = audited.root.ancestors().take_while(|p| p.starts_with(&audited.tree) && *p != audited.tree).any(of_split);
    !split && super::detect::split_named(audited.input).is_none()
}

/// Images that the lists of other splits name, by their paths in the tree.
pub fn named_by_others(audited: &Audited<'_>) -> HashSet<String> {
    let others = paths(audited).into_iter().filter(|(part, _)| !audited.wanted.parts.contains(part));
    let mut named = HashSet::new();
    for (part, path) in others {
        let Some(listing) = read(&path, part, audited) else { continue };
        let all = listing.files.iter().filter_map(|f| listing.store.path(&f.place));
        named.extend(all.filter_map(|p| inside(&p, &audited.tree)));
        let at = audited.files.mounted_at().unwrap_or(&audited.tree).to_owned();
        let places: HashSet<&Place> = listing.files.iter().map(|f| &f.place).collect();
        let members = audited.files.members().iter().filter(|(m, archive)| places.contains(&m.place(*archive)));
        named.extend(members.filter_map(|(m, _)| inside(&at.join(&m.name), &audited.tree)));
    }
    named
}

fn read(path: &Path, part: Part, audited: &Audited<'_>) -> Option<Listing> {
    let wanted = Wanted { parts: [part, part], ..Wanted::default() };
    list::list(path, &audited.files, None, &wanted).ok()
}

/// A list, its split, and which of the listed images it names.
struct List {
    path: PathBuf,
    part: Part,
    named: HashSet<usize>,
}

/// Takes the list of the split where the lists divide the images of class folders.
///
/// # Errors
/// `Usage` where they name some of them, or several lists of the split not the same; where there is none of the split.
pub fn choose(audited: &Audited<'_>, images: &[Image]) -> Result<Verdict> {
    if !matches!(audited.looked, Looked::Folder(_)) || !are_there(audited) {
        return Ok(Verdict::Agrees(None));
    }
    let places: std::collections::HashMap<Place, usize> = images.iter().filter_map(|i| Some((of_disk(audited, i)?, i.index))).collect();
    let mut lists: Vec<List> = Vec::new();
    for (part, path) in paths(audited) {
        let Some(listing) = read(&path, part, audited) else { continue };
        let place = |p: &Place| {
            if let Place::File(_) = p { listing.store.path(p).map(|p| Place::File(p.to_string_lossy().into())) } else { Some(p.clone()) }
        };
        let named: HashSet<usize> = listing.files.iter().filter_map(|f| places.get(&place(&f.place)?).copied()).collect();
        let again = lists.iter().any(|l| l.part == part && l.named == named);
        if !named.is_empty() && !again {
            lists.push(List { path, part, named });
        }
    }
    let own: Vec<&List> = lists.iter().filter(|l| audited.wanted.parts.contains(&l.part)).collect();
    let (listed, flags) = audited.reading();
    if let [first, second, ..] = own[..] {
        return Err(Error::usage(format!(
            "several lists of this split, not of the same images: {} and {}",
            first.path.display(),
            second.path.display()
        ))
        .at(audited.input.display().to_string())
        .because(format!("{} and {} images, of {listed}", first.named.len(), second.named.len()))
        .next(format!("--input {} or another of them; or {flags} for all images", first.path.display())));
    }
    let all: HashSet<usize> = lists.iter().flat_map(|l| l.named.iter().copied()).collect();
    let apart = lists.iter().map(|l| l.named.len()).sum::<usize>() == all.len();
    match own.first() {
        None => lists.first().map_or(Ok(Verdict::Agrees(None)), |l| {
            Err(list_of_another_split(&l.path, audited.wanted.parts[0], l.part, Some(&audited.root)))
        }),
        Some(own) if own.named.len() == images.len() => Ok(Verdict::Agrees(None)),
        Some(own) if apart && all.len() == images.len() => {
            let note = format!(
                "the {} images of {} are read, of {} in the folders, which the lists divide; {flags} packs all of them",
                own.named.len(),
                own.path.display(),
                images.len()
            );
            Ok(Verdict::Instead(Looked::List(own.path.clone()), audited.files.clone(), note))
        }
        Some(own) => {
            Err(Error::usage(format!("this may be read as {listed}, or as the list {}: {} images", own.path.display(), own.named.len()))
                .at(audited.input.display().to_string())
                .because(format!("the lists of splits name {} of the images{}", all.len(), if apart { "" } else { ", some in two splits" }))
                .next(format!("{flags} for the first; or --input {} for the second", own.path.display())))
        }
    }
}

/// The place of an image, of the disk by its whole path.
fn of_disk(audited: &Audited<'_>, image: &Image) -> Option<Place> {
    let place = &audited.listing.files.get(image.index)?.place;
    match place {
        Place::File(_) => Some(Place::File(audited.listing.store.path(place)?.to_string_lossy().into())),
        other => Some(other.clone()),
    }
}
