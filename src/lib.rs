//! Trains ResNets from scratch on ImageNet.
pub mod backend;
pub mod cli;
pub mod data;
pub mod dtype;
pub mod error;
pub mod progress;
pub mod rng;
pub mod shape;
