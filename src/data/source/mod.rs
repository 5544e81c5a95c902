//! Where pictures come from: one file per layout, each giving the same listing.
//!
//! A listing is made by one look at names, labels and headers: it says where the bytes of each picture lie (a file, a byte range of an
//! archive, a row of a table), and they are then read from there by any number of threads in any order. Nothing is unpacked. Records
//! are named by one rule ([`naming`]) and sorted by their names, so every source of the same pictures gives the same shards.

mod archives;
mod arrange;
mod asked;
mod audit;
mod class_names;
mod class_tar;
mod class_tar_names;
mod columns;
mod container;
mod copies;
pub mod detect;
mod devkit;
mod flat;
mod id_joined;
pub mod image_folder;
mod join;
mod json_rows;
mod label_names;
mod labels;
mod layout;
mod list;
mod looking;
mod masks;
mod matlab;
mod members;
mod mount;
mod named;
mod naming;
mod nfc;
#[cfg(feature = "parquet")]
mod parquet;
mod paths;
mod peek;
mod readings;
mod refusals;
mod resolve;
mod same_below;
mod span;
#[cfg(feature = "parquet")]
mod spill;
mod split_column;
mod split_lists;
mod splits;
mod store;
mod table;
mod tar;
mod tar_header;
mod tar_zeros;
mod unclear;
mod webdataset;
mod witness;
mod words;
mod zip;
mod zip_name;

pub use class_names::read_outputs;
pub use detect::{Kind, SourceOptions, is_there, open, split_named};
pub use splits::Part;
pub use store::{MAX_FILE, Place, Store};

/// JPEG and PNG are what is read; the others are taken up too, so that they are refused by name instead of quietly missing.
const EXTENSIONS: [&str; 15] =
    ["jpg", "jpeg", "jpe", "jfif", "png", "gif", "webp", "bmp", "tif", "tiff", "avif", "heic", "jxl", "ppm", "pgm"];

/// A picture of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// The name of the record, see [`naming`].
    pub path: String,
    /// Index into [`Listing::classes`].
    pub label: u32,
    pub place: Place,
    /// Why it cannot be packed, where that is known already. It counts as a bad picture.
    pub trouble: Option<String>,
}

/// What a source holds, in an order that depends on the names alone.
#[derive(Debug)]
pub struct Listing {
    pub kind: Kind,
    pub store: Store,
    /// The rank is the label. Sorted by bytes, except where a source numbers its classes without naming them.
    pub classes: Vec<String>,
    /// What people call the classes, where the source says; as long as `classes`, or empty.
    pub words: Vec<String>,
    /// Sorted by the bytes of the path.
    pub files: Vec<SourceFile>,
    /// What a user would want to know: ignored files, empty classes.
    pub notes: Vec<String>,
    /// Members of archives that are called as label files are, where the source does not read them.
    pub label_files: usize,
}

/// A name and its extension, where that is one of an image: `a.b.JPEG` is `a.b` and `JPEG`, `img.001` has none.
fn split_extension(name: &str) -> (&str, Option<&str>) {
    match name.rsplit_once('.') {
        Some((stem, e)) if is_picture(name) && !stem.is_empty() && !stem.ends_with('/') => (stem, Some(e)),
        _ => (name, None),
    }
}

/// Whether a name ends like a picture's, in any case. The real type is found later, by content.
pub fn is_picture(name: &str) -> bool {
    let extension = name.rsplit('/').next().and_then(|n| n.rsplit_once('.')).map(|(_, e)| e);
    extension.is_some_and(|e| EXTENSIONS.iter().any(|x| e.eq_ignore_ascii_case(x)))
}

/// The last part of a name with `/`, without its extension: what label files know a picture by.
fn stem(name: &str) -> &str {
    let last = name.rsplit('/').next().unwrap_or(name);
    last.rsplit_once('.').map_or(last, |(stem, _)| if stem.is_empty() { last } else { stem })
}
