//! What the kernel tests share: the emulator under several schedules, and a way to run cases under all of them.

use imagenet_engine::cuda::emulated::{Emulator, Landing, Schedule};
use imagenet_engine::selftest::{Case, Check, Extent, Machine, OnDriver, Output, layers};

/// The emulator as a device of the self-test.
pub type Device = OnDriver<Emulator>;

/// Copies as early and as late as allowed, and mixed; blocks, warps and lanes in several orders.
pub fn schedules() -> Vec<Schedule> {
    let workers = Schedule::default().workers;
    let schedule = |landing, seed, workers| Schedule { landing, seed, workers };
    vec![
        schedule(Landing::Eager, 0, workers),
        schedule(Landing::Late, 1, workers),
        schedule(Landing::Mixed, 2, 1),
        schedule(Landing::Late, 1_000_003, workers + 1),
    ]
}

/// One worker, so that the order in which blocks arrive is the seed's and not the operating system's.
pub fn arrivals() -> Vec<Schedule> {
    [0, 2, 5, 1_000_003].map(|seed| Schedule { landing: Landing::Eager, seed, workers: 1 }).into()
}

pub fn emulator() -> Emulator {
    Emulator::new(schedules()[0])
}

pub fn on(emulator: Emulator) -> Device {
    OnDriver::new(emulator, Machine::Emulator, "emulator")
}

pub fn bits(outputs: &[Output]) -> Vec<u64> {
    outputs.iter().flat_map(|o| o.values.iter().map(|v| v.to_bits())).collect()
}

fn name(case: &Case<Device>, check: &Check<Device>) -> String {
    format!("{}, {}", case.name(), check.detail)
}

fn right(name: &str, device: &Device, check: &Check<Device>) -> Vec<u64> {
    let outputs = check.compute(device).unwrap_or_else(|e| panic!("{name}: {e}"));
    if let Some(wrong) = check.verdict(&outputs).wrong {
        panic!("{name}: {wrong}");
    }
    bits(&outputs)
}

/// Every check of every case passes under every schedule, and gives the same bits.
pub fn pass_under_all_schedules(cases: &[Case<Device>]) {
    assert!(!cases.is_empty());
    let base = emulator();
    for case in cases {
        for check in case.prepare(&on(base.clone())) {
            let name = name(case, &check);
            let results: Vec<Vec<u64>> = schedules().into_iter().map(|s| right(&name, &on(base.with(s)), &check)).collect();
            for (result, schedule) in results.iter().zip(schedules()) {
                assert!(*result == results[0], "{name}: other bits under {schedule:?}");
            }
        }
    }
}

/// Every check passes under one schedule, the next one for the next check: for cases too large to run under all.
fn pass_under_some_schedule(cases: &[Case<Device>]) {
    assert!(!cases.is_empty());
    let base = emulator();
    let mut turns = schedules().into_iter().cycle();
    for case in cases {
        for (check, schedule) in case.prepare(&on(base.clone())).iter().zip(turns.by_ref()) {
            right(&name(case, check), &on(base.with(schedule)), check);
        }
    }
}

/// The layers of every ResNet, as far as they are of a subject.
pub fn every_layer(subject: &str) {
    let cases = layers::cases(Extent::Reduced).unwrap();
    pass_under_some_schedule(&cases.into_iter().filter(|c| c.subject == subject).collect::<Vec<_>>());
}
