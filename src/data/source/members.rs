//! Members of archives as unpacking leaves them: the last of two of one name, and links that lead to another member. And one member of an
//! archive that is read by its path, as `--labels data.zip/labels.csv` says.

use super::arrange::shown;
use super::container::{ABSOLUTE, Archive, LINK, Member, hidden, is_archive};
use super::is_picture;
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

/// Links that lead to links.
const MOST_LINKS: usize = 8;

/// Leaves the last of those that have one name in one archive; `members` are sorted by name, those of one name as they lie there.
pub fn last_of_each(members: &mut Vec<(Member, u32)>) -> Option<String> {
    let twice = |a: &(Member, u32), b: &(Member, u32)| a.1 == b.1 && a.0.name == b.0.name;
    let example = members.windows(2).find(|w| twice(&w[0], &w[1])).map(|w| w[0].0.name.clone())?;
    let before = members.len();
    let mut kept: Vec<(Member, u32)> = Vec::with_capacity(before);
    for one in members.drain(..) {
        match kept.last_mut().filter(|last| twice(last, &one)) {
            Some(last) => *last = one,
            None => kept.push(one),
        }
    }
    *members = kept;
    Some(format!(
        "{} members are in an archive a second time, such as {}: the last of each counts, as unpacking leaves it",
        before - members.len(),
        shown(&example)
    ))
}

/// Gives links to members of the same archive what these hold, and links to folders all that lies in those. Others keep their trouble; says
/// how many of these may have been folders.
pub fn follow(members: &mut Vec<(Member, u32)>) -> Option<String> {
    let links: Vec<usize> = (0..members.len()).filter(|&i| members[i].0.link.is_some()).collect();
    for i in links {
        let archive = members[i].1;
        let mut at = i;
        for _ in 0..MOST_LINKS {
            let Some(target) = members[at].0.link.clone() else { break };
            let from = members.partition_point(|(m, _)| *m.name < *target);
            let same = members[from..].iter().take_while(|(m, _)| m.name == target).position(|(_, a)| *a == archive);
            let Some(next) = same.map(|s| from + s).filter(|&n| n != at) else { break };
            at = next;
        }
        if at != i && members[at].0.link.is_none() {
            let (stored, len, trouble) = (members[at].0.stored, members[at].0.len, members[at].0.trouble.clone());
            let member = &mut members[i].0;
            (member.stored, member.len, member.trouble, member.link) = (stored, len, trouble, None);
        }
    }
    let mut more = Vec::new();
    let mut nowhere: Vec<&str> = Vec::new();
    for (link, archive) in members.iter().filter(|(m, _)| m.trouble.as_deref() == Some(LINK)) {
        let Some(to) = &link.link else {
            if !is_picture(&link.name) {
                nowhere.push(&link.name);
            }
            continue;
        };
        let below = format!("{to}/");
        let from = members.partition_point(|(m, _)| *m.name < *below);
        let inside = members[from..].iter().take_while(|(m, _)| m.name.starts_with(&below)).filter(|(_, a)| a == archive);
        let before = more.len();
        if !link.name.starts_with(&below) {
            let renamed = |m: &Member| Member { name: format!("{}/{}", link.name, &m.name[below.len()..]), ..m.clone() };
            more.extend(inside.filter(|(m, _)| m.link.is_none()).map(|(m, a)| (renamed(m), *a)));
        }
        if more.len() == before && !is_picture(&link.name) {
            nowhere.push(&link.name);
        }
    }
    let note = nowhere
        .first()
        .map(|first| format!("{} links to what is not in the archive (or in a zip) are left out, such as {}", nowhere.len(), shown(first)));
    if !more.is_empty() {
        members.extend(more);
        members.sort_by(|a, b| a.0.name.cmp(&b.0.name));
    }
    note
}

/// Names that begin with `/`, where all images have such, as of `tar -P`: they are what unpacking makes of them.
pub fn absolute_names(members: &mut Vec<(Member, u32)>, outside: &mut Vec<(Member, u32)>) -> Option<String> {
    if members.iter().any(|(m, _)| is_picture(&m.name)) {
        return None;
    }
    let (absolute, others): (Vec<_>, Vec<_>) = std::mem::take(outside)
        .into_iter()
        .partition(|(m, _)| m.trouble.as_deref() == Some(ABSOLUTE) && m.name.split('/').all(|p| p != ".."));
    *outside = others;
    if absolute.is_empty() {
        return None;
    }
    members.extend(absolute.into_iter().map(|(m, archive)| (Member { trouble: None, ..m }, archive)));
    Some("the paths in the archive are absolute; the / at their front is left out, as tar and unzip do".to_owned())
}

/// Names with `\` between folders, as some programs for Windows write them, where all images have them.
pub fn windows_names(members: &mut Vec<(Member, u32)>, outside: &mut Vec<(Member, u32)>) -> Option<String> {
    let mut images = members.iter().filter(|(m, _)| is_picture(&m.name)).peekable();
    if images.peek().is_none() || !images.all(|(m, _)| m.name.rsplit('/').next().unwrap_or("").contains('\\')) {
        return None;
    }
    for (member, _) in members.iter_mut() {
        let name = member.name.replace('\\', "/");
        (member.name, member.trouble) = match super::container::clean(name.as_bytes()) {
            (name, None) => (name, member.trouble.take()),
            (name, wrong) => (name, wrong),
        };
    }
    let (out, kept): (Vec<_>, Vec<_>) = std::mem::take(members).into_iter().partition(|(m, _)| m.name.split('/').any(|p| p == ".."));
    *members = kept;
    outside.extend(out);
    members.retain(|(m, _)| !hidden(&m.name));
    Some("the names in the archive have \\ between folders, as Windows writes them; it is taken for /".to_owned())
}

/// The archive that a path leads into, on the disk.
fn above(path: &Path) -> Option<(&Path, PathBuf)> {
    let archive = path.ancestors().skip(1).find(|p| p.exists()).filter(|p| p.is_file())?;
    Some((archive, path.strip_prefix(archive).ok()?.to_owned()))
}

/// The bytes of a member by its path.
///
/// # Errors
/// `Data`, with members that may be meant, where it is not there.
pub fn read(path: &Path, most: u64) -> Result<Vec<u8>> {
    let Some((at, inside)) = above(path) else {
        return Err(Error::data("no such file").at(path.display().to_string()).next("check the path"));
    };
    let archive = Archive::open(at)?;
    let (mut found, mut texts): (Option<Member>, Vec<String>) = (None, Vec::new());
    let wanted = inside.to_string_lossy();
    archive.members(&mut |member| {
        if looks_like_text(&member.name) && texts.len() < 6 {
            texts.push(shown(&member.name));
        }
        if member.name == wanted {
            found = Some(member);
        }
        Ok(())
    })?;
    match found {
        Some(member) => archive.content(&member, most),
        None => Err(Error::data(format!("no member {} in the archive", shown(&wanted)))
            .at(at.display().to_string())
            .because(if texts.is_empty() { "it holds no label files".to_owned() } else { format!("its texts are {}", texts.join(", ")) })
            .next(texts.first().map_or("check the path".to_owned(), |t| format!("{}/{t}, if that is meant", at.display())))),
    }
}

/// An archive that was given as a label file: which of its members may be meant.
pub fn archive_as_text(path: &Path) -> Option<Error> {
    if !path.is_file() || !is_archive(&path.to_string_lossy()) || path.to_string_lossy().contains("devkit") {
        return None;
    }
    let archive = match Archive::open(path) {
        Ok(archive) => archive,
        Err(e) => return Some(e),
    };
    let kind = if matches!(archive, Archive::Tar(_)) { "tar" } else { "zip" };
    let mut texts = Vec::new();
    let read = archive.members(&mut |member| {
        if looks_like_text(&member.name) && texts.len() < 6 {
            texts.push(member.name);
        }
        Ok(())
    });
    if read.is_err() && texts.is_empty() {
        return None;
    }
    let which: Vec<String> = texts.iter().map(|t| format!("{}/{}", path.display(), shown(t))).collect();
    Some(
        Error::usage(format!("a {kind}, not a label file"))
            .at(path.display().to_string())
            .because(if which.is_empty() { "it holds no texts".to_owned() } else { format!("it holds {} texts or more", which.len()) })
            .next(if which.is_empty() { "give the label file itself".to_owned() } else { which.join(", or ") }),
    )
}

fn looks_like_text(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    [".csv", ".tsv", ".txt", ".json", ".jsonl", ".lst"].iter().any(|e| lower.ends_with(e)) && !hidden(name)
}
