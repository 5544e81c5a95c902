//! What must hold for every schedule, by random testing.

use imagenet_engine::data::loader::LoaderOptions;
use imagenet_engine::models::Model;
use imagenet_engine::schedule::{Curve, Schedule};
use imagenet_engine::train::config::{AnnealShape, Config, Sched};
use imagenet_engine::train::plan::Plan;
use proptest::prelude::*;

fn sched() -> impl Strategy<Value = Sched> {
    prop_oneof![
        Just(Sched::Cosine),
        Just(Sched::Onecycle),
        Just(Sched::Step),
        Just(Sched::Multistep),
        Just(Sched::Sgdr),
        Just(Sched::Poly),
        Just(Sched::Linear),
        Just(Sched::Constant)
    ]
}

prop_compose! {
    /// Settings as a user might give them; not all make sense.
    fn settings()(
        (sched, epochs, peak) in (sched(), 1u64..40, 1e-6..8.0f64),
        (warmup_epochs, min_lr) in (prop::option::of(0.0..12.0f64), prop_oneof![Just(1e-6), Just(0.0), 0.0..0.1f64]),
        (decay_epochs, decay_rate, decay_milestones) in (0.01..50.0f64, 0.01..1.0f64, prop::collection::vec(0.0..50.0f64, 0..4)),
        (cycle_epochs, cycle_mul, cycle_decay) in (prop::option::of(0.0..20.0f64), 1u64..5, 0.1..1.0f64),
        (pct_start, div_factor, final_div_factor) in (0.0..1.0f64, 1.0..100.0f64, 1.0..1e5f64),
        (three_phase, linear, cycle_momentum, poly_power) in (any::<bool>(), any::<bool>(), any::<bool>(), 0.1..5.0f64),
    ) -> Config {
        Config {
            sched, epochs, lr: Some(peak), warmup_epochs, min_lr, decay_epochs, decay_rate, decay_milestones, cycle_epochs, cycle_mul,
            cycle_decay, pct_start, div_factor, final_div_factor, three_phase, cycle_momentum, poly_power,
            anneal: if linear { AnnealShape::Linear } else { AnnealShape::Cos },
            ..Config::default()
        }
    }
}

/// The schedule of settings that make sense. Others must be refused as a whole, which is an `Err` and never a panic.
fn accepted(config: &Config, updates_per_epoch: u64) -> Option<Schedule> {
    match config.schedule(updates_per_epoch) {
        Ok(resolved) => Some(resolved.schedule),
        Err(error) => {
            assert_eq!(error.exit_code(), 2);
            assert!(error.report().place.as_deref().is_some_and(|flag| flag.starts_with("--")), "{error}");
            None
        }
    }
}

fn tiny_model() -> Model {
    Model::new("resnet18", 2, false).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn rates_and_momenta_stay_within_their_bounds(config in settings(), updates_per_epoch in 1u64..30) {
        if let Some(s) = accepted(&config, updates_per_epoch) {
            for (u, point) in s.table().iter().enumerate() {
                prop_assert!((0.0..=s.peak).contains(&point.lr), "{} at {u} of {s:?}", point.lr);
                prop_assert!((0.0..1.0).contains(&point.momentum), "{} at {u} of {s:?}", point.momentum);
            }
            let floor = s.min.min(s.warmup_lr);
            let has_floor = !matches!(s.curve, Curve::OneCycle(_) | Curve::Constant);
            prop_assert!(!has_floor || s.table().iter().all(|p| p.lr >= floor), "below the floor: {s:?}");
            let has_peak = !matches!(s.curve, Curve::OneCycle(_)); // whose peak may lie between two updates
            prop_assert!(!has_peak || s.table().iter().any(|p| p.lr == s.peak), "the peak is never used: {s:?}");
        }
    }

    /// What the optimizer reads is the schedule's own rates, one for every update.
    #[test]
    fn the_learners_table_is_the_schedule(config in settings(), pictures in 1u64..2000) {
        let config = Config { batch_size: 16, ..config };
        if let Ok(plan) = Plan::new(&config, pictures) {
            let table = plan.learner_options(&config, &tiny_model()).table;
            prop_assert_eq!((table.lr.len(), table.momentum.len()), (plan.total_updates as usize, plan.total_updates as usize));
            for (u, (lr, momentum)) in table.lr.iter().zip(&table.momentum).enumerate() {
                let at = plan.schedule.at(u as u64);
                prop_assert_eq!((at.lr, at.momentum), (*lr, *momentum));
            }
        }
    }

    /// The table asked for in any order, or from any point on, is the same table.
    #[test]
    fn resuming_at_any_update_gives_the_same_rates(config in settings(), updates_per_epoch in 1u64..30, from in 0.0..1.0f64) {
        if let Some(s) = accepted(&config, updates_per_epoch) {
            let from = (from * s.total as f64) as u64;
            let whole: Vec<_> = s.table().split_off(from as usize);
            let again = accepted(&config, updates_per_epoch).unwrap();
            let resumed: Vec<_> = (from..s.total).rev().map(|u| again.at(u)).collect();
            prop_assert!(whole.iter().eq(resumed.iter().rev()));
        }
    }

    /// Updates, epochs and pictures agree for every batch size, remainder and accumulation.
    #[test]
    fn updates_and_epochs_agree(pictures in 1u64..100_000, batch_size in 1usize..512, grad_accum in 1usize..9, epochs in 1u64..300, limit in prop::option::of(1u64..500)) {
        let config = Config { batch_size, grad_accum, epochs, warmup_epochs: Some(0.0), limit_train_batches: limit, ..Config::default() };
        let per_update = (batch_size * grad_accum) as u64;
        let fits = pictures >= per_update && limit.is_none_or(|l| l >= grad_accum as u64);
        match Plan::new(&config, pictures) {
            Err(error) => prop_assert!(!fits, "{error}"),
            Ok(plan) => {
                prop_assert!(fits);
                prop_assert_eq!(plan.total_updates, epochs * plan.updates_per_epoch);
                prop_assert_eq!(plan.schedule.total, plan.total_updates);
                // an epoch takes whole updates only, and leaves out less than one, unless it is limited
                let used = plan.updates_per_epoch * per_update;
                prop_assert!(used <= pictures && (limit.is_some() || pictures - used < per_update));
                prop_assert!(limit.is_none_or(|l| plan.updates_per_epoch * grad_accum as u64 <= l));
                prop_assert_eq!(plan.epoch_of(plan.total_updates - 1), epochs - 1);
                prop_assert_eq!(plan.epoch_of(plan.updates_per_epoch), 1);
                prop_assert_eq!(plan.last_update, plan.total_updates);
                // what the loader will deal out, by its own account
                let loader = LoaderOptions { limit: Some(plan.updates_per_epoch * grad_accum as u64), ..LoaderOptions::train(batch_size, 32, (0.08, 1.0), 1, 1) };
                prop_assert_eq!(loader.batches_per_epoch(pictures as usize), plan.updates_per_epoch * grad_accum as u64);
            }
        }
    }
}
