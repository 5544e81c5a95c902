//! Whole training runs: against PyTorch, against themselves when killed and resumed, and on bad input.

mod average;
mod bad_record;
mod cut;
mod damage;
mod engine;
mod exact;
mod folders;
mod foreign;
mod full_disk;
mod learner;
mod memory;
mod nonfinite;
mod parity;
mod places;
mod power;
mod resume;
mod run;
mod signals;
mod splits;
mod validation;
mod versions;
