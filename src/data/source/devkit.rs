//! ImageNet's development kit, `ILSVRC2012_devkit_t12.tar.gz` or the folder in it: which class each validation picture is of.
//!
//! `ILSVRC2012_validation_ground_truth.txt` has one ILSVRC2012_ID a line, for picture 1, 2, 3, ...; these ids are not ranks of sorted
//! WordNet ids. `meta.mat` says which WordNet id each is; the rows with children are not classes but groups of them.

use super::labels::{Labels, Names};
use super::matlab::{Struct, Value, struct_array};
use super::mount::Files;
use super::tar::small_files;
use crate::error::{Error, Result};
use std::collections::{HashMap, HashSet};
use std::path::Path;

const META: &str = "data/meta.mat";
const TRUTH: &str = "data/ILSVRC2012_validation_ground_truth.txt";
/// The kit has 2.5 MB.
const MOST: u64 = 64 << 20;

/// Whether `path` looks like the kit.
pub fn is_devkit(path: &Path, files: &Files) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    files.is_file(&path.join(META))
        || files.is_file(path) && [".tar", ".tar.gz", ".tgz"].iter().any(|e| name.ends_with(e)) && name.contains("devkit")
}

/// The WordNet ids and words of the classes alone, sorted: where a list numbers classes, it means ranks and not the kit's own numbers.
///
/// # Errors
/// As [`labels`].
pub fn names(path: &Path, files: &Files) -> Result<Names> {
    let (mut names, _) = classes(&Kit::open(path, files)?)?;
    names.sort_unstable();
    Ok(names)
}

/// The labels of the validation pictures.
///
/// # Errors
/// `Data` when the kit is damaged, lacks a file, or gives an id that is no class, naming file and line.
pub fn labels(path: &Path, files: &Files) -> Result<Labels> {
    let kit = Kit::open(path, files)?;
    let (names, by_id) = classes(&kit)?;
    let truth = String::from_utf8_lossy(&kit.truth);
    let mut labels = Labels::of_classes(&names, path);
    for (i, line) in truth.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let class = line.trim().parse::<u32>().ok().and_then(|id| by_id.get(&id));
        let class = *class.ok_or_else(|| {
            Error::data(format!("line {}: \"{}\" is the ILSVRC2012_ID of no class", i + 1, super::arrange::shown(line.trim())))
                .at(format!("{}: {TRUTH}", path.display()))
                .because("a label file of another kit, or a damaged one")
        })?;
        labels.insert(&format!("ILSVRC2012_val_{:08}", i + 1), Some(class))?;
    }
    Ok(labels)
}

struct Kit<'a> {
    path: &'a Path,
    meta: Vec<u8>,
    truth: Vec<u8>,
}

impl<'a> Kit<'a> {
    fn open(path: &'a Path, disk: &Files) -> Result<Self> {
        let mut files = if disk.is_dir(path) {
            let read = |name: &str| disk.read(&path.join(name), MOST).map(|b| (name.to_owned(), b));
            vec![read(META)?, read(TRUTH)?]
        } else {
            small_files(path, disk.read(path, MOST)?, MOST)?
        };
        let mut take = |name: &str| {
            let at = files.iter().position(|(n, _)| n.ends_with(name));
            at.map(|i| files.swap_remove(i).1).ok_or_else(|| {
                Error::data(format!("no {name} in it"))
                    .at(path.display().to_string())
                    .because("not the kit of the classification task, or a damaged one")
                    .next("--labels ILSVRC2012_devkit_t12.tar.gz, LOC_val_solution.csv, or a list with two columns")
            })
        };
        Ok(Self { path, meta: take(META)?, truth: take(TRUTH)? })
    }
}

/// The names of the classes, and ILSVRC2012_ID to index into them.
fn classes(kit: &Kit<'_>) -> Result<(Names, HashMap<u32, u32>)> {
    let bad = |what: String| Error::data(what).at(format!("{}: {META}", kit.path.display())).because("a damaged or foreign file");
    let rows = struct_array(&kit.meta, "synsets").map_err(bad)?;
    let number = |row: &Struct, field: &str| match row.get(field) {
        Some(Value::Numbers(n)) if n.len() == 1 && n[0] >= 0.0 && n[0] <= f64::from(u32::MAX) && n[0].fract() == 0.0 => Some(n[0] as u32),
        _ => None,
    };
    let text = |row: &Struct, field: &str| match row.get(field) {
        Some(Value::Text(text)) => Some(text.clone()),
        _ => None,
    };
    let (mut names, mut by_id, mut wnids) = (Vec::new(), HashMap::new(), HashSet::new());
    for (i, row) in rows.iter().enumerate() {
        let missing = |field: &str| bad(format!("synset {}: no usable {field}", i + 1));
        if number(row, "num_children").ok_or_else(|| missing("num_children"))? > 0 {
            continue;
        }
        let id = number(row, "ILSVRC2012_ID").ok_or_else(|| missing("ILSVRC2012_ID"))?;
        let wnid = text(row, "WNID").filter(|w| !w.is_empty() && !w.contains('/')).ok_or_else(|| missing("WNID"))?;
        if !wnids.insert(wnid.clone()) || by_id.insert(id, names.len() as u32).is_some() {
            return Err(bad(format!("synset {}: {wnid} or its id {id} is there twice", i + 1)));
        }
        names.push((wnid, text(row, "words").unwrap_or_default()));
    }
    Ok((names, by_id))
}
