//! WebDataset tars: `KEY.jpg` with its label in `KEY.cls` (a number or a name) or `KEY.json` (`label`).
//!
//! The parts of a sample share the key, which is the name up to the first dot behind the last `/`. They are paired within an archive, in
//! whatever order they lie there: zips are often sorted by type. A key that an archive has twice is an error that names both places; keys
//! that several archives use make records named by their archive. An image whose label is missing or makes no sense is a bad image.
//! Memory: the names of all members of one archive.

use super::arrange::{Found, shown};
use super::class_tar::is_label_file;
use super::container::{Archive, Member, hidden};
use super::resolve::{Names, Resolved, Row};
use super::splits::{Part, of_split};
use super::{Kind, Listing, Store, is_picture, stem};
use crate::error::{Error, Result};
use crate::text::counted;
use std::collections::HashMap;
use std::path::PathBuf;

const NEXT: &str = "give a folder of tars that hold KEY.jpg and KEY.cls";
/// Bytes of a label, and of a JSON object with more about the picture.
const MOST_CLS: u64 = 4096;
const MOST_JSON: u64 = 1 << 20;

const SECOND: &str = "a second image of the same key";

/// What the parts of one key come to.
#[derive(Default)]
struct Sample {
    pictures: Vec<Member>,
    /// The text of each label, empty where it makes no sense, and where it lies.
    cls: Option<(Option<String>, String)>,
    json: Option<(Option<String>, String)>,
}

impl Sample {
    /// Leaves out images such as `KEY.seg.png` beside `KEY.jpg`: masks and the like. Says how many.
    fn without_masks(&mut self) -> u64 {
        let plain = |m: &Member| !split_key(&m.name).1.contains('.');
        let before = self.pictures.len();
        if self.pictures.iter().filter(|m| plain(m)).count() == 1 {
            self.pictures.retain(plain);
            self.pictures.iter_mut().filter(|m| m.trouble.as_deref() == Some(SECOND)).for_each(|m| m.trouble = None);
        }
        (before - self.pictures.len()) as u64
    }
}

/// An image, its archive, and what its label says.
struct Image {
    member: Member,
    archive: u32,
    class: Option<String>,
}

/// Lists the samples of `archives`, in that order.
///
/// # Errors
/// `Data` when an archive is damaged, naming file and byte, has a key twice, a class number is not among the names, or there are no
/// pictures.
pub fn list(archives: Vec<PathBuf>, names: Option<&Names>, part: Part) -> Result<Listing> {
    let (mut images, mut notes, mut ignored, mut label_files) = (Vec::new(), Vec::new(), 0, 0);
    for (index, path) in archives.iter().enumerate() {
        let archive = Archive::open(path)?;
        let mut samples = Samples::default();
        notes.extend(archive.members(&mut |member| samples.add(&archive, member))?);
        ignored += samples.ignored;
        label_files += samples.label_files;
        let more: u64 = samples.all.iter_mut().map(Sample::without_masks).sum();
        if more > 0 {
            notes.push(format!(
                "{}: left out {}: parts of other samples (KEY.seg.png beside KEY.jpg)",
                path.display(),
                counted(more, "image")
            ));
        }
        images.extend(samples.all.into_iter().flat_map(|sample| {
            let class = sample.cls.and_then(|c| c.0).or(sample.json.and_then(|j| j.0));
            sample.pictures.into_iter().map(move |member| Image { member, archive: index as u32, class: class.clone() })
        }));
    }
    let origin = archives.first().cloned().unwrap_or_default();
    let all: Vec<&str> = images.iter().map(|i| i.member.name.as_str()).collect();
    if let Some(taken) = of_split(&all, part, &origin.display().to_string())? {
        let left_out = taken.iter().filter(|t| !**t).count();
        if left_out > 0 {
            notes.push(format!("{} of other splits left out", counted(left_out as u64, "image")));
        }
        let mut taken = taken.into_iter();
        images.retain(|_| taken.next() == Some(true));
    }
    notes.extend(keys_of_several(&mut images, &archives)?);
    let (labelled, mut unlabelled): (Vec<Image>, Vec<Image>) = images.into_iter().partition(|i| i.class.is_some());
    let row = |i: &Image| Row { line: None, picture: i.member.name.clone(), class: i.class.clone().unwrap_or_default() };
    let resolved = Resolved::new(&labelled.iter().map(row).collect::<Vec<_>>(), names, &origin)?;
    let mut found = Found::with_classes(&resolved.classes);
    (found.ignored, found.label_files, found.notes) = (ignored, label_files, notes);
    found.notes.extend(resolved.notes);
    for (image, class) in labelled.into_iter().zip(&resolved.labels) {
        match class {
            Some(class) => found.add(*class, &image.member.name, image.member.place(image.archive), image.member.trouble),
            None => unlabelled.push(image),
        }
    }
    for Image { member, archive, .. } in unlabelled {
        let trouble = member.trouble.clone().unwrap_or_else(|| "no label (KEY.cls, or \"label\" in KEY.json), or one below 0".to_owned());
        found.add_without_class(&member.name, member.place(archive), trouble);
    }
    found.arrange(Kind::Webdataset, Store::new(PathBuf::new(), archives), resolved.numbered, &origin.display().to_string(), NEXT)
}

/// The samples of one archive, in the order of their first parts.
#[derive(Default)]
struct Samples {
    all: Vec<Sample>,
    by_key: HashMap<String, usize>,
    ignored: u64,
    label_files: usize,
}

impl Samples {
    fn add(&mut self, archive: &Archive, member: Member) -> Result<()> {
        if hidden(&member.name) {
            return Ok(());
        }
        let (key, extension) = split_key(&member.name);
        let extension = extension.to_ascii_lowercase();
        let label = matches!(extension.as_str(), "cls" | "json");
        if !label && !is_picture(&member.name) || label && member.trouble.is_some() {
            self.ignored += 1;
            self.label_files += usize::from(is_label_file(&member.name));
            return Ok(());
        }
        let index = *self.by_key.entry(key.to_owned()).or_insert(self.all.len());
        if index == self.all.len() {
            self.all.push(Sample::default());
        }
        let Some(sample) = self.all.get_mut(index) else { return Ok(()) };
        let place = archive.place(&member);
        let twice = |before: &str| {
            Err(Error::data(format!("the key {} is there twice: {before}, and {} at {place}", shown(key), shown(&member.name)))
                .at(archive.path().display().to_string())
                .because("two samples of one key in one archive: which label is whose cannot be told")
                .next("write the archive anew with a key for each sample"))
        };
        match extension.as_str() {
            "cls" => {
                if let Some((_, before)) = &sample.cls {
                    return twice(before);
                }
                let text = String::from_utf8(archive.content(&member, MOST_CLS)?).ok();
                let text = text.map(|t| t.trim_start_matches('\u{feff}').trim().to_owned()).filter(|t| !t.is_empty() && !t.contains('/'));
                sample.cls = Some((text, place));
            }
            "json" => {
                if let Some((_, before)) = &sample.json {
                    return twice(before);
                }
                let json: Option<serde_json::Value> = serde_json::from_slice(&archive.content(&member, MOST_JSON)?).ok();
                let text = json.and_then(|j| match j.get("label")? {
                    serde_json::Value::Number(n) => Some(n.to_string()),
                    serde_json::Value::String(s) => Some(s.clone()).filter(|s| !s.is_empty() && !s.contains('/')),
                    _ => None,
                });
                sample.json = Some((text, place));
            }
            _ => {
                if let Some(before) = sample.pictures.iter().find(|p| p.name == member.name) {
                    return twice(&archive.place(before));
                }
                let mut member = member;
                if !sample.pictures.is_empty() {
                    member.trouble = Some(SECOND.to_owned());
                }
                sample.pictures.push(member);
            }
        }
        Ok(())
    }
}

/// Where several archives use a name, images are named by their archives too.
///
/// # Errors
/// `Usage` where an archive has the samples of another one: a copy.
fn keys_of_several(images: &mut [Image], archives: &[PathBuf]) -> Result<Option<String>> {
    let mut first: HashMap<&str, (u32, u64)> = HashMap::new();
    // For each archive: its images, how many of them an earlier one has by name and size, and that one.
    let mut same = vec![(0u64, 0u64, 0u32); archives.len()];
    let mut again = Vec::new();
    for (i, image) in images.iter().enumerate() {
        let (archive, len) = (image.archive, image.member.len);
        let (before, before_len) = *first.entry(&image.member.name).or_insert((archive, len));
        let Some(counts) = same.get_mut(archive as usize) else { continue };
        counts.0 += 1;
        if before != archive {
            again.push(i);
            if before_len == len {
                (counts.1, counts.2) = (counts.1 + 1, before);
            }
        }
    }
    let path = |archive: u32| archives.get(archive as usize).map_or_else(String::new, |p| p.display().to_string());
    let names: std::collections::HashSet<String> = again.iter().map(|&i| images[i].member.name.clone()).collect();
    let Some(&example) = again.first() else { return Ok(None) };
    if let Some(copy) = same.iter().position(|(images, alike, _)| *images > 0 && images == alike) {
        let (copy, of) = (path(copy as u32), path(same[copy].2));
        return Err(Error::usage(format!("the samples of {copy} are those of {of}, by their names and sizes"))
            .because("a second copy of an archive: its images would count twice")
            .next(format!("cmp '{copy}' '{of}' && rm '{copy}'; or write one of them anew with other keys")));
    }
    let note = format!(
        "{} keys are used by several archives, such as {} again in {}: these records are named ARCHIVE/KEY",
        names.len(),
        shown(&images[example].member.name),
        path(images[example].archive)
    );
    for image in images.iter_mut().filter(|i| names.contains(&i.member.name)) {
        let archive = path(image.archive);
        image.member.name = format!("{}/{}", stem(&archive), image.member.name);
    }
    Ok(Some(note))
}

/// The key, which includes the folders, and the rest of the name.
fn split_key(name: &str) -> (&str, &str) {
    let last = name.rfind('/').map_or(0, |i| i + 1);
    let dot = name[last..].find('.').map_or(name.len(), |i| last + i);
    (&name[..dot], name.get(dot + 1..).unwrap_or(""))
}
