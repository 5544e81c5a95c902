//! The whole path as a user types it, with everything that is printed: `transcript.txt` beside this file, to be read by people. The test
//! types it again and compares. What is measured or learned (rates, times, losses, memory) is compared by its form alone.
//! `IE_BLESS=1 cargo test --release --test cli transcript` writes the file anew.

use imagenet_engine::data::{Split, demo};
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const SMALL: &str = "--model resnet18 --train-crop-size 32 --augment none --device cpu --threads 2";

/// What is typed, with what is said about it. `^C` at the end: interrupted after some steps of the second epoch.
fn script() -> Vec<(&'static str, String)> {
    let typed = |text: &str| text.to_owned();
    let train = format!(
        "train --data packed/train --val packed/val {SMALL} --val-crop-size 32 --batch-size 8 --lr 0.002 --epochs 3 --warmup-epochs 1 \
         --output runs/first"
    );
    vec![
        ("Packing: images to shards, once", typed("pack --input images/train --output packed/train --resize 32 --jobs 2")),
        ("", typed("pack --input images/val --output packed/val --resize 32 --jobs 2")),
        ("Is every byte there?", typed("verify packed/train")),
        ("What is in it?", typed("inspect packed/train")),
        ("The learning rate of every step", typed("schedule --data packed/train --epochs 3 --batch-size 8 --warmup-epochs 1 --lr 0.002")),
        ("Which learning rate?", format!("lr-find --data packed/train {SMALL} --batch-size 32 --steps 80 --lr-low 1e-3 --lr-high 10")),
        ("What would run?", format!("{train} --dry-run")),
        ("Training, stopped by Ctrl-C in the second epoch", format!("{train} ^C")),
        ("Going on", typed("train --resume auto --output runs/first")),
        ("And again: nothing is left to do", typed("train --resume auto --output runs/first")),
        ("Accuracy of the best weights", typed("eval --data packed/val --weights runs/first --device cpu --threads 2")),
        ("What is in the photos of a folder?", typed("predict --weights runs/first --top 2 images/val/ring --device cpu --threads 2")),
        ("Weights for PyTorch", typed("export --weights runs/first --output first.safetensors")),
        ("The same once more, by mistake", typed("export --weights runs/first --output first.safetensors")),
    ]
}

/// Types one line in `folder`; what it printed and its exit code.
fn typed(folder: &Path, line: &str) -> String {
    let (interrupted, line) = line.strip_suffix(" ^C").map_or((false, line), |line| (true, line));
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_imagenet-engine"));
    command.arg0("imagenet-engine").args(line.split_whitespace()).current_dir(folder).env("COLUMNS", "80");
    command.stdin(Stdio::null()).stdout(writer.try_clone().unwrap()).stderr(writer);
    let mut child = command.spawn().unwrap();
    drop(command); // its ends of the pipe
    if interrupted {
        interrupt_after(&folder.join("runs/first/metrics.jsonl"), child.id());
    }
    let mut said = String::new();
    reader.read_to_string(&mut said).unwrap();
    let code = child.wait().unwrap().code().map_or("none".to_owned(), |code| code.to_string());
    format!("{said}[exit code {code}]\n")
}

/// Sends SIGINT once the first epoch was evaluated.
fn interrupt_after(log: &Path, pid: u32) {
    let start = Instant::now();
    while !std::fs::read_to_string(log).unwrap_or_default().contains("\"event\":\"eval\"") {
        assert!(start.elapsed() < Duration::from_secs(120), "no epoch in two minutes");
        std::thread::sleep(Duration::from_millis(5));
    }
    while !log.with_file_name("best.safetensors").exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(700)); // some steps of the second
    assert!(Command::new("kill").args(["-s", "INT", &pid.to_string()]).status().unwrap().success());
}

fn is_number(word: &str) -> bool {
    let bare = word.trim_matches(|c: char| "(),:;%".contains(c));
    bare.starts_with(|c: char| c.is_ascii_digit()) && bare.chars().all(|c| c.is_ascii_digit() || ".,:e-".contains(c)) || bare == "-"
}

/// What of a line is the same in each run and on each machine.
fn form(line: &str) -> String {
    if line.contains(|c: char| ('\u{2800}'..='\u{28ff}').contains(&c)) || line.trim_start().starts_with(['│', '┤', '└']) {
        return "(curve)".to_owned();
    }
    let likely = line.starts_with("  ") && line.contains("%  ");
    let words = line.split_whitespace();
    let volatile = [
        "epoch ",
        "step ",
        "loss ",
        "diverged",
        "suggestion",
        "memory",
        "device",
        "best top-1",
        "top-1",
        "stopped after",
        "going on",
        "from ",
        "steps ",
        "resumes",
    ];
    let measured = volatile.iter().any(|start| line.starts_with(start)) || line.contains("images/s") || line.contains("available");
    match (likely, measured) {
        (true, _) => "(a class and its probability)".to_owned(),
        (_, true) => words.map(|word| if is_number(word) { "#" } else { word }).collect::<Vec<_>>().join(" "),
        _ => words.collect::<Vec<_>>().join(" "),
    }
}

/// The forms of all lines: broken ones joined, equal ones that follow each other once.
fn forms(text: &str) -> Vec<String> {
    let joined = text.replace(&format!("\n{:14}", ""), " ");
    let mut all: Vec<String> = joined.lines().map(form).filter(|line| !line.is_empty()).collect();
    // The file system differs from place to place, and the numbers of the checkpoints with the moment of the interruption.
    all.iter_mut()
        .filter(|line| line.contains("read by pread") || line.contains("read through a map"))
        .for_each(|line| *line = "(how it is read)".to_owned());
    for line in &mut all {
        if let Some((before, after)) = line.clone().split_once("checkpoints/") {
            *line = format!("{before}checkpoints/#{}", after.get(8..).unwrap_or_default());
        }
    }
    all.dedup();
    all
}

#[test]
fn the_whole_path_reads_as_committed() {
    let folder = tempfile::tempdir().unwrap();
    let images = |split: Split, count: usize| {
        let packed = folder.path().join("generated").join(split.name());
        demo::write(&packed, split, count, 1).unwrap();
        let output = folder.path().join("images").join(split.name());
        let status = Command::new(env!("CARGO_BIN_EXE_imagenet-engine"))
            .args(["unpack", "--progress", "none", "--output"])
            .args([output.as_path(), packed.as_path()])
            .stdout(Stdio::null())
            .status();
        assert!(status.unwrap().success());
        std::fs::remove_file(output.join("index.csv")).unwrap();
    };
    std::fs::create_dir(folder.path().join("images")).unwrap();
    images(Split::Train, 200);
    images(Split::Val, 40);
    let mut now =
        "The whole path, at 80 columns, with what each command prints and its exit code. Written and compared by transcript.rs.\n"
            .to_owned();
    for (why, line) in script() {
        let said = typed(folder.path(), &line);
        let heading = if why.is_empty() { String::new() } else { format!("\n# {why}") };
        now += &format!("{heading}\n$ imagenet-engine {line}\n{said}");
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/transcript.txt");
    if std::env::var_os("IE_BLESS").is_some() {
        std::fs::write(&path, &now).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    let (was, is) = (forms(&committed), forms(&now));
    let differs = was.iter().zip(&is).position(|(a, b)| a != b).unwrap_or(was.len().min(is.len()));
    assert!(was == is, "line {differs}: {:?}, now {:?}; IE_BLESS=1 writes the file anew\n{now}", was.get(differs), is.get(differs));
    // Lines to be pasted stay whole, however long.
    let wide =
        |line: &&str| line.chars().count() > 80 && !line.starts_with(['$', '#']) && !line.contains("next") && !line.contains("where:");
    let wide: Vec<&str> = now.lines().skip(1).filter(wide).collect();
    assert!(wide.is_empty(), "wider than 80: {wide:#?}");
}
