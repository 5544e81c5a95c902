//! Views into buffers: an address and what lies there. A view of another type than a kernel wants is an error, not garbage.

use crate::cuda::Element;
use crate::cuda::launch::{Ptr, PtrMut};
use crate::error::{Error, Result};
use std::marker::PhantomData;
use std::ops::Range;

/// In which type a buffer's elements are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// The compute type.
    Compute,
    /// f32.
    Full,
}

/// What both kinds of view know.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub address: u64,
    /// The same elements rounded to the compute type; 0 where there are none.
    pub rounded: u64,
    pub kept: Kept,
    pub len: usize,
    /// Bytes of an element of the compute type.
    pub compute_bytes: usize,
}

impl Place {
    fn bytes_each(&self) -> usize {
        match self.kept {
            Kept::Compute => self.compute_bytes,
            Kept::Full => 4,
        }
    }

    pub fn bytes(&self) -> usize {
        self.len * self.bytes_each()
    }

    pub fn part(&self, range: Range<usize>) -> Self {
        let (start, end) = (range.start.min(self.len), range.end.min(self.len));
        let rounded = if self.rounded == 0 { 0 } else { self.rounded + (start * self.compute_bytes) as u64 };
        Self { address: self.address + (start * self.bytes_each()) as u64, rounded, len: end.saturating_sub(start), ..*self }
    }

    fn demand(&self, op: &str, what: &str, len: usize, kept: Kept, compute_is_full: bool) -> Result<()> {
        if self.len != len {
            return Err(Error::internal(format!("{what} has {} elements, the problem needs {len}", self.len)).at(op.to_owned()));
        }
        if self.kept != kept && !compute_is_full {
            return Err(Error::internal(format!("{what} is kept in the {:?} type, the kernel wants {kept:?}", self.kept)).at(op.to_owned()));
        }
        Ok(())
    }

    fn address_of<T: Element>(&self, op: &str, what: &str, len: usize, kept: Kept) -> Result<u64> {
        self.demand(op, what, len, kept, !T::IS_BF16)?;
        Ok(self.address)
    }
}

/// Elements that a kernel reads.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    pub(super) place: Place,
    pub(super) life: PhantomData<&'a ()>,
}

impl View<'_> {
    /// `len` elements of the compute type.
    pub(super) fn compute<T: Element>(&self, op: &str, what: &str, len: usize) -> Result<Ptr<T>> {
        self.place.address_of::<T>(op, what, len, Kept::Compute).map(Ptr::new)
    }

    /// `len` elements of f32.
    pub(super) fn full<T: Element>(&self, op: &str, what: &str, len: usize) -> Result<Ptr<f32>> {
        self.place.address_of::<T>(op, what, len, Kept::Full).map(Ptr::new)
    }

    /// `len` weights in the compute type: the rounded copy, or the weights themselves where that is f32.
    pub(super) fn weights<T: Element>(&self, op: &str, what: &str, len: usize) -> Result<Ptr<T>> {
        if !T::IS_BF16 || self.place.kept == Kept::Compute {
            return self.compute(op, what, len);
        }
        self.place.demand(op, what, len, Kept::Full, false)?;
        if self.place.rounded == 0 {
            return Err(Error::internal(format!("{what} has no rounded copy")).at(op.to_owned()).because("not from upload_weights"));
        }
        Ok(Ptr::new(self.place.rounded))
    }
}

/// Elements that a kernel writes.
#[derive(Debug)]
pub struct ViewMut<'a> {
    pub(super) place: Place,
    pub(super) life: PhantomData<&'a mut ()>,
}

impl ViewMut<'_> {
    pub(super) fn compute<T: Element>(&self, op: &str, what: &str, len: usize) -> Result<PtrMut<T>> {
        self.place.address_of::<T>(op, what, len, Kept::Compute).map(PtrMut::new)
    }

    pub(super) fn full<T: Element>(&self, op: &str, what: &str, len: usize) -> Result<PtrMut<f32>> {
        self.place.address_of::<T>(op, what, len, Kept::Full).map(PtrMut::new)
    }

    /// `len` f32 and their rounded copy, null where there is none.
    pub(super) fn full_and_rounded<T: Element>(&self, op: &str, what: &str, len: usize) -> Result<(PtrMut<f32>, PtrMut<half::bf16>)> {
        let full = self.full::<T>(op, what, len)?;
        Ok((full, PtrMut::new(self.place.rounded)))
    }
}
