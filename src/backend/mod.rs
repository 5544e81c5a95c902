//! The contract of a device: what it must compute, not how. No code lives here; `cpu/` and `cuda/` hold the same file names.
//!
//! Conventions of every method:
//! - activations are NHWC, filters KRSC, matrices row-major; lengths are in elements;
//! - an output is a `Mut` that the caller allocated, fully overwritten unless `accumulate` says that the result is added to it;
//! - results are bitwise repeatable: the same inputs give the same bits whatever the number of threads;
//! - a length that does not match the problem is an `Internal` error naming the op, never a panic.

pub mod augment;
pub mod conv;
pub mod elementwise;
pub mod gemm;
pub mod loss;
pub mod memory;
pub mod norm;
pub mod pixels;
pub mod pool;
pub mod replay;
pub mod update;

pub use augment::{Augment, Crop, PictureView, StoredBatch};
pub use conv::Conv;
pub use elementwise::Elementwise;
pub use gemm::Gemm;
pub use loss::{BatchMetrics, Loss};
pub use memory::Memory;
pub use norm::{Norm, NormProblem};
pub use pixels::{Pixels, Spare};
pub use pool::Pool;
pub use replay::{Launched, Replay};
pub use update::{Counters, Hyper, Measured, ParamGroup, ParamGroups, Report, Update, UpdateRule, UpdateTable};

/// A device that can train: one short trait per subject.
pub trait Backend: Augment + Conv + Elementwise + Gemm + Loss + Norm + Pool + Replay + Update {}
impl<T: Augment + Conv + Elementwise + Gemm + Loss + Norm + Pool + Replay + Update> Backend for T {}
