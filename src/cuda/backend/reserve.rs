//! Device memory that is handed out again and again: after the first step the driver is not asked for any.
//!
//! Blocks have size classes (eight an octave, so at most 12.5% is wasted) and one of two homes. *Passing* ones hold what a step makes and
//! uses up; recorded work finds its blocks among them and expects them free when it runs. *Lasting* ones hold what outlives a step, and
//! are never handed out for anything else, so that a replay cannot write over them.

use crate::cuda::launch::Driver;
use crate::error::{Error, Result};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Multiples of this many bytes are handed out; kernels read 16 at a time, and rows of 128 begin on lines of the cache.
const UNIT: usize = 256;

/// How long memory is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Home {
    Passing,
    Lasting,
}

/// Bytes of device memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub in_use: usize,
    /// The most that was in use at one time.
    pub peak: usize,
    /// Taken from the device, in use or free.
    pub held: usize,
}

/// A block that is in use. Each time it is handed out it gets another lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lease {
    pub address: u64,
    pub home: Home,
    pub number: u64,
}

#[derive(Default)]
struct State {
    free: HashMap<(Home, usize), Vec<u64>>,
    /// By address: bytes and lease of what is in use.
    used: BTreeMap<u64, (usize, Lease)>,
    usage: Usage,
    leases: u64,
    /// While work is recorded: addresses of the passing blocks it took.
    taken: Option<Vec<u64>>,
}

struct Inner<D: Driver> {
    driver: D,
    state: Mutex<State>,
}

impl<D: Driver> Drop for Inner<D> {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        state.free.values().flatten().chain(state.used.keys()).for_each(|address| self.driver.free(*address));
    }
}

/// The memory of one device; clones share it.
pub(super) struct Reserve<D: Driver>(Arc<Inner<D>>);

impl<D: Driver> Clone for Reserve<D> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// `bytes` rounded up to its size class.
fn class(bytes: usize) -> usize {
    let units = bytes.div_ceil(UNIT).max(1);
    let step = (units.next_power_of_two() / 16).max(1);
    units.div_ceil(step) * step * UNIT
}

impl<D: Driver> Reserve<D> {
    pub fn new(driver: &D) -> Self {
        Self(Arc::new(Inner { driver: driver.clone(), state: Mutex::default() }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner) // no invariant spans two statements that may panic
    }

    pub fn usage(&self) -> Usage {
        self.state().usage
    }

    /// Memory of unspecified content for `bytes` bytes.
    ///
    /// # Errors
    /// `Device` if there is none, saying how much was wanted and how much is in use.
    pub fn take(&self, bytes: usize, home: Home) -> Result<Block<D>> {
        let room = class(bytes);
        let mut state = self.state();
        let address = match state.free.get_mut(&(home, room)).and_then(Vec::pop) {
            Some(address) => address,
            None => {
                let found = self.0.driver.allocate(room).or_else(|_| {
                    // What lies free in other sizes may be what is missing.
                    self.give_back_free(&mut state);
                    self.0.driver.allocate(room)
                });
                let address = found.map_err(|e| self.no_room(room, state.usage, e))?;
                state.usage.held += room;
                address
            }
        };
        state.leases += 1;
        let lease = Lease { address, home, number: state.leases };
        state.used.insert(address, (room, lease));
        state.usage.in_use += room;
        state.usage.peak = state.usage.peak.max(state.usage.in_use);
        if let (Some(taken), Home::Passing) = (&mut state.taken, home) {
            taken.push(address);
        }
        Ok(Block { reserve: self.clone(), address })
    }

    fn no_room(&self, room: usize, usage: Usage, source: Error) -> Error {
        let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
        Error::device(format!("out of device memory: {:.1} MiB more were needed", mib(room)))
            .at(format!("{:.1} MiB in use, {:.1} MiB held by this run", mib(usage.in_use), mib(usage.held)))
            .because("the batch is too large for this device, or another program uses it")
            .next("a smaller --batch-size with --grad-accum")
            .source(source)
    }

    /// Gives back to the driver what is free, unless recorded work may count on it.
    fn give_back_free(&self, state: &mut State) {
        let lists: Vec<_> = state.free.iter_mut().filter(|((home, _), _)| *home == Home::Lasting).collect();
        let mut given = 0;
        for ((_, room), list) in lists {
            given += *room * list.len();
            list.drain(..).for_each(|address| self.0.driver.free(address));
        }
        state.usage.held -= given;
    }

    /// From now on the passing blocks taken are noted.
    pub fn begin_noting(&self) {
        self.state().taken = Some(Vec::new());
    }

    /// Addresses of the passing blocks taken since.
    pub fn end_noting(&self) -> Vec<u64> {
        let mut taken = self.state().taken.take().unwrap_or_default();
        taken.sort_unstable();
        taken.dedup();
        taken
    }

    /// The leases of the lasting blocks that hold `addresses`.
    pub fn lasting(&self, addresses: &[u64]) -> Vec<Lease> {
        let state = self.state();
        let holder = |address: &u64| {
            let (start, (room, lease)) = state.used.range(..=*address).next_back()?;
            (lease.home == Home::Lasting && *address < start + *room as u64).then_some(*lease)
        };
        let mut found: Vec<Lease> = addresses.iter().filter_map(holder).collect();
        found.sort_unstable_by_key(|l| l.number);
        found.dedup();
        found
    }

    /// An address of `free` that is in use, or a lease of `held` that has ended.
    pub fn conflict(&self, free: &[u64], held: &[Lease]) -> Option<u64> {
        let state = self.state();
        let gone = |lease: &&Lease| state.used.get(&lease.address).is_none_or(|(_, now)| now != *lease);
        let used = free.iter().find(|address| state.used.contains_key(address)).copied();
        used.or_else(|| held.iter().find(gone).map(|lease| lease.address))
    }
}

/// Memory that goes back to its reserve when dropped.
pub(super) struct Block<D: Driver> {
    reserve: Reserve<D>,
    address: u64,
}

impl<D: Driver> Block<D> {
    pub fn address(&self) -> u64 {
        self.address
    }
}

impl<D: Driver> Drop for Block<D> {
    fn drop(&mut self) {
        let mut state = self.reserve.state();
        if let Some((room, lease)) = state.used.remove(&self.address) {
            state.usage.in_use -= room;
            state.free.entry((lease.home, room)).or_default().push(self.address);
        }
    }
}
