//! The CPU of paper: it takes memory as [`super::Cpu`] does, from a pool without any behind it, and computes nothing. What a run will
//! take of the host is found by running the run's own code on it, in milliseconds.
//!
//! What a kernel takes for itself is asked of the kernel's own file (`scratch`), which takes it by the same answer. Scratch of a
//! parallel loop is taken once by each thread: a loop of fewer items than threads takes less, and is counted with as many as it has.

use super::memory::{Block, Pool};
use super::{conv_dgrad, conv_fprop, conv_wgrad, norm};
use crate::backend::{
    Augment, BatchMetrics, Conv, Counters, Elementwise, Gemm, Launched, Loss, Measured, Memory, Norm, NormProblem, ParamGroups, Replay,
    Report, StoredBatch, Update, UpdateRule, UpdateTable,
};
use crate::error::{Error, Result};
use crate::shape::{ConvProblem, LinearProblem, PoolProblem};
use std::convert::Infallible;
use std::ops::Range;

/// Bytes of an element: f32 trains.
const ELEMENT: usize = size_of::<f32>();

/// What a kernel takes for itself, in elements: at once, and by each thread of a loop of so many items.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Scratch {
    pub whole: Vec<usize>,
    pub each: Vec<usize>,
    pub items: usize,
}

/// See the module.
#[derive(Clone)]
pub struct Paper {
    pool: Pool,
    threads: usize,
}

/// A buffer of paper.
pub struct Sheet {
    _block: Block,
    len: usize,
}

impl Paper {
    /// Of a pool of `threads` threads.
    pub fn new(threads: usize) -> Self {
        Self { pool: Pool::paper(), threads: threads.max(1) }
    }

    /// Most bytes of the operating system that would have been held at one time: address space, and what of it would be in memory.
    pub fn held(&self) -> (usize, usize) {
        self.pool.held()
    }

    fn sheet(&self, len: usize) -> Result<Sheet> {
        // Absurd sizes have to stay countable.
        if len > usize::MAX >> 8 {
            return Err(Error::device(format!("out of memory: a buffer of {len} elements")));
        }
        Ok(Sheet { _block: self.pool.take(len * ELEMENT), len })
    }

    /// Takes and gives back what a kernel takes.
    fn run(&self, scratch: &Scratch) -> Result<()> {
        let mut taken = Vec::new();
        for &len in &scratch.whole {
            taken.push(self.sheet(len)?);
        }
        for _ in 0..self.threads.min(scratch.items) {
            for &len in &scratch.each {
                taken.push(self.sheet(len)?);
            }
        }
        Ok(())
    }

    fn whole(&self, len: usize) -> Result<()> {
        self.run(&Scratch { whole: vec![len], ..Scratch::default() })
    }
}

impl Memory for Paper {
    type Buffer = Sheet;
    type Bytes = Sheet;
    type Labels = ();
    type Ref<'a> = usize;
    type Mut<'a> = usize;

    fn describe(&self) -> String {
        "CPU of paper".to_owned()
    }

    fn empty(&self, len: usize) -> Result<Sheet> {
        self.sheet(len)
    }

    fn empty_full(&self, len: usize) -> Result<Sheet> {
        self.sheet(len)
    }

    fn zeros(&self, len: usize) -> Result<Sheet> {
        self.sheet(len)
    }

    fn upload(&self, host: &[f32]) -> Result<Sheet> {
        self.sheet(host.len())
    }

    fn write(&self, _host: &[f32], _dst: usize) -> Result<()> {
        Ok(())
    }

    fn copy(&self, _src: usize, _dst: usize) -> Result<()> {
        Ok(())
    }

    fn read(&self, _src: usize, _host: &mut [f32]) -> Result<()> {
        Ok(())
    }

    fn empty_bytes(&self, len: usize) -> Result<Sheet> {
        Ok(Sheet { _block: self.pool.take(len), len })
    }

    fn upload_labels(&self, _host: &[u32]) -> Result<()> {
        Ok(())
    }

    fn len(buffer: &Sheet) -> usize {
        buffer.len
    }

    fn view(_buffer: &Sheet, range: Range<usize>) -> usize {
        range.len()
    }

    fn view_mut(_buffer: &mut Sheet, range: Range<usize>) -> usize {
        range.len()
    }

    fn split_mut<'a>(view: usize, at: usize) -> (usize, usize)
    where
        Self: 'a,
    {
        (at.min(view), view - at.min(view))
    }
}

impl Conv for Paper {
    fn conv_fprop(&self, problem: &ConvProblem, _x: usize, _w: usize, _y: usize) -> Result<()> {
        problem.check()?;
        self.run(&conv_fprop::scratch(problem))
    }

    fn conv_dgrad(&self, problem: &ConvProblem, _dy: usize, _w: usize, _dx: usize, _accumulate: bool) -> Result<()> {
        problem.check()?;
        self.run(&conv_dgrad::scratch(problem))
    }

    fn conv_wgrad(&self, problem: &ConvProblem, _x: usize, _dy: usize, _dw: usize, _accumulate: bool) -> Result<()> {
        problem.check()?;
        self.run(&conv_wgrad::scratch(problem))
    }
}

impl Gemm for Paper {
    fn linear_fprop(&self, problem: &LinearProblem, _x: usize, _w: usize, _bias: usize, _y: usize) -> Result<()> {
        self.whole(problem.n * problem.k)
    }

    fn linear_dgrad(&self, problem: &LinearProblem, _dy: usize, _w: usize, _dx: usize, _accumulate: bool) -> Result<()> {
        self.whole(problem.n * problem.c)
    }

    fn linear_wgrad(&self, _problem: &LinearProblem, _x: usize, _dy: usize, _dw: usize, _dbias: usize, _accumulate: bool) -> Result<()> {
        Ok(())
    }
}

impl Elementwise for Paper {
    fn relu(&self, _x: usize, _y: usize) -> Result<()> {
        Ok(())
    }

    fn relu_backward(&self, _y: usize, _dy: usize, _dx: usize, _accumulate: bool) -> Result<()> {
        Ok(())
    }

    fn add(&self, _a: usize, _b: usize, _out: usize) -> Result<()> {
        Ok(())
    }

    fn add_assign(&self, _x: usize, _into: usize) -> Result<()> {
        Ok(())
    }
}

impl Norm for Paper {
    fn norm_train(
        &self,
        problem: &NormProblem,
        _y: usize,
        _gamma: usize,
        _beta: usize,
        _residual: Option<usize>,
        _running: usize,
        _saved: usize,
        _out: usize,
    ) -> Result<()> {
        self.whole(norm::sums_len(problem))
    }

    fn norm_eval(
        &self,
        _problem: &NormProblem,
        _y: usize,
        _gamma: usize,
        _beta: usize,
        _residual: Option<usize>,
        _running: usize,
        _out: usize,
    ) -> Result<()> {
        Ok(())
    }

    fn norm_backward(
        &self,
        problem: &NormProblem,
        _d: usize,
        _out: Option<usize>,
        _y: usize,
        _gamma: usize,
        _saved: usize,
        _dgamma: usize,
        _dbeta: usize,
        _dy: usize,
        _accumulate_params: bool,
    ) -> Result<()> {
        self.whole(norm::sums_len(problem))
    }
}

impl crate::backend::Pool for Paper {
    fn max_pool(&self, _problem: &PoolProblem, _x: usize, _y: usize, _position: &mut Sheet) -> Result<()> {
        Ok(())
    }

    fn max_pool_backward(&self, _problem: &PoolProblem, _dy: usize, _position: &Sheet, _dx: usize, _accumulate: bool) -> Result<()> {
        Ok(())
    }

    fn average_pool(&self, _n: usize, _pixels: usize, _c: usize, _x: usize, _y: usize) -> Result<()> {
        Ok(())
    }

    fn average_pool_backward(&self, _n: usize, _pixels: usize, _c: usize, _dy: usize, _dx: usize, _accumulate: bool) -> Result<()> {
        Ok(())
    }
}

impl Loss for Paper {
    type Metrics = BatchMetrics;
    type Arriving = Option<BatchMetrics>;

    fn softmax_cross_entropy(
        &self,
        rows: usize,
        _classes: usize,
        _smoothing: f64,
        _scale: f64,
        _logits: usize,
        _labels: &(),
        _dlogits: Option<usize>,
    ) -> Result<BatchMetrics> {
        Ok(BatchMetrics { rows: rows as u64, ..BatchMetrics::default() })
    }

    fn send_metrics(&self, metrics: BatchMetrics) -> Result<Option<BatchMetrics>> {
        Ok(Some(metrics))
    }

    fn arrived_metrics(&self, arriving: &mut Option<BatchMetrics>, _wait: bool) -> Result<Option<BatchMetrics>> {
        Ok(arriving.take())
    }
}

impl Augment for Paper {
    type Batch = ();

    fn batch(&self) -> Result<()> {
        Ok(())
    }

    /// The images are the loader's, and counted there.
    fn load(&self, _stored: StoredBatch, _batch: &mut ()) -> Result<bool> {
        Ok(true)
    }

    fn labels(_batch: &()) -> &() {
        &()
    }

    fn augment(&self, _batch: &(), _size: usize, _mean: [f32; 3], _std: [f32; 3], _out: usize) -> Result<()> {
        Ok(())
    }
}

impl Replay for Paper {
    type Recording = Infallible;

    fn records(&self) -> bool {
        false
    }

    fn record(&self, _work: &mut dyn FnMut() -> Result<()>) -> Result<Infallible> {
        Err(Error::internal("paper does not record").at("record"))
    }

    fn time_launches(&self, work: &mut dyn FnMut() -> Result<()>) -> Result<Option<Vec<Launched>>> {
        work().map(|()| None)
    }

    fn replay(&self, recording: &Infallible) -> Result<()> {
        match *recording {}
    }
}

impl Update for Paper {
    type Control = ();
    const UNDER_WAY: usize = 1;

    fn control(&self, _parameters: usize, _table: &UpdateTable, _counters: Counters) -> Result<()> {
        Ok(())
    }

    fn include_loss(&self, _control: &mut (), _metrics: &BatchMetrics) -> Result<()> {
        Ok(())
    }

    fn measure(&self, _control: &mut (), _clip: Option<f64>, _grads: usize) -> Result<()> {
        Ok(())
    }

    fn update<R: UpdateRule>(
        &self,
        _rule: &R,
        _control: &mut (),
        _groups: &ParamGroups,
        _params: usize,
        _grads: usize,
        _state: &mut Sheet,
    ) -> Result<()> {
        Ok(())
    }

    fn average(&self, _control: &(), _values: usize, _average: usize) -> Result<()> {
        Ok(())
    }

    fn restore_if_skipped(&self, _control: &(), _src: usize, _dst: usize) -> Result<()> {
        Ok(())
    }

    fn advance(&self, _control: &mut ()) -> Result<()> {
        Ok(())
    }

    fn send_report(&self, _control: &mut ()) -> Result<()> {
        Ok(())
    }

    fn reports(&self, _control: &mut (), _all: bool) -> Result<Vec<Report>> {
        Ok(Vec::new())
    }

    fn measured(&self, _control: &()) -> Result<(Measured, Counters)> {
        Ok((Measured { grad_norm: 0.0, finite: true, overflowed: false }, Counters::default()))
    }
}
