//! Which layout an input is, by looking; and the label files and class names that lie beside it.

use super::arrange::shown;
use super::columns::Wanted;
use super::labels::{self, Names};
use super::mount::Files;
use super::readings::{Looked, Seek};
use super::splits::Part;
use super::{Listing, class_names, class_tar, flat, image_folder, is_picture, list, webdataset};
use crate::data::manifest::Split;
use crate::error::{Error, Result};
use crate::text::counted;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// The layouts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// One folder per class
    Folder,
    /// Pictures in one folder, labels beside them
    Flat,
    /// ILSVRC2012_img_train.tar, a folder of class tars, or a tar of class folders
    TrainTar,
    /// ILSVRC2012_img_val.tar, labels beside it
    ValTar,
    /// Kaggle's tree: ILSVRC/Data/CLS-LOC/{train,val}
    Kaggle,
    /// Hugging Face's Parquet files (cargo feature `parquet`)
    Parquet,
    /// Tars of KEY.jpg with KEY.cls or KEY.json
    Webdataset,
    /// A text file of lines PATH CLASS
    List,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Folder => "folder",
            Self::Flat => "flat",
            Self::TrainTar => "train-tar",
            Self::ValTar => "val-tar",
            Self::Kaggle => "kaggle",
            Self::Parquet => "parquet",
            Self::Webdataset => "webdataset",
            Self::List => "list",
        }
    }
}

/// How to read an input; all of it can be left to looking.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceOptions {
    pub kind: Option<Kind>,
    /// The development kit, `LOC_val_solution.csv`, or a list of images and classes.
    pub labels: Option<PathBuf>,
    /// Lines of a class name and the words for it.
    pub class_names: Option<PathBuf>,
    /// Column of the images, by name or 1-based number: of a table, a list or a label file.
    pub image_column: Option<String>,
    /// Column of the labels, likewise.
    pub label_column: Option<String>,
    /// A folder of the disk that may be used while packing, for sources that are slow to read in any order but their own.
    pub scratch: Option<PathBuf>,
}

/// Files of class names that are looked for beside the images.
const NAMES: [&str; 5] =
    ["LOC_synset_mapping.txt", "synset_words.txt", "ILSVRC2012_devkit_t12.tar.gz", "ILSVRC2012_devkit_t12.tar", "ILSVRC2012_devkit_t12"];
const KITS: [&str; 3] = ["ILSVRC2012_devkit_t12.tar.gz", "ILSVRC2012_devkit_t12.tar", "ILSVRC2012_devkit_t12"];
/// Label files that say no split.
const ANY_SPLIT: [&str; 8] =
    ["labels.csv", "labels.txt", "labels.tsv", "labels.jsonl", "labels.json", "metadata.jsonl", "metadata.csv", "annotations.csv"];
const NO_LABELS: &str = "--labels FILE: a list of lines IMAGE CLASS, LOC_val_solution.csv, or ILSVRC2012_devkit_t12.tar.gz";

/// Lists `input`, as the kind that was asked for or that it looks like.
///
/// # Errors
/// `Data` when nothing is there, it cannot be read, or labels are needed and not found; `Usage` when something that was given is of no
/// use for this source, or the input can be read in several ways.
pub fn open(input: &Path, options: &SourceOptions, split: Split) -> Result<Listing> {
    let files = Rc::new(match archive_above(input) {
        Some(archive) => Files::mount(archive, vec![archive.to_owned()])?,
        None => Files::default(),
    });
    if !files.exists(input) {
        return Err(Error::data("no such folder or file").at(input.display().to_string()).next("check --input"));
    }
    if is_picture(&input.to_string_lossy()) && files.is_file(input) {
        return Err(Error::usage("an image, not a dataset")
            .at(input.display().to_string())
            .next("give the folder or archive of images as --input; `predict IMAGE` takes one image"));
    }
    let wanted = Wanted { image: options.image_column.as_deref(), label: options.label_column.as_deref(), split };
    let seek = Seek { part: Part::from(split), wanted, labels: options.labels.is_some(), files };
    let (looked, notes, files) = match options.kind {
        Some(kind) => Looked::as_kind(input, kind, &seek)?,
        None => Looked::at(input, &seek)?,
    };
    looked.refuse_unused(input, options)?;
    let beside = beside(input, &looked, &files);
    let names_path = options.class_names.clone().or_else(|| find(&files, &beside, NAMES.iter()));
    let names = names_path.as_deref().map(|path| class_names::read(path, &files)).transpose()?;
    let read = Read { options, wanted: &wanted, beside: &beside, files: &files, input };
    let mut listing = match read.listed(&looked, names.as_ref().map(|n| &n.names)) {
        Err(first) if names.is_some() => {
            let other = names.as_ref().and_then(|n| n.other.as_ref()).map(|other| read.listed(&looked, Some(other)));
            match other {
                Some(Ok(listing)) => listing,
                // Names that merely lie there may be of other classes; those that were given may not.
                _ if options.class_names.is_none() => read.listed(&looked, None).map_err(|_| first)?,
                _ => return Err(first),
            }
        }
        listing => listing?,
    };
    listing.notes.extend(notes);
    if !matches!(looked, Looked::Samples(..) | Looked::ClassTars(_)) {
        listing.notes.extend(files.notes().iter().cloned());
    }
    if let Some(class_names::ClassNames { words, note, .. }) = names {
        let known = listing.classes.iter().filter(|c| words.contains_key(*c)).count();
        if let (0, Some(given)) = (known, &options.class_names) {
            return Err(Error::usage("--class-names holds none of the classes of this source")
                .at(given.display().to_string())
                .because(format!("the first class is \"{}\"", shown(listing.classes.first().map_or("", String::as_str))))
                .next("leave --class-names out, or give the file of this dataset: lines of a class name and words for it"));
        }
        if let (Some(missing), Some(given)) = (listing.classes.iter().find(|c| !words.contains_key(*c)), &options.class_names) {
            return Err(Error::usage(format!(
                "--class-names knows {known} of {} classes, and not \"{}\"",
                listing.classes.len(),
                shown(missing)
            ))
            .at(given.display().to_string())
            .because("class names of another dataset, or some are missing")
            .next("leave --class-names out, or add a line for each class"));
        }
        if let (true, Some(note)) = (known > 0, note) {
            listing.notes.push(note);
        }
        if listing.classes.iter().any(|c| words.get(c).is_some_and(|w| !w.is_empty())) {
            listing.words = listing.classes.iter().map(|c| words.get(c).cloned().unwrap_or_default()).collect();
        }
        if let (true, Some(path)) = (known > 0, names_path) {
            listing.notes.push(format!(
                "class names from {}: they know {known} of {}",
                path.display(),
                counted(listing.classes.len() as u64, "class")
            ));
        }
    }
    Ok(listing)
}

/// What reading a source needs.
struct Read<'a> {
    options: &'a SourceOptions,
    wanted: &'a Wanted<'a>,
    beside: &'a [PathBuf],
    files: &'a Files,
    input: &'a Path,
}

impl Read<'_> {
    fn listed(&self, looked: &Looked, names: Option<&Names>) -> Result<Listing> {
        let Self { options, wanted, beside, files, input } = *self;
        let part = Part::from(wanted.split);
        let labels_of = |at: &Path, there: &dyn Fn(&str) -> bool| -> Result<labels::Labels> {
            if let Some(path) = &options.labels {
                return labels::read(path, files, names, wanted, there);
            }
            let all = all_labels_beside(at, beside, part, files);
            if all.is_empty() {
                return Err(Error::data("images without classes: no class folders, and no labels for them")
                    .at(at.display().to_string())
                    .because("they lie in no folders that say a class, and no label file lies beside them")
                    .next(NO_LABELS));
            }
            labels::read_found(&all, files, names, wanted, there)
        };
        match looked {
            Looked::Folder(root) => image_folder::list(root, files),
            Looked::Flat(root) => flat::folder(root, files, &|there| labels_of(root, there)),
            Looked::ClassTars(archives) => class_tar::list(archives.clone(), part),
            Looked::Samples(archives, folders) => {
                let samples = webdataset::list(archives.clone(), names, part)?;
                match folders {
                    Some(root) => same_classes(samples, root, files, input),
                    None => Ok(samples),
                }
            }
            Looked::List(path) => list::list(path, files, names, wanted),
            Looked::Tables(tables) => parquet(tables.clone(), names, options, part),
        }
    }
}

/// WebDataset samples in folders that may be classes: either reading may be meant where they differ.
fn same_classes(samples: Listing, root: &Path, files: &Files, input: &Path) -> Result<Listing> {
    let folders = image_folder::list(root, files)?;
    let by_place = |l: &Listing| {
        let mut all: Vec<_> = l.files.iter().filter(|f| f.trouble.is_none()).map(|f| (f.place.clone(), f.label)).collect();
        all.sort_unstable();
        all
    };
    let of_folders: std::collections::BTreeMap<_, _> = by_place(&folders).into_iter().collect();
    let labelled = by_place(&samples);
    if labelled.iter().all(|(place, label)| of_folders.get(place).is_none_or(|l| l == label)) {
        return Ok(samples);
    }
    let told = |classes: &[String]| {
        let some: Vec<String> = classes.iter().take(4).map(|c| shown(c)).collect();
        format!("{}{}", some.join(", "), if classes.len() > 4 { ", ..." } else { "" })
    };
    let reading = |l: &Listing, images: usize, by: &str, kind: Kind| {
        (
            format!("{} classes by {by}: {} with {images} images", l.classes.len(), told(&l.classes)),
            format!("--source {} --input {}", kind.name(), input.display()),
        )
    };
    Err(super::layout::ambiguous(
        &input.display().to_string(),
        &[
            reading(&samples, labelled.len(), "the labels beside the images (KEY.cls or KEY.json)", Kind::Webdataset),
            reading(&folders, of_folders.len(), "folders", Kind::TrainTar),
        ],
    ))
}

/// Whether there is something at `input`, or an archive that it leads into.
pub fn is_there(input: &Path) -> bool {
    input.exists() || archive_above(input).is_some()
}

/// The archive that a path leads into.
fn archive_above(input: &Path) -> Option<&Path> {
    if input.exists() {
        return None;
    }
    input.ancestors().skip(1).find(|p| p.exists()).filter(|p| p.is_file())
}

/// Folders in which labels and class names may lie: those above the images, up to the input, and the folder of an archive.
fn beside(input: &Path, looked: &Looked, files: &Files) -> Vec<PathBuf> {
    let mut all = vec![input.to_owned()];
    if let Looked::Folder(root) | Looked::Flat(root) = looked {
        all.extend(root.ancestors().skip(1).take_while(|p| *p != input && p.starts_with(input)).map(Path::to_owned));
    }
    if let Some(parent) = archive_above(input).or((!input.is_dir()).then_some(input)).and_then(Path::parent) {
        all.push(parent.to_owned());
    }
    all.retain(|p| files.is_dir(p) || p.as_os_str().is_empty());
    all
}

/// The label file of a split that lies beside the images: in their folder, above it, or in the input.
pub fn labels_beside(at: &Path, more: &[PathBuf], part: Part, files: &Files) -> Option<PathBuf> {
    all_labels_beside(at, more, part, files).into_iter().next()
}

/// All of them, each once, the likeliest first.
fn all_labels_beside(at: &Path, more: &[PathBuf], part: Part, files: &Files) -> Vec<PathBuf> {
    let mut folders = vec![at.to_owned()];
    folders.extend(at.parent().map(Path::to_owned));
    folders.extend(more.iter().cloned());
    folders.retain(|f| files.is_dir(f) || f.as_os_str().is_empty());
    let words: &[&str] = match part {
        Part::Train => &["train", "training"],
        Part::Val => &["val", "validation", "valid"],
        Part::Test => &["test"],
    };
    let kits = if part == Part::Val { &KITS[..] } else { &[] };
    let ends =
        ["_annotations.txt", "_list.txt", ".txt", "_labels.txt", ".csv", "_labels.csv", "_list.csv", "_annotations.csv", "Labels.csv"];
    let lists = words.iter().flat_map(|w| ends.iter().map(move |e| format!("{w}{e}")));
    let all: Vec<String> = [format!("LOC_{}_solution.csv", part.name())]
        .into_iter()
        .chain(kits.iter().map(|k| (*k).to_owned()))
        .chain(lists)
        .chain(words.iter().flat_map(|w| ["jsonl", "json", "tsv"].map(|e| format!("{w}.{e}"))))
        .chain(ANY_SPLIT.iter().map(|n| (*n).to_owned()))
        .collect();
    let there = folders.iter().flat_map(|f| all.iter().map(move |n| f.join(n))).filter(|p| files.exists(p));
    let mut seen = HashSet::new();
    there.filter(|p| seen.insert(p.canonicalize().unwrap_or_else(|_| p.clone()))).collect()
}

#[cfg(feature = "parquet")]
fn parquet(tables: Vec<PathBuf>, names: Option<&Names>, options: &SourceOptions, part: Part) -> Result<Listing> {
    let (images, labels) = (options.image_column.clone(), options.label_column.clone());
    let asked = super::parquet::ColumnNames { images, labels, part: Some(part) };
    let mut listing = super::parquet::list(tables, names, &asked)?;
    if let Some(dir) = &options.scratch {
        listing.store.spill_into(dir);
    }
    Ok(listing)
}

#[cfg(not(feature = "parquet"))]
fn parquet(tables: Vec<PathBuf>, _: Option<&Names>, _: &SourceOptions, _: Part) -> Result<Listing> {
    Err(Error::usage("this build reads no Parquet")
        .at(tables.first().map_or_else(String::new, |p| p.display().to_string()))
        .because("it was built without the cargo feature `parquet`")
        .next("cargo build --release --features parquet"))
}

fn find<N: AsRef<str>>(files: &Files, folders: &[PathBuf], names: impl Iterator<Item = N> + Clone) -> Option<PathBuf> {
    folders.iter().flat_map(|f| names.clone().map(|n| f.join(n.as_ref()))).find(|p| files.exists(p))
}

/// The split that the name of an input says, as `val` or `ILSVRC2012_img_val.tar` do.
pub fn split_named(input: &Path) -> Option<Part> {
    let inside = archive_above(input).is_some();
    let real = if inside { input.to_owned() } else { input.canonicalize().ok()? };
    let name = |p: &Path| p.file_name().map(|n| n.to_string_lossy().into_owned());
    if !inside && !real.is_dir() {
        return Part::of_file(&name(&real)?);
    }
    let own = name(&real)?;
    // `val/images`
    let above = || if super::layout::says_nothing(&own) { Part::of_folder(&name(real.parent()?)?) } else { None };
    Part::of_folder(&own).or_else(above)
}
