//! What `bench step` found, as text, JSON and CSV.

use super::super::output::out;
use crate::autograd::Profile;
use crate::bench::step::OfOp;
use crate::error::Result;
use crate::files;
use crate::text::{count, rate};
use crate::train::config::Precision;
use serde_json::json;
use std::path::Path;

/// Seconds of a step, over several.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    pub images_per_s: f64,
    pub median_s: f64,
    pub min_s: f64,
    pub max_s: f64,
    pub count: usize,
}

impl Rate {
    pub fn of(mut times: Vec<f64>, batch: usize) -> Self {
        times.sort_by(f64::total_cmp);
        let at = |i: usize| times.get(i).copied().unwrap_or(f64::NAN);
        let median_s = at(times.len() / 2);
        let count = times.len();
        Self { images_per_s: batch as f64 / median_s, median_s, min_s: at(0), max_s: at(count.saturating_sub(1)), count }
    }
}

/// A kernel's part of a step, or an operation's where kernels are not timed.
#[derive(Clone, Debug)]
pub struct Kernel {
    pub name: String,
    pub op: String,
    pub calls: f64,
    pub ms: f64,
    /// Of the step.
    pub share: f64,
    /// Percent of the roofline that the kernel reaches; none where others share its work.
    pub of_roofline: Option<f64>,
    /// That its operation reaches as a whole.
    pub op_of_roofline: Option<f64>,
}

impl Kernel {
    /// From times on the device.
    pub fn of_launches(ops: &[OfOp], step_s: f64) -> Vec<Self> {
        let of = |op: &OfOp| {
            let kernels = op.kernels.iter().map(|k| Self {
                name: k.kernel.to_owned(),
                op: op.op.clone(),
                calls: k.launches,
                ms: 1e3 * k.seconds,
                share: k.seconds / step_s,
                of_roofline: k.of_roofline(),
                op_of_roofline: op.of_roofline(),
            });
            kernels.collect::<Vec<_>>()
        };
        ops.iter().flat_map(of).collect()
    }

    /// From a profile of `steps` steps, and the seconds of their steps.
    pub fn of_profile(profile: &Profile, update_s: f64, steps: usize, step_s: f64) -> Vec<Self> {
        let of = |op: &str, direction: &str, calls: f64, seconds: f64| {
            let (seconds, name) = (seconds / steps as f64, format!("{op}{direction}"));
            Self { name, op: op.to_owned(), calls, ms: 1e3 * seconds, share: seconds / step_s, of_roofline: None, op_of_roofline: None }
        };
        let rows = profile.rows().iter().map(|r| {
            let direction = if r.backward { ".backward" } else { ".forward" };
            of(r.op, direction, r.calls as f64 / steps as f64, r.total.as_secs_f64())
        });
        rows.chain([of("update", "", 1.0, update_s)]).collect()
    }
}

/// Everything found.
#[derive(Clone, Debug)]
pub struct Report {
    pub device: String,
    pub precision: Precision,
    pub model: String,
    pub parameters: usize,
    pub crop_size: usize,
    pub batch: usize,
    /// From the command's start to the end of the first step.
    pub start_up_s: f64,
    pub synthetic: Rate,
    /// With images from shards.
    pub loaded: Option<Rate>,
    pub kernels: Vec<Kernel>,
}

impl Report {
    /// Percent of the synthetic rate that loading costs.
    fn loading_costs(&self) -> Option<f64> {
        self.loaded.map(|l| 100.0 * (1.0 - l.images_per_s / self.synthetic.images_per_s))
    }

    pub fn print(&self) {
        let Self { model, parameters, crop_size, batch, device, start_up_s, .. } = self;
        out!("{model}, {} parameters, {crop_size} x {crop_size}, batch {batch}, {device}", count(*parameters as u64));
        let say = |name: &str, r: &Rate| {
            let (ms, min, max) = (1e3 * r.median_s, 1e3 * r.min_s, 1e3 * r.max_s);
            out!("{} images/s{name} (median of {}: {ms:.1} ms a step, min {min:.1}, max {max:.1})", rate(r.images_per_s), r.count);
        };
        say("", &self.synthetic);
        if let (Some(loaded), Some(costs)) = (&self.loaded, self.loading_costs()) {
            say(" from shards", loaded);
            out!("loading costs {costs:.1}%");
        }
        out!("{start_up_s:.2} s from the start to the end of the first step");
        let wide = self.kernels.iter().map(|k| k.name.len()).max().unwrap_or(0).max(6);
        out!(
            "{:<wide$} {:<22} {:>6} {:>10} {:>7} {:>9} {:>10}",
            "kernel",
            "operation",
            "calls",
            "ms/step",
            "share",
            "roofline",
            "operation's"
        );
        for k in &self.kernels {
            let [own, op] = [k.of_roofline, k.op_of_roofline].map(|p| p.map_or("-".to_owned(), |p| format!("{p:.1}%")));
            out!("{:<wide$} {:<22} {:>6.0} {:>10.3} {:>6.1}% {own:>9} {op:>10}", k.name, k.op, k.calls, k.ms, 100.0 * k.share);
        }
    }

    /// # Errors
    /// `Write`.
    pub fn write(&self, json: Option<&Path>, csv: Option<&Path>) -> Result<()> {
        let rows: Vec<_> = self
            .kernels
            .iter()
            .map(|k| {
                json!({ "name": k.name, "op": k.op, "calls": k.calls, "ms_per_step": k.ms, "share": k.share,
                    "roofline_percent": k.of_roofline, "op_roofline_percent": k.op_of_roofline })
            })
            .collect();
        if let Some(path) = json {
            let rate = |r: &Rate| json!({ "images_per_s": r.images_per_s, "median_s": r.median_s, "min_s": r.min_s, "max_s": r.max_s });
            let s = &self.synthetic;
            let out = json!({ "images_per_s": s.images_per_s, "batch": self.batch, "device": self.device,
                "precision": self.precision.name(), "model": self.model, "crop_size": self.crop_size, "median_s": s.median_s,
                "min_s": s.min_s, "max_s": s.max_s, "start_up_s": self.start_up_s, "loaded": self.loaded.as_ref().map(rate),
                "loading_costs_percent": self.loading_costs(), "kernels": rows });
            files::write_output(path, crate::files::Kind::Report, |file| writeln!(file, "{out}"))?;
        }
        if let Some(path) = csv {
            let mut text = String::from("name,op,calls,ms_per_step,share,roofline_percent,op_roofline_percent\n");
            for k in &self.kernels {
                let [own, op] = [k.of_roofline, k.op_of_roofline].map(|p| p.map_or(String::new(), |p| p.to_string()));
                text.push_str(&format!("{},{},{},{},{},{own},{op}\n", k.name, k.op, k.calls, k.ms, k.share));
            }
            files::write_output(path, crate::files::Kind::Report, |file| file.write_all(text.as_bytes()))?;
        }
        Ok(())
    }
}
