//! The loader's ring under shuttle, which runs it in one schedule of its threads after the other: what src/data/ring.rs says of order, of
//! how many values there are at a time, and of ending holds in each. Faults planted in its channels are found.

#[allow(dead_code)] // the tests use a part
#[path = "../../src/backend/pixels.rs"]
mod pixels;
#[path = "../../src/data/ring.rs"]
mod ring;
mod sync;

use pixels::{Pixels, Spare};
use ring::{Ring, Waited, Work};
use shuttle::rand::{Rng, thread_rng};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use sync::Fault;

/// One test at a time: a fault is planted for all of them.
static ALONE: Mutex<()> = Mutex::new(());

fn schedules(sample: usize, long: usize) -> usize {
    if std::env::var_os("IE_LONG_TESTS").is_some() { long } else { sample }
}

/// What is alive of the values.
#[derive(Default)]
struct Count {
    now: AtomicUsize,
    most: AtomicUsize,
}

struct Value {
    number: u64,
    failed: bool,
    bytes: Pixels,
    count: Arc<Count>,
}

impl Drop for Value {
    fn drop(&mut self) {
        self.count.now.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Makes values out of recycled buffers, as the loader does; the one numbered `fails` is the last of its thread.
struct Maker {
    spare: Spare,
    count: Arc<Count>,
    fails: Option<u64>,
}

impl Work for Maker {
    type Made = Value;

    fn make(&mut self, number: u64) -> (Value, bool) {
        let alive = self.count.now.fetch_add(1, Ordering::Relaxed) + 1;
        self.count.most.fetch_max(alive, Ordering::Relaxed);
        let mut bytes = self.spare.take(8);
        // Byte by byte, and others run in between: a buffer that two values shared would show it.
        for byte in 0..8 {
            bytes[byte] = number.to_le_bytes()[byte];
            if byte % 4 == 0 {
                shuttle::thread::yield_now();
            }
        }
        let failed = self.fails == Some(number);
        (Value { number, failed, bytes, count: self.count.clone() }, !failed)
    }

    fn handed_over(&mut self, _: u64) {
        shuttle::thread::yield_now();
    }
}

/// One run of the ring, of a size that the schedule's random numbers choose.
fn once() {
    let mut s = thread_rng();
    let (threads, ahead, total) = (s.gen_range(1..=3usize), s.gen_range(1..=2usize), s.gen_range(0..=6u64));
    let stops = s.gen_bool(0.3).then(|| s.gen_range(0..=total));
    let fails = s.gen_bool(0.3).then(|| s.gen_range(0..=total)).filter(|&f| f < total);
    let (spare, count) = (Spare::default(), Arc::new(Count::default()));
    let works = (0..threads).map(|_| Maker { spare: spare.clone(), count: count.clone(), fails }).collect();
    let mut ring = Ring::start(works, total, ahead).unwrap();
    // Threads may run far ahead of the one who takes.
    (0..s.gen_range(1..=60)).for_each(|_| shuttle::thread::yield_now());
    let mut taken = 0;
    while stops != Some(taken) {
        match ring.take(Duration::from_secs(1)) {
            Waited::Made(value) => {
                assert_eq!(value.number, taken, "out of order");
                assert_eq!(value.bytes[..], taken.to_le_bytes(), "a buffer in two hands");
                taken += 1;
                if value.failed {
                    ring.end();
                }
            }
            Waited::NotYet => {}
            Waited::Over => {
                assert_eq!(taken, fails.map_or(total, |f| f + 1), "values were lost");
                assert_eq!(ring.take(Duration::from_secs(1)), Waited::Over);
                break;
            }
            Waited::Died => panic!("a thread ended without its value"),
        }
    }
    drop(ring); // joins: a thread that waits for ever is a deadlock, which shuttle tells
    assert!(count.now.load(Ordering::Relaxed) == 0 || sync::planted(Fault::Holds), "values outlive the ring");
    let bound = threads * ahead + threads + 1;
    assert!(count.most.load(Ordering::Relaxed) <= bound, "more values at a time than {bound}");
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.number)
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

fn check(random: usize, priorities: usize) {
    shuttle::check_random(once, random);
    shuttle::check_pct(once, priorities, 3);
}

#[test]
fn every_schedule_keeps_order_bound_and_end() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    sync::plant(Fault::None);
    let (random, priorities) = (schedules(3_000, 200_000), schedules(1_000, 100_000));
    check(random, priorities);
    eprintln!("{random} random schedules and {priorities} by priorities: order, bound and end hold in each");
}

#[test]
fn planted_faults_are_found() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    for (fault, words) in [
        (Fault::Unbounded, &["more values at a time"][..]),
        (Fault::Loses, &["out of order", "without its value"]),
        (Fault::Swaps, &["out of order"]),
        (Fault::Holds, &["deadlock"]),
    ] {
        sync::plant(fault);
        let found = std::panic::catch_unwind(|| check(3_000, 1_000)).err().unwrap_or_else(|| panic!("{fault:?} was not seen"));
        let said = found.downcast_ref::<String>().cloned().or_else(|| found.downcast_ref::<&str>().map(|s| (*s).to_owned()));
        sync::plant(Fault::None);
        assert!(words.iter().any(|w| said.as_deref().unwrap_or_default().contains(w)), "{fault:?}: {said:?}");
    }
}
