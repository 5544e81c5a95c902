//! Every kind of damage in numbers: each is found by `verify --full`, named with its file, and never gives a wrong picture, a panic or a
//! great deal of memory. A sample in every run, 15,500 of them with IE_LONG_TESTS=1.

use super::common::*;
use super::damage::{assert_found, remake, small, use_all};
use imagenet_engine::data::format::{Entry, Header};
use imagenet_engine::data::pack::PackOptions;
use imagenet_engine::rng::{Purpose, Stream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const PIECE: usize = 4096;

struct Campaign {
    _tmp: tempfile::TempDir,
    dir: PathBuf,
    shard: PathBuf,
    bytes: Vec<u8>,
    original: Vec<Vec<u8>>,
    random: Stream,
    slowest: Duration,
    tried: usize,
}

impl Campaign {
    fn new(seed: u64) -> Self {
        let tmp = tempfile::tempdir().unwrap();
        let (dir, shard, bytes) = small(tmp.path());
        let original = use_all(&dir).unwrap();
        Self { _tmp: tmp, dir, shard, bytes, original, random: Stream::new(seed, Purpose::Test, 0, 0), slowest: Duration::ZERO, tried: 0 }
    }

    /// So many in every run, so many in a long one, each made by `damage` from the undamaged bytes; what changes nothing is made anew.
    fn run(&mut self, what: &str, (short, long): (usize, usize), mut damage: impl FnMut(&mut Stream, &[u8], usize) -> Vec<u8>) {
        let count = if std::env::var_os("IE_LONG_TESTS").is_some() { long } else { short };
        let mut done = 0;
        while done < count {
            let damaged = damage(&mut self.random, &self.bytes, done);
            if damaged == self.bytes {
                continue;
            }
            std::fs::write(&self.shard, &damaged).unwrap();
            let began = Instant::now();
            assert_found(&self.dir, &self.original, &format!("{what} {done}"));
            self.slowest = self.slowest.max(began.elapsed());
            done += 1;
        }
        self.tried += count;
        println!("{what}: {count} of {count} found; {} in all, the slowest in {:?}", self.tried, self.slowest);
    }
}

fn below(s: &mut Stream, n: usize) -> usize {
    s.below(n as u32) as usize
}

#[test]
fn flips_cuts_zeros_swaps_and_appends() {
    let mut all = Campaign::new(31);
    all.run("flip", (300, 10_000), |s, bytes, _| {
        let mut out = bytes.to_vec();
        out[below(s, bytes.len())] ^= 1 << s.below(8);
        out
    });
    let header = Header::decode(all.bytes[..PIECE].try_into().unwrap());
    let sections = [header.index, header.strings, header.labels, header.meta, header.data];
    let edges: Vec<u64> = sections.iter().flat_map(|r| [r.off, r.off + r.len]).chain([header.footer_off, header.file_len]).collect();
    let mut cuts: Vec<usize> = (0..8192).step_by(8).collect();
    cuts.extend(edges.iter().flat_map(|e| [e.saturating_sub(1), *e, e + 1]).map(|e| e as usize));
    all.run("cut", (100, 2_000), |s, bytes, done| {
        let planned = cuts.get(if std::env::var_os("IE_LONG_TESTS").is_some() { done } else { done * 11 });
        bytes[..planned.copied().filter(|&at| at < bytes.len()).unwrap_or_else(|| below(s, bytes.len()))].to_vec()
    });
    all.run("4 KiB of zeros", (60, 1_000), |s, bytes, _| {
        let (mut out, at) = (bytes.to_vec(), below(s, bytes.len()));
        let end = (at + PIECE).min(out.len());
        out[at..end].fill(0);
        out
    });
    all.run("two pieces swapped", (40, 500), |s, bytes, _| {
        let (mut out, pieces) = (bytes.to_vec(), bytes.len() / PIECE);
        let (a, b) = (below(s, pieces) * PIECE, below(s, pieces) * PIECE);
        for i in 0..PIECE {
            out.swap(a + i, b + i);
        }
        out
    });
    all.run("appended", (20, 500), |s, bytes, _| {
        let mut out = bytes.to_vec();
        let len = 1 + below(s, 3 * PIECE);
        out.extend((0..len).map(|_| s.below(256) as u8));
        out
    });
    assert!(all.slowest < Duration::from_secs(5), "{:?}", all.slowest);
    if let Some(held) = imagenet_engine::bench::host::anonymous_bytes() {
        assert!(held < 256 << 20, "{held} bytes held");
    }
}

/// Shards of another pack, of other pictures or the same ones, under this pack's name.
#[test]
fn shards_of_others() {
    let mut all = Campaign::new(32);
    let tmp = tempfile::tempdir().unwrap();
    let other = |seed: u64, side: u32, size: u32| {
        let (input, out) = (tmp.path().join(format!("in{seed}-{side}")), tmp.path().join(format!("out{seed}-{side}-{size}")));
        if !input.exists() {
            tree(&input, 3, 4, side, seed);
        }
        let base = options(&input, &out);
        let mut plan = base.plan.clone();
        (plan.size, plan.records_per_shard) = (size, 99);
        run(&PackOptions { plan, ..base }).unwrap();
        let bytes = std::fs::read(out.join("train-00000-of-00001.ies")).unwrap();
        std::fs::remove_dir_all(&out).unwrap();
        bytes
    };
    all.run("shard of another pack", (8, 500), |_, _, done| other(2 + done as u64 % 50, 20, 8 + done as u32 / 50));
}

/// Fields of header and entries changed, and every checksum made right again: what lies is refused, what is harmless gives the pictures.
#[test]
fn fields_with_good_checksums() {
    let mut all = Campaign::new(33);
    all.run("field", (150, 1_000), |s, bytes, _| {
        let nasty = [0, 1, u64::MAX, u64::MAX / 2, 1 << 63, 1 << 40, 1 << 32, 1 << 31, 4095, 4096, 4097, s.next_u64()];
        let value = nasty[below(s, nasty.len())];
        let (in_header, record, nudge) = (s.below(2) == 0, below(s, 12), s.below(3));
        let at = below(s, if in_header { 240 } else { 60 });
        let width = [1, 2, 4, 8][below(s, 4)].min(if in_header { 240 - at } else { 60 - at });
        remake(bytes, |h: &mut Header, e: &mut Vec<Entry>| {
            let field = if in_header {
                &mut bytemuck::bytes_of_mut(h)[at..at + width]
            } else {
                &mut bytemuck::bytes_of_mut(&mut e[record])[at..at + width]
            };
            match nudge {
                0 => field[0] = field[0].wrapping_add(1),
                1 => field[0] = field[0].wrapping_sub(1),
                _ => field.copy_from_slice(&value.to_le_bytes()[..width]),
            }
        })
    });
}

/// Reading as training does finds every flip in a record, whoever reads it.
#[test]
fn a_loader_never_hands_on_a_flipped_record() {
    let all = Campaign::new(34);
    let dataset = imagenet_engine::data::Dataset::open(&all.dir).unwrap();
    let mut s = Stream::new(35, Purpose::Test, 0, 0);
    let count = if std::env::var_os("IE_LONG_TESTS").is_some() { 2_000 } else { 100 };
    for _ in 0..count {
        let record = below(&mut s, dataset.len());
        let entry = dataset.shards()[0].entries[record];
        let mut damaged = all.bytes.clone();
        damaged[entry.offset as usize + below(&mut s, entry.stored_len as usize)] ^= 1 << s.below(8);
        std::fs::write(&all.shard, &damaged).unwrap();
        let error = read_all(&all.dir).unwrap_err();
        assert!(error.exit_code() == 65 && error.to_string().contains(&format!("record {record} ")), "{error}");
    }
}

fn read_all(dir: &Path) -> imagenet_engine::error::Result<()> {
    use imagenet_engine::data::{Dataset, Loader, LoaderOptions};
    let loader = Loader::new(std::sync::Arc::new(Dataset::open(dir)?), &LoaderOptions::eval(5, 16))?;
    loader.into_iter().try_for_each(|batch| batch.map(drop))
}
