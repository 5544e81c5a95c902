//! Whether a command fits memory, before anything large is taken: on a GPU the device's, on the CPU the host's. Where nobody named a batch
//! and the default does not fit, the CPU takes it in parts: `--grad-accum` of them make the same update.

use super::device::Device;
use super::run_facts::Fact;
use crate::data::loader::Source;
use crate::data::validation::ResizeCrop;
use crate::error::Result;
use crate::fit::host::{Host, HostDemand, Loading, Work, parts};
use crate::fit::{Demand, gib};
use crate::limits::memory::resident;
use crate::models::Model;
use crate::text::count;
use crate::train::config::{Config, Precision};
use crate::train::trainer::Datasets;

/// What a command of the CLI is about to do.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    pub device: &'a Device,
    pub precision: Precision,
    pub work: Work,
    /// Nobody named a batch.
    pub open: bool,
}

impl Asked<'_> {
    /// `config` with a batch that fits, and what to say about it.
    ///
    /// # Errors
    /// `Device`, with the largest batch that fits; those of the settings and the images.
    pub fn settle(&self, config: Config, model: &Model, data: &Datasets) -> Result<(Config, Option<Fact>)> {
        if !matches!(self.device, Device::Cpu) {
            let val = data.val.as_deref().filter(|_| self.work == Work::Train).map(|v| (v, data.transform));
            self.device.check_room(&Demand::new(&config, self.precision, model.clone(), &*data.train, val)?)?;
            return Ok((config, None));
        }
        let host = Host::now();
        let demand = HostDemand::run(self.work, &config, model.clone(), data, rayon::current_num_threads())?;
        let batch = config.batch_size;
        let short = if self.open { demand.lacks(batch, &host)? } else { None };
        let Some((needed, room)) = short else {
            demand.check(batch, &host)?;
            let line = line(&demand, batch, &host)?;
            return Ok((config, Some(("memory", line))));
        };
        let Some(largest) = demand.largest_batch(batch, &host)? else {
            demand.check(batch, &host)?;
            return Ok((config, None));
        };
        let (part, times) = parts(batch, largest);
        let (needed, there) = (gib(needed), gib(room.bytes as usize));
        let line = format!(
            "batch {part} x grad-accum {times} (the default of {batch} at once needs {needed}, {there} are available): \
             the same images and learning rate for each step, batch norm over {part}"
        );
        let limit = |batches: Option<u64>| batches.map(|n| n.saturating_mul(times as u64));
        let (limit_train_batches, limit_val_batches) = (limit(config.limit_train_batches), limit(config.limit_val_batches));
        let grad_accum = times * config.grad_accum;
        Ok((Config { batch_size: part, grad_accum, limit_train_batches, limit_val_batches, ..config }, Some(("memory", line))))
    }
}

/// What an evaluation needs, in a line; refuses one of `model` in batches of `batch` that memory has no room for; `source` none for one image after the other.
///
/// # Errors
/// `Device`, with the largest batch that fits; those of the images.
pub fn check_evaluation(
    device: &Device,
    model: &Model,
    source: Option<&dyn Source>,
    transform: ResizeCrop,
    batch: usize,
) -> Result<Option<String>> {
    if !matches!(device, Device::Cpu) {
        return Ok(None);
    }
    let loading = match source {
        Some(source) => Loading::evaluation(source, transform)?,
        None => Loading::single(transform.crop as usize),
    };
    let config = Config::default();
    let (host, demand) = (Host::now(), HostDemand::evaluation(&config, model.clone(), loading, rayon::current_num_threads()));
    demand.check(batch, &host)?;
    line(&demand, batch, &host).map(|line| Some(format!("memory: {line}")))
}

/// What the process will hold at most with batches of `batch`, in a line.
fn line(demand: &HostDemand<'_>, batch: usize, host: &Host) -> Result<String> {
    let there = host.memory.map_or_else(String::new, |room| format!(", of {} available", gib(resident() as usize + room.bytes as usize)));
    Ok(format!("{} at most with a batch of {}{there}", gib(demand.peak(batch)?), count(batch as u64)))
}
