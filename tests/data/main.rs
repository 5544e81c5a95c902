//! Tests of the data side through the public API and the program itself.

mod archives;
mod awkward;
mod common;
mod cut;
mod damage;
mod damage_bed;
mod damage_bytes;
mod damage_fields;
mod demo;
mod encoding;
mod formats;
mod forms;
mod full_disk;
mod fuzzing;
mod golden;
mod hostile;
#[path = "../common/images.rs"]
mod images;
mod jpeg;
mod jpeg_forms;
mod label_files;
mod labels;
mod large;
mod layouts;
mod loading;
mod members;
mod packing;
#[cfg(feature = "parquet")]
mod parquet;
mod power;
mod reading;
mod repair;
mod resizing;
mod resume;
mod siblings;
mod sources;
#[cfg(feature = "parquet")]
mod tables;
mod threads;
mod transforms;
mod unclear;
mod witnesses;
mod zips;
