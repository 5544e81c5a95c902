//! Values made ahead of time by several threads and taken in order.
//!
//! Thread k of T makes the values k, k + T, k + 2T... and hands them over through a channel of its own; the one who takes goes round the
//! channels. A full channel makes its thread wait, so of T threads at most T * ahead values wait, T are being made and one is in use.
//! tests/ring runs this file under shuttle, which tries thousands of schedules.

use super::sync::{Builder, JoinHandle, Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

/// What a thread does.
pub trait Work: Send + 'static {
    type Made: Send + 'static;
    /// Makes value `number`, and says whether this thread makes others after it.
    fn make(&mut self, number: u64) -> (Self::Made, bool);
    /// After it was handed over.
    fn handed_over(&mut self, _number: u64) {}
}

pub struct Ring<M> {
    threads: Vec<(Receiver<M>, JoinHandle<()>)>,
    next: usize,
    left: u64,
}

/// What came of waiting.
#[derive(Debug, PartialEq, Eq)]
pub enum Waited<M> {
    Made(M),
    /// Every value has been taken.
    Over,
    /// Nothing came in time; it may yet.
    NotYet,
    /// The thread whose turn it is has ended without its value.
    Died,
}

impl<M: Send + 'static> Ring<M> {
    /// Starts a thread for each of `works`, which make `total` values together; of each at most `ahead` (1 or more) wait.
    ///
    /// # Errors
    /// Those of the system, when a thread cannot be started; those that were are ended.
    pub fn start<W: Work<Made = M>>(works: Vec<W>, total: u64, ahead: usize) -> std::io::Result<Self> {
        let count = works.len();
        let mut ring = Self { threads: Vec::with_capacity(count), next: 0, left: total };
        for (k, work) in works.into_iter().enumerate() {
            let (send, made) = sync_channel(ahead.max(1));
            let numbers = (k as u64..total).step_by(count);
            ring.threads.push((made, Builder::new().name(format!("loader-{k}")).spawn(move || run(work, numbers, &send))?));
        }
        Ok(ring)
    }

    /// The next value, waited for as long as `patience`.
    pub fn take(&mut self, patience: Duration) -> Waited<M> {
        let turn = if self.left == 0 { None } else { self.threads.get(self.next) };
        let Some((made, _)) = turn else { return Waited::Over };
        match made.recv_timeout(patience) {
            Ok(value) => {
                self.left -= 1;
                self.next = (self.next + 1) % self.threads.len();
                Waited::Made(value)
            }
            Err(RecvTimeoutError::Timeout) => Waited::NotYet,
            Err(RecvTimeoutError::Disconnected) => Waited::Died,
        }
    }

    /// Takes nothing any more.
    pub fn end(&mut self) {
        self.left = 0;
    }
}

fn run<W: Work>(mut work: W, numbers: impl Iterator<Item = u64>, send: &SyncSender<W::Made>) {
    for number in numbers {
        let (made, goes_on) = work.make(number);
        // Nobody receives when the ring was dropped: then this thread ends too.
        if send.send(made).is_err() || !goes_on {
            return;
        }
        work.handed_over(number);
    }
}

impl<M> Drop for Ring<M> {
    fn drop(&mut self) {
        for (made, thread) in self.threads.drain(..) {
            drop(made); // a thread waiting to send is released by this
            let _ = thread.join();
        }
    }
}
