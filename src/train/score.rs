//! Evaluation form on a device: sums of one batch after the other, which come back a few batches late, so that the host never waits for
//! one before it sends the next.

use super::step::{Pictures, input};
use crate::autograd::Tape;
use crate::backend::{Backend, BatchMetrics};
use crate::error::Result;
use crate::models::Model;
use crate::ops;
use std::collections::VecDeque;

/// Batches whose sums may be under way.
const UNDER_WAY: usize = 4;

/// Weights and running statistics, and what is being computed with them.
pub struct Scorer<'a, B: Backend> {
    backend: &'a B,
    model: &'a Model,
    weights: &'a B::Buffer,
    running: &'a B::Buffer,
    batch: B::Batch,
    under_way: VecDeque<B::Arriving>,
}

impl<'a, B: Backend> Scorer<'a, B> {
    /// # Errors
    /// Those of the device.
    pub fn new(backend: &'a B, model: &'a Model, weights: &'a B::Buffer, running: &'a B::Buffer) -> Result<Self> {
        Ok(Self { backend, model, weights, running, batch: backend.batch()?, under_way: VecDeque::new() })
    }

    /// Begins a batch: loss without smoothing, top-1 and top-5.
    ///
    /// # Errors
    /// Those of the device, and of pictures too small for the network.
    pub fn begin(&mut self, pictures: Pictures) -> Result<()> {
        let mut tape = Tape::evaluation(self.backend, self.weights, self.running);
        let x = input(self.backend, pictures, &mut self.batch)?;
        let logits = self.model.forward(&mut tape, &x)?;
        let metrics = ops::score(&tape, &logits, B::labels(&self.batch))?;
        self.under_way.push_back(self.backend.send_metrics(metrics)?);
        Ok(())
    }

    /// Sums that have come, or with `all` those of every batch begun; oldest first.
    ///
    /// # Errors
    /// Those of the device.
    pub fn sums(&mut self, all: bool) -> Result<Vec<BatchMetrics>> {
        let mut come = Vec::new();
        while !self.under_way.is_empty() {
            let wait = all || self.under_way.len() >= UNDER_WAY;
            let Some(next) = self.under_way.front_mut() else { break };
            let Some(sums) = self.backend.arrived_metrics(next, wait)? else { break };
            self.under_way.pop_front();
            come.push(sums);
        }
        Ok(come)
    }
}
