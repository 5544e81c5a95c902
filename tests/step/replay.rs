//! Recorded and replayed, the step gives the bits of kernels launched one by one, waits for nothing, and takes no memory.

use crate::learner::{BASIC, BATCH, Shards, config, emulated, learner, same_bits, updates};
use half::bf16;
use imagenet_engine::backend::{Memory, Replay};
use imagenet_engine::train::config::Config;

#[test]
fn a_replayed_step_has_the_bits_of_a_launched_one() {
    let shards = Shards::new();
    let config = Config { grad_accum: 2, model_ema: true, ..config() };
    let run = |backend| {
        let mut learner = learner(backend, &BASIC, shards.classes(), &config, None);
        let reports = updates(&mut learner, shards.batches(0, 10), 2);
        (reports, learner.state().unwrap())
    };
    let (recorded, eager) = (run(emulated::<bf16>()), run(emulated::<bf16>().without_recording()));
    assert_eq!(recorded.0, eager.0);
    assert!(same_bits(&recorded.1, &eager.1));
    let again = run(emulated::<bf16>());
    assert!(recorded.0 == again.0 && same_bits(&recorded.1, &again.1), "two runs");
}

/// After the updates in which memory is found and work is recorded, the host only stages pictures, replays, and looks for reports.
#[test]
fn the_step_neither_waits_nor_allocates() {
    let shards = Shards::new();
    let backend = emulated::<bf16>();
    let driver = backend.driver().clone();
    let mut learner = learner(backend.clone(), &BASIC, shards.classes(), &config(), None);
    updates(&mut learner, shards.batches(0, 2), 1);
    let (before, _) = (backend.usage(), driver.take_calls());
    let mut reports = Vec::new();
    for batch in shards.batches(2, 8) {
        learner.accumulate(batch, None).unwrap();
        learner.apply().unwrap();
        reports.extend(learner.reports(false).unwrap());
    }
    let calls = driver.take_calls();
    assert_eq!((calls.allocations, calls.synchronisations, calls.launches), (0, 0, 0), "{calls:?}");
    assert_eq!((calls.replays, calls.staged, calls.sent), (16, 24, 8), "{calls:?}");
    assert_eq!(backend.usage(), before);
    assert!((4..8).contains(&reports.len()), "late, but they come: {}", reports.len());
    reports.extend(learner.reports(true).unwrap());
    assert_eq!(reports.iter().map(|r| r.update).collect::<Vec<_>>(), (2..10).collect::<Vec<_>>());
}

/// A batch of another size, and one whose pictures need more room, are recorded anew instead of read where nothing lies.
#[test]
fn other_batches_are_recorded_anew() {
    let shards = Shards::new();
    let run = |backend| {
        let mut learner = learner(backend, &BASIC, shards.classes(), &config(), None);
        let mut batches = shards.batches(0, 6);
        for (i, batch) in batches.iter_mut().enumerate() {
            if i % 3 == 2 {
                batch.stored.views.truncate(BATCH - 1);
                batch.stored.labels.truncate(BATCH - 1);
            }
            if i == 4 {
                batch.stored.pixels.resize(1 << 20);
            }
        }
        (updates(&mut learner, batches, 1), learner.state().unwrap())
    };
    let (recorded, eager) = (run(emulated::<bf16>()), run(emulated::<bf16>().without_recording()));
    assert!(recorded.0 == eager.0 && same_bits(&recorded.1, &eager.1));
}

#[test]
fn a_replay_on_memory_that_holds_something_else_is_refused() {
    let device = emulated::<f32>();
    // what the work reads was given back
    let (input, mut output) = (device.upload(&[1.0, -2.0]).unwrap(), device.zeros(2).unwrap());
    use imagenet_engine::backend::Elementwise;
    type C = imagenet_engine::cuda::backend::Cuda<imagenet_engine::cuda::emulated::Emulator, f32>;
    let recording = device.record(&mut || device.relu(C::all(&input), C::all_mut(&mut output))).unwrap();
    device.replay(&recording).unwrap();
    let mut host = [0.0; 2];
    device.read(C::all(&output), &mut host).unwrap();
    assert_eq!(host, [1.0, 0.0]);
    drop(input);
    assert!(device.replay(&recording).unwrap_err().to_string().contains("holds something else"));
    let _other = device.upload(&[3.0, 4.0]).unwrap();
    assert!(device.replay(&recording).is_err(), "the same place, lent to another");
    // what the work takes for itself is kept by somebody
    let recording = device
        .record(&mut || {
            let mut passing = device.empty(2)?;
            device.relu(C::all(&output), C::all_mut(&mut passing))
        })
        .unwrap();
    device.replay(&recording).unwrap();
    let kept = device.empty(2).unwrap();
    assert!(device.replay(&recording).is_err());
    drop(kept);
    device.replay(&recording).unwrap();
    // and what a recording may not contain
    let refused = device.record(&mut || device.read(C::all(&output), &mut [0.0; 2]));
    assert!(refused.err().unwrap().to_string().contains("while work is recorded"));
    device.replay(&recording).unwrap();
}
