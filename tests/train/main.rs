//! Whole training runs: against PyTorch, against themselves when killed and resumed, and on bad input.

mod average;
mod bad_record;
mod engine;
mod learner;
mod nonfinite;
mod parity;
mod resume;
mod run;
