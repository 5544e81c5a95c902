//! The optimizer's step over one flat arena of parameters.
//!
//! One Rust body per rule ([`UpdateRule::update`]) is the CPU backend and the oracle of the CUDA kernel. Rate and momentum come from
//! a table on the device indexed by a step counter on the device, so that no host scalar changes from step to step and a captured
//! step replays.

use super::Memory;
use crate::error::Result;

/// What one update of one parameter may depend on besides its gradient and state.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hyper {
    /// Rate of this update.
    pub lr: f32,
    /// Momentum of this update (the first moment's decay of Adam-likes).
    pub momentum: f32,
    /// Weight decay of this parameter's group.
    pub weight_decay: f32,
    /// Updates applied before this one.
    pub step: u64,
}

/// An optimizer's rule for one parameter.
pub trait UpdateRule: Copy + Send + Sync + 'static {
    /// Name as users type it, also the kernel's.
    const NAME: &'static str;
    /// Numbers of state per parameter.
    const STATE: usize;

    /// New value of parameter `p` with gradient `g`; updates `state`, whose length is `STATE` (zero before the first update).
    fn update(&self, p: f32, g: f32, state: &mut [f32], hyper: &Hyper) -> f32;
}

/// Weight decay by range of the arena: `(end, weight_decay)`, ends increasing, the last equal to the arena's length.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ParamGroups(pub Vec<(usize, f32)>);

pub trait Update: Memory {
    /// The table of rates and momenta by update, and the step counter.
    type Schedule: Send;

    /// Rates and momenta of updates 0.., and the number of updates already done. Past its end the table's last entry holds.
    fn schedule(&self, lr: &[f32], momentum: &[f32], done: u64) -> Result<Self::Schedule>;

    /// Updates the whole arena and advances the step counter. `state` is `R::STATE` arenas of the parameters' length, one after the
    /// other in one buffer.
    fn update<R: UpdateRule>(
        &self,
        rule: &R,
        schedule: &mut Self::Schedule,
        groups: &ParamGroups,
        params: Self::Mut<'_>,
        grads: Self::Ref<'_>,
        state: &mut Self::Buffer,
    ) -> Result<()>;
}
