//! Reverse-mode differentiation on a tape of [`Function`] objects.
//!
//! An op (`ops/`) computes its value, and, if anybody will want a gradient through it, leaves on the tape a `Function` whose fields
//! are what the backward pass needs. There is no op enum: the derivative stands beside its op. The tape counts the consumers of each
//! value; gradients are accumulated by the kernels themselves (`accumulate`), so a branch costs no extra pass over memory.

pub mod gradcheck;
mod gradients;
mod profile;
mod tape;

pub use gradients::Gradients;
pub use profile::{Profile, ProfileRow};
pub(crate) use tape::Running;
pub use tape::{Function, Param, Slot, Tape, Value, ValueId};
