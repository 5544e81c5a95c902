//! Tests of the data side through the public API and the program itself.

mod awkward;
mod common;
mod damage;
mod damage_bed;
mod damage_bytes;
mod damage_fields;
mod demo;
mod encoding;
mod formats;
mod full_disk;
mod fuzzing;
mod golden;
mod hostile;
mod jpeg;
mod jpeg_forms;
mod loading;
mod packing;
#[cfg(feature = "parquet")]
mod parquet;
mod power;
mod reading;
mod repair;
mod resume;
mod sources;
mod threads;
