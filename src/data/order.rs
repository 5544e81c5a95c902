//! The order of an epoch as a pure function of (seed, epoch, position): nothing is stored, any point is reached at once.
//!
//! - *Full*: one [`Permutation`] of everything.
//! - *Block*: for disks that hate random reads. Blocks of neighbouring records come in a random order, and so many of them at a time make a
//!   window within which single records are mixed: a disk then reads whole blocks, and the page cache need hold no more than a window. The
//!   last block may be shorter; it takes its place among the others, so where a window begins depends on where it came to lie.
//! - *None*: as stored.
//!
//! The order does not know about devices: of each global batch every rank takes its own slice (see the loader), so it is the same for any
//! number of them.

use super::permutation::Permutation;
use crate::rng::Purpose;
use std::ops::Range;

/// Goes into checkpoints: a run must not be resumed under another way of ordering.
pub const ORDER_VERSION: u32 = 1;

/// `--shuffle`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shuffle {
    /// A new permutation of everything each epoch.
    #[default]
    Full,
    /// Blocks of neighbours in a new order each epoch, mixed within windows of several: for slow disks.
    Block,
    /// As stored.
    None,
}

/// How pictures are ordered, with its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mixing {
    Full,
    /// Records a block, blocks a window; at least 1 each.
    Block {
        block: u64,
        window: u64,
    },
    None,
}

impl Shuffle {
    /// With the numbers of `--shuffle-block` and `--shuffle-window`.
    pub fn mixing(self, block: u64, window: u64) -> Mixing {
        match self {
            Self::Full => Mixing::Full,
            Self::Block => Mixing::Block { block: block.max(1), window: window.max(1) },
            Self::None => Mixing::None,
        }
    }
}

/// The order of the pictures of a data set in every epoch.
#[derive(Clone, Debug)]
pub struct Order {
    n: u64,
    seed: u64,
    mixing: Mixing,
}

impl Order {
    /// Of `n` pictures under `seed`.
    pub fn new(n: u64, seed: u64, mixing: Mixing) -> Self {
        Self { n, seed, mixing }
    }

    pub fn len(&self) -> u64 {
        self.n
    }

    pub fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// Which picture comes at `position` (below n) of `epoch` (below 2^28).
    pub fn at(&self, epoch: u32, position: u64) -> u64 {
        self.epoch(epoch).at(position)
    }

    /// The order of one epoch, its keys drawn once.
    pub fn epoch(&self, epoch: u32) -> EpochOrder {
        match self.mixing {
            Mixing::None => EpochOrder::AsStored,
            Mixing::Full => EpochOrder::Full(Permutation::new(self.n, self.seed, Purpose::Order, epoch, self.n)),
            Mixing::Block { block, window } => EpochOrder::Block(BlockOrder::new(self.n, self.seed, epoch, block, window)),
        }
    }
}

/// One epoch's order.
#[derive(Clone, Debug)]
pub enum EpochOrder {
    AsStored,
    Full(Permutation),
    Block(BlockOrder),
}

impl EpochOrder {
    /// Which picture comes at `position`; positions beyond the last map to themselves.
    pub fn at(&self, position: u64) -> u64 {
        match self {
            Self::AsStored => position,
            Self::Full(permutation) => permutation.at(position),
            Self::Block(order) => order.at(position),
        }
    }
}

/// Blocks in a random order, mixed within windows.
#[derive(Clone, Debug)]
pub struct BlockOrder {
    n: u64,
    seed: u64,
    epoch: u32,
    block: u64,
    window: u64,
    blocks: Permutation,
    /// Records missing from the last block, and its place in the order of blocks.
    missing: u64,
    short_at: u64,
}

impl BlockOrder {
    fn new(n: u64, seed: u64, epoch: u32, block: u64, window: u64) -> Self {
        let count = n.div_ceil(block);
        let blocks = Permutation::new(count, seed, Purpose::OrderBlocks, epoch, count);
        let (missing, short_at) = (count * block - n, blocks.position_of(count.saturating_sub(1)));
        Self { n, seed, epoch, block, window, blocks, missing, short_at }
    }

    /// The position at which the block in place `place` begins.
    fn start(&self, place: u64) -> u64 {
        (place * self.block - if place > self.short_at { self.missing } else { 0 }).min(self.n)
    }

    /// The window that holds `position`, which must be below n, and its positions.
    pub fn window_at(&self, position: u64) -> (u64, Range<u64>) {
        // Windows are as long as they look, or shorter by what the last block lacks: the guess is right or one too early.
        let guess = position / (self.block * self.window);
        let window = guess + u64::from(position >= self.start((guess + 1) * self.window));
        (window, self.start(window * self.window)..self.start((window + 1) * self.window))
    }

    /// The window that holds `record`, which must be below n.
    pub fn window_holding(&self, record: u64) -> u64 {
        self.blocks.position_of(record / self.block) / self.window
    }

    /// How many blocks `window` holds.
    pub fn blocks_in(&self, window: u64) -> u64 {
        self.n.div_ceil(self.block).saturating_sub(window * self.window).min(self.window)
    }

    /// The records of block `k` of `window`, in the order in which it holds them.
    pub fn block_of(&self, window: u64, k: u64) -> Range<u64> {
        let first = self.blocks.at(window * self.window + k) * self.block;
        first..(first + self.block).min(self.n)
    }

    fn at(&self, position: u64) -> u64 {
        if position >= self.n {
            return position;
        }
        let (window, Range { start: first, end }) = self.window_at(position);
        let mixed = Permutation::new(end - first, self.seed, Purpose::OrderWindow, self.epoch, window);
        let at = first + mixed.at(position - first);
        let guess = at / self.block;
        let place = guess + u64::from(at >= self.start(guess + 1));
        self.blocks.at(place) * self.block + (at - self.start(place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn assert_permutation(n: u64, seed: u64, epoch: u32, mixing: Mixing) {
        let permutation = Order::new(n, seed, mixing).epoch(epoch);
        let mut seen = vec![false; n as usize];
        for p in 0..n {
            let x = permutation.at(p) as usize;
            assert!(!std::mem::replace(&mut seen[x], true), "n {n}: {x} comes twice");
        }
    }

    const IMAGENET: u64 = 1_281_167;
    const BLOCK: Mixing = Mixing::Block { block: 256, window: 32 };

    /// 40, or 10,000 with IE_LONG_TESTS=1.
    fn cases() -> u32 {
        if std::env::var_os("IE_LONG_TESTS").is_some() { 10_000 } else { 40 }
    }

    #[test]
    fn every_small_size_is_a_permutation() {
        for n in 1..=600 {
            assert_permutation(n, n, (n % 7) as u32, Mixing::Full);
            for (block, window) in [(1, 1), (1, 7), (7, 1), (8, 3), (100, 2), (1000, 1000)] {
                assert_permutation(n, n, (n % 7) as u32, Mixing::Block { block, window });
            }
        }
    }

    #[test]
    fn imagenet_is_a_permutation() {
        assert_permutation(IMAGENET, 42, 89, Mixing::Full);
        assert_permutation(IMAGENET, 42, 89, BLOCK);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(cases()))]
        #[test]
        fn any_size_is_a_permutation(n in 1u64..100_000, seed: u64, epoch in 0u32..1 << 28, block in 1u64..5000, window in 1u64..100) {
            assert_permutation(n, seed, epoch, Mixing::Full);
            assert_permutation(n, seed, epoch, Mixing::Block { block, window });
        }
    }

    /// What block shuffling is for: a window touches so many blocks and no others, all of each, and yet single records are mixed.
    #[test]
    fn a_window_reads_whole_blocks() {
        let (n, block, window) = (10_050u64, 100u64, 8u64);
        let order = Order::new(n, 3, Mixing::Block { block, window }).epoch(5);
        let (mut at, mut seen) = (0, std::collections::BTreeSet::new());
        while at < n {
            let blocks: std::collections::BTreeSet<u64> = (at..(at + 1).min(n)).map(|p| order.at(p) / block).collect();
            let mut touched = blocks;
            let mut records = 1;
            // as long as it stays within as many blocks as a window has, it is one window
            while at + records < n {
                let next = order.at(at + records) / block;
                if !touched.contains(&next) && touched.len() as u64 == window {
                    break;
                }
                touched.insert(next);
                records += 1;
            }
            let whole: u64 = touched.iter().map(|b| if *b == n / block { n % block } else { block }).sum();
            assert_eq!(records, whole, "window at {at}");
            assert!(touched.iter().all(|b| seen.insert(*b)), "a block in two windows");
            at += records;
        }
        let neighbours = (0..n - 1).filter(|&p| order.at(p).abs_diff(order.at(p + 1)) == 1).count();
        assert!(neighbours < 60, "{neighbours} of {n} neighbours stayed together; about 25 are expected");
    }

    #[test]
    fn epochs_and_seeds_differ_and_calls_agree() {
        let take = |seed, epoch| {
            let order = Order::new(1000, seed, Mixing::Full);
            (0..1000).map(|p| order.at(epoch, p)).collect::<Vec<_>>()
        };
        let base = take(1, 0);
        assert_eq!(base, take(1, 0));
        for other in [take(1, 1), take(2, 0)] {
            let same = base.iter().zip(&other).filter(|(a, b)| a == b).count();
            assert!(same < 12, "{same} of 1000 in the same place; one is expected by chance");
        }
        assert_eq!((0..10).map(|p| Order::new(10, 1, Mixing::None).at(3, p)).collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
    }

    /// Neighbours must not stay neighbours, and each position must see every region: a weak network fails here.
    #[test]
    fn looks_random() {
        let n = 4096u64;
        let order = Order::new(n, 7, Mixing::Full);
        let epochs = 200;
        let (mut cells, mut adjacent) = ([0f64; 16], 0);
        for epoch in 0..epochs {
            let permutation = order.epoch(epoch);
            for p in 0..64 {
                cells[(permutation.at(p) / (n / 16)) as usize] += 1.0;
                adjacent += u32::from(permutation.at(p).abs_diff(permutation.at(p + 1)) == 1);
            }
        }
        let expected = f64::from(epochs) * 64.0 / 16.0;
        let chi2: f64 = cells.iter().map(|c| (c - expected).powi(2) / expected).sum();
        assert!(chi2 < 45.0, "chi-square {chi2} with 15 degrees of freedom");
        assert!(adjacent < 25, "{adjacent} neighbours of 12800 stayed together; about 6 are expected");
    }
}
