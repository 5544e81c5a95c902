//! Tests of the data side through the public API and the program itself.

mod awkward;
mod common;
mod damage;
mod damage_counts;
mod demo;
mod golden;
mod hostile;
mod jpeg;
mod loading;
mod packing;
mod resume;
mod sources;
