//! Losses and logits against PyTorch from the same weights and pixels, both made from one integer formula; see golden/make_parity.py.

use imagenet_engine::backend::{Counters, Crop, Memory, PictureView, StoredBatch};
use imagenet_engine::checkpoint::State;
use imagenet_engine::cpu::Cpu;
use imagenet_engine::models::Model;
use imagenet_engine::nn::Layout;
use imagenet_engine::train::config::{Config, Sched};
use imagenet_engine::train::plan::Plan;
use imagenet_engine::train::step::{self, Learner, Pictures};

const BATCH: u64 = 32;
const SIZE: u64 = 64;
const CLASSES: u64 = 10;
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const STD: [f32; 3] = [0.229, 0.224, 0.225];

fn mix(v: u64) -> u64 {
    let z = v.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

fn uniform(tensor: u64, i: u64) -> f32 {
    ((mix(tensor * (1 << 32) + i) >> 40) as f64 / 8_388_608.0 - 1.0) as f32
}

/// The script's `formula_weights`, tensor by tensor in the order of torch's state dict.
fn formula_weights(layout: &Layout) -> State {
    let mut weights = vec![0.0; layout.len()];
    let mut running = vec![0.0; layout.running_len()];
    let mut index = 0;
    for entry in &layout.params {
        let torch_order: Vec<f32> = (0..entry.param.range.len() as u64)
            .map(|i| {
                let u = uniform(index, i);
                match (entry.shape.as_slice(), entry.name.as_str()) {
                    (&[_, c, r, s], _) => u * 2f32.powi((6.0 / (c * r * s) as f64).sqrt().log2().round_ties_even() as i32),
                    (_, "fc.weight") => u / 16.0,
                    (_, n) if ["bn1.weight", "bn2.weight", "downsample.1.weight"].iter().any(|e| n.ends_with(e)) => 1.0 + u / 8.0,
                    _ => u / 8.0,
                }
            })
            .collect();
        index += 1;
        let at = &mut weights[entry.param.range.clone()];
        match *entry.shape.as_slice() {
            [k, c, r, s] => {
                for (i, v) in torch_order.into_iter().enumerate() {
                    let (ki, ci, rs) = (i / (c * r * s), i / (r * s) % c, i % (r * s));
                    at[(ki * r * s + rs) * c + ci] = v;
                }
                assert!(k > 0);
            }
            _ => at.copy_from_slice(&torch_order),
        }
        // In torch's order the statistics follow the shift of their norm.
        if let Some(norm) = layout.running.iter().find(|r| format!("{}.bias", r.prefix) == entry.name) {
            let at = &mut running[norm.slot.0.clone()];
            for i in 0..norm.channels {
                at[i] = uniform(index, i as u64) / 8.0;
                at[norm.channels + i] = 1.0 + uniform(index + 1, i as u64) / 8.0;
            }
            index += 2;
        }
    }
    State::fresh(weights, running)
}

fn batch(step: u64) -> Pictures {
    let (mut pixels, mut labels, mut views) = (Vec::new(), Vec::new(), Vec::new());
    for n in step * BATCH..(step + 1) * BATCH {
        let label = mix(n + (1 << 40)) % CLASSES;
        let crop = Crop::resized((0, 0, SIZE as u32, SIZE as u32), SIZE as u32, false);
        views.push(PictureView { offset: pixels.len(), width: SIZE as u32, height: SIZE as u32, crop });
        labels.push(label as u32);
        for y in 0..SIZE {
            for x in 0..SIZE {
                for c in 0..3 {
                    let noise = mix(((n * SIZE + y) * SIZE + x) * 3 + c + (1 << 41)) % 128;
                    let pattern = ((x / 8) * (label + 1) + (y / 8) * (label / 2) + c * label) % 8 * 16;
                    pixels.push((noise + pattern) as u8);
                }
            }
        }
    }
    Pictures { stored: StoredBatch { pixels: pixels.into(), views, labels }, size: SIZE as usize, mean: MEAN, std: STD }
}

fn golden() -> serde_json::Value {
    serde_json::from_str(include_str!("golden/parity.json")).unwrap()
}

fn numbers(key: &str) -> Vec<f64> {
    golden()[key].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn learner(lr: f64) -> Learner<Cpu<f32>> {
    let config = Config {
        model: "resnet18".into(),
        batch_size: BATCH as usize,
        epochs: 1,
        lr: Some(lr),
        sched: Sched::Constant,
        nesterov: true,
        weight_decay: Some(5e-4),
        ..Config::default()
    };
    let model = Model::new("resnet18", CLASSES as usize, false).unwrap();
    let plan = Plan::new(&config, 20 * BATCH).unwrap();
    let state = formula_weights(&model.layout);
    let options = plan.learner_options(&config, &model);
    Learner::new(Cpu::new(), model, options, &state, Counters::default()).unwrap()
}

fn losses(lr: f64) -> Vec<f64> {
    let mut learner = learner(lr);
    (0..20)
        .map(|step| {
            learner.accumulate(batch(step), None).unwrap();
            learner.apply().unwrap();
            learner.reports(true).unwrap()[0].loss
        })
        .collect()
}

fn worst(ours: &[f64], theirs: &[f64]) -> f64 {
    ours.iter().zip(theirs).map(|(a, b)| (a - b).abs() / b).fold(0.0, f64::max)
}

#[test]
fn the_formula_makes_the_same_pictures() {
    let first = batch(0);
    assert_eq!(first.stored.pixels.iter().map(|&p| u64::from(p)).sum::<u64>(), golden()["pixel_sum"].as_u64().unwrap());
    let labels: Vec<f64> = first.stored.labels.iter().map(|&l| f64::from(l)).collect();
    assert_eq!(labels, numbers("labels"));
}

#[test]
fn training_losses_are_torchs() {
    let ours = losses(5e-4);
    for key in ["losses_f32", "losses_f64"] {
        let theirs = numbers(key);
        assert!(worst(&ours[..5], &theirs[..5]) < 1e-4, "{key}: {:e} in {ours:?}", worst(&ours[..5], &theirs[..5]));
        assert!(worst(&ours, &theirs) < 2e-3, "{key}: {:e} in {ours:?}", worst(&ours, &theirs));
    }
    // The comparison notices a rate that is wrong by 2%.
    assert!(worst(&losses(5.1e-4), &numbers("losses_f64")) > 2e-3);
}

#[test]
fn evaluation_logits_are_torchs() {
    let model = Model::new("resnet18", CLASSES as usize, false).unwrap();
    let state = formula_weights(&model.layout);
    let backend = Cpu::<f32>::new();
    let (weights, running) = (backend.upload(&state.weights).unwrap(), backend.upload(&state.running).unwrap());
    let ours = step::logits(&backend, &model, &weights, &running, batch(0)).unwrap();
    for (a, b) in ours.iter().zip(numbers("eval_logits")) {
        assert!((f64::from(*a) - b).abs() < 1e-3, "{a} {b}");
    }
}
