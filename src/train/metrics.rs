//! `metrics.jsonl`: one JSON object a line, `step`, `skip`, `bad_record`, `nonfinite`, `save_error`, `eval` and `end` events, each with its `time` (RFC 3339, UTC).
//! Appended to as the run goes; rewound on resume so that
//! the file of an interrupted run ends like that of one never interrupted.

use crate::error::{Error, Result};
use crate::files::{Folder, append};
use crate::text::counted;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

/// Its name in the run's folder.
pub const METRICS: &str = "metrics.jsonl";

/// A line of the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event {
    Step {
        /// Counted from 0.
        update: u64,
        epoch: u64,
        /// Of this update, before it is applied.
        loss: f64,
        lr: f64,
        images_per_s: f64,
        /// Global norm of the gradients, before clipping.
        #[serde(default)]
        grad_norm: f64,
        /// CRC-32C of the update's picture ids in order, as little-endian u64: equal orders show as equal numbers.
        order: u32,
    },
    /// An update left out because something was not finite.
    Skip {
        update: u64,
        epoch: u64,
        /// Of its pictures, as `loader` numbers them.
        ids: Vec<u64>,
        /// So far, this one included.
        skipped: u64,
    },
    /// A damaged record, whose place in the batch another took.
    #[serde(rename = "bad_record")]
    BadRecord {
        /// That saw the other one.
        update: u64,
        epoch: u64,
        /// Shard, record, picture, byte, and what is wrong.
        what: String,
        /// Of the damaged image.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
        /// So far, this one included.
        count: u64,
    },
    /// What ended the run: an update from a loss or gradient that is not finite, or one that made weights that are not.
    Nonfinite {
        update: u64,
        epoch: u64,
        /// Of its pictures.
        ids: Vec<u64>,
        /// Whether the update reached the weights.
        applied: bool,
    },
    /// A checkpoint that could not be written, and that the run went on without.
    #[serde(rename = "save_error")]
    SaveError {
        /// Updates applied.
        update: u64,
        what: String,
        /// So far, this one included; counted from the start of the process.
        count: u64,
    },
    Eval {
        /// Updates applied.
        update: u64,
        epoch: u64,
        loss: f64,
        top1: f64,
        top5: f64,
        images: u64,
        /// Of the moving average, where one is kept.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ema: Option<EmaScore>,
    },
    End {
        images_per_s: f64,
        wall_s: f64,
        best_top1: Option<f64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        best_ema_top1: Option<f64>,
        /// Updates left out.
        #[serde(default)]
        skipped: u64,
        /// Damaged records that others took the place of.
        #[serde(default)]
        bad_records: u64,
        /// Checkpoints that could not be written since the process was started.
        #[serde(default)]
        failed_saves: u64,
    },
}

/// How the moving average did at an evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EmaScore {
    pub loss: f64,
    pub top1: f64,
    pub top5: f64,
}

impl Event {
    /// Whether a run that goes on after `updates` updates, the last evaluation after `evaluated`, still owns this line.
    fn precedes(&self, updates: u64, evaluated: Option<u64>) -> bool {
        match self {
            Self::Step { update, .. } | Self::Skip { update, .. } | Self::Nonfinite { update, .. } | Self::BadRecord { update, .. } => {
                *update < updates
            }
            Self::SaveError { update, .. } => *update <= updates,
            Self::Eval { update, .. } => evaluated.is_some_and(|e| *update <= e),
            Self::End { .. } => false,
        }
    }
}

/// An event as it stands in the file.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    event: &'a Event,
    time: String,
}

/// The file, open for appending.
pub struct Log {
    path: PathBuf,
    file: File,
    len: u64,
}

impl Log {
    /// Opens the log in `folder`, keeping only the steps before `updates` updates and the evaluations up to `evaluated`. A last line cut short by a
    /// crash is dropped. The log is for people, and nothing is computed from it: lines that are damaged are set aside, said to `note`, and
    /// the run goes on.
    ///
    /// # Errors
    /// `Write`; `Data` if it is no regular file or cannot be read.
    pub fn open(folder: &Folder, updates: u64, evaluated: Option<u64>, note: &mut dyn FnMut(String)) -> Result<Self> {
        let path = folder.path().join(METRICS);
        let mut old = Vec::new();
        if folder.has(METRICS) {
            let mut file = folder.read(METRICS.as_ref()).map_err(|e| Error::reading(&path, e))?;
            if !file.metadata().is_ok_and(|m| m.is_file()) {
                return Err(Error::data("not a file").at(path.display().to_string()));
            }
            file.read_to_end(&mut old).map_err(|e| Error::reading(&path, e))?;
        }
        let (mut kept, mut damaged, mut first) = (Vec::with_capacity(old.len()), Vec::new(), 0);
        for (i, line) in old.split_inclusive(|&b| b == b'\n').enumerate() {
            let Some(text) = line.strip_suffix(b"\n") else { break };
            match serde_json::from_slice::<Event>(text) {
                Ok(event) if event.precedes(updates, evaluated) => kept.extend_from_slice(line),
                Ok(_) => {}
                Err(_) => {
                    first = if damaged.is_empty() { i + 1 } else { first };
                    damaged.extend_from_slice(line);
                }
            }
        }
        if !damaged.is_empty() {
            let aside = path.with_extension("jsonl.damaged");
            folder.write(&format!("{METRICS}.damaged"), &[&damaged], true)?;
            let lines = damaged.iter().filter(|&&b| b == b'\n').count();
            note(format!(
                "{}: moved {} to {}, the first being line {first}",
                path.display(),
                counted(lines as u64, "damaged line"),
                aside.display()
            ));
        }
        if kept != old {
            folder.write(METRICS, &[&kept], true)?;
        }
        Ok(Self { path, file: folder.log(METRICS)?, len: kept.len() as u64 })
    }

    /// # Errors
    /// `Write`.
    pub fn append(&mut self, event: &Event) -> Result<()> {
        let mut line = serde_json::to_string(&Line { event, time: crate::date::rfc3339() })
            .map_err(|e| Error::internal("an event does not serialise").source(e))?;
        line.push('\n');
        append(&self.file, &self.path, line.as_bytes(), self.len)?;
        self.len += line.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(update: u64) -> Event {
        Event::Step { update, epoch: 0, loss: 0.1 + update as f64, lr: 0.5, images_per_s: 1.0, grad_norm: 2.0, order: 7 }
    }

    #[test]
    fn resuming_rewinds_to_the_checkpoint_and_drops_a_torn_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let held = Folder::hold(folder.path()).unwrap();
        let mut log = Log::open(&held, 0, None, &mut |_| ()).unwrap();
        (0..4).for_each(|u| log.append(&step(u)).unwrap());
        log.append(&Event::Eval { update: 4, epoch: 0, loss: 1.0, top1: 0.5, top5: 1.0, images: 9, ema: None }).unwrap();
        log.append(&step(4)).unwrap();
        append(&log.file, &path, b"{\"event\":\"st", log.len).unwrap();
        Log::open(&held, 4, Some(4), &mut |_| ()).unwrap().append(&step(4)).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let events: Vec<Event> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!(events.len(), 6);
        assert_eq!(events[3], step(3));
        assert!(matches!(events[4], Event::Eval { update: 4, .. }));
        assert_eq!(events[5], step(4));
        // An evaluation that the checkpoint does not know of is made again.
        Log::open(&held, 4, None, &mut |_| ()).unwrap();
        assert!(!std::fs::read_to_string(&path).unwrap().contains("eval"));
    }

    #[test]
    fn damaged_lines_are_set_aside_and_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let held = Folder::hold(folder.path()).unwrap();
        let whole = |u| serde_json::to_string(&step(u)).unwrap();
        let bad: [&[u8]; 4] = [b"", b"\0\0\0\0", b"{\"event\":\"step\",\"update\":1}", b"\xff\xfe{}"];
        let mut text = whole(0).into_bytes();
        for line in bad.iter().copied().chain([whole(1).as_bytes()]) {
            text.push(b'\n');
            text.extend_from_slice(line);
        }
        text.push(b'\n');
        std::fs::write(&path, &text).unwrap();
        let mut notes = Vec::new();
        Log::open(&held, 2, None, &mut |line| notes.push(line)).unwrap().append(&step(2)).unwrap();
        assert!(
            notes.len() == 1 && notes[0].contains("moved 4 damaged lines to ") && notes[0].ends_with("the first being line 2"),
            "{notes:?}"
        );
        // What is appended has its time; the lines before stay as they were.
        let newest = whole(2).replace('}', ",\"time\":\"20");
        assert!(std::fs::read_to_string(&path).unwrap().starts_with(&format!("{}\n{}\n{newest}", whole(0), whole(1))));
        let aside = std::fs::read(folder.path().join("metrics.jsonl.damaged")).unwrap();
        assert_eq!(aside, [bad.join(&b'\n'), b"\n".to_vec()].concat());
    }
}
