//! Buffers and copies.

use super::Cuda;
use super::reserve::{Block, Home};
use super::view::{Kept, Place, View, ViewMut};
use crate::backend::Memory;
use crate::cuda::Element;
use crate::cuda::elementwise;
use crate::cuda::launch::{Ptr, PtrMut};
use crate::cuda::stream::Stream;
use crate::error::{Error, Result};
use std::marker::PhantomData;
use std::ops::Range;

/// Elements in device memory.
pub struct Buffer<D: Stream> {
    block: Block<D>,
    rounded: Option<Block<D>>,
    place: Place,
}

/// Raw bytes in device memory.
pub struct Bytes<D: Stream> {
    pub(super) block: Block<D>,
    pub(super) len: usize,
}

/// Class labels in device memory.
pub struct Labels<D: Stream> {
    pub(super) block: Block<D>,
    pub(super) len: usize,
}

impl<D: Stream, T: Element> Cuda<D, T> {
    fn buffer(&self, len: usize, kept: Kept, home: Home) -> Result<Buffer<D>> {
        let compute_bytes = size_of::<T>();
        let bytes = len * if kept == Kept::Full { 4 } else { compute_bytes };
        let block = self.reserve.take(bytes, home)?;
        let place = Place { address: block.address(), rounded: 0, kept, len, compute_bytes };
        Ok(Buffer { block, rounded: None, place })
    }
}

/// `f32`s as the bytes of `T`.
fn rounded<T: Element>(host: &[f32]) -> Vec<T> {
    host.iter().map(|&v| T::of_f64(f64::from(v))).collect()
}

impl<D: Stream, T: Element> Memory for Cuda<D, T> {
    type Buffer = Buffer<D>;
    type Bytes = Bytes<D>;
    type Labels = Labels<D>;
    type Ref<'a> = View<'a>;
    type Mut<'a> = ViewMut<'a>;

    fn describe(&self) -> String {
        format!("{}, {}", self.driver.describe(), T::NAME)
    }

    fn empty(&self, len: usize) -> Result<Buffer<D>> {
        self.buffer(len, Kept::Compute, Home::Passing)
    }

    fn empty_full(&self, len: usize) -> Result<Buffer<D>> {
        self.buffer(len, Kept::Full, Home::Passing)
    }

    fn zeros(&self, len: usize) -> Result<Buffer<D>> {
        let buffer = self.buffer(len, Kept::Full, Home::Lasting)?;
        self.driver.zero(buffer.block.address(), buffer.place.bytes())?;
        Ok(buffer)
    }

    fn upload(&self, host: &[f32]) -> Result<Buffer<D>> {
        let mut buffer = self.buffer(host.len(), Kept::Full, Home::Lasting)?;
        self.write(host, Self::all_mut(&mut buffer))?;
        Ok(buffer)
    }

    fn upload_weights(&self, host: &[f32]) -> Result<Buffer<D>> {
        let mut buffer = self.upload(host)?;
        if T::IS_BF16 {
            let copy = self.reserve.take(host.len() * size_of::<T>(), Home::Lasting)?;
            elementwise::narrow(&self.driver, host.len(), Ptr::new(buffer.place.address), PtrMut::new(copy.address()))?;
            buffer.place.rounded = copy.address();
            buffer.rounded = Some(copy);
        }
        Ok(buffer)
    }

    fn write(&self, host: &[f32], dst: ViewMut<'_>) -> Result<()> {
        if host.len() != dst.place.len {
            return Err(Error::internal(format!("{} elements written to {}", host.len(), dst.place.len)).at("write"));
        }
        match dst.place.kept {
            Kept::Full => {
                self.driver.write(dst.place.address, bytemuck::cast_slice(host))?;
                if dst.place.rounded == 0 {
                    return Ok(());
                }
                elementwise::narrow(&self.driver, host.len(), Ptr::new(dst.place.address), PtrMut::new(dst.place.rounded))
            }
            Kept::Compute => self.driver.write(dst.place.address, bytemuck::cast_slice(&rounded::<T>(host))),
        }
    }

    fn copy(&self, src: View<'_>, dst: ViewMut<'_>) -> Result<()> {
        let (from, to) = (src.place, dst.place);
        if from.len != to.len || from.kept != to.kept {
            let what = format!("{} {:?} elements copied to {} {:?}", from.len, from.kept, to.len, to.kept);
            return Err(Error::internal(what).at("copy"));
        }
        self.driver.copy(from.address, to.address, from.bytes())
    }

    fn read(&self, src: View<'_>, host: &mut [f32]) -> Result<()> {
        if host.len() != src.place.len {
            return Err(Error::internal(format!("{} elements read into {}", src.place.len, host.len())).at("read"));
        }
        if src.place.kept == Kept::Full {
            return self.driver.read(src.place.address, bytemuck::cast_slice_mut(host));
        }
        let mut narrow = vec![T::zeroed(); host.len()];
        self.driver.read(src.place.address, bytemuck::cast_slice_mut(&mut narrow))?;
        host.iter_mut().zip(narrow).for_each(|(h, v)| *h = v.to_f64() as f32);
        Ok(())
    }

    fn empty_bytes(&self, len: usize) -> Result<Bytes<D>> {
        Ok(Bytes { block: self.reserve.take(len, Home::Passing)?, len })
    }

    fn upload_labels(&self, host: &[u32]) -> Result<Labels<D>> {
        let block = self.reserve.take(size_of_val(host), Home::Lasting)?;
        self.driver.write(block.address(), bytemuck::cast_slice(host))?;
        Ok(Labels { block, len: host.len() })
    }

    fn len(buffer: &Buffer<D>) -> usize {
        buffer.place.len
    }

    fn view(buffer: &Buffer<D>, range: Range<usize>) -> View<'_> {
        View { place: buffer.place.part(range), life: PhantomData }
    }

    fn view_mut(buffer: &mut Buffer<D>, range: Range<usize>) -> ViewMut<'_> {
        ViewMut { place: buffer.place.part(range), life: PhantomData }
    }

    fn split_mut<'a>(view: Self::Mut<'a>, at: usize) -> (Self::Mut<'a>, Self::Mut<'a>) {
        let (first, rest) = (view.place.part(0..at), view.place.part(at..view.place.len));
        (ViewMut { place: first, life: PhantomData }, ViewMut { place: rest, life: PhantomData })
    }
}
