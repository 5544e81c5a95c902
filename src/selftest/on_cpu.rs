//! The CPU backend, as [`Ops`]: f32, through the traits of `backend`.

use super::case::Output;
use super::ops::{AugmentJob, ConvJob, LossJob, NormBackward, NormForward, Ops, Way};
use super::oracle::Pass;
use super::tolerance::Sums;
use crate::backend::{Augment, Conv, Elementwise, Gemm, Loss, Memory, Norm, Pool, StoredBatch};
use crate::cpu::{Buffer, Cpu};
use crate::cuda::{Element, conv, gemm};
use crate::error::Result;
use crate::shape::{ConvProblem, LinearProblem, PoolProblem};

type Device = Cpu<f32>;

/// The CPU backend and a name for it.
pub struct OnCpu(Device);

impl OnCpu {
    pub fn new() -> Self {
        Self(Cpu::new())
    }

    fn up(&self, values: &[f64]) -> Result<Buffer<f32>> {
        self.0.upload(&values.iter().map(|&v| v as f32).collect::<Vec<_>>())
    }

    /// Poisoned, or holding `start`.
    fn output(&self, len: usize, start: Option<&[f64]>) -> Result<Buffer<f32>> {
        start.map_or_else(|| self.0.upload(&vec![f32::NAN; len]), |s| self.up(s))
    }

    fn down(&self, buffer: &Buffer<f32>) -> Result<Vec<f64>> {
        let mut host = vec![0.0; Device::len(buffer)];
        self.0.read_f64(Device::all(buffer), &mut host)?;
        Ok(host)
    }
}

impl Default for OnCpu {
    fn default() -> Self {
        Self::new()
    }
}

const GEMM: &str = "gemm";

impl Ops for OnCpu {
    fn describe(&self) -> String {
        self.0.describe()
    }

    /// Up to 512 rows one after the other: errors that do not point one way grow with the root of their number.
    fn statistics_roundings(&self) -> f64 {
        24.0
    }

    fn has<T: Element>() -> bool {
        !T::IS_BF16
    }

    fn take_kernels(&self) -> Vec<&'static str> {
        Vec::new()
    }

    fn conv_ways<T: Element>(&self, _: &ConvProblem) -> Vec<Way<conv::Variant>> {
        vec![Way { name: GEMM, variant: conv::Variant::Direct, sums: Sums::Single }]
    }

    fn conv<T: Element>(&self, job: &ConvJob, a: &[f64], b: &[f64]) -> Result<Vec<f64>> {
        let (pr, add) = (job.problem, job.start.is_some());
        let (a, b) = (self.up(a)?, self.up(b)?);
        let mut out = self.output(job.pass.lengths(pr).2, job.start)?;
        for _ in 0..job.times {
            let (a, b, out) = (Device::all(&a), Device::all(&b), Device::all_mut(&mut out));
            match job.pass {
                Pass::Fprop => self.0.conv_fprop(pr, a, b, out)?,
                Pass::Dgrad => self.0.conv_dgrad(pr, a, b, out, add)?,
                Pass::Wgrad => self.0.conv_wgrad(pr, a, b, out, add)?,
            }
        }
        self.down(&out)
    }

    fn linear_ways<T: Element>(&self, _: &LinearProblem) -> Vec<Way<gemm::Variant>> {
        vec![Way { name: GEMM, variant: gemm::Variant::Direct, sums: Sums::Single }]
    }

    fn linear_fprop<T: Element>(&self, pr: &LinearProblem, _: gemm::Variant, x: &[f64], w: &[f64], bias: &[f64]) -> Result<Vec<f64>> {
        let (x, w, bias, mut y) = (self.up(x)?, self.up(w)?, self.up(bias)?, self.output(pr.n * pr.k, None)?);
        self.0.linear_fprop(pr, Device::all(&x), Device::all(&w), Device::all(&bias), Device::all_mut(&mut y))?;
        self.down(&y)
    }

    fn linear_dgrad<T: Element>(
        &self,
        pr: &LinearProblem,
        _: gemm::Variant,
        dy: &[f64],
        w: &[f64],
        start: Option<&[f64]>,
    ) -> Result<Vec<f64>> {
        let (dy, w, mut dx) = (self.up(dy)?, self.up(w)?, self.output(pr.n * pr.c, start)?);
        self.0.linear_dgrad(pr, Device::all(&dy), Device::all(&w), Device::all_mut(&mut dx), start.is_some())?;
        self.down(&dx)
    }

    fn linear_wgrad<T: Element>(
        &self,
        pr: &LinearProblem,
        _: gemm::Variant,
        x: &[f64],
        dy: &[f64],
        start: Option<(&[f64], &[f64])>,
    ) -> Result<Vec<Output>> {
        let (x, dy) = (self.up(x)?, self.up(dy)?);
        let (mut dw, mut dbias) = (self.output(pr.k * pr.c, start.map(|s| s.0))?, self.output(pr.k, start.map(|s| s.1))?);
        let (dw_all, dbias_all) = (Device::all_mut(&mut dw), Device::all_mut(&mut dbias));
        self.0.linear_wgrad(pr, Device::all(&x), Device::all(&dy), dw_all, dbias_all, start.is_some())?;
        Ok(vec![Output::new("dw", self.down(&dw)?), Output::new("dbias", self.down(&dbias)?)])
    }

    fn norm_train<T: Element>(&self, job: &NormForward) -> Result<Vec<Output>> {
        let (y, gamma, beta) = (self.up(job.y)?, self.up(job.gamma)?, self.up(job.beta)?);
        let residual = job.residual.map(|r| self.up(r)).transpose()?;
        let (mut running, mut saved) = (self.up(job.running)?, self.output(2 * job.problem.channels, None)?);
        let mut out = self.output(job.y.len(), None)?;
        self.0.norm_train(
            job.problem,
            Device::all(&y),
            Device::all(&gamma),
            Device::all(&beta),
            residual.as_ref().map(Device::all),
            Device::all_mut(&mut running),
            Device::all_mut(&mut saved),
            Device::all_mut(&mut out),
        )?;
        Ok(vec![
            Output::new("out", self.down(&out)?),
            Output::new("running", self.down(&running)?),
            Output::new("saved", self.down(&saved)?),
        ])
    }

    fn norm_eval<T: Element>(&self, job: &NormForward) -> Result<Vec<f64>> {
        let (y, gamma, beta) = (self.up(job.y)?, self.up(job.gamma)?, self.up(job.beta)?);
        let residual = job.residual.map(|r| self.up(r)).transpose()?;
        let (running, mut out) = (self.up(job.running)?, self.output(job.y.len(), None)?);
        self.0.norm_eval(
            job.problem,
            Device::all(&y),
            Device::all(&gamma),
            Device::all(&beta),
            residual.as_ref().map(Device::all),
            Device::all(&running),
            Device::all_mut(&mut out),
        )?;
        self.down(&out)
    }

    fn norm_backward<T: Element>(&self, job: &NormBackward) -> Result<Vec<Output>> {
        let c = job.problem.channels;
        let (y, gamma, saved, out) = (self.up(job.y)?, self.up(job.gamma)?, self.up(job.saved)?, self.up(job.out)?);
        let start = job.start.map(|s| s.split_at(c));
        let (mut dgamma, mut dbeta) = (self.output(c, start.map(|s| s.0))?, self.output(c, start.map(|s| s.1))?);
        let (mut d, mut dy) = (self.up(job.d)?, self.output(job.y.len(), None)?);
        self.0.norm_backward(
            job.problem,
            Device::all_mut(&mut d),
            job.problem.relu.then(|| Device::all(&out)),
            Device::all(&y),
            Device::all(&gamma),
            Device::all(&saved),
            Device::all_mut(&mut dgamma),
            Device::all_mut(&mut dbeta),
            Device::all_mut(&mut dy),
            job.start.is_some(),
        )?;
        Ok(vec![
            Output::new("d", self.down(&d)?),
            Output::new("dy", self.down(&dy)?),
            Output::new("dgamma", self.down(&dgamma)?),
            Output::new("dbeta", self.down(&dbeta)?),
        ])
    }

    fn max_pool<T: Element>(&self, pr: &PoolProblem, x: &[f64]) -> Result<Vec<Output>> {
        let (x, mut y) = (self.up(x)?, self.output(pr.y_len(), None)?);
        let mut position = self.0.bytes_of(&vec![u8::MAX; pr.y_len()]);
        self.0.max_pool(pr, Device::all(&x), Device::all_mut(&mut y), &mut position)?;
        let at = position.to_vec();
        Ok(vec![Output::new("y", self.down(&y)?), Output::new("position", at.into_iter().map(f64::from).collect())])
    }

    fn max_pool_backward<T: Element>(&self, pr: &PoolProblem, dy: &[f64], position: &[u8], start: Option<&[f64]>) -> Result<Vec<f64>> {
        let (dy, position, mut dx) = (self.up(dy)?, self.0.bytes_of(position), self.output(pr.x_len(), start)?);
        self.0.max_pool_backward(pr, Device::all(&dy), &position, Device::all_mut(&mut dx), start.is_some())?;
        self.down(&dx)
    }

    fn average_pool<T: Element>(&self, n: usize, pixels: usize, c: usize, x: &[f64]) -> Result<Vec<f64>> {
        let (x, mut y) = (self.up(x)?, self.output(n * c, None)?);
        self.0.average_pool(n, pixels, c, Device::all(&x), Device::all_mut(&mut y))?;
        self.down(&y)
    }

    fn average_pool_backward<T: Element>(&self, n: usize, pixels: usize, c: usize, dy: &[f64], start: Option<&[f64]>) -> Result<Vec<f64>> {
        let (dy, mut dx) = (self.up(dy)?, self.output(n * pixels * c, start)?);
        self.0.average_pool_backward(n, pixels, c, Device::all(&dy), Device::all_mut(&mut dx), start.is_some())?;
        self.down(&dx)
    }

    fn cross_entropy<T: Element>(&self, job: &LossJob) -> Result<Vec<Output>> {
        let LossJob { classes, smoothing, scale, labels, .. } = *job;
        let (logits, labels) = (self.up(job.logits)?, self.0.upload_labels(labels)?);
        let mut dlogits = self.output(job.logits.len(), None)?;
        let into = Some(Device::all_mut(&mut dlogits));
        let sums = self.0.softmax_cross_entropy(labels.len(), classes, smoothing, scale, Device::all(&logits), &labels, into)?;
        let sums = self.0.metrics(sums)?;
        Ok(vec![
            Output::new("loss", vec![sums.loss]),
            Output::new("top1", vec![sums.top1 as f64]),
            Output::new("top5", vec![sums.top5 as f64]),
            Output::new("dlogits", self.down(&dlogits)?),
        ])
    }

    fn augment<T: Element>(&self, job: &AugmentJob) -> Result<Vec<f64>> {
        let AugmentJob { views, size, mean, std, .. } = *job;
        let batch = StoredBatch { pixels: job.bytes.to_vec().into(), views: views.to_vec(), labels: Vec::new() };
        let mut out = self.output(views.len() * size * size * 3, None)?;
        self.0.augment(&batch, size, mean, std, Device::all_mut(&mut out))?;
        self.down(&out)
    }

    fn relu<T: Element>(&self, x: &[f64]) -> Result<Vec<f64>> {
        let (x, mut y) = (self.up(x)?, self.output(x.len(), None)?);
        self.0.relu(Device::all(&x), Device::all_mut(&mut y))?;
        self.down(&y)
    }

    fn relu_backward<T: Element>(&self, y: &[f64], dy: &[f64], start: Option<&[f64]>) -> Result<Vec<f64>> {
        let (y, dy, mut dx) = (self.up(y)?, self.up(dy)?, self.output(y.len(), start)?);
        self.0.relu_backward(Device::all(&y), Device::all(&dy), Device::all_mut(&mut dx), start.is_some())?;
        self.down(&dx)
    }

    fn add<T: Element>(&self, a: &[f64], b: &[f64]) -> Result<Vec<f64>> {
        let (a, b, mut out) = (self.up(a)?, self.up(b)?, self.output(a.len(), None)?);
        self.0.add(Device::all(&a), Device::all(&b), Device::all_mut(&mut out))?;
        self.down(&out)
    }

    fn add_into<T: Element>(&self, a: &[f64], into: &[f64]) -> Result<Vec<f64>> {
        let (a, mut into) = (self.up(a)?, self.up(into)?);
        self.0.add_assign(Device::all(&a), Device::all_mut(&mut into))?;
        self.down(&into)
    }
}
