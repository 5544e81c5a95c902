//! A batch in device memory, and what makes the network's input of it.

use super::Cuda;
use super::memory::Labels;
use super::reserve::{Block, Home};
use super::view::ViewMut;
use crate::backend::{Augment, StoredBatch};
use crate::cuda::Element;
use crate::cuda::augment;
use crate::cuda::handles::Picture;
use crate::cuda::launch::Ptr;
use crate::cuda::stream::Stream;
use crate::error::{Error, Result};

/// Room for pictures, and how many are in it.
pub struct Batch<D: Stream> {
    pixels: Room<D>,
    pictures: Room<D>,
    labels: Labels<D>,
    label_room: usize,
    count: usize,
    /// The side of the largest window that all pictures have.
    window: usize,
}

struct Room<D: Stream> {
    block: Block<D>,
    bytes: usize,
}

impl<D: Stream, T: Element> Cuda<D, T> {
    fn room(&self, bytes: usize) -> Result<Room<D>> {
        Ok(Room { block: self.reserve.take(bytes, Home::Lasting)?, bytes })
    }

    /// True if `room` had to become another.
    fn widen(&self, room: &mut Room<D>, bytes: usize) -> Result<bool> {
        let grows = bytes > room.bytes;
        if grows {
            *room = self.room(bytes + bytes / 8)?; // pictures differ in size, and so do batches
        }
        Ok(grows)
    }
}

impl<D: Stream, T: Element> Augment for Cuda<D, T> {
    type Batch = Batch<D>;

    fn batch(&self) -> Result<Batch<D>> {
        let labels = Labels { block: self.reserve.take(0, Home::Lasting)?, len: 0 };
        Ok(Batch { pixels: self.room(0)?, pictures: self.room(0)?, labels, label_room: 0, count: 0, window: 0 })
    }

    fn load(&self, stored: StoredBatch, batch: &mut Batch<D>) -> Result<bool> {
        let StoredBatch { pixels, views, labels } = stored;
        let pictures = augment::pictures(&views, pixels.len())?;
        let mut moved = self.widen(&mut batch.pixels, pixels.len())?;
        moved |= self.widen(&mut batch.pictures, size_of_val(&pictures[..]))?;
        if labels.len() > batch.label_room {
            batch.labels.block = self.reserve.take(4 * labels.len(), Home::Lasting)?;
            batch.label_room = labels.len();
            moved = true;
        }
        (batch.labels.len, batch.count) = (labels.len(), views.len());
        batch.window = views.iter().map(|view| view.window() as usize).min().unwrap_or(usize::MAX);
        self.driver.stage(batch.pixels.block.address(), &pixels)?;
        self.driver.stage(batch.pictures.block.address(), bytemuck::cast_slice(&pictures))?;
        self.driver.stage(batch.labels.block.address(), bytemuck::cast_slice(&labels))?;
        Ok(moved)
    }

    fn labels(batch: &Batch<D>) -> &Labels<D> {
        &batch.labels
    }

    fn augment(&self, batch: &Batch<D>, size: usize, mean: [f32; 3], std: [f32; 3], out: ViewMut<'_>) -> Result<()> {
        if size > batch.window {
            let what = format!("a window of {size}x{size} where a picture has at most {0}x{0}", batch.window);
            return Err(Error::internal(what).at("augment"));
        }
        let out = out.compute::<T>("augment", "out", batch.count * size * size * 3)?;
        let pixels = Ptr::new(batch.pixels.block.address());
        let pictures = Ptr::<Picture>::new(batch.pictures.block.address());
        augment::augment(&self.driver, batch.count, size, pixels, pictures, mean, std, out)
    }
}
