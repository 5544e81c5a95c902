//! Which columns of a table hold the images, their labels and their names: as asked for, or by looking at types, names and first values.
//!
//! Images are in the one column whose values begin like image files. Labels are in the one column of a usual name, or else in the only
//! column of whole numbers or strings whose values repeat. More than one is an error that lists the columns with types and examples.

use super::values::{Form, Value, image_type, rows, values};
use super::{ColumnNames, text};
use crate::data::source::splits::{Part, flag_named, truth};
use crate::data::source::words;
use parquet::basic::{ConvertedType, LogicalType, Type as Physical};
use parquet::data_type::AsBytes;
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use parquet::schema::types::ColumnDescriptor;
use std::collections::HashSet;
use std::fs::File;

/// Names that columns of file names have, for records without a path of their own.
const NAMES: [&str; 6] = ["path", "file_name", "filename", "image_path", "file", "__key__"];
/// Rows that are looked at to tell what a column holds, in this many row groups at most.
const LOOKED_AT: usize = 8;
const GROUPS: usize = 4;

/// Paths of the leaf columns that are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    pub images: String,
    pub labels: String,
    /// What an image is called.
    pub names: Option<String>,
    pub split: Option<SplitColumn>,
    /// A column that is called so and holds other than words of splits.
    pub unused_split: Option<String>,
}

/// A column that says which split a row is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplitColumn {
    pub path: String,
    /// What yes and no mean in it; `None` where it holds words.
    flag: Option<(Part, Part)>,
}

impl SplitColumn {
    pub fn part(&self, value: Option<&Value>) -> Option<Part> {
        let text = match value? {
            Value::Bytes(bytes) => std::str::from_utf8(bytes.as_bytes()).ok()?.to_owned(),
            other => other.shown(),
        };
        self.flag.map_or_else(|| Part::of_folder(&text), |(yes, no)| truth(&text).map(|t| if t { yes } else { no }))
    }
}

/// What cannot be decided, and what to do about it.
pub struct Undecided {
    pub what: String,
    pub next: String,
}

struct Leaf {
    path: String,
    index: usize,
    kind: String,
    physical: Physical,
    string: bool,
    /// Numbers that are dates or times or money.
    dated: bool,
    list: bool,
    form: Form,
    examples: Vec<Value>,
    /// Of the rows that were looked at, those with a value.
    some: usize,
}

impl Leaf {
    fn is_bytes(&self) -> bool {
        matches!(self.physical, Physical::BYTE_ARRAY | Physical::FIXED_LEN_BYTE_ARRAY)
            && !self.string
            && !self.dated
            && !self.list
            && self.form == Form::AsStored
    }

    fn holds_images(&self) -> bool {
        let image = |v: &Value| matches!(v, Value::Bytes(b) if image_type(b.as_bytes()).is_some());
        self.is_bytes() && self.examples.iter().any(image)
    }

    fn is_label(&self) -> bool {
        let number = matches!(self.physical, Physical::INT32 | Physical::INT64 | Physical::FLOAT | Physical::DOUBLE)
            || matches!(self.form, Form::Half | Form::Decimal(_));
        !self.list && !self.dated && (number || self.string)
    }

    fn shown(&self) -> String {
        let examples: Vec<String> = self.examples.iter().take(2).map(Value::shown).collect();
        let list = if self.list { "list of " } else { "" };
        let examples = if examples.is_empty() { "no values seen".to_owned() } else { examples.join(", ") };
        format!("{} ({list}{}: {examples})", self.path, self.kind)
    }
}

fn leaf(index: usize, c: &ColumnDescriptor) -> Leaf {
    use ConvertedType as C;
    let logical = c.logical_type_ref();
    let string =
        matches!(c.converted_type(), C::UTF8 | C::ENUM | C::JSON) || matches!(logical, Some(LogicalType::String | LogicalType::Enum));
    let plain = matches!(
        c.converted_type(),
        C::NONE
            | C::UTF8
            | C::ENUM
            | C::JSON
            | C::INT_8
            | C::INT_16
            | C::INT_32
            | C::INT_64
            | C::UINT_8
            | C::UINT_16
            | C::UINT_32
            | C::UINT_64
    );
    let plain = plain && !matches!(logical, Some(LogicalType::Timestamp { .. } | LogicalType::Time { .. } | LogicalType::Uuid));
    let form = Form::of(c);
    let plain = plain || form != Form::AsStored;
    let kind = match c.physical_type() {
        _ if string => "string".to_owned(),
        _ if form == Form::Half => "float16".to_owned(),
        _ if matches!(form, Form::Decimal(_)) => "decimal".to_owned(),
        _ if !plain => logical.map_or_else(|| format!("{:?}", c.converted_type()), |l| format!("{l:?}")).to_lowercase(),
        Physical::BYTE_ARRAY => "binary".to_owned(),
        Physical::FIXED_LEN_BYTE_ARRAY => format!("binary of {}", c.type_length()),
        Physical::BOOLEAN => "bool".to_owned(),
        other => other.to_string().to_lowercase(),
    };
    let (list, dated) = (c.max_rep_level() > 0, !plain || c.physical_type() == Physical::INT96);
    Leaf { path: c.path().string(), index, kind, physical: c.physical_type(), string, dated, list, form, examples: Vec::new(), some: 0 }
}

/// Which leaf column bears this path.
pub fn position(reader: &SerializedFileReader<File>, path: &str) -> Option<usize> {
    reader.metadata().file_metadata().schema_descr().columns().iter().position(|c| c.path().string() == path)
}

/// Decides, given what the user asked for.
///
/// # Errors
/// Damage, in words.
pub fn choose(reader: &SerializedFileReader<File>, asked: &ColumnNames) -> Result<Result<Columns, Undecided>, String> {
    let mut leaves: Vec<Leaf> =
        reader.metadata().file_metadata().schema_descr().columns().iter().enumerate().map(|(i, c)| leaf(i, c)).collect();
    for g in 0..reader.num_row_groups().min(GROUPS) {
        let group = reader.get_row_group(g).map_err(text)?;
        leaves.iter_mut().try_for_each(|leaf| look(leaf, &*group))?;
    }
    Ok(images(&leaves, asked).and_then(|images| {
        let labels = labels(&leaves, images, asked, reader)?;
        let below = images.path.rsplit_once('.').map(|(folder, _)| format!("{folder}.path"));
        let own = below.and_then(|p| leaves.iter().find(|l| l.path == p && l.string));
        let beside =
            || NAMES.iter().find_map(|n| leaves.iter().find(|l| l.path.eq_ignore_ascii_case(n) && l.string && l.path != labels.path));
        let names = own.or_else(beside).map(|l| l.path.clone());
        let split = split(&leaves, [images, labels], reader);
        let called = |l: &&Leaf| words::is_split(&l.path) && ![&images.path, &labels.path].contains(&&l.path);
        let unused_split = leaves.iter().find(called).filter(|_| split.is_none()).map(|l| l.path.clone());
        Ok(Columns { images: images.path.clone(), labels: labels.path.clone(), names, split, unused_split })
    }))
}

/// Whether a column of another file holds what that of the first does.
///
/// # Errors
/// What it holds instead.
pub fn same_kind(reader: &SerializedFileReader<File>, columns: &Columns) -> Result<(), String> {
    for (i, c) in reader.metadata().file_metadata().schema_descr().columns().iter().enumerate() {
        let leaf = leaf(i, c);
        let fits = match &leaf.path {
            p if *p == columns.images => leaf.is_bytes(),
            p if *p == columns.labels => leaf.is_label() || leaf.is_bytes(),
            _ => true,
        };
        if !fits {
            return Err(format!("column {} is of another kind than in the files before it: {}", leaf.path, leaf.shown()));
        }
    }
    Ok(())
}

/// The column of splits, if there is one: of words such as `train` alone, or that is called so and has some.
fn split(leaves: &[Leaf], taken: [&Leaf; 2], reader: &SerializedFileReader<File>) -> Option<SplitColumn> {
    let all = |leaf: &Leaf| -> Vec<Option<Value>> {
        let read = |g| reader.get_row_group(g).map_err(text).and_then(|group| values(&*group, leaf.index, usize::MAX));
        (0..reader.num_row_groups()).filter_map(|g| read(g).ok()).flatten().collect()
    };
    leaves.iter().filter(|l| !l.list && taken.iter().all(|t| t.path != l.path)).find_map(|leaf| {
        let whole = |flag| SplitColumn { path: leaf.path.clone(), flag };
        let known = |split: &SplitColumn, values: &[Option<Value>]| values.iter().filter(|v| split.part(v.as_ref()).is_some()).count();
        if leaf.string {
            let (called, split) = (words::is_split(&leaf.path), whole(None));
            let likely = called || !leaf.examples.is_empty() && leaf.examples.iter().all(|v| split.part(Some(v)).is_some());
            let values = if likely { all(leaf) } else { Vec::new() };
            return Some(split.clone()).filter(|_| known(&split, &values) >= if called { 1 } else { values.len().max(1) });
        }
        let split = whole(Some(flag_named(&leaf.path)?));
        let values = if leaf.physical == Physical::BOOLEAN || leaf.is_label() { all(leaf) } else { Vec::new() };
        Some(split.clone()).filter(|_| !values.is_empty() && known(&split, &values) == values.len())
    })
}

/// Takes up first values. Columns that cannot be labels, names or images are not read.
fn look(leaf: &mut Leaf, group: &dyn RowGroupReader) -> Result<(), String> {
    if leaf.list || leaf.physical == Physical::INT96 || leaf.some >= LOOKED_AT || rows(group)? == 0 {
        return Ok(());
    }
    // What cannot be read has no examples; where it is needed, reading it says why.
    let Ok(first) = values(group, leaf.index, LOOKED_AT) else { return Ok(()) };
    leaf.some += first.iter().flatten().count();
    leaf.examples.extend(first.into_iter().flatten());
    leaf.examples.truncate(LOOKED_AT);
    Ok(())
}

fn listed(leaves: &[Leaf]) -> String {
    let shown: Vec<String> = leaves.iter().take(30).map(Leaf::shown).collect();
    let more = if leaves.len() > 30 { format!(" and {} more", leaves.len() - 30) } else { String::new() };
    format!("the columns are {}{more}", shown.join("; "))
}

/// The column of that name or, where none has it, of that number from 1: a leaf, or a struct with one leaf of the kind.
fn named<'a>(leaves: &'a [Leaf], name: &str, fits: impl Fn(&Leaf) -> bool) -> Option<&'a Leaf> {
    let top = |l: &'a Leaf| l.path.split('.').next().unwrap_or(&l.path);
    let name = match name.parse::<usize>() {
        Ok(n) if leaves.iter().all(|l| top(l) != name) => {
            let mut tops: Vec<&str> = leaves.iter().map(top).collect();
            tops.dedup();
            tops.get(n.checked_sub(1)?).copied()?
        }
        _ => name,
    };
    let exact = leaves.iter().find(|l| l.path == name);
    let below: Vec<&Leaf> = leaves.iter().filter(|l| l.path.strip_prefix(name).is_some_and(|r| r.starts_with('.')) && fits(l)).collect();
    exact.or(if let [one] = below[..] { Some(one) } else { None })
}

/// A question, and the flags that answer it.
fn undecided(leaves: &[Leaf], flag: &str, what: String, able: &[&Leaf]) -> Undecided {
    let name = |l: &&Leaf| l.path.strip_suffix(".bytes").unwrap_or(&l.path).to_owned();
    let flags: Vec<String> = able.iter().take(4).map(|l| format!("{flag} {}", name(l))).collect();
    let next = if flags.is_empty() { format!("{flag} NAME") } else { flags.join(", or ") };
    Undecided { what: format!("{what}; {}", listed(leaves)), next }
}

fn images<'a>(leaves: &'a [Leaf], asked: &ColumnNames) -> Result<&'a Leaf, Undecided> {
    let undecided = |what: String, able: &[&Leaf]| undecided(leaves, "--image-column", what, able);
    if let Some(name) = &asked.images {
        let found = named(leaves, name, Leaf::is_bytes).ok_or_else(|| undecided(format!("no column {name} of images"), &[]))?;
        return if found.is_bytes() { Ok(found) } else { Err(undecided(format!("column {name} holds no bytes of images"), &[])) };
    }
    let mut candidates: Vec<&Leaf> = leaves.iter().filter(|l| l.holds_images()).collect();
    if candidates.is_empty() {
        // Where no image is seen, the usual place and the only one of bytes are taken: each row is told as a bad image then.
        candidates = leaves.iter().filter(|l| l.path == "image.bytes" && l.is_bytes()).collect();
        if candidates.is_empty() {
            candidates = leaves.iter().filter(|l| l.is_bytes()).collect();
        }
    }
    match candidates[..] {
        [one] => Ok(one),
        [] => Err(undecided("no column of images (bytes of image files)".to_owned(), &[])),
        _ => Err(undecided(format!("{} columns that may hold the images", candidates.len()), &candidates)),
    }
}

fn labels<'a>(leaves: &'a [Leaf], images: &Leaf, asked: &ColumnNames, reader: &SerializedFileReader<File>) -> Result<&'a Leaf, Undecided> {
    let undecided = |what: String, able: &[&Leaf]| undecided(leaves, "--label-column", what, able);
    let own = images.path.rsplit_once('.').map(|(folder, _)| format!("{folder}."));
    let outside = |l: &&Leaf| l.path != images.path && own.as_ref().is_none_or(|own| !l.path.starts_with(own));
    if let Some(name) = &asked.labels {
        // Bytes that are text serve too, where they are asked for.
        let found = named(leaves, name, Leaf::is_label).ok_or_else(|| undecided(format!("no column {name}"), &[]))?;
        return match found {
            l if !outside(&l) => Err(undecided(format!("column {name} holds the images and what they are called, no classes"), &[])),
            l if l.is_label() || l.is_bytes() => Ok(found),
            _ => Err(undecided(format!("column {name} holds no labels (whole numbers or names)"), &[])),
        };
    }
    let by_name: Vec<&Leaf> = leaves.iter().filter(|l| words::is_class(&l.path)).filter(outside).collect();
    match by_name[..] {
        [one] if one.is_label() => return Ok(one),
        [one] => return Err(undecided(format!("column {} holds no labels (whole numbers or names)", one.path), &[])),
        [] => {}
        _ => return Err(undecided(format!("{} columns that may hold the labels", by_name.len()), &by_name)),
    }
    let other = |l: &&Leaf| {
        let name = l.path.as_str();
        words::is_image(name) || words::is_about(name) || words::is_number(name) || words::is_split(name) || name.starts_with("__")
    };
    let plausible: Vec<&Leaf> = leaves.iter().filter(|l| l.is_label() && !other(l)).filter(outside).collect();
    let repeating: Vec<&Leaf> = plausible.iter().filter(|l| repeats(reader, l)).copied().collect();
    match repeating[..] {
        [one] => Ok(one),
        [] if !plausible.is_empty() => Err(undecided("no column whose values come back as those of labels do".to_owned(), &plausible)),
        [] => Err(undecided("no column of labels (whole numbers or names)".to_owned(), &[])),
        _ => Err(undecided("no column that is surely the labels".to_owned(), &repeating)),
    }
}

/// Whether values come back, as those of classes do and those of a running number do not.
fn repeats(reader: &SerializedFileReader<File>, leaf: &Leaf) -> bool {
    let (mut seen, mut all) = (HashSet::new(), 0);
    for g in 0..reader.num_row_groups().min(64) {
        let read = reader.get_row_group(g).map_err(text).and_then(|group| values(&*group, leaf.index, usize::MAX));
        let Ok(read) = read else { return false };
        all += read.len();
        seen.extend(read.into_iter().flatten().map(|v| match v {
            Value::Bytes(bytes) => String::from_utf8_lossy(bytes.as_bytes()).into_owned(),
            other => other.shown(),
        }));
    }
    2 * seen.len() <= all
}
