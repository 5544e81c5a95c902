//! `schedule` and `lr-find`: what they write, what they refuse.

use crate::{engine, refuses, stderr};
use imagenet_engine::data::{Split, demo};
use std::path::Path;

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

fn schedule(args: &str) -> String {
    let output = engine(&["schedule"].into_iter().chain(args.split_whitespace()).collect::<Vec<_>>());
    assert_eq!(output.status.code(), Some(0), "{args}: {}", stderr(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_csv_has_every_update_in_full_precision() {
    let folder = tempfile::tempdir().unwrap();
    let csv = folder.path().join("s.csv");
    schedule(&format!("--sched onecycle --lr 1 --epochs 5 --updates-per-epoch 2 --csv {}", csv.display()));
    let text = text(&csv);
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("update,epoch,lr,momentum"));
    let rows: Vec<Vec<f64>> = lines.map(|l| l.split(',').map(|v| v.parse().unwrap()).collect()).collect();
    let torch: serde_json::Value = serde_json::from_str(include_str!("../schedule/golden/schedules.json")).unwrap();
    let torch = torch["schedules"].as_array().unwrap().iter().find(|s| s["sched"] == "onecycle" && s["total"] == 10).unwrap();
    assert_eq!(rows.len(), 10);
    for (u, row) in rows.iter().enumerate() {
        let (lr, momentum) = (torch["lr"][u].as_f64().unwrap(), torch["momentum"][u].as_f64().unwrap());
        assert!(row[0] == u as f64 && row[1] == (u / 2) as f64);
        assert!((row[2] - lr).abs() < 1e-12 * lr && (row[3] - momentum).abs() < 1e-12, "{row:?}: {lr} {momentum}");
    }
}

#[test]
fn without_data_it_is_imagenet_with_the_defaults_of_train() {
    let said = schedule("");
    assert!(said.contains("450,360 steps, 5,004 per epoch") && said.contains("0.1 at step 25,020, 1e-6 at the last"), "{said}");
    assert!(said.chars().any(|c| ('\u{2801}'..='\u{28ff}').contains(&c)), "a curve: {said}");
    assert!(schedule("--batch-size 1024").contains("0.4 at step 6,255"), "the peak scales with the batch");
    assert!(schedule("--grad-accum 4").contains("1,251 per epoch"), "an update is --grad-accum batches");
    assert!(schedule("--images 5000 --batch-size 64 --epochs 12").contains("936 steps, 78 per epoch"));
}

#[test]
fn json_and_plot_say_what_the_curve_does() {
    let folder = tempfile::tempdir().unwrap();
    let (json, svg) = (folder.path().join("s.json"), folder.path().join("s.svg"));
    schedule(&format!(
        "--sched sgdr --epochs 7 --warmup-epochs 0 --updates-per-epoch 3 --json {} --plot {}",
        json.display(),
        svg.display()
    ));
    let value: serde_json::Value = serde_json::from_str(&text(&json)).unwrap();
    assert_eq!((&value["updates"], &value["updates_per_epoch"], &value["sched"]), (&21.into(), &3.into(), &"sgdr".into()));
    assert_eq!(value["points"].as_array().unwrap().len(), 21);
    let restarts: Vec<u64> = value["marks"].as_array().unwrap().iter().map(|m| m["update"].as_u64().unwrap()).collect();
    assert_eq!(restarts, [3, 9]);
    let drawn = text(&svg);
    for word in ["<svg", "polyline", "learning rate", "epoch", "restart", "7 epochs of 3 steps"] {
        assert!(drawn.contains(word), "{word}");
    }
    // momentum is a second line only where it moves
    assert!(!drawn.contains("momentum"));
    schedule(&format!("--sched onecycle --epochs 7 --updates-per-epoch 30 --plot {}", svg.display()));
    assert!(text(&svg).contains("momentum"));
    schedule(&format!("--opt adamw --sched onecycle --epochs 7 --updates-per-epoch 30 --plot {}", svg.display()));
    assert!(text(&svg).contains("beta1"));
    schedule(&format!("--compare cosine,step,poly --plot {}", svg.display()));
    schedule(&format!("--compare cosine,onecycle --warmup-epochs 5 --plot {}", folder.path().join("w.svg").display()));
    // what a link points to is written, the link stays
    let link = folder.path().join("link.csv");
    std::os::unix::fs::symlink(folder.path().join("real.csv"), &link).unwrap();
    std::fs::write(folder.path().join("real.csv"), "").unwrap();
    schedule(&format!("--epochs 7 --updates-per-epoch 3 --csv {}", link.display()));
    assert!(link.is_symlink() && text(&folder.path().join("real.csv")).lines().count() == 22);
    let drawn = text(&svg);
    assert!(["cosine", "step", "poly"].iter().all(|name| drawn.contains(name)));
}

#[test]
fn what_makes_no_sense_is_refused_by_flag() {
    for (args, flag) in [
        ("--sched multistep", "--decay-milestones"),
        ("--sched multistep --decay-milestones 3,60", "--decay-milestones"),
        ("--sched step --decay-epochs 0", "--decay-epochs"),
        ("--sched step --decay-rate 2", "--decay-rate"),
        ("--sched sgdr --cycle-mul 0", "--cycle-mul"),
        ("--sched sgdr --cycle-epochs 0", "--cycle-epochs"),
        ("--sched poly --poly-power -1", "--poly-power"),
        ("--sched onecycle --pct-start 30", "--pct-start"),
        ("--sched onecycle --pct-start 0", "--pct-start"),
        ("--sched onecycle --epochs 1 --updates-per-epoch 1", "--pct-start"),
        ("--sched onecycle --three-phase --pct-start 0.6", "--pct-start"),
        ("--sched onecycle --warmup-epochs 5", "--warmup-epochs"),
        ("--sched onecycle --base-momentum 0.99", "--base-momentum"),
        ("--warmup-epochs 90", "--warmup-epochs"),
        ("--warmup-epochs -1", "--warmup-epochs"),
        ("--min-lr 1", "--min-lr"),
        ("--warmup-lr 1", "--warmup-lr"),
        ("--lr inf", "--lr"),
        ("--epochs 0", "--epochs"),
        ("--opt adamw --opt-betas 0.9", "--opt-betas"),
        ("--opt lamb --opt-eps 0", "--opt-eps"),
        ("--nesterov --dampening 0.1", "--dampening"),
        ("--clip-grad-norm nan", "--clip-grad-norm"),
        ("--model-ema-decay 1", "--model-ema-decay"),
        ("--on-nonfinite skip:0", "--on-nonfinite"),
        ("--updates-per-epoch 0", "--updates-per-epoch"),
        ("--images 10", "--batch-size"),
        ("--images 10 --updates-per-epoch 4", "--updates-per-epoch"),
        ("--compare cosine,step --csv x.csv", "--csv"),
    ] {
        let args: Vec<&str> = ["schedule"].into_iter().chain(args.split(' ')).collect();
        refuses(&args, 2, &[flag]);
    }
    refuses(&["schedule", "--csv", "/nowhere/at/all/s.csv"], 73, &["/nowhere/at/all"]);
    refuses(&["schedule", "--data", "/nowhere/at/all"], 65, &["/nowhere/at/all", "--updates-per-epoch"]);
}

#[test]
fn what_is_odd_is_told() {
    for (args, words) in [
        ("--sched multistep --decay-milestones 30,120", "--decay-milestones: 1 of 2 lie past the end"),
        ("--sched step --decay-epochs 90", "--decay-epochs"),
        ("--poly-power 3", "--poly-power: does nothing with --sched cosine"),
        ("--opt adamw --lr 0.1", "a learning rate for sgd"),
        ("--sched sgdr --cycle-epochs 25", "--cycle-epochs: the run ends"),
        ("--max-steps 1000", "--max-steps"),
    ] {
        let args: Vec<&str> = ["schedule"].into_iter().chain(args.split(' ')).collect();
        let output = engine(&args);
        assert!(output.status.code() == Some(0) && stderr(&output).contains(words), "{args:?}: {}", stderr(&output));
    }
}

/// A folder is data whatever its name; only what was not typed is ImageNet.
#[test]
fn a_folder_named_imagenet_is_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    demo::write(&folder.path().join("imagenet"), Split::Train, 128, 1).unwrap();
    let said = |args: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_imagenet-engine"));
        let output = command.arg("schedule").args(args).current_dir(folder.path()).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(said(&["--data", "imagenet", "--batch-size", "16"]).contains(" 8 per epoch"));
    assert!(said(&["--batch-size", "16"]).contains("80,072 per epoch"));
}

/// A whole ImageNet run is half a million lines; what is drawn of it stays small and loses no cycle.
#[test]
fn long_runs_are_drawn_small() {
    let folder = tempfile::tempdir().unwrap();
    let svg = folder.path().join("s.svg");
    for sched in ["cosine", "sgdr --cycle-epochs 0.0002 --cycle-mul 1", "onecycle --three-phase", "step --decay-epochs 0.01"] {
        schedule(&format!("--sched {sched} --plot {}", svg.display()));
        let drawn = text(&svg);
        assert!(drawn.len() < 200_000, "{sched}: {} bytes", drawn.len());
        assert!(!sched.starts_with("onecycle") || drawn.contains("peak") && drawn.contains("first rate again"), "{sched}");
    }
}

/// Switches that a preset or a file sets can be switched off again.
#[test]
fn switches_can_be_switched_off() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.toml");
    std::fs::write(&file, "nesterov = true\nthree-phase = true\nmodel-ema = true\nzero-init-residual = true\nsched = 'onecycle'\n")
        .unwrap();
    let said = |more: &str| {
        let args = ["train", "--dry-run", "--data", "demo", "--config", file.to_str().unwrap()];
        let output = engine(&args.into_iter().chain(more.split_whitespace()).collect::<Vec<_>>());
        assert_eq!(output.status.code(), Some(0), "{more}: {}", stderr(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    for switch in ["nesterov", "three-phase", "model-ema", "zero-init-residual"] {
        assert!(said("").contains(&format!("{switch} = true")), "{switch}");
        assert!(said(&format!("--{switch} false")).contains(&format!("{switch} = false")), "{switch}");
        assert!(said(&format!("--{switch}=false --{switch}")).contains(&format!("{switch} = true")), "{switch}");
    }
}

/// The test runs, says a rate and why, and leaves nothing but the files asked for.
#[test]
fn lr_find_suggests_a_rate_and_leaves_no_weights() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("train");
    demo::write(&data, Split::Train, 400, 1).unwrap();
    let (csv, svg, json) = (folder.path().join("f.csv"), folder.path().join("f.svg"), folder.path().join("f.json"));
    let path = |p: &Path| p.to_str().unwrap().to_owned();
    let fixed =
        "--model resnet18 --batch-size 32 --train-crop-size 32 --rrc-scale 0.8,1 --steps 120 --lr-low 1e-4 --lr-high 1 --progress none";
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_imagenet-engine"))
        .args(["lr-find", "--data", &path(&data), "--csv", &path(&csv), "--plot", &path(&svg), "--json", &path(&json)])
        .args(fixed.split(' '))
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        said.contains("suggestion: --lr ") && said.contains("falling steepest at lr ") && said.contains("no weights were kept"),
        "{said}"
    );
    let value: serde_json::Value = serde_json::from_str(&text(&json)).unwrap();
    let peak = value["suggested_lr"].as_f64().unwrap();
    assert!((1e-4..1.0).contains(&peak), "{peak}");
    let rates: Vec<f64> = text(&csv).lines().skip(1).map(|l| l.split(',').next().unwrap().parse().unwrap()).collect();
    assert!(rates.len() > 20 && (rates[0] - 1e-4).abs() < 1e-17);
    let factor = 1e4f64.powf(1.0 / 119.0);
    assert!(rates.windows(2).all(|w| (w[1] / w[0] - factor).abs() < 1e-9), "rates grow by one factor");
    assert!(text(&svg).contains("suggested"));
    let mut left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    left.sort();
    assert_eq!(left, ["f.csv", "f.json", "f.svg", "train"]);
    refuses(&["lr-find", "--lr-low", "1", "--lr-high", "0.1"], 2, &["--lr-low"]);
    refuses(&["lr-find", "--steps", "3"], 2, &["--steps"]);
    for (flag, value) in [("--resume", "auto"), ("--output", "x"), ("--lr", "0.1"), ("--epochs", "3"), ("--val", "x")] {
        refuses(&["lr-find", flag, value], 2, &[&format!("{flag} means nothing to lr-find")]);
    }
}

/// At every width of a terminal nothing is wider than it, and the axes have numbers that people write.
#[test]
fn the_curve_fits_the_terminal() {
    for columns in ["40", "80", "132"] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_imagenet-engine"));
        let output = command.args(["schedule", "--batch-size", "1024"]).env("COLUMNS", columns).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let curve: Vec<&str> = said.lines().filter(|l| l.contains(['│', '┤', '└'])).collect();
        let width: usize = columns.parse().unwrap();
        assert!(curve.len() > 10 && curve.iter().all(|line| line.chars().count() <= width), "{columns}:\n{said}");
        assert!(said.contains("0.4 ┤") && said.contains("1,281,167 training images") && said.contains("ImageNet-1K's"), "{said}");
    }
}
