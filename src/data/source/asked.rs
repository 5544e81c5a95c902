//! An input read as the user says that it is, by `--source`.

use super::archives::class_folders;
use super::detect::Kind;
use super::layout::Holds;
use super::looking::Look;
use super::mount::Files;
use super::readings::{Looked, Noted, Seek, kaggle, original, own_list};
use super::splits::Part;
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};
use std::rc::Rc;

impl Looked {
    /// As the user says that it is.
    ///
    /// # Errors
    /// `Data` when it is not, `Usage` when the split is not there.
    pub fn as_kind(input: &Path, kind: Kind, seek: &Seek<'_>) -> Result<Noted> {
        let folders =
            matches!(kind, Kind::Folder | Kind::Flat | Kind::Kaggle) || kind == Kind::List && super::container::is_archive_in_place(input);
        if folders && !seek.files.is_dir(input) {
            // An archive is read as the folder that it would unpack to.
            let files = Rc::new(Files::mount(input, vec![input.to_owned()])?);
            if files.tars() {
                return Err(Error::usage(format!("--source {}: the images lie in tars inside", kind.name()))
                    .at(input.display().to_string())
                    .next("--source train-tar, where each tar inside is a class"));
            }
            return Self::as_kind(input, kind, &Seek { files, ..*seek });
        }
        let inside = seek.files.archived();
        if matches!(kind, Kind::Folder | Kind::Flat) && !inside {
            let look = Look::at(input, &seek.files)?;
            let archives = look.ending(&["tar", "zip"], seek.part).unwrap_or_default();
            if look.images == 0 && look.folders().is_empty() && archives.len() > 1 {
                let files = Rc::new(super::archives::mount_several(input, archives)?);
                return Self::as_kind(input, kind, &Seek { files, ..*seek });
            }
        }
        let look = if seek.files.is_dir(input) { Some(Look::at(input, &seek.files)?) } else { None };
        let split = || look.as_ref().map_or(Ok(None), |l| l.split(seek.part, true));
        let looked = match kind {
            Kind::Folder => Self::Folder(split()?.unwrap_or_else(|| input.to_owned())),
            Kind::Flat => Self::Flat(of_split(input, seek)?),
            Kind::TrainTar if inside => return class_folders(input, seek),
            Kind::ValTar if inside => Self::Flat(of_split(input, seek)?),
            Kind::Parquet | Kind::Webdataset if inside => {
                return Err(Error::usage(format!("--source {} takes whole files, not what lies in an archive", kind.name()))
                    .at(input.display().to_string())
                    .next("give the archive itself as --input"));
            }
            Kind::TrainTar => return Self::archives(files(input, look.as_ref(), &["tar", "zip"], seek)?, seek, true),
            Kind::ValTar => match &files(input, look.as_ref(), &["tar", "zip"], seek)?[..] {
                [one] => return Self::as_kind(one, Kind::Flat, &Seek { files: Rc::default(), ..*seek }),
                several => {
                    return Err(Error::usage(format!("{} tars in it", several.len()))
                        .at(input.display().to_string())
                        .next("give the archive itself"));
                }
            },
            Kind::Webdataset => Self::Samples(files(input, look.as_ref(), &["tar", "zip"], seek)?, None),
            Kind::List => match look.as_ref() {
                None => Self::List(input.to_owned()),
                Some(look) => list_in(look, seek)?.map(Self::List).ok_or_else(|| {
                    Error::data(format!("no {0}_list.txt, {0}.txt or {0}.csv in it that lists images which are there", seek.part.name()))
                        .at(input.display().to_string())
                        .next("give the list itself as --input")
                })?,
            },
            Kind::Parquet => Self::Tables(files(input, look.as_ref(), &["parquet"], seek)?),
            Kind::Kaggle => kaggle(input, seek)?.ok_or_else(|| {
                Error::data(format!("not Kaggle's tree (no ILSVRC/Data/CLS-LOC/{})", seek.part.name()))
                    .at(input.display().to_string())
                    .next("give the folder or archive that holds ILSVRC")
            })?,
        };
        Ok((looked, Vec::new(), seek.files.clone()))
    }
}

/// The list of the split, here, or in a folder of lists (`meta`, `labels`), below folders that hold one folder each.
fn list_in(look: &Look<'_>, seek: &Seek<'_>) -> Result<Option<PathBuf>> {
    if let Some((path, _)) = own_list(look, seek)? {
        return Ok(Some(path));
    }
    let mut root = look.root.clone();
    for _ in 0..4 {
        for folder in super::label_names::of_lists(&root, &seek.files) {
            if let Some((path, _)) = own_list(&Look::at(&folder, &seek.files)?, seek)? {
                return Ok(Some(path));
            }
        }
        let look = Look::at(&root, &seek.files)?;
        let [one] = look.folders()[..] else { break };
        root = root.join(&one.real);
        if let Some((path, _)) = own_list(&Look::at(&root, &seek.files)?, seek)? {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// The folder of the split, here or below folders that hold one folder each; or all of it.
fn of_split(input: &Path, seek: &Seek<'_>) -> Result<PathBuf> {
    let mut root = input.to_owned();
    for _ in 0..12 {
        let look = Look::at(&root, &seek.files)?;
        if let Some(dir) = look.split(seek.part, true)? {
            return Ok(dir);
        }
        match (&look.folders()[..], look.images) {
            ([one], 0) => root = root.join(&one.real),
            _ => break,
        }
    }
    Ok(input.to_owned())
}

/// Files with these endings: the input, or in it, or in the only folder there that holds any.
fn files(input: &Path, look: Option<&Look<'_>>, extensions: &[&str], seek: &Seek<'_>) -> Result<Vec<PathBuf>> {
    let Some(look) = look else { return Ok(vec![input.to_owned()]) };
    let tars = extensions.contains(&"tar");
    if let (Some(original), true) = (original(input, seek), tars) {
        return Ok(vec![original]);
    }
    let here = look.ending(extensions, seek.part)?;
    if !here.is_empty() {
        return Ok(here);
    }
    let of_split = look.split(seek.part, true);
    let holding = look.dirs.iter().find(|d| d.holds == Holds::Archives && Part::of_folder(&d.name).is_none()).map(|d| input.join(&d.real));
    let below = match of_split {
        Ok(Some(dir)) => dir,
        of_split => match holding {
            Some(dir) => dir,
            None => of_split?.unwrap_or_else(|| input.to_owned()),
        },
    };
    let in_it = || Look::at(&below, &seek.files)?.ending(extensions, seek.part);
    let found = original(&below, seek).filter(|_| tars).map_or_else(in_it, |o| Ok(vec![o]))?;
    if found.is_empty() {
        return Err(Error::data(format!("no .{} files in it", extensions.join(" or .")))
            .at(input.display().to_string())
            .next("check --input and --source"));
    }
    Ok(found)
}
