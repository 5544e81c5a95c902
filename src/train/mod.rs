//! A training run: settings, plan, step, loop, evaluation, and what it leaves on disk.

pub mod config;
mod datasets;
mod diverged;
pub mod eval;
pub mod loading;
pub mod lr_find;
pub mod metrics;
pub mod notice;
pub mod plan;
pub mod requests;
pub mod resume;
pub mod run_dir;
pub mod score;
mod speed;
pub mod step;
pub mod trainer;
