//! What is no checkpoint of the network: of another model, or not a checkpoint at all. Each is refused with 65, by name, at once.

use imagenet_engine::checkpoint::{self, ModelCard, Progress, State, safetensors, weights};
use imagenet_engine::error::Error;
use imagenet_engine::models::{self, Model};
use imagenet_engine::rng::{Purpose, Stream};
use std::path::Path;
use std::time::{Duration, Instant};

fn refused<T>(result: Result<T, Error>, path: &Path, what: &str) {
    let error = result.err().unwrap_or_else(|| panic!("{what}: taken for a checkpoint"));
    assert!(error.exit_code() == 65 && error.to_string().contains(path.to_str().unwrap()), "{what}: {error}");
}

#[test]
fn a_hundred_wrong_models_are_refused() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("resnet18.safetensors");
    let model = Model::new("resnet18", 10, false).unwrap();
    let state = State::fresh(model.layout.init(3), model.layout.init_running());
    let card = ModelCard { model: "resnet18".into(), classes: (0..10).map(|c| format!("c{c}")).collect(), ..ModelCard::default() };
    checkpoint::save(&path, &model, &card, &state, &Progress::default()).unwrap();
    let file = safetensors::read(&path).unwrap();
    assert!(checkpoint::unpack(&file, &model).is_ok() && weights::load(&model, &file).is_ok(), "the right one");
    let mut tried = 0;
    for name in models::names() {
        for classes in (1..=40).filter(|&c| name != "resnet18" || c != 10).take(20) {
            let other = Model::new(name, classes, false).unwrap();
            refused(checkpoint::unpack(&file, &other), &path, &format!("{name} of {classes} classes"));
            assert!(weights::load(&other, &file).is_err_and(|e| e.exit_code() == 65), "{name} of {classes} classes");
            tried += 1;
        }
    }
    assert!(tried >= 100, "{tried}");
    eprintln!("{tried} wrong models refused, as a checkpoint and as weights");
}

#[test]
fn fifty_other_things_are_refused() {
    let tmp = tempfile::tempdir().unwrap();
    let model = Model::new("resnet18", 10, false).unwrap();
    let mut s = Stream::new(81, Purpose::Test, 0, 0);
    let mut things: Vec<(String, Vec<u8>)> = Vec::new();
    for n in 0..15 {
        let oid: String = (0..64).map(|_| char::from_digit(s.below(16), 16).unwrap()).collect();
        let size = s.below(u32::MAX);
        things
            .push((format!("lfs{n}"), format!("version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {size}\n").into_bytes()));
    }
    for (n, status) in ["404 Not Found", "401 Unauthorized", "Sign in", "Rate limit", "Moved"].iter().enumerate() {
        things.push((format!("html{n}"), format!("<!DOCTYPE html>\n<html><head><title>{status}</title></head></html>\n").into_bytes()));
        things.push((format!("json{n}"), format!("{{\"error\":\"{status}\"}}").into_bytes()));
    }
    let magics: [&[u8]; 9] = [
        b"",
        b"\0",
        b"PK\x03\x04",
        b"\x1f\x8b\x08",
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff\xe0",
        b"\x80\x02}q\x00.", // a pickle
        b"GGUF\x03\0\0\0",
        b"\x89HDF\r\n\x1a\n",
    ];
    for (n, magic) in magics.into_iter().enumerate() {
        things.push((format!("magic{n}"), magic.to_vec()));
        things.push((format!("long{n}"), [magic, &vec![s.below(256) as u8; 5000][..]].concat()));
    }
    for (n, len) in [0u64, 1, 7, 8, 1 << 20, 1 << 40, u64::MAX].into_iter().enumerate() {
        things.push((format!("header{n}"), [&len.to_le_bytes()[..], b"{}      "].concat()));
    }
    for (name, bytes) in &things {
        std::fs::write(tmp.path().join(name), bytes).unwrap();
    }
    std::fs::create_dir(tmp.path().join("folder")).unwrap();
    std::os::unix::fs::symlink("nowhere", tmp.path().join("dangling")).unwrap();
    std::os::unix::fs::symlink("loop", tmp.path().join("loop")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, tmp.path().join("pipe"), rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
    let sparse = std::fs::File::create(tmp.path().join("sparse")).unwrap();
    sparse.set_len(40 << 30).unwrap();
    let mut tried = 0;
    for entry in std::fs::read_dir(tmp.path()).unwrap().map(|e| e.unwrap().path()).chain([tmp.path().join("missing")]) {
        let (began, what) = (Instant::now(), entry.display().to_string());
        refused(checkpoint::load(&entry, &model), &entry, &what);
        assert!(began.elapsed() < Duration::from_secs(5), "{what}: {:?}", began.elapsed());
        tried += 1;
    }
    assert!(tried >= 50, "{tried}");
    eprintln!("{tried} files, folders, links and pipes that are no checkpoint refused");
}
