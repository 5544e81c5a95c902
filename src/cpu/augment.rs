//! Crop, resize, flip and normalise: u8 as Pillow resizes it ([`crate::resample`]), and a table of what each value becomes.
//!
//! Pictures go in parallel. Cost: that of resampling, and a look into the table for each value of the output.

use super::memory::expect_len;
use super::{Cpu, Real};
use crate::backend::{Augment, PictureView, StoredBatch};
use crate::error::{Error, Result};
use crate::resample::{Filter, Image, Resampler, Resize};
use rayon::prelude::*;
use std::cell::RefCell;

/// What the values of each channel become.
type Table<T> = [[T; 256]; 3];

impl<T: Real> Augment for Cpu<T> {
    type Batch = StoredBatch;

    fn batch(&self) -> Result<StoredBatch> {
        Ok(StoredBatch::default())
    }

    fn load(&self, stored: StoredBatch, batch: &mut StoredBatch) -> Result<bool> {
        *batch = stored;
        Ok(true)
    }

    fn labels(batch: &StoredBatch) -> &Vec<u32> {
        &batch.labels
    }

    fn augment(&self, batch: &StoredBatch, size: usize, mean: [f32; 3], std: [f32; 3], out: &mut [T]) -> Result<()> {
        const OP: &str = "augment";
        let StoredBatch { pixels, views: pictures, .. } = batch;
        expect_len(OP, "out", out.len(), pictures.len() * size * size * 3)?;
        if out.is_empty() {
            return Ok(());
        }
        for view in pictures {
            view.check(pixels.len())?;
            view.check_window(size)?;
        }
        let table: Table<T> = [0, 1, 2].map(|c| std::array::from_fn(|value| T::of_f32((value as f32 / 255.0 - mean[c]) / std[c])));
        out.par_chunks_exact_mut(size * size * 3).zip(pictures).try_for_each(|(out, view)| {
            let done = SCRATCH.with_borrow_mut(|scratch| one(scratch, pixels, view, size, &table, out));
            done.ok_or_else(|| Error::internal(format!("{view:?} cannot be resized")).at(OP))
        })
    }
}

#[derive(Default)]
struct Scratch {
    resampler: Resampler,
    /// A row of the window.
    line: Vec<u8>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

fn one<T: Real>(scratch: &mut Scratch, pixels: &[u8], view: &PictureView, size: usize, table: &Table<T>, out: &mut [T]) -> Option<()> {
    let c = view.crop;
    let [all, height, x, y, w, h, to_width, to_height, left, top] =
        [view.width, view.height, c.x, c.y, c.width, c.height, c.to_width, c.to_height, c.left, c.top].map(|n| n as usize);
    let image = Image::whole(&pixels[view.offset..][..3 * all * height], all, height).rectangle((x, y, w, h));
    let whole = Resize::whole(Filter::Bilinear, (w, h), (to_width, to_height));
    let rows = scratch.resampler.start(image, &Resize { window: (left, top, size, size), flip: c.flip, ..whole })?;
    scratch.line.resize(3 * size, 0);
    for (i, out) in out.chunks_exact_mut(3 * size).enumerate() {
        rows.row(i, &mut scratch.line);
        for (out, pixel) in out.as_chunks_mut::<3>().0.iter_mut().zip(scratch.line.as_chunks::<3>().0) {
            *out = [table[0][pixel[0] as usize], table[1][pixel[1] as usize], table[2][pixel[2] as usize]];
        }
    }
    Some(())
}
