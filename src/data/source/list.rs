//! A list of images and their classes (`train_list.txt`, `val.csv`), the paths below the folder of the list, or below the folder beside it
//! that holds them (`images`, `data`, that of the split, also one floor up), if they are in no other. An image is listed once.

use super::arrange::{Found, shown};
use super::columns::{Wanted, rows};
use super::id_joined;
use super::mount::Files;
use super::naming::clean;
use super::nfc::composed;
use super::resolve::{Names, Resolved, Row};
use super::splits::{Part, of_split};
use super::table::Text;
use super::{Kind, Listing};
use crate::error::{Error, Result};
use crate::text::counted;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};

const NEXT: &str = "one image a line: PATH CLASS, the path as seen from the folder of the list";
/// Rows that are looked for, evenly spread.
const LOOKED_FOR: usize = 64;

/// A list, and the folder in which its images lie.
struct Read {
    path: PathBuf,
    rows: Vec<Row>,
    base: PathBuf,
}

/// Lists the lines of `path`; where several archives have a list there, those of all of them.
///
/// # Errors
/// `Data`, naming file and line, or when none of the images is there; `Usage` where looking does not tell the columns.
pub fn list(path: &Path, files: &Files, names: Option<&Names>, wanted: &Wanted<'_>) -> Result<Listing> {
    let (mut rows, mut bases, mut notes) = (Vec::new(), Vec::new(), Vec::new());
    for one in files.all_of(path) {
        let part = read(&one, files, wanted, &mut notes)?;
        bases.push((rows.len(), part.base, part.path));
        rows.extend(part.rows);
    }
    let several = bases.len() > 1;
    if several {
        notes.push(format!("{} lists are read together: {}, ...", bases.len(), bases[0].2.display()));
    }
    let of = |row: usize| &bases[bases.partition_point(|(first, ..)| *first <= row).max(1) - 1];
    let resolved = Resolved::new(&rows, names, path)?;
    let key = |i: usize| match several {
        true => format!("{:?}", files.place(&of(i).1, &rows[i].picture).0),
        false => clean(&rows[i].picture).unwrap_or_else(|| rows[i].picture.clone()),
    };
    let once = once(&rows, &resolved.labels, &key, path)?;
    if once.len() < rows.len() {
        notes.push(format!(
            "left out {} of the list that repeat others, with the same class",
            counted((rows.len() - once.len()) as u64, "line")
        ));
    }
    let mut found = Found::with_classes(&resolved.classes);
    found.notes.extend(notes.into_iter().chain(resolved.notes));
    for i in once {
        let (row, base) = (&rows[i], &of(i).1);
        let (place, trouble) = files.place(base, &row.picture);
        let nul = row.picture.contains('\0').then(|| "a path with a zero byte".to_owned()).or(trouble);
        match resolved.labels[i] {
            Some(class) => found.add(class, &row.picture, place, nul),
            None => found.add_without_class(
                &row.picture,
                place,
                row.line.map_or("no label in the list".to_owned(), |l| format!("no label in line {l} of the list")),
            ),
        }
    }
    let base = bases.first().map_or_else(PathBuf::new, |b| b.1.clone());
    found.arrange(Kind::List, files.store(&base), resolved.numbered, &path.display().to_string(), NEXT)
}

/// Reads one list: lines whose paths lead to images from a folder that is found by looking.
fn read(path: &Path, files: &Files, wanted: &Wanted<'_>, notes: &mut Vec<String>) -> Result<Read> {
    let root = path.parent().unwrap_or(Path::new("")).to_owned();
    let beside = below(&root, files, wanted, &[]);
    // `meta/train.txt` beside `images`.
    let up = root.parent().filter(|p| !p.as_os_str().is_empty()).map_or_else(|| root.join(".."), Path::to_owned);
    let above = below(&up, files, wanted, &["jpg", "jpeg"]);
    let exists = |base: &Path, field: &str| !field.is_empty() && !field.contains('\0') && files.is_file(&base.join(field));
    let there = |field: &str| {
        let forms = [field.to_owned(), field.replace('\\', "/"), field.trim_start_matches('/').to_owned()];
        let forms = forms.into_iter().chain(ENDINGS.iter().map(|e| format!("{field}.{e}")));
        let forms: Vec<String> = forms.collect();
        beside.iter().chain(&above).any(|b| forms.iter().any(|f| exists(b, f)))
    };
    let mut rows = match id_joined::rows(path, files, wanted)? {
        Some(lines) => {
            notes.extend(lines.notes);
            lines.rows
        }
        None => {
            let lines = rows(&Text::read(path, files)?, wanted, &there)?;
            notes.extend(lines.notes);
            lines.rows
        }
    };
    let (first, count) = (rows.first().map_or_else(String::new, |r| r.picture.clone()), rows.len());
    let mut base = find_base(&mut rows, &[&beside, &above], &exists);
    if base.is_none() {
        beside.iter().chain(&above).for_each(|b| twins(&mut rows, b, files));
        base = find_base(&mut rows, &[&beside, &above], &exists);
    }
    let Some(base) = base else { return Err(none_there(path, &first, count)) };
    if base != root {
        notes.push(format!("the list's images lie in {}", base.display()));
    }
    of_split_folders(&mut rows, wanted, path, notes)?;
    twins(&mut rows, &base, files);
    Ok(Read { path: path.to_owned(), rows, base })
}

/// Names that differ from those of the files in how accents are written alone (macOS takes them apart) are made these.
fn twins(rows: &mut [Row], base: &Path, files: &Files) {
    let mut folders: HashMap<PathBuf, HashMap<String, Option<String>>> = HashMap::new();
    for row in rows.iter_mut().filter(|r| !r.picture.is_ascii() && !r.picture.contains('\0')) {
        if files.is_file(&base.join(&row.picture)) {
            continue;
        }
        let (mut dir, mut path) = (base.to_owned(), Vec::new());
        for part in row.picture.split('/') {
            let named = folders.entry(dir.clone()).or_insert_with(|| {
                let children = files.children(&dir).unwrap_or_default().into_iter().map(|c| c.name);
                let mut named: HashMap<String, Option<String>> = HashMap::new();
                for name in children.filter(|n| !n.is_ascii()) {
                    named.entry(composed(&name)).and_modify(|n| *n = None).or_insert(Some(name));
                }
                named
            });
            let part = named.get(&composed(part)).cloned().flatten().unwrap_or_else(|| part.to_owned());
            dir = dir.join(&part);
            path.push(part);
        }
        let path = path.join("/");
        if files.is_file(&base.join(&path)) {
            row.picture = path;
        }
    }
}

/// Extensions that lists leave out.
const ENDINGS: [&str; 5] = ["jpg", "png", "JPEG", "jpeg", "JPG"];

/// The folder in which the images of some rows lie; the rows' paths are made those that lead there.
fn find_base(rows: &mut [Row], bases: &[&[PathBuf]], exists: &dyn Fn(&Path, &str) -> bool) -> Option<PathBuf> {
    let as_windows = |r: &mut Row| r.picture = r.picture.replace('\\', "/");
    let relative = |r: &mut Row| r.picture = r.picture.trim_start_matches('/').to_owned();
    let changes: [&dyn Fn(&mut Row); 3] = [&|_| (), &as_windows, &relative];
    for change in changes {
        rows.iter_mut().for_each(change);
        if let Some(base) = bases.iter().find_map(|b| base(rows, b, "", exists)) {
            return Some(base);
        }
    }
    // Without their extension, each with its own.
    let base = bases.iter().find_map(|b| ENDINGS.iter().find_map(|e| base(rows, b, &format!(".{e}"), exists)))?;
    for row in rows.iter_mut().filter(|r| !exists(&base, &r.picture)) {
        if let Some(e) = ENDINGS.iter().find(|e| exists(&base, &format!("{}.{e}", row.picture))) {
            row.picture = format!("{}.{e}", row.picture);
        }
    }
    Some(base)
}

/// Leaves the rows of the split where the paths lie in folders of splits. A list that is itself called as a split is of that split.
fn of_split_folders(rows: &mut Vec<Row>, wanted: &Wanted<'_>, path: &Path, notes: &mut Vec<String>) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let paths: Vec<&str> = rows.iter().map(|r| r.picture.as_str()).collect();
    // Where all are of another split, that is what is to be packed as this one.
    let of = |part: &Part| Some((*part, of_split(&paths, *part, &path.display().to_string()).ok()??));
    let Some((part, taken)) = wanted.parts.iter().find_map(of) else { return Ok(()) };
    let left_out = taken.iter().filter(|t| !**t).count();
    if left_out == 0 {
        return Ok(());
    }
    if Part::of_file(&name) == Some(part) {
        notes.push(format!(
            "{} of images in folders of other splits, packed as {}, as the list is named",
            counted(left_out as u64, "line"),
            part.name()
        ));
        return Ok(());
    }
    let mut taken = taken.iter();
    rows.retain(|_| taken.next() == Some(&true));
    notes.push(format!("left out {} of images in folders of other splits", counted(left_out as u64, "line")));
    Ok(())
}

/// The rows without those that say the same again.
fn once(rows: &[Row], labels: &[Option<u32>], key: &dyn Fn(usize) -> String, path: &Path) -> Result<Vec<usize>> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut once = Vec::with_capacity(rows.len());
    for (i, row) in rows.iter().enumerate() {
        match seen.entry(key(i)) {
            Entry::Vacant(new) => {
                new.insert(i);
                once.push(i);
            }
            Entry::Occupied(before) if labels[*before.get()] != labels[i] => {
                let before = &rows[*before.get()];
                let place = |r: &Row| r.line.map_or_else(String::new, |line| format!("line {line}: "));
                return Err(Error::data(format!("{} is there twice, with different classes", shown(&row.picture)))
                    .at(path.display().to_string())
                    .because(format!("{}\"{}\"; {}\"{}\"", place(before), shown(&before.class), place(row), shown(&row.class)))
                    .next("leave one line for each image"));
            }
            Entry::Occupied(_) => {}
        }
    }
    Ok(once)
}

/// The folders in which the images may lie, `root` first.
fn below(root: &Path, files: &Files, wanted: &Wanted<'_>, more: &[&str]) -> Vec<PathBuf> {
    let mut bases = vec![root.to_owned()];
    let usual = |name: &str| ["images", "data", "imgs", "img"].iter().chain(more).any(|n| name.eq_ignore_ascii_case(n));
    let mut below: Vec<String> = files.children(root).unwrap_or_default().into_iter().filter(|c| c.is_dir).map(|c| c.name).collect();
    below.retain(|n| usual(n) || Part::of_folder(n).is_some_and(|p| wanted.parts.contains(&p)));
    below.sort_unstable();
    for name in below {
        bases.push(root.join(&name));
        bases.push(root.join(&name).join("images"));
    }
    bases.retain(|b| b.as_os_str().is_empty() || files.is_dir(b));
    bases
}

/// The one that holds the most of some rows; that of the list where none holds more.
fn base(rows: &[Row], bases: &[PathBuf], ending: &str, exists: &dyn Fn(&Path, &str) -> bool) -> Option<PathBuf> {
    let step = rows.len().div_ceil(LOOKED_FOR).max(1);
    let held = |base: &Path| rows.iter().step_by(step).filter(|r| exists(base, &format!("{}{ending}", r.picture))).count();
    let best = bases.iter().map(|b| (held(b), b)).reduce(|a, b| if b.0 > a.0 { b } else { a })?;
    (best.0 > 0 || rows.is_empty()).then(|| best.1.clone())
}

fn none_there(path: &Path, first: &str, count: usize) -> Error {
    Error::data(format!("none of the {count} images of the list is there; the first is \"{}\"", shown(first)))
        .at(path.display().to_string())
        .because("paths are taken as seen from the folder of the list")
        .next("move the list to the folder from which its paths lead to the images; a list of names without folders or extensions is one of labels: --input FOLDER --labels LIST")
}
