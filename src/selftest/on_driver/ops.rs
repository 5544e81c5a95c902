//! Each operation: operands up, launch, look at the guards, results down.

use super::super::case::Output;
use super::super::ops::{AugmentJob, ConvJob, LossJob, NormBackward, NormForward, Ops, Way};
use super::super::oracle::Pass;
use super::super::tolerance::Sums;
use super::{OnDriver, down};
use crate::cuda::launch::{Driver, Ptr, PtrMut};
use crate::cuda::loss::CrossEntropy;
use crate::cuda::{Element, augment, conv, elementwise, gemm, loss, norm, pool};
use crate::error::{Error, Result};
use crate::shape::{ConvProblem, LinearProblem, PoolProblem};

impl<D: Driver> Ops for OnDriver<D> {
    fn describe(&self) -> String {
        self.name.clone()
    }

    fn statistics_roundings(&self) -> f64 {
        8.0
    }

    fn has<T: Element>() -> bool {
        true
    }

    fn take_kernels(&self) -> Vec<&'static str> {
        let mut names: Vec<&'static str> = Vec::new();
        for (kernel, _) in self.driver.take() {
            if !names.contains(&kernel.name) {
                names.push(kernel.name);
            }
        }
        names
    }

    fn conv_ways<T: Element>(&self, problem: &ConvProblem) -> Vec<Way<conv::Variant>> {
        let way = |variant| {
            let (name, sums) = match variant {
                conv::Variant::Direct => ("direct", Sums::Double),
                conv::Variant::M128N128 => ("m128n128", self.tensor_cores()),
                conv::Variant::M128N64 => ("m128n64", self.tensor_cores()),
                conv::Variant::M64N64 => ("m64n64", self.tensor_cores()),
            };
            Way { name, variant, sums }
        };
        conv::variants::<T>(problem).into_iter().map(way).collect()
    }

    fn conv<T: Element>(&self, job: &ConvJob, a: &[f64], b: &[f64]) -> Result<Vec<f64>> {
        let ConvJob { pass, problem, variant, start, .. } = *job;
        let (device, len) = (&self.driver, pass.lengths(problem).2);
        let (a, b) = (self.up::<T>(a)?, self.up::<T>(b)?);
        if pass == Pass::Wgrad {
            let split = conv::Split::new(problem, variant, job.splits);
            let (mut slabs, mut tickets) = (self.output::<f32>(split.slab_len)?, self.raw(&vec![0u32; split.tickets])?);
            let mut dw = self.output_from::<f32>(len, start)?;
            for _ in 0..job.times {
                let (slabs, tickets) = (slabs.ptr_mut(), tickets.ptr_mut());
                conv::wgrad(device, problem, variant, &split, a.ptr(), b.ptr(), dw.ptr_mut(), slabs, tickets, start.is_some())?;
            }
            self.check_guards()?;
            return down(&dw);
        }
        let mut out = self.output_from::<T>(len, start)?;
        for _ in 0..job.times {
            if pass == Pass::Fprop {
                conv::fprop(device, problem, variant, a.ptr(), b.ptr(), out.ptr_mut())?;
            } else {
                conv::dgrad(device, problem, variant, a.ptr(), b.ptr(), out.ptr_mut(), start.is_some())?;
            }
        }
        self.check_guards()?;
        down(&out)
    }

    fn linear_ways<T: Element>(&self, problem: &LinearProblem) -> Vec<Way<gemm::Variant>> {
        let way = |variant| match variant {
            gemm::Variant::Direct => Way { name: "direct", variant, sums: Sums::Double },
            gemm::Variant::Tiled => Way { name: "tiled", variant, sums: self.tensor_cores() },
        };
        gemm::variants::<T>(problem).into_iter().map(way).collect()
    }

    fn linear_fprop<T: Element>(&self, pr: &LinearProblem, v: gemm::Variant, x: &[f64], w: &[f64], bias: &[f64]) -> Result<Vec<f64>> {
        let (x, w, bias) = (self.up::<T>(x)?, self.up::<T>(w)?, self.up::<f32>(bias)?);
        let mut y = self.output::<T>(pr.n * pr.k)?;
        gemm::fprop(&self.driver, pr, v, x.ptr(), w.ptr(), bias.ptr(), y.ptr_mut())?;
        self.check_guards()?;
        down(&y)
    }

    fn linear_dgrad<T: Element>(
        &self,
        pr: &LinearProblem,
        v: gemm::Variant,
        dy: &[f64],
        w: &[f64],
        start: Option<&[f64]>,
    ) -> Result<Vec<f64>> {
        let (dy, w) = (self.up::<T>(dy)?, self.up::<T>(w)?);
        let mut dx = self.output_from::<T>(pr.n * pr.c, start)?;
        gemm::dgrad(&self.driver, pr, v, dy.ptr(), w.ptr(), dx.ptr_mut(), start.is_some())?;
        self.check_guards()?;
        down(&dx)
    }

    fn linear_wgrad<T: Element>(
        &self,
        pr: &LinearProblem,
        v: gemm::Variant,
        x: &[f64],
        dy: &[f64],
        start: Option<(&[f64], &[f64])>,
    ) -> Result<Vec<Output>> {
        let (x, dy) = (self.up::<T>(x)?, self.up::<T>(dy)?);
        let mut dw = self.output_from::<f32>(pr.k * pr.c, start.map(|s| s.0))?;
        let mut dbias = self.output_from::<f32>(pr.k, start.map(|s| s.1))?;
        gemm::wgrad(&self.driver, pr, v, x.ptr(), dy.ptr(), dw.ptr_mut(), dbias.ptr_mut(), start.is_some())?;
        self.check_guards()?;
        Ok(vec![Output::new("dw", down(&dw)?), Output::new("dbias", down(&dbias)?)])
    }

    fn norm_train<T: Element>(&self, job: &NormForward) -> Result<Vec<Output>> {
        let (problem, len) = (job.problem, job.y.len());
        let (y, gamma, beta) = (self.up::<T>(job.y)?, self.up::<f32>(job.gamma)?, self.up::<f32>(job.beta)?);
        let residual = job.residual.map(|r| self.up::<T>(r)).transpose()?;
        let mut running = self.up::<f32>(job.running)?;
        let (mut saved, mut out) = (self.output::<f32>(2 * problem.channels)?, self.output::<T>(len)?);
        let mut tiles = self.output::<f32>(norm::tiles_len(problem))?;
        let arrays = norm::Train {
            y: y.ptr(),
            gamma: gamma.ptr(),
            beta: beta.ptr(),
            residual: residual.as_ref().map_or(Ptr::null(), |r| r.ptr()),
            running: running.ptr_mut(),
            saved: saved.ptr_mut(),
            out: out.ptr_mut(),
            tiles: tiles.ptr_mut(),
        };
        norm::train(&self.driver, problem, &arrays)?;
        self.check_guards()?;
        Ok(vec![Output::new("out", down(&out)?), Output::new("running", down(&running)?), Output::new("saved", down(&saved)?)])
    }

    fn norm_eval<T: Element>(&self, job: &NormForward) -> Result<Vec<f64>> {
        let problem = job.problem;
        let (y, gamma, beta) = (self.up::<T>(job.y)?, self.up::<f32>(job.gamma)?, self.up::<f32>(job.beta)?);
        let residual = job.residual.map(|r| self.up::<T>(r)).transpose()?;
        let running = self.up::<f32>(job.running)?;
        let (mut prepared, mut out) = (self.output::<f32>(2 * problem.channels)?, self.output::<T>(job.y.len())?);
        let arrays = norm::Eval {
            y: y.ptr(),
            gamma: gamma.ptr(),
            beta: beta.ptr(),
            residual: residual.as_ref().map_or(Ptr::null(), |r| r.ptr()),
            running: running.ptr(),
            prepared: prepared.ptr_mut(),
            out: out.ptr_mut(),
        };
        norm::eval(&self.driver, problem, &arrays)?;
        self.check_guards()?;
        down(&out)
    }

    fn norm_backward<T: Element>(&self, job: &NormBackward) -> Result<Vec<Output>> {
        let (problem, c) = (job.problem, job.problem.channels);
        let (y, gamma, out) = (self.up::<T>(job.y)?, self.up::<f32>(job.gamma)?, self.up::<T>(job.out)?);
        let saved = self.up::<f32>(job.saved)?;
        let start = job.start.map(|s| s.split_at(c));
        let mut dgamma = self.output_from::<f32>(c, start.map(|s| s.0))?;
        let mut dbeta = self.output_from::<f32>(c, start.map(|s| s.1))?;
        let (mut d, mut dy) = (self.up::<T>(job.d)?, self.output::<T>(job.y.len())?);
        let mut tiles = self.output::<f32>(norm::tiles_len(problem))?;
        let mut coefficients = self.output::<f32>(norm::coefficients_len(problem))?;
        let arrays = norm::Backward {
            d: d.ptr_mut(),
            out: if problem.relu { out.ptr() } else { Ptr::null() },
            y: y.ptr(),
            gamma: gamma.ptr(),
            saved: saved.ptr(),
            dgamma: dgamma.ptr_mut(),
            dbeta: dbeta.ptr_mut(),
            dy: dy.ptr_mut(),
            tiles: tiles.ptr_mut(),
            coefficients: coefficients.ptr_mut(),
        };
        norm::backward(&self.driver, problem, &arrays, job.start.is_some())?;
        self.check_guards()?;
        let gradients = [Output::new("dgamma", down(&dgamma)?), Output::new("dbeta", down(&dbeta)?)];
        Ok([Output::new("d", down(&d)?), Output::new("dy", down(&dy)?)].into_iter().chain(gradients).collect())
    }

    fn max_pool<T: Element>(&self, pr: &PoolProblem, x: &[f64]) -> Result<Vec<Output>> {
        let x = self.up::<T>(x)?;
        let (mut y, mut position) = (self.output::<T>(pr.y_len())?, self.output::<u8>(pr.y_len())?);
        pool::max(&self.driver, pr, x.ptr(), y.ptr_mut(), position.ptr_mut())?;
        self.check_guards()?;
        let position = position.to_host()?.into_iter().map(f64::from).collect();
        Ok(vec![Output::new("y", down(&y)?), Output::new("position", position)])
    }

    fn max_pool_backward<T: Element>(&self, pr: &PoolProblem, dy: &[f64], position: &[u8], start: Option<&[f64]>) -> Result<Vec<f64>> {
        let (dy, position) = (self.up::<T>(dy)?, self.raw(position)?);
        let mut dx = self.output_from::<T>(pr.x_len(), start)?;
        pool::max_backward(&self.driver, pr, dy.ptr(), position.ptr(), dx.ptr_mut(), start.is_some())?;
        self.check_guards()?;
        down(&dx)
    }

    fn average_pool<T: Element>(&self, n: usize, pixels: usize, c: usize, x: &[f64]) -> Result<Vec<f64>> {
        let x = self.up::<T>(x)?;
        let mut y = self.output::<T>(n * c)?;
        pool::average(&self.driver, n, pixels, c, x.ptr(), y.ptr_mut())?;
        self.check_guards()?;
        down(&y)
    }

    fn average_pool_backward<T: Element>(&self, n: usize, pixels: usize, c: usize, dy: &[f64], start: Option<&[f64]>) -> Result<Vec<f64>> {
        let dy = self.up::<T>(dy)?;
        let mut dx = self.output_from::<T>(n * pixels * c, start)?;
        pool::average_backward(&self.driver, n, pixels, c, dy.ptr(), dx.ptr_mut(), start.is_some())?;
        self.check_guards()?;
        down(&dx)
    }

    fn cross_entropy<T: Element>(&self, job: &LossJob) -> Result<Vec<Output>> {
        let LossJob { classes, smoothing, scale, .. } = *job;
        let rows = job.labels.len();
        let (logits, labels) = (self.up::<T>(job.logits)?, self.raw(job.labels)?);
        let (mut losses, mut ranks) = (self.output::<f32>(rows)?, self.output::<i32>(rows)?);
        let (mut sums, mut dlogits) = (self.output::<f64>(3)?, self.output::<T>(rows * classes)?);
        let mut arrays = CrossEntropy {
            logits: logits.ptr(),
            labels: labels.ptr(),
            dlogits: dlogits.ptr_mut(),
            losses: losses.ptr_mut(),
            ranks: ranks.ptr_mut(),
            sums: sums.ptr_mut(),
        };
        loss::cross_entropy(&self.driver, rows, classes, smoothing, scale, &arrays)?;
        self.check_guards()?;
        let (losses_out, all) = (down(&losses)?, sums.to_host()?);
        // without the gradient, as evaluation asks for it: the same bits
        arrays.dlogits = PtrMut::null();
        loss::cross_entropy(&self.driver, rows, classes, smoothing, scale, &arrays)?;
        let again = sums.to_host()?;
        if all.iter().zip(&again).any(|(a, b)| a.to_bits() != b.to_bits()) {
            return Err(Error::internal(format!("the sums are {again:?} without the gradient, {all:?} with it")).at("cross_entropy"));
        }
        let ranks = ranks.to_host()?.into_iter().map(f64::from).collect();
        let sum = |name, at: usize| Output::new(name, all.get(at).copied().into_iter().collect());
        let sums = [sum("loss", 0), sum("top1", 1), sum("top5", 2)];
        let rows = [Output::new("losses", losses_out), Output::new("ranks", ranks), Output::new("dlogits", down(&dlogits)?)];
        Ok(sums.into_iter().chain(rows).collect())
    }

    fn augment<T: Element>(&self, job: &AugmentJob) -> Result<Vec<f64>> {
        let AugmentJob { views, size, mean, std, .. } = *job;
        let pixels = self.raw(job.bytes)?;
        let pictures = self.raw(&augment::pictures(views, job.bytes.len())?)?;
        let mut out = self.output::<T>(views.len() * size * size * 3)?;
        augment::augment(&self.driver, views.len(), size, pixels.ptr(), pictures.ptr(), mean, std, out.ptr_mut())?;
        self.check_guards()?;
        down(&out)
    }

    fn relu<T: Element>(&self, x: &[f64]) -> Result<Vec<f64>> {
        let len = x.len();
        let (x, mut y) = (self.up::<T>(x)?, self.output::<T>(len)?);
        elementwise::relu(&self.driver, len, x.ptr(), y.ptr_mut())?;
        self.check_guards()?;
        down(&y)
    }

    fn relu_backward<T: Element>(&self, y: &[f64], dy: &[f64], start: Option<&[f64]>) -> Result<Vec<f64>> {
        let len = y.len();
        let (y, dy, mut dx) = (self.up::<T>(y)?, self.up::<T>(dy)?, self.output_from::<T>(len, start)?);
        elementwise::relu_backward(&self.driver, len, y.ptr(), dy.ptr(), dx.ptr_mut(), start.is_some())?;
        self.check_guards()?;
        down(&dx)
    }

    fn add<T: Element>(&self, a: &[f64], b: &[f64]) -> Result<Vec<f64>> {
        let len = a.len();
        let (a, b, mut out) = (self.up::<T>(a)?, self.up::<T>(b)?, self.output::<T>(len)?);
        elementwise::add(&self.driver, len, a.ptr(), b.ptr(), out.ptr_mut())?;
        self.check_guards()?;
        down(&out)
    }

    fn add_into<T: Element>(&self, a: &[f64], into: &[f64]) -> Result<Vec<f64>> {
        let len = a.len();
        let (a, mut into) = (self.up::<T>(a)?, self.up::<T>(into)?);
        let target = into.ptr_mut();
        elementwise::add(&self.driver, len, a.ptr(), target.to_read(), target)?;
        self.check_guards()?;
        down(&into)
    }
}
