//! A disk that fails or loses its power, for whatever writes through `imagenet_engine::files`.
//!
//! [`Disk`] watches a folder, keeps every call as it is made, and can fail one of them. From the calls, [`crashes`] works out what a
//! power cut could leave at each point: names that no fsync of their folder made durable may be there or not, in any combination;
//! bytes that no fsync of their file made durable may be there, missing, there in part, or zeros. The model is stricter than ext4 or xfs:
//! they keep the order of names.

#![allow(dead_code)] // each binary uses its part

use imagenet_engine::files::calls::{Call, Watch, Watcher, watch};
use rustix::io::Errno;
use std::collections::{BTreeMap, HashSet};
use std::io::Result;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// By this error, once.
    Error(Errno),
    /// The disk is full from then on: only removing goes through.
    Full,
    /// A write takes half of its bytes; other calls go through.
    Short,
}

/// A call as it was made; files by their number, whatever they are called by now. Paths are relative to the folder.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    MakeDir(PathBuf),
    Create(PathBuf, usize),
    Write(usize, u64, Vec<u8>),
    SetLen(usize, u64),
    Sync(usize),
    /// Old name, new name, file.
    Rename(PathBuf, PathBuf, usize),
    Link(PathBuf, usize),
    Remove(PathBuf),
    SyncDir(PathBuf),
}

#[derive(Default)]
struct State {
    events: Vec<Event>,
    names: BTreeMap<PathBuf, usize>,
    files: usize,
    calls: usize,
    failed: Option<String>,
}

pub struct Disk {
    root: PathBuf,
    fault: Option<(usize, Fault)>,
    state: Mutex<State>,
}

impl Disk {
    /// Watches what happens at and below `root` until the second is dropped; the n-th call fails if `fault` says so.
    pub fn watch(root: &Path, fault: Option<(usize, Fault)>) -> (Arc<Self>, Watch) {
        let disk = Arc::new(Self { root: root.to_owned(), fault, state: Mutex::default() });
        (disk.clone(), watch(root, disk))
    }

    pub fn events(&self) -> Vec<Event> {
        self.state.lock().unwrap().events.clone()
    }

    /// The call that was failed.
    pub fn failed(&self) -> Option<String> {
        self.state.lock().unwrap().failed.clone()
    }
}

impl Watcher for Disk {
    fn about(&self, call: &Call<'_>) -> Result<usize> {
        let s = &mut *self.state.lock().unwrap();
        s.calls += 1;
        let mut most = usize::MAX;
        let due = |n: usize, fault| s.calls - 1 == n || s.calls > n && fault == Fault::Full;
        if let Some((_, fault)) = self.fault.filter(|&(n, fault)| due(n, fault)) {
            s.failed.get_or_insert_with(|| format!("{call:?}").chars().take(120).collect());
            match (fault, call) {
                (Fault::Error(errno), _) => return Err(errno.into()),
                (Fault::Full, Call::Remove(_) | Call::RemoveDir(_)) => {}
                (Fault::Full, _) => return Err(Errno::NOSPC.into()),
                (Fault::Short, Call::Write { bytes, .. }) => most = bytes.len().div_ceil(2),
                (Fault::Short, _) => {}
            }
        }
        let below = |p: &Path| p.strip_prefix(&self.root).unwrap_or(Path::new("")).to_owned();
        let file = |s: &State, p: &Path| s.names.get(&below(p)).copied();
        let event = match *call {
            Call::MakeDir(p) => Some(Event::MakeDir(below(p))),
            Call::Create { path, new } => {
                if let (Some(number), false) = (file(s, path), new) {
                    s.names.insert(below(path), number);
                    return Ok(most);
                }
                s.files += 1;
                s.names.insert(below(path), s.files);
                Some(Event::Create(below(path), s.files))
            }
            Call::Write { path, offset, bytes } => file(s, path).map(|f| Event::Write(f, offset, bytes[..most.min(bytes.len())].to_vec())),
            Call::SetLen { path, len } => file(s, path).map(|f| Event::SetLen(f, len)),
            Call::Sync(path) => file(s, path).map(Event::Sync),
            Call::Rename { from, to, .. } => file(s, from).map(|f| {
                s.names.remove(&below(from));
                s.names.insert(below(to), f);
                Event::Rename(below(from), below(to), f)
            }),
            Call::Link { from, to } => file(s, from).map(|f| {
                s.names.insert(below(to), f);
                Event::Link(below(to), f)
            }),
            Call::Remove(p) => s.names.remove(&below(p)).map(|_| Event::Remove(below(p))),
            Call::RemoveDir(_) => None,
            Call::SyncDir(p) => Some(Event::SyncDir(below(p))),
        };
        s.events.extend(event);
        Ok(most)
    }
}

/// What becomes of bytes that were written and not flushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Unflushed {
    Lost,
    Kept,
    /// The first half of the calls.
    Half,
    /// All but the second half of the last call.
    Torn,
    /// The file has its length, and zeros.
    Zeros,
}

/// A change of names that is not durable yet, and the folder whose fsync makes it so.
#[derive(Clone)]
struct Pending {
    folder: PathBuf,
    gone: Option<PathBuf>,
    /// `None` is a folder.
    there: Option<(PathBuf, Option<usize>)>,
}

fn folder(path: &Path) -> PathBuf {
    path.parent().unwrap_or(Path::new("")).to_owned()
}

/// The calls on one file, of which the first so many are durable.
#[derive(Clone, Default)]
struct Content {
    calls: Vec<Event>,
    durable: usize,
}

fn apply(bytes: &mut Vec<u8>, call: &Event, zeros: bool) {
    match call {
        Event::Write(_, offset, new) => {
            let end = *offset as usize + new.len();
            bytes.resize(bytes.len().max(end), 0);
            if !zeros {
                bytes[*offset as usize..end].copy_from_slice(new);
            }
        }
        Event::SetLen(_, len) => bytes.resize(*len as usize, 0),
        _ => {}
    }
}

impl Content {
    fn after(&self, unflushed: Unflushed) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.calls[..self.durable].iter().for_each(|c| apply(&mut bytes, c, false));
        let pending = &self.calls[self.durable..];
        let count = if unflushed == Unflushed::Half { pending.len() / 2 } else { pending.len() };
        for (i, call) in pending[..count].iter().enumerate() {
            match (unflushed, call) {
                (Unflushed::Lost, _) => {}
                (Unflushed::Torn, Event::Write(f, at, new)) if i + 1 == count => {
                    apply(&mut bytes, &Event::Write(*f, *at, new[..new.len() / 2].to_vec()), false);
                }
                (how, call) => apply(&mut bytes, call, how == Unflushed::Zeros),
            }
        }
        bytes
    }
}

/// Writes every distinct state that a power cut during `events` could leave into a folder of its own below `scratch`, and shows it to
/// `check`, with whether the cut came after the last call. Returns how many there were.
pub fn crashes(events: &[Event], scratch: &Path, mut check: impl FnMut(&Path, bool, &str)) -> usize {
    let mut names: BTreeMap<PathBuf, Option<usize>> = BTreeMap::new();
    let mut pending: Vec<Pending> = Vec::new();
    let mut files: BTreeMap<usize, Content> = BTreeMap::new();
    let mut seen = HashSet::new();
    for k in 0..=events.len() {
        if k > 0 {
            let change = |gone: Option<&PathBuf>, there: Option<(&PathBuf, Option<usize>)>| {
                let at = there.map(|t| t.0).or(gone).unwrap();
                Pending { folder: folder(at), gone: gone.cloned(), there: there.map(|(p, f)| (p.clone(), f)) }
            };
            match &events[k - 1] {
                Event::MakeDir(p) => pending.push(change(None, Some((p, None)))),
                Event::Create(p, f) => {
                    files.insert(*f, Content::default());
                    pending.push(change(None, Some((p, Some(*f)))));
                }
                Event::Write(f, ..) | Event::SetLen(f, _) => files.get_mut(f).unwrap().calls.push(events[k - 1].clone()),
                Event::Sync(f) => {
                    let content = files.get_mut(f).unwrap();
                    content.durable = content.calls.len();
                }
                Event::Rename(from, to, f) => pending.push(change(Some(from), Some((to, Some(*f))))),
                Event::Link(to, f) => pending.push(change(None, Some((to, Some(*f))))),
                Event::Remove(p) => pending.push(change(Some(p), None)),
                Event::SyncDir(dir) => {
                    let (durable, still): (Vec<_>, Vec<_>) = pending.into_iter().partition(|p| p.folder == *dir);
                    durable.iter().for_each(|p| rename(&mut names, p));
                    pending = still;
                }
            }
        }
        for chosen in subsets(pending.len()) {
            let mut visible = names.clone();
            pending.iter().zip(&chosen).filter(|(_, chosen)| **chosen).for_each(|(p, _)| rename(&mut visible, p));
            for unflushed in [Unflushed::Lost, Unflushed::Kept, Unflushed::Half, Unflushed::Torn, Unflushed::Zeros] {
                let key: Vec<_> = visible
                    .iter()
                    .map(|(path, f)| {
                        let c = f.map(|f| &files[&f]);
                        (
                            path.clone(),
                            *f,
                            c.map(|c| (c.durable, if c.durable == c.calls.len() { (0, None) } else { (c.calls.len(), Some(unflushed)) })),
                        )
                    })
                    .collect();
                let last = k == events.len();
                if !seen.insert((key, last)) {
                    continue;
                }
                let dir = scratch.join(format!("crash{}", seen.len()));
                std::fs::create_dir(&dir).unwrap();
                for (path, f) in &visible {
                    let at = dir.join(path);
                    if path.parent().is_none() || !at.parent().unwrap().is_dir() {
                        continue; // the root itself; or its folder was lost, and it with that
                    }
                    match f {
                        None => std::fs::create_dir(at).unwrap(),
                        Some(f) => std::fs::write(at, files[f].after(unflushed)).unwrap(),
                    }
                }
                let call: String = events.get(k.wrapping_sub(1)).map_or_else(String::new, |e| format!("{e:?}").chars().take(80).collect());
                check(&dir, last, &format!("power cut after call {k} of {} ({call}), names {chosen:?}, bytes {unflushed:?}", events.len()));
                std::fs::remove_dir_all(&dir).unwrap();
            }
        }
    }
    seen.len()
}

fn rename(names: &mut BTreeMap<PathBuf, Option<usize>>, p: &Pending) {
    if let Some(gone) = &p.gone {
        names.remove(gone);
    }
    if let Some((path, file)) = &p.there {
        names.insert(path.clone(), *file);
    }
}

/// Every choice of so many; of more than six each start, and each with one missing.
fn subsets(n: usize) -> Vec<Vec<bool>> {
    if n <= 6 {
        return (0..1u32 << n).map(|bits| (0..n).map(|i| bits >> i & 1 == 1).collect()).collect();
    }
    let starts = (0..=n).map(|end| (0..n).map(|i| i < end).collect());
    starts.chain((0..n).map(|missing| (0..n).map(|i| i != missing).collect())).collect()
}

/// The promise of `files`: a file is flushed after its last write and before it gets its name, and the folder afterwards. Returns what
/// breaks it.
pub fn out_of_order(events: &[Event]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (i, event) in events.iter().enumerate() {
        if let Event::Rename(_, to, f) = event {
            let last = events[..i].iter().rposition(|e| matches!(e, Event::Write(g, ..) | Event::SetLen(g, _) if g == f));
            let synced = events[..i].iter().rposition(|e| *e == Event::Sync(*f));
            if synced.is_none() || last > synced {
                wrong.push(format!("{} got its name before its bytes were flushed", to.display()));
            }
            if !events[i..].iter().any(|e| *e == Event::SyncDir(folder(to))) {
                wrong.push(format!("the folder of {} was not flushed after it", to.display()));
            }
        }
    }
    wrong
}
