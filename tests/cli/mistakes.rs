//! Mistakes that people make, as one table: the command, its exit code, and the words that must appear. None may write anything.

use crate::{engine, stderr};
use imagenet_engine::data::{Split, demo};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

/// What was typed, the exit code, and what the message must say. `D` stands for the folder of fixtures.
const MISTAKES: &[(&str, i32, &[&str])] = &[
    // numbers
    ("train --epochs -3", 2, &["--epochs -3: expected a whole number from 1 to 16,777,216"]),
    ("train --epochs 0", 2, &["--epochs 0: expected a whole number from 1"]),
    ("train --epochs 1.5", 2, &["--epochs 1.5: expected a whole number"]),
    ("train --epochs many", 2, &["--epochs many: expected a whole number"]),
    ("train --batch-size 0", 2, &["--batch-size 0: expected a whole number from 1"]),
    ("train --batch-size 1e3", 2, &["--batch-size 1e3: expected a whole number from 1"]),
    ("train --lr 1e", 2, &["--lr 1e: expected a number above 0"]),
    ("train --lr -0.1", 2, &["--lr -0.1: expected a number above 0"]),
    ("train --lr 0,1", 2, &["--lr 0,1: expected a number above 0"]),
    ("train --lr nan", 2, &["--lr NaN: expected a number above 0"]),
    ("train --momentum 1", 2, &["--momentum 1: expected a number of at least 0 and below 1"]),
    ("train --wd -1", 2, &["--weight-decay -1: expected a number of at least 0"]),
    ("train --label-smoothing 10", 2, &["--label-smoothing 10: expected a number of at least 0 and below 1"]),
    ("train --workers 0", 2, &["--workers 0: expected a whole number from 1 to 256"]),
    ("train --threads 5000", 2, &["--threads 5000: at most"]),
    ("train --threads none", 2, &["--threads none: expected a whole number of at least 1"]),
    ("train --val-crop-size 100000", 2, &["--val-crop-size 100000: expected a whole number from 1 to"]),
    ("train --seed 99999999999999999999", 2, &["--seed 99999999999999999999"]),
    ("train --rrc-scale 0.5", 2, &["--rrc-scale 0.5: expected two numbers, such as 0.08,1"]),
    ("train --rrc-scale 0.5,2", 2, &["--rrc-scale 0.5,2: expected"]),
    ("train --opt adamw --opt-betas 0.9,1", 2, &["--opt-betas 0.9,1: expected two numbers of at least 0 and below 1"]),
    ("train --max-steps 0", 2, &["--max-steps 0: expected a whole number of at least 1"]),
    ("predict --top 0 --weights D/w x.png", 2, &["--top 0: expected a whole number"]),
    ("pack --input D --output D/o --encoding jpeg --quality 101", 2, &["--quality 101: expected a whole number from 1 to 100"]),
    // words
    ("train --sched cosin", 2, &["--sched cosin: expected one of cosine, onecycle", "next:  --sched cosine"]),
    ("train --opt adam", 2, &["--opt adam: expected one of sgd, adamw", "next:  --opt adamw"]),
    ("train --precision fp16", 2, &["--precision fp16: expected one of bf16, fp32"]),
    ("train --data demo --model resnet51", 2, &["resnet51", "resnet50"]),
    ("train --device gpu", 2, &["gpu", "cuda"]),
    ("trian", 2, &["no command 'trian'", "train?"]),
    ("train extra", 2, &["'extra' is one word too many"]),
    ("train --shufle", 2, &["no flag --shufle", "--shuffle?"]),
    ("train --epoch 3", 2, &["no flag --epoch", "--epochs?"]),
    ("train --batch_size 3", 2, &["no flag --batch_size", "--batch-size?"]),
    // flags of others
    ("train --amp", 2, &["no flag --amp", "--precision bf16"]),
    ("train --img-size 224", 2, &["--train-crop-size N"]),
    ("train --data-path x", 2, &["--data DIR"]),
    ("train --lr-scheduler cosine", 2, &["--sched cosine"]),
    ("train --num-workers 8", 2, &["--workers N"]),
    ("train --mixup 0.2", 2, &["not available in this version"]),
    ("train --world-size 8", 2, &["one GPU"]),
    ("train --num-classes 10", 2, &["the classes are those of the packed images"]),
    ("train --evaluate", 2, &["eval --data DIR"]),
    ("eval --checkpoint x --data D", 2, &["--weights FILE"]),
    ("pack --data x", 2, &["--input PATH"]),
    // paths of another kind
    ("train --data D/nowhere", 65, &["D/nowhere", "no such folder"]),
    ("train --data D/packed/trian", 65, &["no such folder", "next:  D/packed/train, which is there"]),
    ("train --data D/pakced/train", 65, &["next:  D/packed/train, which is there"]),
    ("train --data D/packed/train --val D/packed/vall", 65, &["next:  D/packed/val, which is there"]),
    ("verify D/run", 65, &["the folder of a training run", "--weights D/run"]),
    ("verify D/gone", 65, &["missing: deleted, or not copied"]),
    (
        "train --data D/gone",
        65,
        &["next:  imagenet-engine verify --full D/gone  # then: imagenet-engine verify D/gone --repair-from IMAGES"],
    ),
    // the demo is not drawn unasked
    ("train --lr 0.1", 2, &["which images? --data DIR; --data demo for the generated ones", "--lr is given, and no --data"]),
    ("train --output D/x", 2, &["which images?", "--output is given"]),
    ("train --model resnet50 --epochs 90", 2, &["which images?"]),
    ("train --config D/bare.toml", 2, &["which images?", "--config is given"]),
    ("train --dry-run --epochs 3", 2, &["which images?"]),
    ("lr-find", 2, &["which images?", "lr-find --data demo"]),
    ("lr-find --batch-size 8", 2, &["which images?"]),
    ("train --data demo --val D/empty", 2, &["has validation images of its own", "--data demo without --val"]),
    ("train --val D/empty", 2, &["--val D/empty", "--data DIR"]),
    ("train --resume auto --output D/nowhere", 2, &["nothing to resume"]),
    ("train --data synthetic --resume D/empty --output D/x", 65, &["no checkpoint or weights in this folder"]),
    ("train --data synthetic --init D/model.pth --output D/x", 65, &["torch.save", "python -c", "model.safetensors"]),
    ("train --data synthetic --output D/file", 73, &["--output D/file: this is a file, and a run needs a folder"]),
    ("eval --data D/empty --weights D/model.pth", 65, &["D/empty"]),
    ("predict --weights D/model.pth D/x.png", 65, &["torch.save", "weights_only=True"]),
    ("predict --weights D/typo.toml D/x.png", 65, &["this is a text file", "the folder of a run"]),
    ("train --data synthetic --resume D/model.pth --output D/x", 65, &["--init starts from the weights of others"]),
    ("predict --weights D/page.safetensors D/x.png", 65, &["web page"]),
    ("predict --weights D/lfs.safetensors D/x.png", 65, &["git lfs pull"]),
    ("predict --weights D/empty D/x.png", 65, &["no checkpoint or weights in this folder"]),
    ("export --weights D/w --output D/x.onnx", 2, &["--output D/x.onnx: this file is written as safetensors only"]),
    ("export --weights D/w --output D/x --format onnx", 2, &["--format onnx: expected safetensors"]),
    ("inspect D/empty --sheet D/x.jpg", 2, &["--sheet D/x.jpg", "D/x.png"]),
    ("pack --input D/nowhere --output D/o", 65, &["D/nowhere"]),
    ("pack --input D/empty --output D/o", 65, &["D/empty"]),
    ("verify D/empty", 65, &["dataset.json"]),
    // files of settings
    ("train --config D/settings.yaml", 2, &["looks like YAML", "settings.yaml, line 1"]),
    ("train --config D/settings.json", 2, &["looks like JSON"]),
    ("train --config D/typo.toml", 2, &["no setting 'epoch'", "typo.toml, line 2", "epochs?"]),
    ("train --config D/type.toml", 2, &["epochs = 'ninety': expected a whole number from 1 to 16,777,216", "type.toml, line 1"]),
    ("train --config D/nowhere.toml", 65, &["D/nowhere.toml"]),
    ("train --config D/packed/train/dataset.json", 2, &["looks like JSON"]),
    // what is missing
    ("pack --input D/photos", 2, &["--output <DIR> is missing"]),
    ("unpack D/packed/train", 2, &["--output <DIR> is missing"]),
    ("eval --data D/packed/val", 2, &["--weights <FILE|RUN> is missing"]),
    ("predict --weights D/run", 2, &["<IMAGE|DIR|->... is missing"]),
    ("train --model", 2, &["--model needs a value"]),
    ("train --epochs", 2, &["--epochs needs a value: a whole number from 1"]),
    ("schedule --sched", 2, &["--sched needs a value: one of cosine"]),
    ("train --resume auto", 2, &["where does the run go on?", "--output DIR"]),
    ("train --resume D/run", 2, &["train --resume auto --output D/run"]),
    ("train --data demo --sched multistep", 2, &["needs the epochs", "next:  --decay-milestones 30,60,80"]),
    // folders taken for each other
    ("pack --input D/packed/train --output D/o", 2, &["this folder is packed already", "imagenet-engine inspect D/packed/train"]),
    ("pack --input D/photos --output D/photos/packed", 2, &["inside the input"]),
    ("pack --input D/photos --output D/packed/train", 73, &["refusing to overwrite"]),
    ("train --data D/photos", 65, &["packed once before training", "pack --input D/photos --output packed/photos"]),
    ("train --data D/packed", 65, &["each split has its own folder", "D/packed/train or D/packed/val"]),
    ("train --data D/packed/train/dataset.json", 2, &["a file, where a packed folder is expected", "next:  D/packed/train"]),
    ("inspect D/packed/train/dataset.json", 2, &["next:  D/packed/train"]),
    ("train --data D/packed/train --val D/packed/train", 2, &["the same dataset", "--allow-same"]),
    ("train --data D/packed/val --val D/packed/train", 2, &["--data D/packed/train --val D/packed/val"]),
    ("verify D/packed", 65, &["D/packed/train or D/packed/val"]),
    ("bench loader --data D/packed", 65, &["D/packed/train or D/packed/val"]),
    ("export --weights D/packed/train --output D/y.safetensors", 65, &["it is a packed dataset"]),
    ("unpack D/packed/train --output D/photos", 73, &["the output folder is not empty"]),
    ("train --data synthetic --init D/photo.jpg --output D/x", 65, &["this is a JPEG image, and weights are read from safetensors"]),
    ("eval --data D/packed/val --weights resnet50", 65, &["resnet50", "no such file or folder"]),
    ("inspect D/cut", 65, &["the file is cut short: it is 51,288 bytes and should be 52,288"]),
    // values
    ("pack --input D/photos --output D/o --resize -1", 2, &["--resize -1: expected a whole number from 0 to 8,191"]),
    ("pack --input D/photos --output D/o --resize 256px", 2, &["--resize 256px: expected a whole number"]),
    ("pack --input D/photos --output D/o --on-bad limit=5%", 2, &["a fraction from 0 to 1"]),
    ("pack --input D/photos --output D/o --quality 90", 2, &["add --encoding jpeg"]),
    ("train --data demo --model ResNet50", 2, &["unknown model 'ResNet50'", "next:  --model resnet50"]),
    ("train --data demo --model resnet-18", 2, &["next:  --model resnet18"]),
    ("train --data demo --model vit_b_16", 2, &["one of: resnet18"]),
    ("train --data demo --warmup-epochs 20 --epochs 10", 2, &["the warm-up takes 2,500 steps, but the run has only 1,250"]),
    ("train --data demo --val-resize-size 20", 2, &["--val-resize-size 32 or more"]),
    ("train --nesterov --momentum 0", 2, &["needs --momentum above 0"]),
    ("train --precision bf16 --device cpu", 2, &["the CPU computes in fp32 only", "next:  --precision fp32"]),
    ("eval --data D/packed/val --weights D/run --limit-val-batches 0", 2, &["--limit-val-batches 0: expected a whole number"]),
    ("lr-find --lr-low 1 --lr-high 0.1", 2, &["invalid learning-rate range: 1 to 0.1"]),
    ("schedule --resume auto", 2, &["--resume means nothing to schedule"]),
    ("schedule --output D/x", 2, &["--output means nothing to schedule"]),
    ("schedule --sched multistep", 2, &["next:  --decay-milestones 30,60,80"]),
    ("lr-find --steps 5", 2, &["--steps 5: expected a whole number from 20"]),
    ("lr-find --epochs 3", 2, &["--epochs means nothing to lr-find"]),
    ("lr-find --plot D/x.png", 2, &["written as svg only", "next:  --plot D/x.svg"]),
    ("schedule --plot D/x.png", 2, &["written as svg only", "next:  --plot D/x.svg"]),
    ("schedule --csv D/x.json", 2, &["written as csv only"]),
    ("schedule --images 0", 2, &["--images 0: expected a whole number, 1 or more"]),
    ("schedule --compare cosine,cosin", 2, &["next:  --compare cosine"]),
    ("doctor --gpu", 2, &["there is no flag --gpu"]),
    ("selftest --only nothing", 2, &["no case contains 'nothing'"]),
];

fn fixtures(folder: &Path) {
    std::fs::create_dir(folder.join("empty")).unwrap();
    let pickle_in_a_zip = [b"PK\x03\x04\0\0\0\0".as_slice(), &[0; 200]].concat();
    let files: [(&str, &[u8]); 10] = [
        ("file", b"x"),
        ("x.png", b"x"),
        ("model.pth", &pickle_in_a_zip),
        ("page.safetensors", b"<!DOCTYPE html><html>404</html>"),
        ("lfs.safetensors", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 102400000\n"),
        ("settings.yaml", b"epochs: 90\nlr: 0.1\n"),
        ("settings.json", b"{\"epochs\": 90}\n"),
        ("bare.toml", b"epochs = 3\n"),
        ("typo.toml", b"lr = 0.1\nepoch = 90\n"),
        ("type.toml", b"epochs = 'ninety'\n"),
    ];
    files.iter().for_each(|(name, bytes)| std::fs::write(folder.join(name), bytes).unwrap());
    for (split, count) in [(Split::Train, 16), (Split::Val, 8)] {
        demo::write(&folder.join("packed").join(split.name()), split, count, 1).unwrap();
    }
    std::fs::create_dir_all(folder.join("photos/dog")).unwrap();
    std::fs::write(folder.join("photos/dog/1.jpg"), b"\xff\xd8\xff\xe0").unwrap();
    std::fs::write(folder.join("photo.jpg"), b"\xff\xd8\xff\xe0\0\x10JFIF\0").unwrap();
    std::fs::create_dir(folder.join("run")).unwrap();
    std::fs::write(folder.join("run/config.toml"), "data = \"demo\"\n").unwrap();
    let (whole, cut, gone) = (folder.join("packed/val"), folder.join("cut"), folder.join("gone"));
    std::fs::create_dir(&cut).unwrap();
    std::fs::create_dir(&gone).unwrap();
    for name in ["dataset.json", "SHA256SUMS"] {
        std::fs::copy(whole.join(name), gone.join(name)).unwrap();
    }
    for entry in std::fs::read_dir(&whole).unwrap().flatten() {
        let copy = cut.join(entry.file_name());
        std::fs::copy(entry.path(), &copy).unwrap();
        if copy.extension().is_some_and(|e| e == "ies") {
            let len = copy.metadata().unwrap().len();
            std::fs::OpenOptions::new().write(true).open(&copy).unwrap().set_len(len - 1000).unwrap();
        }
    }
}

/// Every path below `folder`, with the size of files.
fn tree(folder: &Path) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let meta = entry.metadata().unwrap();
            found.insert(entry.path().display().to_string(), if meta.is_dir() { 0 } else { meta.len() });
            if meta.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    found
}

#[test]
fn each_mistake_is_told_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    fixtures(folder.path());
    let before = tree(folder.path());
    let named = folder.path().to_str().unwrap();
    let place = |word: &str| match word.strip_prefix('D') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("{named}{rest}"),
        _ => word.to_owned(),
    };
    let mut wrong = Vec::new();
    for (typed, code, words) in MISTAKES {
        let output = Command::new(env!("CARGO_BIN_EXE_imagenet-engine"))
            .args(typed.split(' ').map(place))
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        // As the table has it: the folder's name is another in every run.
        let text = stderr(&output).replace(named, "D");
        let missing: Vec<_> = words.iter().filter(|word| !text.contains(**word)).collect();
        if output.status.code() != Some(*code)
            || !missing.is_empty()
            || !text.lines().any(|line| line.starts_with("error: "))
            || text.contains("panicked")
        {
            wrong.push(format!("{typed}\n  code {:?}, wanted {code}; missing {missing:?}\n{text}", output.status.code()));
        }
        if tree(folder.path()) != before {
            wrong.push(format!(
                "{typed}\n  wrote: {:?}",
                tree(folder.path()).keys().filter(|k| !before.contains_key(*k)).collect::<Vec<_>>()
            ));
            break;
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), MISTAKES.len(), wrong.join("\n"));
    assert!(MISTAKES.len() >= 100);
}

/// Each process of a launcher would train alone, into one folder.
#[test]
fn a_launcher_of_several_processes_is_refused() {
    let run = |name: &str, size: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_imagenet-engine"));
        command.args(["train", "--dry-run"]).env(name, size).output().unwrap()
    };
    for name in ["WORLD_SIZE", "SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE"] {
        let refused = run(name, "2");
        assert!(refused.status.code() == Some(2) && stderr(&refused).contains(&format!("{name} is 2")), "{}", stderr(&refused));
        assert_eq!(run(name, "1").status.code(), Some(0), "{name}=1 is one process");
    }
}

#[test]
fn help_and_version_are_no_errors() {
    for args in [&["--help"][..], &["--version"], &["train", "--help"], &["bench", "loader", "-h"]] {
        let output = engine(args);
        assert!(output.status.code() == Some(0) && output.stderr.is_empty() && !output.stdout.is_empty(), "{args:?}");
    }
    assert_eq!(engine(&[]).status.code(), Some(2));
}
