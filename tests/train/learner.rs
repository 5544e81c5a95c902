//! A small learner on random pictures, driven update by update.

use imagenet_engine::backend::{Counters, Crop, PictureView, StoredBatch};
use imagenet_engine::checkpoint::State;
use imagenet_engine::cpu::Cpu;
use imagenet_engine::models::Model;
use imagenet_engine::rng::{Purpose, Stream};
use imagenet_engine::train::config::Config;
use imagenet_engine::train::plan::Plan;
use imagenet_engine::train::step::{Learner, Pictures};

const SIDE: usize = 32;
const BATCH: usize = 4;
const CLASSES: usize = 5;

/// ResNet-18 for pictures of 32x32 under `config`, an epoch of 20 updates.
pub fn learner(config: &Config) -> Learner<Cpu<f32>> {
    learner_from(config, None)
}

/// The same at a state saved after so many updates.
pub fn learner_from(config: &Config, saved: Option<(&State, Counters)>) -> Learner<Cpu<f32>> {
    let config = Config { model: "resnet18".into(), batch_size: BATCH, ..config.clone() };
    let model = Model::new("resnet18", CLASSES, false).unwrap();
    let plan = Plan::new(&config, (20 * BATCH * config.grad_accum) as u64).unwrap();
    let fresh = State::fresh(model.layout.init(7), model.layout.init_running());
    let (state, counters) = saved.unwrap_or((&fresh, Counters::default()));
    let options = plan.learner_options(&config, &model);
    Learner::new(Cpu::new(), model, options, state, counters).unwrap()
}

/// Random pictures; the same for the same number.
pub fn pictures(number: u64) -> Pictures {
    let mut stream = Stream::new(11, Purpose::Test, 0, number);
    let pixels = (0..BATCH * SIDE * SIDE * 3).map(|_| stream.below(256) as u8).collect::<Vec<_>>().into();
    let labels = (0..BATCH).map(|_| stream.below(CLASSES as u32)).collect();
    let side = SIDE as u32;
    let crop = Crop::resized((0, 0, side, side), side, false);
    let views = (0..BATCH).map(|i| PictureView { offset: i * SIDE * SIDE * 3, width: side, height: side, crop }).collect();
    Pictures { stored: StoredBatch { pixels, views, labels }, size: SIDE, mean: [0.5; 3], std: [0.25; 3] }
}

/// Pictures whose normalisation divides by zero: their activations are infinite or NaN.
pub fn broken_pictures(number: u64) -> Pictures {
    Pictures { std: [0.0; 3], ..pictures(number) }
}
