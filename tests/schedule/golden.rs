//! Against the sequences PyTorch's schedulers gave (golden/make.py), within 1e-12 relative.

use imagenet_engine::schedule::{Anneal, Curve, OneCycle, Schedule, Sgdr};
use serde_json::Value;

const TOLERANCE: f64 = 1e-12;

struct Golden {
    name: String,
    schedule: Schedule,
    updates: Vec<u64>,
    lr: Vec<f64>,
    momentum: Vec<f64>,
}

fn goldens() -> Vec<Golden> {
    let file: Value = serde_json::from_str(include_str!("golden/schedules.json")).unwrap();
    assert_eq!(file["torch"], "2.11.0");
    file["schedules"].as_array().unwrap().iter().map(golden).collect()
}

fn golden(entry: &Value) -> Golden {
    let number = |key: &str| entry[key].as_f64().unwrap();
    let whole = |key: &str| entry[key].as_u64().unwrap();
    let p = &entry["params"];
    let f = |key: &str| p[key].as_f64().unwrap();
    let u = |key: &str| p[key].as_u64().unwrap();
    let b = |key: &str| p[key].as_bool().unwrap();
    let curve = match entry["sched"].as_str().unwrap() {
        "cosine" => Curve::Cosine,
        "linear" => Curve::Linear,
        "constant" => Curve::Constant,
        "poly" => Curve::Poly { power: f("power") },
        "step" => Curve::Step { every: u("every"), rate: f("rate") },
        "multistep" => Curve::MultiStep {
            milestones: p["milestones"].as_array().unwrap().iter().map(|m| m.as_u64().unwrap()).collect(),
            rate: f("rate"),
        },
        "sgdr" => Curve::Sgdr(Sgdr { first: u("first"), mul: u("mul"), decay: 1.0 }),
        "onecycle" => Curve::OneCycle(OneCycle {
            pct_start: f("pct_start"),
            div_factor: f("div_factor"),
            final_div_factor: f("final_div_factor"),
            three_phase: b("three_phase"),
            anneal: if p["anneal"] == "cos" { Anneal::Cos } else { Anneal::Linear },
            momentum: b("cycle_momentum").then(|| (f("base_momentum"), f("max_momentum"))),
        }),
        other => panic!("{other}"),
    };
    let list = |key: &str| entry[key].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect::<Vec<_>>();
    let schedule = Schedule {
        curve,
        peak: number("peak"),
        min: number("min"),
        warmup_lr: number("warmup_lr"),
        warmup: whole("warmup"),
        total: whole("total"),
        momentum: 0.9,
    };
    let updates = entry["updates"].as_array().unwrap().iter().map(|v| v.as_u64().unwrap()).collect();
    Golden { name: format!("{schedule:?}"), schedule, updates, lr: list("lr"), momentum: list("momentum") }
}

/// The largest relative distance to torch's rates and momenta.
fn distance(golden: &Golden, schedule: &Schedule) -> f64 {
    let relative = |got: f64, expected: f64| if got == expected { 0.0 } else { (got - expected).abs() / expected.abs() };
    let each = golden.updates.iter().zip(golden.lr.iter().zip(&golden.momentum));
    each.map(|(u, (lr, momentum))| {
        let at = schedule.at(*u);
        relative(at.lr, *lr).max(relative(at.momentum, *momentum))
    })
    .fold(0.0, f64::max)
}

#[test]
fn every_schedule_is_torchs() {
    let goldens = goldens();
    assert!(goldens.len() >= 40, "{}", goldens.len());
    let mut worst = 0.0f64;
    for golden in &goldens {
        golden.schedule.check().unwrap();
        let distance = distance(golden, &golden.schedule);
        assert!(distance <= TOLERANCE, "{distance:e}: {}", golden.name);
        worst = worst.max(distance);
    }
    println!("{} schedules, worst relative distance {worst:e}", goldens.len());
}

/// The comparison notices a schedule that is one update, one part in a million, or one phase off.
#[test]
fn a_wrong_schedule_is_noticed() {
    for golden in goldens() {
        let mut wrong = golden.schedule.clone();
        wrong.peak *= 1.0 + 1e-6;
        wrong.warmup_lr *= 1.0 + 1e-6;
        assert!(distance(&golden, &wrong) > TOLERANCE, "peak: {}", golden.name);
        let moving = golden.momentum.windows(2).any(|w| w[0] != w[1]);
        let mut held = golden.schedule.clone();
        if let (true, Curve::OneCycle(cycle)) = (moving, &mut held.curve) {
            cycle.momentum = cycle.momentum.map(|(base, high)| (base * (1.0 + 1e-9), high));
            assert!(distance(&golden, &held) > TOLERANCE, "momentum: {}", golden.name);
        }
        assert!(!moving || held != golden.schedule, "nothing was planted: {}", golden.name);
        let late = |u: u64| golden.schedule.at(u + 1).lr;
        let moves = golden.lr.windows(2).any(|w| w[0] != w[1]);
        let shifted = golden.updates.iter().zip(&golden.lr).any(|(u, lr)| (late(*u) - lr).abs() > TOLERANCE * lr);
        assert!(shifted || !moves, "shift: {}", golden.name);
    }
}
