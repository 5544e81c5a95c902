//! The rows of a run as text, CSV and JSON.

use super::ceilings::Ceilings;
use super::records::Record;
use super::{Report, Row};
use crate::cuda::timed::Properties;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// What a row's time comes to.
struct Rates {
    milliseconds: f64,
    tflops: f64,
    gigabytes: f64,
    percent: Option<f64>,
}

fn rates(row: &Row, ceilings: &Ceilings) -> Option<Rates> {
    let seconds = row.median()?;
    Some(Rates {
        milliseconds: seconds * 1e3,
        tflops: row.flop / seconds * 1e-12,
        gigabytes: row.bytes / seconds * 1e-9,
        percent: row.floor(ceilings).map(|f| 100.0 * f / seconds),
    })
}

/// Milliseconds per step of one operation over all its shapes, by the best variant of each.
pub struct Total {
    pub op: String,
    pub milliseconds: f64,
    /// At the roofline.
    pub floor: Option<f64>,
}

impl Report {
    /// The rows that a step would use: of every operation and shape the fastest variant.
    fn best(&self) -> Vec<&Row> {
        let mut best: Vec<&Row> = Vec::new();
        for row in self.rows.iter().filter(|r| r.times > 0 && r.median().is_some()) {
            match best.iter_mut().find(|b| b.op == row.op && b.shape == row.shape) {
                Some(b) if row.median() < b.median() => *b = row,
                Some(_) => {}
                None => best.push(row),
            }
        }
        best
    }

    /// By operation, in order of first appearance; empty where nothing was timed.
    pub fn totals(&self) -> Vec<Total> {
        let mut totals: Vec<Total> = Vec::new();
        for row in self.best() {
            let times = row.times as f64 * 1e3;
            let (spent, floor) = (row.median().unwrap_or(0.0) * times, row.floor(&self.ceilings).map(|f| f * times));
            match totals.iter_mut().find(|t| t.op == row.op) {
                Some(t) => {
                    t.milliseconds += spent;
                    t.floor = t.floor.zip(floor).map(|(a, b)| a + b);
                }
                None => totals.push(Total { op: row.op.clone(), milliseconds: spent, floor }),
            }
        }
        totals
    }

    /// The sums, as text.
    pub fn summary(&self) -> String {
        let mut out = String::new();
        let totals = self.totals();
        if totals.is_empty() {
            let _ = writeln!(out, "{} cases launched; emulated: no performance", self.rows.len());
            return out;
        }
        let all: f64 = totals.iter().map(|t| t.milliseconds).sum();
        let _ = writeln!(out, "{:<24} {:>10} {:>7} {:>10}", "operation", "ms/step", "share", "roofline");
        for t in &totals {
            let percent = t.floor.map_or(String::new(), |f| format!("{:.1}%", 100.0 * f / t.milliseconds));
            let _ = writeln!(out, "{:<24} {:>10.3} {:>6.1}% {percent:>10}", t.op, t.milliseconds, 100.0 * t.milliseconds / all);
        }
        let batch = self.batch as f64;
        let (per_image, rate) = (1e3 * all / batch, 1e3 * batch / all);
        let _ = writeln!(
            out,
            "kernels of a step of {}: {all:.2} ms, {per_image:.2} us an image, {rate:.0} images/s were nothing else to do",
            self.batch
        );
        out
    }

    /// One line a case, with a heading.
    pub fn csv(&self) -> String {
        let mut out = String::from("op,shape,variant,kernels,times,flop,bytes,median_us,min_us,max_us,tflops,gb_s,roofline_percent\n");
        for row in &self.rows {
            let us = |s: Option<&f64>| s.map_or(String::new(), |s| format!("{:.3}", s * 1e6));
            let seconds = row.seconds.as_deref().unwrap_or_default();
            let tail = rates(row, &self.ceilings).map_or(",,".into(), |r| {
                format!("{:.3},{:.2},{}", r.tflops, r.gigabytes, r.percent.map_or(String::new(), |p| format!("{p:.2}")))
            });
            let (op, shape, variant, kernels) = (&row.op, row.shape.replace(',', ""), row.variant, names(row).join(" "));
            let spread = format!("{},{},{}", us(row.median().as_ref()), us(seconds.first()), us(seconds.last()));
            let _ = writeln!(out, "{op},{shape},{variant},{kernels},{},{},{},{spread},{tail}", row.times, row.flop, row.bytes);
        }
        out
    }

    /// The record with everything measured.
    pub fn json(&self, record: &Record, properties: &Properties) -> Value {
        let best = self.best();
        let rows: Vec<Value> = self
            .rows
            .iter()
            .map(|row| {
                let r = rates(row, &self.ceilings);
                let launches: Vec<Value> = row
                    .launches
                    .iter()
                    .map(|(k, d)| json!({ "kernel": k.name, "grid": d.grid, "block": d.block, "dynamic_shared_bytes": d.shared_bytes }))
                    .collect();
                json!({ "op": row.op, "shape": row.shape, "variant": row.variant, "launches": launches, "times_per_step": row.times,
                    "flop": row.flop, "bytes": row.bytes, "seconds": row.seconds, "median_ms": r.as_ref().map(|r| r.milliseconds),
                    "tflops": r.as_ref().map(|r| r.tflops), "gb_s": r.as_ref().map(|r| r.gigabytes),
                    "roofline_percent": r.and_then(|r| r.percent), "best": best.iter().any(|b| std::ptr::eq(*b, row)) })
            })
            .collect();
        let ceilings: Vec<Value> =
            self.ceilings.list().iter().map(|(name, value, unit)| json!({ "name": name, "value": value, "unit": unit })).collect();
        let totals: Vec<Value> = self
            .totals()
            .iter()
            .map(|t| json!({ "op": t.op, "ms_per_step": t.milliseconds, "ms_per_step_at_roofline": t.floor }))
            .collect();
        let device = json!({ "capability": [properties.capability.0, properties.capability.1], "multiprocessors": properties.multiprocessors,
            "clock_mhz": properties.clock_mhz, "memory_clock_mhz": properties.memory_clock_mhz, "memory_bus_bits": properties.memory_bus_bits,
            "memory_bytes": properties.memory_bytes, "l2_bytes": properties.l2_bytes });
        json!({ "command": record.command, "date": record.date, "commit": record.commit, "gpu": record.gpu, "driver": record.driver,
            "kernels": record.kernels, "device": device, "batch": self.batch, "timed": self.rows.iter().any(|r| r.seconds.is_some()),
            "ceilings": ceilings, "totals": totals, "rows": rows })
    }
}

fn names(row: &Row) -> Vec<&'static str> {
    let mut found: Vec<&'static str> = Vec::new();
    for (kernel, _) in &row.launches {
        if !found.contains(&kernel.name) {
            found.push(kernel.name);
        }
    }
    found
}

/// The heading of [`line`]s.
pub fn heading() -> String {
    format!(
        "{:<25} {:<34} {:<9} {:>5} {:>10} {:>9} {:>9} {:>9}",
        "operation", "shape", "kernel", "times", "ms", "TFLOP/s", "GB/s", "roofline"
    )
}

/// A row as text; its share of the roofline only if the ceilings are known.
pub fn line(row: &Row, ceilings: &Ceilings) -> String {
    let known = format!("{:<25} {:<34} {:<9} {:>5}", row.op, row.shape, row.variant, row.times);
    match rates(row, ceilings) {
        None => format!("{known} {:>10}", "launched"),
        Some(r) => {
            let percent = r.percent.map_or(String::new(), |p| format!("{p:.1}%"));
            format!("{known} {:>10.4} {:>9.1} {:>9.0} {percent:>9}", r.milliseconds, r.tflops, r.gigabytes)
        }
    }
}
