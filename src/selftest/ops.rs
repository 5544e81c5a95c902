//! What a case asks of a device: one method an operation, arrays of f64 in and out, so that one case runs on every device.
//!
//! A device rounds its operands to `T` (f32 where the operation keeps f32: gradients by filters, statistics), computes, and gives back
//! what it holds. Outputs are poisoned before and looked at as a whole.

use super::case::Output;
use super::oracle::Pass;
use super::tolerance::Sums;
use crate::backend::{NormProblem, PictureView};
use crate::cuda::{Element, conv, gemm};
use crate::error::Result;
use crate::shape::{ConvProblem, LinearProblem, PoolProblem};

/// A kernel of several for one job: its name, and how it sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way<V> {
    pub name: &'static str,
    pub variant: V,
    pub sums: Sums,
}

/// One pass of a convolution, `times` over on the same scratch memory, added to `start` if given. wgrad divides the pixels into `splits`.
#[derive(Clone, Copy)]
pub struct ConvJob<'a> {
    pub pass: Pass,
    pub problem: &'a ConvProblem,
    pub variant: conv::Variant,
    pub splits: usize,
    pub start: Option<&'a [f64]>,
    pub times: usize,
}

/// Operands of batch norm forward.
#[derive(Clone, Copy)]
pub struct NormForward<'a> {
    pub problem: &'a NormProblem,
    pub y: &'a [f64],
    pub gamma: &'a [f64],
    pub beta: &'a [f64],
    pub residual: Option<&'a [f64]>,
    /// `[means][variances]`, before.
    pub running: &'a [f64],
}

/// Operands of batch norm backward. `dgamma` and `dbeta` are added to `start`, one after the other, if given.
#[derive(Clone, Copy)]
pub struct NormBackward<'a> {
    pub problem: &'a NormProblem,
    pub y: &'a [f64],
    pub gamma: &'a [f64],
    /// `[means][invstds]`.
    pub saved: &'a [f64],
    /// Of the forward pass: the mask of the ReLU.
    pub out: &'a [f64],
    pub d: &'a [f64],
    pub start: Option<&'a [f64]>,
}

#[derive(Clone, Copy)]
pub struct LossJob<'a> {
    pub classes: usize,
    pub smoothing: f64,
    pub scale: f64,
    pub logits: &'a [f64],
    pub labels: &'a [u32],
}

#[derive(Clone, Copy)]
pub struct AugmentJob<'a> {
    pub bytes: &'a [u8],
    pub views: &'a [PictureView],
    pub size: usize,
    pub mean: [f32; 3],
    pub std: [f32; 3],
}

/// A device, through its operations. Names of outputs are those of the parameters in `backend`.
pub trait Ops: Send + Sync + 'static {
    fn describe(&self) -> String;

    /// What the statistics of a batch norm may carry into its output, in roundings of f32 (see norm.rs).
    fn statistics_roundings(&self) -> f64;

    /// Whether activations may be of type `T`.
    fn has<T: Element>() -> bool;

    /// The kernels launched since the last call, in order of first launch.
    fn take_kernels(&self) -> Vec<&'static str>;

    fn conv_ways<T: Element>(&self, problem: &ConvProblem) -> Vec<Way<conv::Variant>>;
    fn conv<T: Element>(&self, job: &ConvJob, a: &[f64], b: &[f64]) -> Result<Vec<f64>>;

    fn linear_ways<T: Element>(&self, problem: &LinearProblem) -> Vec<Way<gemm::Variant>>;
    fn linear_fprop<T: Element>(&self, pr: &LinearProblem, v: gemm::Variant, x: &[f64], w: &[f64], bias: &[f64]) -> Result<Vec<f64>>;
    fn linear_dgrad<T: Element>(
        &self,
        pr: &LinearProblem,
        v: gemm::Variant,
        dy: &[f64],
        w: &[f64],
        start: Option<&[f64]>,
    ) -> Result<Vec<f64>>;
    /// `dw` and `dbias`; `start` likewise.
    fn linear_wgrad<T: Element>(
        &self,
        pr: &LinearProblem,
        v: gemm::Variant,
        x: &[f64],
        dy: &[f64],
        start: Option<(&[f64], &[f64])>,
    ) -> Result<Vec<Output>>;

    /// `out`, `running`, `saved`.
    fn norm_train<T: Element>(&self, job: &NormForward) -> Result<Vec<Output>>;
    fn norm_eval<T: Element>(&self, job: &NormForward) -> Result<Vec<f64>>;
    /// `d`, `dy`, `dgamma`, `dbeta`.
    fn norm_backward<T: Element>(&self, job: &NormBackward) -> Result<Vec<Output>>;

    /// `y`, `position`.
    fn max_pool<T: Element>(&self, pr: &PoolProblem, x: &[f64]) -> Result<Vec<Output>>;
    fn max_pool_backward<T: Element>(&self, pr: &PoolProblem, dy: &[f64], position: &[u8], start: Option<&[f64]>) -> Result<Vec<f64>>;
    fn average_pool<T: Element>(&self, n: usize, pixels: usize, c: usize, x: &[f64]) -> Result<Vec<f64>>;
    fn average_pool_backward<T: Element>(&self, n: usize, pixels: usize, c: usize, dy: &[f64], start: Option<&[f64]>) -> Result<Vec<f64>>;

    /// `loss`, `top1`, `top5`, `dlogits`, and where the device gives them, `losses`, `ranks`.
    fn cross_entropy<T: Element>(&self, job: &LossJob) -> Result<Vec<Output>>;

    fn augment<T: Element>(&self, job: &AugmentJob) -> Result<Vec<f64>>;

    fn relu<T: Element>(&self, x: &[f64]) -> Result<Vec<f64>>;
    fn relu_backward<T: Element>(&self, y: &[f64], dy: &[f64], start: Option<&[f64]>) -> Result<Vec<f64>>;
    fn add<T: Element>(&self, a: &[f64], b: &[f64]) -> Result<Vec<f64>>;
    /// `into += a`.
    fn add_into<T: Element>(&self, a: &[f64], into: &[f64]) -> Result<Vec<f64>>;
}
