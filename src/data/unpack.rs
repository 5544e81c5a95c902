//! Shards back to files: one PNG for each raw record, or the JPEG file that a record is, under its class, and `index.csv` in record order.

use super::dataset::Dataset;
use super::format::Encoding;
use super::record_room::Sizes;
use super::sheet::encode_png;
use crate::error::{Error, Result};
use crate::files::{Lock, NewFile, flush_all, make_dirs, remove, remove_empty, write_whole};
use crate::progress::Progress;
use rayon::prelude::*;
use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// Writes the first `limit` records (all without one) below `output`; returns how many, or `None` when `stop` was set. Ended before its end,
/// it removes what it wrote, so that the same command can be given again.
///
/// # Errors
/// `Write` when `output` holds anything already or cannot be written; `Data` when a record is damaged; `Device` when memory cannot hold one.
pub fn unpack(dataset: &Dataset, output: &Path, limit: Option<usize>, progress: &dyn Progress, stop: &AtomicBool) -> Result<Option<usize>> {
    refuse_full(output)?;
    let count = dataset.len().min(limit.unwrap_or(usize::MAX));
    let jpeg = dataset.encoding() == Encoding::Jpeg;
    let mut taken = HashSet::new();
    let mut paths = Vec::with_capacity(count);
    for i in 0..count {
        let picture = dataset.describe(i)?;
        paths.push(file_name(&dataset.classes()[picture.label as usize], picture.name, if jpeg { "jpg" } else { "png" }, &mut taken));
    }
    let made = !output.exists();
    make_dirs(output)?;
    let lock = Lock::take(&output.join(LOCK), true, "unpacks")?;
    refuse_full(output)?;
    progress.start("unpacking images", count as u64);
    let folders: BTreeSet<PathBuf> = paths.iter().flat_map(|p| Path::new(p).ancestors().skip(1)).map(|p| output.join(p)).collect();
    let written: Vec<AtomicBool> = paths.iter().map(|_| AtomicBool::new(false)).collect();
    let write = |(i, path): (usize, &String)| -> Result<()> {
        if stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        let path = output.join(path);
        let (dir, name) = (path.parent().unwrap_or(output), path.file_name().unwrap_or_default().to_string_lossy());
        // The PNG as it is compressed and as it is written, each in memory that grows by doubling; a JPEG is written from the map.
        let bytes = |sizes: Sizes| if sizes.decoding > 0 { 0 } else { 4 * sizes.pixels };
        dataset.with_room(i, "unpacking", bytes, || {
            let bytes = match jpeg {
                true => Cow::Borrowed(dataset.stored(i)?),
                false => {
                    let (picture, mut bytes) = (dataset.record(i)?, Vec::new());
                    encode_png(&mut bytes, picture.width, picture.height, &picture.pixels).map_err(|e| Error::writing(&path, e))?;
                    Cow::Owned(bytes)
                }
            };
            let new = NewFile::create(dir, &name, false, bytes.len() as u64)?;
            new.write_at(&bytes, 0)?;
            new.publish_unflushed() // an fsync for each of a million files would take hours: all are flushed before the index is written
        })?;
        written[i].store(true, Ordering::Relaxed);
        progress.advance(1);
        Ok(())
    };
    let all = || -> Result<()> {
        folders.iter().try_for_each(|folder| make_dirs(folder))?;
        paths.par_iter().enumerate().map(write).collect::<Result<()>>()?;
        lock.check_in_place()?;
        if stop.load(Ordering::Relaxed) { Ok(()) } else { write_index(dataset, output, &paths) }
    };
    let done = all();
    progress.finish();
    if done.is_err() || stop.load(Ordering::Relaxed) {
        let ours = paths.iter().zip(&written).filter(|(_, written)| written.load(Ordering::Relaxed));
        // What cannot be removed stays, and the next try says so.
        ours.for_each(|(path, _)| drop(remove(&output.join(path))));
        folders.iter().rev().filter(|folder| *folder != output).for_each(|folder| remove_empty(folder));
        drop(lock);
        if made {
            remove_empty(output);
        }
        return done.map(|()| None);
    }
    Ok(Some(count))
}

const LOCK: &str = "unpack.lock";

/// Files of the same names would be in the way.
fn refuse_full(output: &Path) -> Result<()> {
    let index = output.join(INDEX);
    if index.exists() {
        return Err(Error::write("refusing to overwrite").at(index.display().to_string()).next("choose another --output"));
    }
    let mut others = std::fs::read_dir(output).into_iter().flatten().flatten().filter(|entry| entry.file_name() != LOCK);
    match others.next() {
        None => Ok(()),
        Some(found) => Err(Error::write("the output folder is not empty")
            .at(found.path().display().to_string())
            .because("images of the same names would be in the way; or an unpack that was killed left it")
            .next("a new --output, or remove the folder")),
    }
}

const INDEX: &str = "index.csv";

/// Everything before it is on the disk when this is.
fn write_index(dataset: &Dataset, output: &Path, paths: &[String]) -> Result<()> {
    let mut csv = "global_id,label,path\n".to_owned();
    for (i, path) in paths.iter().enumerate() {
        let picture = dataset.describe(i)?;
        csv += &format!("{},{},{}\n", picture.global_id, picture.label, csv_field(path));
    }
    flush_all(output)?;
    write_whole(output, INDEX, csv.as_bytes(), false)
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
