//! Shards back to files: one PNG for each raw record, or the JPEG file that a record is, under its class, and `index.csv` in record order.

use super::dataset::Dataset;
use super::format::Encoding;
use super::sheet::write_png;
use crate::error::{Error, Result};
use crate::progress::Progress;
use rayon::prelude::*;
use std::collections::HashSet;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// Writes the first `limit` records (all without one) below `output`; returns how many, or `None` when `stop` was set.
///
/// # Errors
/// `Write` when `output` holds an index already or cannot be written; `Data` when a record is damaged.
pub fn unpack(dataset: &Dataset, output: &Path, limit: Option<usize>, progress: &dyn Progress, stop: &AtomicBool) -> Result<Option<usize>> {
    let index = output.join("index.csv");
    if index.exists() {
        return Err(Error::write("refusing to overwrite").at(index.display().to_string()).next("choose another --output"));
    }
    if std::fs::read_dir(output).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Error::write("the output folder is not empty")
            .at(output.display().to_string())
            .because("images of the same names would be overwritten")
            .next("a new --output"));
    }
    let count = dataset.len().min(limit.unwrap_or(usize::MAX));
    let jpeg = dataset.encoding() == Encoding::Jpeg;
    let mut taken = HashSet::new();
    let mut paths = Vec::with_capacity(count);
    for i in 0..count {
        let picture = dataset.describe(i)?;
        paths.push(file_name(&dataset.classes()[picture.label as usize], picture.name, if jpeg { "jpg" } else { "png" }, &mut taken));
    }
    progress.start("unpacking images", count as u64);
    let folders: std::collections::BTreeSet<PathBuf> = paths.iter().filter_map(|p| output.join(p).parent().map(Path::to_owned)).collect();
    for folder in folders.iter().map(PathBuf::as_path).chain([output]) {
        std::fs::create_dir_all(folder).map_err(|e| Error::writing(folder, e))?;
    }
    let write = |(i, path): (usize, &String)| -> Result<()> {
        if !stop.load(Ordering::Relaxed) {
            let path = output.join(path);
            if jpeg {
                std::fs::write(&path, dataset.stored(i)?).map_err(|e| Error::writing(&path, e))?;
            } else {
                let picture = dataset.record(i)?;
                write_png(&path, picture.width, picture.height, &picture.pixels)?;
            }
            progress.advance(1);
        }
        Ok(())
    };
    paths.par_iter().enumerate().map(write).collect::<Result<()>>()?;
    progress.finish();
    if stop.load(Ordering::Relaxed) {
        return Ok(None);
    }
    let mut csv = "global_id,label,path\n".to_owned();
    for (i, path) in paths.iter().enumerate() {
        let picture = dataset.describe(i)?;
        csv += &format!("{},{},{}\n", picture.global_id, picture.label, csv_field(path));
    }
    crate::files::write_atomically(&index, &[csv.as_bytes()])?;
    Ok(Some(count))
}

/// `<class>/<name>.<extension>`, made of plain parts only: a name in a shard is input like any other and must not lead out of the output.
/// Two sources that differ only in their extension get different names.
fn file_name(class: &str, name: &str, extension: &str, taken: &mut HashSet<String>) -> String {
    let plain = |text: &str| -> Vec<String> {
        let parts = Path::new(text).components().filter_map(|c| match c {
            Component::Normal(part) => Some(part.to_string_lossy().replace(['\0', '\\'], "_")),
            _ => None,
        });
        parts.collect()
    };
    let class: String = plain(class).join("_");
    let class = if class.is_empty() { "_".to_owned() } else { class };
    let mut parts = plain(name);
    if parts.len() > 1 && parts.first() == Some(&class) {
        parts.remove(0);
    }
    let last = parts.pop().unwrap_or_else(|| "picture".to_owned());
    let stem = last.rsplit_once('.').map_or(last.as_str(), |(stem, _)| if stem.is_empty() { last.as_str() } else { stem });
    let folder = if parts.is_empty() { class } else { format!("{class}/{}", parts.join("/")) };
    let base = format!("{folder}/{stem}");
    let mut path = format!("{base}.{extension}");
    for n in 2u64.. {
        if taken.insert(path.clone()) {
            break;
        }
        path = format!("{base}~{n}.{extension}");
    }
    path
}

/// Quoted where a comma, quote or line break asks for it.
fn csv_field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_below_the_output() {
        let mut taken = HashSet::new();
        let mut name = |class: &str, name: &str| file_name(class, name, "png", &mut taken);
        assert_eq!(name("n01", "n01/a/b.JPEG"), "n01/a/b.png");
        assert_eq!(name("n01", "n01/a/b.png"), "n01/a/b~2.png");
        assert_eq!(name("n01", "n01/a/b~2.jpg"), "n01/a/b~2~2.png");
        assert_eq!(name("n01", "../../etc/passwd"), "n01/etc/passwd.png");
        assert_eq!(name("..", "/abs/./x.jpg"), "_/abs/x.png");
        assert_eq!(name("a/../b", "a\0b"), "a_b/a_b.png");
        assert_eq!(name("c", ""), "c/picture.png");
        assert_eq!(csv_field("a,\"b"), "\"a,\"\"b\"");
    }
}
