//! The bytes of a batch's pictures. Used up, they go back to where they came from: fresh memory costs a page fault every 4 KiB, more than
//! the copy of the picture itself.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

/// Buffers kept for the next batches, at most.
const MOST_SPARE: usize = 16;

/// Buffers that are used up. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Spare(Arc<Mutex<Vec<Vec<u8>>>>);

impl Spare {
    /// `len` bytes of unspecified content.
    pub fn take(&self, len: usize) -> Pixels {
        let mut bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        if bytes.len() < len {
            bytes = vec![0; len + len / 8]; // batches differ
        }
        Pixels { bytes, len, home: Some(self.clone()) }
    }
}

/// Bytes of pictures, one after the other.
#[derive(Default)]
pub struct Pixels {
    /// As long as the largest use so far.
    bytes: Vec<u8>,
    len: usize,
    home: Option<Spare>,
}

impl Pixels {
    /// Another length; what is new is unspecified.
    pub fn resize(&mut self, len: usize) {
        if self.bytes.len() < len {
            self.bytes.resize(len, 0);
        }
        self.len = len;
    }
}

impl Deref for Pixels {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl DerefMut for Pixels {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.len]
    }
}

impl From<Vec<u8>> for Pixels {
    fn from(bytes: Vec<u8>) -> Self {
        Self { len: bytes.len(), bytes, home: None }
    }
}

impl Clone for Pixels {
    fn clone(&self) -> Self {
        self.to_vec().into()
    }
}

impl PartialEq for Pixels {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Pixels {}

impl std::fmt::Debug for Pixels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.len)
    }
}

impl Drop for Pixels {
    fn drop(&mut self) {
        let Some(home) = self.home.take() else { return };
        let mut spare = home.0.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < MOST_SPARE {
            spare.push(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_up_is_used_again() {
        let spare = Spare::default();
        let mut first = spare.take(100);
        first.fill(7);
        let (at, copy) = (first.as_ptr(), first.clone());
        drop(first);
        let second = spare.take(50);
        assert_eq!((second.as_ptr(), second.len()), (at, 50));
        assert!(second[..] == copy[..50] && second != copy);
        assert!(spare.take(1000).len() == 1000, "the other one is still out");
    }
}
