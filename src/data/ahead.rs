//! What the page cache is told where the pictures do not fit it: the next window of a block shuffle is asked for while this one is used,
//! and the window before it is given back. So the disk reads whole blocks, about as fast as they are used, and the cache holds two windows
//! and a quarter ([`HELD`]), whatever the size of the data.
//!
//! Which blocks a stretch of positions asks for and gives back is a pure function, so the threads and devices that share an epoch need
//! not know of each other: together they ask for each block once. Where a window is used in parts, so is the next one asked for.

use super::order::{BlockOrder, EpochOrder, Order};
use super::reading::Hint;
use std::ops::Range;

/// Windows that the page cache holds at most.
pub const HELD: f64 = 2.25;

/// The hints that belong to `positions` of `epoch`: stretches of neighbouring pictures.
pub fn hints(order: &Order, epoch: u32, positions: Range<u64>) -> Vec<(Hint, Range<u64>)> {
    let mut found = Vec::new();
    let EpochOrder::Block(this) = order.epoch(epoch) else { return found };
    let mut at = positions.start;
    while at < positions.end.min(order.len()) {
        let (window, of_window) = this.window_at(at);
        let part = at..positions.end.min(of_window.end);
        at = part.end;
        let len = of_window.end - of_window.start;
        // Block k of `count` belongs to the position at which so large a share of this window, less its first `late` positions, begins.
        let mut share = |blocks: Vec<Range<u64>>, hint, late: u64| {
            let count = blocks.len() as u64;
            let due = |k: u64| part.contains(&(of_window.start + late + k * (len - late) / count));
            found.extend(blocks.into_iter().zip(0..).filter(|&(_, k)| due(k)).map(|(block, _)| (hint, block)));
        };
        share(neighbour(order, epoch, &this, window, 1), Hint::Need, 0);
        // Later, because other threads may still be reading the end of that window.
        share(neighbour(order, epoch, &this, window, -1), Hint::Done, len / 4);
    }
    found
}

/// All of the window at `position`: for a run that begins in the middle of it.
pub fn window(order: &Order, epoch: u32, position: u64) -> Vec<Range<u64>> {
    match order.epoch(epoch) {
        EpochOrder::Block(this) if position < order.len() => this.blocks_of(this.window_at(position).0),
        _ => Vec::new(),
    }
}

/// The blocks of the window after or before `window`, if need be of another epoch.
fn neighbour(order: &Order, epoch: u32, this: &BlockOrder, window: u64, step: i64) -> Vec<Range<u64>> {
    let other = |epoch: Option<u32>| epoch.and_then(|e| if let EpochOrder::Block(order) = order.epoch(e) { Some(order) } else { None });
    match window.checked_add_signed(step) {
        Some(next) if next < this.windows() => this.blocks_of(next),
        Some(_) => other(epoch.checked_add(1)).map_or_else(Vec::new, |next| next.blocks_of(0)),
        None => other(epoch.checked_sub(1)).map_or_else(Vec::new, |last| last.blocks_of(last.windows() - 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::order::Mixing;

    /// Against the order itself: simulates an epoch and the one after it, with each batch's hints given once it is read.
    #[test]
    fn each_block_is_asked_for_before_its_use_and_given_back_after_it() {
        for (n, block, window, batch) in
            [(10_050u64, 100u64, 8u64, 64u64), (1003, 16, 4, 7), (64, 16, 4, 64), (50, 7, 100, 3), (97, 10, 1, 200), (4096, 64, 8, 64)]
        {
            let order = Order::new(n, 5, Mixing::Block { block, window });
            let held = std::cell::RefCell::new(vec![0i32; n as usize]);
            let take = |records: Range<u64>, by: i32| records.for_each(|r| held.borrow_mut()[r as usize] += by);
            let (mut most, mut uses, mut unasked) = (0, vec![0; n as usize], 0);
            for (epoch, first) in [0, 1].into_iter().flat_map(|e| (0..n).step_by(batch as usize).map(move |p| (e, p))) {
                let positions = first..(first + batch).min(n);
                for position in positions.clone() {
                    let record = order.at(epoch, position) as usize;
                    unasked += u64::from(held.borrow()[record] < 1);
                    uses[record] += 1;
                }
                if (epoch, first) == (0, 0) {
                    super::window(&order, 0, 0).into_iter().for_each(|block| take(block, 1));
                }
                for (hint, records) in hints(&order, epoch, positions) {
                    take(records, if hint == Hint::Need { 1 } else { -1 });
                }
                most = most.max(held.borrow().iter().filter(|&&h| h > 0).count() as u64);
            }
            assert!(uses.iter().all(|&u| u == 2));
            assert!(held.borrow().iter().all(|&h| (0..=2).contains(&h)), "asked for twice or given back twice within an epoch");
            // Not asked for in time: the first batch of all, and what a batch needs of a window that begins within it.
            let windows = n.div_ceil(block * window) * 2;
            assert!(unasked <= batch + windows * (batch + block), "n {n}: {unasked} records were used before they were asked for");
            let whole = (batch, block) == (64, 64);
            assert!(!whole || unasked == batch, "n {n}: {unasked} records were used before they were asked for");
            assert!(most as f64 <= HELD * (block * window) as f64 + (2 * block + batch) as f64, "n {n}: {most} records held");
        }
    }

    #[test]
    fn other_orders_give_no_hints() {
        for mixing in [Mixing::Full, Mixing::None] {
            let order = Order::new(100, 5, mixing);
            assert!(hints(&order, 0, 0..100).is_empty() && window(&order, 0, 3).is_empty());
        }
    }
}
