//! A dense tensor: shared device memory and a shape. Cloning shares the memory; it is freed with the last clone.

use crate::backend::Memory;
use crate::shape::Shape;
use std::sync::Arc;

pub struct Tensor<B: Memory> {
    buffer: Arc<B::Buffer>,
    shape: Shape,
}

impl<B: Memory> Clone for Tensor<B> {
    fn clone(&self) -> Self {
        Self { buffer: Arc::clone(&self.buffer), shape: self.shape }
    }
}

impl<B: Memory> Tensor<B> {
    /// `buffer` must hold `shape.len()` elements.
    pub fn new(buffer: B::Buffer, shape: Shape) -> Self {
        debug_assert_eq!(B::len(&buffer), shape.len());
        Self { buffer: Arc::new(buffer), shape }
    }

    pub fn shape(&self) -> Shape {
        self.shape
    }

    pub fn view(&self) -> B::Ref<'_> {
        B::all(&self.buffer)
    }
}
