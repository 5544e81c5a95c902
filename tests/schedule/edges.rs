//! The traps of other schedulers, each shown not to be ours.

use imagenet_engine::schedule::{Anneal, Curve, OneCycle, Schedule, Sgdr};

const BASE: Schedule = Schedule { curve: Curve::Cosine, peak: 1.0, min: 1e-6, warmup_lr: 0.01, warmup: 0, total: 10, momentum: 0.9 };
const CYCLE: OneCycle = OneCycle {
    pct_start: 0.3,
    div_factor: 25.0,
    final_div_factor: 1e4,
    three_phase: false,
    anneal: Anneal::Cos,
    momentum: Some((0.85, 0.95)),
};

/// torch's cosine rises again after T_max, its one-cycle bounces at the step past the end, SGDR restarts.
#[test]
fn nothing_rises_after_the_end() {
    let curves = [
        Curve::Cosine,
        Curve::Linear,
        Curve::Constant,
        Curve::Poly { power: 2.0 },
        Curve::Step { every: 10, rate: 0.1 },
        Curve::MultiStep { milestones: vec![10], rate: 0.1 },
        Curve::Sgdr(Sgdr { first: 5, mul: 1, decay: 1.0 }),
        Curve::OneCycle(CYCLE),
    ];
    for curve in curves {
        let s = Schedule { curve, ..BASE };
        for u in [10, 11, 19, 20, 1_000_000, u64::MAX] {
            assert_eq!(s.at(u), s.at(9), "{s:?} at {u}");
        }
    }
}

/// torch's warm-up refuses to start at 0, torchvision's spends the first epoch at it. Ours may, for one update.
#[test]
fn the_warmup_may_start_at_zero_and_leaves_it_at_once() {
    let s = Schedule { warmup_lr: 0.0, warmup: 4, ..BASE };
    assert_eq!((s.lr(0), s.lr(1), s.lr(4)), (0.0, 0.25, 1.0));
    assert!(s.check().is_ok());
}

/// timm without `warmup_prefix` never uses the peak: its cosine has begun when the warm-up ends.
#[test]
fn the_peak_is_used_right_after_the_warmup() {
    for curve in [Curve::Cosine, Curve::Linear, Curve::Poly { power: 2.0 }, Curve::Sgdr(Sgdr { first: 3, mul: 2, decay: 1.0 })] {
        let s = Schedule { curve, warmup: 5, total: 30, peak: 0.1, ..BASE };
        assert_eq!(s.lr(5), 0.1, "{s:?}");
        assert!(s.lr(4) < 0.1 && s.lr(6) < 0.1);
    }
}

/// Milestone m first acts on update m; StepLR's first drop is at update `every`; neither is ever missed.
#[test]
fn drops_come_when_they_are_due() {
    let multi = Schedule { curve: Curve::MultiStep { milestones: vec![3, 7], rate: 0.1 }, min: 0.0, ..BASE };
    let rounded = |s: &Schedule| (0..10).map(|u| -s.lr(u).log10().round() as i32).collect::<Vec<_>>();
    assert_eq!(rounded(&multi), [0, 0, 0, 1, 1, 1, 1, 2, 2, 2]);
    let step = Schedule { curve: Curve::Step { every: 4, rate: 0.1 }, min: 0.0, ..BASE };
    assert_eq!(rounded(&step), [0, 0, 0, 0, 1, 1, 1, 1, 2, 2]);
    let floored = Schedule { curve: Curve::Step { every: 2, rate: 0.1 }, min: 0.05, ..BASE };
    assert_eq!(floored.lr(9), 0.05);
}

/// torch's `step(epoch)` and timm take floored logarithms and miss these restarts; the cycle's peak must be there.
#[test]
fn restarts_come_exactly() {
    for (first, mul, restart) in [(1, 3, 121), (1, 10, 111), (1, 3, 364), (2, 5, 312)] {
        let s = Schedule { curve: Curve::Sgdr(Sgdr { first, mul, decay: 1.0 }), total: 10_000, ..BASE };
        assert_eq!(s.lr(restart), 1.0, "T0 {first}, mul {mul}");
        assert!(s.lr(restart - 1) < 0.01 || first == restart, "before {restart}: {}", s.lr(restart - 1));
        assert!(s.marks().contains(&(restart, "restart")));
    }
    let decaying = Schedule { curve: Curve::Sgdr(Sgdr { first: 4, mul: 1, decay: 0.5 }), total: 16, min: 0.2, ..BASE };
    assert_eq!([0, 4, 8, 12].map(|u| decaying.lr(u)), [1.0, 0.5, 0.25, 0.2], "halves, but never below the floor");
}

/// The last update of a one-cycle run is its lowest, whatever the fractions round to; torch bounces up when stepped once more.
#[test]
fn one_cycle_ends_at_its_lowest() {
    for total in [4, 10, 97, 936, 5004] {
        for three_phase in [false, true] {
            let s = Schedule { curve: Curve::OneCycle(OneCycle { three_phase, ..CYCLE }), total, ..BASE };
            if s.check().is_err() {
                continue;
            }
            let rates: Vec<f64> = s.table().iter().map(|p| p.lr).collect();
            let least = rates.iter().copied().fold(f64::INFINITY, f64::min);
            assert!((rates[total as usize - 1] - 4e-6).abs() < 1e-18 && least == rates[total as usize - 1], "{total}");
            assert_eq!(s.at(total), s.at(total - 1));
        }
    }
}

/// Sub-schedules at milestone 0 (torch starts with the wrong one) do not exist: without a warm-up the curve simply begins.
#[test]
fn no_warmup_begins_at_the_peak() {
    assert_eq!(BASE.lr(0), 1.0);
    assert_eq!(Schedule { total: 1, ..BASE }.lr(0), 1.0);
}

/// burn refuses peaks above 1, which large batches need.
#[test]
fn large_peaks_are_rates_like_others() {
    assert!(Schedule { peak: 7.2, ..BASE }.check().unwrap().is_empty());
}
