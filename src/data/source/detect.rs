//! Which layout an input is, by looking; and the label files and class names that lie beside it.

use super::image_folder::{self, children};
use super::labels::{self, Names};
use super::tar::Archive;
use super::{Listing, class_tar, flat, is_picture, list, webdataset};
use crate::data::manifest::Split;
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

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
    /// The development kit, `LOC_val_solution.csv`, or a list of two columns.
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

/// Label files that are looked for beside the pictures, and files of class names.
const LABELS: [&str; 6] = [
    "LOC_val_solution.csv",
    "ILSVRC2012_devkit_t12.tar.gz",
    "ILSVRC2012_devkit_t12.tar",
    "ILSVRC2012_devkit_t12",
    "val_list.txt",
    "val.txt",
];
const NAMES: [&str; 5] =
    ["LOC_synset_mapping.txt", "synset_words.txt", "ILSVRC2012_devkit_t12.tar.gz", "ILSVRC2012_devkit_t12.tar", "ILSVRC2012_devkit_t12"];
const KAGGLE: [&str; 2] = ["ILSVRC/Data/CLS-LOC", "Data/CLS-LOC"];
/// Members of a tar that are looked at to tell what it is.
const LOOKED_AT: usize = 64;

/// Lists `input`, as the kind that was asked for or that it looks like.
///
/// # Errors
/// `Data` when nothing is there, it cannot be read, or labels are needed and not found.
pub fn open(input: &Path, options: &SourceOptions, split: Split) -> Result<Listing> {
    if !input.exists() {
        return Err(Error::data("no such folder or file").at(input.display().to_string()).next("check --input"));
    }
    let beside: Vec<PathBuf> =
        if input.is_dir() { vec![input.to_owned()] } else { input.parent().map(Path::to_owned).into_iter().collect() };
    let names = match &options.class_names {
        Some(path) => Some(labels::read_names(path)?),
        None => find(&beside, &NAMES).map(|path| labels::read_names(&path)).transpose()?,
    };
    let found = match options.kind {
        Some(kind) => Looked::as_kind(input, kind, split)?,
        None => Looked::at(input, split, options.labels.is_some())?,
    };
    found.refuse_columns(input, options)?;
    let read_labels = |at: &Path| -> Result<labels::Labels> {
        let path =
            options.labels.clone().or_else(|| find(&beside, &LABELS)).or_else(|| find(&[at.parent().unwrap_or(at).to_owned()], &LABELS));
        let path = path.ok_or_else(|| {
            Error::data("pictures without classes, and no labels for them")
                .at(at.display().to_string())
                .because("the original validation pictures lie in no class folders; their labels are a file of their own")
                .next("--labels ILSVRC2012_devkit_t12.tar.gz, LOC_val_solution.csv, or a list of lines PICTURE CLASS")
        })?;
        labels::read(&path, names.as_ref())
    };
    let mut listing = match found {
        Looked::Folder(root) => image_folder::list(&root),
        Looked::Flat(root) => flat::folder(&root, &read_labels(&root)?),
        Looked::ClassTars(archives) => class_tar::list(archives),
        Looked::FlatTar(path) => flat::tar(&path, &read_labels(&path)?),
        Looked::Samples(archives) => webdataset::list(archives, names.as_ref()),
        Looked::List(path) => list::list(&path, names.as_ref()),
        Looked::Tables(tables) => parquet(tables, names.as_ref(), options.scratch.as_deref()),
    }?;
    if let Some(names) = names {
        let words: std::collections::HashMap<String, String> = names.into_iter().collect();
        if listing.classes.iter().any(|c| words.get(c).is_some_and(|w| !w.is_empty())) {
            listing.words = listing.classes.iter().map(|c| words.get(c).cloned().unwrap_or_default()).collect();
        }
    }
    Ok(listing)
}

#[cfg(feature = "parquet")]
fn parquet(tables: Vec<PathBuf>, names: Option<&Names>, scratch: Option<&Path>) -> Result<Listing> {
    let mut listing = super::parquet::list(tables, names)?;
    if let Some(dir) = scratch {
        listing.store.spill_into(dir);
    }
    Ok(listing)
}

#[cfg(not(feature = "parquet"))]
fn parquet(tables: Vec<PathBuf>, _: Option<&Names>, _: Option<&Path>) -> Result<Listing> {
    Err(Error::usage("this build reads no Parquet")
        .at(tables.first().map_or_else(String::new, |p| p.display().to_string()))
        .because("it was built without the cargo feature `parquet`")
        .next("cargo build --release --features parquet"))
}

fn find(folders: &[PathBuf], names: &[&str]) -> Option<PathBuf> {
    folders.iter().flat_map(|f| names.iter().map(|n| f.join(n))).find(|p| p.exists())
}

/// What an input is, with the paths that matter.
enum Looked {
    Folder(PathBuf),
    Flat(PathBuf),
    ClassTars(Vec<PathBuf>),
    FlatTar(PathBuf),
    Samples(Vec<PathBuf>),
    Tables(Vec<PathBuf>),
    List(PathBuf),
}

impl Looked {
    /// `labelled`: the user gave labels.
    fn at(input: &Path, split: Split, labelled: bool) -> Result<Self> {
        if !input.is_dir() {
            let extension = input.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
            return match extension.as_str() {
                "parquet" => Ok(Self::Tables(vec![input.to_owned()])),
                "txt" | "lst" | "csv" | "tsv" => Ok(Self::List(input.to_owned())),
                _ => Self::tars(vec![input.to_owned()]),
            };
        }
        if let Some(kaggle) = kaggle(input, split) {
            return kaggle;
        }
        let original = input.join(format!("ILSVRC2012_img_{}.tar", split.name()));
        if original.is_file() {
            return Self::tars(vec![original]);
        }
        let tables = files(input, "parquet", split)?;
        if !tables.is_empty() {
            return Ok(Self::Tables(tables));
        }
        let below = input.join(split.name());
        if below.is_dir() {
            return Self::at(&below, split, labelled);
        }
        let (mut folders, mut pictures) = (false, false);
        for (name, is_dir) in children(input)? {
            folders |= is_dir;
            pictures |= !is_dir && is_picture(&name);
        }
        let tars = files(input, "tar", split)?;
        if !tars.is_empty() && !pictures {
            return Self::tars(tars);
        }
        let beside = |dir: &Path| find(&[dir.to_owned(), dir.parent().unwrap_or(dir).to_owned()], &LABELS).is_some();
        let list = ["_list.txt", ".txt"].iter().map(|end| input.join(format!("{}{end}", split.name()))).find(|p| p.is_file());
        match list {
            Some(list) if !folders => Ok(Self::List(list)),
            _ if pictures && !folders && (labelled || beside(input)) => Ok(Self::Flat(input.to_owned())),
            _ => Ok(Self::Folder(input.to_owned())),
        }
    }

    /// As the user says that it is.
    fn as_kind(input: &Path, kind: Kind, split: Split) -> Result<Self> {
        let below = input.join(split.name());
        let root = if below.is_dir() { below } else { input.to_owned() };
        let original = root.join(format!("ILSVRC2012_img_{}.tar", split.name()));
        let archives = || match () {
            () if original.is_file() => Ok(vec![original.clone()]),
            () if root.is_dir() => some(files(&root, "tar", split)?, &root, "no .tar files in it"),
            () => Ok(vec![root.clone()]),
        };
        match kind {
            Kind::Folder => Ok(Self::Folder(root)),
            Kind::Flat => Ok(Self::Flat(root)),
            Kind::TrainTar => archives().map(Self::ClassTars),
            Kind::ValTar => match &archives()?[..] {
                [one] => Ok(Self::FlatTar(one.clone())),
                several => Err(Error::usage(format!("{} tars in it", several.len()))
                    .at(root.display().to_string())
                    .next("give the archive itself")),
            },
            Kind::Webdataset => archives().map(Self::Samples),
            Kind::List => Ok(Self::List(root)),
            Kind::Parquet if root.is_dir() => some(files(&root, "parquet", split)?, &root, "no .parquet files in it").map(Self::Tables),
            Kind::Parquet => Ok(Self::Tables(vec![root])),
            Kind::Kaggle => kaggle(input, split).unwrap_or_else(|| {
                Err(Error::data("not Kaggle's tree (no ILSVRC/Data/CLS-LOC)")
                    .at(input.display().to_string())
                    .next("give the folder that holds ILSVRC"))
            }),
        }
    }

    /// What the user says outright is used or refused: `--image-column` and `--label-column` by each source that does not use them.
    fn refuse_columns(&self, input: &Path, options: &SourceOptions) -> Result<()> {
        let flag = match (&options.image_column, &options.label_column) {
            (None, None) => return Ok(()),
            (Some(_), _) => "--image-column",
            _ => "--label-column",
        };
        Err(Error::usage(format!("{flag} is of no use for this source"))
            .at(input.display().to_string())
            .because("it has no columns to choose from")
            .next(format!("leave {flag} out, or name the right --source")))
    }

    /// Tars by what is in the first of them.
    fn tars(archives: Vec<PathBuf>) -> Result<Self> {
        let first = archives.first().cloned().unwrap_or_default();
        let (mut names, mut enough) = (Vec::new(), false);
        let looked = Archive::open(&first)?.members(&mut |member| {
            names.push(member.name);
            enough = names.len() >= LOOKED_AT;
            if enough { Err(Error::data("seen enough")) } else { Ok(()) }
        });
        if !enough {
            looked?;
        }
        let has = |end: &str| names.iter().any(|n| n.ends_with(end));
        let flat = names.iter().filter(|n| is_picture(n)).all(|n| !n.contains('/'));
        Ok(match archives.len() {
            _ if has(".cls") || has(".json") => Self::Samples(archives),
            1 if flat && !has(".tar") => Self::FlatTar(first),
            _ => Self::ClassTars(archives),
        })
    }
}

/// Kaggle's tree, if it is one.
fn kaggle(input: &Path, split: Split) -> Option<Result<Looked>> {
    let root = KAGGLE.iter().map(|k| input.join(k).join(split.name())).find(|p| p.is_dir())?;
    Some(match split {
        Split::Train => Ok(Looked::Folder(root)),
        // Some have sorted the validation pictures into class folders themselves.
        Split::Val => children(&root).map(|c| if c.iter().any(|(_, is_dir)| *is_dir) { Looked::Folder(root) } else { Looked::Flat(root) }),
    })
}

/// The files of an extension in `dir`, its folder `data` or that of the split, sorted; if some bear the name of a split, those of this one.
fn files(dir: &Path, extension: &str, split: Split) -> Result<Vec<PathBuf>> {
    let words: &[&str] = if split == Split::Train { &["train"] } else { &["val", "validation", "valid"] };
    let mut folders = vec![dir.to_owned()];
    folders.extend(words.iter().chain(&["data"]).map(|w| dir.join(w)).filter(|d| d.is_dir()));
    for folder in folders {
        let of_split = |name: &str, words: &[&str]| words.iter().any(|w| name.split(|c: char| !c.is_ascii_alphabetic()).any(|p| p == *w));
        let ending = format!(".{extension}");
        let mut names: Vec<String> = children(&folder)?
            .into_iter()
            .filter(|(n, is_dir)| !is_dir && n.to_ascii_lowercase().ends_with(&ending))
            .map(|(n, _)| n)
            .collect();
        names.retain(|n| !n.contains("devkit"));
        if names.iter().any(|n| of_split(n, &["train", "val", "validation", "valid", "test"])) {
            names.retain(|n| of_split(n, words));
        }
        if !names.is_empty() {
            names.sort_unstable();
            return Ok(names.into_iter().map(|n| folder.join(n)).collect());
        }
    }
    Ok(Vec::new())
}

fn some(files: Vec<PathBuf>, root: &Path, otherwise: &str) -> Result<Vec<PathBuf>> {
    if files.is_empty() { Err(Error::data(otherwise).at(root.display().to_string()).next("check --input and --source")) } else { Ok(files) }
}
