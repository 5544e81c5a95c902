//! The threads and channels of `ring`. Its test puts others in their place, whose schedule it decides.

pub use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
pub use std::thread::{Builder, JoinHandle};
