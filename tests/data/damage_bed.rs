//! Small packed folders to damage, and what must come of it: an error that names file and place, or the pictures as they were packed.

use super::common::*;
use imagenet_engine::data::Dataset;
use imagenet_engine::data::compressed::JpegOptions;
use imagenet_engine::data::pack::PackOptions;
use imagenet_engine::data::plan::PlanOptions;
use imagenet_engine::data::resize::Fit;
use imagenet_engine::data::verify::{Depth, verify};
use imagenet_engine::error::Error;
use imagenet_engine::progress::Silent;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Label and pixels of each picture.
pub type Pictures = Vec<(u32, Vec<u8>)>;

/// A packed folder of two shards, of which the second gets damaged.
pub struct Bed {
    pub input: PathBuf,
    pub dir: PathBuf,
    pub shard: PathBuf,
    pub bytes: Vec<u8>,
    pub original: Pictures,
    /// Byte ranges of the records of that shard.
    pub records: Vec<std::ops::Range<usize>>,
    /// The longest that opening, reading and verifying took.
    pub slowest: Duration,
}

/// The file that gets damaged.
pub const VICTIM: &str = "train-00001-of-00002.ies";
pub const KINDS: [&str; 3] = ["short", "square", "jpeg"];

impl Bed {
    /// Of one of [`KINDS`].
    pub fn new(tmp: &Path, kind: &str, seed: u64) -> Self {
        let (input, dir) = (tmp.join(format!("in-{kind}-{seed}")), tmp.join(format!("out-{kind}-{seed}")));
        tree(&input, 3, 4, 20, seed);
        run(&Self::plan(kind, 16, 6, &options(&input, &dir))).unwrap();
        let shard = dir.join(VICTIM);
        let bytes = std::fs::read(&shard).unwrap();
        let records = Dataset::open(&dir).unwrap().shards()[1].entries.clone();
        let records = records.iter().map(|e| e.offset as usize..e.offset as usize + e.stored_len as usize).collect();
        let original = use_all(&dir).unwrap();
        assert!(verify(&dir, Depth::Full, &Silent).unwrap().damage.is_empty(), "undamaged it must pass, or the tests show nothing");
        Self { input, dir, shard, bytes, original, records, slowest: Duration::ZERO }
    }

    /// The options of one of [`KINDS`].
    pub fn plan(kind: &str, size: u32, records_per_shard: u64, base: &PackOptions) -> PackOptions {
        let plan = PlanOptions { size, records_per_shard, ..base.plan.clone() };
        let plan = match kind {
            "square" => PlanOptions { fit: Fit::Square, ..plan },
            "jpeg" => PlanOptions { jpeg: Some(JpegOptions { quality: Some(90), max_side: 0 }), ..plan },
            _ => plan,
        };
        PackOptions { plan, ..base.clone() }
    }

    /// Puts `damaged` in the place of the shard: it must be found. Returns whether opening and reading found it too.
    pub fn found(&mut self, damaged: &[u8], what: &str) -> bool {
        assert!(damaged != self.bytes, "{what}: no damage");
        std::fs::write(&self.shard, damaged).unwrap();
        let start = Instant::now();
        let used = use_all(&self.dir);
        let report = verify(&self.dir, Depth::Full, &Silent).unwrap();
        self.slowest = self.slowest.max(start.elapsed());
        assert!(
            report.damage.iter().any(|d| d.contains(VICTIM) && places(d)) && report.damaged_shards == [VICTIM],
            "{what}: verify: {report:?}"
        );
        match used {
            Ok(pictures) => {
                assert!(pictures == self.original, "{what}: wrong pictures, silently");
                false
            }
            Err(e) => {
                assert_eq!(e.exit_code(), 65, "{what}: {e}");
                let text = e.to_string();
                assert!(text.contains(VICTIM) && places(&text) || text.contains("class class"), "{what}: {text}");
                true
            }
        }
    }

    /// As [`Bed::found`]; and where a record's own byte `at` was changed, reading must name that record.
    pub fn found_at(&mut self, damaged: &[u8], at: usize, what: &str) {
        let record = self.records.iter().position(|r| r.contains(&at));
        let found = self.found(damaged, what);
        if let Some(r) = record {
            assert!(found, "{what}: record {r} was read with a changed byte");
            let dataset = Dataset::open(&self.dir).unwrap();
            let i = self.original.len() - self.records.len() + r;
            for error in [dataset.record(i).unwrap_err(), dataset.read_pixels(i, &mut vec![0; room(&dataset, i)]).unwrap_err()] {
                assert!(error.to_string().contains(&format!("record {r} (")), "{what}: {error}");
            }
        }
    }
}

fn places(text: &str) -> bool {
    text.contains('@') || text.contains("byte ")
}

/// Opens and reads everything, by the map and as training does.
pub fn use_all(dir: &Path) -> Result<Pictures, Error> {
    let dataset = Dataset::open(dir)?;
    let one = |i| {
        let mut copied = vec![0; room(&dataset, i)];
        dataset.read_pixels(i, &mut copied)?;
        let picture = dataset.record(i)?;
        assert!(copied == *picture.pixels);
        Ok((picture.label, copied))
    };
    (0..dataset.len()).map(one).collect()
}
