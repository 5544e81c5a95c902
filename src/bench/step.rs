//! A training step by operation: what the device spent in each kernel, against the least that the operation's work can take.
//!
//! The work is that of the cases of `bench kernels`, found by running their host code on a device of paper; the times are of the step itself.

use super::ceilings::Ceilings;
use super::subjects::Workload;
use super::{Options, Row};
use crate::backend::Launched;
use crate::cuda::paper::Paper;
use crate::cuda::timed::Properties;
use crate::error::Result;

/// A kernel's part of an operation.
#[derive(Clone, Debug, PartialEq)]
pub struct OfKernel {
    pub kernel: &'static str,
    /// Launches a step.
    pub launches: f64,
    /// Seconds a step.
    pub seconds: f64,
    /// The least that its work can take, in seconds; none where others share the work of each of its launches, or it is not known.
    pub floor: Option<f64>,
}

/// An operation's part of a step.
#[derive(Clone, Debug, PartialEq)]
pub struct OfOp {
    pub op: String,
    pub kernels: Vec<OfKernel>,
    /// The least that the work can take, in seconds; none where it is not known.
    pub floor: Option<f64>,
}

impl OfKernel {
    /// Percent.
    pub fn of_roofline(&self) -> Option<f64> {
        self.floor.map(|floor| 100.0 * floor / self.seconds)
    }
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

/// Of the variants of each shape the one that the step used: all of whose launches it made.
fn used<'a>(launches: &[Launched], work: &'a [Row]) -> Vec<&'a Row> {
    let made = |row: &Row| row.launches.iter().all(|(k, d)| launches.iter().any(|l| l.kernel == k.name && l.grid == d.grid));
    let mut used: Vec<&Row> = Vec::new();
    for row in work.iter().filter(|row| made(row)) {
        if !used.iter().any(|u| u.op == row.op && u.shape == row.shape) {
            used.push(row);
        }
    }
    used
}

/// `launches` of `steps` steps, by operation in order of first appearance in `work`, then what is in none.
pub fn breakdown(launches: &[Launched], steps: usize, work: &[Row], ceilings: &Ceilings) -> Vec<OfOp> {
    let (used, steps) = (used(launches, work), steps.max(1) as f64);
    let mut ops: Vec<OfOp> = Vec::new();
    let mut add = |op: &str, launch: &Launched| {
        let at = ops.iter().position(|o| o.op == op).unwrap_or_else(|| {
            ops.push(OfOp { op: op.to_owned(), kernels: Vec::new(), floor: None });
            ops.len() - 1
        });
        let kernels = &mut ops[at].kernels;
        match kernels.iter_mut().find(|k| k.kernel == launch.kernel) {
            Some(k) => (k.launches, k.seconds) = (k.launches + 1.0 / steps, k.seconds + launch.seconds / steps),
            None => {
                let (kernel, seconds) = (launch.kernel, launch.seconds / steps);
                kernels.push(OfKernel { kernel, launches: 1.0 / steps, seconds, floor: None });
            }
        }
    };
    for launch in launches {
        let row = used.iter().find(|row| row.launches.iter().any(|(k, d)| k.name == launch.kernel && d.grid == launch.grid));
        add(row.map_or(OTHER, |row| &row.op), launch);
    }
    for op in &mut ops {
        let rows: Vec<&Row> = used.iter().filter(|row| row.op == op.op).copied().collect();
        let floor = |rows: &[&Row]| rows.iter().map(|row| row.floor(ceilings).map(|f| f * row.times as f64)).sum::<Option<f64>>();
        op.floor = if rows.is_empty() { None } else { floor(&rows) };
        for kernel in &mut op.kernels {
            let of_kernel: Vec<&Row> = rows.iter().filter(|r| r.launches.iter().any(|(k, _)| k.name == kernel.kernel)).copied().collect();
            let alone = of_kernel.iter().all(|row| row.launches.iter().all(|(k, _)| k.name == kernel.kernel));
            kernel.floor = if alone && !of_kernel.is_empty() { floor(&of_kernel) } else { None };
        }
    }
    ops.sort_by_key(|op| work.iter().position(|row| row.op == op.op).unwrap_or(usize::MAX));
    ops
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand: the launches of one variant of each shape, two milliseconds each, and one of nobody's.
    #[test]
    fn launches_go_to_their_operations_and_work_is_counted_once_a_shape() {
        let work = work(Workload::tiny(2).unwrap(), &Properties { multiprocessors: 4, ..Properties::default() }).unwrap();
        let ceilings = Ceilings { copy: Some(1e9), mma: Some(1e12), ..Ceilings::default() };
        let chosen: Vec<&Row> = work.iter().filter(|r| r.variant == "m64n64" || r.variant.is_empty()).collect();
        let mut launches = Vec::new();
        for row in &chosen {
            for _ in 0..row.times {
                launches.extend(row.launches.iter().map(|(k, d)| Launched { kernel: k.name, grid: d.grid, seconds: 2e-3 }));
            }
        }
        let made = launches.len();
        launches.push(Launched { kernel: "no_such_kernel", grid: [1; 3], seconds: 1e-3 });
        let ops = breakdown(&launches, 1, &work, &ceilings);
        let counted: f64 = ops.iter().flat_map(|o| &o.kernels).map(|k| k.launches).sum();
        assert!((counted - made as f64 - 1.0).abs() < 1e-9, "every launch once: {counted} of {made}");
        let last = ops.last().unwrap();
        assert!(last.op == OTHER && last.kernels[0].kernel == "no_such_kernel" && last.of_roofline().is_none(), "{last:?}");
        let fprop = ops.iter().find(|o| o.op == "conv_fprop").unwrap();
        let shapes: Vec<&&Row> = chosen.iter().filter(|r| r.op == "conv_fprop").collect();
        let floor: f64 = shapes.iter().map(|r| r.times as f64 * (r.flop / 1e12).max(r.bytes / 1e9)).sum();
        assert!(shapes.len() > 5 && (fprop.floor.unwrap() / floor - 1.0).abs() < 1e-12);
        assert_eq!(fprop.kernels.len(), 1, "{fprop:?}");
        assert!((fprop.kernels[0].floor.unwrap() / floor - 1.0).abs() < 1e-12, "one kernel does it alone");
        let times: usize = shapes.iter().map(|r| r.times).sum();
        assert!((fprop.kernels[0].launches - times as f64).abs() < 1e-9 && (fprop.seconds() - 2e-3 * times as f64).abs() < 1e-9);
        // an operation of several kernels has a floor, its kernels have none of their own
        let several = ops.iter().find(|o| o.kernels.len() > 1 && o.op.starts_with("norm")).unwrap();
        assert!(several.floor.is_some() && several.kernels.iter().all(|k| k.floor.is_none()), "{several:?}");
    }
}
