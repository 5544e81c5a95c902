//! Tables of images in Parquet files, one image a row: Hugging Face's (`image.bytes`, `image.path`, `label`) and others alike.
//!
//! [`columns`] says which columns hold images, labels and names. Listing reads labels and names alone. An image is read by decoding its
//! row group (100 rows in Hugging Face's files of images); the last few groups are kept, so reading in the order of the file decodes
//! nothing twice, and [`super::spill`] keeps the images for every other order. Numbered classes are named by `--class-names`, else by the
//! WordNet ids in the names, else as the file's own metadata (`huggingface`, ClassLabel) says, else by their numbers; strings name
//! classes themselves. Panics of the reader on damaged files are caught. Every codec of the format but LZO is read.

mod columns;
mod labels;
mod values;

use super::arrange::{Found, names_by_wnid, shown};
use super::resolve::{Names, all_numbers, most_numbers};
use super::store::MAX_FILE;
use super::{Kind, Listing, Place, Store};
use crate::data::decode::quietly;
use crate::data::format::MOST_CLASSES;
use crate::error::{Error, Result};
use columns::{Columns, Undecided, choose, position};
use labels::{Label, labels, names_to_numbers};
use parquet::basic::Compression;
use parquet::data_type::{AsBytes, ByteArray};
use parquet::file::reader::{FileReader, SerializedFileReader};
use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use values::{byte_arrays, values};

const NEXT: &str = "give Parquet files with a column of image files and one of labels, such as datasets.Image and ClassLabel make them";
/// Uncompressed bytes of the images of a row group.
const MOST_GROUP: i64 = 4 << 30;

/// Columns that the user named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ColumnNames {
    pub images: Option<String>,
    pub labels: Option<String>,
}

type Group = std::result::Result<Vec<Option<ByteArray>>, String>;

/// A row group, by the index of its file and its own; read once, whoever asks first.
type Slot = ((u32, u32), Arc<OnceLock<Group>>);

/// The row groups that were read last.
#[derive(Debug, Default)]
pub struct Tables {
    /// The column of images.
    column: String,
    recent: Mutex<Vec<Slot>>,
    groups_read: AtomicU64,
}

impl Tables {
    pub fn of(column: String) -> Self {
        Self { column, ..Self::default() }
    }

    pub fn groups_read(&self) -> u64 {
        self.groups_read.load(Ordering::Relaxed)
    }

    /// The picture of a row, into `bytes`.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn read(&self, path: &Path, archive: u32, group: u32, row: u32, bytes: &mut Vec<u8>) -> std::result::Result<(), String> {
        let slot = {
            let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
            let key = (archive, group);
            let at = recent.iter().position(|(k, _)| *k == key);
            let entry = at.map_or_else(|| (key, Arc::default()), |i| recent.remove(i));
            recent.push(entry.clone());
            let most = 2 * rayon::current_num_threads();
            if recent.len() > most {
                recent.remove(0);
            }
            entry.1
        };
        let decode = || {
            self.groups_read.fetch_add(1, Ordering::Relaxed);
            quietly(|| read_group(path, group as usize, &self.column))
        };
        let rows = slot.get_or_init(decode).as_ref().map_err(Clone::clone)?;
        let picture = rows.get(row as usize).and_then(Option::as_ref).ok_or("the row holds no image bytes")?;
        if picture.len() as u64 > MAX_FILE {
            return Err(format!("an image of {} bytes, above {MAX_FILE}", picture.len()));
        }
        bytes.extend_from_slice(picture.as_bytes());
        Ok(())
    }
}

fn text(e: impl std::fmt::Display) -> String {
    format!("Parquet: {e}")
}

fn open(path: &Path) -> std::result::Result<SerializedFileReader<File>, String> {
    SerializedFileReader::new(File::open(path).map_err(text)?).map_err(text)
}

fn read_group(path: &Path, group: usize, column: &str) -> Group {
    let reader = open(path)?;
    let bytes = position(&reader, column).ok_or("the file changed while it was read")?;
    let size = reader.metadata().row_groups().get(group).map_or(0, |g| g.column(bytes).uncompressed_size());
    if size > MOST_GROUP {
        return Err(format!("a row group of {size} bytes, above {MOST_GROUP}"));
    }
    let group = reader.get_row_group(group).map_err(text)?;
    byte_arrays(&*group, bytes, usize::MAX)
}

/// What listing takes from a file.
struct Table {
    /// Row group, row, label, name.
    rows: Vec<(u32, u32, Label, String)>,
    /// Names of the labels, from the metadata.
    names: Vec<String>,
}

fn read_table(path: &Path, columns: &Columns) -> std::result::Result<Table, String> {
    let reader = open(path)?;
    let column = |name: &str| position(&reader, name).ok_or_else(|| format!("no column {name}, which the files before it have"));
    let (bytes, label) = (column(&columns.images)?, column(&columns.labels)?);
    let names = columns.names.as_deref().and_then(|name| position(&reader, name));
    let mut table = Table { names: class_label(&reader, &columns.labels), rows: Vec::new() };
    for g in 0..reader.num_row_groups() {
        let group = reader.get_row_group(g).map_err(text)?;
        for index in [bytes, label] {
            if group.metadata().column(index).compression() == Compression::LZO {
                return Err(format!(
                    "column {} is compressed by LZO, which is not read",
                    group.metadata().column(index).column_path().string()
                ));
            }
        }
        let labels = labels(values(&*group, label, usize::MAX)?).map_err(|e| format!("column {}, row group {g}, {e}", columns.labels))?;
        let names = names.map_or_else(|| Ok(vec![None; labels.len()]), |p| byte_arrays(&*group, p, usize::MAX))?;
        if group.metadata().column(bytes).num_values() != labels.len() as i64 || names.len() != labels.len() {
            return Err(format!("row group {g}: columns of different lengths"));
        }
        for (row, (label, name)) in labels.into_iter().zip(names).enumerate() {
            let name = name.map_or_else(String::new, |p| String::from_utf8_lossy(p.as_bytes()).into_owned());
            table.rows.push((g as u32, row as u32, label, name));
        }
    }
    Ok(table)
}

/// The names of the labels in the metadata that the `datasets` library leaves.
fn class_label(reader: &SerializedFileReader<File>, column: &str) -> Vec<String> {
    let metadata = reader.metadata().file_metadata().key_value_metadata();
    let text = metadata.and_then(|m| m.iter().find(|kv| kv.key == "huggingface")).and_then(|kv| kv.value.as_deref());
    let json: Option<serde_json::Value> = text.and_then(|t| serde_json::from_str(t).ok());
    let features = json.as_ref().and_then(|j| j.pointer("/info/features"));
    let names = features.and_then(|f| f.get(column)?.get("names")).and_then(|n| n.as_array());
    names.map_or_else(Vec::new, |n| n.iter().map(|v| v.as_str().unwrap_or_default().to_owned()).collect())
}

/// The columns, told by the first file that has rows.
fn find_columns(archives: &[PathBuf], asked: &ColumnNames) -> Result<Columns> {
    for (i, path) in archives.iter().enumerate() {
        let chosen = quietly(|| {
            let reader = open(path)?;
            let rows = reader.metadata().file_metadata().num_rows();
            if rows == 0 && i + 1 < archives.len() { Ok(None) } else { choose(&reader, asked).map(Some) }
        });
        match chosen.map_err(|what| damaged(path, what))? {
            None => {}
            Some(Ok(columns)) => return Ok(columns),
            Some(Err(Undecided { what, next })) => {
                return Err(Error::data(what).at(path.display().to_string()).because("another table than expected").next(next));
            }
        }
    }
    Err(Error::data("no Parquet files").next(NEXT))
}

fn damaged(path: &Path, what: String) -> Error {
    use std::io::Read;
    let mut first = [0; 4];
    let encrypted = File::open(path).and_then(|mut f| f.read_exact(&mut first)).is_ok() && first == *b"PARE";
    let (what, cause) = match what {
        _ if encrypted => ("an encrypted Parquet file".to_owned(), "written with Parquet's modular encryption"),
        what if ["column ", "no column "].iter().any(|start| what.starts_with(start)) => (what, "another table than expected"),
        what if what.contains("not supported") || what.contains("Disabled") || what.contains("NYI") => {
            (what, "a feature of Parquet that is not read")
        }
        what => (what, "a damaged file"),
    };
    Error::data(what).at(path.display().to_string()).because(cause).next(NEXT)
}

/// Lists the rows of `archives`, in that order.
///
/// # Errors
/// `Data` when a file is damaged or lacks a column, the columns cannot be told, or a label is not among the class names.
pub fn list(archives: Vec<PathBuf>, names: Option<&Names>, asked: &ColumnNames) -> Result<Listing> {
    let mut columns = find_columns(&archives, asked)?;
    let mut tables = Vec::with_capacity(archives.len());
    for path in &archives {
        tables.push(quietly(|| read_table(path, &columns)).map_err(|e| damaged(path, e))?);
    }
    let mixed = names_to_numbers(&mut tables.iter_mut().flat_map(|t| t.rows.iter_mut().map(|r| &mut r.2)).collect::<Vec<_>>());
    if let (Err((number, name)), None) = (mixed, names) {
        return Err(Error::usage(format!("some labels are numbers and others are names: \"{}\" and \"{}\"", shown(&number), shown(&name)))
            .at(format!("{}, column {}", archives.first().map_or_else(String::new, |p| p.display().to_string()), columns.labels))
            .because("one class would be missing from the order of the others")
            .next("choose another column with --label-column, or list every class in --class-names FILE"));
    }
    let repeated = columns.names.clone().filter(|_| !tell_apart(&tables, &columns));
    if repeated.is_some() {
        columns.names = None;
        tables.iter_mut().flat_map(|t| t.rows.iter_mut()).for_each(|r| r.3.clear());
    }
    let has_names = tables.iter().flat_map(|t| &t.rows).any(|r| matches!(r.2, Label::Name(_)));
    let mut found = if has_names { by_name(&tables, names, &columns, &archives)? } else { by_number(&tables, names, &archives)? };
    if columns != (Columns { images: "image.bytes".to_owned(), labels: "label".to_owned(), names: Some("image.path".to_owned()) }) {
        let names = columns.names.as_ref().map_or_else(String::new, |n| format!(", names from {n}"));
        found.found.notes.push(format!("images from column {}, labels from {}{names}", columns.images, columns.labels));
    }
    if let Some(column) = repeated {
        found.found.notes.push(format!("names in column {column} repeat or are missing: records are numbered by their place"));
    }
    let origin = archives.first().map_or_else(String::new, |p| p.display().to_string());
    let mut store = Store::new(PathBuf::new(), archives);
    store.set_tables(Tables::of(columns.images));
    let mut listing = found.found.arrange(Kind::Parquet, store, found.numbered, &origin, NEXT)?;
    if !found.words.is_empty() {
        listing.words = listing.classes.iter().map(|c| found.words.get(c).cloned().unwrap_or_default()).collect();
    }
    Ok(listing)
}

/// Rows put into classes.
struct Classes {
    found: Found,
    numbered: bool,
    /// What people call the classes.
    words: std::collections::HashMap<String, String>,
}

fn add(found: &mut Found, archive: u32, row: &(u32, u32, Label, String), class: Option<u32>) {
    let (group, row, _, name) = row;
    let place = Place::Row { archive, group: *group, row: *row };
    let name = if name.is_empty() { format!("{archive:05}-{group:05}-{row:06}") } else { name.clone() };
    match class {
        Some(class) => found.add(class, &name, place, None),
        None => found.add_without_class(&name, place, "no label (-1 or none), as in a test split".to_owned()),
    }
}

fn all_rows(tables: &[Table]) -> impl Iterator<Item = (u32, &(u32, u32, Label, String))> {
    tables.iter().enumerate().flat_map(|(t, table)| table.rows.iter().map(move |row| (t as u32, row)))
}

/// Whether the column of names tells the images apart: a struct's own paths within each class (missing ones are numbered), those of
/// another column everywhere.
fn tell_apart(tables: &[Table], columns: &Columns) -> bool {
    let own = columns.names.as_ref().is_some_and(|n| n.ends_with(".path"));
    let mut seen = HashSet::new();
    all_rows(tables).all(|(_, row)| {
        let class = if own { Some(&row.2) } else { None };
        (own && row.3.is_empty()) || !row.3.is_empty() && seen.insert((class, row.3.as_str()))
    })
}

/// Labels that are names of classes.
fn by_name(tables: &[Table], names: Option<&Names>, columns: &Columns, archives: &[PathBuf]) -> Result<Classes> {
    let known: Vec<String> = names.map_or_else(Vec::new, |n| n.iter().map(|(name, _)| name.clone()).collect());
    let allowed: HashSet<&String> = known.iter().collect();
    let mut found = Found::with_classes(&known);
    for (archive, row) in all_rows(tables) {
        let class = match &row.2 {
            Label::None => None,
            Label::Name(name) => Some(name.clone()),
            Label::Number(n) => Some(n.to_string()),
        };
        if let Some(name) = &class
            && (name.contains('/') || !known.is_empty() && !allowed.contains(name))
        {
            let what = if name.contains('/') { "holds a /" } else { "is not among the class names" };
            return Err(Error::data(format!("class {:?} {what}", name.chars().take(60).collect::<String>()))
                .at(format!("{}, column {}, row group {}, row {}", archives[archive as usize].display(), columns.labels, row.0, row.1))
                .because("labels and class names of different datasets, or a wrong column")
                .next("--label-column NAME"));
        }
        let class = class.map(|name| found.class(&name));
        add(&mut found, archive, row, class);
    }
    Ok(Classes { found, numbered: all_numbers(&known), words: std::collections::HashMap::new() })
}

/// Labels that are numbers.
fn by_number(tables: &[Table], names: Option<&Names>, archives: &[PathBuf]) -> Result<Classes> {
    let number = |row: &(u32, u32, Label, String)| if let Label::Number(n) = row.2 { Some(n) } else { None };
    let own = tables.iter().map(|t| &t.names).find(|n| !n.is_empty()).cloned().unwrap_or_default();
    let known = || all_rows(tables).filter_map(|(_, r)| Some((number(r)?, r.3.as_str())));
    let highest = known().map(|(label, _)| label).max().map_or(0, |l| u64::from(l) + 1);
    let named = names.map_or(own.len(), Vec::len) as u64;
    let (count, most) = if named == 0 { (highest, most_numbers(all_rows(tables).count())) } else { (named, MOST_CLASSES) };
    if highest > count || count > most {
        return Err(Error::data(format!("label {} of {count} classes", highest.saturating_sub(1)))
            .at(archives.first().map_or_else(String::new, |p| p.display().to_string()))
            .because("labels and class names of different data sets"));
    }
    let count = count as usize;
    let distinct = own.iter().collect::<HashSet<_>>().len() == own.len() && own.len() == count && own.iter().all(|n| !n.is_empty());
    let by_wnid = || names_by_wnid(count, known());
    let named = names.map(|n| n.iter().map(|(name, _)| name.clone()).collect()).or_else(by_wnid);
    // ClassLabel's names are in the order of the labels, which is kept.
    let numbered = named.as_ref().is_none_or(|n: &Vec<String>| all_numbers(n));
    let classes: Vec<String> = named.unwrap_or_else(|| if distinct { own.clone() } else { (0..count).map(|n| n.to_string()).collect() });
    let mut found = Found::with_classes(&classes);
    for (archive, row) in all_rows(tables) {
        add(&mut found, archive, row, number(row));
    }
    let words =
        if own.len() == count && classes != own { classes.into_iter().zip(own).collect() } else { std::collections::HashMap::new() };
    Ok(Classes { found, numbered, words })
}
