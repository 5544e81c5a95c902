//! Hugging Face's Parquet files: columns `image.bytes`, `image.path` and `label`, one picture a row.
//!
//! Listing reads labels and paths alone. A picture is read by decoding its row group (100 rows in Hugging Face's files of pictures);
//! the last few groups are kept, so reading in the order of the file decodes nothing twice, and [`super::spill`] keeps the pictures for
//! every other order. Classes are named by `--class-names`, else by the WordNet ids in the paths, else as the file's own metadata
//! (`huggingface`, ClassLabel) says, else by their numbers. Panics of the reader on damaged files are caught.

use super::arrange::{Found, names_by_wnid};
use super::resolve::{Names, most_numbers};
use super::store::MAX_FILE;
use super::{Kind, Listing, Place, Store};
use crate::data::decode::quietly;
use crate::data::format::{MOST_CLASSES, MOST_RECORDS};
use crate::error::{Error, Result};
use parquet::column::reader::ColumnReader;
use parquet::data_type::{AsBytes, ByteArray};
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

const NEXT: &str = "give Parquet files with columns image (bytes, path) and label, as datasets.Image and ClassLabel make them";
const BYTES: &str = "image.bytes";
/// Records of a column that are read at a time.
const AT_ONCE: usize = 4096;
/// Uncompressed bytes of the pictures of a row group.
const MOST_GROUP: i64 = 4 << 30;

type Group = std::result::Result<Vec<Option<ByteArray>>, String>;

/// A row group, by the index of its file and its own; read once, whoever asks first.
type Slot = ((u32, u32), Arc<OnceLock<Group>>);

/// The row groups that were read last.
#[derive(Debug, Default)]
pub struct Tables {
    recent: Mutex<Vec<Slot>>,
    groups_read: AtomicU64,
}

impl Tables {
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
            quietly(|| read_group(path, group as usize))
        };
        let rows = slot.get_or_init(decode).as_ref().map_err(Clone::clone)?;
        let picture = rows.get(row as usize).and_then(Option::as_ref).ok_or("the row holds no picture bytes")?;
        if picture.len() as u64 > MAX_FILE {
            return Err(format!("a picture of {} bytes, above {MAX_FILE}", picture.len()));
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

/// Which leaf column bears this path.
fn column(reader: &SerializedFileReader<File>, name: &str) -> Option<usize> {
    reader.metadata().file_metadata().schema_descr().columns().iter().position(|c| c.path().string() == name)
}

fn read_group(path: &Path, group: usize) -> Group {
    let reader = open(path)?;
    let bytes = column(&reader, BYTES).ok_or("the file changed while it was read")?;
    let size = reader.metadata().row_groups().get(group).map_or(0, |g| g.column(bytes).uncompressed_size());
    if size > MOST_GROUP {
        return Err(format!("a row group of {size} bytes, above {MOST_GROUP}"));
    }
    let group = reader.get_row_group(group).map_err(text)?;
    byte_arrays(&*group, bytes)
}

/// The number of rows, held against what a file of this size can hold before memory is taken.
fn rows(group: &dyn RowGroupReader) -> std::result::Result<usize, String> {
    let rows = group.metadata().num_rows();
    usize::try_from(rows).ok().filter(|&n| n as u64 <= MOST_RECORDS).ok_or_else(|| format!("a row group of {rows} rows"))
}

fn byte_arrays(group: &dyn RowGroupReader, index: usize) -> Group {
    let ColumnReader::ByteArrayColumnReader(mut reader) = group.get_column_reader(index).map_err(text)? else {
        return Err("a column of pictures or paths that holds no bytes".to_owned());
    };
    let most = group.metadata().column(index).column_descr().max_def_level();
    let (mut out, total) = (Vec::new(), rows(group)?);
    while out.len() < total {
        let (mut values, mut levels) = (Vec::new(), Vec::new());
        let (records, ..) = reader.read_records(AT_ONCE.min(total - out.len()), Some(&mut levels), None, &mut values).map_err(text)?;
        if records == 0 {
            return Err(format!("{} rows are said to be there, {} are", total, out.len()));
        }
        spread(records, most, &levels, values, &mut out);
    }
    Ok(out)
}

fn integers(group: &dyn RowGroupReader, index: usize) -> std::result::Result<Vec<Option<i64>>, String> {
    let most = group.metadata().column(index).column_descr().max_def_level();
    let (mut out, total) = (Vec::new(), rows(group)?);
    let mut reader = group.get_column_reader(index).map_err(text)?;
    while out.len() < total {
        let (count, mut levels) = (AT_ONCE.min(total - out.len()), Vec::new());
        let (records, values): (usize, Vec<i64>) = match &mut reader {
            ColumnReader::Int64ColumnReader(r) => {
                let mut values = Vec::new();
                (r.read_records(count, Some(&mut levels), None, &mut values).map_err(text)?.0, values)
            }
            ColumnReader::Int32ColumnReader(r) => {
                let mut values = Vec::new();
                let records = r.read_records(count, Some(&mut levels), None, &mut values).map_err(text)?.0;
                (records, values.into_iter().map(i64::from).collect())
            }
            _ => return Err("a column of labels that are no integers".to_owned()),
        };
        if records == 0 {
            return Err(format!("{} rows are said to be there, {} are", total, out.len()));
        }
        spread(records, most, &levels, values, &mut out);
    }
    Ok(out)
}

/// Values to their rows: one is there where the level is the highest.
fn spread<T>(records: usize, most: i16, levels: &[i16], values: Vec<T>, out: &mut Vec<Option<T>>) {
    let mut values = values.into_iter();
    out.extend((0..records).map(|i| if most == 0 || levels.get(i) == Some(&most) { values.next() } else { None }));
}

/// What listing takes from a file.
#[derive(Default)]
struct Table {
    /// Row group, row, label, path.
    rows: Vec<(u32, u32, Option<i64>, String)>,
    /// Names of the labels, from the metadata.
    names: Vec<String>,
}

fn read_table(path: &Path) -> std::result::Result<Table, String> {
    let reader = open(path)?;
    let missing = |what: &str| format!("no column {what}");
    let bytes = column(&reader, BYTES).ok_or_else(|| missing(BYTES))?;
    let label = column(&reader, "label").or_else(|| column(&reader, "labels")).ok_or_else(|| missing("label"))?;
    let paths = column(&reader, "image.path");
    let mut table = Table { names: class_label(&reader), ..Table::default() };
    for g in 0..reader.num_row_groups() {
        let group = reader.get_row_group(g).map_err(text)?;
        let labels = integers(&*group, label)?;
        let paths = paths.map_or_else(|| Ok(vec![None; labels.len()]), |p| byte_arrays(&*group, p))?;
        if group.metadata().column(bytes).num_values() != labels.len() as i64 || paths.len() != labels.len() {
            return Err(format!("row group {g}: columns of different lengths"));
        }
        for (row, (label, path)) in labels.into_iter().zip(paths).enumerate() {
            let path = path.map_or_else(String::new, |p| String::from_utf8_lossy(p.as_bytes()).into_owned());
            table.rows.push((g as u32, row as u32, label, path));
        }
    }
    Ok(table)
}

/// The names of `label` in the metadata that the `datasets` library leaves.
fn class_label(reader: &SerializedFileReader<File>) -> Vec<String> {
    let metadata = reader.metadata().file_metadata().key_value_metadata();
    let text = metadata.and_then(|m| m.iter().find(|kv| kv.key == "huggingface")).and_then(|kv| kv.value.as_deref());
    let json: Option<serde_json::Value> = text.and_then(|t| serde_json::from_str(t).ok());
    let names = json.as_ref().and_then(|j| j.pointer("/info/features/label/names")).and_then(|n| n.as_array());
    names.map_or_else(Vec::new, |n| n.iter().map(|v| v.as_str().unwrap_or_default().to_owned()).collect())
}

/// Lists the rows of `archives`, in that order.
///
/// # Errors
/// `Data` when a file is damaged or lacks a column, or a label is not among the class names.
pub fn list(archives: Vec<PathBuf>, names: Option<&Names>) -> Result<Listing> {
    let mut tables = Vec::with_capacity(archives.len());
    for path in &archives {
        let fail = |e: String| Error::data(e).at(path.display().to_string()).because("a damaged file, or another table").next(NEXT);
        tables.push(quietly(|| read_table(path)).map_err(fail)?);
    }
    let origin = archives.first().map_or_else(String::new, |p| p.display().to_string());
    let own = tables.iter().map(|t| &t.names).find(|n| !n.is_empty()).cloned().unwrap_or_default();
    let rows = || tables.iter().enumerate().flat_map(|(t, table)| table.rows.iter().map(move |row| (t as u32, row)));
    let known = || rows().filter_map(|(_, r)| Some((u32::try_from(r.2?).ok()?, r.3.as_str())));
    let highest = known().map(|(label, _)| label).max().map_or(0, |l| u64::from(l) + 1);
    let named = names.map_or(own.len(), Vec::len) as u64;
    let (count, most) = if named == 0 { (highest, most_numbers(rows().count())) } else { (named, MOST_CLASSES) };
    if highest > count || count > most {
        return Err(Error::data(format!("label {} of {count} classes", highest.saturating_sub(1)))
            .at(origin)
            .because("labels and class names of different data sets"));
    }
    let count = count as usize;
    let distinct = own.iter().collect::<HashSet<_>>().len() == own.len() && own.len() == count && own.iter().all(|n| !n.is_empty());
    let by_wnid = || names_by_wnid(count, known());
    let named = names.map(|n| n.iter().map(|(name, _)| name.clone()).collect()).or_else(by_wnid);
    // ClassLabel's names are in the order of the labels, which is kept.
    let numbered = named.is_none();
    let classes: Vec<String> = named.unwrap_or_else(|| if distinct { own.clone() } else { (0..count).map(|n| n.to_string()).collect() });
    let mut found = Found::with_classes(&classes);
    for (archive, (group, row, label, path)) in rows() {
        let place = Place::Row { archive, group: *group, row: *row };
        let name = if path.is_empty() { format!("{archive:05}-{group:05}-{row:06}") } else { path.clone() };
        match label.and_then(|l| u32::try_from(l).ok()) {
            Some(label) => found.add(label, &name, place, None),
            None => found.add_without_class(&name, place, "no label (-1 or none), as in a test split".to_owned()),
        }
    }
    let mut listing = found.arrange(Kind::Parquet, Store::new(PathBuf::new(), archives), numbered, &origin, NEXT)?;
    if own.len() == count && listing.classes != own {
        let words: std::collections::HashMap<&String, &String> = classes.iter().zip(&own).collect();
        listing.words = listing.classes.iter().map(|c| words.get(c).map_or_else(String::new, |w| (*w).clone())).collect();
    }
    Ok(listing)
}
