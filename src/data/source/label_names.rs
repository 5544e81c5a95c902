//! The names of files that hold labels or lists of images, and where they lie: beside the images, above them, or below the folder that is read.

use super::mount::Files;
use super::splits::Part;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

pub const KITS: [&str; 3] = ["ILSVRC2012_devkit_t12.tar.gz", "ILSVRC2012_devkit_t12.tar", "ILSVRC2012_devkit_t12"];
/// Files of class names.
pub const NAMES: [&str; 5] =
    ["LOC_synset_mapping.txt", "synset_words.txt", "ILSVRC2012_devkit_t12.tar.gz", "ILSVRC2012_devkit_t12.tar", "ILSVRC2012_devkit_t12"];
/// Label files that say no split.
const ANY_SPLIT: [&str; 8] =
    ["labels.csv", "labels.txt", "labels.tsv", "labels.jsonl", "labels.json", "metadata.jsonl", "metadata.csv", "annotations.csv"];
/// What they are called, without their ending.
const WORDS: [&str; 8] = ["labels", "label", "metadata", "annotations", "annotation", "image_labels", "image_annotations", "ground_truth"];
/// Folders that hold lists and labels beside those of the images.
const FOLDERS: [&str; 14] = [
    "meta",
    "metadata",
    "label",
    "labels",
    "list",
    "lists",
    "split",
    "splits",
    "annotation",
    "annotations",
    "imagesets",
    "info",
    "csv",
    "filelists",
];
const ENDINGS: [&str; 5] = ["csv", "tsv", "txt", "json", "jsonl"];

/// Whether a file is called as one of labels is; and of which split, if its name says so.
pub fn of_labels(name: &str) -> Option<Option<Part>> {
    let lower = name.to_ascii_lowercase();
    let (stem, ending) = lower.rsplit_once('.')?;
    if !ENDINGS.contains(&ending) {
        return None;
    }
    if WORDS.contains(&stem) {
        return Some(None);
    }
    if let Some(part) = stem.strip_prefix("loc_").and_then(|s| s.strip_suffix("_solution")).and_then(Part::of_folder) {
        return Some(Some(part));
    }
    let ends = ["_annotations", "_list", "_labels", "_label", "_metadata", "labels", "_images", "images", ""];
    let part = ends.iter().filter_map(|e| stem.strip_suffix(e)).find_map(Part::of_folder);
    part.map(Some)
}

/// Whether it may say the classes of one of these splits.
pub fn of_parts(name: &str, parts: [Part; 2]) -> bool {
    of_labels(name).is_some_and(|part| part.is_none_or(|p| parts.contains(&p)))
}

/// The label file of a split that lies beside the images: in their folder, above it, or in the input.
pub fn beside(at: &Path, more: &[PathBuf], parts: [Part; 2], files: &Files) -> Option<PathBuf> {
    all_beside(at, more, parts, files).into_iter().next()
}

/// All of them, each once, the likeliest first.
pub fn all_beside(at: &Path, more: &[PathBuf], parts: [Part; 2], files: &Files) -> Vec<PathBuf> {
    let mut folders = vec![at.to_owned()];
    folders.extend(at.parent().map(Path::to_owned));
    folders.extend(more.iter().cloned());
    folders.retain(|f| files.is_dir(f) || f.as_os_str().is_empty());
    let mut all: Vec<String> = Vec::new();
    for part in parts {
        let words: &[&str] = match part {
            Part::Train => &["train", "training"],
            Part::Val => &["val", "validation", "valid"],
            Part::Test => &["test", "testing"],
        };
        let ends =
            ["_annotations.txt", "_list.txt", ".txt", "_labels.txt", ".csv", "_labels.csv", "_list.csv", "_annotations.csv", "Labels.csv"];
        all.push(format!("LOC_{}_solution.csv", part.name()));
        if part == Part::Val {
            all.extend(KITS.map(str::to_owned));
        }
        all.extend(words.iter().flat_map(|w| ends.iter().map(move |e| format!("{w}{e}"))));
        all.extend(words.iter().flat_map(|w| ["jsonl", "json", "tsv"].map(|e| format!("{w}.{e}"))));
    }
    all.extend(ANY_SPLIT.map(str::to_owned));
    let above: Vec<PathBuf> = folders.iter().filter(|f| *f != at).flat_map(|f| of_lists(f, files)).collect();
    folders.extend(above);
    let mut there: Vec<PathBuf> = Vec::new();
    for folder in &folders {
        there.extend(all.iter().map(|n| folder.join(n)).filter(|p| files.exists(p)));
        // Others that are called so: `image_labels.csv`, `TrainLabels.tsv`.
        let mut more: Vec<String> = files
            .children(folder)
            .unwrap_or_default()
            .into_iter()
            .filter(|c| !c.is_dir && of_parts(&c.name, parts))
            .map(|c| c.name)
            .collect();
        more.sort_unstable();
        there.extend(more.into_iter().map(|n| folder.join(n)));
    }
    once(there.into_iter().flat_map(|p| files.all_of(&p)).collect())
}

/// The folders in `dir` that are called as those of lists are.
pub fn of_lists(dir: &Path, files: &Files) -> Vec<PathBuf> {
    let named = |name: &str| FOLDERS.iter().any(|f| name.eq_ignore_ascii_case(f));
    let mut found: Vec<PathBuf> =
        files.children(dir).unwrap_or_default().into_iter().filter(|c| c.is_dir && named(&c.name)).map(|c| dir.join(c.real)).collect();
    found.sort_unstable();
    found
}

/// Each file once, whatever path leads to it.
pub fn once(mut paths: Vec<PathBuf>) -> Vec<PathBuf> {
    let mut seen = HashSet::new();
    paths.retain(|p| seen.insert(p.canonicalize().unwrap_or_else(|_| p.clone())));
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_label_files() {
        for (name, owed) in [
            ("labels.csv", Some(None)),
            ("metadata.jsonl", Some(None)),
            ("train.txt", Some(Some(Part::Train))),
            ("val_annotations.txt", Some(Some(Part::Val))),
            ("trainLabels.csv", Some(Some(Part::Train))),
            ("test1.txt", Some(Some(Part::Test))),
            ("LOC_val_solution.csv", Some(Some(Part::Val))),
            ("noisy_imagenette.csv", None),
            ("classes.txt", None),
            ("train.tar", None),
            ("n01443537_boxes.txt", None),
        ] {
            assert_eq!(of_labels(name), owed, "{name}");
        }
    }
}
