//! Every kernel against its oracle, on the device it is to run on: `selftest`, and the tests of the kernels.
//!
//! | file | what |
//! |---|---|
//! | [`case`] | a case: what is computed, and what must come out; the comparison |
//! | [`tolerance`] | how far a result may lie off: one table |
//! | [`oracle`] | slow references in f64, written from the formulas |
//! | [`ops`] | what a case asks of a device |
//! | [`on_driver`], [`on_cpu`] | the devices: the kernels behind any [`Driver`], with guard bytes, and the CPU backend |
//! | the subjects | the cases around the edges of tiles |
//! | [`layers`] | the cases at the shapes of every ResNet |
//! | [`conformance`], [`wgmma`] | each PTX wrapper against the manual |
//! | [`report`] | runs cases; the table and the JSON |
//!
//! Outputs are poisoned before every launch, integers whose sums are exact come before numbers that round, and on devices without guard
//! pages the bytes around every array are looked at after it. A new kernel is not done before a case launches it:
//! `tests/kernels/registry.rs` compares the list of kernels with what the cases launch.

pub mod augment;
pub mod case;
pub mod conformance;
pub mod conv;
pub mod conv_stem;
pub mod elementwise;
pub mod gemm;
pub mod layers;
pub mod loss;
pub mod norm;
pub mod numbers;
pub mod on_cpu;
pub mod on_driver;
pub mod ops;
pub mod oracle;
pub mod pool;
pub mod report;
pub mod tolerance;
pub mod update;
pub mod wgmma;

pub use case::{Case, Check, Depth, Expected, Output, Verdict};
pub use layers::Extent;
pub use on_cpu::OnCpu;
pub use on_driver::{Machine, OnDriver};
pub use ops::Ops;
pub use report::{Outcome, Report, Row, run};

use crate::cuda::launch::Driver;
use crate::error::Result;

/// Around the edges of tiles, for every kind of device.
pub fn edges<O: Ops>() -> Vec<Case<O>> {
    [elementwise::edges(), conv::edges(), gemm::edges(), norm::edges(), pool::edges(), loss::edges(), augment::edges()]
        .into_iter()
        .flatten()
        .collect()
}

/// What only kernels have: wrappers of instructions, conversions, the stem's own kernels, labels that are none, optimizers.
pub fn kernel_edges<D: Driver>() -> Vec<Case<OnDriver<D>>> {
    let mut all = conformance::cases();
    all.extend(wgmma::cases());
    all.push(elementwise::conversions());
    all.extend(conv_stem::edges());
    all.push(loss::refused());
    all.extend(update::edges());
    all
}

/// Everything for the CPU backend.
///
/// # Errors
/// Those of the models.
pub fn cases<O: Ops>(extent: Extent) -> Result<Vec<Case<O>>> {
    let mut all = edges();
    all.extend(layers::cases(extent)?);
    Ok(all)
}

/// Everything for a driver: wrappers of instructions first, so that what is wrong below shows before what stands on it.
///
/// # Errors
/// Those of the models.
pub fn kernel_cases<D: Driver>(extent: Extent) -> Result<Vec<Case<OnDriver<D>>>> {
    let mut all = kernel_edges();
    all.extend(cases(extent)?);
    Ok(all)
}
