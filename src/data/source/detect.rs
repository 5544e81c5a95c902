//! Which layout an input is, by looking; and the label files and class names that lie beside it.

use super::arrange::shown;
use super::audit::{self, Verdict};
use super::columns::Wanted;
use super::labels::{self, Names};
use super::looking::Look;
use super::mount::Files;
use super::readings::{Looked, Seek};
use super::splits::Part;
use super::{Listing, class_tar, flat, image_folder, is_picture, label_names, list, masks, named, webdataset};
use crate::data::manifest::Split;
use crate::error::{Error, Result};
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
    let parts = parts(input, options, split, &files);
    let wanted = Wanted { image: options.image_column.as_deref(), label: options.label_column.as_deref(), parts };
    let seek = Seek { part: Part::from(split), wanted, labels: options.labels.is_some(), files };
    let (looked, notes, files) = match options.kind {
        Some(kind) => Looked::as_kind(input, kind, &seek)?,
        None => Looked::at(input, &seek)?,
    };
    looked.refuse_unused(input, options)?;
    let read_as =
        |looked: Looked, mut notes: Vec<String>, files: Rc<Files>, options: &SourceOptions| -> Result<(Listing, Looked, Rc<Files>)> {
            let beside = beside(input, &looked, &files);
            let read = Read { options, wanted: &wanted, part: Part::from(split), beside: &beside, files: &files, input };
            let mut listing = named::listing(&read, &looked)?;
            listing.notes.append(&mut notes);
            if !matches!(looked, Looked::Samples(..) | Looked::ClassTars(_)) {
                listing.notes.extend(files.notes().iter().cloned());
            }
            Ok((listing, looked, files))
        };
    let read = |looked: Looked, notes: Vec<String>, files: Rc<Files>| read_as(looked, notes, files, options);
    let (mut listing, looked, files) = read(looked, notes, files)?;
    if options.kind.is_none() && matches!(looked, Looked::Folder(_) | Looked::ClassTars(_)) {
        masks::leave_out(&mut listing);
    }
    match audit::audit(&listing, &looked, input, options, &wanted, &files)? {
        Verdict::Agrees(note) => {
            listing.notes.extend(note);
            Ok(listing)
        }
        Verdict::Only(own, note) => {
            let mut at = 0..;
            listing.files.retain(|_| at.next().is_some_and(|i: usize| own.contains(&i)));
            listing.notes.push(note);
            Ok(listing)
        }
        Verdict::Labelled(root, labels, files, note) => {
            let options = SourceOptions { labels: Some(labels), ..options.clone() };
            read_as(Looked::Flat(root), vec![note], files, &options).map(|(listing, ..)| listing)
        }
        Verdict::Instead(looked, files, note) => read(looked, vec![note], files).map(|(listing, ..)| listing),
    }
}

/// The splits whose lines are read where a file says some: that of the input's name where it is not the one asked for (the folder `test`,
/// packed as val), and the one asked for.
fn parts(input: &Path, options: &SourceOptions, split: Split, files: &Files) -> [Part; 2] {
    let part = Part::from(split);
    let name = |p: &Path| p.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let labels = options.labels.as_deref().and_then(|l| Part::of_file(&name(l)));
    let named = split_named(input).filter(|p| *p != part);
    let Some(named) = named else { return [part, labels.unwrap_or(part)] };
    // `train/val`: the split itself lies in it.
    let within = files.is_dir(input) && Look::at(input, files).is_ok_and(|l| matches!(l.split(part, false), Ok(Some(_))));
    match named {
        _ if within => [part, part],
        Part::Train => [part, named],
        _ if files.is_dir(input) || !input.is_dir() => [named, part],
        _ => [part, named],
    }
}

/// What reading a source needs.
pub struct Read<'a> {
    pub options: &'a SourceOptions,
    pub wanted: &'a Wanted<'a>,
    pub part: Part,
    pub beside: &'a [PathBuf],
    pub files: &'a Files,
    pub input: &'a Path,
}

impl Read<'_> {
    /// # Errors
    /// Those of the source.
    pub fn listed(&self, looked: &Looked, names: Option<&Names>) -> Result<Listing> {
        let Self { options, wanted, part, beside, files, input } = *self;
        let labels_of = |at: &Path, there: &dyn Fn(&str) -> bool, below: &[String]| -> Result<Vec<labels::Labels>> {
            if let Some(path) = &options.labels {
                return labels::read(path, files, names, wanted, there).map(|l| vec![l]);
            }
            let mut all = label_names::all_beside(at, beside, wanted.parts, files);
            let of_split = |p: &&String| label_names::of_parts(p.rsplit('/').next().unwrap_or(p), wanted.parts);
            all.extend(below.iter().filter(of_split).flat_map(|p| files.all_of(&at.join(p))));
            let all = label_names::once(all);
            if all.is_empty() {
                return Err(Error::data("images without classes: no class folders, and no labels for them")
                    .at(at.display().to_string())
                    .because("they lie in no folders that say a class, and no label file lies beside them")
                    .next(NO_LABELS));
            }
            let mut found = labels::read_found(&all, files, names, wanted, there)?;
            found.iter_mut().for_each(|l| l.outside = !l.origin.starts_with(input));
            // `val_labels.csv` beside `train_labels.csv`: its images are no images without a label.
            let said = |p: &Path| label_names::of_labels(&p.file_name().unwrap_or_default().to_string_lossy()).flatten();
            if let Some(first) = found.first_mut().filter(|l| said(&l.origin).is_some()) {
                let other = [Part::Train, Part::Val, Part::Test].into_iter().filter(|p| !wanted.parts.contains(p));
                for part in other {
                    let of_part = label_names::all_beside(at, beside, [part, part], files).into_iter().filter(|p| said(p) == Some(part));
                    let wanted = Wanted { parts: [part, part], ..Wanted::default() };
                    of_part.filter_map(|p| labels::read(&p, files, None, &wanted, there).ok()).for_each(|l| first.leave_out(&l));
                }
            }
            Ok(found)
        };
        match looked {
            Looked::Folder(root) => image_folder::list(root, files),
            Looked::Flat(root) => flat::folder(root, files, &|there, below| labels_of(root, there, below)),
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

/// Folders in which labels and class names may lie: those above the images, up to the input, and the one in which that lies.
fn beside(input: &Path, looked: &Looked, files: &Files) -> Vec<PathBuf> {
    let mut all = vec![input.to_owned()];
    if let Looked::Folder(root) | Looked::Flat(root) = looked {
        all.extend(root.ancestors().skip(1).take_while(|p| *p != input && p.starts_with(input)).map(Path::to_owned));
    }
    all.extend(input.parent().map(Path::to_owned));
    all.extend(archive_above(input).and_then(Path::parent).map(Path::to_owned));
    all.retain(|p| files.is_dir(p) || p.as_os_str().is_empty());
    all
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

/// Whether a file is called as a list is.
pub fn is_list(name: &str) -> bool {
    let ending = name.rsplit_once('.').map_or("", |(_, e)| e);
    ["txt", "lst", "csv", "tsv", "json", "jsonl", "ndjson"].iter().any(|e| ending.eq_ignore_ascii_case(e))
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
    // A list in an archive.
    if inside && is_list(&own) {
        return Part::of_file(&own);
    }
    // `val/images`
    let above = || if super::layout::says_nothing(&own) { Part::of_folder(&name(real.parent()?)?) } else { None };
    Part::of_folder(&own).or_else(above)
}
