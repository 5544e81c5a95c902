//! The backward pass's working state: the gradients of values on their way, and the arena of parameter gradients.

use super::{Param, ValueId};
use crate::backend::Backend;
use crate::error::{Error, Result};
use std::collections::HashSet;

pub struct Gradients<'a, B: Backend> {
    backend: &'a B,
    weights: &'a B::Buffer,
    arena: &'a mut B::Buffer,
    accumulate: bool,
    written: HashSet<usize>,
    values: Vec<Option<B::Buffer>>,
    lens: Vec<usize>,
    outstanding: Vec<usize>,
}

impl<'a, B: Backend> Gradients<'a, B> {
    pub(super) fn new(
        backend: &'a B,
        weights: &'a B::Buffer,
        arena: &'a mut B::Buffer,
        accumulate: bool,
        lens: Vec<usize>,
        outstanding: Vec<usize>,
    ) -> Self {
        let values = lens.iter().map(|_| None).collect();
        Self { backend, weights, arena, accumulate, written: HashSet::new(), values, lens, outstanding }
    }

    pub fn backend(&self) -> &'a B {
        self.backend
    }

    /// A parameter's value, for gradients by the input.
    pub fn weights(&self, param: &Param) -> B::Ref<'a> {
        B::view(self.weights, param.range.clone())
    }

    /// True while exactly one consumer of `value` has yet to contribute: the contribution about to be made completes the gradient,
    /// so a kernel may fuse onto it whatever comes next.
    pub fn is_last(&self, value: ValueId) -> bool {
        self.outstanding[value.index()] == 1
    }

    /// Contributes to the gradient of `value` with a kernel that writes, or adds if its last argument is true.
    pub fn contribute(&mut self, value: Option<ValueId>, kernel: impl FnOnce(&B, B::Mut<'_>, bool) -> Result<()>) -> Result<()> {
        let Some(value) = value else { return Ok(()) };
        let i = value.index();
        self.outstanding[i] = self.outstanding[i].saturating_sub(1);
        match &mut self.values[i] {
            Some(buffer) => kernel(self.backend, B::all_mut(buffer), true),
            empty => {
                let mut buffer = self.backend.empty(self.lens[i])?;
                kernel(self.backend, B::all_mut(&mut buffer), false)?;
                *empty = Some(buffer);
                Ok(())
            }
        }
    }

    /// Contributes a finished buffer to the gradient of `value`: moved if it is the first, added otherwise.
    pub fn contribute_buffer(&mut self, value: Option<ValueId>, buffer: B::Buffer) -> Result<()> {
        let Some(value) = value else { return Ok(()) };
        let i = value.index();
        self.outstanding[i] = self.outstanding[i].saturating_sub(1);
        self.give(value, buffer)
    }

    pub(super) fn give(&mut self, value: ValueId, buffer: B::Buffer) -> Result<()> {
        let i = value.index();
        if B::len(&buffer) != self.lens[i] {
            return Err(Error::internal(format!("a gradient of {} elements for a value of {}", B::len(&buffer), self.lens[i])));
        }
        match &mut self.values[i] {
            Some(sum) => self.backend.add_assign(B::all(&buffer), B::all_mut(sum)),
            empty => {
                *empty = Some(buffer);
                Ok(())
            }
        }
    }

    /// Contributes to the gradient of `param` with a kernel that writes, or adds if its last argument is true.
    pub fn contribute_param(&mut self, param: &Param, kernel: impl FnOnce(&B, B::Mut<'_>, bool) -> Result<()>) -> Result<()> {
        let add = !self.written.insert(param.index) || self.accumulate;
        kernel(self.backend, B::view_mut(self.arena, param.range.clone()), add)
    }

    /// The same for two parameters that lie side by side, such as weight and bias.
    pub fn contribute_pair(
        &mut self,
        first: &Param,
        second: &Param,
        kernel: impl FnOnce(&B, B::Mut<'_>, B::Mut<'_>, bool) -> Result<()>,
    ) -> Result<()> {
        if first.range.end != second.range.start {
            return Err(Error::internal(format!("parameters {first:?} and {second:?} are not side by side")));
        }
        let add = !self.written.insert(first.index) || self.accumulate;
        let both = B::view_mut(self.arena, first.range.start..second.range.end);
        let (a, b) = B::split_mut(both, first.range.len());
        kernel(self.backend, a, b, add)
    }

    pub(super) fn take(&mut self, value: ValueId) -> Option<B::Buffer> {
        self.values[value.index()].take()
    }

    pub(super) fn into_values(self) -> Vec<Option<B::Buffer>> {
        self.values
    }
}
