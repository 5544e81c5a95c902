//! The one rule by which records are named, whatever they are read from: `<class>/<path below the class's folder>`.
//!
//! - Where every path has its class as a folder at the same depth (the first such depth), the name is what follows that folder.
//!   Otherwise the folders that all paths have in common are left out.
//! - `.JPEG`, `.jpeg`, `.JPG` and the like are `.jpg`, other extensions are lower-case: types are found by content, and a WebDataset
//!   writes `.jpg` whatever the file was called. A `_<class>` at the end is left out where the class is a WordNet id: Hugging Face adds it.
//! - Where two records of different paths would share a name, both keep theirs as written; where they still do, their whole paths.
//!
//! Cost: one pass over the paths and one sort; a second sort only where names meet.

use super::SourceFile;
use super::arrange::is_wnid;
use super::split_extension;

/// The label of an image that has no class.
pub const NO_CLASS: u32 = u32::MAX;

/// How much of its path a record keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Form {
    Usual,
    AsWritten,
    Whole,
}

/// Replaces the paths of `files` by the names of their records, and sorts by them. Two of one name are left only where two paths of one
/// class are the same; they keep their order.
pub fn name_records(files: Vec<SourceFile>, classes: &[String]) -> Vec<SourceFile> {
    let files: Vec<SourceFile> = files.into_iter().map(|f| SourceFile { path: clean(&f.path).unwrap_or(f.path), ..f }).collect();
    let skip = folders_to_skip(&files, classes);
    let name = |file: &SourceFile, form: Form| -> String {
        let Some(class) = classes.get(file.label as usize) else { return file.path.clone() };
        let below = if form == Form::Whole { &file.path } else { below(&file.path, skip) };
        if form == Form::Usual { format!("{class}/{}", usual(below, class)) } else { format!("{class}/{below}") }
    };
    let mut named: Vec<(String, Form, SourceFile)> = files.into_iter().map(|f| (name(&f, Form::Usual), Form::Usual, f)).collect();
    loop {
        // What has no class comes last, so that it takes no name from what has one.
        named.sort_by(|a, b| a.0.as_bytes().cmp(b.0.as_bytes()).then((a.2.label == NO_CLASS).cmp(&(b.2.label == NO_CLASS))));
        // One path twice stays one name: no longer form would tell them apart.
        let differ =
            |group: &[(String, Form, SourceFile)]| group.iter().any(|n| (&n.2.path, n.2.label) != (&group[0].2.path, group[0].2.label));
        let mut longer: Vec<usize> = Vec::new();
        let mut at = 0;
        for group in named.chunk_by(|a, b| a.0 == b.0) {
            if group.len() > 1 && differ(group) {
                longer.extend((at..at + group.len()).filter(|&i| named[i].1 < Form::Whole));
            }
            at += group.len();
        }
        if longer.is_empty() {
            return named.into_iter().map(|(path, _, file)| SourceFile { path, ..file }).collect();
        }
        for i in longer {
            let (now, form, file) = &mut named[i];
            *form = if *form == Form::Usual { Form::AsWritten } else { Form::Whole };
            *now = name(file, *form);
        }
    }
}

/// A path without empty parts, `.` and `..`, where it has such.
pub fn clean(path: &str) -> Option<String> {
    let odd = |p: &str| matches!(p, "" | "." | "..");
    path.split('/').any(odd).then(|| path.split('/').filter(|p| !odd(p)).collect::<Vec<_>>().join("/"))
}

/// How many folders at the front of each path are no part of the names.
fn folders_to_skip(files: &[SourceFile], classes: &[String]) -> usize {
    let classed = || files.iter().filter_map(|f| classes.get(f.label as usize).map(|class| (f.path.as_str(), class)));
    let depth = classed().map(|(path, _)| path.matches('/').count()).min().unwrap_or(0);
    if let Some(level) = (0..depth).find(|&i| classed().all(|(path, class)| path.split('/').nth(i) == Some(class))) {
        return level + 1;
    }
    let first = classed().next().map_or("", |(path, _)| path);
    (0..depth).take_while(|&i| classed().all(|(path, _)| path.split('/').nth(i) == first.split('/').nth(i))).count()
}

fn below(path: &str, skip: usize) -> &str {
    path.match_indices('/').nth(skip.wrapping_sub(1)).map_or(path, |(at, _)| &path[at + 1..])
}

fn usual(name: &str, class: &str) -> String {
    let (stem, extension) = split_extension(name);
    let stem = match stem.strip_suffix(class).and_then(|s| s.strip_suffix('_')) {
        Some(before) if is_wnid(class) && !before.is_empty() && !before.ends_with('/') => before,
        _ => stem,
    };
    let lower = extension.unwrap_or_default().to_ascii_lowercase();
    match lower.as_str() {
        "" => stem.to_owned(),
        "jpg" | "jpeg" | "jpe" | "jfif" => format!("{stem}.jpg"),
        "tiff" => format!("{stem}.tif"),
        other => format!("{stem}.{other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Place;
    use super::*;

    fn names(paths: &[(&str, u32)], classes: &[&str]) -> Vec<String> {
        let file = |(path, label): &(&str, u32)| SourceFile {
            path: (*path).to_owned(),
            label: *label,
            place: Place::File("".into()),
            trouble: None,
        };
        let classes: Vec<String> = classes.iter().map(|c| (*c).to_owned()).collect();
        name_records(paths.iter().map(file).collect(), &classes).into_iter().map(|f| f.path).collect()
    }

    #[test]
    fn names_are_those_below_the_folder_of_the_class() {
        assert_eq!(names(&[("cat/0.jpg", 0), ("cat/cat/0.jpg", 0)], &["cat"]), ["cat/0.jpg", "cat/cat/0.jpg"]);
        assert_eq!(names(&[("/d/train/cat/a/0.JPEG", 0), ("/d/train/dog/0.Png", 1)], &["cat", "dog"]), ["cat/a/0.jpg", "dog/0.png"]);
        // The first depth at which all agree: above it lies a folder that is only called like a class.
        assert_eq!(names(&[("cat/train/cat/0.jpg", 0), ("cat/train/dog/0.jpg", 1)], &["cat", "dog"]), ["cat/0.jpg", "dog/0.jpg"]);
        // No class folders: what all have in common is left out.
        assert_eq!(names(&[("images/a.jpg", 0), ("./images/b/c.jpg", 1)], &["cat", "dog"]), ["cat/a.jpg", "dog/b/c.jpg"]);
        assert_eq!(names(&[("../x.jpg", 0)], &["n01"]), ["n01/x.jpg"]);
        assert_eq!(names(&[("n01", 0)], &["n01"]), ["n01/n01"]);
        assert_eq!(names(&[("a/x.jpg", NO_CLASS), ("b/y.jpg", 0)], &["n01"]), ["a/x.jpg", "n01/y.jpg"]);
        let wnids = [("n01440764_1_n01440764.JPEG", 0), ("ILSVRC2012_val_00000293_n01440764.JPEG", 0), ("_n01440764.JPEG", 0)];
        let owed = ["n01440764/ILSVRC2012_val_00000293.jpg", "n01440764/_n01440764.jpg", "n01440764/n01440764_1.jpg"];
        assert_eq!(names(&wnids, &["n01440764"]), owed);
    }

    #[test]
    fn no_two_paths_share_a_name() {
        assert_eq!(names(&[("c/a.jpg", 0), ("c/a.JPG", 0), ("c/a.png", 0)], &["c"]), ["c/a.JPG", "c/a.jpg", "c/a.png"]);
        // Two folders of one list that hold the same class and file names.
        assert_eq!(names(&[("x/c/0.jpg", 0), ("y/c/0.jpg", 0), ("y/c/1.jpg", 0)], &["c"]), ["c/1.jpg", "c/x/c/0.jpg", "c/y/c/0.jpg"]);
        // One that gives way may not meet a third.
        assert_eq!(names(&[("x/c/0.JPG", 0), ("y/c/0.JPEG", 0), ("y/c/0.jpg", 0)], &["c"]), ["c/0.JPEG", "c/0.JPG", "c/0.jpg"]);
        assert_eq!(names(&[("c/0.jpg", 0), ("c/0.jpg", 0), ("c/1.jpg", 0)], &["c"]), ["c/0.jpg", "c/0.jpg", "c/1.jpg"]);
    }
}
