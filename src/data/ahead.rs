//! What the page cache is told where the pictures do not fit it: the next window of a block shuffle is asked for while this one is used,
//! and the window before it is given back. So the disk reads whole blocks, about as fast as they are used, and the cache holds two windows
//! and a quarter ([`HELD`]), whatever the size of the data.
//!
//! Which blocks a stretch of positions asks for and gives back is a pure function, so the threads and devices that share an epoch need
//! not know of each other: together they ask for each block once. Positions that an epoch leaves out (a last batch that is not full, a
//! limit) count for nothing: after the last window that is used comes the first of the next epoch.

use super::order::{BlockOrder, EpochOrder, Order};
use super::reading::Hint;
use std::ops::Range;

/// Windows that the page cache holds at most.
pub const HELD: f64 = 2.25;

/// The hints of one order, of whose positions each epoch uses the first so many.
#[derive(Clone, Debug)]
pub struct Windows {
    order: Order,
    used: u64,
}

impl Windows {
    pub fn new(order: Order, used: u64) -> Self {
        let used = used.min(order.len());
        Self { order, used }
    }

    /// What belongs to `positions` of `epoch`: stretches of neighbouring pictures.
    pub fn hints(&self, epoch: u32, positions: Range<u64>) -> Vec<(Hint, Range<u64>)> {
        let mut found = Vec::new();
        let Some(this) = self.epoch(epoch) else { return found };
        let mut at = positions.start;
        while at < positions.end.min(self.used) {
            let (here, mut of_window) = this.window_at(at);
            of_window.end = of_window.end.min(self.used);
            let part = at..positions.end.min(of_window.end);
            at = part.end;
            let next = if of_window.end < self.used { Some((epoch, here + 1)) } else { epoch.checked_add(1).map(|e| (e, 0)) };
            let next = next.and_then(|(e, window)| Some((self.epoch(e)?, window)));
            let last = match here.checked_sub(1) {
                Some(before) => Some((this.clone(), before)),
                None => epoch.checked_sub(1).and_then(|e| self.epoch(e)).map(|order| {
                    let window = order.window_at(self.used - 1).0;
                    (order, window)
                }),
            };
            // Of two epochs, windows may share blocks.
            let wanted = |block: &Range<u64>| {
                let holds = |(order, window): &(BlockOrder, u64)| order.window_holding(block.start) == *window;
                this.window_holding(block.start) == here || next.as_ref().is_some_and(holds)
            };
            let blocks = |(order, window): &(BlockOrder, u64), over: Range<u64>| -> Vec<Range<u64>> {
                due(&part, over, order.blocks_in(*window)).map(|k| order.block_of(*window, k)).collect()
            };
            let need = next.as_ref().map_or_else(Vec::new, |next| blocks(next, of_window.clone()));
            // Given back later, because other threads may still be reading the end of that window.
            let late = of_window.start + (of_window.end - of_window.start) / 4;
            let done = last.as_ref().map_or_else(Vec::new, |last| blocks(last, late..of_window.end));
            found.extend(need.into_iter().map(|block| (Hint::Need, block)));
            found.extend(done.into_iter().filter(|block| !wanted(block)).map(|block| (Hint::Done, block)));
        }
        found
    }

    /// All of the window at `position`: for a run that begins in the middle of it.
    pub fn window(&self, epoch: u32, position: u64) -> Vec<Range<u64>> {
        let this = self.epoch(epoch).filter(|_| position < self.used);
        this.map_or_else(Vec::new, |this| {
            let window = this.window_at(position).0;
            (0..this.blocks_in(window)).map(|k| this.block_of(window, k)).collect()
        })
    }

    fn epoch(&self, epoch: u32) -> Option<BlockOrder> {
        if let EpochOrder::Block(order) = self.order.epoch(epoch) { Some(order) } else { None }
    }
}

/// Which of `count` blocks, spread evenly over the positions `over`, belong to `part` of them: block k to the first at or after its share.
fn due(part: &Range<u64>, over: Range<u64>, count: u64) -> Range<u64> {
    let len = u128::from(over.end - over.start);
    let first = |position: u64| {
        let ahead = u128::from(position.saturating_sub(over.start)) * u128::from(count);
        if len == 0 { count } else { (ahead.div_ceil(len) as u64).min(count) }
    };
    // An epoch may end within a window: then what belongs to the rest of it belongs to its last position.
    let end = if part.end >= over.end { count } else { first(part.end) };
    let begin = if part.start >= over.end { count } else { first(part.start) };
    begin..end
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::order::Mixing;
    use std::cell::RefCell;

    /// Against the order itself: simulates three epochs, with each batch's hints given once it is read, of pictures (n, block, window)
    /// in batches of which an epoch makes so many.
    #[test]
    fn each_block_is_asked_for_before_its_use_and_given_back_after_it() {
        for (n, block, window, batch, batches) in [
            (10_050u64, 100u64, 8u64, 64u64, 158u64),
            (10_050, 100, 8, 64, 157),
            (10_050, 100, 8, 64, 12),
            (10_050, 100, 8, 64, 13),
            (1003, 16, 4, 7, 143),
            (64, 16, 4, 64, 1),
            (50, 7, 100, 3, 16),
            (97, 10, 1, 200, 1),
            (4096, 64, 8, 64, 64),
            (4096, 64, 8, 64, 9),
            (4096, 64, 8, 64, 7),
            (4096, 64, 8, 1, 4096),
        ] {
            let order = Order::new(n, 5, Mixing::Block { block, window });
            let used = n.min(batch * batches);
            let windows = Windows::new(order.clone(), used);
            let held = RefCell::new(vec![false; n as usize]);
            let take = |records: Range<u64>, hint| records.for_each(|r| held.borrow_mut()[r as usize] = hint == Hint::Need);
            let (mut most, mut unasked, mut asked) = (0, 0, 0);
            let case = format!("n {n}, blocks of {block}, windows of {window}, {batches} batches of {batch}");
            for (epoch, first) in (0..3).flat_map(|e| (0..used).step_by(batch as usize).map(move |p| (e, p))) {
                let positions = first..(first + batch).min(used);
                let missing = |p: &u64| !held.borrow()[order.at(epoch, *p) as usize];
                unasked += positions.clone().filter(missing).count() as u64;
                if (epoch, first) == (0, 0) {
                    windows.window(0, 0).into_iter().for_each(|block| take(block, Hint::Need));
                }
                for (hint, records) in windows.hints(epoch, positions) {
                    asked += if hint == Hint::Need { records.end - records.start } else { 0 };
                    take(records, hint);
                }
                most = most.max(held.borrow().iter().filter(|&&h| h).count() as u64);
            }
            // Not asked for in time: the first batch of all, and what a batch needs of a window that begins within it.
            let begun = used.div_ceil(block * window) * 3;
            let exact = block % batch == 0 && n % block == 0;
            let allowed = if exact { batch } else { batch + begun * (batch + block) };
            assert!(unasked <= allowed, "{case}: {unasked} records were used before they were asked for");
            // Whole windows, of which the last may be used in part.
            let whole = used.div_ceil(block * window) * block * window;
            assert!(asked >= 3 * used - batch && asked <= 3 * whole, "{case}: {asked} records were asked for");
            assert!(most as f64 <= HELD * (block * window) as f64 + (2 * block + batch) as f64, "{case}: {most} records held");
        }
    }

    #[test]
    fn each_block_belongs_to_one_part() {
        for (over, count) in [(10..110, 7), (10..110, 100), (10..110, 300), (10..11, 3), (10..10, 3)] {
            for step in [1, 3, 50, 200] {
                let parts = (10u64..110).step_by(step).map(|at| at..(at + step as u64).min(over.end.max(at + 1)));
                let due: Vec<u64> = parts.filter(|p| p.start < over.end.max(11)).flat_map(|p| due(&p, over.clone(), count)).collect();
                let expected: Vec<u64> = if over.is_empty() { Vec::new() } else { (0..count).collect() };
                assert_eq!(due, expected, "{over:?} in steps of {step}");
            }
        }
    }

    #[test]
    fn other_orders_give_no_hints() {
        for mixing in [Mixing::Full, Mixing::None] {
            let windows = Windows::new(Order::new(100, 5, mixing), 100);
            assert!(windows.hints(0, 0..100).is_empty() && windows.window(0, 3).is_empty());
        }
    }
}
