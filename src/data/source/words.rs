//! Words that people put over the columns of lists and tables: of classes, of images, of what is neither, and of splits.

/// Names of columns that hold the class.
pub const CLASS: [&str; 31] = [
    "label",
    "labels",
    "fine_label",
    "coarse_label",
    "cls",
    "class",
    "classes",
    "classname",
    "class_id",
    "classid",
    "class_idx",
    "class_index",
    "class_label",
    "class_name",
    "label_id",
    "label_idx",
    "label_name",
    "target",
    "targets",
    "y",
    "category",
    "category_id",
    "category_name",
    "synset",
    "wnid",
    "species",
    "genus",
    "breed",
    "diagnosis",
    "landmark_id",
    "predictionstring",
];

/// Names of columns that hold files.
pub const IMAGE: [&str; 19] = [
    "image",
    "images",
    "image_id",
    "imageid",
    "image_name",
    "image_path",
    "id",
    "id_code",
    "file",
    "filename",
    "file_name",
    "fname",
    "path",
    "filepath",
    "file_path",
    "img",
    "img_path",
    "name",
    "__key__",
];

/// Names of columns that describe an image and are not its class.
const ABOUT: [&str; 46] = [
    "width",
    "height",
    "size",
    "length",
    "channels",
    "mode",
    "format",
    "caption",
    "captions",
    "text",
    "prompt",
    "description",
    "title",
    "comment",
    "alt",
    "url",
    "source",
    "source_url",
    "coco_url",
    "license",
    "author",
    "rights_holder",
    "hash",
    "md5",
    "sha1",
    "sha256",
    "date",
    "time",
    "timestamp",
    "datetime",
    "created_at",
    "date_captured",
    "year",
    "latitude",
    "longitude",
    "lat",
    "lon",
    "bbox",
    "xmin",
    "xmax",
    "ymin",
    "ymax",
    "language",
    "score",
    "confidence",
    "exif",
];

/// Names of columns that number rows.
const NUMBERS: [&str; 12] = ["", "id", "idx", "index", "uid", "uuid", "no", "nr", "row", "number", "row_id", "unnamed: 0"];

/// Names of columns that say which split a row is of.
const SPLITS: [&str; 12] =
    ["split", "subset", "partition", "phase", "set", "fold", "usage", "data_split", "dataset_split", "split_name", "dataset", "data_set"];

/// Names of columns that hold a box.
const BOX: [&str; 26] = [
    "x", "y", "w", "h", "x1", "y1", "x2", "y2", "cx", "cy", "xmin", "xmax", "ymin", "ymax", "x_min", "x_max", "y_min", "y_max", "left",
    "top", "right", "bottom", "width", "height", "x0", "y0",
];

fn among(words: &[&str], name: &str) -> bool {
    words.iter().any(|w| name.trim().eq_ignore_ascii_case(w))
}

pub fn is_class(name: &str) -> bool {
    among(&CLASS, name)
}

pub fn is_image(name: &str) -> bool {
    among(&IMAGE, name)
}

pub fn is_about(name: &str) -> bool {
    among(&ABOUT, name)
}

pub fn is_number(name: &str) -> bool {
    among(&NUMBERS, name)
}

/// Names of columns of splits whose numbers are parts of a cross-validation or of several datasets.
pub fn is_fold(name: &str) -> bool {
    among(&["fold", "dataset", "data_set"], name)
}

pub fn is_split(name: &str) -> bool {
    among(&SPLITS, name)
}

/// How many names are those of the sides of a box.
pub fn boxes<'a>(names: impl Iterator<Item = &'a str>) -> usize {
    names.filter(|n| is_box(n)).count()
}

pub fn is_box(name: &str) -> bool {
    among(&BOX, name)
}
