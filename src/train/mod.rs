//! A training run: settings, plan, step, loop, evaluation, and what it leaves on disk.

pub mod config;
//TMP pub mod eval;
pub mod metrics;
pub mod plan;
//TMP pub mod resume;
pub mod run_dir;
pub mod step;
//TMP pub mod trainer;
