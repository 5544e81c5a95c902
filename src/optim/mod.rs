//! Optimizers: one rule per file, chosen by name here.

mod sgd;

pub use sgd::Sgd;
