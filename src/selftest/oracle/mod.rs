//! Slow, obvious references in f64, written straight from the formulas.

mod conv;
mod gemm;
mod loss;
mod norm;
mod pool;
mod resize;

pub use conv::{Pass, Reference, conv_dgrad, conv_fprop, conv_products, conv_wgrad, reference};
pub use gemm::{linear, linear_dw, linear_dx};
pub use loss::{cross_entropy, ranks, row_losses};
pub use norm::{moments, norm_apply, norm_backward};
pub use pool::{average_pool, max_pool, max_pool_backward};
pub use resize::resize;
