//! Softmax cross-entropy.

use super::Cuda;
use super::memory::Labels;
use super::reserve::Block;
use super::view::{View, ViewMut};
use crate::backend::{BatchMetrics, Loss};
use crate::cuda::Element;
use crate::cuda::launch::{Ptr, PtrMut};
use crate::cuda::loss::{self, CrossEntropy};
use crate::cuda::stream::Stream;
use crate::error::{Error, Result};

/// Sums of a batch on the device: the loss, the rows with the label first, and among the first five, as f64.
pub struct Metrics<D: Stream> {
    pub(super) sums: Block<D>,
    pub(super) rows: usize,
}

/// The sums of so many rows, on their way.
pub struct Arriving<D: Stream> {
    sums: D::Arriving,
    rows: usize,
}

impl<D: Stream, T: Element> Loss for Cuda<D, T> {
    type Metrics = Metrics<D>;
    type Arriving = Arriving<D>;

    fn softmax_cross_entropy(
        &self,
        rows: usize,
        classes: usize,
        smoothing: f64,
        scale: f64,
        logits: View<'_>,
        labels: &Labels<D>,
        dlogits: Option<ViewMut<'_>>,
    ) -> Result<Metrics<D>> {
        const OP: &str = "softmax_cross_entropy";
        if labels.len != rows {
            return Err(Error::internal(format!("{} labels for {rows} rows", labels.len)).at(OP));
        }
        let (losses, ranks, sums) = (self.scratch(4 * rows)?, self.scratch(4 * rows)?, self.scratch(3 * 8)?);
        let arrays = CrossEntropy {
            logits: logits.compute::<T>(OP, "logits", rows * classes)?,
            labels: Ptr::new(labels.block.address()),
            dlogits: dlogits.map_or(Ok(PtrMut::null()), |d| d.compute::<T>(OP, "dlogits", rows * classes))?,
            losses: PtrMut::new(losses.address()),
            ranks: PtrMut::new(ranks.address()),
            sums: PtrMut::new(sums.address()),
        };
        loss::cross_entropy(&self.driver, rows, classes, smoothing, scale, &arrays)?;
        Ok(Metrics { sums, rows })
    }

    fn send_metrics(&self, metrics: Metrics<D>) -> Result<Arriving<D>> {
        // The block may be handed out at once: what is launched into it later comes after this copy.
        Ok(Arriving { sums: self.driver.send(metrics.sums.address(), 3 * 8)?, rows: metrics.rows })
    }

    fn arrived_metrics(&self, arriving: &mut Arriving<D>, wait: bool) -> Result<Option<BatchMetrics>> {
        let Some(bytes) = self.driver.arrived(&mut arriving.sums, wait)? else { return Ok(None) };
        let [loss, top1, top5]: [f64; 3] = bytemuck::try_pod_read_unaligned(&bytes)
            .map_err(|e| Error::internal(format!("sums of {} bytes: {e}", bytes.len())).at("arrived_metrics"))?;
        Ok(Some(BatchMetrics { loss, top1: top1 as u64, top5: top5 as u64, rows: arriving.rows as u64 }))
    }
}
