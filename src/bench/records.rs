//! Records of which kernels a GPU has run: benches/records/GPU/*.json, each with the hash of every kernel's source, so that a change of a
//! kernel makes the records of it count no longer.

use crate::cuda::handles::ALL;
use crate::cuda::images::hash_of;
use crate::cuda::launch::KernelInfo;
use crate::cuda::timed::{EMULATOR, Properties};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// What every record begins with; what else it holds is its command's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// `bench kernels`, `selftest`.
    pub command: String,
    /// YYYY-MM-DD, UTC.
    pub date: String,
    /// Of the source that the program was built from.
    pub commit: String,
    pub gpu: String,
    pub driver: String,
    /// The kernels that ran to a good end, and the hash of the source of each.
    pub kernels: BTreeMap<String, String>,
}

/// Names the commit where `--commit` does not.
pub const COMMIT_VARIABLE: &str = "IMAGENET_ENGINE_COMMIT";

impl Record {
    /// Of `kernels`, run by `command` on the device with `properties`.
    pub fn new<'a>(
        command: &str,
        date: &str,
        commit: &str,
        properties: &Properties,
        kernels: impl IntoIterator<Item = &'a KernelInfo>,
    ) -> Self {
        let hash = |k: &KernelInfo| (k.name.to_owned(), hash_of(k.file).unwrap_or_default().to_owned());
        Self {
            command: command.to_owned(),
            date: date.to_owned(),
            commit: commit.to_owned(),
            gpu: properties.name.clone(),
            driver: properties.driver.clone(),
            kernels: kernels.into_iter().map(hash).collect(),
        }
    }
}

/// Where there is none, none: the program may run far from its source.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let read = match fs::read_dir(folder) {
        Ok(read) => read,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::reading(folder, e)),
    };
    let mut paths: Vec<PathBuf> = read.flatten().map(|e| e.path()).collect();
    paths.sort();
    Ok(paths)
}

/// The records below `folder`, one folder a machine. JSON of other kinds, which names no kernels, is passed over, and so is what the
/// emulator ran.
///
/// # Errors
/// `Data`, naming a file that is no JSON or half a record.
pub fn read_all(folder: &Path) -> Result<Vec<Record>> {
    let mut found = Vec::new();
    for machine in entries(folder)?.iter().filter(|p| p.is_dir()) {
        for path in entries(machine)?.iter().filter(|p| p.extension().is_some_and(|e| e == "json")) {
            let text = fs::read_to_string(path).map_err(|e| Error::reading(path, e))?;
            let damaged = |e| {
                let place = path.display().to_string();
                Error::data("not a record").at(place).because("cut short, or edited by hand").source(e).next("remove it, or fetch it again")
            };
            let value: serde_json::Value = serde_json::from_str(&text).map_err(damaged)?;
            if value.get("kernels").is_some_and(serde_json::Value::is_object) {
                let record: Record = serde_json::from_value(value).map_err(damaged)?;
                if record.gpu != EMULATOR {
                    found.push(record);
                }
            }
        }
    }
    Ok(found)
}

/// The latest record in which a kernel ran as it is now.
pub fn latest<'a>(records: &'a [Record], kernel: &KernelInfo) -> Option<&'a Record> {
    let hash = hash_of(kernel.file)?;
    records.iter().filter(|r| r.kernels.get(kernel.name).is_some_and(|h| h == hash)).max_by(|a, b| a.date.cmp(&b.date))
}

/// Said of a kernel without a record.
const NEVER: &str = "emulated only: no GPU has run it since it changed";

/// Every kernel, its hash, and when a GPU last ran it as it is, as Markdown.
pub fn listing(records: &[Record]) -> String {
    let mut out = String::from(
        "# Kernels and the GPUs that ran them\n\n\
         Written by `imagenet-engine doctor --kernels`; `benches/records/GPU/*.json` are the records it reads. A hash covers a kernel's file\n\
         and the headers it includes, without comments; a record counts while the hash is the same.\n\n\
         | kernel | file | hash | last run |\n|---|---|---|---|\n",
    );
    for kernel in ALL {
        let status = match latest(records, kernel) {
            Some(r) => format!("run on {}, {} ({}, commit {})", r.gpu, r.date, r.command, r.commit),
            None => NEVER.into(),
        };
        let hash = hash_of(kernel.file).unwrap_or_default();
        let _ = writeln!(out, "| `{}` | {}.cu | {hash} | {status} |", kernel.name, kernel.file);
    }
    let run = ALL.iter().filter(|k| latest(records, k).is_some()).count();
    let _ = writeln!(out, "\n{run} of {} kernels have been run by a GPU as they are.", ALL.len());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(date: &str, kernels: &[&KernelInfo]) -> Record {
        let properties = Properties { name: "NVIDIA X".into(), driver: "CUDA 13.0".into(), ..Properties::default() };
        Record::new("selftest", date, "abc1234", &properties, kernels.iter().copied())
    }

    #[test]
    fn without_records_no_kernel_was_run() {
        let text = listing(&[]);
        assert_eq!(text.matches(NEVER).count(), ALL.len());
        assert!(text.ends_with(&format!("0 of {} kernels have been run by a GPU as they are.\n", ALL.len())));
    }

    #[test]
    fn the_latest_record_of_the_same_source_counts() {
        let (first, second) = (&ALL[0], ALL.iter().find(|k| k.file != ALL[0].file).unwrap());
        let mut changed = record("2027-01-05", &[first]);
        changed.kernels.insert(first.name.into(), "0000000000000000".into());
        let records = [record("2027-01-03", &[first, second]), changed, record("2027-01-04", &[first])];
        assert_eq!(latest(&records, first).unwrap().date, "2027-01-04");
        assert_eq!(latest(&records, second).unwrap().date, "2027-01-03");
        let text = listing(&records);
        assert!(text.contains("run on NVIDIA X, 2027-01-04 (selftest, commit abc1234)"), "{text}");
    }

    #[test]
    fn records_are_read_back_and_others_passed_over() {
        let root = tempfile::tempdir().unwrap();
        let machine = root.path().join("nvidia-x");
        fs::create_dir(&machine).unwrap();
        let record = record("2027-01-03", &[&ALL[0]]);
        fs::write(machine.join("a.json"), serde_json::to_string(&record).unwrap()).unwrap();
        let emulated = Record { gpu: EMULATOR.into(), ..record.clone() };
        fs::write(machine.join("e.json"), serde_json::to_string(&emulated).unwrap()).unwrap();
        fs::write(machine.join("b.json"), r#"{"images_per_s": 1.0}"#).unwrap();
        fs::write(machine.join("notes.md"), "# no record").unwrap();
        fs::write(root.path().join("README.md"), "# no machine").unwrap();
        assert_eq!(read_all(root.path()).unwrap(), [record]);
        assert!(read_all(&root.path().join("missing")).unwrap().is_empty());
        fs::write(machine.join("c.json"), r#"{"kernels": {"relu"#).unwrap();
        let error = read_all(root.path()).unwrap_err();
        assert!(error.exit_code() == 65 && error.to_string().contains("c.json"), "{error}");
    }
}
