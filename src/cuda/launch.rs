//! The launch boundary: what a driver must do, and how a kernel is named and given its arguments.
//!
//! Two drivers stand behind it: the emulator, which runs the kernels on this CPU, and the CUDA driver. Host code is written against
//! [`Driver`] alone, so launch arguments, grids and buffer sizes are tested where no GPU is.
//!
//! A kernel is launched through the struct that build.rs generated from its signature (see [`super::handles`]): its fields are the
//! parameters, by name and type.

use crate::error::{Error, Result};
use std::ffi::c_void;
use std::marker::PhantomData;

/// An address in device memory holding elements `T` that a kernel reads. Null where a kernel takes an optional array.
#[repr(transparent)]
pub struct Ptr<T>(u64, PhantomData<fn() -> T>);

/// An address in device memory holding elements `T` that a kernel writes.
#[repr(transparent)]
pub struct PtrMut<T>(u64, PhantomData<fn() -> T>);

macro_rules! pointer {
    ($($name:ident),*) => {
        $(impl<T> Clone for $name<T> {
            fn clone(&self) -> Self {
                *self
            }
        }
        impl<T> Copy for $name<T> {}
        impl<T> std::fmt::Debug for $name<T> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{:#x}", self.0)
            }
        }
        impl<T> $name<T> {
            pub const fn null() -> Self {
                Self(0, PhantomData)
            }
            pub(super) const fn new(address: u64) -> Self {
                Self(address, PhantomData)
            }
            /// The same address, seen as holding `U`.
            pub const fn cast<U>(self) -> $name<U> {
                $name(self.0, PhantomData)
            }
            /// `count` elements further on.
            pub const fn offset(self, count: usize) -> Self {
                Self(self.0 + (count * size_of::<T>()) as u64, PhantomData)
            }
            pub const fn is_null(self) -> bool {
                self.0 == 0
            }
            pub const fn is_aligned(self, to: u64) -> bool {
                self.0 % to == 0
            }
        })*
    };
}
pointer!(Ptr, PtrMut);

impl<T> PtrMut<T> {
    pub const fn to_read(self) -> Ptr<T> {
        Ptr(self.0, PhantomData)
    }
}

/// What build.rs knows of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelInfo {
    pub name: &'static str,
    /// Its source, kernels/FILE.cu.
    pub file: &'static str,
    /// Its launch bound.
    pub max_threads: u32,
    /// Of each parameter.
    pub argument_bytes: &'static [usize],
}

/// A kernel with its arguments.
pub trait Kernel {
    const INFO: KernelInfo;
    /// An array with one pointer an argument.
    type Arguments: AsRef<[*const c_void]>;
    /// Pointers to the arguments' values, which live in `self`: `cuLaunchKernel`'s convention.
    fn arguments(&self) -> Self::Arguments;
}

/// How many blocks of how many threads, and the dynamic shared memory of each block in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dims {
    pub grid: [u32; 3],
    pub block: [u32; 3],
    pub shared_bytes: u32,
}

impl Dims {
    /// Enough blocks of `threads` for `items` threads.
    pub fn linear(items: usize, threads: u32) -> Result<Self> {
        Ok(Self { grid: [grid_extent(items.div_ceil(threads as usize))?, 1, 1], block: [threads, 1, 1], shared_bytes: 0 })
    }
}

/// A grid's first extent, which must be below 2^31.
pub fn grid_extent(blocks: usize) -> Result<u32> {
    u32::try_from(blocks.max(1))
        .ok()
        .filter(|&b| b < 1 << 31)
        .ok_or_else(|| Error::internal(format!("a grid of {blocks} blocks is larger than CUDA allows")))
}

/// A tile of a matrix product, as kernels/include/tiles.cuh declares it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tile {
    pub m: usize,
    pub n: usize,
    /// Blocks of 64 k in shared memory at once.
    pub stages: usize,
    pub threads: u32,
}

impl Tile {
    /// Bytes of one row of 64 bf16.
    const PANEL_ROW: usize = 128;

    /// One block a tile of an `m` x `n` result, `depth` times.
    ///
    /// # Errors
    /// If the grid is larger than CUDA allows.
    pub fn dims(&self, m: usize, n: usize, depth: usize) -> Result<Dims> {
        let (columns, depth) = (n.div_ceil(self.n).max(1), depth.max(1));
        if columns > 65535 || depth > 65535 {
            return Err(Error::internal(format!("a grid of {columns} x {depth} columns of tiles is larger than CUDA allows")));
        }
        Ok(Dims {
            grid: [grid_extent(m.div_ceil(self.m))?, columns as u32, depth as u32],
            block: [self.threads, 1, 1],
            shared_bytes: (self.stages * (self.m + self.n) * Self::PANEL_ROW) as u32,
        })
    }
}

/// A device: memory, copies and launches, one after the other in the order of the calls.
pub trait Driver: Clone + Send + Sync + 'static {
    /// The address of `bytes` of new memory of unspecified content, aligned to 16 bytes at least.
    fn allocate(&self, bytes: usize) -> Result<u64>;
    /// Gives back what `allocate` gave.
    fn free(&self, address: u64);
    /// Copies `host` to the device.
    fn write(&self, address: u64, host: &[u8]) -> Result<()>;
    /// Copies from the device to `host`, after everything launched before.
    fn read(&self, address: u64, host: &mut [u8]) -> Result<()>;
    /// Launches a kernel of this build by name.
    ///
    /// # Safety
    /// `arguments` must point to one live value for each parameter of the kernel, of the parameter's type.
    unsafe fn launch(&self, kernel: &KernelInfo, dims: &Dims, arguments: &[*const c_void]) -> Result<()>;
}

/// Launches `kernel` on `driver`.
///
/// Whether pointers among the arguments lead to live memory of sufficient size is not known here. On the emulator a kernel that leaves
/// its memory is an error; on a GPU it is an error or a wrong result, as for any device code.
///
/// # Errors
/// `Internal` if the block exceeds the kernel's launch bound, and whatever the driver reports.
pub fn launch<D: Driver, K: Kernel>(driver: &D, dims: &Dims, kernel: &K) -> Result<()> {
    let threads = dims.block.iter().product::<u32>();
    if threads > K::INFO.max_threads {
        let what = format!("a block of {threads} threads, with a launch bound of {}", K::INFO.max_threads);
        return Err(Error::internal(what).at(K::INFO.name));
    }
    // SAFETY: `K` was generated from the kernel's own signature, so the pointers are one a parameter, of its type, in order; they point
    // into `kernel`, which is borrowed until the call returns.
    unsafe { driver.launch(&K::INFO, dims, kernel.arguments().as_ref()) }
}
