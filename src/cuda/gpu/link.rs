//! How fast bytes go between the host and the device: page-locked copies, as the training step makes them.

use super::Gpu;
use super::stream::Pinned;
use crate::cuda::launch::Driver;
use crate::cuda::timed::Timed;
use crate::error::Result;

/// Bytes copied at once: far beyond what a start costs.
const BYTES: usize = 64 << 20;
const REPEATS: usize = 9;

/// Bytes a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LinkRates {
    pub to_device: f64,
    pub to_host: f64,
}

impl Gpu {
    /// The median of several copies each way.
    ///
    /// # Errors
    /// `Device`.
    pub fn link_rates(&self) -> Result<LinkRates> {
        let no_room = |e| self.failed("no page-locked memory", e);
        let mut pinned = Pinned::new(&self.0.context, BYTES).map_err(no_room)?;
        let device = self.allocate(BYTES)?;
        let rates = self.measure_link(&mut pinned, device);
        let idle = self.synchronize();
        self.free(device);
        idle.and(rates)
    }

    fn measure_link(&self, pinned: &mut Pinned, device: u64) -> Result<LinkRates> {
        let median = |times: Option<Vec<f64>>| {
            let mut times = times.unwrap_or_default();
            times.sort_by(f64::total_cmp);
            times.get(times.len() / 2).map_or(f64::NAN, |seconds| BYTES as f64 / seconds)
        };
        let mut rate = |up: bool| {
            let work = &mut || self.copy_pinned(pinned, device, up).map_err(|e| self.failed("the link cannot be measured", e));
            self.time(REPEATS, &mut || Ok(()), work).map(median)
        };
        Ok(LinkRates { to_device: rate(true)?, to_host: rate(false)? })
    }
}
