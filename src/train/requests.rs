//! Between a run and whoever stops it: what is asked of it, and what it has to go on from.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8};

/// What the outside asks of a run, at any time and from any thread.
#[derive(Clone, Debug, Default)]
pub struct Requests {
    /// Finish the step, save a checkpoint and end.
    pub stop: Arc<AtomicBool>,
    /// Save a checkpoint and go on.
    pub save: Arc<AtomicBool>,
    /// The other way: a [`Left`], for who ends the process at once.
    pub left: Arc<AtomicU8>,
}

/// What a run has in its folder by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    Nothing,
    /// `config.toml`, and nothing to go on from.
    Settings,
    Checkpoint,
}

impl Left {
    /// The inverse of `as u8`.
    pub fn of(number: u8) -> Self {
        [Self::Nothing, Self::Settings].into_iter().find(|left| *left as u8 == number).unwrap_or(Self::Checkpoint)
    }
}
