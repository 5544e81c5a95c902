//! A GPU as a driver, over CUDA's driver API.
//!
//! One context and one stream: everything happens in the order in which it was asked for. Launches return at once; an error of a kernel
//! comes to light in a later call, which then names the kernel launched last. Allocating and freeing wait for the device: they belong
//! before the training step, not in it.
//!
//! Status: run over a stand-in for libcuda (tests/kernels/fake_cuda.rs); no GPU has run it.

mod failure;
mod link;
mod modules;
mod stream;

use super::driver::{self, need_version};
use super::images;
use super::launch::{Dims, Driver, KernelInfo};
use super::timed::{Properties, Timed};
use crate::backend::Launched;
use crate::error::{Error, Result};
use cudarc::driver::sys::{self, CUdevice_attribute as Attribute, CUevent_flags, CUstream};
use cudarc::driver::{CudaContext, CudaEvent, CudaStream, DriverError, result};
use failure::failure;
pub use link::LinkRates;
use modules::Modules;
use std::ffi::c_void;
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use stream::Uploads;

/// A handle; clones are the same device.
#[derive(Clone)]
pub struct Gpu(Arc<Inner>);

struct Inner {
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
    modules: Mutex<Modules>,
    uploads: Mutex<Uploads>,
    properties: Properties,
    /// While launches are timed: those made.
    clocked: Mutex<Option<Vec<Clocked>>>,
}

/// A launch, and the events around it.
type Clocked = (&'static str, [u32; 3], CudaEvent, CudaEvent);

/// What CUDA allows every launch.
const MOST_THREADS: u32 = 1024;
const MOST_BLOCKS: [u32; 3] = [i32::MAX as u32, 65535, 65535];

/// # Errors
/// `Device` if there is no driver library. cudarc panics at the first call where it is missing, so this comes before every first call.
pub fn need_driver() -> Result<()> {
    if driver::is_present() {
        return Ok(());
    }
    Err(Error::device("no CUDA driver").because("libcuda was not found").next("--device cpu, or install NVIDIA's driver"))
}

impl Gpu {
    /// The GPU with the driver's number `ordinal`.
    ///
    /// # Errors
    /// `Device` if there is no driver or no such GPU.
    pub fn open(ordinal: usize) -> Result<Self> {
        need_driver()?;
        need_version(api_version().map_err(|e| failure("the driver does not tell its version", e))?, images::toolkit())?;
        let place = || format!("GPU {ordinal}");
        let opened = CudaContext::new(ordinal).and_then(|context| Ok((context.new_stream()?, context)));
        let (stream, context) = opened.map_err(|e| failure("the GPU cannot be opened", e).at(place()))?;
        let properties = properties(&context).map_err(|e| failure("the GPU does not tell what it is", e).at(place()))?;
        let modules = Mutex::new(Modules::new(properties.capability));
        let uploads = Uploads::new(&context).map_err(|e| failure("the GPU gives no second stream", e).at(place()))?;
        Ok(Self(Arc::new(Inner { context, stream, modules, uploads: Mutex::new(uploads), properties, clocked: Mutex::default() })))
    }

    /// The PCI slot, as nvidia-smi takes it; none if the driver does not tell.
    pub fn bus_id(&self) -> Option<String> {
        let mut text = [0u8; 32];
        // SAFETY: the call writes a text ended by zero of at most the length it is given.
        let told = unsafe { sys::cuDeviceGetPCIBusId(text.as_mut_ptr().cast(), text.len() as i32, self.0.context.cu_device()) };
        told.result().ok()?;
        std::ffi::CStr::from_bytes_until_nul(&text).ok()?.to_str().ok().map(str::to_owned)
    }

    fn modules(&self) -> MutexGuard<'_, Modules> {
        self.0.modules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn uploads(&self) -> MutexGuard<'_, Uploads> {
        self.0.uploads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stream(&self) -> CUstream {
        self.0.stream.cu_stream()
    }

    /// Makes the context current in this thread, which every call of the driver needs.
    fn bind(&self) -> std::result::Result<(), DriverError> {
        self.0.context.bind_to_thread()
    }

    /// `what` failed, on this device, after the kernel launched last.
    fn failed(&self, what: impl Into<String>, error: DriverError) -> Error {
        let after = self.modules().last.map_or(String::new(), |k| format!(", after the launch of {k}"));
        failure(what, error).at(format!("{}{after}", self.0.properties.name))
    }

    fn clocked(&self) -> MutexGuard<'_, Option<Vec<Clocked>>> {
        self.0.clocked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An event before a launch, while launches are timed.
    fn begin_clock(&self) -> Result<Option<CudaEvent>> {
        if self.clocked().is_none() {
            return Ok(None);
        }
        let begin = self.0.stream.record_event(Some(CUevent_flags::CU_EVENT_DEFAULT));
        begin.map(Some).map_err(|e| self.failed("a launch cannot be timed", e))
    }

    fn end_clock(&self, kernel: &'static str, grid: [u32; 3], begin: CudaEvent) -> Result<()> {
        let end = self.0.stream.record_event(Some(CUevent_flags::CU_EVENT_DEFAULT));
        let end = end.map_err(|e| self.failed("a launch cannot be timed", e))?;
        if let Some(clocked) = &mut *self.clocked() {
            clocked.push((kernel, grid, begin, end));
        }
        Ok(())
    }

    fn events(&self, count: usize) -> std::result::Result<Vec<CudaEvent>, DriverError> {
        (0..count).map(|_| self.0.context.new_event(Some(CUevent_flags::CU_EVENT_DEFAULT))).collect()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let idle = self.context.bind_to_thread().and_then(|()| self.stream.synchronize());
        if idle.is_ok() {
            self.uploads.get_mut().unwrap_or_else(PoisonError::into_inner).free();
            self.modules.get_mut().unwrap_or_else(PoisonError::into_inner).unload();
        }
    }
}

/// Such as 13000. Works before anything is opened.
fn api_version() -> std::result::Result<i32, DriverError> {
    let mut version = 0;
    // SAFETY: the call writes one integer, which lives.
    unsafe { sys::cuDriverGetVersion(&raw mut version) }.result()?;
    Ok(version)
}

/// What a device says of itself; rates that a driver no longer tells are 0.
pub(super) fn properties(context: &CudaContext) -> std::result::Result<Properties, DriverError> {
    let number = |attribute| context.attribute(attribute).map(|v| v.max(0) as usize);
    let if_told = |attribute| number(attribute).unwrap_or(0);
    Ok(Properties {
        name: context.name()?,
        driver: driver::describe(api_version()?),
        capability: context.compute_capability()?,
        multiprocessors: number(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?,
        clock_mhz: if_told(Attribute::CU_DEVICE_ATTRIBUTE_CLOCK_RATE) / 1000,
        memory_clock_mhz: if_told(Attribute::CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE) / 1000,
        memory_bus_bits: if_told(Attribute::CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH),
        memory_bytes: context.total_mem()?,
        l2_bytes: number(Attribute::CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE)?,
        shared_bytes: number(Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)?,
    })
}

/// Refuses a launch that CUDA would refuse with fewer words.
fn check(kernel: &KernelInfo, dims: &Dims) -> Result<()> {
    let threads = dims.block.iter().map(|&t| u64::from(t)).product::<u64>();
    let blocks_fit = dims.grid.iter().zip(MOST_BLOCKS).all(|(&g, most)| (1..=most).contains(&g));
    if blocks_fit && (1..=u64::from(MOST_THREADS)).contains(&threads) {
        return Ok(());
    }
    Err(Error::internal("CUDA allows no launch of these dimensions")
        .at(format!("{}, {dims:?}", kernel.name))
        .because(format!("a grid may have {MOST_BLOCKS:?} blocks, a block {MOST_THREADS} threads")))
}

impl Driver for Gpu {
    fn allocate(&self, bytes: usize) -> Result<u64> {
        // CUDA knows no empty allocation; an address of its own keeps `free` simple.
        // SAFETY: any size may be asked for; the content is unspecified, as the trait says.
        let address = self.bind().and_then(|()| unsafe { result::malloc_sync(bytes.max(1)) });
        address.map_err(|e| {
            let free = result::mem_get_info().map_or(String::new(), |(free, all)| format!(", {free} of {all} are free"));
            self.failed(format!("no room for {bytes} bytes{free}"), e)
        })
    }

    fn free(&self, address: u64) {
        // Freeing waits for the device, so nothing launched before still uses the memory. What fails here fails in the next call too.
        // SAFETY: the caller gives back what `allocate` gave, once.
        let _ = self.bind().and_then(|()| unsafe { result::free_sync(address) });
    }

    fn write(&self, address: u64, host: &[u8]) -> Result<()> {
        if host.is_empty() {
            return Ok(());
        }
        let copied = self.bind().and_then(|()| {
            // SAFETY: `host` is borrowed until the copy is over, which is waited for; the target is memory of the caller's.
            unsafe { result::memcpy_htod_async(address, host, self.stream()) }?;
            self.0.stream.synchronize()
        });
        copied.map_err(|e| self.failed(format!("{} bytes could not be copied to the device", host.len()), e))
    }

    fn read(&self, address: u64, host: &mut [u8]) -> Result<()> {
        if host.is_empty() {
            return Ok(());
        }
        let copied = self.bind().and_then(|()| {
            // SAFETY: `host` is borrowed until the copy is over, which is waited for; the source is memory of the caller's.
            unsafe { result::memcpy_dtoh_async(host, address, self.stream()) }?;
            self.0.stream.synchronize()
        });
        copied.map_err(|e| self.failed(format!("{} bytes could not be copied from the device", host.len()), e))
    }

    unsafe fn launch(&self, kernel: &KernelInfo, dims: &Dims, arguments: &[*const c_void]) -> Result<()> {
        check(kernel, dims)?;
        self.bind().map_err(|e| self.failed(format!("{} cannot be launched", kernel.name), e))?;
        let function = self.modules().function(kernel, dims.shared_bytes, self.0.properties.shared_bytes)?;
        let ([gx, gy, gz], [bx, by, bz]) = (dims.grid, dims.block);
        let begin = self.begin_clock()?;
        // SAFETY: the caller vouches for `arguments`, which the driver reads before it returns and does not write; the function's module
        // stays loaded as long as this device lives.
        let launched = unsafe {
            let arguments = arguments.as_ptr().cast_mut().cast::<*mut c_void>();
            let stream = self.stream();
            sys::cuLaunchKernel(function.handle, gx, gy, gz, bx, by, bz, dims.shared_bytes, stream, arguments, ptr::null_mut())
        };
        launched.result().map_err(|e| {
            let before = self.modules().last.map_or(String::new(), |k| format!(", after {k}"));
            failure(format!("{} cannot be launched", kernel.name), e).at(format!("{}, {dims:?}{before}", self.0.properties.name))
        })?;
        self.modules().last = Some(kernel.name);
        begin.map_or(Ok(()), |begin| self.end_clock(kernel.name, dims.grid, begin))
    }
}

impl Timed for Gpu {
    fn properties(&self) -> &Properties {
        &self.0.properties
    }

    fn has_wgmma(&self, file: &str) -> bool {
        self.modules().image(file).is_ok_and(|i| i.target == "sm_90a")
    }

    fn fill(&self, address: u64, byte: u8, bytes: usize) -> Result<()> {
        if bytes == 0 {
            return Ok(());
        }
        // SAFETY: the range is memory of the caller's; any bytes are legal there.
        let done = self.bind().and_then(|()| unsafe { result::memset_d8_async(address, byte, bytes, self.stream()) });
        done.map_err(|e| self.failed(format!("{bytes} bytes could not be set"), e))
    }

    fn synchronize(&self) -> Result<()> {
        self.bind().and_then(|()| self.0.stream.synchronize()).map_err(|e| self.failed("the device stopped", e))
    }

    /// By events around each `work`, all enqueued before the first is waited for, so that the device does not idle in between.
    fn time(
        &self,
        repeats: usize,
        before: &mut dyn FnMut() -> Result<()>,
        work: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Option<Vec<f64>>> {
        let no_clock = |e| self.failed("work cannot be timed", e);
        let (begins, ends) = (self.events(repeats).map_err(no_clock)?, self.events(repeats).map_err(no_clock)?);
        for (begin, end) in begins.iter().zip(&ends) {
            before()?;
            begin.record(&self.0.stream).map_err(no_clock)?;
            work()?;
            end.record(&self.0.stream).map_err(no_clock)?;
        }
        self.synchronize()?;
        let elapsed = begins.iter().zip(&ends).map(|(begin, end)| begin.elapsed_ms(end).map(|ms| f64::from(ms) * 1e-3));
        elapsed.collect::<std::result::Result<_, _>>().map(Some).map_err(no_clock)
    }

    fn time_launches(&self, work: &mut dyn FnMut() -> Result<()>) -> Result<Option<Vec<Launched>>> {
        *self.clocked() = Some(Vec::new());
        let done = work();
        let clocked = self.clocked().take().unwrap_or_default();
        done?;
        self.synchronize()?;
        let seconds =
            |(kernel, grid, begin, end): Clocked| begin.elapsed_ms(&end).map(|ms| Launched { kernel, grid, seconds: f64::from(ms) * 1e-3 });
        let seconds: std::result::Result<Vec<_>, _> = clocked.into_iter().map(seconds).collect();
        seconds.map(Some).map_err(|e| self.failed("launches cannot be timed", e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KERNEL: KernelInfo = KernelInfo { name: "relu_f32", file: "elementwise", max_threads: 256, argument_bytes: &[] };

    #[test]
    fn launches_that_cuda_refuses_are_refused_with_their_dimensions() {
        let dims = |grid, block| Dims { grid, block, shared_bytes: 0 };
        assert!(check(&KERNEL, &dims([i32::MAX as u32, 65535, 65535], [32, 8, 4])).is_ok());
        for wrong in [
            dims([0, 1, 1], [32, 1, 1]),
            dims([1, 65536, 1], [32, 1, 1]),
            dims([1, 1, 65536], [32, 1, 1]),
            dims([1 << 31, 1, 1], [32, 1, 1]),
            dims([1, 1, 1], [1025, 1, 1]),
            dims([1, 1, 1], [0, 1, 1]),
            dims([1, 1, 1], [u32::MAX, u32::MAX, 4]),
        ] {
            let error = check(&KERNEL, &wrong).unwrap_err().to_string();
            assert!(error.contains("relu_f32") && error.contains("65535"), "{error}");
        }
    }

    #[test]
    fn without_a_driver_opening_says_so() {
        if driver::is_present() {
            return; // tests/kernels and the self-test take over
        }
        let error = Gpu::open(0).err().unwrap();
        assert!(error.exit_code() == 71 && error.to_string().contains("libcuda"), "{error}");
    }
}
