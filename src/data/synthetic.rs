//! Random pixels in memory, for speed measurements: no disk, no decoding, the same bytes in every run.

use super::loader::{PictureInfo, Source};
use crate::error::Result;
use crate::rng::{Purpose, Stream};

/// `len` pictures of `width` x `height` that share a small store of random bytes.
#[derive(Debug)]
pub struct Synthetic {
    len: usize,
    width: u32,
    height: u32,
    classes: Vec<String>,
    noise: Vec<u8>,
}

/// Distinct starting points within the noise, 64 bytes apart.
const STARTS: usize = 1024;

impl Synthetic {
    pub fn new(len: usize, width: u32, height: u32, num_classes: u32, seed: u64) -> Self {
        let mut stream = Stream::new(seed, Purpose::Synthetic, 0, 0);
        let bytes = (width * height * 3) as usize + STARTS * 64;
        let noise = (0..bytes.div_ceil(4)).flat_map(|_| stream.next_u32().to_le_bytes()).collect();
        Self { len, width, height, classes: (0..num_classes).map(|c| format!("class{c:04}")).collect(), noise }
    }
}

impl Synthetic {
    /// Of so many pictures of this size, without any pixels: for what is asked before they are made.
    pub fn of_size(len: usize, width: u32, height: u32) -> Self {
        Self { len, width, height, classes: Vec::new(), noise: Vec::new() }
    }
}

impl Source for Synthetic {
    fn len(&self) -> usize {
        self.len
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn id(&self) -> String {
        format!("synthetic {} {}x{} {}", self.len, self.width, self.height, self.classes.len())
    }

    fn info(&self, i: usize) -> Result<PictureInfo> {
        let label = (i % self.classes.len().max(1)) as u32;
        Ok(PictureInfo { width: self.width, height: self.height, label, global_id: i as u64 })
    }

    fn read_pixels(&self, i: usize, out: &mut [u8]) -> Result<()> {
        let start = i.wrapping_mul(7919) % STARTS * 64;
        out.copy_from_slice(&self.noise[start..start + (self.width * self.height * 3) as usize]);
        Ok(())
    }
}
