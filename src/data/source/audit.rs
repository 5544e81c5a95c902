//! What else in a tree says the classes of the images that were listed. Detection takes one reading; this holds it against every other witness
//! there is: label files and lists beside the images, above them, below them and in `meta/` or `labels/`, labels beside each image (`KEY.cls`,
//! `KEY.json`), and folders that are called as the classes.
//!
//! Labels are compared as partitions: a witness agrees where each of its labels stands for one class, over the images that both know. Where one
//! that knows a fair share of them contradicts, it is an error with both readings, an image, and the flags for each. Lists of splits that
//! divide all images of class folders (Food-101's `meta/train.txt`) choose those of the split. What the user says outright is not asked about.
//! Cost: a walk of the folder, each label file once, and where there is any, the paths of the images in memory.

use super::arrange::{is_wnid, shown};
use super::columns::Wanted;
use super::detect::{SourceOptions, is_list};
use super::layout::Holds;
use super::mount::Files;
use super::readings::Looked;
use super::split_lists;
use super::unclear::{self, Told, Unclear};
use super::witness::{self, Contradiction, Image, Witness};
use super::{Listing, Place, is_picture};
use crate::error::{Error, Result};
use crate::text::counted;
use std::collections::{HashMap, HashSet};
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

/// What comes of it.
pub enum Verdict {
    /// And what to tell.
    Agrees(Option<String>),
    /// Another reading is right, and why.
    Instead(Looked, Rc<Files>, String),
    /// The labels of a file are right for the images of a folder, and why.
    Labelled(PathBuf, PathBuf, Rc<Files>, String),
    /// These images alone are of the split, by their places in the listing.
    Only(HashSet<usize>, String),
}

/// A listing, and the tree that it is of.
pub struct Audited<'a> {
    pub listing: &'a Listing,
    pub looked: &'a Looked,
    pub input: &'a Path,
    pub wanted: &'a Wanted<'a>,
    pub files: Rc<Files>,
    /// The tree, and the folder in it that was read.
    pub tree: PathBuf,
    pub root: PathBuf,
}

/// # Errors
/// `Usage` where a witness contradicts the listing.
pub fn audit(
    listing: &Listing,
    looked: &Looked,
    input: &Path,
    options: &SourceOptions,
    wanted: &Wanted<'_>,
    files: &Rc<Files>,
) -> Result<Verdict> {
    let said = options.kind.is_some() || options.labels.is_some() || matches!(looked, Looked::Tables(_));
    if said || matches!(looked, Looked::List(path) if path == input || is_list(&input.to_string_lossy())) {
        return Ok(Verdict::Agrees(None));
    }
    let mut files = files.clone();
    let (tree, root) = match looked {
        Looked::Folder(root) | Looked::Flat(root) => (if root.starts_with(input) { input } else { root }, root.as_path()),
        Looked::List(path) => {
            let own = path.parent().unwrap_or(input);
            // `meta/train.txt`: the images lie beside that folder.
            let bare = files.holds(own) == Holds::Nothing && own.starts_with(input) && own != input;
            let root = if bare { own.parent().unwrap_or(input) } else { own };
            (if root.starts_with(input) { input } else { root }, root)
        }
        Looked::Samples(archives, _) | Looked::ClassTars(archives) => {
            let first = archives.first().map_or(input, PathBuf::as_path);
            let at = if archives.len() > 1 { first.parent().unwrap_or(first) } else { first };
            (at, at)
        }
        Looked::Tables(_) => return Ok(Verdict::Agrees(None)),
    };
    let (tree, root) = (tree.to_owned(), root.to_owned());
    if let (Looked::Samples(archives, _) | Looked::ClassTars(archives), false) = (looked, files.archived()) {
        let beside = !witness::beside(&tree, &root, wanted, &files).is_empty();
        if listing.label_files == 0 && !beside {
            return Ok(Verdict::Agrees(None));
        }
        let apart = matches!(looked, Looked::ClassTars(_)) && archives.len() > 1;
        let mounted = if apart { Files::mount_apart(&tree, archives.clone()) } else { Files::mount(&tree, archives.clone()) };
        match mounted {
            Ok(mounted) if !mounted.tars() => files = Rc::new(mounted),
            _ => return Ok(Verdict::Agrees(None)),
        }
    }
    let audited = Audited { listing, looked, input, wanted, files, tree, root };
    audited.held()
}

impl Audited<'_> {
    fn held(&self) -> Result<Verdict> {
        let below = witness::below(&self.root, &self.files, matches!(self.looked, Looked::List(_)))?;
        let mut paths = witness::beside(&self.tree, &self.root, self.wanted, &self.files);
        if !matches!(self.looked, Looked::Flat(_)) {
            // The labels of flat images are all of these, joined.
            paths.extend(below.label_files.iter().map(|p| self.root.join(p)).flat_map(|p| self.files.all_of(&p)));
        } else {
            paths.clear();
        }
        if let Looked::List(own) = self.looked {
            paths.retain(|p| self.files.logical(p) != *own);
        }
        let mut paths = super::label_names::once(paths);
        // ImageNet's own files say of class folders what these say, in a million lines.
        let wnids = self.listing.classes.iter().all(|c| is_wnid(c)) && matches!(self.looked, Looked::Folder(_) | Looked::ClassTars(_));
        let own = |p: &PathBuf| p.file_name().is_some_and(|n| n.to_string_lossy().starts_with("LOC_"));
        paths.retain(|p| !(wnids && own(p)));
        let lists = matches!(self.looked, Looked::Folder(_)) && split_lists::are_there(self);
        let usual = paths.len();
        if self.by_folders() && !wnids {
            paths.extend(unclear::others(self));
            paths = super::label_names::once(paths);
        }
        if paths.is_empty() && !lists && below.beside_images.is_empty() && !matches!(self.looked, Looked::List(_) | Looked::Flat(_)) {
            return Ok(Verdict::Agrees(None));
        }
        let mut images = self.images();
        if let Looked::List(_) = self.looked {
            self.left_out(&below.images, &mut images);
        }
        let (mut witnesses, mut not_clear): (Vec<Witness>, Vec<Unclear>) = (Vec::new(), Vec::new());
        for (n, path) in paths.iter().enumerate() {
            match unclear::told(path, n < usual, &images, self) {
                Told::Says(witness) => witnesses.push(witness),
                Told::Unclear(file) => not_clear.push(file),
                Told::Nothing => {}
            }
        }
        if !matches!(self.looked, Looked::Samples(..)) {
            witnesses.extend(witness::of_samples(&below, &images, self));
        }
        let mut contradictions: Vec<Contradiction<'_>> = witnesses.iter().filter_map(|w| w.contradicts(&images, self)).collect();
        if self.by_folders() && !contradictions.is_empty() {
            let place = |w: &Witness| paths.iter().position(|p| *p == w.path);
            let excused = |w: &&Witness| place(w).is_some_and(|n| unclear::excused(w, n < usual, &images, self));
            let excused: HashSet<&str> = witnesses.iter().filter(excused).map(|w| w.by.as_str()).collect();
            contradictions.retain(|c| !excused.contains(c.by));
        }
        if contradictions.is_empty() {
            contradictions.extend(witness::folders(&images, self));
        }
        if let Some(first) = contradictions.first() {
            if let Some(instead) = self.labels_in_each(&witnesses, &images) {
                return Ok(instead);
            }
            if let ([_], true) = (&contradictions[..], not_clear.is_empty())
                && let Some(instead) = self.labels_of_parts(first, &witnesses, &images)
            {
                return Ok(instead);
            }
            return Err(self.both(first, &images));
        }
        unclear::ask(&not_clear, self)?;
        let few: Vec<String> = witnesses.iter().filter_map(|w| w.note(&images, self)).collect();
        if let Some(witness) = witnesses
            .iter()
            .find(|w| w.others > 0 && w.path.starts_with(&self.tree))
            .filter(|_| self.by_folders() && split_lists::of_no_split(self))
        {
            return self.split_of(witness, &images);
        }
        if let Some(left) = witnesses.iter().find_map(|w| w.labels_left_out(&images)) {
            return Err(self.partly(left));
        }
        let left = images.iter().filter(|i| i.class.is_none()).count();
        if left > 0 {
            return Ok(Verdict::Agrees(Some(format!("left out {} that lie there and are not in the list", counted(left as u64, "image")))));
        }
        match split_lists::choose(self, &images)? {
            Verdict::Agrees(None) if !few.is_empty() => Ok(Verdict::Agrees(Some(few.join("; ")))),
            verdict => Ok(verdict),
        }
    }

    /// Whether folders or archives say the classes.
    pub fn by_folders(&self) -> bool {
        matches!(self.looked, Looked::Folder(_) | Looked::ClassTars(_))
    }

    /// Folders that are called as parts, or a single one, say no class; a file that labels most of their images does.
    fn labels_of_parts(&self, found: &Contradiction<'_>, witnesses: &[Witness], images: &[Image]) -> Option<Verdict> {
        let classes = &self.listing.classes;
        let parts = classes.len() == 1 || super::layout::parts_of_one(classes);
        let witness = witnesses.iter().find(|w| w.by == found.by).filter(|w| w.path.is_file() || self.files.is_file(&w.path))?;
        if !parts || !self.by_folders() || 2 * found.known < images.len() || found.classes < 2 || witness.others > 0 {
            return None;
        }
        let named: Vec<String> = classes.iter().take(3).map(|c| shown(c)).collect();
        let note = format!("{} says the classes, as folders called {} say none", witness.by, named.join(", "));
        Some(Verdict::Labelled(self.root.clone(), witness.path.clone(), self.files.clone(), note))
    }

    /// The images of the split, by a column of a file that agrees with the folders.
    fn split_of(&self, witness: &Witness, images: &[Image]) -> Result<Verdict> {
        let (first, flags) = self.reading();
        let Some(own) = witness.of_split(images) else {
            return Err(Error::usage(format!("this may be read as {first}, or as the images of the split by {}", witness.by))
                .at(self.input.display().to_string())
                .because("a column of it says the split, and it does not know all images of the folders")
                .next(format!("{flags} for all images; or {} for those of --split", witness.flags)));
        };
        let note =
            format!("{} of {} images are read, those of the split by {}; {flags} packs all of them", own.len(), images.len(), witness.by);
        Ok(Verdict::Only(own, note))
    }

    /// The images that were listed, by their paths in the tree.
    fn images(&self) -> Vec<Image> {
        let mut names: HashMap<(u32, u64), &str> = HashMap::new();
        for (member, archive) in self.files.members().iter().filter(|(m, _)| is_picture(&m.name)) {
            if let Some(key) = in_archive(&member.place(*archive)) {
                names.entry(key).or_insert(&member.name);
            }
        }
        let at = self.files.mounted_at().unwrap_or(&self.tree);
        let mut all = Vec::with_capacity(self.listing.files.len());
        for (i, file) in self.listing.files.iter().enumerate().filter(|(_, f)| f.trouble.is_none()) {
            let path = match (&file.place, in_archive(&file.place).and_then(|key| names.get(&key))) {
                (Place::File(_), _) => self.listing.store.path(&file.place),
                (_, Some(name)) => Some(at.join(name)),
                _ => None,
            };
            let Some(path) = path.and_then(|p| inside(&p, &self.tree)) else { continue };
            all.push(Image { path, archive: file.place.archive(), class: Some(file.label), index: i });
        }
        all
    }

    /// Images of the tree that a list leaves out, and no list of another split names.
    fn left_out(&self, below: &[String], images: &mut Vec<Image>) {
        let known: std::collections::HashSet<&str> = images.iter().map(|i| i.path.as_str()).collect();
        let prefix = inside(&self.root, &self.tree).filter(|p| !p.is_empty()).map_or_else(String::new, |p| format!("{p}/"));
        let mut left: Vec<String> = below.iter().map(|p| format!("{prefix}{p}")).filter(|p| !known.contains(p.as_str())).collect();
        if left.is_empty() {
            return;
        }
        let others = split_lists::named_by_others(self);
        left.retain(|p| !others.contains(p));
        images.extend(left.into_iter().map(|path| Image { path, archive: None, class: None, index: usize::MAX }));
    }

    /// Each class folder has a label file of its own that knows all of its images: the folders are parts, and the files say the classes.
    fn labels_in_each(&self, witnesses: &[Witness], images: &[Image]) -> Option<Verdict> {
        if !matches!(self.looked, Looked::Folder(_) | Looked::ClassTars(_)) {
            return None;
        }
        let whole: Vec<&Witness> = witnesses.iter().filter(|w| !w.scope.is_empty() && w.knows_all(images)).collect();
        let covered = images.iter().all(|i| whole.iter().any(|w| super::join::within(&i.path, &w.scope).is_some()));
        let first = whole.first().filter(|_| covered && whole.len() > 1)?;
        let note = format!("the labels are those of {} label files in the folders, such as {}", whole.len(), first.path.display());
        Some(Verdict::Instead(Looked::Flat(self.root.clone()), self.files.clone(), note))
    }

    /// The reading that was taken, in words, and the flags that say it.
    pub fn reading(&self) -> (String, String) {
        let classes = &self.listing.classes;
        let some: Vec<String> = classes.iter().take(4).map(|c| shown(c)).collect();
        let more = if classes.len() > 4 { ", ..." } else { "" };
        let (by, flags) = match self.looked {
            Looked::Folder(root) => ("folders".to_owned(), format!("--source folder --input {}", root.display())),
            Looked::ClassTars(_) => ("archives".to_owned(), format!("--source train-tar --input {}", self.input.display())),
            Looked::List(path) => (format!("the list {}", path.display()), format!("--input {}", path.display())),
            Looked::Samples(..) => {
                ("the labels beside the images".to_owned(), format!("--source webdataset --input {}", self.input.display()))
            }
            Looked::Flat(root) => {
                let of = |n: &String| n.strip_prefix("labels from ").map(str::to_owned);
                let file = self.listing.notes.iter().find_map(of).unwrap_or_default();
                (format!("the labels of {file}"), format!("--input {} --labels {file}", root.display()))
            }
            Looked::Tables(_) => (String::new(), format!("--source parquet --input {}", self.input.display())),
        };
        let what = format!(
            "{} by {by}: {}{more} with {}",
            counted(classes.len() as u64, "class"),
            some.join(", "),
            counted(self.listing.files.len() as u64, "image")
        );
        (what, flags)
    }

    fn both(&self, found: &Contradiction<'_>, images: &[Image]) -> Error {
        let (first, flags) = self.reading();
        let image = images.get(found.image).map_or("", |i| i.path.as_str());
        Error::usage(format!(
            "this may be read as {first}, or as {} by {} for {}",
            counted(found.classes as u64, "class"),
            found.by,
            counted(found.known as u64, "image")
        ))
        .at(self.input.display().to_string())
        .because(format!("the class of {} is \"{}\" by the first and \"{}\" by the second", shown(image), shown(&found.a), shown(&found.b)))
        .next(format!("{flags} for the first; or {} for the second", found.flags))
    }

    fn partly(&self, (witness, left): (&Witness, usize)) -> Error {
        let (first, flags) = self.reading();
        Error::usage(format!(
            "this may be read as {first}, or as the labels of {}, which say the classes of {left} images more",
            witness.by
        ))
        .at(self.input.display().to_string())
        .because("the list leaves out images that the labels know, and no list of another split names them")
        .next(format!("{flags} for the first; or {} for the second", witness.flags))
    }
}

/// Where bytes lie in an archive.
fn in_archive(place: &Place) -> Option<(u32, u64)> {
    match place {
        Place::Range { archive, offset, .. } | Place::Zip { archive, offset, .. } => Some((*archive, *offset)),
        Place::File(_) | Place::Row { .. } => None,
    }
}

/// A path as seen from a folder, `..` resolved as written.
pub fn inside(path: &Path, tree: &Path) -> Option<String> {
    let mut parts = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(parts.pop()),
            Component::CurDir => {}
            part => parts.push(part),
        }
    }
    parts.strip_prefix(tree).ok().map(|p| p.to_string_lossy().into_owned())
}
