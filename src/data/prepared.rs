//! A source whose images are resized and centre-cropped on the host as they are read, for evaluation.
//!
//! Images that need no resampling pass as they are stored, and the loader's centre window cuts them on the device; others are resized
//! here, exactly as torchvision's PIL path does, whatever the device. Cost: nothing for the former; for the latter one resize in u8 each,
//! side by side on all cores.

use super::budget;
use super::loader::{PictureInfo, Source, read_and_cut};
use super::reading::{Ahead, Hint};
use super::validation::ResizeCrop;
use crate::backend::Crop;
use crate::error::{Error, Result};
use crate::resample::Resampler;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of an image whose memory is kept for the next one.
const KEPT: usize = 8 << 20;

pub struct Prepared {
    inner: Arc<dyn Source>,
    transform: ResizeCrop,
    /// Some image is resampled.
    resamples: bool,
    spare: Mutex<Vec<Tools>>,
}

/// What one read needs, kept for the next.
#[derive(Default)]
struct Tools {
    image: Vec<u8>,
    crop: Vec<u8>,
    resampler: Resampler,
}

impl Prepared {
    /// # Errors
    /// Those of [`Source::info`].
    pub fn new(inner: Arc<dyn Source>, transform: ResizeCrop) -> Result<Self> {
        let mut resamples = false;
        for i in 0..inner.len() {
            let info = inner.info(i)?;
            resamples = !transform.keeps(info.width, info.height);
            if resamples {
                break;
            }
        }
        Ok(Self { inner, transform, resamples, spare: Mutex::default() })
    }

    fn spare(&self) -> std::sync::MutexGuard<'_, Vec<Tools>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source for Prepared {
    fn len(&self) -> usize {
        self.inner.len()
    }

    fn classes(&self) -> &[String] {
        self.inner.classes()
    }

    fn id(&self) -> String {
        self.inner.id()
    }

    fn info(&self, i: usize) -> Result<PictureInfo> {
        let info = self.inner.info(i)?;
        let side = self.transform.crop;
        Ok(if self.transform.keeps(info.width, info.height) { info } else { PictureInfo { width: side, height: side, ..info } })
    }

    fn decodes(&self) -> bool {
        self.resamples || self.inner.decodes()
    }

    fn reading_bytes(&self, i: usize) -> Result<u64> {
        let PictureInfo { width, height, .. } = self.inner.info(i)?;
        if self.transform.keeps(width, height) { self.inner.reading_bytes(i) } else { Ok(budget::cost(width, height)) }
    }

    fn read_pixels(&self, i: usize, out: &mut [u8]) -> Result<()> {
        let PictureInfo { width, height, .. } = self.inner.info(i)?;
        if self.transform.keeps(width, height) {
            return self.inner.read_pixels(i, out);
        }
        let popped = self.spare().pop();
        let mut tools = popped.unwrap_or_default();
        let Tools { image, crop, resampler } = &mut tools;
        image.resize(3 * width as usize * height as usize, 0);
        self.inner.read_pixels(i, image)?;
        if !self.transform.apply(image, (width, height), resampler, crop) || crop.len() != out.len() {
            let what = format!("an image of {width}x{height} does not become {} bytes by {}", out.len(), self.transform);
            return Err(Error::internal(what).at(self.place(i)));
        }
        out.copy_from_slice(crop);
        if tools.image.capacity() <= KEPT {
            self.spare().push(tools);
        }
        Ok(())
    }

    fn read_crop(&self, i: usize, crop: &Crop, out: &mut [u8]) -> Result<()> {
        let PictureInfo { width, height, .. } = self.inner.info(i)?;
        match () {
            () if self.transform.keeps(width, height) && self.inner.decodes() => self.inner.read_crop(i, crop, out),
            () if (crop.width, crop.height) == (self.transform.crop, self.transform.crop) && !self.transform.keeps(width, height) => {
                self.read_pixels(i, out) // made in just that size
            }
            () => read_and_cut(self, i, crop, out),
        }
    }

    fn ahead(&self) -> Ahead {
        self.inner.ahead()
    }

    fn hint(&self, pictures: Range<usize>, hint: Hint) {
        self.inner.hint(pictures, hint);
    }

    fn place(&self, i: usize) -> String {
        self.inner.place(i)
    }
}
