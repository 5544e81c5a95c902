//! From a folder of pictures to shards: plan, decode and resize in parallel, write in order, publish.
//!
//! Pictures are taken in chunks: while one chunk is decoded by all threads, the one before it is written by one of them; while a shard
//! is hashed and flushed, the next is begun. Memory is bounded by two chunks of stored pictures and one decoded picture per thread.
//! The bytes depend on the plan alone (see [`super::plan`]); any number of threads gives the same files.
//!
//! A pack that was stopped or killed goes on where it was: finished shards of the same plan are kept (and checked by their SHA-256).

use super::bad::{BAD_IMAGES, BadPicture, OnBad, report_bad, too_many_bad};
use super::budget;
use super::format::hex;
use super::manifest::{Class, MANIFEST, Manifest, Split};
use super::plan::{Plan, PlanOptions};
use super::resume::{Done, finished_shards};
use super::shard_writer::{ShardSummary, ShardWriter};
use super::source::SourceOptions;
use super::sums::ChannelSums;
use super::workbench::{Benches, Outcome};
use crate::error::{Error, Result};
use crate::files::{Folder, Lock, free_bytes, make_dirs, most_open_files, remove_empty, remove_temporaries};
use crate::limits::{check_threads, refused_threads, thread_pool};
use crate::progress::Progress;
use rayon::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// What to pack, how, and where to.
#[derive(Clone, Debug)]
pub struct PackOptions {
    pub input: PathBuf,
    pub source: SourceOptions,
    pub output: PathBuf,
    pub plan: PlanOptions,
    pub on_bad: OnBad,
    /// Threads; 0 takes one per core.
    pub jobs: usize,
}

/// How a pack ended, unless it failed.
#[derive(Clone, Debug)]
pub enum PackEnd {
    Finished(Box<PackReport>),
    /// `stop` was set; running the same again goes on. Shards finished so far are kept.
    Stopped,
}

#[derive(Clone, Debug)]
pub struct PackReport {
    pub manifest: Manifest,
    pub bad: Vec<BadPicture>,
    /// Shards that an earlier run had finished.
    pub kept: usize,
    pub notes: Vec<String>,
}

/// Packs. `stop` may be set at any time from another thread.
///
/// # Errors
/// `Usage` for impossible options; `Write` when the output is there already, locked or cannot be written; `Data` for an unreadable
/// source or too many bad pictures, which are then listed in `bad_images.jsonl`, and no `dataset.json` is left.
pub fn pack(options: &PackOptions, progress: &dyn Progress, stop: &AtomicBool) -> Result<PackEnd> {
    options.plan.check()?;
    check_threads("--jobs", options.jobs)?;
    let dir = &options.output;
    refuse_existing(dir)?;
    if !super::source::is_there(&options.input) {
        return Err(Error::data("no such folder or file").at(options.input.display().to_string()).next("check --input"));
    }
    let made = !dir.exists();
    make_dirs(dir)?;
    refuse_output_inside_input(&options.input, dir)?;
    let lock = Lock::take(&dir.join("pack.lock"), true, "is packing")?;
    refuse_existing(dir)?;
    remove_temporaries(&Folder::hold(dir)?)?;
    let source = SourceOptions { scratch: Some(dir.clone()), ..options.source.clone() };
    let pool = thread_pool(options.jobs)?;
    let plan = match pool.install(|| Plan::make(&options.input, &source, &options.plan, progress, stop)) {
        Ok(Some(plan)) => plan,
        Ok(None) => return Ok(PackEnd::Stopped),
        Err(e) => {
            drop(lock);
            if made {
                remove_empty(dir); // nothing can be packed: no trace is left
            }
            return Err(e);
        }
    };
    let notes: Vec<String> =
        plan.notes.iter().cloned().chain(other_classes_beside(dir, &plan)).chain(many_shards(plan.shard_count())).collect();
    for note in &notes {
        progress.note(&format!("note: {note}"));
    }
    let Some(done) = pool.install(|| finished_shards(dir, &plan, progress, stop))? else { return Ok(PackEnd::Stopped) };
    let missing = (0..plan.shard_count()).filter(|&s| done[s as usize].is_none());
    let needed = plan.estimated_bytes(missing);
    if free_bytes(dir).is_some_and(|free| needed > free) {
        plan.store.forget_spilled(); // its room is wanted
    }
    check_space(dir, needed)?;

    progress.start("packing images", plan.items.len() as u64);
    let stop_at_bad = options.on_bad == OnBad::Fail;
    let mut run =
        Run { plan: &plan, dir, lock: Some(&lock), pool: &pool, progress, stop, stop_at_bad, bad: Vec::new(), benches: Benches::default() };
    let shards = run.shards(done)?;
    progress.finish();
    let mut bad = run.bad;
    if options.on_bad == OnBad::Fail {
        bad.truncate(1); // how many more were seen by then depends on the number of threads
    }
    let limit = match options.on_bad {
        OnBad::Fail => 0,
        OnBad::Skip => usize::MAX,
        OnBad::Limit(fraction) => (plan.items.len() as f64 * fraction.clamp(0.0, 1.0)).floor() as usize,
    };
    let action = if bad.len() > limit { "failed" } else { "skipped" };
    let bad: Vec<BadPicture> = bad.into_iter().map(|b| BadPicture { action: action.to_owned(), ..b }).collect();
    lock.check_in_place()?;
    report_bad(dir, &bad)?;
    if bad.len() > limit {
        return Err(too_many_bad(dir, &plan, &bad, options.on_bad));
    }
    let Some(shards) = shards else { return Ok(PackEnd::Stopped) };
    let manifest = manifest(&plan, &shards, bad.len() as u64)?;
    if manifest.records == 0 {
        return Err(Error::data("not one image could be read").at(dir.join(BAD_IMAGES).display().to_string()));
    }
    lock.check_in_place()?;
    manifest.publish(dir)?;
    let kept = shards.iter().filter(|s| s.kept).count();
    Ok(PackEnd::Finished(Box::new(PackReport { manifest, bad, kept, notes })))
}

/// Makes shard `index` of `plan` in `dir` anew. `false` when `stop` was set.
///
/// # Errors
/// As [`pack`].
pub fn pack_shard(dir: &Path, plan: &Plan, index: u32, progress: &dyn Progress, stop: &AtomicBool) -> Result<bool> {
    let pool = thread_pool(0)?;
    let mut run =
        Run { plan, dir, lock: None, pool: &pool, progress, stop, stop_at_bad: false, bad: Vec::new(), benches: Benches::default() };
    match run.fill(index)? {
        Some((writer, _)) => writer.finish().map(|_| true),
        None => Ok(false),
    }
}

struct Run<'a> {
    plan: &'a Plan,
    dir: &'a Path,
    lock: Option<&'a Lock>,
    pool: &'a rayon::ThreadPool,
    progress: &'a dyn Progress,
    stop: &'a AtomicBool,
    stop_at_bad: bool,
    bad: Vec<BadPicture>,
    benches: Benches,
}

impl Run<'_> {
    /// All shards in order; `None` when stopped, or at the first bad picture where that ends it.
    fn shards(&mut self, done: Vec<Option<Done>>) -> Result<Option<Vec<Done>>> {
        std::thread::scope(|scope| {
            let mut shards = Vec::with_capacity(done.len());
            // The shard whose hashing and flushing goes on beside the decoding of the next one.
            type Closing<'s> = (std::thread::ScopedJoinHandle<'s, Result<(ShardSummary, ChannelSums)>>, Vec<u64>);
            let mut closing: Option<Closing<'_>> = None;
            let close = |closing: Option<Closing<'_>>, shards: &mut Vec<Done>| -> Result<()> {
                let Some((handle, per_class)) = closing else { return Ok(()) };
                let (summary, sums) = handle.join().unwrap_or_else(|_| Err(Error::internal("the thread that finishes a shard died")))?;
                shards.push(Done { summary, sums, per_class, ids: Vec::new(), kept: false });
                Ok(())
            };
            for (index, kept) in done.into_iter().enumerate() {
                if let Some(kept) = kept {
                    close(closing.take(), &mut shards)?;
                    self.recheck_missing(index as u32, &kept)?;
                    shards.push(kept);
                    if self.stop_at_bad & !self.bad.is_empty() {
                        return Ok(None);
                    }
                    continue;
                }
                let Some((writer, per_class)) = self.fill(index as u32)? else { return Ok(None) };
                close(closing.take(), &mut shards)?;
                let thread = std::thread::Builder::new().name("finish".to_owned()).spawn_scoped(scope, move || writer.finish());
                closing = Some((thread.map_err(refused_threads)?, per_class));
            }
            close(closing, &mut shards)?;
            Ok(Some(shards))
        })
    }

    /// A shard of an earlier run: its pictures are done, the ones it lacks are tried again for their reasons.
    fn recheck_missing(&mut self, index: u32, kept: &Done) -> Result<()> {
        let mut ids = kept.ids.iter().copied().peekable();
        for id in self.plan.ids(index) {
            if ids.next_if_eq(&(id as u64)).is_none() {
                match self.benches.at(|bench| bench.one(self.plan, id))? {
                    Err(bad) => self.bad.push(bad),
                    Ok(_) => {
                        return Err(Error::data("a finished shard lacks an image that can be read")
                            .at(format!("{}: {}", kept.summary.name, self.plan.items[id].path))
                            .next("remove that shard and run the same command again"));
                    }
                }
            }
            self.progress.advance(1);
        }
        Ok(())
    }

    /// All records of one shard, written; the shard is not yet closed. `None` when stopped.
    fn fill(&mut self, index: u32) -> Result<Option<(ShardWriter, Vec<u64>)>> {
        self.lock.map_or(Ok(()), Lock::check_in_place)?;
        let mut writer = ShardWriter::create_expecting(self.dir, self.plan.shard(index), self.plan.estimated_bytes([index].into_iter()))?;
        let mut per_class = vec![0u64; self.plan.classes.len()];
        let ids: Vec<usize> = self.plan.ids(index).collect();
        // Pictures kept at their own size may be large: fewer at a time.
        let chunk = self.pool.current_num_threads() * if self.plan.options.size == 0 { 2 } else { 32 };
        let stored = |ids: &[usize]| ids.iter().map(|&id| self.plan.items[id].estimated).sum::<u64>();
        let most = budget::for_stored();
        let (plan, stop, progress, benches) = (self.plan, self.stop, self.progress, &self.benches);
        let decode = |ids: &[usize]| -> Result<Vec<Outcome>> {
            let each = |&id: &usize| {
                if stop.load(Ordering::Relaxed) {
                    return Err(Error::internal("stopped"));
                }
                progress.advance(1);
                benches.at(|bench| bench.one(plan, id))
            };
            ids.par_iter().with_max_len(1).map(each).collect()
        };
        let mut write = |outcomes: Vec<Outcome>, bad: &mut Vec<BadPicture>| -> Result<()> {
            for outcome in outcomes {
                match outcome {
                    Ok((record, sums)) => {
                        writer.append(&record, &sums)?;
                        per_class[record.label as usize] += 1;
                    }
                    Err(picture) => bad.push(picture),
                }
            }
            Ok(())
        };
        let (mut before, mut held) = (Vec::new(), 0);
        for ids in chunks(&ids, chunk, most / 2, stored).chain([&[][..]]) {
            let bad = &mut self.bad;
            let last = std::mem::take(&mut before);
            let both = held + stored(ids);
            held = stored(ids);
            let (decoded, written) = match both > most {
                // Images so large that the last ones have to go before the next are begun.
                true => {
                    let written = write(last, bad);
                    (written.as_ref().map_or_else(|_| Ok(Vec::new()), |()| self.pool.install(|| decode(ids))), written)
                }
                false => self.pool.install(|| rayon::join(|| decode(ids), || write(last, bad))),
            };
            written?;
            if stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            before = decoded?;
            if self.stop_at_bad & !self.bad.is_empty() {
                return Ok(None);
            }
        }
        Ok(Some((writer, per_class)))
    }
}

/// `ids` in runs of at most `count`, of at most `bytes` by `weigh` unless one alone has more.
fn chunks(ids: &[usize], count: usize, bytes: u64, weigh: impl Fn(&[usize]) -> u64) -> impl Iterator<Item = &[usize]> {
    let mut rest = ids;
    std::iter::from_fn(move || {
        let fits = |n: &usize| *n == 1 || weigh(&rest[..*n]) <= bytes;
        let n = (1..=count.min(rest.len())).take_while(fits).last()?;
        let (chunk, behind) = rest.split_at(n);
        rest = behind;
        Some(chunk)
    })
}

/// Whoever reads them has each of them open.
fn many_shards(count: u32) -> Option<String> {
    const OTHERS: u64 = 100;
    let most = most_open_files().filter(|most| u64::from(count) + OTHERS > *most)?;
    Some(format!("{count} shards are more files than a process may have open here ({most}): larger --records-per-shard, or ulimit -n"))
}

/// The output would be listed as a class of its own, and every label behind it would move.
fn refuse_output_inside_input(input: &Path, output: &Path) -> Result<()> {
    let real = |path: &Path| path.canonicalize().map_err(|e| Error::reading(path, e));
    // A path into an archive holds no output.
    if input.exists() && real(output)?.starts_with(real(input)?) {
        remove_empty(output); // as when it was made just now
        return Err(Error::usage("the output lies inside the input")
            .at(output.display().to_string())
            .because("it would be taken for a class of images")
            .next("an --output beside the images"));
    }
    Ok(())
}

/// Training refuses splits of different classes; that is better known before hours of packing.
fn other_classes_beside(dir: &Path, plan: &Plan) -> Option<String> {
    let other = if plan.options.split == Split::Train { Split::Val } else { Split::Train };
    let beside = dir.canonicalize().ok()?.parent()?.join(other.name());
    let manifest = Manifest::read(&beside).ok()?;
    let theirs: Vec<&String> = manifest.classes.iter().map(|c| &c.name).collect();
    let ours: Vec<&String> = plan.classes.iter().collect();
    let at = (0..ours.len().max(theirs.len())).find(|&i| ours.get(i) != theirs.get(i))?;
    let name = |names: &[&String]| names.get(at).map_or_else(|| "none".to_owned(), |n| format!("\"{n}\""));
    Some(format!(
        "the classes differ from those of {}: class {at} is {} here and {} there ({} classes and {}); train refuses such a pair",
        beside.display(),
        name(&ours),
        name(&theirs),
        ours.len(),
        theirs.len()
    ))
}

fn refuse_existing(dir: &Path) -> Result<()> {
    if dir.join(MANIFEST).exists() {
        return Err(Error::write("refusing to overwrite a packed data set")
            .at(dir.join(MANIFEST).display().to_string())
            .next("choose another --output, or remove that folder first"));
    }
    Ok(())
}

fn check_space(dir: &Path, needed: u64) -> Result<()> {
    let Some(free) = free_bytes(dir) else { return Ok(()) };
    if needed > free {
        return Err(Error::write(format!("the shards need {needed} bytes, {free} are free"))
            .at(dir.display().to_string())
            .next("free some space, choose another --output, a smaller --resize, or --encoding jpeg"));
    }
    Ok(())
}

fn manifest(plan: &Plan, shards: &[Done], skipped: u64) -> Result<Manifest> {
    let mut sums = ChannelSums::default();
    let words = |i: usize| plan.words.get(i).filter(|w| !w.is_empty()).cloned();
    let class = |(i, name): (usize, &String)| Class { name: name.clone(), words: words(i), records: 0 };
    let mut classes: Vec<Class> = plan.classes.iter().enumerate().map(class).collect();
    for shard in shards {
        sums.add(&shard.sums);
        for (class, n) in classes.iter_mut().zip(&shard.per_class) {
            class.records += n;
        }
    }
    let (mean, std) = sums.mean_std();
    Ok(Manifest {
        format_version: 1,
        dataset_id: hex(&plan.dataset_id),
        split: plan.options.split,
        source: Some(plan.kind.name().to_owned()),
        encoding: plan.options.encoding().name().to_owned(),
        records: shards.iter().map(|s| s.summary.records).sum(),
        skipped,
        classes,
        mean,
        std,
        sums,
        shards: shards.iter().map(|s| s.summary.clone()).collect(),
        options: plan.options.canonical(),
    })
}
