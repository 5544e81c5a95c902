//! The moving average of the weights: against plain f64 arithmetic, in checkpoints, evaluated, exported, and across a resume.

use crate::engine::{demo_pictures, engine, events, run_code};
use crate::learner::{learner, pictures};
use imagenet_engine::train::config::{Config, Opt, Sched};
use std::path::Path;

#[test]
fn follows_its_formula_bit_for_bit() {
    let config = Config { model_ema: true, model_ema_decay: 0.4, epochs: 1, sched: Sched::Constant, opt: Opt::Adamw, ..Config::default() };
    let mut learner = learner(&config);
    let start = learner.state().unwrap();
    let (mut weights, mut running) = (start.weights.clone(), start.running.clone());
    assert_eq!((&start.average_weights, &start.average_running), (&weights, &running), "begins at the weights");
    for t in 0..6 {
        learner.accumulate(pictures(t), None).unwrap();
        learner.apply().unwrap();
        let state = learner.state().unwrap();
        let keep = f64::min(0.4, (1.0 + t as f64) / (10.0 + t as f64));
        for (average, values) in [(&mut weights, &state.weights), (&mut running, &state.running)] {
            average.iter_mut().zip(values).for_each(|(a, v)| *a = (keep * f64::from(*a) + (1.0 - keep) * f64::from(*v)) as f32);
        }
        assert!(weights == state.average_weights && running == state.average_running, "update {t}");
        assert!(weights != state.weights);
    }
}

/// Two epochs of AdamW with everything around the step switched on: 3 updates an epoch.
fn train(data: &Path, output: &Path, more: &[&str]) -> Option<i32> {
    let path = |p: &Path| p.to_str().unwrap().to_owned();
    let fixed = "--model resnet18 --epochs 2 --batch-size 16 --grad-accum 2 --opt adamw --lr 1e-3 --sched onecycle --clip-grad-norm 1 \
                 --model-ema --model-ema-decay 0.5 --train-crop-size 32 --val-crop-size 32 --log-interval 1 --progress none";
    let mut command = engine();
    command.args(["train", "--data", &path(&data.join("train")), "--val", &path(&data.join("val")), "--output", &path(output)]);
    run_code(command.args(fixed.split_whitespace()).args(more))
}

#[test]
fn is_kept_evaluated_and_exported() {
    let folder = tempfile::tempdir().unwrap();
    let data = demo_pictures(folder.path());
    let (run, stopped) = (folder.path().join("run"), folder.path().join("stopped"));
    assert_eq!(train(&data, &run, &[]), Some(0));
    let evals: Vec<_> = events(&run).into_iter().filter(|e| e["event"] == "eval").collect();
    let ema = &evals.last().unwrap()["ema"];
    assert!(ema["top1"].is_f64() && ema["loss"] != evals.last().unwrap()["loss"], "{evals:?}");

    // eval --ema of the checkpoint, and eval of model_ema.safetensors, repeat the number
    let newest = run.join("checkpoints/00000006.safetensors");
    let (val, exported) = (data.join("val"), folder.path().join("ema.safetensors"));
    let text = |p: &Path| p.to_str().unwrap().to_owned();
    let eval = |weights: &Path, more: &[&str]| {
        let fixed = ["eval", "--json", "--progress", "none", "--batch-size", "16", "--data", &text(&val), "--weights", &text(weights)];
        let output = engine().args(fixed).args(more).output().unwrap();
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()["loss"].as_f64().unwrap()
    };
    let expected = ema["loss"].as_f64().unwrap();
    let near = |loss: f64| (loss - expected).abs() < 1e-6 * expected;
    assert!(near(eval(&newest, &["--ema"])) && near(eval(&run.join("model_ema.safetensors"), &[])));
    assert!(!near(eval(&newest, &[])));
    assert_eq!(run_code(engine().args(["export", "--ema", "--weights", &text(&newest), "--output", &text(&exported)])), Some(0));
    assert!(std::fs::read(&exported).unwrap() == std::fs::read(run.join("model_ema.safetensors")).unwrap());
    let raw = folder.path().join("raw.safetensors");
    assert_eq!(run_code(engine().args(["export", "--weights", &text(&newest), "--output", &text(&raw)])), Some(0));
    assert!(std::fs::read(&raw).unwrap() == std::fs::read(run.join("model.safetensors")).unwrap());
    let again = engine().args(["export", "--weights", &text(&newest), "--output", &text(&raw)]).output().unwrap();
    assert_eq!(again.status.code(), Some(73), "never overwrites");
    let none = engine().args(["export", "--ema", "--weights", &text(&raw), "--output", &text(&folder.path().join("x"))]).output().unwrap();
    let words = String::from_utf8_lossy(&none.stderr).into_owned();
    assert!(none.status.code() == Some(2) && words.contains("--model-ema"), "{words}");

    // stopped in the middle of an epoch and resumed: the same bytes of everything
    assert_eq!(train(&data, &stopped, &["--max-steps", "2"]), Some(0));
    assert_eq!(train(&data, &stopped, &["--resume", "auto"]), Some(0));
    for file in ["model.safetensors", "model_ema.safetensors"] {
        assert!(std::fs::read(run.join(file)).unwrap() == std::fs::read(stopped.join(file)).unwrap(), "{file}");
    }
    // and another optimizer must not take over the state
    let other =
        engine().args(["train", "--resume", "auto", "--progress", "none", "--opt", "lamb", "--output", &text(&stopped)]).output().unwrap();
    let words = String::from_utf8_lossy(&other.stderr).into_owned();
    assert!(other.status.code() == Some(2) && words.contains("--opt"), "{words}");
}
