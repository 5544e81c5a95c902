//! Pictures on disk and on their way into a batch.
//!
//! Packing: `source` lists, `plan` fixes what goes where, `decode` and `resize` make pixels, `shard_writer` writes, `manifest` commits.
//! Reading: `shard` and `dataset` open and check, `order` and `crop` decide, `loader` and `batch` make batches; `reading` and `place` choose by
//! which calls, `ahead` what the page cache is told. `format` is the bytes.

pub mod advice;
pub mod ahead;
pub mod bad;
mod batch;
pub mod budget;
pub mod compressed;
pub mod crop;
pub mod dataset;
pub mod decode;
pub mod demo;
mod encode;
pub mod estimate;
pub mod fault;
mod font;
pub mod format;
pub mod held;
pub mod loader;
pub mod made;
pub mod manifest;
mod map;
pub mod order;
pub mod pack;
pub mod permutation;
pub mod place;
pub mod plan;
pub mod prepared;
pub mod reading;
pub mod record_room;
pub mod resize;
mod resume;
mod ring;
pub mod shard;
mod shard_checks;
pub mod shard_writer;
pub mod sheet;
pub mod source;
pub mod splits;
pub mod sums;
mod sync;
pub mod synthetic;
pub mod unpack;
pub mod validation;
pub mod verify;
mod workbench;

pub use crop::CropPolicy;
pub use dataset::{Dataset, Picture};
pub use loader::{Batch, Loader, LoaderOptions, Source};
pub use manifest::Split;

/// ImageNet's channel means, in [0, 1], with which training and evaluation normalise (as torchvision).
pub const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
/// ImageNet's channel standard deviations.
pub const STD: [f32; 3] = [0.229, 0.224, 0.225];
