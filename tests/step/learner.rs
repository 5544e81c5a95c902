//! Small ResNets of both kinds on pictures from shards.

use half::bf16;
use imagenet_engine::backend::{Backend, Counters, Report};
use imagenet_engine::checkpoint::State;
use imagenet_engine::cpu::Cpu;
use imagenet_engine::cuda::Element;
use imagenet_engine::cuda::backend::Cuda;
use imagenet_engine::cuda::emulated::{Emulator, Schedule};
use imagenet_engine::data::loader::{Loader, LoaderOptions, Source};
use imagenet_engine::data::{Dataset, Split, demo};
use imagenet_engine::models::{Depth, Model};
use imagenet_engine::train::config::Config;
use imagenet_engine::train::plan::Plan;
use imagenet_engine::train::step::{Learner, Pictures};
use imagenet_engine::train::trainer::pictures;
use std::sync::Arc;

// Two stages: with all four, a picture of 32x32 ends as one pixel, and a normalisation over four numbers magnifies any rounding.
pub const BASIC: Depth = Depth { name: "basic", blocks: [1, 1, 0, 0], bottleneck: false, width: 16 };
pub const BOTTLENECK: Depth = Depth { name: "bottleneck", blocks: [1, 1, 0, 0], bottleneck: true, width: 16 };
pub const BATCH: usize = 16;
const SIDE: usize = 32;
/// Order and crops of the pictures. In some orders a value lies within rounding of zero and passes a ReLU on one device alone: then the
/// gradients differ by a step, on any two devices. In this one none does within ten updates.
const ORDER: u64 = 1;

/// Batches of real shards, augmented as in training: the same for the same numbers.
pub struct Shards {
    _folder: tempfile::TempDir,
    source: Arc<dyn Source>,
}

impl Shards {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let packed = folder.path().join("train");
        demo::write(&packed, Split::Train, 240, 1).unwrap();
        Self { source: Arc::new(Dataset::open(&packed).unwrap()), _folder: folder }
    }

    /// `count` batches from number `first` on.
    pub fn batches(&self, first: u64, count: usize) -> Vec<Pictures> {
        let options = LoaderOptions { first_batch: first, ..LoaderOptions::train(BATCH, SIDE as u32, (0.35, 1.0), ORDER, 1) };
        Loader::new(self.source.clone(), &options).unwrap().take(count).map(|b| pictures(b.unwrap(), SIDE)).collect()
    }

    pub fn classes(&self) -> usize {
        self.source.classes().len()
    }
}

pub fn emulated<T: Element>() -> Cuda<Emulator, T> {
    Cuda::new(Emulator::new(Schedule::default())).unwrap()
}

pub fn config() -> Config {
    // At higher rates runs on sixteen pictures an update magnify rounding within ten updates, on any two devices.
    Config { batch_size: BATCH, epochs: 1, lr: Some(0.01), warmup_epochs: Some(0.2), ..Config::default() }
}

/// A learner fresh from the seed, or at `saved`.
pub fn learner<B: Backend>(backend: B, depth: &Depth, classes: usize, config: &Config, saved: Option<(&State, Counters)>) -> Learner<B> {
    let model = Model::of(depth, classes, false).unwrap();
    let plan = Plan::new(config, (20 * BATCH * config.grad_accum) as u64).unwrap();
    let options = plan.learner_options(config, &model);
    let fresh = State::fresh(model.layout.init(7), model.layout.init_running());
    let (state, counters) = saved.unwrap_or((&fresh, Counters::default()));
    Learner::new(backend, model, options, state, counters).unwrap()
}

/// Updates over `batches`, and what became of them.
pub fn updates<B: Backend>(learner: &mut Learner<B>, batches: Vec<Pictures>, grad_accum: usize) -> Vec<Report> {
    let mut reports = Vec::new();
    for (i, batch) in batches.into_iter().enumerate() {
        learner.accumulate(batch, None).unwrap();
        if (i + 1) % grad_accum == 0 {
            learner.apply().unwrap();
            reports.extend(learner.reports(false).unwrap());
        }
    }
    reports.extend(learner.reports(true).unwrap());
    reports
}

/// The largest relative difference of losses.
pub fn apart(a: &[Report], b: &[Report]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a.loss - b.loss).abs() / b.loss).fold(0.0, f64::max)
}

pub fn same_bits(a: &State, b: &State) -> bool {
    let bits = |v: &[f32]| v.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    let all = |s: &State| [&s.weights, &s.running, &s.optimizer, &s.average_weights, &s.average_running].map(|v| bits(v));
    all(a) == all(b)
}

pub type Narrow = Cuda<Emulator, bf16>;
pub type Host = Cpu<f32>;
