//! A training step by operation: what the device spent in each kernel, against the least that the operation's work can take.
//!
//! The work is that of the cases of `bench kernels`, found by running their host code on a device of paper; the times are of the step itself.

use super::ceilings::Ceilings;
use super::subjects::Workload;
use super::{Options, Row};
use crate::cuda::paper::Paper;
use crate::cuda::timed::Properties;
use crate::error::Result;

/// A kernel's part of a step.
#[derive(Clone, Debug, PartialEq)]
pub struct OfKernel {
    pub kernel: &'static str,
    /// Launches a step.
    pub launches: f64,
    /// Seconds a step.
    pub seconds: f64,
}

/// An operation's part of a step.
#[derive(Clone, Debug, PartialEq)]
pub struct OfOp {
    pub op: String,
    pub kernels: Vec<OfKernel>,
    /// The least that the work can take, in seconds; none where it is not known.
    pub floor: Option<f64>,
}

impl OfOp {
    pub fn seconds(&self) -> f64 {
        self.kernels.iter().map(|k| k.seconds).sum()
    }

    /// Percent.
    pub fn of_roofline(&self) -> Option<f64> {
        self.floor.map(|floor| 100.0 * floor / self.seconds())
    }
}

/// What is launched that no operation of the step accounts for.
const OTHER: &str = "other";

/// The operations of a step of `workload`, and the kernels that may do each, on a device like `device`.
///
/// # Errors
/// Of the cases' host code.
pub fn work(workload: Workload, device: &Properties) -> Result<Vec<Row>> {
    let report = super::run(&Paper::new(device), &Options { workload, only: None, repeats: 1 }, &mut |_| {})?;
    Ok(report.rows.into_iter().filter(|row| row.times > 0).collect())
}

/// `launches` of `steps` steps, by operation in order of first appearance in `work`, then what is in none.
pub fn breakdown(launches: &[(&'static str, f64)], steps: usize, work: &[Row], ceilings: &Ceilings) -> Vec<OfOp> {
    let mut ops: Vec<OfOp> = Vec::new();
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for row in work {
        let floor = row.floor(ceilings).map(|f| f * row.times as f64);
        let index = ops.iter().position(|o| o.op == row.op).unwrap_or_else(|| {
            ops.push(OfOp { op: row.op.clone(), kernels: Vec::new(), floor: Some(0.0) });
            ops.len() - 1
        });
        // The variants of a shape are the same work.
        if !seen.contains(&(&row.op, &row.shape)) {
            seen.push((&row.op, &row.shape));
            ops[index].floor = ops[index].floor.zip(floor).map(|(a, b)| a + b);
        }
    }
    ops.push(OfOp { op: OTHER.into(), kernels: Vec::new(), floor: None });
    let steps = steps.max(1) as f64;
    for &(kernel, seconds) in launches {
        let row = work.iter().find(|row| row.launches.iter().any(|(k, _)| k.name == kernel));
        let name = row.map_or(OTHER, |row| &row.op);
        let Some(op) = ops.iter_mut().find(|o| o.op == name) else { continue };
        match op.kernels.iter_mut().find(|k| k.kernel == kernel) {
            Some(k) => (k.launches, k.seconds) = (k.launches + 1.0 / steps, k.seconds + seconds / steps),
            None => op.kernels.push(OfKernel { kernel, launches: 1.0 / steps, seconds: seconds / steps }),
        }
    }
    ops.retain(|op| !op.kernels.is_empty());
    ops
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn launches_go_to_their_operations_and_work_is_counted_once_a_shape() {
        let work = work(Workload::tiny(2).unwrap(), &Properties { multiprocessors: 4, ..Properties::default() }).unwrap();
        let ceilings = Ceilings { copy: Some(1e9), mma: Some(1e12), ..Ceilings::default() };
        let launches = [("conv_fprop_m64n64", 1e-3), ("conv_fprop_m64n64", 1e-3), ("conv_fprop_m128n64", 4e-3), ("no_such_kernel", 1e-3)];
        let ops = breakdown(&launches, 2, &work, &ceilings);
        assert_eq!(ops.iter().map(|o| o.op.as_str()).collect::<Vec<_>>(), ["conv_fprop", OTHER]);
        assert_eq!(ops[0].kernels[0], OfKernel { kernel: "conv_fprop_m64n64", launches: 1.0, seconds: 1e-3 });
        assert!((ops[0].seconds() - 3e-3).abs() < 1e-12 && ops[1].of_roofline().is_none());
        // by hand: each shape of the operation once
        let mut shapes: Vec<&Row> = Vec::new();
        for row in work.iter().filter(|r| r.op == "conv_fprop") {
            if !shapes.iter().any(|s| s.shape == row.shape) {
                shapes.push(row);
            }
        }
        assert!(shapes.len() > 5);
        let floor: f64 = shapes.iter().map(|r| r.times as f64 * (r.flop / 1e12).max(r.bytes / 1e9)).sum();
        assert!((ops[0].floor.unwrap() / floor - 1.0).abs() < 1e-12);
    }
}
