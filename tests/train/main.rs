//! Whole training runs: against PyTorch, against themselves when killed and resumed, and on bad input.

mod engine;
mod parity;
mod resume;
mod run;
