//! The training step: what changes from update to update lives here, on the device.

use crate::autograd::{Profile, Tape, Value};
use crate::backend::{Backend, BatchMetrics, ParamGroups, PictureView};
use crate::checkpoint::State;
use crate::error::Result;
use crate::models::Model;
use crate::ops;
use crate::optim::Rule;
use crate::shape::Shape;
use crate::tensor::Tensor;

/// What a learner needs to know besides the model.
#[derive(Clone, Debug)]
pub struct LearnerOptions {
    pub rule: Rule,
    pub groups: ParamGroups,
    /// Rate of each update.
    pub lr: Vec<f32>,
    /// Momentum of each update.
    pub momentum: Vec<f32>,
    pub label_smoothing: f64,
    /// Batches per update.
    pub grad_accum: usize,
}

/// Pictures as stored, and how each becomes an input of `size` x `size`.
pub struct Pictures {
    pub pixels: Vec<u8>,
    pub views: Vec<PictureView>,
    pub labels: Vec<u32>,
    pub size: usize,
    pub mean: [f32; 3],
    pub std: [f32; 3],
}

/// A model in training on a device.
pub struct Learner<B: Backend> {
    backend: B,
    model: Model,
    options: LearnerOptions,
    weights: B::Buffer,
    running: B::Buffer,
    grads: B::Buffer,
    optimizer: B::Buffer,
    schedule: B::Schedule,
    /// Batches since the last update.
    batches: usize,
}

impl<B: Backend> Learner<B> {
    /// A learner that has done `updates` updates and stands at `state`. An empty `state.optimizer` means a fresh one.
    ///
    /// # Errors
    /// Those of the device.
    pub fn new(backend: B, model: Model, options: LearnerOptions, state: &State, updates: u64) -> Result<Self> {
        let len = model.layout.len();
        let optimizer = match state.optimizer.as_slice() {
            [] => backend.zeros(options.rule.state() * len)?,
            saved => backend.upload(saved)?,
        };
        Ok(Self {
            weights: backend.upload(&state.weights)?,
            running: backend.upload(&state.running)?,
            grads: backend.zeros(len)?,
            optimizer,
            schedule: backend.schedule(&options.lr, &options.momentum, updates)?,
            batches: 0,
            backend,
            model,
            options,
        })
    }

    pub fn backend(&self) -> &B {
        &self.backend
    }

    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Forward and backward of one batch, adding to the gradients of the update in the making. Returns the batch's sums.
    ///
    /// # Errors
    /// Those of the device, and of pictures too small for the network.
    pub fn accumulate(&mut self, pictures: Pictures, profile: Option<&mut Profile>) -> Result<BatchMetrics> {
        let labels = self.backend.upload_labels(&pictures.labels)?;
        let mut tape = Tape::training(&self.backend, &self.weights, &mut self.running).profiled(profile);
        let x = input(&self.backend, pictures)?;
        tape.lap("augment", false);
        let logits = self.model.forward(&mut tape, &x)?;
        let scale = 1.0 / self.options.grad_accum as f64;
        let (metrics, grad) = ops::cross_entropy(&tape, &logits, &labels, self.options.label_smoothing, scale)?;
        tape.backward(&logits, grad, &mut self.grads, self.batches > 0)?;
        self.batches += 1;
        self.backend.metrics(metrics)
    }

    /// Applies the accumulated gradients: one update.
    ///
    /// # Errors
    /// Those of the device.
    pub fn apply(&mut self) -> Result<()> {
        self.batches = 0;
        let (params, grads) = (B::all_mut(&mut self.weights), B::all(&self.grads));
        self.options.rule.apply(&self.backend, &mut self.schedule, &self.options.groups, params, grads, &mut self.optimizer)
    }

    /// Sums over one batch in evaluation form, without smoothing.
    ///
    /// # Errors
    /// As [`Self::accumulate`].
    pub fn score(&self, pictures: Pictures) -> Result<BatchMetrics> {
        score(&self.backend, &self.model, &self.weights, &self.running, pictures)
    }

    /// Everything to go on from, on the host.
    ///
    /// # Errors
    /// Those of the device.
    pub fn state(&self) -> Result<State> {
        let host = |buffer: &B::Buffer| {
            let mut values = vec![0.0; B::len(buffer)];
            self.backend.read(B::all(buffer), &mut values).map(|()| values)
        };
        Ok(State { weights: host(&self.weights)?, running: host(&self.running)?, optimizer: host(&self.optimizer)? })
    }
}

/// Sums over one batch in evaluation form.
///
/// # Errors
/// Those of the device.
pub fn score<B: Backend>(backend: &B, model: &Model, weights: &B::Buffer, running: &B::Buffer, pictures: Pictures) -> Result<BatchMetrics> {
    let labels = backend.upload_labels(&pictures.labels)?;
    let mut tape = Tape::evaluation(backend, weights, running);
    let x = input(backend, pictures)?;
    let logits = model.forward(&mut tape, &x)?;
    let metrics = ops::score(&tape, &logits, &labels)?;
    backend.metrics(metrics)
}

/// Logits `[pictures, classes]` in evaluation form, on the host.
///
/// # Errors
/// Those of the device.
pub fn logits<B: Backend>(backend: &B, model: &Model, weights: &B::Buffer, running: &B::Buffer, pictures: Pictures) -> Result<Vec<f32>> {
    let mut tape = Tape::evaluation(backend, weights, running);
    let x = input(backend, pictures)?;
    let y = model.forward(&mut tape, &x)?;
    let mut host = vec![0.0; y.shape().len()];
    backend.read(y.view(), &mut host)?;
    Ok(host)
}

fn input<B: Backend>(backend: &B, pictures: Pictures) -> Result<Value<B>> {
    let (n, size) = (pictures.views.len(), pictures.size);
    let shape = Shape::new([n, size, size, 3]);
    let mut x = backend.empty(shape.len())?;
    let bytes = backend.upload_bytes(pictures.pixels)?;
    backend.augment(&bytes, &pictures.views, size, pictures.mean, pictures.std, B::all_mut(&mut x))?;
    Ok(Value::constant(Tensor::new(x, shape)))
}
