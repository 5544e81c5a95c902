//! What an input is: the readings that are possible, and the one of them that is taken. Two that remain are an error that shows both.

use super::arrange::shown;
use super::columns::Wanted;
use super::detect::{Kind, SourceOptions};
use super::image_folder;
use super::label_names;
use super::layout::{self, Holds, Reading, ambiguous, says_nothing};
use super::looking::{Look, count, dirs};
use super::mount::Files;
use super::peek::{MOST_ARCHIVES, images_in, labelled_table, without_leftovers};
use super::refusals::{archives_beside, list_of_another_split, names_nothing, no_classes, own_labels, says_classes, unread_beside};
use super::splits::Part;
use crate::error::{Error, Result};
use crate::text::are;
use std::path::{Path, PathBuf};
use std::rc::Rc;

const KAGGLE: [&str; 3] = ["ILSVRC/Data/CLS-LOC", "Data/CLS-LOC", "CLS-LOC"];

/// What is looked for.
pub struct Seek<'a> {
    pub part: Part,
    pub wanted: Wanted<'a>,
    /// The user gave labels.
    pub labels: bool,
    pub files: Rc<Files>,
}

/// What an input is, with the paths that matter.
pub enum Looked {
    Folder(PathBuf),
    Flat(PathBuf),
    /// Each archive, or each tar inside, is a class.
    ClassTars(Vec<PathBuf>),
    /// WebDataset; and the folder in the archives whose folders may say the classes, too.
    Samples(Vec<PathBuf>, Option<PathBuf>),
    Tables(Vec<PathBuf>),
    List(PathBuf),
}

/// A reading of a folder.
enum Possible {
    Tables(Vec<PathBuf>),
    Tars(Vec<PathBuf>),
    Split(PathBuf),
    Classes,
    /// And how many of its images have labels.
    Flat(u64),
    List(PathBuf, usize),
}

/// What it is, what to tell, and the files in which its paths lie.
pub type Noted = (Looked, Vec<String>, Rc<Files>);

impl Looked {
    /// # Errors
    /// `Usage` when there are several readings or the split is not there, `Data` when something cannot be read.
    pub fn at(input: &Path, seek: &Seek<'_>) -> Result<Noted> {
        if seek.files.is_dir(input) {
            return Self::folder(input, seek, 0);
        }
        let extension = input.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        let looked = match extension.as_str() {
            "parquet" => Self::Tables(vec![input.to_owned()]),
            "txt" | "lst" | "csv" | "tsv" | "json" | "jsonl" | "ndjson" => Self::List(input.to_owned()),
            _ => return Self::archives(vec![input.to_owned()], seek, false),
        };
        Ok((looked, Vec::new(), seek.files.clone()))
    }

    /// # Errors
    /// As [`Looked::at`].
    pub fn folder(root: &Path, seek: &Seek<'_>, depth: usize) -> Result<Noted> {
        let files = &seek.files;
        if let Some(kaggle) = kaggle(root, seek)? {
            return Ok((kaggle, Vec::new(), files.clone()));
        }
        let look = Look::at(root, files)?;
        let mut notes = Vec::new();
        let (mut tables, mut tars) = (
            look.ending(&["parquet"], seek.part),
            original(root, seek).map_or_else(|| look.ending(&["tar", "zip"], seek.part), |o| Ok(vec![o])),
        );
        let others = !look.folders().is_empty() || look.images > 0;
        if let (Ok(tars), true) = (&mut tars, others) {
            notes.extend(without_leftovers(tars, &look));
        }
        if let (Ok(tables), true) = (&mut tables, others) {
            let before = tables.len();
            tables.retain(|t| labelled_table(t));
            if tables.len() < before {
                notes.push(format!("{} not read: no images with labels in them", are((before - tables.len()) as u64, "Parquet file")));
            }
        }
        let archives = [&tables, &tars].into_iter().any(|a| a.as_ref().is_ok_and(|a| !a.is_empty()));
        let split = match look.split(seek.part, false) {
            Err(_) if archives && !matches!(layout::read(&look.dirs, seek.part, false), Reading::Mixed) => None,
            split => split?,
        };
        let labelled = seek.labels || label_names::beside(root, &[], seek.wanted.parts, files).is_some();
        let folders = look.folders().len();
        let mut all = Vec::new();
        let mut of_other_splits = None;
        for (files, make) in [(tables, Possible::Tables as fn(_) -> _), (tars, Possible::Tars)] {
            match files {
                Ok(files) if files.is_empty() => {}
                Ok(files) => all.push(make(files)),
                Err(e) => of_other_splits = Some(e),
            }
        }
        match split {
            Some(dir) => all.push(Possible::Split(dir)),
            None => {
                let list = if seek.labels { None } else { own_list(&look, seek)? };
                if folders > 0 && list.is_none() && !seek.labels {
                    let others = [Part::Train, Part::Val, Part::Test].into_iter().filter(|p| !seek.wanted.parts.contains(p));
                    let found = others.into_iter().find_map(|p| Some((look.list(p, &seek.wanted).ok().flatten()?.0, p)));
                    if let Some((path, of_list)) = found {
                        let classes = Some(root).filter(|_| folders > 1);
                        return Err(list_of_another_split(&path, seek.part, of_list, classes));
                    }
                }
                // A folder alone beside a list, or whose images have labels, says no class.
                let name = look.folders().first().map_or("", |d| d.name.as_str());
                let splits_in = || -> Result<bool> {
                    let inner = if folders == 1 { dirs(&image_folder::below(root, name), files)? } else { Vec::new() };
                    Ok(matches!(layout::read(&inner, seek.part, false), Reading::Split(_) | Reading::NoSuchSplit))
                };
                let own = if folders > 0 && labelled && !seek.labels { own_labels(root, seek, folders == 1) } else { None };
                // One folder is no set of classes where its images have labels.
                let told = own.as_ref().is_some_and(|o| 2 * o.known >= o.images);
                let one_flat = !splits_in()? && folders == 1 && look.images == 0 && (seek.labels || labelled && says_nothing(name) || told);
                if folders > 0 && !one_flat && !(folders == 1 && list.is_some()) {
                    all.push(Possible::Classes);
                }
                // The only folder has labels or a list of its own: it is what was packed.
                let below = image_folder::below(root, name);
                let has_own = || Ok(own_labels(&below, seek, false).is_some() || own_list(&Look::at(&below, files)?, seek)?.is_some());
                if folders == 1 && look.images == 0 && list.is_none() && !one_flat && !seek.labels && has_own()? {
                    notes.push(format!("{} is taken for the dataset, as labels lie in it", shown(name)));
                    let (looked, more, files) = Self::folder(&below, seek, depth + 1)?;
                    return Ok((looked, notes.into_iter().chain(more).collect(), files));
                }
                // Labels that lie with the folders: either may say the classes.
                let with_folders = folders > 0 && !one_flat && own.as_ref().is_some_and(|o| o.known > 0 && !o.agrees);
                if list.is_none() && (one_flat || with_folders || look.images > 0 && labelled) {
                    all.push(Possible::Flat(own.map_or(look.images, |o| o.known)));
                }
                // Lists of several splits that lie with the class folders: whether they divide the images is looked at then (see `audit`).
                let divided = || {
                    let other = [Part::Train, Part::Val, Part::Test].into_iter().filter(|p| !seek.wanted.parts.contains(p));
                    let of_split =
                        root.ancestors().take(2).any(|p| p.file_name().is_some_and(|n| Part::of_folder(&n.to_string_lossy()).is_some()));
                    !of_split
                        && other.into_iter().any(|p| look.list(p, &Wanted { parts: [p, p], ..seek.wanted }).is_ok_and(|l| l.is_some()))
                };
                let left = !with_folders && folders > 1 && look.images == 0 && list.is_some() && divided();
                all.extend(list.filter(|_| !left).map(|(path, rows)| Possible::List(path, rows)));
            }
        }
        if all.len() > 1 {
            let readings = all.iter().map(|p| p.told(&look, seek)).collect::<Result<Vec<_>>>()?;
            return Err(ambiguous(&root.display().to_string(), &readings));
        }
        let mut deeper = |dir: &Path, note: Option<String>| {
            notes.extend(note);
            if depth > 8 {
                return Err(Error::data("no images in the folders below")
                    .at(root.display().to_string())
                    .next("give the folder that holds the class folders"));
            }
            Self::folder(dir, seek, depth + 1).map(|(looked, more, files)| (looked, notes.drain(..).chain(more).collect(), files))
        };
        let looked = match all.pop() {
            Some(Possible::Tables(tables)) => Self::Tables(tables),
            Some(Possible::Tars(tars)) => {
                unread_beside(&look)?;
                let (looked, more, files) = Self::archives(tars, seek, false)?;
                notes.extend(more);
                return Ok((looked, notes, files));
            }
            Some(Possible::Split(dir)) => return deeper(&dir, None),
            Some(Possible::Flat(_)) => Self::Flat(root.to_owned()),
            Some(Possible::List(path, _)) => Self::List(path),
            Some(Possible::Classes) => match layout::wrapper(&look.dirs, |name| dirs(&image_folder::below(root, name), files))? {
                Some((name, _)) => {
                    return deeper(
                        &image_folder::below(root, name),
                        Some(format!("{} is taken for a folder above those of the classes", shown(name))),
                    );
                }
                None => {
                    if let Reading::Classes { named: Some(name) } = layout::read(&look.dirs, seek.part, false) {
                        notes.push(format!(
                            "{name} is taken for a class, as the folders beside it are; --input {} packs it as a split",
                            image_folder::below(root, name).display()
                        ));
                    }
                    says_classes(&look, root, files, seek.part)?;
                    if let [one] = &look.folders()[..] {
                        if let (Some(name), false) = (names_nothing(root, one, files)?, seek.labels) {
                            return Err(no_classes(root, &name));
                        }
                        notes.push(format!(
                            "1 class: {}, the only folder with images; if it says no class, give their labels: --labels FILE",
                            shown(&one.name)
                        ));
                    }
                    notes.extend(archives_beside(&look));
                    Self::Folder(root.to_owned())
                }
            },
            None => {
                if let Some(e) = of_other_splits {
                    return Err(e);
                }
                let holding: Vec<_> = look.dirs.iter().filter(|d| d.holds == Holds::Archives).collect();
                if let [one] = holding[..] {
                    return deeper(&root.join(&one.real), None);
                }
                unread_beside(&look)?;
                if look.images > 0 { Self::Flat(root.to_owned()) } else { Self::Folder(root.to_owned()) }
            }
        };
        Ok((looked, notes, files.clone()))
    }

    /// What the user says outright is used or refused.
    ///
    /// # Errors
    /// `Usage`, naming the flag.
    pub fn refuse_unused(&self, input: &Path, options: &SourceOptions) -> Result<()> {
        let (kind, why, other) = match self {
            Self::Flat(_) => return Ok(()),
            Self::Folder(_) => (
                "folder",
                "class folders say the classes",
                "--source flat, which takes the images of all folders and their classes from --labels",
            ),
            Self::ClassTars(_) => (
                "train-tar",
                "class archives say the classes",
                "--source val-tar, which takes the images of one tar and their classes from --labels",
            ),
            Self::Samples(..) => (
                "webdataset",
                "KEY.cls or KEY.json says the classes",
                "--source val-tar, which takes the images of one tar and their classes from --labels",
            ),
            Self::Tables(_) => ("parquet", "a column says the classes", "the folder of images itself as --input"),
            Self::List(_) => ("list", "the list says the classes", "--input FOLDER --labels FILE"),
        };
        let columns = options.image_column.is_some() || options.label_column.is_some();
        let (flag, other) = match () {
            () if options.labels.is_some() => ("--labels", other),
            () if columns && !matches!(self, Self::List(_) | Self::Tables(_)) => {
                ("--image-column and --label-column", "the right --source")
            }
            () => return Ok(()),
        };
        Err(Error::usage(format!("{flag}: of no use for the source {kind}"))
            .at(input.display().to_string())
            .because(format!("{why}, and what is given would be dropped"))
            .next(format!("leave {flag} out, or give {other}")))
    }
}

impl Possible {
    /// What it comes to, and how to say that it is meant.
    fn told(&self, look: &Look<'_>, seek: &Seek<'_>) -> Result<(String, String)> {
        let root = look.root.display();
        let names = |files: &[PathBuf]| -> String {
            let names: Vec<String> = files.iter().take(3).filter_map(|f| f.file_name().map(|n| shown(&n.to_string_lossy()))).collect();
            names.join(", ") + if files.len() > 3 { ", ..." } else { "" }
        };
        Ok(match self {
            Self::Tables(files) => (format!("{} Parquet files: {}", files.len(), names(files)), format!("--source parquet --input {root}")),
            Self::Tars(files) => {
                let images: usize = files.iter().take(MOST_ARCHIVES).map(|f| images_in(f)).sum();
                let kind = Looked::archives(files.clone(), seek, false)?.0.kind();
                let more = if files.len() > MOST_ARCHIVES { " or more" } else { "" };
                let input = if let [one] = &files[..] { one.display().to_string() } else { root.to_string() };
                (format!("{} tars: {} ({images}{more} images)", files.len(), names(files)), format!("--source {kind} --input {input}"))
            }
            Self::Split(dir) => {
                (format!("the folder {}: {} images", dir.display(), count(dir, &seek.files)), format!("--input {}", dir.display()))
            }
            Self::Classes => (look.as_classes(), format!("--source folder --input {root}")),
            Self::Flat(known) => (format!("images without class folders: {known} with labels"), format!("--source flat --input {root}")),
            Self::List(path, rows) => {
                (format!("the list {}: {rows} images", path.display()), format!("--source list --input {}", path.display()))
            }
        })
    }
}

impl Looked {
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Folder(_) => Kind::Folder,
            Self::Flat(_) => Kind::Flat,
            Self::ClassTars(_) => Kind::TrainTar,
            Self::Samples(..) => Kind::Webdataset,
            Self::Tables(_) => Kind::Parquet,
            Self::List(_) => Kind::List,
        }
        .name()
    }
}

/// The list of the split, as the input is named or else as is asked for.
pub fn own_list(look: &Look<'_>, seek: &Seek<'_>) -> Result<Option<(PathBuf, usize)>> {
    let [first, second] = seek.wanted.parts;
    for part in [Some(first), Some(second).filter(|p| *p != first)].into_iter().flatten() {
        if let Some(found) = look.list(part, &seek.wanted)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// `ILSVRC2012_img_train.tar` and the like, on the disk.
pub fn original(root: &Path, seek: &Seek<'_>) -> Option<PathBuf> {
    let path = root.join(format!("ILSVRC2012_img_{}.tar", seek.part.name()));
    Some(path).filter(|p| !seek.files.archived() && p.is_file())
}

/// Kaggle's tree, if it is one and holds the split.
pub fn kaggle(input: &Path, seek: &Seek<'_>) -> Result<Option<Looked>> {
    let Some(root) = KAGGLE.iter().map(|k| input.join(k)).find(|p| seek.files.is_dir(p)) else { return Ok(None) };
    let look = Look::at(&root, &seek.files)?;
    let Some(root) = look.split(seek.part, true)? else { return Ok(None) };
    // Some have sorted the validation images into class folders themselves.
    let sorted = !Look::at(&root, &seek.files)?.folders().is_empty();
    Ok(Some(if seek.part == Part::Train || sorted { Looked::Folder(root) } else { Looked::Flat(root) }))
}
