//! Losses and gradients that are not finite: the update changes nothing, is counted, and ends the run unless it may be skipped.

use crate::engine::{demo_pictures, engine, events};
use crate::learner::{broken_pictures, learner, pictures};
use imagenet_engine::train::config::{Config, Opt, Sched};
use std::path::Path;

#[test]
fn a_broken_batch_changes_nothing_and_the_next_update_goes_on() {
    for (opt, grad_accum) in [(Opt::Sgd, 1), (Opt::Adamw, 2), (Opt::Lamb, 1)] {
        let sched = Sched::Constant;
        let config =
            Config { opt, grad_accum, sched, epochs: 1, model_ema: true, model_ema_decay: 0.3, lr: Some(0.01), ..Config::default() };
        let mut disturbed = learner(&config);
        let mut calm = learner(&config);
        let update = |l: &mut imagenet_engine::train::step::Learner<_>, first: u64, broken: Option<usize>| {
            for i in 0..grad_accum {
                let number = first + i as u64;
                let batch = if broken == Some(i) { broken_pictures(number) } else { pictures(number) };
                l.accumulate(batch, None).unwrap();
            }
            l.apply().unwrap();
            l.measured().unwrap()
        };
        assert!(update(&mut disturbed, 0, None).0.finite);
        update(&mut calm, 0, None);
        let before = disturbed.state().unwrap();
        for broken in 0..grad_accum {
            let (measured, counters) = update(&mut disturbed, 10, Some(broken));
            assert!(!measured.finite && counters.skipped == broken as u64 + 1, "{measured:?} {counters:?}");
            assert_eq!(disturbed.state().unwrap(), before, "{opt:?}: weights, statistics, optimizer and average stay");
        }
        // With a constant rate and average the next update must not know that anything was left out.
        let (measured, counters) = update(&mut disturbed, 20, None);
        update(&mut calm, 20, None);
        assert!(measured.finite && counters.step == 2 + grad_accum as u64);
        let (a, b) = (disturbed.state().unwrap(), calm.state().unwrap());
        assert!(a.weights == b.weights && a.optimizer == b.optimizer && a.running == b.running, "{opt:?}");
    }
}

fn train(data: &Path, output: &Path, more: &str) -> std::process::Output {
    let path = |p: &Path| p.to_str().unwrap().to_owned();
    let fixed = "--model resnet18 --epochs 2 --batch-size 16 --sched constant --train-crop-size 32 --val-crop-size 32 --log-interval 1 \
                 --save-every 1 --progress none";
    let mut command = engine();
    command.args(["train", "--data", &path(&data.join("train")), "--output", &path(output)]);
    command.args(fixed.split_whitespace()).args(more.split_whitespace()).output().unwrap()
}

/// The first update throws the weights so far that every later loss is not finite.
const THROWN: &str = "--lr 1e30";

#[test]
fn stop_names_the_update_its_pictures_and_the_last_good_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let data = demo_pictures(folder.path());
    let run = folder.path().join("run");
    let output = train(&data, &run, THROWN);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(76), "{text}");
    for word in ["update 1 (changed nothing)", "pictures ", "checkpoints/00000001.safetensors", "--on-nonfinite skip:"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let ids =
        text.split("pictures ").nth(1).unwrap().lines().next().unwrap().split(',').filter(|id| id.trim().parse::<u64>().is_ok()).count();
    assert_eq!(ids, 16, "every picture of the update: {text}");
    assert_eq!(events(&run).iter().filter(|e| e["event"] == "step").count(), 1);
    assert!(!run.join("model.safetensors").exists());
    assert_eq!(std::fs::read_dir(run.join("checkpoints")).unwrap().count(), 1, "nothing was written after the last good one");
}

#[test]
fn skip_leaves_out_so_many_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let data = demo_pictures(folder.path());
    let run = folder.path().join("run");
    let output = train(&data, &run, &format!("{THROWN} --on-nonfinite skip:3"));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(76) && text.contains("after 3 updates were left out"), "{text}");
    let skips: Vec<_> = events(&run).into_iter().filter(|e| e["event"] == "skip").collect();
    assert_eq!(skips.iter().map(|e| e["skipped"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(skips[0]["ids"].as_array().unwrap().len(), 16);
    // The count goes on across a resume: not one more.
    let again = train(&data, &run, &format!("{THROWN} --on-nonfinite skip:3 --resume auto"));
    assert_eq!(again.status.code(), Some(76));
    assert_eq!(events(&run).into_iter().filter(|e| e["event"] == "skip").collect::<Vec<_>>(), skips);
    for wrong in ["skip", "skip:0", "skip:x", "ignore"] {
        let refused = train(&data, &run, &format!("--on-nonfinite {wrong}"));
        assert_eq!(refused.status.code(), Some(2), "{wrong}");
    }
}
