//! The training step: what changes from update to update lives here, on the device.

use super::score::Scorer;
use crate::autograd::{Profile, Tape, Value};
use crate::backend::{Backend, Counters, Measured, ParamGroups, Report, StoredBatch, UpdateTable};
use crate::checkpoint::State;
use crate::error::{Error, Result};
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
    pub table: UpdateTable,
    /// Global norm to clip gradients to.
    pub clip: Option<f64>,
    pub label_smoothing: f64,
    /// Batches per update.
    pub grad_accum: usize,
}

/// A batch as stored, and how its pictures become inputs of `size` x `size`.
pub struct Pictures {
    pub stored: StoredBatch,
    pub size: usize,
    pub mean: [f32; 3],
    pub std: [f32; 3],
}

/// What of a batch a recording depends on.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Input {
    count: usize,
    size: usize,
    mean: [f32; 3],
    std: [f32; 3],
}

/// A part of the step that is recorded as one.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Work {
    /// Forward and backward of a batch: the update's first, or one that adds to it.
    Batch {
        input: Input,
        first: bool,
    },
    Apply,
}

/// A model in training on a device.
pub struct Learner<B: Backend> {
    backend: B,
    model: Model,
    options: LearnerOptions,
    weights: B::Buffer,
    running: B::Buffer,
    /// The running statistics before the update in the making, which a skipped update brings back.
    running_before: B::Buffer,
    grads: B::Buffer,
    optimizer: B::Buffer,
    average: Option<Average<B>>,
    control: B::Control,
    batch: B::Batch,
    /// Batches since the last update.
    batches: usize,
    /// Work done once without recording, which is when memory is found and kernels are loaded; the second time it is recorded.
    done: Vec<Work>,
    recordings: Vec<(Work, B::Recording)>,
}

/// The moving averages of weights and running statistics.
struct Average<B: Backend> {
    weights: B::Buffer,
    running: B::Buffer,
}

impl<B: Backend> Learner<B> {
    /// A learner that stands at `state` after `counters`. Before the first step an empty `state.optimizer` means a fresh one; a missing
    /// average begins at the weights.
    ///
    /// # Errors
    /// `Data` if the optimizer's state is not of this rule; those of the device.
    pub fn new(backend: B, model: Model, options: LearnerOptions, state: &State, counters: Counters) -> Result<Self> {
        let len = model.layout.len();
        let optimizer = match state.optimizer.as_slice() {
            [] if counters.step > counters.skipped && options.rule.state() > 0 => {
                return Err(Error::data(format!("the checkpoint after {} steps holds no optimizer state", counters.step))
                    .at(format!("--opt {} keeps {} numbers a parameter", options.rule.name(), options.rule.state()))
                    .because("another program wrote or changed the file: tensors optimizer.* are gone")
                    .next("an earlier file of the checkpoints folder; or --init FILE to start a new run from the weights"));
            }
            [] => backend.zeros(options.rule.state() * len)?,
            saved if saved.len() == options.rule.state() * len => backend.upload(saved)?,
            saved => {
                return Err(Error::data(format!("the checkpoint's optimizer keeps {} numbers a parameter", saved.len() / len.max(1)))
                    .at(format!("--opt {} keeps {}", options.rule.name(), options.rule.state()))
                    .because("the run was begun with another optimizer")
                    .next("the same --opt; or --init FILE to start a new run from the weights"));
            }
        };
        let average = if options.table.average_decay.is_empty() {
            None
        } else {
            let of = |saved: &[f32], own: &[f32]| backend.upload(if saved.is_empty() { own } else { saved });
            Some(Average { weights: of(&state.average_weights, &state.weights)?, running: of(&state.average_running, &state.running)? })
        };
        Ok(Self {
            weights: backend.upload_weights(&state.weights)?,
            running: backend.upload(&state.running)?,
            running_before: backend.upload(&state.running)?,
            grads: backend.zeros(len)?,
            optimizer,
            average,
            control: backend.control(len, &options.table, counters)?,
            batch: backend.batch()?,
            batches: 0,
            done: Vec::new(),
            recordings: Vec::new(),
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

    /// Forward and backward of one batch, adding to the gradients of the update in the making. Its loss comes with the update's report.
    ///
    /// # Errors
    /// Those of the device, and of pictures too small for the network.
    pub fn accumulate(&mut self, pictures: Pictures, profile: Option<&mut Profile>) -> Result<()> {
        let Pictures { stored, size, mean, std } = pictures;
        let input = Input { count: stored.views.len(), size, mean, std };
        if self.backend.load(stored, &mut self.batch)? {
            self.recordings.retain(|(work, _)| *work == Work::Apply);
        }
        let first = self.batches == 0;
        self.batches += 1;
        self.run(Work::Batch { input, first }, profile)
    }

    /// Applies the accumulated gradients: one update. Where a loss or a gradient is not finite nothing changes but the counters, and the
    /// running statistics go back to before the update's first batch.
    ///
    /// # Errors
    /// Those of the device.
    pub fn apply(&mut self) -> Result<()> {
        self.batches = 0;
        self.run(Work::Apply, None)?;
        self.backend.send_report(&mut self.control)
    }

    /// The next update is done kernel by kernel; that after it is recorded anew.
    pub fn forget_recordings(&mut self) {
        self.done.clear();
        self.recordings.clear();
    }

    /// Replays `work`, or does it. A profile wants every op by itself.
    fn run(&mut self, work: Work, profile: Option<&mut Profile>) -> Result<()> {
        if let (None, Some((_, recording))) = (&profile, self.recordings.iter().find(|(w, _)| *w == work)) {
            return self.backend.replay(recording);
        }
        if profile.is_some() || !self.backend.records() {
            return self.execute(work, profile);
        }
        if !self.done.contains(&work) {
            self.done.push(work);
            return self.execute(work, None);
        }
        let backend = self.backend.clone();
        let recording = backend.record(&mut || self.execute(work, None))?;
        backend.replay(&recording)?;
        self.recordings.push((work, recording));
        Ok(())
    }

    fn execute(&mut self, work: Work, profile: Option<&mut Profile>) -> Result<()> {
        match work {
            Work::Batch { input, first } => self.forward_backward(&input, first, profile),
            Work::Apply => self.update(),
        }
    }

    fn forward_backward(&mut self, input: &Input, first: bool, profile: Option<&mut Profile>) -> Result<()> {
        if first {
            self.backend.copy(B::all(&self.running), B::all_mut(&mut self.running_before))?;
        }
        let mut tape = Tape::training(&self.backend, &self.weights, &mut self.running).profiled(profile);
        let x = augment(&self.backend, &self.batch, input)?;
        tape.lap("augment", false);
        let logits = self.model.forward(&mut tape, &x)?;
        let scale = 1.0 / self.options.grad_accum as f64;
        let labels = B::labels(&self.batch);
        let (metrics, grad) = ops::cross_entropy(&tape, &logits, labels, self.options.label_smoothing, scale)?;
        tape.backward(&logits, grad, &mut self.grads, !first)?;
        self.backend.include_loss(&mut self.control, &metrics)
    }

    fn update(&mut self) -> Result<()> {
        let (backend, control) = (&self.backend, &mut self.control);
        let grads = B::all(&self.grads);
        backend.measure(control, self.options.clip, grads)?;
        self.options.rule.apply(backend, control, &self.options.groups, B::all_mut(&mut self.weights), grads, &mut self.optimizer)?;
        backend.restore_if_skipped(control, B::all(&self.running_before), B::all_mut(&mut self.running))?;
        if let Some(average) = &mut self.average {
            backend.average(control, B::all(&self.weights), B::all_mut(&mut average.weights))?;
            backend.average(control, B::all(&self.running), B::all_mut(&mut average.running))?;
        }
        backend.advance(control)
    }

    /// What became of the updates: those that the device has told, or with `all` every one since the last call. Oldest first.
    ///
    /// # Errors
    /// Those of the device.
    pub fn reports(&mut self, all: bool) -> Result<Vec<Report>> {
        self.backend.reports(&mut self.control, all)
    }

    /// What the last update measured, and the counters after it. Waits for the device.
    ///
    /// # Errors
    /// Those of the device.
    pub fn measured(&self) -> Result<(Measured, Counters)> {
        self.backend.measured(&self.control)
    }

    /// Whether a moving average is kept.
    pub fn averages(&self) -> bool {
        self.average.is_some()
    }

    /// Scores batches in evaluation form: with the moving average of the weights where `averaged`, and one is kept.
    ///
    /// # Errors
    /// Those of the device.
    pub fn scorer(&self, averaged: bool) -> Result<Scorer<'_, B>> {
        let (weights, running) = match &self.average {
            Some(average) if averaged => (&average.weights, &average.running),
            _ => (&self.weights, &self.running),
        };
        Scorer::new(&self.backend, &self.model, weights, running)
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
        let (average_weights, average_running) = match &self.average {
            Some(average) => (host(&average.weights)?, host(&average.running)?),
            None => Default::default(),
        };
        let (weights, running, optimizer) = (host(&self.weights)?, host(&self.running)?, host(&self.optimizer)?);
        Ok(State { weights, running, optimizer, average_weights, average_running })
    }
}

/// Logits `[pictures, classes]` in evaluation form, on the host.
///
/// # Errors
/// Those of the device.
pub fn logits<B: Backend>(backend: &B, model: &Model, weights: &B::Buffer, running: &B::Buffer, pictures: Pictures) -> Result<Vec<f32>> {
    let mut tape = Tape::evaluation(backend, weights, running);
    let x = input(backend, pictures, &mut backend.batch()?)?;
    let y = model.forward(&mut tape, &x)?;
    let mut host = vec![0.0; y.shape().len()];
    backend.read(y.view(), &mut host)?;
    Ok(host)
}

/// Pictures loaded into `batch`, as inputs of the network.
pub(super) fn input<B: Backend>(backend: &B, pictures: Pictures, batch: &mut B::Batch) -> Result<Value<B>> {
    let Pictures { stored, size, mean, std } = pictures;
    let input = Input { count: stored.views.len(), size, mean, std };
    backend.load(stored, batch)?;
    augment(backend, batch, &input)
}

fn augment<B: Backend>(backend: &B, batch: &B::Batch, input: &Input) -> Result<Value<B>> {
    let shape = Shape::new([input.count, input.size, input.size, 3]);
    let mut x = backend.empty(shape.len())?;
    backend.augment(batch, input.size, input.mean, input.std, B::all_mut(&mut x))?;
    Ok(Value::constant(Tensor::new(x, shape)))
}
