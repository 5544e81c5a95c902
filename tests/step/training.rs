//! Losses against the CPU backend's, and what must be equal to the bit.

use crate::learner::{BASIC, BOTTLENECK, Host, Narrow, Shards, apart, config, emulated, learner, same_bits, updates};
use half::bf16;
use imagenet_engine::backend::{Backend, BatchMetrics};
use imagenet_engine::checkpoint::State;
use imagenet_engine::train::config::{Config, Opt};
use imagenet_engine::train::step::Learner;

#[test]
fn ten_updates_in_f32_follow_the_cpu() {
    let shards = Shards::new();
    for depth in [BASIC, BOTTLENECK] {
        let run = |perturb: f64| {
            let config = Config { lr: Some(0.01 * perturb), ..config() };
            updates(&mut learner(Host::new(), &depth, shards.classes(), &config, None), shards.batches(0, 10), 1)
        };
        let cuda = updates(&mut learner(emulated::<f32>(), &depth, shards.classes(), &config(), None), shards.batches(0, 10), 1);
        let cpu = run(1.0);
        let worst = apart(&cuda, &cpu);
        assert_eq!(cuda.len(), 10);
        let each: Vec<String> = cuda.iter().zip(&cpu).map(|(a, b)| format!("{:.1e}", (a.loss - b.loss).abs() / b.loss)).collect();
        println!("{}: {}", depth.name, each.join(" "));
        assert!(worst < 1e-5, "{}: {worst:e}", depth.name);
        assert!(apart(&cuda, &run(1.01)) > 1e-5, "{}: another rate must show", depth.name);
    }
}

#[test]
fn ten_updates_in_bf16_stay_near_the_cpu() {
    let shards = Shards::new();
    for depth in [BASIC, BOTTLENECK] {
        let cpu = updates(&mut learner(Host::new(), &depth, shards.classes(), &config(), None), shards.batches(0, 10), 1);
        let cuda = updates(&mut learner(emulated::<bf16>(), &depth, shards.classes(), &config(), None), shards.batches(0, 10), 1);
        let worst = apart(&cuda, &cpu);
        let each: Vec<String> = cuda.iter().zip(&cpu).map(|(a, b)| format!("{:.1e}", (a.loss - b.loss).abs() / b.loss)).collect();
        println!("{}: {}", depth.name, each.join(" "));
        assert!(worst < 2e-2, "{}: {worst:e}", depth.name);
    }
}

/// Everything around the step at once: accumulation, clipping, averages, another optimizer, smoothing.
#[test]
fn what_surrounds_the_step_follows_the_cpu() {
    let shards = Shards::new();
    let config = Config {
        opt: Opt::Adamw,
        lr: Some(1e-3),
        grad_accum: 2,
        clip_grad_norm: Some(0.5),
        model_ema: true,
        model_ema_decay: 0.7,
        label_smoothing: 0.1,
        ..config()
    };
    let mut cpu = learner(Host::new(), &BASIC, shards.classes(), &config, None);
    let mut cuda = learner(emulated::<f32>(), &BASIC, shards.classes(), &config, None);
    let (a, b) = (updates(&mut cuda, shards.batches(0, 8), 2), updates(&mut cpu, shards.batches(0, 8), 2));
    assert!(a.len() == 4 && apart(&a, &b) < 1e-5, "{a:?} {b:?}");
    for (a, b) in a.iter().zip(&b) {
        assert!((a.measured.grad_norm - b.measured.grad_norm).abs() < 1e-4 * b.measured.grad_norm && a.update == b.update, "{a:?} {b:?}");
    }
    for averaged in [false, true] {
        let (a, b) = (scores(&cuda, &shards, averaged), scores(&cpu, &shards, averaged));
        assert_eq!((a.len(), b.len()), (6, 6));
        for (a, b) in a.iter().zip(&b) {
            assert!((a.loss - b.loss).abs() < 1e-4 * b.loss && a.rows == b.rows, "averaged {averaged}: {a:?} {b:?}");
        }
    }
}

/// Six batches' sums in evaluation form.
fn scores<B: Backend>(learner: &Learner<B>, shards: &Shards, averaged: bool) -> Vec<BatchMetrics> {
    let mut scorer = learner.scorer(averaged).unwrap();
    let mut sums = Vec::new();
    for batch in shards.batches(8, 6) {
        scorer.begin(batch).unwrap();
        sums.extend(scorer.sums(false).unwrap());
    }
    sums.extend(scorer.sums(true).unwrap());
    sums
}

/// A checkpoint of one backend is a checkpoint of the other, and going on from it in the middle changes no bit.
#[test]
fn going_on_in_the_middle_changes_no_bit() {
    let shards = Shards::new();
    let config = Config { model_ema: true, ..config() };
    let new = |saved| learner::<Narrow>(emulated::<bf16>(), &BOTTLENECK, shards.classes(), &config, saved);
    let mut whole = new(None);
    let mut reports = updates(&mut whole, shards.batches(0, 3), 1);
    let (state, counters) = (whole.state().unwrap(), whole.measured().unwrap().1);
    reports.extend(updates(&mut whole, shards.batches(3, 3), 1));
    let mut resumed = new(Some((&state, counters)));
    let again = updates(&mut resumed, shards.batches(3, 3), 1);
    assert!(reports[3..] == again[..] && same_bits(&whole.state().unwrap(), &resumed.state().unwrap()));
    let mut on_cpu = learner(Host::new(), &BOTTLENECK, shards.classes(), &config, Some((&state, counters)));
    assert!(apart(&updates(&mut on_cpu, shards.batches(3, 3), 1), &again) < 2e-2);
}

#[test]
fn a_weight_that_is_not_a_number_is_seen_at_once_and_changes_nothing() {
    let shards = Shards::new();
    let mut calm = learner(emulated::<bf16>(), &BASIC, shards.classes(), &config(), None);
    updates(&mut calm, shards.batches(0, 2), 1);
    let (mut state, counters) = (calm.state().unwrap(), calm.measured().unwrap().1);
    let middle = state.weights.len() / 2;
    state.weights[middle] = f32::NAN;
    let mut broken = learner(emulated::<bf16>(), &BASIC, shards.classes(), &config(), Some((&state, counters)));
    let reports = updates(&mut broken, shards.batches(2, 2), 1);
    assert!(reports.iter().all(|r| !r.measured.finite) && reports[1].skipped == 2, "{reports:?}");
    assert!(same_bits(&broken.state().unwrap(), &State { ..state }), "nothing changed");
}
