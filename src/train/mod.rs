//! A training run: settings, plan, step, loop, evaluation, and what it leaves on disk.

pub mod config;
pub mod metrics;
pub mod plan;
pub mod run_dir;
pub mod step;
