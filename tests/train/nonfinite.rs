//! Losses and gradients that are not finite: the update changes nothing, is counted, and ends the run unless it may be skipped.

use crate::engine::{demo_pictures, engine, events};
use crate::learner::{broken_pictures, learner, learner_from, pictures};
use imagenet_engine::backend::Counters;
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

/// What adamw and lamb divide by counts updates applied, not gone through: a run that goes on after a skip must know how many were skipped.
#[test]
fn a_run_that_goes_on_after_a_skip_ends_with_the_same_bits() {
    for opt in [Opt::Sgd, Opt::Adamw, Opt::Lamb, Opt::Lion, Opt::Lars] {
        let config = Config { opt, epochs: 1, model_ema: true, warmup_epochs: Some(0.2), lr: Some(0.01), ..Config::default() };
        let batch = |u: u64| if u == 1 { broken_pictures(u) } else { pictures(u) };
        let mut whole = learner(&config);
        let mut saved = None;
        for u in 0..4 {
            whole.accumulate(batch(u), None).unwrap();
            whole.apply().unwrap();
            if u == 1 {
                saved = Some((whole.state().unwrap(), whole.measured().unwrap().1));
            }
        }
        let (state, counters) = saved.unwrap();
        assert_eq!(counters, Counters { step: 2, skipped: 1 });
        let resumed = |counters: Counters| {
            let mut learner = learner_from(&config, Some((&state, counters)));
            for u in 2..4 {
                learner.accumulate(batch(u), None).unwrap();
                learner.apply().unwrap();
            }
            learner.state().unwrap()
        };
        assert!(resumed(counters) == whole.state().unwrap(), "{opt:?}");
        let forgotten = resumed(Counters { skipped: 0, ..counters });
        let corrects = matches!(opt, Opt::Adamw | Opt::Lamb);
        assert!(!corrects || forgotten != whole.state().unwrap(), "{opt:?}: the comparison must notice");
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
    for word in
        ["step 1 (changed nothing); its 16 image ids are in metrics.jsonl", "checkpoints/00000001.safetensors", "--on-nonfinite skip:"]
    {
        assert!(text.contains(word), "{word}: {text}");
    }
    assert_eq!(text.lines().skip_while(|line| !line.starts_with("error: ")).count(), 3, "three lines: {text}");
    let stop = events(&run).pop().unwrap();
    assert!(stop["event"] == "nonfinite" && stop["update"] == 1 && stop["applied"] == false, "{stop}");
    assert_eq!(stop["ids"].as_array().unwrap().len(), 16, "every image of the step: {stop}");
    assert_eq!(events(&run).iter().filter(|e| e["event"] == "step").count(), 1);
    assert!(!run.join("model.safetensors").exists());
    assert_eq!(std::fs::read_dir(run.join("checkpoints")).unwrap().count(), 1, "nothing was written after the last good one");
}

/// A rate that f64 knows and f32 does not: the first update makes weights that are not finite. Nothing can be left out any more.
#[test]
fn an_update_that_overflows_is_named_and_nothing_of_it_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let data = demo_pictures(folder.path());
    let run = folder.path().join("run");
    for policy in ["stop", "skip:3"] {
        let output = train(&data, &run, &format!("--lr 1e300 --resume auto --on-nonfinite {policy}"));
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(76), "{text}");
        for word in ["conv1.weight is not finite after a step", "step 0; its 16 image ids", "last good checkpoint: none yet"] {
            assert!(text.contains(word), "{word}: {text}");
        }
        let all = events(&run);
        let stop = all.last().unwrap();
        assert!(all.len() == 1 && stop["event"] == "nonfinite" && stop["applied"] == true, "{all:?}");
        assert_eq!(stop["ids"].as_array().unwrap().len(), 16);
        assert_eq!(std::fs::read_dir(run.join("checkpoints")).unwrap().count(), 0);
    }
}

#[test]
fn skip_leaves_out_so_many_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let data = demo_pictures(folder.path());
    let run = folder.path().join("run");
    let output = train(&data, &run, &format!("{THROWN} --on-nonfinite skip:3"));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(76) && text.contains("after 3 steps were skipped"), "{text}");
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
