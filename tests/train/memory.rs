//! Host memory is foretold: a run takes what it is said to take, what does not fit is refused with what does, and that fits.

use imagenet_engine::backend::Counters;
use imagenet_engine::checkpoint::State;
use imagenet_engine::cpu::Cpu;
use imagenet_engine::data::loader::{Loader, LoaderOptions, Source};
use imagenet_engine::data::validation::{Filter, ResizeCrop};
use imagenet_engine::data::{Dataset, Split, demo};
use imagenet_engine::fit::host::{Host, HostDemand, Loading, Work, parts};
use imagenet_engine::models::Model;
use imagenet_engine::train::config::Config;
use imagenet_engine::train::eval;
use imagenet_engine::train::plan::Plan;
use imagenet_engine::train::step::Learner;
use imagenet_engine::train::trainer::{Datasets, pictures};
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

fn packed(folder: &Path) -> Datasets {
    let open = |split: Split, count| -> Arc<dyn Source> {
        let dir = folder.join(split.name());
        demo::write(&dir, split, count, 1).unwrap();
        Arc::new(Dataset::open(&dir).unwrap())
    };
    let transform = ResizeCrop { resize: 32, crop: 32, filter: Filter::Bilinear };
    Datasets { train: open(Split::Train, 80), val: Some(open(Split::Val, 7)), transform }
}

/// The pool of a real run, two updates and an evaluation, against that of the run on paper: not more, and with one thread not much less.
/// With several, those that the machine keeps busy elsewhere take no scratch. Which of two free blocks of one size is used again depends on
/// the order in which they came back, so the pages that were touched may differ by some of these blocks' ends. Batches, sizes, both kinds
/// of block, an average, two batches an update.
#[test]
fn the_pool_holds_what_is_foretold() {
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| hold_against_paper(threads));
    }
}

fn hold_against_paper(threads: usize) {
    let folder = tempfile::tempdir().unwrap();
    let data = packed(folder.path());
    for (model, batch, side, grad_accum, ema) in
        [("resnet18", 1, 65, 1, false), ("resnet18", 5, 64, 2, true), ("resnet50", 2, 96, 1, false), ("resnet50", 9, 33, 1, false)]
    {
        let config = Config {
            model: model.into(),
            batch_size: batch,
            grad_accum,
            model_ema: ema,
            train_crop_size: side,
            epochs: 1,
            lr: Some(0.01),
            warmup_epochs: Some(0.0),
            ..Config::default()
        };
        let net = Model::new(model, data.train.classes().len(), false).unwrap();
        let demand = HostDemand::run(Work::Train, &config, net.clone(), &data, threads).unwrap();
        let foretold = demand.need(batch).unwrap().pool;
        let cpu = Cpu::<f32>::new();
        let options = Plan::new(&config, data.train.len() as u64).unwrap().learner_options(&config, &net);
        let state = State::fresh(net.layout.init(1), net.layout.init_running());
        let mut learner = Learner::new(cpu.clone(), net, options, &state, Counters::default()).unwrap();
        let loader = LoaderOptions::train(batch, side as u32, (0.35, 1.0), 1, 1);
        let mut batches = Loader::new(data.train.clone(), &loader).unwrap();
        for _ in 0..2 {
            for _ in 0..grad_accum {
                learner.accumulate(pictures(batches.next().unwrap().unwrap(), side), None).unwrap();
            }
            learner.apply().unwrap();
        }
        let (options, stop) = (eval::Options::of(&config, data.transform), AtomicBool::new(false));
        eval::run(data.val.as_ref().unwrap(), &options, &stop, &mut |_| {}, &mut learner.scorer(false).unwrap()).unwrap();
        let taken = cpu.touched_bytes();
        let off = foretold as f64 / taken as f64 - 1.0;
        let most = if threads == 1 { 0.05 } else { f64::INFINITY };
        let what = format!("{threads} threads, {model} {batch}x{side}: {foretold} foretold, {taken} taken");
        assert!((-0.002..most).contains(&off), "{what}, {:+.1}%", 100.0 * off);
    }
}

#[test]
fn what_is_said_to_fit_is_the_largest_that_does() {
    let folder = tempfile::tempdir().unwrap();
    let data = packed(folder.path());
    // A warm-up longer than what is run on paper.
    let config = Config { model: "resnet18".into(), batch_size: 24, train_crop_size: 64, ..Config::default() };
    let config = Config { epochs: 90, warmup_epochs: Some(5.0), ..config };
    let model = Model::new("resnet18", data.train.classes().len(), false).unwrap();
    let demand = HostDemand::run(Work::Train, &config, model.clone(), &data, 2).unwrap();
    let room = |bytes: usize| {
        let bound = imagenet_engine::limits::memory::Bound::Group(77);
        Host { memory: Some(imagenet_engine::limits::memory::Room { bytes: bytes as u64, bound }), addresses: None }
    };
    let host = room(demand.need(10).unwrap().bytes());
    assert_eq!(demand.largest_batch(24, &host).unwrap(), Some(10));
    assert!(demand.check(10, &host).is_ok() && demand.check(11, &host).is_err());
    let error = demand.check(24, &host).unwrap_err();
    let said = error.to_string();
    assert!(error.exit_code() == 71 && said.contains("a batch of 24 needs") && said.contains("limited to 77 bytes"), "{said}");
    assert!(said.contains("--batch-size 10 fits; --batch-size 8 --grad-accum 3 makes the same steps"), "{said}");
    let said = demand.check(24, &room(1 << 20)).unwrap_err().to_string();
    assert!(said.contains("not even one image"), "{said}");
    let addresses = Host { memory: None, addresses: host.memory };
    assert!(demand.check(10, &addresses).is_err(), "reserved addresses count");
    let val = Loading::evaluation(&*data.train, ResizeCrop { resize: 64, crop: 64, filter: Filter::Bilinear }).unwrap();
    let evaluation = HostDemand::evaluation(&config, model, val, 2);
    let host = room(evaluation.need(6).unwrap().bytes());
    let said = evaluation.check(64, &host).unwrap_err().to_string();
    // Blocks come in size classes: a few images more may need no more than 6 do.
    let fits = number_after(&said, "--batch-size ") as usize;
    assert!((6..12).contains(&fits) && evaluation.check(fits, &host).is_ok() && !said.contains("grad-accum"), "{said}");
    assert_eq!([parts(256, 100), parts(256, 256), parts(24, 10), parts(7, 6)], [(64, 4), (256, 1), (8, 3), (1, 7)]);
}

fn engine(limit_kib: u64, args: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("ulimit -v {limit_kib}; exec \"$0\" \"$@\"")).arg(env!("CARGO_BIN_EXE_imagenet-engine")).args(args);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn said(command: &mut Command) -> (Option<i32>, String) {
    let done = command.output().unwrap();
    (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned() + &String::from_utf8_lossy(&done.stdout))
}

/// The number after the first `word` in `text`.
fn number_after(text: &str, word: &str) -> u64 {
    let rest = text.split(word).nth(1).unwrap_or_else(|| panic!("'{word}' in {text}"));
    rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
}

/// `ulimit -v`: each command is refused with a batch, and runs with it.
#[test]
fn a_suggested_batch_runs_under_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let data = packed(folder.path());
    drop(data);
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (train, val, run, weights) = (path("train"), path("val"), path("run"), path("run/model.safetensors"));
    let shape = ["--device", "cpu", "--threads", "2", "--model", "resnet18"];
    let small = ["--train-crop-size", "96", "--lr", "0.01", "--max-steps", "1", "--progress", "none"];
    // What the process reserves before, and some 600 MiB.
    let limit = 1_000_000;
    let with = |first: &[&str], rest: &[&[&str]], batch: &str| {
        let args: Vec<&str> = first.iter().chain(rest.iter().copied().flatten()).copied().chain(["-b", batch]).collect();
        said(&mut engine(limit, &args))
    };
    let train_args = ["train", "--data", &train, "--output", &run];
    let (code, text) = with(&train_args, &[&shape, &small], "80");
    assert!(code == Some(71) && text.contains("ulimit -v") && text.contains("a batch of 80 needs"), "{code:?} {text}");
    assert!(!Path::new(&run).exists(), "nothing half-written");
    let (code, text) = with(&train_args, &[&shape, &small], &number_after(&text, "--batch-size ").to_string());
    assert_eq!(code, Some(0), "{text}");
    let find = ["lr-find", "--data", &train, "--steps", "20"];
    let (code, text) = with(&find, &[&shape, &["--train-crop-size", "128"]], "80");
    assert!(code == Some(71) && text.contains("a batch of 80 needs") && text.contains("--grad-accum"), "{code:?} {text}");
    let evaluation = ["eval", "--data", &val, "--weights", &weights, "--device", "cpu", "--threads", "2", "--val-crop-size", "800"];
    let (code, text) = with(&evaluation, &[], "64");
    assert!(code == Some(71) && text.contains("a batch of 64 needs"), "{code:?} {text}");
    let (code, text) = with(&evaluation, &[], &number_after(&text, "--batch-size ").to_string());
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = with(&["bench", "step", "--steps", "1"], &[&shape, &["--train-crop-size", "96"]], "200");
    assert!(code == Some(71) && text.contains("a batch of 200 needs"), "{code:?} {text}");
    let image = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/golden/gray.jpg");
    let predict = ["predict", "--weights", &weights, "--device", "cpu", "--threads", "2", "--val-crop-size", "4000", image];
    let (code, text) = said(&mut engine(limit, &predict));
    assert!(code == Some(71) && text.contains("one image needs") && text.contains("--val-crop-size"), "{code:?} {text}");
}

/// Nobody named a batch: the default is taken in parts that fit, and the run is the same but for them.
#[test]
fn a_default_that_does_not_fit_is_taken_in_parts() {
    let dry = |limit: u64, more: &[&str]| {
        let args =
            ["train", "--data", "synthetic", "--dry-run", "--device", "cpu", "--threads", "2", "--model", "resnet18", "--epochs", "2"];
        let args: Vec<&str> = args.iter().chain(more).copied().collect();
        said(&mut engine(limit, &args))
    };
    let (code, roomy) = dry(80_000_000, &["--batch-size", "256"]);
    let (tight_code, tight) = dry(3_000_000, &[]);
    if code == Some(71) {
        println!("left out: this machine has no room for a batch of 256 itself");
    } else {
        assert_eq!(code, Some(0), "{roomy}");
    }
    assert_eq!(tight_code, Some(0), "{tight}");
    let (part, times) = (number_after(&tight, "batch-size = "), number_after(&tight, "grad-accum = "));
    assert!(part < 256 && part * times == 256, "{tight}");
    assert!(tight.contains(&format!("batch {part} x grad-accum {times} (the default of 256 at once needs")), "{tight}");
    let same = |key: &str, text: &str| text.lines().find(|l| l.starts_with(key)).map(str::to_owned);
    if code == Some(0) {
        for key in ["learning rate", "steps", "# lr"] {
            assert_eq!(same(key, &tight), same(key, &roomy));
        }
    }
    let (_, limited) = dry(3_000_000, &["--limit-train-batches", "10"]);
    assert_eq!(number_after(&limited, "steps         "), 10, "{limited}");
    let (code, named) = dry(3_000_000, &["--batch-size", "256"]);
    assert!(code == Some(71) && named.contains("makes the same steps"), "what was named is not changed: {named}");
}

/// The most memory that a command had, from /proc, and the bytes it said it would need.
fn measured(args: &[&str]) -> (u64, String) {
    let mut child = engine(u64::MAX >> 20, args).spawn().unwrap();
    let (mut most, status) = (0, format!("/proc/{}/status", child.id()));
    while child.try_wait().unwrap().is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|l| l.strip_prefix("VmHWM:")).and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok());
        most = most.max(line.unwrap_or(0) << 10);
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    (most, text)
}

#[test]
fn a_run_takes_the_memory_it_says() {
    if !cfg!(target_os = "linux") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    drop(packed(folder.path()));
    let (train, run) = (folder.path().join("train"), folder.path().join("run"));
    for (model, batch, side) in [("resnet18", "16", "96"), ("resnet50", "4", "64")] {
        let _ = std::fs::remove_dir_all(&run);
        let shape = ["--device", "cpu", "--threads", "2", "--model", model, "-b", batch, "--train-crop-size", side];
        let args = ["train", "--data", train.to_str().unwrap(), "--output", run.to_str().unwrap(), "--max-steps", "2", "--lr", "0.01"];
        let args: Vec<&str> = args.into_iter().chain(shape).chain(["--progress", "plain"]).collect();
        let (taken, text) = measured(&args);
        assert!(text.contains(&format!(" MiB at most with a batch of {batch}, of ")), "{text}");
        let mib = number_after(&text, "memory        ");
        let foretold = (mib << 20) as f64;
        let off = foretold / taken as f64 - 1.0;
        assert!((-0.1..0.1).contains(&off), "{model}: {foretold} foretold, {taken} taken: {text}");
    }
}
