//! WebDataset tars: `KEY.jpg` with its label in `KEY.cls` (a number or a name) or `KEY.json` (`label`).
//!
//! The parts of a sample follow each other and share the key, which is the name up to the first dot behind the last `/`. A picture whose
//! label is missing or makes no sense is a bad picture; so is a second one of the same key.

use super::arrange::Found;
use super::container::{Archive, Member, hidden};
use super::resolve::{Names, Resolved, Row};
use super::splits::{Part, of_split};
use super::{Kind, Listing, Store, is_picture};
use crate::error::Result;
use std::path::PathBuf;

const NEXT: &str = "give a folder of tars that hold KEY.jpg and KEY.cls";
/// Bytes of a label, and of a JSON object with more about the picture.
const MOST_CLS: u64 = 4096;
const MOST_JSON: u64 = 1 << 20;

#[derive(Default)]
struct Sample {
    key: String,
    pictures: Vec<Member>,
    cls: Option<String>,
    json: Option<String>,
}

/// Lists the samples of `archives`, in that order.
///
/// # Errors
/// `Data` when an archive is damaged, naming file and byte, a class number is not among the names, or there are no pictures.
pub fn list(archives: Vec<PathBuf>, names: Option<&Names>, part: Part) -> Result<Listing> {
    let (mut rows, mut pictures, mut unlabelled, mut ignored) = (Vec::new(), Vec::new(), Vec::new(), 0);
    let mut notes = Vec::new();
    for (index, path) in archives.iter().enumerate() {
        let archive = Archive::open(path)?;
        let mut sample = Sample::default();
        let index = index as u32;
        let mut close = |sample: Sample| {
            let class = sample.cls.or(sample.json);
            for (n, mut member) in sample.pictures.into_iter().enumerate() {
                if n > 0 {
                    member.trouble = Some("a second picture of the same key".to_owned());
                }
                match &class {
                    Some(class) => {
                        rows.push(Row { line: None, picture: member.name.clone(), class: class.clone() });
                        pictures.push((member, index));
                    }
                    None => unlabelled.push((member, index)),
                }
            }
        };
        let seen = archive.members(&mut |member| {
            if hidden(&member.name) {
                return Ok(());
            }
            let (key, extension) = split_key(&member.name);
            if sample.key != key {
                let key = key.to_owned();
                close(std::mem::replace(&mut sample, Sample { key, ..Sample::default() }));
            }
            match extension.to_ascii_lowercase().as_str() {
                "cls" if member.trouble.is_none() => {
                    let text = archive.content(&member, MOST_CLS)?;
                    sample.cls = String::from_utf8(text)
                        .ok()
                        .map(|t| t.trim_start_matches('\u{feff}').trim().to_owned())
                        .filter(|t| !t.is_empty() && !t.contains('/'));
                }
                "json" if member.trouble.is_none() => {
                    let json: Option<serde_json::Value> = serde_json::from_slice(&archive.content(&member, MOST_JSON)?).ok();
                    sample.json = json.and_then(|j| match j.get("label")? {
                        serde_json::Value::Number(n) => Some(n.to_string()),
                        serde_json::Value::String(s) => Some(s.clone()).filter(|s| !s.is_empty() && !s.contains('/')),
                        _ => None,
                    });
                }
                _ if is_picture(&member.name) => sample.pictures.push(member),
                _ => ignored += 1,
            }
            Ok(())
        })?;
        notes.extend(seen);
        close(sample);
    }
    let origin = archives.first().cloned().unwrap_or_default();
    let all: Vec<&str> = pictures.iter().chain(&unlabelled).map(|(m, _): &(Member, u32)| m.name.as_str()).collect();
    if let Some(taken) = of_split(&all, part, &origin.display().to_string())? {
        let left_out = taken.iter().filter(|t| !**t).count();
        if left_out > 0 {
            notes.push(format!("{left_out} images of other splits are left out"));
        }
        let mut keep = taken.iter();
        let mut of_part = || keep.next().copied().unwrap_or(true);
        let kept: Vec<bool> = pictures.iter().map(|_| of_part()).collect();
        unlabelled.retain(|_| of_part());
        let (mut a, mut b) = (kept.iter(), kept.iter());
        rows.retain(|_| a.next() == Some(&true));
        pictures.retain(|_| b.next() == Some(&true));
    }
    let resolved = Resolved::new(&rows, names, &origin)?;
    let mut found = Found::with_classes(&resolved.classes);
    (found.ignored, found.notes) = (ignored, notes);
    found.notes.extend(resolved.notes);
    for ((member, archive), class) in pictures.into_iter().zip(&resolved.labels) {
        match class {
            Some(class) => found.add(*class, &member.name, member.place(archive), member.trouble),
            None => unlabelled.push((member, archive)),
        }
    }
    for (member, archive) in unlabelled {
        let trouble = member.trouble.clone().unwrap_or_else(|| "no label (KEY.cls, or \"label\" in KEY.json), or one below 0".to_owned());
        found.add_without_class(&member.name, member.place(archive), trouble);
    }
    found.arrange(Kind::Webdataset, Store::new(PathBuf::new(), archives), resolved.numbered, &origin.display().to_string(), NEXT)
}

/// The key, which includes the folders, and the rest of the name.
fn split_key(name: &str) -> (&str, &str) {
    let last = name.rfind('/').map_or(0, |i| i + 1);
    let dot = name[last..].find('.').map_or(name.len(), |i| last + i);
    (&name[..dot], name.get(dot + 1..).unwrap_or(""))
}
