//! In the place of src/data/sync.rs: threads and channels whose schedule shuttle decides, and faults to plant.

use shuttle::rand::{Rng, thread_rng};
use shuttle::sync::mpsc;
pub use shuttle::thread::{Builder, JoinHandle};
use std::cell::RefCell;
use std::sync::atomic::{AtomicU8, Ordering};
pub use std::sync::mpsc::RecvTimeoutError;
use std::sync::mpsc::{SendError, TryRecvError, TrySendError};
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    /// The channel takes more than it was made for.
    Unbounded,
    /// A value that finds the channel full is lost.
    Loses,
    /// Two values that wait change places.
    Swaps,
    /// Nobody tells a waiting sender that the receiver is gone: the missed notification.
    Holds,
}

static PLANTED: AtomicU8 = AtomicU8::new(0);

pub fn plant(fault: Fault) {
    PLANTED.store(fault as u8, Ordering::SeqCst);
}

pub fn planted(fault: Fault) -> bool {
    PLANTED.load(Ordering::SeqCst) == fault as u8
}

pub struct SyncSender<T>(mpsc::SyncSender<T>);

impl<T> SyncSender<T> {
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        if planted(Fault::Loses) {
            return match self.0.try_send(value) {
                Err(TrySendError::Disconnected(value)) => Err(SendError(value)),
                _ => Ok(()),
            };
        }
        self.0.send(value)
    }
}

pub struct Receiver<T> {
    from: Option<mpsc::Receiver<T>>,
    /// Overtaken by the one after it.
    late: RefCell<Option<T>>,
}

impl<T> Receiver<T> {
    /// Time passes as it pleases: where nothing waits, the patience may end or not.
    pub fn recv_timeout(&self, _: Duration) -> Result<T, RecvTimeoutError> {
        let from = self.from.as_ref().ok_or(RecvTimeoutError::Disconnected)?;
        if let Some(late) = self.late.take() {
            return Ok(late);
        }
        let value = match from.try_recv() {
            Ok(value) => value,
            Err(TryRecvError::Disconnected) => return Err(RecvTimeoutError::Disconnected),
            Err(TryRecvError::Empty) if thread_rng().gen_bool(0.3) => {
                shuttle::thread::yield_now();
                return Err(RecvTimeoutError::Timeout);
            }
            Err(TryRecvError::Empty) => from.recv().map_err(|_| RecvTimeoutError::Disconnected)?,
        };
        if planted(Fault::Swaps)
            && let Ok(next) = from.try_recv()
        {
            *self.late.borrow_mut() = Some(value);
            return Ok(next);
        }
        Ok(value)
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        if planted(Fault::Holds) {
            std::mem::forget(self.from.take());
        }
    }
}

pub fn sync_channel<T>(bound: usize) -> (SyncSender<T>, Receiver<T>) {
    let (send, from) = mpsc::sync_channel(if planted(Fault::Unbounded) { bound + 4 } else { bound });
    (SyncSender(send), Receiver { from: Some(from), late: RefCell::new(None) })
}
