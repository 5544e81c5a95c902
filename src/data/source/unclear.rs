//! Files that name the images of class folders under any name, and those of them whose classes cannot be read alone: several columns may
//! hold the class, the text is in another encoding, one image has two classes, or one line may mean several images.
//!
//! Such a file is a question, unless one of its columns divides the images as the folders do, or it merely describes them: numbers that are
//! all different, boxes, and what is called so. Bounded: some files of some folders, none of them large. Cost: a file that is not clear is
//! read once for each of its columns.

use super::audit::Audited;
use super::columns::{Shape, Wanted};
use super::join::within;
use super::label_names::of_labels;
use super::labels::key;
use super::layout::Holds;
use super::splits::Part;
use super::table::Text;
use super::witness::{self, Image, SHARE, Witness};
use super::words;
use crate::error::{Error, Result};
use crate::text::counted;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Files of any name that are looked into, and the largest.
const MOST_FILES: usize = 64;
const MOST_BYTES: u64 = 64 << 20;
/// Folders without images in which such files are looked for.
const MOST_FOLDERS: usize = 64;
/// Columns that are tried.
const MOST_COLUMNS: usize = 64;
const ENDINGS: [&str; 6] = ["csv", "tsv", "txt", "json", "jsonl", "ndjson"];

/// What a file says of the images.
pub enum Told {
    /// It names none of them, or merely describes them.
    Nothing,
    Says(Witness),
    Unclear(Unclear),
}

/// A file that names images and does not clearly say their classes.
pub struct Unclear {
    path: PathBuf,
    pub known: usize,
    listed: usize,
    why: Error,
}

/// Files of no usual name that may be about the images: beside the class folders, above them in the tree, and in folders without images there.
pub fn others(audited: &Audited<'_>) -> Vec<PathBuf> {
    let files = &audited.files;
    let mut folders: Vec<PathBuf> =
        audited.root.ancestors().take_while(|p| p.starts_with(&audited.tree)).filter(|p| files.is_dir(p)).map(Path::to_owned).collect();
    let mut more: Vec<PathBuf> = Vec::new();
    for folder in &folders {
        let children = files.children(folder).unwrap_or_default().into_iter().filter(|c| c.is_dir).map(|c| folder.join(c.real));
        more.extend(children.filter(|p| !audited.root.starts_with(p)).take(4096).filter(|p| files.holds(p) == Holds::Nothing));
    }
    more.sort_unstable();
    more.truncate(MOST_FOLDERS);
    folders.extend(more);
    let other_split = |name: &str| Part::of_file(name).is_some_and(|p| !audited.wanted.parts.contains(&p));
    let mut found = Vec::new();
    for folder in &folders {
        let of_table = |name: &str| name.rsplit_once('.').is_some_and(|(_, e)| ENDINGS.iter().any(|x| e.eq_ignore_ascii_case(x)));
        let mut names: Vec<String> = files.children(folder).unwrap_or_default().into_iter().filter(|c| !c.is_dir).map(|c| c.name).collect();
        names.retain(|n| of_table(n) && of_labels(n).is_none() && !other_split(n));
        names.sort_unstable();
        found.extend(names.into_iter().map(|n| folder.join(n)).flat_map(|p| files.all_of(&p)));
    }
    found.truncate(MOST_FILES);
    found
}

/// Reads a file as a witness; `listed`: it is called as label files are.
pub fn told(path: &Path, listed: bool, images: &[Image], audited: &Audited<'_>) -> Told {
    let folders = audited.by_folders();
    let (tree, wanted, files) = (&audited.tree, audited.wanted, &audited.files);
    // Of other readings, and of what is no text, only what is said counts.
    if !folders || super::devkit::is_devkit(path, files) {
        let read = witness::of_file(path, None, images, tree, wanted, files);
        return read.ok().flatten().map_or(Told::Nothing, Told::Says);
    }
    let Some(named) = Named::of(path, listed, images, audited) else { return Told::Nothing };
    let read = witness::of_file(path, None, images, tree, wanted, files);
    let why = match read {
        Ok(Some(w)) if listed => return Told::Says(w),
        Ok(Some(w)) => {
            return if w.divides() && w.contradicts(images, audited).is_some() { Told::Says(w) } else { said_of(w, images, audited) };
        }
        Ok(None) => return Told::Nothing,
        Err(why) => why,
    };
    // What lies above the input may be about others.
    let few = SHARE * named.images < named.listed;
    if few && !(listed && path.starts_with(tree))
        || !listed && named.by_folder && why.exit_code() != 2
        || named.classes < 2 && audited.listing.classes.len() > 1
    {
        return Told::Nothing;
    }
    match columns(path, listed, images, audited) {
        Columns::Agree | Columns::Describe => Told::Nothing,
        Columns::MaySay => Told::Unclear(Unclear { path: path.to_owned(), known: named.images, listed: named.listed, why }),
    }
}

/// A file of no usual name that agrees may still say the split.
fn said_of(w: Witness, images: &[Image], audited: &Audited<'_>) -> Told {
    if w.divides() && w.others > 0 && w.contradicts(images, audited).is_none() { Told::Says(w) } else { Told::Nothing }
}

/// Whether a file that contradicts the folders agrees by another column, or merely describes the images.
pub fn excused(w: &Witness, listed: bool, images: &[Image], audited: &Audited<'_>) -> bool {
    audited.by_folders() && (w.merely_numbers(images) || !matches!(columns(&w.path, listed, images, audited), Columns::MaySay))
}

enum Columns {
    /// One divides the images as the folders do.
    Agree,
    /// None of them may hold classes.
    Describe,
    MaySay,
}

fn columns(path: &Path, listed: bool, images: &[Image], audited: &Audited<'_>) -> Columns {
    let keys: HashSet<&str> = images.iter().map(|i| key(&i.path)).collect();
    let Ok(text) = Text::read(path, &audited.files) else { return Columns::MaySay };
    let Some(shape) = Shape::of(&text, &|field| keys.contains(key(field))) else { return Columns::MaySay };
    let (width, image, head) = (shape.width, shape.image, &shape.head);
    let boxed = head.as_ref().is_some_and(|h| words::boxes(h.iter().map(AsRef::as_ref)) >= 4);
    let mut may_say = width > MOST_COLUMNS;
    for n in (0..width.min(MOST_COLUMNS)).filter(|n| *n != image) {
        let called = head.as_ref().map_or("", |h| &h[n]);
        let describes = head.is_some() && (words::is_about(called) || words::is_split(called) || boxed && words::is_box(called));
        let describes = describes || shape.measures(&text, n);
        let (image, label) = ((image + 1).to_string(), (n + 1).to_string());
        let wanted = Wanted { image: Some(&image), label: Some(&label), parts: audited.wanted.parts };
        match witness::of_file(path, Some(&wanted), images, &audited.tree, audited.wanted, &audited.files) {
            Ok(Some(w)) if w.agrees(images, audited) => return Columns::Agree,
            Ok(Some(w)) => may_say |= !describes && !w.merely_numbers(images) && (listed || w.divides()),
            Ok(None) => {}
            Err(_) => may_say |= !describes,
        }
    }
    if may_say { Columns::MaySay } else { Columns::Describe }
}

/// How many of the images a text names, whatever its lines are.
struct Named {
    images: usize,
    /// Of so many below its folder.
    listed: usize,
    /// Of so many classes.
    classes: usize,
    /// Each by a path that says its class folder.
    by_folder: bool,
}

impl Named {
    fn of(path: &Path, listed: bool, images: &[Image], audited: &Audited<'_>) -> Option<Self> {
        let most = if listed { 1 << 30 } else { MOST_BYTES };
        let bytes = audited.files.read(path, most).ok()?;
        let wide = bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff");
        let text = if wide { super::table::decode(path, bytes).ok()? } else { String::from_utf8_lossy(&bytes).into_owned() };
        let (mut bare, mut below) = (HashSet::new(), HashSet::new());
        // Prose may name an image, too.
        let keys: HashSet<&str> = images.iter().map(|i| key(&i.path)).collect();
        let (mut lines, mut naming) = (0, 0);
        for line in text.lines() {
            let fields = line.split(|c: char| matches!(c, ',' | ';' | '|' | '\t' | '"' | '[' | ']') || c.is_whitespace());
            for (n, field) in fields.filter(|f| !f.is_empty()).enumerate() {
                // Numbers name images in files of labels alone, at the beginning of a line.
                if !(n == 0 && listed) && field.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
                    continue;
                }
                match field.rsplit_once(['/', '\\']) {
                    Some((folders, _)) => below.insert((folders.rsplit(['/', '\\']).next().unwrap_or(""), key(field))),
                    None => bare.insert(key(field)),
                };
            }
            lines += usize::from(!line.trim().is_empty());
            naming += usize::from(line.split([',', ';', '|', '\t', '"', ' ']).any(|f| keys.contains(key(f.trim()))));
            // Names with blanks.
            line.split([',', ';', '|', '\t', '"']).filter(|f| f.trim().contains(' ')).for_each(|f| {
                bare.insert(key(f.trim()));
            });
        }
        if !listed && !text.trim_start().starts_with(['{', '[']) && (naming < 2 || 2 * naming < lines) {
            return None;
        }
        let all: Vec<super::join::Image<'_>> = images.iter().map(|i| super::join::Image { path: &i.path, archive: i.archive }).collect();
        let scope = super::join::scope(path, &all, &audited.tree, &audited.files);
        let mut named = Self { images: 0, listed: 0, classes: 0, by_folder: true };
        let mut classes = HashSet::new();
        for image in images.iter().filter(|i| within(&i.path, &scope).is_some()) {
            named.listed += 1;
            let parent = image.path.rsplit('/').nth(1).unwrap_or("");
            let by_path = below.contains(&(parent, key(&image.path)));
            if by_path || bare.contains(key(&image.path)) {
                named.images += 1;
                classes.insert(image.class);
                let own = image.class.and_then(|c| audited.listing.classes.get(c as usize));
                named.by_folder &= by_path && own.is_some_and(|c| c == parent);
            }
        }
        named.classes = classes.len();
        (named.images > 0).then_some(named)
    }
}

impl Unclear {
    pub fn question(&self, audited: &Audited<'_>) -> Error {
        let (first, flags) = audited.reading();
        let why = self.why.report();
        let because = why.cause.as_ref().map_or_else(|| why.what.clone(), |cause| format!("{}; {cause}", why.what));
        let path = self.path.display();
        let next = why.next.as_ref().map_or_else(String::new, |n| format!(" ({n})"));
        Error::usage(format!(
            "this may be read as {first}; but {path} names {} of {}, and what it says of their classes is not clear",
            self.known,
            counted(self.listed as u64, "image")
        ))
        .at(audited.input.display().to_string())
        .because(because)
        .next(format!(
            "{flags} for the folders; or --source flat --input {} --labels {path} --label-column N for the file{next}",
            if audited.tree.is_file() { &audited.tree } else { &audited.root }.display()
        ))
    }
}

/// # Errors
/// `Usage` for the first that is not clear.
pub fn ask(all: &[Unclear], audited: &Audited<'_>) -> Result<()> {
    all.first().map_or(Ok(()), |u| Err(u.question(audited)))
}
