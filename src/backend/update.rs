//! The optimizer's step over one flat arena of parameters, and what surrounds it: the gradients' global norm, clipping, the check that
//! everything is finite, the moving average of the weights.
//!
//! One Rust body per rule ([`UpdateRule`]) is the CPU backend and the oracle of the CUDA kernel. Whatever changes from update to update
//! lives on the device in [`Update::Control`]: tables of rates, momenta and averaging factors indexed by a step counter, the norm just
//! measured, and whether the update is to be skipped. So a captured step replays without the host.
//!
//! Rules compute in f64 and are stored in the device's type: an update is the f64 rule's, rounded once. It is bound by memory anyway.

use super::Loss;
use crate::error::Result;

/// What one update depends on besides parameter, gradient and state.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hyper {
    /// Rate of this update.
    pub lr: f64,
    /// Momentum of this update (the first moment's decay of Adam-likes).
    pub momentum: f64,
    /// Weight decay of this parameter's group.
    pub weight_decay: f64,
    /// Updates applied before this one; skipped ones do not count.
    pub applied: u64,
}

/// An optimizer's rule for one parameter.
///
/// The step is `begin` once per group, then `update` for each parameter. A *layerwise* rule scales each parameter tensor's step by a
/// trust ratio: there `measure` goes over the tensor first, and `trust` turns the norms into the ratio that `update` gets; others
/// get 1.
pub trait UpdateRule: Copy + Send + Sync + 'static {
    /// Name as users type it, also the kernel's.
    const NAME: &'static str;
    /// Numbers of state per parameter, zero before the first update.
    const STATE: usize;
    /// Whether each tensor has a trust ratio.
    const LAYERWISE: bool = false;
    /// What is the same for all parameters of a group.
    type Step: Copy + Send + Sync;

    /// The rule's own numbers in the order of the kernel's last parameters, flags as 0 and 1, unused ones 0: a device that runs the
    /// kernel named `NAME` instead of this body is given them.
    fn constants(&self) -> [f64; 3] {
        [0.0; 3]
    }

    fn begin(&self, hyper: &Hyper) -> Self::Step;

    /// The number whose norm over the tensor enters the trust ratio. `update` gets the same `state` and advances it, so that nothing is
    /// rounded between the two.
    fn measure(&self, _step: &Self::Step, _p: f64, g: f64, _state: &[f64]) -> f64 {
        g
    }

    /// The trust ratio from the norms of a tensor and of its measured numbers.
    fn trust(&self, _step: &Self::Step, _weight_norm: f64, _measured_norm: f64) -> f64 {
        1.0
    }

    /// New value of parameter `p` with gradient `g`; advances `state`, whose length is `STATE`.
    fn update(&self, step: &Self::Step, trust: f64, p: f64, g: f64, state: &mut [f64]) -> f64;
}

/// One parameter tensor's place in the arena, which begins where the one before ends, and its weight decay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ParamGroup {
    pub end: usize,
    pub weight_decay: f64,
}

/// The parameter tensors, in order; the last ends at the arena's length.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ParamGroups(pub Vec<ParamGroup>);

/// By update, from 0: all of one length. Past the end the last entries hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UpdateTable {
    pub lr: Vec<f64>,
    pub momentum: Vec<f64>,
    /// How much of the moving average stays; empty where there is none.
    pub average_decay: Vec<f64>,
}

/// Where an update stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Updates gone through: the position in the tables.
    pub step: u64,
    /// Of these, skipped because something was not finite.
    pub skipped: u64,
}

/// What [`Update::measure`] found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// Euclidean norm of all gradients, before clipping.
    pub grad_norm: f64,
    /// False if a loss or a gradient is NaN or infinite: then the update changes nothing.
    pub finite: bool,
    /// Whether the update made a parameter or a number of the optimizer's state that is NaN or infinite, from a gradient that is neither.
    pub overflowed: bool,
}

/// What became of an update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Report {
    /// Counted from 0.
    pub update: u64,
    /// Mean over the pictures of all its batches.
    pub loss: f64,
    pub measured: Measured,
    /// Updates left out so far, this one included.
    pub skipped: u64,
}

pub trait Update: Loss {
    /// Tables, counters, and what was measured of the update in the making, on the device.
    type Control: Send;

    /// Updates that may be under way before one's report is waited for.
    const UNDER_WAY: usize;

    /// For an arena of `parameters`.
    fn control(&self, parameters: usize, table: &UpdateTable, counters: Counters) -> Result<Self::Control>;

    /// Adds the loss of one of the update's batches to its report. If it is not finite, the update becomes one that changes nothing.
    /// Before `measure`.
    fn include_loss(&self, control: &mut Self::Control, metrics: &Self::Metrics) -> Result<()>;

    /// Measures the gradients' norm. With `clip`, gradients then count as scaled by `min(1, clip / (norm + 1e-6))`, as torch's
    /// `clip_grad_norm_`.
    fn measure(&self, control: &mut Self::Control, clip: Option<f64>, grads: Self::Ref<'_>) -> Result<()>;

    /// Updates the whole arena, unless the loss or the gradients measured were not finite. `state` is `R::STATE` arenas of the parameters' length,
    /// one after the other in one buffer.
    fn update<R: UpdateRule>(
        &self,
        rule: &R,
        control: &mut Self::Control,
        groups: &ParamGroups,
        params: Self::Mut<'_>,
        grads: Self::Ref<'_>,
        state: &mut Self::Buffer,
    ) -> Result<()>;

    /// `average = d*average + (1-d)*values` with this update's `d`, unless the update was skipped.
    fn average(&self, control: &Self::Control, values: Self::Ref<'_>, average: Self::Mut<'_>) -> Result<()>;

    /// `dst = src`, only if the update was skipped: brings running statistics back.
    fn restore_if_skipped(&self, control: &Self::Control, src: Self::Ref<'_>, dst: Self::Mut<'_>) -> Result<()>;

    /// Ends the update: writes its report and advances the counters.
    fn advance(&self, control: &mut Self::Control) -> Result<()>;

    /// Sends the newest update's report to the host, without waiting. After every `advance`; not part of what is recorded.
    fn send_report(&self, control: &mut Self::Control) -> Result<()>;

    /// Reports that have arrived, oldest first, each once. Waits for those beyond the newest `UNDER_WAY - 1`, and for all if `all`.
    fn reports(&self, control: &mut Self::Control, all: bool) -> Result<Vec<Report>>;

    /// What was measured last, and the counters. Waits for the device.
    fn measured(&self, control: &Self::Control) -> Result<(Measured, Counters)>;
}
