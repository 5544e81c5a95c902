//! Numbers that are not finite, put into twenty places of a run: seen within two updates, or not saved.

use crate::learner::{learner, learner_from, pictures};
use imagenet_engine::backend::Counters;
use imagenet_engine::checkpoint;
use imagenet_engine::models::Model;
use imagenet_engine::rng::{Purpose, Stream};
use imagenet_engine::train::config::{Config, Opt, Sched};
use imagenet_engine::train::step::Pictures;

/// After how many updates something was said, of a run whose state or input `spoil` changed.
fn seen(config: &Config, spoil: impl FnOnce(&mut checkpoint::State), input: impl Fn(Pictures) -> Pictures) -> Option<u64> {
    let mut first = learner(config);
    first.accumulate(pictures(0), None).unwrap();
    first.apply().unwrap();
    assert!(first.measured().unwrap().0.finite, "before anything was spoilt");
    let mut state = first.state().unwrap();
    spoil(&mut state);
    let mut learner = learner_from(config, Some((&state, Counters { step: 1, skipped: 0 })));
    for update in 1..=3 {
        learner.accumulate(input(pictures(update)), None).unwrap();
        learner.apply().unwrap();
        let measured = learner.measured().unwrap().0;
        if !measured.finite || measured.overflowed {
            return Some(update);
        }
    }
    None
}

#[test]
fn twenty_places_are_seen_within_two_updates() {
    let mut s = Stream::new(91, Purpose::Test, 0, 0);
    let mut tried = 0;
    let model = Model::new("resnet18", 5, false).unwrap();
    for (n, value) in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::NAN].into_iter().enumerate() {
        for opt in [Opt::Sgd, Opt::Adamw] {
            let config = Config { opt, sched: Sched::Constant, epochs: 1, lr: Some(0.01), ..Config::default() };
            assert_eq!(seen(&config, |_| (), |p| p), None, "a false alarm");
            let at = s.uniform_f32();
            let somewhere = |len: usize| ((at * len as f32) as usize).min(len - 1);
            let weight = seen(
                &config,
                |state| {
                    let at = somewhere(state.weights.len());
                    state.weights[at] = value
                },
                |p| p,
            );
            let momentum = seen(
                &config,
                |state| {
                    let at = somewhere(state.optimizer.len());
                    state.optimizer[at] = value
                },
                |p| p,
            );
            let input = seen(&config, |_| (), |p| Pictures { mean: [value, 0.5, 0.5], ..p });
            for (place, seen) in [("weight", weight), ("optimizer", momentum), ("input", input)] {
                assert!(seen.is_some_and(|after| after <= 2), "{value} in {place} ({opt:?}): {seen:?}");
                tried += 1;
            }
            // What no update looks at is found before it is saved.
            let mut state = checkpoint::State::fresh(model.layout.init(3), model.layout.init_running());
            assert_eq!(checkpoint::not_finite(&model, &state), None);
            let places = state.running.len();
            state.running[(n * 977 + 5) % places] = value;
            assert!(checkpoint::not_finite(&model, &state).is_some(), "{value} in the running statistics");
        }
    }
    assert!(tried >= 20, "{tried}");
    eprintln!("{tried} places of weights, optimizer state and input: each seen within two updates; 8 of running statistics: not saved");
}
