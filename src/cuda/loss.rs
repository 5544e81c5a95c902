//! Cross-entropy on the device: launches of kernels/loss.cu.

use super::Element;
use super::arguments::index;
use super::element::launch_for;
use super::handles::LossSums;
use super::launch::{Dims, Driver, Ptr, PtrMut, launch};
use crate::error::{Error, Result};

const THREADS: u32 = 256;
/// Three f64 for each of a block's eight warps.
const SUMS_SHARED_BYTES: u32 = 3 * 8 * 8;

/// Rows of logits and what is made of them. `dlogits` may be null. Labels are below `classes`; a row with another label has a loss that
/// is not a number.
#[derive(Clone, Copy, Debug)]
pub struct CrossEntropy<T> {
    pub logits: Ptr<T>,
    pub labels: Ptr<u32>,
    pub dlogits: PtrMut<T>,
    /// Per row: the loss, and how many classes rank ahead of the label.
    pub losses: PtrMut<f32>,
    pub ranks: PtrMut<i32>,
    /// Of the batch: the sum of losses, the rows with the label first, and among the first five.
    pub sums: PtrMut<f64>,
}

/// Labels of pictures that were mixed from two (mixup, CutMix): every row's target is `share` of its label and the rest of its second.
#[derive(Clone, Copy, Debug)]
pub struct Mixed {
    /// One a row, below `classes`.
    pub labels: Ptr<u32>,
    /// One for the batch, from 0 to 1; on the device, so that a captured step may mix anew.
    pub share: Ptr<f32>,
}

/// The gradient is that of the mean loss over rows, times `scale`.
///
/// # Errors
/// `Internal` if there is nothing to do; those of the launch.
pub fn cross_entropy<T: Element, D: Driver>(
    driver: &D,
    rows: usize,
    classes: usize,
    smoothing: f64,
    scale: f64,
    a: &CrossEntropy<T>,
) -> Result<()> {
    mixed_cross_entropy(driver, rows, classes, smoothing, scale, a, &Mixed { labels: Ptr::null(), share: Ptr::null() })
}

/// As [`cross_entropy`], with second labels. Ranks are still those of the first. Null labels and a null share mean none.
///
/// # Errors
/// As [`cross_entropy`]; `Internal` if one of the two is null.
pub fn mixed_cross_entropy<T: Element, D: Driver>(
    driver: &D,
    rows: usize,
    classes: usize,
    smoothing: f64,
    scale: f64,
    a: &CrossEntropy<T>,
    mixed: &Mixed,
) -> Result<()> {
    const OP: &str = "softmax_cross_entropy";
    if rows == 0 || classes == 0 {
        return Err(Error::internal(format!("nothing to do in {rows} rows of {classes} classes")).at(OP));
    }
    if mixed.labels.is_null() != mixed.share.is_null() {
        return Err(Error::internal("second labels need a share, and a share second labels").at(OP));
    }
    index(OP, rows * classes)?;
    let dims = Dims::linear(rows * 32, THREADS)?;
    launch_for!(
        T,
        driver,
        &dims,
        CrossEntropyF32
            | CrossEntropyBf16 {
                logits: a.logits.cast(),
                labels: a.labels,
                second_labels: mixed.labels,
                share: mixed.share,
                dlogits: a.dlogits.cast(),
                losses: a.losses,
                ranks: a.ranks,
                rows: rows as i32,
                classes: classes as i32,
                smoothing: smoothing as f32,
                scale: (scale / rows as f64) as f32,
            }
    )?;
    let dims = Dims { grid: [1; 3], block: [THREADS, 1, 1], shared_bytes: SUMS_SHARED_BYTES };
    launch(driver, &dims, &LossSums { losses: a.losses.to_read(), ranks: a.ranks.to_read(), sums: a.sums, rows: rows as i32 })
}
