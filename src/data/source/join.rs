//! The label files that lie beside some images, put together: what one says of an image that another knows too must be the same; what each knows
//! alone is joined. A file counts for the images below its own folder, and for all of them where none lies there (`meta/labels.csv`).

use super::arrange::shown;
use super::labels::{Found, Labels, Line, contradiction};
use super::mount::Files;
use crate::error::{Error, Result};
use crate::text::counted;
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// An image: its path below the folder that is read, and its archive, if it lies in one.
pub struct Image<'a> {
    pub path: &'a str,
    pub archive: Option<u32>,
}

/// What all label files say together.
#[derive(Debug)]
pub struct Joined {
    pub classes: Vec<String>,
    pub numbered: bool,
    /// One for each image.
    pub said: Vec<Found>,
    /// Those that lines of another split mean.
    pub others: Vec<bool>,
    pub notes: Vec<String>,
    /// Lines, and the names of the files.
    pub len: usize,
    pub names: String,
}

/// # Errors
/// `Usage`, with both files and an image, where two contradict each other, or one line may mean two images.
pub fn join(images: &[Image<'_>], labels: Vec<Labels>, folder: &Path, files: &Files) -> Result<Joined> {
    let several = labels.len() > 1;
    let mut joined = Joined {
        classes: Vec::new(),
        numbered: false,
        said: vec![Found::Missing; images.len()],
        others: vec![false; images.len()],
        notes: Vec::new(),
        len: 0,
        names: String::new(),
    };
    let mut used: Vec<Labels> = Vec::new();
    let mut by: Vec<usize> = vec![0; images.len()];
    for labels in labels {
        let scope = scope(&labels.origin, images, folder, files);
        let said = match said_by(&labels, images, &scope, folder, files) {
            Ok(said) => said,
            Err(_) if several && !used.is_empty() => {
                joined.notes.push(format!("{} is not used as labels: a line of it may mean two images", labels.origin.display()));
                continue;
            }
            Err(e) => return Err(e),
        };
        for (of, image) in joined.others.iter_mut().zip(images) {
            *of |= within(image.path, &scope).is_some_and(|path| labels.of_another_split(path));
        }
        for (j, before) in used.iter().enumerate() {
            let both = || (0..images.len()).filter(|&i| by[i] == j && matches!(joined.said[i], Found::Class(_)));
            let name = |found: Found, of: &[String]| if let Found::Class(c) = found { of.get(c as usize).cloned() } else { None };
            let rows = both().map(|i| (images[i].path, name(joined.said[i], &joined.classes), name(said[i], &labels.classes)));
            if let Some((image, a, b)) = contradiction(rows, before.numbered == labels.numbered) {
                return Err(two_files(before, &labels, &image, &a, &b, both().filter(|&i| said[i] != Found::Missing).count()));
            }
        }
        let new = (0..images.len()).filter(|&i| joined.said[i] == Found::Missing && said[i] != Found::Missing).count();
        // What lies above the input may be about other images where the input has labels of its own.
        if !used.is_empty() && (new == 0 || labels.outside && !used[0].outside) {
            continue;
        }
        if !used.is_empty() && labels.numbered != joined.numbered {
            return Err(Error::usage(format!(
                "some labels are numbers and others are names: {} and {}",
                used[0].origin.display(),
                labels.origin.display()
            ))
            .at(folder.display().to_string())
            .because(format!("only the second file labels {}", counted(new as u64, "image")))
            .next(format!("--labels FILE with the labels of all images; or --labels {}", used[0].origin.display())));
        }
        let rank = joined.take_classes(&labels, used.is_empty());
        for (i, found) in said.into_iter().enumerate() {
            if joined.said[i] == Found::Missing {
                joined.said[i] = if let Found::Class(c) = found { Found::Class(rank[c as usize]) } else { found };
                by[i] = used.len();
            }
        }
        joined.len += labels.len();
        joined.notes.push(format!("labels from {}", labels.origin.display()));
        joined.notes.extend(labels.notes.iter().cloned());
        used.push(labels);
    }
    let name = |l: &Labels| l.origin.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut names: Vec<String> = used.iter().map(name).collect();
    names.dedup();
    joined.names = names.join(", ");
    const MOST_NOTES: usize = 12;
    let more = joined.notes.len().saturating_sub(MOST_NOTES);
    if more > 0 {
        joined.notes.truncate(MOST_NOTES);
        joined.notes.push(format!("and {more} more notes of label files"));
    }
    Ok(joined)
}

impl Joined {
    /// Takes up the classes of a file; gives the rank of each.
    fn take_classes(&mut self, labels: &Labels, first: bool) -> Vec<u32> {
        if first {
            (self.classes, self.numbered) = (labels.classes.clone(), labels.numbered);
        } else if self.numbered {
            let (known, more) = (self.classes.len(), labels.classes.len());
            self.classes.extend(labels.classes.iter().skip(known).take(more.saturating_sub(known)).cloned());
        }
        if first || self.numbered {
            return (0..labels.classes.len() as u32).collect();
        }
        let mut ranks: HashMap<String, u32> = self.classes.iter().cloned().zip(0..).collect();
        let mut rank = Vec::with_capacity(labels.classes.len());
        for class in &labels.classes {
            let next = self.classes.len() as u32;
            rank.push(*ranks.entry(class.clone()).or_insert_with(|| {
                self.classes.push(class.clone());
                next
            }));
        }
        rank
    }
}

/// A path below a folder of the tree.
pub fn within<'p>(path: &'p str, scope: &str) -> Option<&'p str> {
    if scope.is_empty() { Some(path) } else { path.strip_prefix(scope)?.strip_prefix('/') }
}

/// The folder whose images a label file is about, as seen from `folder`: its own, or the next above it in which images lie.
pub fn scope(origin: &Path, images: &[Image<'_>], folder: &Path, files: &Files) -> String {
    let origin = files.logical(origin);
    let Some(below) = origin.parent().and_then(|p| p.strip_prefix(folder).ok()) else { return String::new() };
    let mut scope = below.to_string_lossy().into_owned();
    while !scope.is_empty() && !images.iter().any(|i| within(i.path, &scope).is_some()) {
        scope.truncate(scope.rfind('/').unwrap_or(0));
    }
    scope
}

/// The whole path of a folder, with `/`; of an archive without its ending, as the folder that it unpacks to.
fn whole(folder: &Path) -> String {
    let real = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let real = if real.is_file() { real.with_extension("") } else { real };
    real.to_string_lossy().replace('\\', "/").trim_end_matches('/').to_owned()
}

/// What a label file says of each image.
///
/// # Errors
/// `Usage` where one line may mean two images.
pub fn said_by(labels: &Labels, images: &[Image<'_>], scope: &str, folder: &Path, files: &Files) -> Result<Vec<Found>> {
    let root = if scope.is_empty() { whole(folder) } else { format!("{}/{scope}", whole(folder)) };
    let say = |image: &Image<'_>| within(image.path, scope).map_or((Found::Missing, None), |path| labels.get(&root, path));
    let mut said: Vec<(Found, Option<Line>)> = images.iter().map(say).collect();
    let mut clear = one_line_one_image(images, &mut said, labels);
    if let (Err(_), Some(archive)) = (&clear, files.archive_of(&labels.origin)) {
        // A label file of one of several archives is about the images in it.
        said = images.iter().map(|i| if i.archive == Some(archive) { say(i) } else { (Found::Missing, None) }).collect();
        clear = one_line_one_image(images, &mut said, labels);
    }
    clear.map(|()| said.into_iter().map(|(found, _)| found).collect())
}

/// As [`said_by`]; a line that may mean two images says nothing.
pub fn surely(labels: &Labels, images: &[Image<'_>], scope: &str, folder: &Path, files: &Files) -> Vec<Found> {
    let root = if scope.is_empty() { whole(folder) } else { format!("{}/{scope}", whole(folder)) };
    let say = |image: &Image<'_>| within(image.path, scope).map_or((Found::Missing, None), |path| labels.get(&root, path));
    let mut said: Vec<(Found, Option<Line>)> = images.iter().map(say).collect();
    if let Some(archive) = files.archive_of(&labels.origin)
        && one_line_one_image(images, &mut said.clone(), labels).is_err()
    {
        images.iter().zip(&mut said).filter(|(i, _)| i.archive != Some(archive)).for_each(|(_, s)| *s = (Found::Missing, None));
    }
    let mut users: HashMap<usize, (usize, bool)> = HashMap::new();
    for line in said.iter().filter_map(|(_, line)| *line) {
        let (count, whole) = users.entry(line.id).or_default();
        *count += usize::from(!line.whole);
        *whole |= line.whole;
    }
    let sure = |line: &Line| line.whole || users.get(&line.id).is_none_or(|(count, whole)| *count <= 1 && !whole);
    said.into_iter().map(|(found, line)| if line.as_ref().is_none_or(sure) { found } else { Found::Missing }).collect()
}

/// A line that says the whole path of one image is of no other; one that may mean two images is asked about.
fn one_line_one_image(images: &[Image<'_>], said: &mut [(Found, Option<Line>)], labels: &Labels) -> Result<()> {
    let whole: HashSet<usize> = said.iter().filter_map(|(_, line)| line.filter(|l| l.whole).map(|l| l.id)).collect();
    let mut users: HashMap<usize, usize> = HashMap::new();
    for (i, (found, line)) in said.iter_mut().enumerate() {
        let Some(line) = line.filter(|_| matches!(found, Found::Class(_))) else { continue };
        if !line.whole && whole.contains(&line.id) {
            *found = Found::Missing;
        } else if let Some(&before) = users.get(&line.id).filter(|_| !line.whole) {
            let (a, b) = (images[before].path, images[i].path);
            return Err(Error::usage(format!("one label may mean two images: {} and {}", shown(a), shown(b)))
                .at(labels.origin.display().to_string())
                .because("the label file knows images by names that are there in several folders, or with several extensions")
                .next(
                    "give the paths of the images in the label file, as seen from --input; or give the one folder that is meant as --input",
                ));
        } else {
            users.insert(line.id, i);
        }
    }
    Ok(())
}

fn two_files(first: &Labels, second: &Labels, image: &str, a: &str, b: &str, both: usize) -> Error {
    let (one, two) = (first.origin.display(), second.origin.display());
    Error::usage(format!("two label files contradict each other: {one} and {two}"))
        .at(format!("image {}", shown(image)))
        .because(format!(
            "its class is \"{}\" by the first and \"{}\" by the second; both label {}",
            shown(a),
            shown(b),
            counted(both as u64, "image")
        ))
        .next(format!("--labels {one}, or --labels {two}"))
}
