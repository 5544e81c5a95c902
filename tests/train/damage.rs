//! Damaged checkpoints: each change is refused with exit code 65 and the file's name, or changes nothing that is read.
//!
//! Counts are a sample; with IE_LONG_TESTS=1 those of docs/reliability.md.

use imagenet_engine::checkpoint::safetensors::{File, TensorOut, parse, write};
use imagenet_engine::rng::{Purpose, Stream};
use serde_json::{Map, Value, json};
use std::path::Path;

const PATH: &str = "checkpoints/00000004.safetensors";

fn count(sample: usize, long: usize) -> usize {
    if std::env::var_os("IE_LONG_TESTS").is_some() { long } else { sample }
}

/// A checkpoint of a few tensors, with metadata like that of a run.
fn checkpoint() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    let values: Vec<f32> = (0..600).map(|i| (i as f32).sin()).collect();
    let tensors = vec![
        TensorOut::f32("conv1.weight".into(), &[6, 5, 5], &values[..150]),
        TensorOut::f32("optimizer.0.conv1.weight".into(), &[6, 5, 5], &values[150..300]),
        TensorOut::f32("fc.bias".into(), &[10], &values[300..310]),
        TensorOut::i64_scalar("bn1.num_batches_tracked".into(), 4),
    ];
    let mut meta = Map::new();
    meta.insert("format".into(), json!(1));
    meta.insert("progress".into(), json!({ "update": 4, "dataset_id": "0123", "config": { "lr": 0.1 } }));
    write(&path, tensors, meta).unwrap();
    std::fs::read(path).unwrap()
}

fn same(a: &File, b: &File) -> bool {
    let tensors = |f: &File| f.tensors.iter().map(|(n, t)| (n.clone(), t.shape.clone(), t.values.clone())).collect::<Vec<_>>();
    tensors(a) == tensors(b) && a.meta == b.meta && a.batches == b.batches
}

/// Whether the damage was refused; anything else must have left what is read as it was.
fn refused(bytes: &[u8], whole: &File, what: &str) -> bool {
    match parse(Path::new(PATH), bytes) {
        Ok(read) => {
            assert!(same(&read, whole), "{what}: other content was read");
            false
        }
        Err(e) => {
            assert!(e.exit_code() == 65 && e.to_string().contains(PATH), "{what}: {e}");
            true
        }
    }
}

#[test]
fn flips_cuts_and_changed_headers_are_refused() {
    let bytes = checkpoint();
    let whole = parse(Path::new(PATH), &bytes).unwrap();
    let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let used = header - bytes[8..header].iter().rev().take_while(|&&b| b == b' ').count();
    let mut stream = Stream::new(11, Purpose::Test, 0, 0);
    let mut below = |n: usize| stream.below(n as u32) as usize;

    let (flips, mut harmless) = (count(1000, 5000), 0);
    for n in 0..flips {
        let bit = if n % 2 == 0 { below(8 * bytes.len()) } else { 8 * below(used) + below(8) };
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        if !refused(&damaged, &whole, &format!("bit {bit}")) {
            harmless += 1; // "pt" of others' metadata, or a space that became another one
            assert!((8..header).contains(&(bit / 8)), "a flip in tensor bytes passed: bit {bit}");
        }
    }
    let cuts = count(300, 1000);
    for n in 0..cuts {
        let len = if n % 2 == 0 { below(bytes.len()) } else { (n * 8 + n % 8).min(bytes.len() - 1) };
        assert!(refused(&bytes[..len], &whole, &format!("cut to {len}")), "cut to {len}");
    }
    let headers = count(200, 500);
    for n in 0..headers {
        let changed = change_header(&bytes, n, &mut below);
        assert!(refused(&changed, &whole, &format!("header {n}")), "change {n}: {:?}", String::from_utf8_lossy(&changed[8..200]));
    }
    eprintln!("{flips} flips ({harmless} of bytes that mean nothing), {cuts} cuts, {headers} changed headers: all refused");
}

/// Another header that is valid JSON: a shape, type, range, name or metadata changed.
fn change_header(bytes: &[u8], n: usize, below: &mut impl FnMut(usize) -> usize) -> Vec<u8> {
    let end = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut header: Map<String, Value> = serde_json::from_slice(&bytes[8..end]).unwrap();
    let names: Vec<String> = header.keys().filter(|k| *k != "__metadata__").cloned().collect();
    let name = &names[below(names.len())];
    let numbers = [json!(u64::MAX), json!(-1), json!(1u64 << 40), json!(3), json!(0.5), json!("x"), Value::Null];
    let number = numbers[below(numbers.len())].clone();
    match n % 6 {
        0 => header[name]["shape"] = json!([number]),
        1 => header[name]["dtype"] = json!(["F64", "BF16", "U8", "F128", ""][below(5)]),
        2 => header[name]["data_offsets"][below(2)] = number,
        3 => drop(header.remove(name)),
        4 => {
            let value = header.remove(name).unwrap();
            header.insert(format!("{name}x"), value);
        }
        _ => {
            let meta = header["__metadata__"]["imagenet_engine"].as_str().unwrap().to_owned();
            let at = below(meta.len() - 1);
            header["__metadata__"]["imagenet_engine"] = json!(format!("{}{}", &meta[..at], &meta[at + 1..]));
        }
    }
    let text = Value::Object(header).to_string();
    [&(text.len() as u64).to_le_bytes()[..], text.as_bytes(), &bytes[end..]].concat()
}

#[test]
fn files_that_are_something_else_are_refused() {
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
    let html = b"<!DOCTYPE html><html><head><title>Sign in</title></head></html>";
    let whole = parse(Path::new(PATH), &checkpoint()).unwrap();
    for bytes in [&pointer[..], html, b"", b"PK\x03\x04", &[0; 4096], &[255; 64]] {
        assert!(refused(bytes, &whole, &String::from_utf8_lossy(bytes)));
    }
}
