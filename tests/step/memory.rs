//! Device memory is foretold: a run takes what the same run takes on paper, and the batch that is said to fit fits.

use crate::learner::BOTTLENECK;
use half::bf16;
use imagenet_engine::backend::Counters;
use imagenet_engine::checkpoint::State;
use imagenet_engine::cuda::backend::Cuda;
use imagenet_engine::cuda::emulated::{Emulator, Schedule};
use imagenet_engine::cuda::timed::Timed;
use imagenet_engine::data::loader::{Loader, LoaderOptions, Source};
use imagenet_engine::data::validation::{Filter, ResizeCrop};
use imagenet_engine::data::{Dataset, Split, demo};
use imagenet_engine::error::Error;
use imagenet_engine::fit::Demand;
use imagenet_engine::models::Model;
use imagenet_engine::train::config::{Config, Precision};
use imagenet_engine::train::eval;
use imagenet_engine::train::plan::Plan;
use imagenet_engine::train::step::Learner;
use imagenet_engine::train::trainer::{Datasets, pictures};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Two pixels are left of each side at the end of the network, so that a batch of one can be normalised.
const SIDE: usize = 33;

/// Of the tests' own pictures; the last validation batch is smaller than the others.
fn packed(folder: &Path) -> Datasets {
    let open = |split: Split, count| -> Arc<dyn Source> {
        let dir = folder.join(split.name());
        demo::write(&dir, split, count, 1).unwrap();
        Arc::new(Dataset::open(&dir).unwrap())
    };
    let transform = ResizeCrop { resize: SIDE as u32, crop: SIDE as u32, filter: Filter::Bilinear };
    Datasets { train: open(Split::Train, 40), val: Some(open(Split::Val, 7)), transform }
}

fn config(batch_size: usize) -> Config {
    Config {
        model: "small".into(),
        batch_size,
        train_crop_size: SIDE,
        val_crop_size: SIDE,
        epochs: 1,
        max_steps: Some(2),
        lr: Some(0.01),
        warmup_epochs: Some(0.0),
        ..Config::default()
    }
}

/// The settings' model, or a small one.
fn model(config: &Config, data: &Datasets) -> Model {
    let classes = data.train.classes().len();
    if config.model == "small" {
        Model::of(&BOTTLENECK, classes, false).unwrap()
    } else {
        Model::new(&config.model, classes, false).unwrap()
    }
}

fn demand<'a>(config: &'a Config, data: &Datasets) -> Demand<'a> {
    Demand::new(config, Precision::Bf16, model(config, data), &*data.train, data.val.as_deref().map(|v| (v, data.transform))).unwrap()
}

/// Two updates and an evaluation, as a run makes them, without its files.
fn steps(data: &Datasets, config: &Config, device: &Emulator) -> Result<(), Error> {
    let model = model(config, data);
    let options = Plan::new(config, data.train.len() as u64).unwrap().learner_options(config, &model);
    let state = State::fresh(model.layout.init(1), model.layout.init_running());
    let backend = Cuda::<_, bf16>::new(device.clone())?;
    let mut learner = Learner::new(backend, model, options, &state, Counters::default())?;
    let batches = LoaderOptions::train(config.batch_size, SIDE as u32, (0.35, 1.0), 1, 1);
    for batch in Loader::new(data.train.clone(), &batches).unwrap().take(2) {
        learner.accumulate(pictures(batch.unwrap(), SIDE), None)?;
        learner.apply()?;
        learner.reports(true)?;
    }
    let options = eval::Options::of(config, data.transform);
    let stop = AtomicBool::new(false);
    let score = eval::run(data.val.as_ref().unwrap(), &options, &stop, &mut |_| {}, &mut learner.scorer(false)?)?;
    assert_eq!(score.unwrap().images, 7);
    Ok(())
}

#[test]
fn what_is_foretold_is_taken_and_what_is_said_to_fit_fits() {
    let folder = tempfile::tempdir().unwrap();
    let data = packed(folder.path());
    let device = || Emulator::new(Schedule::default());
    let like = device().properties().clone();
    for batch in 1..=6 {
        let config = config(batch);
        let demand = demand(&config, &data);
        let foretold = demand.bytes(batch, &like).unwrap();
        let roomy = device();
        steps(&data, &config, &roomy).unwrap();
        let (peak, off) = (roomy.peak_memory(), |peak: usize| (foretold as f64 / peak as f64 - 1.0).abs());
        assert!(off(peak) < 0.05 && peak <= foretold, "batch {batch}: {foretold} foretold, {peak} taken");
        // a device with that much takes this batch at once, and the next larger one not at all
        demand.check(foretold, &like).unwrap();
        let tight = device().with_memory(foretold);
        steps(&data, &config, &tight).unwrap();
        let largest = demand.largest_batch(40, foretold, &like).unwrap().unwrap();
        assert!(largest >= batch && demand.bytes(largest, &like).unwrap() <= foretold);
        assert!(demand.bytes(largest + 1, &like).unwrap() > foretold);
    }
    // without the look ahead it ends in the middle of a step, named for what it is
    let config = config(13);
    let small = device().with_memory(demand(&config, &data).bytes(5, &like).unwrap());
    let error = steps(&data, &config, &small).unwrap_err();
    let text = error.to_string();
    assert!(error.exit_code() == 71 && text.contains("out of device memory") && text.contains("are free"), "{text}");
}

#[test]
fn a_batch_that_does_not_fit_is_refused_with_the_one_that_does() {
    let folder = tempfile::tempdir().unwrap();
    let datasets = Datasets { val: None, ..packed(folder.path()) };
    let like = Emulator::new(Schedule::default()).properties().clone();
    let config = Config { model: "resnet18".into(), ..config(24) };
    let mib = demand(&config, &datasets).bytes(10, &like).unwrap().div_ceil(1 << 20);
    let (room, side) = (&*mib.to_string(), &*SIDE.to_string());
    let (data, output) = (folder.path().join("train"), folder.path().join("run"));
    let run = |mib: &str, batch: &str| {
        let done = Command::new(env!("CARGO_BIN_EXE_imagenet-engine"))
            .args(["train", "--device", "emulated", "--model", "resnet18", "--train-crop-size", side])
            .args(["--max-steps", "1", "--lr", "0.01", "--progress", "none", "--batch-size", batch])
            .arg("--data")
            .arg(&data)
            .arg("--output")
            .arg(&output)
            .env("IMAGENET_ENGINE_EMULATED_MIB", mib)
            .output()
            .unwrap();
        (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned())
    };
    let (code, said) = run(room, "24");
    assert!(code == Some(71) && said.contains("a batch of 24 needs") && said.contains(&format!("{mib}.0 MiB are free")), "{code:?} {said}");
    assert!(!output.exists(), "nothing half-written");
    let fits = said.split("--batch-size ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap().to_owned();
    let parts = said.rsplit("--batch-size ").next().unwrap();
    assert!(said.contains("makes the same steps") && parts.contains("--grad-accum"), "{said}");
    let (code, said) = run(room, &fits);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = run("20", "24");
    assert!(code == Some(71) && said.contains("not even one image"), "{said}");
    let (code, said) = run("lots", "24");
    assert!(code == Some(2) && said.contains("no number of MiB"), "{said}");
}
