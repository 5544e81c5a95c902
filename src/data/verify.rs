//! Looking for damage: structure (quick), every byte (full), and making damaged shards again from the source.

use super::compressed::{JpegOptions, decode_record};
use super::dataset::disagreements;
use super::format::{Encoding, Range, hex};
use super::manifest::{MANIFEST, MAX_BYTES, Manifest, SUMS};
use super::pack::pack_shard;
use super::plan::{Plan, PlanOptions};
use super::record_room::{self, Sizes};
use super::shard::Shard;
use super::shard_writer::ShardSummary;
use super::source::SourceOptions;
use crate::error::{Error, Result};
use crate::files::{Folder, Lock, read_file, remove, remove_empty, remove_temporaries, rename};
use crate::progress::Progress;
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// Bytes of a record whose memory is kept for the next one.
const KEPT: usize = 1 << 20;

/// How thoroughly to look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Depth {
    /// Manifest, headers, indexes, footers.
    Quick,
    /// And the CRC of every record and the SHA-256 of every file.
    #[default]
    Full,
    /// And decodes every compressed record; raw records have nothing to decode.
    Decode,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct VerifyReport {
    pub shards: usize,
    pub records: u64,
    pub bytes: u64,
    /// One line for each damage: file, record, global id, source name, byte.
    pub damage: Vec<String>,
    /// File names of the shards that are damaged or missing.
    pub damaged_shards: Vec<String>,
}

/// Looks at the packed folder `dir`.
///
/// # Errors
/// `Data` when `dataset.json` itself is missing or damaged; `Device` when memory cannot hold a record. Damaged shards are not errors here;
/// they are in the report.
pub fn verify(dir: &Path, depth: Depth, progress: &dyn Progress) -> Result<VerifyReport> {
    let manifest = Manifest::read(dir)?;
    let mut report = VerifyReport { shards: manifest.shards.len(), ..VerifyReport::default() };
    progress.start("verifying shards", manifest.shards.len() as u64);
    let look = |i: usize| {
        let damage = verify_shard(dir, &manifest, i, depth);
        progress.advance(1);
        damage
    };
    let found: Result<Vec<Vec<String>>> = (0..manifest.shards.len()).into_par_iter().map(look).collect();
    progress.finish();
    let found = found?;
    for (shard, damage) in manifest.shards.iter().zip(found) {
        report.records += shard.records;
        report.bytes += shard.bytes;
        if !damage.is_empty() {
            report.damaged_shards.push(shard.name.clone());
        }
        report.damage.extend(damage);
    }
    if depth != Depth::Quick {
        report.damage.extend(check_sums(dir, &manifest));
    }
    if report.damage.is_empty() {
        // What only the whole shows: classes, totals, mixed folders.
        match super::dataset::Dataset::open(dir) {
            // The operating system refused: that is no damage.
            Err(e) if e.report().source.is_some() => return Err(e),
            Err(e) => report.damage.push(e.to_string()),
            Ok(_) => {}
        }
    }
    Ok(report)
}

fn verify_shard(dir: &Path, manifest: &Manifest, i: usize, depth: Depth) -> Result<Vec<String>> {
    let listed = &manifest.shards[i];
    let shard = match Shard::open(&dir.join(&listed.name)) {
        Ok(shard) => shard,
        Err(e) => {
            let r = e.report();
            let gone = if dir.join(&listed.name).exists() { "" } else { ": no such file" };
            return Ok(vec![format!("{} ({}){gone}", r.what, r.place.clone().unwrap_or_default())]);
        }
    };
    let mut damage = disagreements(manifest, i, &shard);
    if depth == Depth::Quick {
        return Ok(damage);
    }
    let mut bytes = Vec::new();
    for r in 0..shard.entries.len() {
        let sizes = Sizes::of(&shard, r);
        let decodes = depth == Depth::Decode && shard.header.encoding == Encoding::Jpeg as u8;
        let (doing, beside) = if decodes { ("decoding", sizes.decoding) } else { ("reading", 0) };
        let look = || {
            bytes.clear();
            // Read once more even if checked before: the disk is asked, not the memory of this process.
            let mut result = shard.copy_payload(r, &mut bytes).and_then(|()| shard.check(r, &bytes));
            if decodes && result.is_ok() {
                result = decode_record(&shard, r, &bytes, |_| ());
            }
            bytes.truncate(KEPT);
            bytes.shrink_to(KEPT);
            result
        };
        match record_room::with(&shard, r, doing, sizes.stored + beside, look) {
            Ok(()) => {}
            Err(e @ Error::Device(_)) => return Err(e),
            Err(e) => damage.push(e.report().what.clone()),
        }
    }
    match hash_shard(&shard) {
        Ok(sha) if sha == listed.sha256 => {}
        Ok(sha) => {
            let at = if damage.is_empty() { first_nonzero_gap(&shard) } else { None };
            let at = at.map_or_else(String::new, |b| format!(" (byte {b} between the sections should be zero)"));
            damage.push(format!("{}: FILE @0: expected sha256 {}, found {sha}{at}", listed.name, listed.sha256));
        }
        Err(e) => damage.push(e.report().what.clone()),
    }
    Ok(damage)
}

/// SHA-256 of a whole shard file, after holding the part before the footer against the footer's own.
///
/// # Errors
/// `Data` when they differ or the file cannot be read.
pub fn hash_shard(shard: &Shard) -> Result<String> {
    let path = shard.path();
    let fail = |e| Error::reading(path, e);
    let mut file = std::fs::File::open(path).map_err(fail)?;
    let (mut hasher, mut left) = (Sha256::new(), shard.header.footer_off);
    let mut block = vec![0; 128 << 10]; // stays in the cache between the copy and the hash
    while left > 0 {
        let want = left.min(block.len() as u64) as usize;
        file.read_exact(&mut block[..want]).map_err(fail)?;
        hasher.update(&block[..want]);
        left -= want as u64;
    }
    let found: [u8; 32] = hasher.clone().finalize().into();
    if found != shard.footer.sha256 {
        let gap = first_nonzero_gap(shard).map_or_else(String::new, |b| format!("; byte {b} between the sections should be zero"));
        let name = shard.file_name();
        let expected = hex(&shard.footer.sha256);
        let what = format!("shard damaged: {name}: FILE @0: expected sha256 {expected} up to the footer, found {}{gap}", hex(&found));
        return Err(Error::data(what).at(path.display().to_string()).because("the file changed after packing (disk or copy error)"));
    }
    hasher.update(bytemuck::bytes_of(&shard.footer));
    Ok(hex(&hasher.finalize()))
}

/// The first byte outside sections and records that is not zero: which padding byte was hit.
fn first_nonzero_gap(shard: &Shard) -> Option<u64> {
    use std::os::unix::fs::FileExt;
    let file = std::fs::File::open(shard.path()).ok()?;
    let h = &shard.header;
    let records = shard.entries.iter().map(|e| Range { off: e.offset, len: e.stored_len.into() });
    let mut from = super::format::HEADER_LEN;
    for range in [h.index, h.strings, h.labels, h.meta].into_iter().chain(records).chain([Range { off: h.footer_off, len: 0 }]) {
        let mut gap = vec![0; range.off.saturating_sub(from) as usize];
        file.read_exact_at(&mut gap, from).ok()?;
        if let Some(i) = gap.iter().position(|&b| b != 0) {
            return Some(from + i as u64);
        }
        from = range.end()?;
    }
    None
}

/// `dataset.json` itself, by its line in `SHA256SUMS`.
fn check_sums(dir: &Path, manifest: &Manifest) -> Vec<String> {
    let text = match read_file(&dir.join(SUMS), MAX_BYTES) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(e) => return vec![format!("{SUMS}: {}", e.report().what)],
    };
    let mut damage = Vec::new();
    let found = read_file(&dir.join(MANIFEST), MAX_BYTES).map(|b| hex(&Sha256::digest(&b))).unwrap_or_default();
    let lines = manifest.shards.iter().map(|s| (s.name.as_str(), s.sha256.as_str())).chain([(MANIFEST, found.as_str())]);
    let expected: String = lines.map(|(name, sha)| format!("{sha}  {name}\n")).collect();
    for (n, (want, have)) in expected.lines().zip(text.lines().chain(std::iter::repeat(""))).enumerate() {
        if want != have {
            damage.push(format!("{SUMS}: line {}: expected \"{want}\", found \"{have}\" (that file or {SUMS} is damaged)", n + 1));
        }
    }
    if damage.is_empty() && expected != text {
        damage.push(format!("{SUMS}: @{}: expected {} bytes, found {}", expected.len(), expected.len(), text.len()));
    }
    damage
}

/// Makes the `damaged` shards of `dir` again from the pictures of `input`; returns how many.
///
/// # Errors
/// `Data` when the source or its pictures are not those that were packed, or a shard does not come out as `dataset.json` says.
pub fn repair(
    dir: &Path,
    input: &Path,
    source: &SourceOptions,
    damaged: &[String],
    progress: &dyn Progress,
    stop: &AtomicBool,
) -> Result<usize> {
    let manifest = Manifest::read(dir)?;
    let options = plan_options(&manifest)
        .ok_or_else(|| Error::data("this data set does not say how it was packed").at(dir.join(MANIFEST).display().to_string()))?;
    let stopped = || Error::data("stopped before the repair was done").next("run the same command again");
    let source = SourceOptions { scratch: Some(dir.to_owned()), ..source.clone() };
    let plan = Plan::make(input, &source, &options, progress, stop)?.ok_or_else(stopped)?;
    if hex(&plan.dataset_id) != manifest.dataset_id {
        return Err(Error::data("the images are not those that were packed")
            .at(input.display().to_string())
            .because(format!("dataset_id of the source: {}, of the shards: {}", hex(&plan.dataset_id), manifest.dataset_id))
            .next("give the unchanged source, or pack into a new folder"));
    }
    let _lock = Lock::take(&dir.join("pack.lock"), true, "is packing")?;
    // Beside them and not in their place: what is damaged stays until something better is there, however this ends.
    let bench = dir.join(".repair");
    remove_temporaries(&Folder::hold(dir)?.inside(".repair")?)?;
    let each = manifest.shards.iter().enumerate().filter(|(_, s)| damaged.contains(&s.name));
    let done = each.map(|(index, listed)| {
        let made = bench.join(&listed.name);
        remove(&made)?;
        let result = remake(&bench, &plan, (index as u32, listed), progress, stop)
            .and_then(|whole| if whole { rename(&made, &dir.join(&listed.name)) } else { Err(stopped()) });
        remove(&made)?;
        result
    });
    let done: Result<()> = done.collect();
    remove_empty(&bench);
    done.map(|()| damaged.len())
}

/// Makes one shard in `bench`; whether it was not stopped.
fn remake(bench: &Path, plan: &Plan, (index, listed): (u32, &ShardSummary), progress: &dyn Progress, stop: &AtomicBool) -> Result<bool> {
    if !pack_shard(bench, plan, index, progress, stop)? {
        return Ok(false);
    }
    let sha = hash_shard(&Shard::open(&bench.join(&listed.name))?)?;
    if sha != listed.sha256 {
        // The original holds more of the truth than this does.
        return Err(Error::data(format!("the shard came out different: expected sha256 {}, found {sha}", listed.sha256))
            .at(listed.name.clone())
            .because("another version of this program packed it")
            .next("repair with that version, or pack again into a new folder"));
    }
    Ok(true)
}

/// The options a data set was packed with, from its manifest.
fn plan_options(manifest: &Manifest) -> Option<PlanOptions> {
    let o = &manifest.options;
    let options = PlanOptions {
        split: manifest.split,
        size: o.get("resize")?.as_u64()? as u32,
        fit: serde_json::from_value(o.get("fit")?.clone()).ok()?,
        jpeg: match o.get("encoder") {
            None => None,
            Some(_) => {
                Some(JpegOptions { quality: o.get("quality")?.as_u64().map(|q| q as u8), max_side: o.get("max_side")?.as_u64()? as u32 })
            }
        },
        records_per_shard: o.get("records_per_shard")?.as_u64()?,
        shuffle_seed: o.get("shuffle_seed")?.as_u64(),
        max_pixels: o.get("max_pixels")?.as_u64()?,
    };
    (options.canonical() == *o).then_some(options)
}
