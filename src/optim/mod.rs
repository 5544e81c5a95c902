//! Optimizers: one rule per file, chosen by name here.

mod sgd;

pub use sgd::Sgd;

use crate::backend::{Backend, ParamGroups, UpdateRule};
use crate::error::Result;

/// Any of the rules.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    Sgd(Sgd),
}

impl Rule {
    /// Arenas of state the rule keeps.
    pub fn state(&self) -> usize {
        match self {
            Self::Sgd(_) => Sgd::STATE,
        }
    }

    /// One step over the arena; see [`crate::backend::Update::update`].
    ///
    /// # Errors
    /// Those of the backend.
    pub fn apply<B: Backend>(
        &self,
        backend: &B,
        schedule: &mut B::Schedule,
        groups: &ParamGroups,
        params: B::Mut<'_>,
        grads: B::Ref<'_>,
        state: &mut B::Buffer,
    ) -> Result<()> {
        match self {
            Self::Sgd(rule) => backend.update(rule, schedule, groups, params, grads, state),
        }
    }
}
