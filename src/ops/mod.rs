//! One differentiable op per file: forward, what it saves, backward. Each is a free function over a [`Tape`](crate::autograd::Tape).

mod add;
mod conv;
mod linear;
mod loss;
mod norm;
mod pool;
mod relu;

pub use add::add;
pub use conv::{ConvGeometry, conv};
pub use linear::linear;
pub use loss::{cross_entropy, score};
pub use norm::{NormParams, norm};
pub use pool::{PoolGeometry, average_pool, max_pool};
pub use relu::relu;
