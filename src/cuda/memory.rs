//! Arrays in device memory, typed, freed when dropped.

use super::launch::{Driver, Ptr, PtrMut};
use crate::error::{Error, Result};
use bytemuck::Pod;
use std::marker::PhantomData;

/// `len` elements in the memory of `D`.
pub struct Array<T, D: Driver> {
    driver: D,
    address: u64,
    len: usize,
    element: PhantomData<T>,
}

impl<T: Pod, D: Driver> Array<T, D> {
    /// Of unspecified content.
    ///
    /// # Errors
    /// `Device` if there is no room.
    pub fn new(driver: &D, len: usize) -> Result<Self> {
        Ok(Self { driver: driver.clone(), address: driver.allocate(len * size_of::<T>())?, len, element: PhantomData })
    }

    /// Holding `host`.
    ///
    /// # Errors
    /// As [`Array::new`], and of the copy.
    pub fn from_host(driver: &D, host: &[T]) -> Result<Self> {
        let mut array = Self::new(driver, host.len())?;
        array.write(host)?;
        Ok(array)
    }

    /// # Errors
    /// `Internal` if the lengths differ, and of the copy.
    pub fn write(&mut self, host: &[T]) -> Result<()> {
        if host.len() != self.len {
            return Err(Error::internal(format!("{} elements copied to an array of {}", host.len(), self.len)));
        }
        self.driver.write(self.address, bytemuck::cast_slice(host))
    }

    /// # Errors
    /// Of the copy, and of what was launched before it.
    pub fn to_host(&self) -> Result<Vec<T>> {
        let mut host = vec![T::zeroed(); self.len];
        self.driver.read(self.address, bytemuck::cast_slice_mut(&mut host))?;
        Ok(host)
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where it begins in device memory.
    pub fn address(&self) -> u64 {
        self.address
    }

    pub fn ptr(&self) -> Ptr<T> {
        Ptr::new(self.address)
    }

    pub fn ptr_mut(&mut self) -> PtrMut<T> {
        PtrMut::new(self.address)
    }
}

impl<T, D: Driver> Drop for Array<T, D> {
    fn drop(&mut self) {
        self.driver.free(self.address);
    }
}
