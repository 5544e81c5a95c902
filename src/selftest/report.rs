//! Runs cases, and what came of each.

use super::case::Case;
use super::ops::Ops;
use crate::error::Error;
use crate::progress::Progress;
use serde_json::{Value, json};
use std::time::Instant;

/// One check on one device.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub subject: &'static str,
    pub op: &'static str,
    pub shape: String,
    pub element: &'static str,
    pub detail: String,
    /// In order of first launch; none on the CPU backend.
    pub kernels: Vec<&'static str>,
    /// The largest error over its bound.
    pub worst: f64,
    /// On the device, copies included.
    pub seconds: f64,
    /// What is wrong, if anything.
    pub failure: Option<String>,
}

/// Everything that was run on one device.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub device: String,
    pub outcomes: Vec<Outcome>,
    pub seconds: f64,
    /// The device itself failed, and nothing was run on it after that.
    pub device_failed: bool,
}

/// A line of the table: all checks that launched a kernel, or, where there are no kernels, all of an operation on a type.
#[derive(Clone, Debug)]
pub struct Row {
    pub op: &'static str,
    pub kernel: String,
    pub cases: usize,
    pub passed: usize,
    pub worst: f64,
    pub seconds: f64,
}

/// Runs the cases whose names contain `only`.
///
/// A wrong result fails its check and the run goes on. An error of the device ends it: after a fault, CUDA refuses everything.
pub fn run<O: Ops>(device: &O, cases: &[Case<O>], only: Option<&str>, progress: &dyn Progress) -> Report {
    let begin = Instant::now();
    let mut report = Report { device: device.describe(), ..Report::default() };
    let chosen: Vec<&Case<O>> = cases.iter().filter(|c| only.is_none_or(|o| c.name().contains(o))).collect();
    progress.start("selftest, cases", chosen.len() as u64);
    'cases: for case in chosen {
        for check in case.prepare(device) {
            device.take_kernels();
            let start = Instant::now();
            let result = check.compute(device);
            let seconds = start.elapsed().as_secs_f64();
            let (worst, failure) = match &result {
                Ok(outputs) => {
                    let verdict = check.verdict(outputs);
                    (verdict.worst, verdict.wrong)
                }
                Err(error) => (f64::INFINITY, Some(error.to_string())),
            };
            report.outcomes.push(Outcome {
                subject: case.subject,
                op: case.op,
                shape: case.shape.clone(),
                element: case.element,
                detail: check.detail.clone(),
                kernels: device.take_kernels(),
                worst,
                seconds,
                failure,
            });
            if matches!(result, Err(Error::Device(_))) {
                report.device_failed = true;
                break 'cases;
            }
        }
        progress.advance(1);
    }
    progress.finish();
    report.seconds = begin.elapsed().as_secs_f64();
    report
}

impl Report {
    pub fn failures(&self) -> impl Iterator<Item = &Outcome> {
        self.outcomes.iter().filter(|o| o.failure.is_some())
    }

    /// By operation and kernel, in order of first appearance.
    pub fn rows(&self) -> Vec<Row> {
        let mut rows: Vec<Row> = Vec::new();
        for outcome in &self.outcomes {
            let mut kernels: Vec<String> = outcome.kernels.iter().map(|k| (*k).to_owned()).collect();
            if kernels.is_empty() {
                kernels.push(format!("- {}", outcome.element));
            }
            for kernel in kernels {
                let at = rows.iter().position(|r| r.op == outcome.op && r.kernel == kernel).unwrap_or(rows.len());
                if at == rows.len() {
                    rows.push(Row { op: outcome.op, kernel, cases: 0, passed: 0, worst: 0.0, seconds: 0.0 });
                }
                let row = &mut rows[at];
                row.cases += 1;
                row.passed += usize::from(outcome.failure.is_none());
                row.worst = row.worst.max(outcome.worst);
                row.seconds += outcome.seconds;
            }
        }
        rows
    }

    /// `passed`, `failed`, `cases`, and more. An infinite ratio is null.
    pub fn json(&self) -> Value {
        let failed = self.failures().count();
        let cases: Vec<Value> = self
            .outcomes
            .iter()
            .map(|o| {
                json!({ "subject": o.subject, "op": o.op, "shape": o.shape, "element": o.element, "detail": o.detail,
                    "kernels": o.kernels, "passed": o.failure.is_none(), "worst": o.worst, "seconds": o.seconds, "failure": o.failure })
            })
            .collect();
        json!({ "passed": self.outcomes.len() - failed, "failed": failed, "device": self.device, "seconds": self.seconds,
            "device_failed": self.device_failed, "cases": cases })
    }
}
