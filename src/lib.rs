//! `imagenet-engine` trains ResNets from scratch on ImageNet.
//!
//! # The grid
//! Rows are *subjects* (`conv`, `gemm`, `norm`, `pool`, `elementwise`, `loss`, `update`, `augment`), columns are *floors*. The same word
//! names the file in every column: `find . -name 'conv*'` shows the whole job of changing convolution.
//!
//! # The floors: imports go downward only
//! | floor | modules | may use |
//! |---|---|---|
//! | 0 | [`error`] [`shape`] [`dtype`] [`rng`] [`schedule`] [`progress`] [`files`] [`limits`] [`allocator`] [`text`] [`date`] | std |
//! | 1 | [`backend`]: what a device must compute, traits only; [`resample`]: resizing of 8-bit images | 0 |
//! | 2 | [`cpu`], [`cuda`]: how it is computed | 0-1, never each other |
//! | 3 | [`tensor`], [`autograd`] | 0-1 |
//! | 4 | [`ops`]: one differentiable op a file | 0-1, 3 |
//! | 5 | [`nn`], [`optim`] | 0-1, 3-4 |
//! | 6 | [`models`] | 0, 3-5 |
//! | side | [`data`]: shards, packing, order, loading | 0, and of 1 what an upload needs and resizing |
//! | 7 | [`checkpoint`], [`train`] | 0-1, 3-6, data |
//! | side | [`bench`]: the CUDA kernels and the loader measured, records of it | 0-2, 5-6, data |
//! | side | [`fit`]: whether a run fits a device's memory, on a device of paper | 0-1, cpu, cuda, 6-7 |
//! | side | [`selftest`]: the kernels and the CPU backend against f64 references, on any device | 0-2, 6 |
//! | 8 | [`cli`], `main` | all; the only place that names a device |
//!
//! Everything above floor 2 is generic in `B: Backend`. `tests/architecture.rs` holds the tree to this table.
//!
//! # Where does it go
//! | new thing | touches |
//! |---|---|
//! | op from existing primitives | `ops/x.rs`, a line in `ops/mod.rs`, its gradcheck |
//! | primitive with a kernel | seven files of one name: kernel, `backend`, `cpu`, `cuda`, `ops`, `selftest`, test |
//! | optimizer | `optim/x.rs`, a line in `optim/mod.rs`, `train/config/optimizer.rs`, `kernels/x.cu` |
//! | schedule | `schedule/x.rs` if it is more than a line, a variant of `Curve`, `train/config/{settings,schedule}.rs` |
//! | ResNet depth | one row in `models/resnet.rs` |
//! | dataset source | `data/source/x.rs`, a line |
//! | knob | one field in `train/config/settings.rs` |
//! | case of `bench kernels` | `bench/subjects/x.rs`, a line in `bench/subjects/mod.rs` |
//! | subcommand | `cli/x.rs`, a line in `cli/mod.rs` |

pub mod allocator;
pub mod autograd;
pub mod backend;
pub mod bench;
pub mod checkpoint;
pub mod cli;
pub mod cpu;
pub mod cuda;
pub mod data;
pub mod date;
pub mod dtype;
pub mod error;
pub mod files;
pub mod fit;
pub mod limits;
pub mod models;
pub mod nn;
pub mod ops;
pub mod optim;
pub mod progress;
pub mod resample;
pub mod rng;
pub mod schedule;
pub mod selftest;
pub mod shape;
pub mod tensor;
pub mod text;
pub mod train;
