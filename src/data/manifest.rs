//! `dataset.json`: what a packed folder holds. Written last, so its presence says that the folder is complete; and `SHA256SUMS`, with
//! which coreutils can verify the folder without this program.

use super::format::shard_name;
use super::shard_writer::ShardSummary;
use super::sums::ChannelSums;
use crate::error::{Error, Result};
use crate::files::{failpoint, open_file, write_whole};
use crate::text::{nearest, pasted};
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::{Path, PathBuf};

pub const MANIFEST: &str = "dataset.json";
pub const SUMS: &str = "SHA256SUMS";
/// What to do where one of the two is damaged and the shards are not.
pub const MAKE_ANEW: &str =
    "remove dataset.json and run the same pack command again: whole shards are kept, and both lists are written anew";
/// A manifest is text of a few hundred bytes per shard and class; anything above this is not one.
pub const MAX_BYTES: u64 = 256 << 20;

/// Which part of a data set a folder holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    #[default]
    Train,
    Val,
}

impl Split {
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Class {
    pub name: String,
    /// What people call it, where the source says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<String>,
    pub records: u64,
}

/// The contents of `dataset.json`.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Manifest {
    pub format_version: u32,
    /// SHA-256 of the pack plan, hexadecimal.
    pub dataset_id: String,
    pub split: Split,
    /// The layout that the pictures were read from; the shards do not depend on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    pub encoding: String,
    pub records: u64,
    /// Pictures of the plan that could not be read and were left out.
    pub skipped: u64,
    pub classes: Vec<Class>,
    /// Per channel, in [0, 1], from `sums`.
    pub mean: [f64; 3],
    pub std: [f64; 3],
    pub sums: ChannelSums,
    pub shards: Vec<ShardSummary>,
    /// What was asked for, and with which decoder and filter it was made.
    pub options: serde_json::Value,
}

impl Manifest {
    /// Canonical JSON: sorted keys, two spaces, a newline at the end.
    ///
    /// # Errors
    /// `Internal`; cannot happen for this type.
    pub fn to_json(&self) -> Result<String> {
        let value = serde_json::to_value(self).and_then(|v| serde_json::to_string_pretty(&v));
        value.map(|s| s + "\n").map_err(|e| Error::internal(e.to_string()))
    }

    /// Reads `dir/dataset.json`.
    ///
    /// # Errors
    /// `Data` when it is missing (naming the folders below that have one), unreadable, or contradicts itself.
    pub fn read(dir: &Path) -> Result<Self> {
        let path = dir.join(MANIFEST);
        std::fs::metadata(&path).map_err(|e| missing(dir, e))?;
        let (file, metadata) = open_file(&path)?;
        if metadata.len() > MAX_BYTES {
            return Err(Error::data(format!("{} bytes are too many for a {MANIFEST}", metadata.len())).at(path.display().to_string()));
        }
        let mut text = String::new();
        file.take(MAX_BYTES).read_to_string(&mut text).map_err(|e| Error::reading(&path, e))?;
        let damaged = |what: String| {
            Error::data(what)
                .at(path.display().to_string())
                .because("the file was changed or damaged after packing")
                .next(format!("sha256sum -c SHA256SUMS in that folder; {MAKE_ANEW}"))
        };
        let manifest: Self = serde_json::from_str(&text).map_err(|e| damaged(format!("{MANIFEST} cannot be understood: {e}")))?;
        if manifest.format_version != 1 {
            return Err(damaged(format!("{MANIFEST}: format_version: expected 1, found {}", manifest.format_version)));
        }
        let total = |f: fn(&ShardSummary) -> u64| manifest.shards.iter().try_fold(0u64, |sum, s| sum.checked_add(f(s)));
        let in_classes = manifest.classes.iter().try_fold(0u64, |sum, c| sum.checked_add(c.records));
        if total(|s| s.records) != Some(manifest.records) || in_classes != Some(manifest.records) {
            return Err(damaged(format!("{MANIFEST}: records: {} is not the sum over shards and over classes", manifest.records)));
        }
        let count = manifest.shards.len() as u32;
        for (i, shard) in manifest.shards.iter().enumerate() {
            let expected = shard_name(manifest.split.name(), i as u32, count);
            if shard.name != expected {
                return Err(damaged(format!("{MANIFEST}: shards[{i}].name: expected {expected}, found {}", shard.name)));
            }
        }
        Ok(manifest)
    }

    /// Writes `SHA256SUMS` and then, as the last file, `dataset.json`.
    ///
    /// # Errors
    /// `Write`; an existing `dataset.json` is not replaced.
    pub fn publish(&self, dir: &Path) -> Result<()> {
        let json = self.to_json()?;
        let mut sums: String = self.shards.iter().map(|s| format!("{}  {}\n", s.sha256, s.name)).collect();
        sums += &format!("{}  {MANIFEST}\n", super::format::hex(&Sha256::digest(json.as_bytes())));
        failpoint("before-sums");
        write_whole(dir, SUMS, sums.as_bytes(), true)?;
        failpoint("before-manifest");
        write_whole(dir, MANIFEST, json.as_bytes(), false)?;
        failpoint("after-manifest");
        Ok(())
    }
}

/// Whether an entry of `dir` is so.
fn holds(dir: &Path, what: impl Fn(&Path) -> bool) -> bool {
    std::fs::read_dir(dir).into_iter().flatten().flatten().any(|e| what(&e.path()))
}

/// The packed folder, or the folder of such, that `dir` is likely a slip of: one of its parts is spelled otherwise.
fn near(dir: &Path) -> Option<PathBuf> {
    let parts: Vec<_> = dir.components().collect();
    (1..=parts.len()).rev().find_map(|n| {
        let (parent, wrong): (PathBuf, _) = (parts[..n - 1].iter().collect(), parts[n - 1].as_os_str().to_str()?);
        let listed = if parent.as_os_str().is_empty() { Path::new(".") } else { &parent };
        let names: Vec<String> = std::fs::read_dir(listed).ok()?.flatten().filter_map(|e| e.file_name().into_string().ok()).collect();
        let packed = |name: &str| {
            Some(parts[n..].iter().fold(parent.join(name), |path, part| path.join(part))).filter(|p| p.join(MANIFEST).is_file())
        };
        packed(nearest(wrong, names.iter().map(String::as_str).filter(|name| packed(name).is_some()))?)
    })
}

fn missing(dir: &Path, e: std::io::Error) -> Error {
    let path = dir.join(MANIFEST);
    if dir.is_file() {
        let folder = dir.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let error = Error::usage("a file, where a packed folder is expected").at(dir.display().to_string());
        return if folder.join(MANIFEST).is_file() { error.next(pasted(folder)) } else { error.next("the folder that `pack` wrote") };
    }
    if e.kind() != std::io::ErrorKind::NotFound {
        return Error::reading(&path, e);
    }
    let below: Vec<String> =
        ["train", "val"].iter().map(|s| dir.join(s)).filter(|d| d.join(MANIFEST).is_file()).map(|d| d.display().to_string()).collect();
    let error = Error::data(format!("no packed data set here ({MANIFEST} is missing)")).at(dir.display().to_string());
    if !below.is_empty() {
        return error.because("each split has its own folder").next(below.join(" or "));
    }
    if !dir.is_dir() {
        let error = error.because("no such folder");
        return match near(dir) {
            Some(near) => error.next(format!("{}, which is there; or imagenet-engine pack --input IMAGES --output DIR", pasted(&near))),
            None => error.next("imagenet-engine pack --input IMAGES --output DIR"),
        };
    }
    if dir.join("config.toml").is_file() || dir.join("checkpoints").is_dir() {
        return error
            .because("it is the folder of a training run, which holds checkpoints and no images")
            .next(format!("imagenet-engine eval --data DIR --weights {}, DIR a folder that `pack` wrote", pasted(dir)));
    }
    if holds(dir, |p| p.extension().is_some_and(|e| e == "ies")) {
        return error.because("packing did not finish").next("the same pack command again: it goes on where it stopped");
    }
    let name = dir.file_name().map_or_else(|| "packed".into(), std::ffi::OsStr::to_os_string);
    let pack = format!("imagenet-engine pack --input {} --output {}", pasted(dir), pasted(&Path::new("packed").join(name)));
    match holds(dir, Path::is_dir) {
        true => error.because("it holds folders, maybe of images: they are packed once before training").next(pack),
        false => error.because("it is no packed folder").next("imagenet-engine pack --input IMAGES --output DIR"),
    }
}
