//! The witnesses that [`super::audit`] holds a listing against: where they are found, what each says of the listed images, and where that
//! contradicts the classes that these were given.

use super::arrange::shown;
use super::audit::Audited;
use super::columns::Wanted;
use super::join::{self, surely, within};
use super::label_names::{all_beside, of_labels, of_parts};
use super::labels::{self, Found, key};
use super::mount::Files;
use super::peek;
use super::readings::Looked;
use super::resolve::{Label, all_numbers};
use super::{id_joined, is_picture};
use crate::error::Result;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

/// A witness must know one in so many of the images below its folder.
pub const SHARE: usize = 4;
const MOST_SAMPLE: u64 = 1 << 20;
/// Labels beside images that are looked into to tell whether they are any.
const LOOKED_AT: usize = 64;

/// An image by its path in the tree; without a class where the reading leaves it out.
pub struct Image {
    pub path: String,
    pub archive: Option<u32>,
    pub class: Option<u32>,
    /// Its place in the listing.
    pub index: usize,
}

/// What a file, or the files beside the images, say of their classes.
pub struct Witness {
    pub path: PathBuf,
    /// The folder that it is about, as seen from the tree.
    pub scope: String,
    pub by: String,
    pub flags: String,
    classes: Vec<String>,
    numbered: bool,
    /// Images of the listing that lines of other splits mean.
    pub others: usize,
    of_others: HashSet<usize>,
    /// One for each image.
    said: Vec<Option<u32>>,
}

/// Where a witness and the listing part.
pub struct Contradiction<'w> {
    pub by: &'w str,
    pub flags: &'w str,
    pub classes: usize,
    pub known: usize,
    /// An image, its class in the listing and by the witness.
    pub image: usize,
    pub a: String,
    pub b: String,
}

/// What lies below a folder.
#[derive(Default)]
pub struct Below {
    pub label_files: Vec<String>,
    pub images: Vec<String>,
    /// What may be the labels beside an image, by what the parts of a sample share.
    pub beside_images: HashMap<String, String>,
}

/// # Errors
/// `Data` when a folder cannot be read.
pub fn below(root: &Path, files: &Files, images: bool) -> Result<Below> {
    let mut found = Below::default();
    let mut samples = Vec::new();
    files.walk(root, &mut |path, _, trouble| {
        let name = path.rsplit('/').next().unwrap_or(path);
        let lower = name.to_ascii_lowercase();
        if is_picture(name) {
            if images {
                found.images.push(path.to_owned());
            }
        } else if trouble.is_none() && of_labels(name).is_some() {
            found.label_files.push(path.to_owned());
        } else if trouble.is_none() && (lower.ends_with(".cls") || lower.ends_with(".json")) {
            samples.push(path.to_owned());
        }
    })?;
    samples.sort_unstable(); // `.cls` before `.json`
    for sample in samples {
        found.beside_images.entry(peek::key(&sample).to_owned()).or_insert(sample);
    }
    found.label_files.sort_unstable();
    Ok(found)
}

/// Label files of the split beside the folder that is read, above it up to the tree, and one floor higher.
pub fn beside(tree: &Path, root: &Path, wanted: &Wanted<'_>, files: &Files) -> Vec<PathBuf> {
    let mut more: Vec<PathBuf> = root.ancestors().skip(1).take_while(|p| p.starts_with(tree)).map(Path::to_owned).collect();
    more.extend(tree.parent().map(Path::to_owned));
    let mut found = all_beside(root, &more, wanted.parts, files);
    let joined = [root, tree].into_iter().chain(more.iter().map(PathBuf::as_path)).map(|f| f.join(id_joined::IMAGES));
    found.extend(joined.filter(|p| id_joined::is(p, files)));
    let name = |p: &PathBuf| p.file_name().unwrap_or_default().to_string_lossy().into_owned();
    found.retain(|p| of_parts(&name(p), wanted.parts) || name(p) == id_joined::IMAGES);
    found
}

/// What a label file says, if it knows any of the images; by the columns of `asked`.
///
/// # Errors
/// Where it cannot be read, or its lines may mean several images each.
pub fn of_file(
    path: &Path,
    asked: Option<&Wanted<'_>>,
    images: &[Image],
    tree: &Path,
    wanted: &Wanted<'_>,
    files: &Files,
) -> Result<Option<Witness>> {
    let keys: HashSet<&str> = images.iter().map(|i| key(&i.path)).collect();
    let wanted = asked.copied().unwrap_or(Wanted { parts: wanted.parts, ..Wanted::default() });
    let labels = match id_joined::rows(path, files, &wanted) {
        Ok(Some(lines)) => labels::of_lines(path, lines, None, &wanted)?,
        _ => labels::read(path, files, None, &wanted, &|k| keys.contains(k))?,
    };
    let all: Vec<join::Image<'_>> = images.iter().map(|i| join::Image { path: &i.path, archive: i.archive }).collect();
    let scope = join::scope(path, &all, tree, files);
    let class = |found: Found| if let Found::Class(c) = found { Some(c) } else { None };
    let said: Vec<Option<u32>> = surely(&labels, &all, &scope, tree, files).into_iter().map(class).collect();
    let known = said.iter().flatten().count();
    if let Err(several) = join::said_by(&labels, &all, &scope, tree, files)
        && SHARE * known < all.iter().filter(|i| within(i.path, &scope).is_some()).count()
    {
        return Err(several);
    }
    let others = |i: &&Image| within(&i.path, &scope).is_some_and(|p| labels.of_another_split(p));
    let of_others: HashSet<usize> = images.iter().filter(others).map(|i| i.index).collect();
    let folder = if scope.is_empty() { tree.to_owned() } else { tree.join(&scope) };
    let flags = if files.logical(path).parent() == Some(tree) && tree.is_file() {
        format!("--source flat --input {} --labels {}", tree.display(), path.display())
    } else {
        format!("--source flat --input {} --labels {}", folder.display(), path.display())
    };
    let witness = Witness {
        path: path.to_owned(),
        scope,
        by: path.display().to_string(),
        flags,
        classes: labels.classes,
        numbered: labels.numbered,
        others: of_others.len(),
        of_others,
        said,
    };
    Ok((known > 0 || witness.others > 0).then_some(witness))
}

/// Labels beside each image: `KEY.cls`, or `label` in `KEY.json`.
pub fn of_samples(below: &Below, images: &[Image], audited: &Audited<'_>) -> Option<Witness> {
    let root = &audited.root;
    let prefix = super::audit::inside(root, &audited.tree).unwrap_or_default();
    let files: Vec<Option<&String>> =
        images.iter().map(|i| within(&i.path, &prefix).and_then(|path| below.beside_images.get(peek::key(path)))).collect();
    let there: Vec<&String> = files.iter().flatten().copied().collect();
    let label = |path: &String| -> Option<String> {
        let bytes = audited.files.read(&root.join(path), MOST_SAMPLE).ok()?;
        let text = match path.to_ascii_lowercase().ends_with(".cls") {
            true => String::from_utf8(bytes).ok()?.trim().to_owned(),
            false => match serde_json::from_slice::<serde_json::Value>(&bytes).ok()?.get("label")? {
                serde_json::Value::Number(n) => n.to_string(),
                serde_json::Value::String(s) => s.clone(),
                _ => return None,
            },
        };
        (Label::of(&text) != Label::None && !Label::missing(&text)).then_some(text)
    };
    let step = there.len().div_ceil(LOOKED_AT).max(1);
    there.iter().step_by(step).find_map(|p| label(p))?;
    let mut classes: Vec<String> = Vec::new();
    let mut ranks: HashMap<String, u32> = HashMap::new();
    let mut said = Vec::with_capacity(images.len());
    for file in &files {
        said.push(file.and_then(label).map(|text| {
            *ranks.entry(text.clone()).or_insert_with(|| {
                classes.push(text);
                classes.len() as u32 - 1
            })
        }));
    }
    let example = there.first().map_or_else(PathBuf::new, |p| root.join(p));
    let flags = match audited.files.archived() {
        true => format!("--source webdataset --input {}", audited.input.display()),
        false => format!("tar -C '{}' -cf samples.tar . and --source webdataset --input samples.tar", root.display()),
    };
    Some(Witness {
        by: format!("the labels beside the images, such as {}", example.display()),
        path: example,
        scope: String::new(),
        flags,
        numbered: all_numbers(&classes),
        classes,
        others: 0,
        of_others: HashSet::new(),
        said,
    })
}

impl Witness {
    /// Where it contradicts the listing, if it knows enough of its images.
    pub fn contradicts(&self, images: &[Image], audited: &Audited<'_>) -> Option<Contradiction<'_>> {
        self.parts(images, audited).filter(|c| SHARE * c.known >= self.listed(images))
    }

    fn listed(&self, images: &[Image]) -> usize {
        images.iter().filter(|i| i.class.is_some() && within(&i.path, &self.scope).is_some()).count()
    }

    /// Place, class and what is said of the images that both know.
    fn both(&self, images: &[Image]) -> Vec<(usize, u32, u32)> {
        images.iter().enumerate().zip(&self.said).filter_map(|((i, image), said)| Some((i, image.class?, (*said)?))).collect()
    }

    /// A word on one that knows too few of the images to be asked about.
    pub fn note(&self, images: &[Image], audited: &Audited<'_>) -> Option<String> {
        let found = self.parts(images, audited).filter(|c| SHARE * c.known < self.listed(images))?;
        let image = images.get(found.image).map_or("", |i| i.path.as_str());
        Some(format!(
            "{} is not used: it knows {} of {} images, and calls {} \"{}\", not \"{}\"",
            self.by,
            found.known,
            self.listed(images),
            shown(image),
            shown(&found.b),
            shown(&found.a)
        ))
    }

    /// Whether it has classes of several images each.
    pub fn divides(&self) -> bool {
        let known = self.said.iter().flatten().count();
        let classes = self.said.iter().flatten().collect::<HashSet<_>>().len();
        classes > 1 && 4 * classes <= 3 * known || self.others > 0
    }

    /// Numbers that are all different say no class of folders that hold several images.
    pub fn merely_numbers(&self, images: &[Image]) -> bool {
        let both = self.both(images);
        let distinct = both.iter().map(|b| b.2).collect::<HashSet<_>>().len();
        let folders = both.iter().map(|b| b.1).collect::<HashSet<_>>().len();
        self.numbered && distinct == both.len() && folders < both.len()
    }

    /// Whether it divides the images of several classes as these do.
    pub fn agrees(&self, images: &[Image], audited: &Audited<'_>) -> bool {
        let classes: HashSet<u32> = self.both(images).into_iter().map(|b| b.1).collect();
        classes.len() > 1 && self.parts(images, audited).is_none()
    }

    /// The images of the split, where lines of this and others know all of them.
    pub fn of_split(&self, images: &[Image]) -> Option<HashSet<usize>> {
        let own: HashSet<usize> = images.iter().zip(&self.said).filter(|(_, s)| s.is_some()).map(|(i, _)| i.index).collect();
        let all = images.iter().all(|i| own.contains(&i.index) != self.of_others.contains(&i.index));
        (all && !own.is_empty()).then_some(own)
    }

    /// Where it and the listing part.
    fn parts(&self, images: &[Image], audited: &Audited<'_>) -> Option<Contradiction<'_>> {
        let both = self.both(images);
        let classes = &audited.listing.classes;
        let folders = matches!(audited.looked, Looked::Folder(_) | Looked::ClassTars(_));
        // Two sets of numbers mean the same numbers.
        let same = self.numbered && all_numbers(classes) && !folders;
        let names: HashSet<&str> = classes.iter().map(String::as_str).collect();
        let (mut there, mut back) = (HashMap::new(), HashMap::new());
        let mut differ = |&(_, class, said): &(usize, u32, u32)| {
            let (Some(a), Some(b)) = (classes.get(class as usize), self.classes.get(said as usize)) else { return false };
            let crossed = a != b && (same || names.contains(b.as_str()) && Label::of(b) == Label::Name);
            crossed || *there.entry(class).or_insert(said) != said || *back.entry(said).or_insert(class) != class
        };
        let (image, class, said) = *both.iter().find(|row| differ(row))?;
        Some(Contradiction {
            by: &self.by,
            flags: &self.flags,
            classes: both.iter().map(|b| b.2).collect::<HashSet<_>>().len(),
            known: both.len(),
            image,
            a: classes.get(class as usize).cloned().unwrap_or_default(),
            b: self.classes.get(said as usize).cloned().unwrap_or_default(),
        })
    }

    /// How many images it labels that the reading leaves out, if that is a fair share of these.
    pub fn labels_left_out(&self, images: &[Image]) -> Option<(&Self, usize)> {
        let left = images.iter().filter(|i| i.class.is_none() && within(&i.path, &self.scope).is_some()).count();
        let known = images.iter().zip(&self.said).filter(|(i, said)| i.class.is_none() && said.is_some()).count();
        (known > 0 && SHARE * known >= left).then_some((self, known))
    }

    pub fn knows_all(&self, images: &[Image]) -> bool {
        images.iter().zip(&self.said).all(|(i, said)| said.is_some() || within(&i.path, &self.scope).is_none())
    }
}

/// Folders that are called as the classes of a list or label file, with images of another class in them.
pub fn folders<'w>(images: &[Image], audited: &Audited<'_>) -> Option<Contradiction<'w>> {
    if !matches!(audited.looked, Looked::List(_) | Looked::Flat(_)) {
        return None;
    }
    let classes = &audited.listing.classes;
    let folders = |path: &'_ str| -> Vec<String> { path.split('/').map(str::to_owned).collect() };
    let names: HashSet<&str> = classes.iter().map(String::as_str).filter(|c| Label::of(c) == Label::Name).collect();
    let mut known = 0;
    let mut first = None;
    for (n, image) in images.iter().enumerate() {
        let Some(own) = image.class.and_then(|c| classes.get(c as usize)) else { continue };
        let parts = folders(&image.path);
        let called: Vec<&String> = parts[..parts.len() - 1].iter().filter(|p| names.contains(p.as_str())).collect();
        known += usize::from(!called.is_empty());
        if first.is_none() && !called.is_empty() && !called.contains(&own) {
            first = Some((n, own.clone(), called[0].clone()));
        }
    }
    let (image, a, b) = first?;
    let listed = images.iter().filter(|i| i.class.is_some()).count();
    (SHARE * known >= listed).then(|| Contradiction {
        by: "the folders of the images",
        flags: "--source folder",
        classes: names.len(),
        known,
        image,
        a,
        b: shown(&b),
    })
}
