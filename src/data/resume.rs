//! What an earlier run of the same pack left finished.

use super::format::shard_name;
use super::plan::Plan;
use super::shard::Shard;
use super::shard_writer::{Meta, ShardSummary};
use super::sums::ChannelSums;
use super::verify::hash_shard;
use crate::error::{Error, Result};
use crate::progress::Progress;
use rayon::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// A finished shard and what the manifest needs of it.
pub struct Done {
    pub summary: ShardSummary,
    pub sums: ChannelSums,
    pub per_class: Vec<u64>,
    /// The global ids that it holds, for a shard of an earlier run.
    pub ids: Vec<u64>,
    pub kept: bool,
}

/// The shards that an earlier run of the same plan finished, by index. `None` when `stop` was set meanwhile.
///
/// # Errors
/// `Write` when shards of another pack, or damaged ones, are in the way.
pub fn finished_shards(dir: &Path, plan: &Plan, progress: &dyn Progress, stop: &AtomicBool) -> Result<Option<Vec<Option<Done>>>> {
    let mut done: Vec<Option<Done>> = (0..plan.shard_count()).map(|_| None).collect();
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(|e| Error::reading(dir, e))? {
        let path = entry.map_err(|e| Error::reading(dir, e))?.path();
        if path.extension().is_some_and(|e| e == "ies") {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        return Ok(Some(done));
    }
    paths.sort_unstable(); // so that of several errors the same one is told each time
    progress.start("checking finished shards", paths.len() as u64);
    let look = |path: &PathBuf| {
        if stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let found = finished(path, plan).map(Some);
        progress.advance(1);
        found
    };
    let found: Vec<Result<Option<(u32, Done)>>> = paths.par_iter().with_max_len(1).map(look).collect();
    progress.finish();
    for one in found {
        let Some((index, shard)) = one? else { return Ok(None) };
        done[index as usize] = Some(shard);
    }
    Ok(Some(done))
}

/// One shard of the plan, by its index; every byte is read.
fn finished(path: &Path, plan: &Plan) -> Result<(u32, Done)> {
    let other = |what: String| {
        Error::write(what).at(path.display().to_string()).next("choose another --output, or remove the .ies files of the other pack")
    };
    let shard = Shard::open(path).map_err(|e| other("a damaged shard is in the way".into()).source(e))?;
    let meta: Meta = serde_json::from_str(&shard.meta).map_err(|e| other("a shard of another program is in the way".into()).source(e))?;
    if shard.header.dataset_id != plan.dataset_id {
        let ours = plan.options.canonical();
        let differs = ours.as_object().and_then(|o| o.iter().find(|(k, v)| meta.options.get(k.as_str()) != Some(v)));
        let why = differs.map_or_else(
            || "the source images are others".to_owned(),
            |(k, v)| format!("{k} was {}, now {v}", meta.options.get(k.as_str()).unwrap_or(&serde_json::Value::Null)),
        );
        return Err(other(format!("the folder holds shards of another pack: {why}")));
    }
    let index = shard.header.shard_index;
    let name = shard_name(plan.options.split.name(), index, plan.shard_count());
    let of_the_plan = shard.file_name() == name && index < plan.shard_count() && shard.classes == *plan.classes;
    if !of_the_plan || shard.entries.iter().any(|e| !plan.ids(index).contains(&(e.global_id as usize))) {
        return Err(other("a shard does not bear its own name".into()));
    }
    let sha256 = hash_shard(&shard)?;
    let mut per_class = vec![0u64; plan.classes.len()];
    for e in &shard.entries {
        per_class[e.label as usize] += 1;
    }
    let summary = ShardSummary {
        name,
        bytes: shard.header.file_len,
        records: shard.header.record_count,
        first_global_id: shard.header.first_global_id,
        sha256,
    };
    let ids = shard.entries.iter().map(|e| e.global_id).collect();
    Ok((index, Done { summary, sums: meta.sums, per_class, ids, kept: true }))
}
