//! Device memory: buffers, views into them, and copies from and to the host.

use crate::error::Result;
use std::ops::Range;

/// Allocation and copies. A clone is another handle of the same device.
pub trait Memory: Clone + Send + Sync + 'static {
    /// Owned memory holding activations, weights or statistics in the device's compute type. Returns to a pool when dropped.
    type Buffer: Send + Sync;
    /// Owned raw bytes: pictures as stored, pool indices.
    type Bytes: Send + Sync;
    /// Owned class labels.
    type Labels: Send + Sync;
    /// A shared view of part of a buffer.
    type Ref<'a>: Copy;
    /// An exclusive view of part of a buffer.
    type Mut<'a>;

    /// One line for people: device and compute type.
    fn describe(&self) -> String;

    /// `len` elements of unspecified content.
    fn empty(&self, len: usize) -> Result<Self::Buffer>;
    fn zeros(&self, len: usize) -> Result<Self::Buffer>;
    /// A buffer holding `host`, converted to the compute type.
    fn upload(&self, host: &[f32]) -> Result<Self::Buffer>;
    /// Copies `host` over `dst`, which must have the same length.
    fn write(&self, host: &[f32], dst: Self::Mut<'_>) -> Result<()>;
    /// Copies `src` over `dst`, both on the device and of the same length.
    fn copy(&self, src: Self::Ref<'_>, dst: Self::Mut<'_>) -> Result<()>;
    /// Copies `src` over `host`, which must have the same length. Waits for the device.
    fn read(&self, src: Self::Ref<'_>, host: &mut [f32]) -> Result<()>;

    fn empty_bytes(&self, len: usize) -> Result<Self::Bytes>;
    fn upload_bytes(&self, host: Vec<u8>) -> Result<Self::Bytes>;
    fn upload_labels(&self, host: &[u32]) -> Result<Self::Labels>;

    fn len(buffer: &Self::Buffer) -> usize;
    /// The elements `range`; callers keep it inside the buffer.
    fn view(buffer: &Self::Buffer, range: Range<usize>) -> Self::Ref<'_>;
    fn view_mut(buffer: &mut Self::Buffer, range: Range<usize>) -> Self::Mut<'_>;

    /// The first `at` elements and the rest.
    fn split_mut<'a>(view: Self::Mut<'a>, at: usize) -> (Self::Mut<'a>, Self::Mut<'a>);

    fn all(buffer: &Self::Buffer) -> Self::Ref<'_> {
        Self::view(buffer, 0..Self::len(buffer))
    }
    fn all_mut(buffer: &mut Self::Buffer) -> Self::Mut<'_> {
        let len = Self::len(buffer);
        Self::view_mut(buffer, 0..len)
    }

    /// As `upload` from f64. A backend that computes in f64 keeps every bit; gradient checks live on that.
    fn upload_f64(&self, host: &[f64]) -> Result<Self::Buffer> {
        self.upload(&host.iter().map(|&v| v as f32).collect::<Vec<_>>())
    }
    /// As `read` to f64.
    fn read_f64(&self, src: Self::Ref<'_>, host: &mut [f64]) -> Result<()> {
        let mut narrow = vec![0.0; host.len()];
        self.read(src, &mut narrow)?;
        host.iter_mut().zip(narrow).for_each(|(wide, v)| *wide = f64::from(v));
        Ok(())
    }
}
