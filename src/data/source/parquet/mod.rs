//! Tables of images in Parquet files, one image a row: Hugging Face's (`image.bytes`, `image.path`, `label`) and others alike.
//!
//! [`columns`] says which columns hold images, labels and names. Listing reads labels and names alone. An image is read by decoding its
//! row group (100 rows in Hugging Face's files of images); the last few groups are kept, so reading in the order of the file decodes
//! nothing twice, and [`super::spill`] keeps the images for every other order. Numbered classes are named by `--class-names`, else by the
//! WordNet ids in the names, else as the file's own metadata (`huggingface`, ClassLabel) says, else by their numbers; strings name
//! classes themselves. Panics of the reader on damaged files are caught. Every codec of the format but LZO is read.

mod classes;
mod columns;
mod labels;
mod values;

use super::arrange::shown;
use super::resolve::Names;
use super::splits::Part;
use super::store::MAX_FILE;
use super::{Kind, Listing, Store};
use crate::data::decode::quietly;
use crate::error::{Error, Result};
use classes::{by_name, by_number, tell_apart};
use columns::{Columns, Undecided, choose, position, same_kind};
use labels::{Label, labels, names_to_numbers};
use parquet::basic::Compression;
use parquet::data_type::{AsBytes, ByteArray};
use parquet::file::reader::{FileReader, SerializedFileReader};
use std::collections::BTreeSet;
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
    /// Rows of this split alone, where a column says it.
    pub part: Option<Part>,
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

/// Row group, row, label, name.
type Row = (u32, u32, Label, String);

/// What listing takes from a file.
struct Table {
    rows: Vec<Row>,
    /// Names of the labels, from the metadata.
    names: Vec<String>,
    /// Splits that rows are of, and how many are of another one than is asked for.
    parts: BTreeSet<Part>,
    others: u64,
}

fn read_table(path: &Path, columns: &Columns, part: Option<Part>) -> std::result::Result<Table, String> {
    let reader = open(path)?;
    let column = |name: &str| position(&reader, name).ok_or_else(|| format!("no column {name}, which the files before it have"));
    let (bytes, label) = (column(&columns.images)?, column(&columns.labels)?);
    same_kind(&reader, columns)?;
    let names = columns.names.as_deref().and_then(|name| position(&reader, name));
    let split = match (&columns.split, part) {
        (Some(split), Some(part)) => Some((split, column(&split.path)?, part)),
        _ => None,
    };
    let mut table = Table { names: class_label(&reader, &columns.labels), rows: Vec::new(), parts: BTreeSet::new(), others: 0 };
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
        let of_split = match split {
            Some((split, index, part)) => {
                let parts: Vec<Option<Part>> = values(&*group, index, usize::MAX)?.iter().map(|v| split.part(v.as_ref())).collect();
                table.parts.extend(parts.iter().flatten());
                parts.into_iter().map(|p| p == Some(part)).collect()
            }
            None => vec![true; labels.len()],
        };
        for (row, ((label, name), of_split)) in labels.into_iter().zip(names).zip(of_split).enumerate() {
            if !of_split {
                table.others += 1;
                continue;
            }
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
                return Err(Error::usage(what).at(path.display().to_string()).because("another table than expected").next(next));
            }
        }
    }
    Err(Error::data("no Parquet files").next(NEXT))
}

fn damaged(path: &Path, what: String) -> Error {
    use std::io::Read;
    let mut first = [0; 19];
    let read = File::open(path).and_then(|mut f| f.read_exact(&mut first)).is_ok();
    if read && first == *b"version https://git" {
        return Error::data("a pointer of Git LFS, not the file itself").at(path.display().to_string()).next("git lfs pull");
    }
    let encrypted = read && first.starts_with(b"PARE");
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
        tables.push(quietly(|| read_table(path, &columns, asked.part)).map_err(|e| damaged(path, e))?);
    }
    let split = of_split(&tables, &columns, &archives, asked.part)?;
    let mixed = names_to_numbers(&mut tables.iter_mut().flat_map(|t| t.rows.iter_mut().map(|r| &mut r.2)).collect::<Vec<_>>());
    if names.is_none() {
        refuse_mixed(&tables, mixed, &columns, &archives)?;
    }
    let repeated = columns.names.clone().filter(|_| !tell_apart(&tables, &columns));
    if repeated.is_some() {
        columns.names = None;
        tables.iter_mut().flat_map(|t| t.rows.iter_mut()).for_each(|r| r.3.clear());
    }
    let has_names = tables.iter().flat_map(|t| &t.rows).any(|r| matches!(r.2, Label::Name(_)));
    let mut found = if has_names { by_name(&tables, names, &columns, &archives)? } else { by_number(&tables, names, &archives)? };
    found.found.notes.extend(split);
    if let Some(column) = &columns.unused_split {
        found.found.notes.push(format!("column {column} is not used: it holds no words such as train, val and test"));
    }
    if (columns.images.as_str(), columns.labels.as_str(), columns.names.as_deref()) != ("image.bytes", "label", Some("image.path")) {
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

/// What to say about the column of splits.
fn of_split(tables: &[Table], columns: &Columns, archives: &[PathBuf], part: Option<Part>) -> Result<Option<String>> {
    let (Some(split), Some(part)) = (&columns.split, part) else { return Ok(None) };
    let (rows, others) = tables.iter().fold((0, 0), |(rows, others), t| (rows + t.rows.len(), others + t.others));
    if rows == 0 && others > 0 {
        let there: BTreeSet<Part> = tables.iter().flat_map(|t| t.parts.iter().copied()).collect();
        let there: Vec<&str> = there.into_iter().map(Part::name).collect();
        return Err(Error::usage(format!("no row of the split {}: column {} names {}", part.name(), split.path, there.join(", ")))
            .at(archives.first().map_or_else(String::new, |p| p.display().to_string()))
            .next("another --split"));
    }
    Ok(Some(format!("column {} of the table names the split: {rows} rows of {}, {others} of others", split.path, part.name())))
}

/// Refuses numbers and names in one column: of one file, or of two.
fn refuse_mixed(tables: &[Table], texts: std::result::Result<(), (String, String)>, columns: &Columns, archives: &[PathBuf]) -> Result<()> {
    let first = |is: fn(&Label) -> bool| {
        let row = |t: &Table| t.rows.iter().find(|r| is(&r.2)).map(|r| r.2.clone());
        tables.iter().zip(archives).find_map(|(t, path)| Some((path.display().to_string(), row(t)?)))
    };
    let number = first(|l| matches!(l, Label::Number(_)));
    let name = first(|l| matches!(l, Label::Name(_)));
    let cause = match (texts, number, name) {
        (Err((number, name)), ..) => format!("\"{}\" and \"{}\"", shown(&number), shown(&name)),
        (Ok(()), Some((one, Label::Number(n))), Some((other, Label::Name(name)))) => {
            format!("{n} in {one}, \"{}\" in {other}", shown(&name))
        }
        _ => return Ok(()),
    };
    Err(Error::usage(format!("some labels are numbers and others are names: {cause}"))
        .at(format!("{}, column {}", archives.first().map_or_else(String::new, |p| p.display().to_string()), columns.labels))
        .because("one class would be missing from the order of the others")
        .next("choose another column with --label-column, or list every class in --class-names FILE"))
}
