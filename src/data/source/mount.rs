//! Files by path, wherever they lie: on the disk, or in archives that are looked into as if they were unpacked. So one set of rules reads
//! the layouts of folders, tars and zips, and the same tree gives the same records in each form.
//!
//! An archive is mounted at its own path: `PATH/data.zip/train/cat/0.jpg` is its member `train/cat/0.jpg`. The parts of a dataset that was
//! packed into several archives are mounted together at the folder in which they lie, or each as a folder of its own; label files beside them
//! are still found on the disk. A member of one of several is also called by its archive: `PATH/part1.tar/labels.csv`. Of two members of one
//! name in one archive the last counts, as unpacking leaves it.
//! Costs one pass over the headers, and the names of all members in memory, sorted; a folder is found by binary search.

use super::container::{Archive, Member, hidden};
use super::image_folder::{self, Child};
use super::labels;
use super::layout::Holds;
use super::looking;
use super::members;
use super::peek::holds_images;
use super::{Place, Store, is_picture, stem};
use crate::error::{Error, Result};
use crate::text::count;
use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

/// Notes of archives that are alike are not repeated for each of them.
const MOST_NOTES: usize = 8;
const NEXT: &str = "unpack the outer archive and give the folder that it makes";

/// The disk, and what is mounted.
#[derive(Default)]
pub struct Files(Option<Mount>);

struct Mount {
    at: PathBuf,
    archives: Vec<PathBuf>,
    /// Each archive is a folder of its own, called as it is without its ending.
    apart: bool,
    /// Sorted by name; of two of one name the first in the archives comes first.
    members: Vec<(Member, u32)>,
    /// All folders, without `/` at their end.
    folders: BTreeSet<String>,
    /// Members whose names lead out of the archive or are no text: they have no place in the tree.
    outside: Vec<(Member, u32)>,
    notes: Vec<String>,
    /// A tar inside one of them holds images.
    tars: bool,
}

impl Files {
    /// Mounts `archives` at `at`.
    ///
    /// # Errors
    /// `Data` when one is damaged, naming file and byte, or archives inside hold more than the images beside them.
    pub fn mount(at: &Path, archives: Vec<PathBuf>) -> Result<Self> {
        Self::mounted_as(at, archives, false)
    }

    /// As [`Files::mount`], each archive as a folder of its own.
    ///
    /// # Errors
    /// As [`Files::mount`].
    pub fn mount_apart(at: &Path, archives: Vec<PathBuf>) -> Result<Self> {
        Self::mounted_as(at, archives, true)
    }

    fn mounted_as(at: &Path, archives: Vec<PathBuf>, apart: bool) -> Result<Self> {
        let mut mount = Mount {
            at: at.to_owned(),
            archives: Vec::new(),
            apart,
            members: Vec::new(),
            folders: BTreeSet::new(),
            outside: Vec::new(),
            notes: Vec::new(),
            tars: false,
        };
        let mut unread: Vec<Member> = Vec::new();
        for (index, path) in archives.iter().enumerate() {
            let archive = Archive::open(path)?;
            let folder = if apart { format!("{}/", stem(&path.to_string_lossy())) } else { String::new() };
            let said = archive.members_and_folders(&mut |mut member| {
                mount.tars = mount.tars || holds_images(&archive, &member);
                if apart && !member.outside {
                    member.name.insert_str(0, &folder);
                }
                mount.add(member, index as u32, &mut unread);
                Ok(())
            })?;
            mount.notes.extend(said);
        }
        mount.archives = archives;
        if !mount.tars {
            mount.finish(&unread)?;
        }
        Ok(Self(Some(mount)))
    }

    pub fn archived(&self) -> bool {
        self.0.is_some()
    }

    /// Whether a tar inside one of the archives holds images. It is not mounted then.
    pub fn tars(&self) -> bool {
        self.0.as_ref().is_some_and(|m| m.tars)
    }

    /// What a user should know of the archives.
    pub fn notes(&self) -> &[String] {
        self.0.as_ref().map_or(&[], |m| &m.notes)
    }

    /// Members that have no place in the tree, and why.
    pub fn outside(&self) -> impl Iterator<Item = (&str, Place, String)> {
        let all = self.0.iter().flat_map(|m| &m.outside);
        all.map(|(m, archive)| (m.name.as_str(), m.place(*archive), m.trouble.clone().unwrap_or_default()))
    }

    /// The members of the archives, by name.
    pub fn members(&self) -> &[(Member, u32)] {
        self.0.as_ref().map_or(&[], |m| &m.members)
    }

    /// The content of a small member.
    ///
    /// # Errors
    /// `Data` when it is larger than `most` bytes or cannot be read.
    pub fn content(&self, member: &Member, archive: u32, most: u64) -> Result<Vec<u8>> {
        let path = self.0.as_ref().and_then(|m| m.archives.get(archive as usize));
        let path = path.ok_or_else(|| Error::data(format!("{}: no such archive", member.name)))?;
        Archive::open(path)?.content(member, most)
    }

    pub fn is_dir(&self, path: &Path) -> bool {
        match self.mounted(path) {
            Some((mount, name, _)) => name.is_empty() || mount.folders.contains(&name) || path.is_dir(),
            None => path.is_dir(),
        }
    }

    /// A file that is a member, or lies on the disk.
    pub fn is_file(&self, path: &Path) -> bool {
        self.mounted(path).is_some_and(|(mount, name, of)| mount.find(&name, of).is_some()) || path.is_file()
    }

    pub fn exists(&self, path: &Path) -> bool {
        self.is_dir(path) || self.is_file(path) || path.exists()
    }

    /// What lies in a folder, without names that begin with a dot.
    ///
    /// # Errors
    /// `Data` when it cannot be read.
    pub fn children(&self, dir: &Path) -> Result<Vec<Child>> {
        let Some((mount, name, _)) = self.mounted(dir) else { return image_folder::children(dir) };
        let below = if name.is_empty() { String::new() } else { format!("{name}/") };
        let child = |name: &str, is_dir| Child { name: name.to_owned(), real: name.into(), utf8: true, is_dir };
        let mut found = Vec::new();
        let mut at = below.clone();
        while let Some(rest) = mount.folders.range(at.clone()..).next().and_then(|f| f.strip_prefix(below.as_str())) {
            at = match rest.split_once('/') {
                Some((first, _)) => format!("{below}{first}0"), // the character after `/`: past all that lies in it
                None => {
                    found.push(child(rest, true));
                    format!("{below}{rest}\0")
                }
            };
        }
        let mut i = mount.members.partition_point(|(m, _)| *m.name < *below);
        while let Some(rest) = mount.members.get(i).and_then(|(m, _)| m.name.strip_prefix(below.as_str())) {
            match rest.split_once('/') {
                Some((folder, _)) => {
                    let past = format!("{below}{folder}0");
                    i = mount.members.partition_point(|(m, _)| *m.name < *past).max(i + 1);
                }
                None => {
                    if found.last().is_none_or(|c: &Child| c.is_dir || c.name != rest) {
                        found.push(child(rest, false));
                    }
                    i += 1;
                }
            }
        }
        Ok(found)
    }

    /// What a folder holds.
    pub fn holds(&self, dir: &Path) -> Holds {
        let Some((mount, name, _)) = self.mounted(dir) else { return looking::holds(dir, 0) };
        let below = if name.is_empty() { name } else { format!("{name}/") };
        let (mut i, mut found) = (mount.members.partition_point(|(m, _)| *m.name < *below), Holds::Nothing);
        while let Some(rest) = mount.members.get(i).and_then(|(m, _)| m.name.strip_prefix(below.as_str())) {
            match rest.split_once('/') {
                None if is_picture(rest) => return Holds::Images,
                // Past all that lies in a folder with images.
                Some((folder, file)) if is_picture(file) => {
                    found = Holds::Below;
                    let past = format!("{below}{folder}0");
                    i = mount.members.partition_point(|(m, _)| *m.name < *past).max(i + 1);
                    continue;
                }
                _ => {}
            }
            i += 1;
        }
        found
    }

    /// Calls `each` for every file below `root`, at any depth: its path from there, its place, and why it cannot be used if so.
    ///
    /// # Errors
    /// `Data` when a folder cannot be read.
    pub fn walk(&self, root: &Path, each: &mut dyn FnMut(&str, Place, Option<String>)) -> Result<()> {
        let Some((mount, name, _)) = self.mounted(root) else {
            return image_folder::walk(root, &mut |path, trouble| each(path, Place::File(path.into()), trouble));
        };
        let below = if name.is_empty() { name } else { format!("{name}/") };
        let from = mount.members.partition_point(|(m, _)| *m.name < *below);
        for (member, archive) in &mount.members[from..] {
            let Some(path) = member.name.strip_prefix(below.as_str()) else { break };
            each(path, member.place(*archive), member.trouble.clone());
        }
        Ok(())
    }

    /// As [`Files::walk`], of one folder in `root`; paths begin with its name.
    ///
    /// # Errors
    /// As [`Files::walk`].
    pub fn walk_folder(&self, root: &Path, folder: &Child, each: &mut dyn FnMut(&str, Place, Option<String>)) -> Result<()> {
        if self.mounted(root).is_none() {
            return image_folder::walk_folder(root, folder, &mut |path, trouble| each(path, Place::File(path.into()), trouble));
        }
        self.walk(&root.join(&folder.real), &mut |path, place, trouble| each(&format!("{}/{path}", folder.name), place, trouble))
    }

    /// Where the file at `path` below `base` lies, and why it cannot be used if so.
    pub fn place(&self, base: &Path, path: &str) -> (Place, Option<String>) {
        let found = self.mounted(&base.join(path)).and_then(|(mount, name, of)| mount.find(&name, of));
        match found {
            Some((member, archive)) => (member.place(*archive), member.trouble.clone()),
            None if self.archived() => (Place::File(path.into()), Some("no such file in the archive".to_owned())),
            None => (Place::File(path.into()), None),
        }
    }

    /// What reads the places of files below `root`.
    pub fn store(&self, root: &Path) -> Store {
        match &self.0 {
            Some(mount) => Store::new(PathBuf::new(), mount.archives.clone()),
            None => Store::new(root.to_owned(), Vec::new()),
        }
    }

    /// A whole file of at most `most` bytes.
    ///
    /// # Errors
    /// `Data` when it is larger or cannot be read.
    pub fn read(&self, path: &Path, most: u64) -> Result<Vec<u8>> {
        let found = self.mounted(path).and_then(|(mount, name, of)| mount.find(&name, of).map(|m| (m, of)));
        match found {
            // Beside several archives, a path that names none of them is of the disk, if it is there.
            Some((_, None)) if self.several() && path.is_file() => labels::read_limited(path, most),
            Some(((member, archive), _)) => self.content(member, *archive, most),
            None if !path.exists() => members::read(path, most),
            None => labels::read_limited(path, most),
        }
    }

    fn several(&self) -> bool {
        self.0.as_ref().is_some_and(|m| m.archives.len() > 1)
    }

    /// The files at a path, where several archives may have one each: on the disk, and by their archives.
    pub fn all_of(&self, path: &Path) -> Vec<PathBuf> {
        let Some((mount, name, None)) = self.mounted(path).filter(|_| self.several()) else { return vec![path.to_owned()] };
        let on_disk = path.is_file().then(|| path.to_owned());
        let inside = |archive: u32| -> Option<PathBuf> {
            let file = mount.archives.get(archive as usize)?.file_name()?;
            let name = if mount.apart { name.split_once('/').map_or("", |(_, rest)| rest) } else { &name };
            Some(mount.at.join(file).join(name))
        };
        on_disk.into_iter().chain(mount.all(&name).iter().filter_map(|(_, archive)| inside(*archive))).collect()
    }

    /// Where the archives are mounted.
    pub fn mounted_at(&self) -> Option<&Path> {
        self.0.as_ref().map(|m| m.at.as_path())
    }

    /// Which of several archives a path names.
    pub fn archive_of(&self, path: &Path) -> Option<u32> {
        self.mounted(path).and_then(|(.., archive)| archive)
    }

    /// The path of a member without its archive, where it is called by that.
    pub fn logical(&self, path: &Path) -> PathBuf {
        match self.mounted(path) {
            Some((mount, name, Some(_))) => mount.at.join(name),
            _ => path.to_owned(),
        }
    }

    /// The mount that a path leads into, the path within it, and the archive if the path names one of several.
    fn mounted(&self, path: &Path) -> Option<(&Mount, String, Option<u32>)> {
        let mount = self.0.as_ref()?;
        let mut parts: Vec<&str> = Vec::new();
        for part in path.strip_prefix(&mount.at).ok()?.components() {
            match part {
                Component::Normal(part) => parts.push(part.to_str()?),
                Component::ParentDir => {
                    parts.pop()?;
                }
                _ => {}
            }
        }
        let called = |p: &PathBuf| p.file_name().and_then(|n| n.to_str()) == parts.first().copied();
        let archive = if mount.archives.len() > 1 { mount.archives.iter().position(called) } else { None };
        match (archive, mount.apart) {
            (Some(_), true) => parts[0] = stem(parts[0]),
            (Some(_), false) => drop(parts.remove(0)),
            (None, _) => {}
        }
        Some((mount, parts.join("/"), archive.map(|a| a as u32)))
    }
}

impl Mount {
    fn add(&mut self, mut member: Member, archive: u32, unread: &mut Vec<Member>) {
        if hidden(&member.name) {
            return;
        }
        if member.folder {
            if member.trouble.is_none() {
                self.folders.insert(member.name);
            }
        } else if member.is_archive() && !member.name.to_ascii_lowercase().contains("devkit") {
            unread.push(member);
        } else {
            member.name.shrink_to_fit();
            let to = if member.outside { &mut self.outside } else { &mut self.members };
            to.push((member, archive));
        }
    }

    fn finish(&mut self, unread: &[Member]) -> Result<()> {
        self.notes.extend(members::absolute_names(&mut self.members, &mut self.outside));
        if let Some(note) = members::windows_names(&mut self.members, &mut self.outside) {
            self.folders.clear();
            self.notes.push(note);
        }
        self.members.sort_by(|a, b| a.0.name.cmp(&b.0.name));
        self.notes.extend(members::last_of_each(&mut self.members));
        self.notes.extend(members::follow(&mut self.members));
        let mut last = "";
        for (member, _) in &self.members {
            let Some((folder, _)) = member.name.rsplit_once('/') else { continue };
            if folder != last {
                last = folder;
                self.folders.insert(folder.to_owned());
            }
        }
        let above: Vec<String> = self.folders.iter().flat_map(|f| f.match_indices('/').map(|(i, _)| f[..i].to_owned())).collect();
        self.folders.extend(above);
        if let Some(first) = unread.first() {
            let what = format!("{} archives inside that are not read, such as {}", unread.len(), first.name);
            let inside: u64 = unread.iter().map(|m| m.len).sum();
            let images: u64 = self.members.iter().filter(|(m, _)| is_picture(&m.name)).map(|(m, _)| m.len).sum();
            if inside > images {
                return Err(Error::data(format!("{what}: {inside} bytes, and {images} in images outside them"))
                    .at(self.at.display().to_string())
                    .because("of archives in archives, only tars in a tar can be read in place")
                    .next(NEXT));
            }
            self.notes.push(what);
        }
        let more = self.notes.len().saturating_sub(MOST_NOTES);
        self.notes.truncate(MOST_NOTES);
        if more > 0 {
            self.notes.push(format!("and {} more of this kind", count(more as u64)));
        }
        Ok(())
    }

    /// All members of a name, one of each archive.
    fn all(&self, name: &str) -> &[(Member, u32)] {
        let at = self.members.partition_point(|(m, _)| *m.name < *name);
        let end = at + self.members[at..].iter().take_while(|(m, _)| m.name == name).count();
        &self.members[at..end]
    }

    /// The member of a name, rather that of this archive.
    fn find(&self, name: &str, archive: Option<u32>) -> Option<&(Member, u32)> {
        let all = self.all(name);
        all.iter().find(|(_, a)| archive == Some(*a)).or(all.first())
    }
}
