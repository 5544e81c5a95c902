//! Records that are encoded anew: the very files that Pillow writes (golden/make_encoded.py).

use super::common::{call, golden};
use super::formats::entries;
use imagenet_engine::data::Dataset;
use sha2::Digest;
use std::collections::BTreeMap;

#[derive(serde::Deserialize)]
struct Encoded {
    input: String,
    quality: u8,
    sha256: String,
}

#[test]
fn encoded_records_are_exactly_pillows_files() {
    let expected: Vec<Encoded> = serde_json::from_slice(&std::fs::read(golden("encoded.json")).unwrap()).unwrap();
    let tmp = tempfile::tempdir().unwrap();
    let class = tmp.path().join("in/class");
    std::fs::create_dir_all(&class).unwrap();
    let entries: BTreeMap<String, Vec<u8>> = entries().iter().map(|e| (e.name.clone(), e.bytes())).collect();
    let stored = |input: &str| format!("{}.jpg", input.replace(' ', "_"));
    for e in expected.iter().filter(|e| e.quality == 1) {
        let bytes = entries.get(&e.input).cloned().unwrap_or_else(|| std::fs::read(golden(&e.input)).unwrap());
        std::fs::write(class.join(stored(&e.input)), bytes).unwrap();
    }
    let qualities: std::collections::BTreeSet<u8> = expected.iter().map(|e| e.quality).collect();
    assert!(qualities.len() == 6 && expected.len() == 6 * 17);
    for quality in qualities {
        let (input, out, q) = (tmp.path().join("in"), tmp.path().join(quality.to_string()), quality.to_string());
        let args = ["pack", "--input", input.to_str().unwrap(), "--output", out.to_str().unwrap(), "--split", "val"];
        let (code, said) = call(&[&args[..], &["--encoding", "jpeg", "--quality", &q]].concat());
        assert_eq!(code, 0, "{said}");
        let dataset = Dataset::open(&out).unwrap();
        let found: BTreeMap<&str, usize> = (0..dataset.len()).map(|i| (dataset.describe(i).unwrap().name, i)).collect();
        let mut sum = 0u64;
        for e in expected.iter().filter(|e| e.quality == quality) {
            let record = found[format!("class/{}", stored(&e.input)).as_str()];
            let sha256: String = sha2::Sha256::digest(dataset.stored(record).unwrap()).iter().map(|b| format!("{b:02x}")).collect();
            assert_eq!(sha256, e.sha256, "{} at quality {quality}", e.input);
            sum += dataset.record(record).unwrap().pixels.iter().step_by(3).map(|&v| u64::from(v)).sum::<u64>();
        }
        assert_eq!(dataset.manifest().sums.sum[0], sum, "the sums are of the pixels that are read");
    }
}
