//! Bytes of device memory as CUDA takes them, for devices that are none: what is larger than a MiB in pages of 2 MiB, and the landing places
//! of uploads (`gpu/stream.rs`) beside what is asked for. The context and loaded code are not counted: they are taken before a run begins.

use std::collections::{HashMap, VecDeque};

/// CUDA's pages; smaller allocations share one.
const PAGE: usize = 2 << 20;
const SHARED: usize = 1 << 20;

/// Landing places of uploads in use at most: three arrays of each of two batches.
pub(super) const LANDINGS: usize = 6;

/// The room in one for so many bytes: batches differ.
pub(super) const fn landing_room(bytes: usize) -> usize {
    bytes + bytes / 8
}

/// What is held, and how much there is.
#[derive(Debug, Default)]
pub(super) struct Account {
    pub limit: Option<usize>,
    held: HashMap<u64, usize>,
    landings: VecDeque<usize>,
    bytes: usize,
    pub peak: usize,
}

const fn taken(bytes: usize) -> usize {
    if bytes > SHARED { bytes.next_multiple_of(PAGE) } else { bytes.next_multiple_of(512) }
}

impl Account {
    pub fn free(&self) -> Option<usize> {
        self.limit.map(|limit| limit.saturating_sub(self.bytes))
    }

    /// Whether there is room for so many bytes more.
    pub fn has_room(&self, bytes: usize) -> bool {
        self.free().is_none_or(|free| taken(bytes) <= free)
    }

    fn add(&mut self, room: usize) {
        self.bytes += room;
        self.peak = self.peak.max(self.bytes);
    }

    pub fn allocated(&mut self, address: u64, bytes: usize) {
        self.held.insert(address, taken(bytes));
        self.add(taken(bytes));
    }

    pub fn freed(&mut self, address: u64) {
        self.bytes -= self.held.remove(&address).unwrap_or(0);
    }

    /// An upload took a landing place: a new one while there are few, else that used longest ago.
    pub fn staged(&mut self, bytes: usize) {
        if self.landings.len() >= LANDINGS {
            self.bytes -= self.landings.pop_front().unwrap_or(0);
        }
        let room = taken(landing_room(bytes));
        self.landings.push_back(room);
        self.add(room);
    }
}
