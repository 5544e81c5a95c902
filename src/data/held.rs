//! What the images of a source take of memory as a loader reads them: foretold from a sample of the index, by the code that reads.

use super::batch::Part;
use super::budget;
use super::loader::{LoaderOptions, PictureInfo, Source};
use super::validation::ResizeCrop;
use crate::error::Result;

/// Images looked at to learn how large they are.
const SAMPLE: usize = 1000;

/// Of one image.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Held {
    /// Bytes in a batch, on average and at most.
    pub mean: f64,
    pub most: usize,
    /// Width and height of that at most.
    pub size: (u32, u32),
    /// Bytes that reading one takes beside the batch, at most.
    pub reading: u64,
}

impl Held {
    /// Of some images spread over `source`.
    ///
    /// # Errors
    /// Those of [`Source::info`].
    pub fn of(source: &dyn Source, options: &LoaderOptions) -> Result<Self> {
        Self::over(source.len(), |i| {
            let part = Part::new(options, source.decodes(), &source.info(i)?, 0);
            Ok((part.size_in_batch(), part.own_bytes().max(source.reading_bytes(i)?)))
        })
    }

    /// Of some of `len` images, each by its width and height in the batch and the bytes that reading it takes.
    fn over(len: usize, each: impl Fn(usize) -> Result<((u32, u32), u64)>) -> Result<Self> {
        let (mut held, mut looked, mut sum) = (Self { size: (1, 1), ..Self::default() }, 0.0, 0.0);
        for i in (0..len).step_by(len.div_ceil(SAMPLE).max(1)) {
            let (size, reading) = each(i)?;
            let bytes = 3 * size.0 as usize * size.1 as usize;
            looked += 1.0;
            sum += bytes as f64;
            if bytes > held.most {
                (held.most, held.size) = (bytes, size);
            }
            held.reading = held.reading.max(reading);
        }
        held.mean = if looked > 0.0 { sum / looked } else { 0.0 };
        Ok(held)
    }

    /// Of images as `transform` prepares them for evaluation: in batches as stored where they need no resampling, and as the crop else.
    ///
    /// # Errors
    /// Those of [`Source::info`].
    pub fn prepared(source: &dyn Source, transform: ResizeCrop) -> Result<Self> {
        let options = LoaderOptions::eval(1, transform.crop);
        let seen = |info: PictureInfo| match transform.keeps(info.width, info.height) {
            true => (info, source.decodes()),
            false => (PictureInfo { width: transform.crop, height: transform.crop, ..info }, true),
        };
        Self::over(source.len(), |i| {
            let info = source.info(i)?;
            let (shown, decodes) = seen(info);
            let part = Part::new(&options, decodes, &shown, 0);
            let resized = if shown == info { source.reading_bytes(i)? } else { budget::cost(info.width, info.height) };
            Ok((part.size_in_batch(), part.own_bytes().max(resized)))
        })
    }

    /// Bytes of a batch of `images`: as the average, and one as large as any.
    pub fn batch(&self, images: usize) -> usize {
        let rest = images.saturating_sub(1) as f64 * self.mean;
        if images == 0 { 0 } else { self.most + rest as usize }
    }
}
