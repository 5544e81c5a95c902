//! Device memory: buffers, views into them, and copies from and to the host.

use crate::error::Result;
use std::ops::Range;

/// Allocation and copies. A clone is another handle of the same device.
pub trait Memory: Clone + Send + Sync + 'static {
    /// Owned memory. Activations and their gradients are in the device's *compute type* (such as bf16); weights, their gradients,
    /// statistics and optimizer state in its *full* one (f32 there). On the CPU both are the same. Returns to a pool when dropped.
    type Buffer: Send + Sync;
    /// Owned raw bytes: pool indices.
    type Bytes: Send + Sync;
    /// Owned class labels.
    type Labels: Send + Sync;
    /// A shared view of part of a buffer.
    type Ref<'a>: Copy;
    /// An exclusive view of part of a buffer.
    type Mut<'a>;

    /// One line for people: device and compute type.
    fn describe(&self) -> String;

    /// `len` elements of unspecified content in the compute type.
    fn empty(&self, len: usize) -> Result<Self::Buffer>;
    /// The same in the full type.
    fn empty_full(&self, len: usize) -> Result<Self::Buffer>;
    /// Zeros in the full type.
    fn zeros(&self, len: usize) -> Result<Self::Buffer>;
    /// A buffer holding `host` in the full type.
    fn upload(&self, host: &[f32]) -> Result<Self::Buffer>;
    /// The same for weights: where the compute type is another, the buffer also holds them rounded to it, for convolutions to read, and
    /// an optimizer's update of it keeps both.
    fn upload_weights(&self, host: &[f32]) -> Result<Self::Buffer> {
        self.upload(host)
    }
    /// Copies `host` over `dst`, which must have the same length.
    fn write(&self, host: &[f32], dst: Self::Mut<'_>) -> Result<()>;
    /// Copies `src` over `dst`, both on the device, of the same length and type.
    fn copy(&self, src: Self::Ref<'_>, dst: Self::Mut<'_>) -> Result<()>;
    /// Copies `src` over `host`, which must have the same length. Waits for the device.
    fn read(&self, src: Self::Ref<'_>, host: &mut [f32]) -> Result<()>;

    fn empty_bytes(&self, len: usize) -> Result<Self::Bytes>;
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
