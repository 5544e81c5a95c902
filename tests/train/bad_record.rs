//! Damaged records while training: the run ends and names them, or goes on with others in their place, the same across a resume.

use crate::engine::{demo_pictures, engine, events};
use imagenet_engine::data::Dataset;
use std::path::Path;
use std::process::Output;

/// Damages two records of the training pictures.
fn damage(data: &Path) {
    let dataset = Dataset::open(&data.join("train")).unwrap();
    let shard = &dataset.shards()[0];
    let mut bytes = std::fs::read(shard.path()).unwrap();
    [17, 60].iter().for_each(|&r| bytes[shard.entries[r].offset as usize + 5] ^= 4);
    std::fs::write(shard.path(), bytes).unwrap();
}

fn train(data: &Path, output: &Path, more: &[&str]) -> Output {
    let mut command = engine();
    command.args(["train", "--model", "resnet18", "--batch-size", "16", "--train-crop-size", "32", "--epochs", "2", "--lr", "0.01"]);
    command.args(["--device", "cpu", "--progress", "plain", "--log-interval", "1", "--save-every", "1", "--checkpoint-hist", "50"]);
    command.arg("--data").arg(data.join("train")).arg("--output").arg(output).args(more).output().unwrap()
}

#[test]
fn damaged_records_end_the_run_or_are_replaced_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let data = demo_pictures(folder.path());
    damage(&data);
    let path = |name: &str| folder.path().join(name);
    let stopped = train(&data, &path("stopped"), &[]);
    let said = String::from_utf8_lossy(&stopped.stderr).into_owned();
    assert!(stopped.status.code() == Some(65) && said.contains("shard corrupted") && said.contains("at byte"), "{said}");

    let few = train(&data, &path("few"), &["--on-bad-record", "skip:1"]);
    let said = String::from_utf8_lossy(&few.stderr).into_owned();
    assert!(few.status.code() == Some(65) && said.contains("2 damaged records, and --on-bad-record skip:1"), "{said}");

    let whole = train(&data, &path("whole"), &["--on-bad-record", "skip:9"]);
    let said = String::from_utf8_lossy(&whole.stderr).into_owned();
    assert_eq!(whole.status.code(), Some(0), "{said}");
    assert!(said.contains("replaced a corrupt record with the next") && said.contains("crc32c"), "{said}");
    let bad = |output: &str| -> Vec<_> {
        let mut all: Vec<_> = events(&path(output)).into_iter().filter(|e| e["event"] == "bad_record").collect();
        all.iter_mut().for_each(|e| drop(e.as_object_mut().unwrap().remove("time")));
        all
    };
    let of_whole = bad("whole");
    assert!((3..=4).contains(&of_whole.len()), "two epochs of 96 of 100 pictures: {of_whole:?}");
    assert_eq!(of_whole.last().unwrap()["count"], of_whole.len());
    let named = |e: &serde_json::Value| e["what"].as_str().unwrap().contains(&format!("(global {},", e["id"]));
    assert!(of_whole.iter().all(named), "the id of the image: {of_whole:?}");
    assert_eq!(events(&path("whole")).last().unwrap()["bad_records"], of_whole.len());

    // stopped in between and gone on, it ends with the same bytes and the same count
    assert_eq!(train(&data, &path("parts"), &["--on-bad-record", "skip:9", "--max-steps", "7"]).status.code(), Some(0));
    let rest = train(&data, &path("parts"), &["--on-bad-record", "skip:9", "--resume", "auto", "--max-steps", "12"]);
    assert_eq!(rest.status.code(), Some(0), "{}", String::from_utf8_lossy(&rest.stderr));
    assert_eq!(bad("parts"), of_whole);
    let weights = |output: &str| std::fs::read(path(output).join("model.safetensors")).unwrap();
    assert!(weights("parts") == weights("whole"));
}
