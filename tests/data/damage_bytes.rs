//! Bytes flipped, cut off, zeroed, moved, added, and shards of other packs: all of it is found, and no wrong picture is ever read.

use super::common::*;
use super::damage_bed::{Bed, KINDS, VICTIM};
use imagenet_engine::rng::{Purpose, Stream};

/// `sample` or `all` rounds, dealt to a bed of each kind.
fn campaign(name: &str, sample: usize, all: usize, seed: u64, mut round: impl FnMut(&mut Bed, usize, &mut Stream)) {
    let tmp = tempfile::tempdir().unwrap();
    let mut s = Stream::new(seed, Purpose::Test, 0, 0);
    let mut beds: Vec<Bed> = KINDS.iter().map(|kind| Bed::new(tmp.path(), kind, 1)).collect();
    let count = rounds(sample, all);
    for i in 0..count {
        round(&mut beds[i % KINDS.len()], i / KINDS.len(), &mut s);
    }
    let slowest = beds.iter().map(|b| b.slowest).max().unwrap();
    eprintln!("{name}: {count} of {count} found; the slowest took {slowest:.1?}; peak memory {} MB", peak_mb());
    assert!(!long() || peak_mb() < 256, "{} MB", peak_mb());
}

fn below(s: &mut Stream, n: usize) -> usize {
    s.below(n as u32) as usize
}

#[test]
fn single_bits_flipped() {
    campaign("flips", 600, 10_000, 11, |bed, _, s| {
        let (at, bit) = (below(s, bed.bytes.len()), s.below(8));
        let mut damaged = bed.bytes.clone();
        damaged[at] ^= 1 << bit;
        bed.found_at(&damaged, at, &format!("bit {bit} of byte {at}"));
    });
}

#[test]
fn cut_to_any_length() {
    campaign("truncations", 300, 2_000, 12, |bed, i, s| {
        // Every eighth length of the first pages, the edges of sections and records, and any other.
        let edges: Vec<usize> =
            bed.records.iter().flat_map(|r| [r.start, r.end]).chain([4096, bed.bytes.len() - 64, bed.bytes.len()]).collect();
        let near = |i: usize| (edges[i / 3] + i % 3).saturating_sub(1).min(bed.bytes.len() - 1);
        let long_from = if long() { 340 } else { 34 };
        let len = if i < edges.len() * 3 {
            near(i)
        } else if i < edges.len() * 3 + long_from {
            (i - edges.len() * 3) * 8192 / long_from / 8 * 8
        } else {
            below(s, bed.bytes.len())
        };
        let damaged = bed.bytes[..len].to_vec();
        assert!(bed.found(&damaged, &format!("cut to {len}")), "cut to {len}: it opened");
    });
}

#[test]
fn four_kib_of_zeros() {
    campaign("zeroings", 120, 1_000, 13, |bed, _, s| {
        let mut damaged = bed.bytes.clone();
        while damaged == bed.bytes {
            let at = below(s, bed.bytes.len());
            let end = (at + 4096).min(damaged.len());
            damaged[at..end].fill(0);
        }
        bed.found(&damaged, "zeros");
    });
}

#[test]
fn blocks_swapped() {
    campaign("block swaps", 90, 500, 14, |bed, _, s| {
        let mut damaged = bed.bytes.clone();
        while damaged == bed.bytes {
            let len = [64, 512, 4096][below(s, 3)];
            let blocks = bed.bytes.len() / len;
            let (a, b) = (below(s, blocks) * len, below(s, blocks) * len);
            for i in 0..len {
                damaged.swap(a + i, b + i);
            }
            if a.abs_diff(b) < len {
                damaged.clone_from(&bed.bytes);
            }
        }
        bed.found(&damaged, "swap");
    });
}

#[test]
fn bytes_appended() {
    campaign("appends", 90, 500, 15, |bed, i, s| {
        let mut damaged = bed.bytes.clone();
        match i % 4 {
            0 => damaged.extend(vec![0; 1 + below(s, 8192)]),
            1 => damaged.extend((0..1 + below(s, 500)).map(|_| s.below(256) as u8)),
            2 => damaged.extend_from_slice(&bed.bytes[bed.bytes.len() - 64..]), // a second footer
            _ => damaged.extend_from_slice(&bed.bytes),
        }
        assert!(bed.found(&damaged, "append"), "it opened");
    });
}

/// The file of another pack under the name of this one's, and of another shard of this one.
#[test]
fn shards_of_others() {
    let tmp = tempfile::tempdir().unwrap();
    // Other pictures, other encodings, another number of shards; the same pack's other shard.
    let mut foreign: Vec<Vec<u8>> = Vec::new();
    for seed in 1..=rounds(4, 60) as u64 {
        for kind in KINDS {
            let other = Bed::new(tmp.path(), kind, 100 + seed);
            foreign.extend([other.bytes, std::fs::read(other.dir.join(VICTIM.replace("00001-of", "00000-of"))).unwrap()]);
        }
    }
    let mut own = Vec::new();
    for kind in KINDS {
        let bed = Bed::new(tmp.path(), kind, 1);
        own.push(std::fs::read(bed.dir.join("train-00000-of-00002.ies")).unwrap());
    }
    let all = foreign.len();
    campaign("shard swaps", 60, 500, 16, |bed, i, s| {
        let damaged = if i % 10 == 0 { own[i / 10 % 3].clone() } else { foreign[below(s, all)].clone() };
        assert!(bed.found(&damaged, "another shard"), "it opened");
    });
}
