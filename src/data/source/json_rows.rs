//! Labels in JSON, as rows of text: lines of objects (`metadata.jsonl`), an array of objects, an object of image to class or of class to
//! images, and the tables of COCO and iNaturalist (`images`, `annotations`, `categories`).
//!
//! Numbers, strings, true and false become fields, also alone in an array; objects, other arrays and null become empty ones. Cost: the file in memory.

use super::arrange::shown;
use crate::error::{Error, Result};
use serde_json::{Map, Value};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::Path;

pub struct Rows {
    /// The keys; `None` for rows of an image and its class.
    pub header: Option<Vec<String>>,
    /// Number of the line, and the fields.
    pub rows: Vec<(usize, Vec<String>)>,
    /// The numbers are those of lines in the file.
    pub numbered: bool,
}

/// The rows of a text, if it is JSON.
///
/// # Errors
/// `Data` for JSON that is damaged or holds no images and classes.
pub fn read(path: &Path, text: &str) -> Result<Option<Rows>> {
    let start = text.trim_start();
    let named = path.extension().is_some_and(|e| ["json", "jsonl", "ndjson"].iter().any(|j| e.eq_ignore_ascii_case(j)));
    if !named && !start.starts_with(['{', '[']) {
        return Ok(None);
    }
    let bad = |what: String| {
        Error::data(what)
            .at(path.display().to_string())
            .because("not JSON that says images and their classes")
            .next("lines of objects such as {\"file_name\": \"0001.png\", \"label\": \"cat\"}, or of PATH CLASS")
    };
    let mut said = text.lines().filter(|l| !l.trim().is_empty());
    if let Some(Ok(Value::Object(one))) = said.next().map(serde_json::from_str::<Value>) {
        // One line alone may be a row, or all of the images and their classes.
        let row = one.keys().any(|k| super::words::is_image(k)) && one.values().all(|v| !v.is_array() || !is_texts(v));
        if said.next().is_some() || row && !one.contains_key("annotations") {
            return lines(text).map(Some).map_err(bad);
        }
    }
    match serde_json::from_str::<Value>(text) {
        Ok(whole) => document(whole).map(Some).map_err(bad),
        Err(e) if named => Err(bad(format!("line {}, column {}: {}", e.line(), e.column(), reason(&e)))),
        Err(_) => Ok(None),
    }
}

/// What is wrong, without the place, which counts from the start of what was read.
pub fn reason(e: &serde_json::Error) -> String {
    let text = e.to_string();
    text.rfind(" at line ").map_or(text.clone(), |at| text[..at].to_owned())
}

fn lines(text: &str) -> std::result::Result<Rows, String> {
    let mut objects = Vec::new();
    for (i, line) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
        match serde_json::from_str(line) {
            Ok(Value::Object(object)) => objects.push((i + 1, object)),
            Ok(_) => return Err(format!("line {}: no object, as the lines before it are: \"{}\"", i + 1, shown(line))),
            Err(e) => return Err(format!("line {}, column {}: {}", i + 1, e.column(), reason(&e))),
        }
    }
    Ok(table(objects, true))
}

fn document(whole: Value) -> std::result::Result<Rows, String> {
    match whole {
        Value::Array(all) => {
            let object = |(i, v)| if let Value::Object(o) = v { Ok((i + 1, o)) } else { Err(format!("item {}: no object", i + 1)) };
            all.into_iter().enumerate().map(object).collect::<std::result::Result<Vec<_>, _>>().map(|o| table(o, false))
        }
        Value::Object(object) if object.contains_key("images") && object.contains_key("annotations") => coco(&object),
        Value::Object(object) if !object.is_empty() && object.values().all(|v| !v.is_array() && field(v).is_some()) => {
            let row = |(i, (k, v)): (usize, (&String, &Value))| (i + 1, vec![k.clone(), field(v).unwrap_or_default()]);
            Ok(Rows { header: None, rows: object.iter().enumerate().map(row).collect(), numbered: false })
        }
        Value::Object(object) if !object.is_empty() && object.values().all(is_texts) => {
            let images = |(class, v): (&String, &Value)| -> Vec<Vec<String>> {
                v.as_array().into_iter().flatten().filter_map(field).map(|image| vec![image, class.clone()]).collect()
            };
            let rows = object.iter().flat_map(images).enumerate().map(|(i, row)| (i + 1, row)).collect();
            Ok(Rows { header: Some(vec!["image".to_owned(), "class".to_owned()]), rows, numbered: false })
        }
        Value::Object(object) => {
            let keys: Vec<String> = object.keys().take(6).map(|k| shown(k)).collect();
            Err(format!("an object with the keys {}", keys.join(", ")))
        }
        _ => Err("neither an object nor an array".to_owned()),
    }
}

fn is_texts(value: &Value) -> bool {
    value.as_array().is_some_and(|a| !a.is_empty() && a.iter().all(Value::is_string))
}

/// One column for each key that any of the objects has, sorted.
fn table(objects: Vec<(usize, Map<String, Value>)>, numbered: bool) -> Rows {
    let keys: BTreeSet<&String> = objects.iter().flat_map(|(_, o)| o.keys()).collect();
    let header: Vec<String> = keys.into_iter().cloned().collect();
    let fields = |o: &Map<String, Value>| header.iter().map(|key| o.get(key).and_then(field).unwrap_or_default()).collect();
    let rows = objects.iter().map(|(n, o)| (*n, fields(o))).collect();
    Rows { rows, numbered, header: Some(header) }
}

/// A value as text, if it is one of a table.
fn field(value: &Value) -> Option<String> {
    match value {
        Value::String(s) => Some(s.clone()),
        Value::Number(n) => Some(n.to_string()),
        Value::Bool(b) => Some(b.to_string()),
        Value::Null => Some(String::new()),
        // A list of one label.
        Value::Array(all) if all.len() == 1 => all.first().filter(|one| !one.is_array()).and_then(field),
        _ => None,
    }
}

/// Annotations put to their images, their categories by name where the names differ.
fn coco(whole: &Map<String, Value>) -> std::result::Result<Rows, String> {
    let all = |key: &str| whole.get(key).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let text = |v: &Value, key: &str| v.get(key).and_then(field).filter(|t| !t.is_empty());
    let mut files = HashMap::new();
    for (i, image) in all("images").iter().enumerate() {
        let (Some(id), Some(file)) = (text(image, "id"), text(image, "file_name")) else {
            return Err(format!("images, item {}: no id or no file_name", i + 1));
        };
        files.insert(id, file);
    }
    let categories: Vec<(String, String)> = all("categories").iter().filter_map(|c| Some((text(c, "id")?, text(c, "name")?))).collect();
    let distinct: HashSet<&String> = categories.iter().map(|(_, name)| name).collect();
    let named = distinct.len() == categories.len();
    let names: HashMap<&String, &String> = categories.iter().map(|(id, name)| (id, name)).collect();
    let mut rows = Vec::new();
    for (i, a) in all("annotations").iter().enumerate() {
        let (Some(image), Some(category)) = (text(a, "image_id"), text(a, "category_id")) else {
            return Err(format!("annotations, item {}: no image_id or no category_id", i + 1));
        };
        let file =
            files.get(&image).ok_or_else(|| format!("annotations, item {}: image {} is not among the images", i + 1, shown(&image)))?;
        let class = names.get(&category).filter(|_| named).map_or(category.clone(), |n| (*n).clone());
        rows.push((i + 1, vec![file.clone(), class]));
    }
    Ok(Rows { header: Some(vec!["file_name".to_owned(), "category".to_owned()]), rows, numbered: false })
}
