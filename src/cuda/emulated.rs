//! The emulator as a driver: the kernels of this build, run on this CPU. See kernels/emulator.
//!
//! A race, a deadlock, an access outside an allocation or an asynchronous copy nobody waited for is an error of the launch.

mod stream;

use super::launch::{Dims, Driver, KernelInfo};
use super::timed::{EMULATOR, Properties, Timed};
use crate::backend::Launched;
use crate::error::{Error, Result};
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::mem::ManuallyDrop;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use stream::Host;

pub use stream::{Arriving, Calls, Graph};

/// When asynchronous copies land: each is legal on hardware, so a right kernel gives the same bits under all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Landing {
    #[default]
    Eager = 0,
    Late = 1,
    Mixed = 2,
}

/// The order in which things happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    pub landing: Landing,
    /// Of the order of blocks, warps and lanes. 0 runs blocks in order.
    pub seed: u64,
    /// OS threads over which blocks are spread.
    pub workers: u32,
}

impl Default for Schedule {
    fn default() -> Self {
        let workers = std::thread::available_parallelism().map_or(1, |n| n.get() as u32);
        Self { landing: Landing::Eager, seed: 0, workers }
    }
}

/// What the launches since the last look counted.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    pub mma: u64,
    pub ldmatrix: u64,
    pub async_copies: u64,
    /// Extra passes over the banks of shared memory by ldmatrix and cp.async.
    pub shared_conflicts: u64,
    pub barriers: u64,
    /// A warp's quarter of one counts one.
    pub wgmma: u64,
}

/// `EmulatorLaunch` of kernels/emulator/api.h.
#[repr(C)]
struct Config {
    grid: [u32; 3],
    block: [u32; 3],
    shared_bytes: u32,
    landing: u32,
    seed: u64,
    workers: u32,
}

type LaunchFn = unsafe extern "C" fn(*const c_char, *const Config, *const *const c_void, *mut Counters, *mut c_char, usize) -> c_int;
type AllocateFn = unsafe extern "C" fn(usize) -> *mut c_void;
type ReleaseFn = unsafe extern "C" fn(*mut c_void) -> c_int;
type WriteFn = unsafe extern "C" fn(*mut c_void, *const c_void, usize) -> c_int;
type ReadFn = unsafe extern "C" fn(*mut c_void, *const c_void, usize) -> c_int;

unsafe extern "C" {
    fn emulator_launch(
        kernel: *const c_char,
        launch: *const Config,
        arguments: *const *const c_void,
        counters: *mut Counters,
        message: *mut c_char,
        room: usize,
    ) -> c_int;
    fn emulator_allocate(bytes: usize) -> *mut c_void;
    fn emulator_release(memory: *mut c_void) -> c_int;
    fn emulator_write(to: *mut c_void, host: *const c_void, bytes: usize) -> c_int;
    fn emulator_read(host: *mut c_void, from: *const c_void, bytes: usize) -> c_int;
}

/// The functions of one emulator: the one linked in, or one loaded from a file.
struct Api {
    launch: LaunchFn,
    allocate: AllocateFn,
    release: ReleaseFn,
    write: WriteFn,
    read: ReadFn,
    /// Never unloaded: the library's fault handler stays installed.
    _library: Option<ManuallyDrop<libloading::Library>>,
}

/// A handle; clones share the counters and what is recorded. All handles of one library share its memory.
#[derive(Clone)]
pub struct Emulator {
    api: Arc<Api>,
    schedule: Schedule,
    counters: Arc<Mutex<Counters>>,
    host: Arc<Mutex<Host>>,
}

const MESSAGE_ROOM: usize = 4096;

impl Emulator {
    /// With the kernels of this build.
    pub fn new(schedule: Schedule) -> Self {
        let api = Api {
            launch: emulator_launch,
            allocate: emulator_allocate,
            release: emulator_release,
            write: emulator_write,
            read: emulator_read,
            _library: None,
        };
        Self { api: Arc::new(api), schedule, counters: Arc::default(), host: Arc::default() }
    }

    /// With the kernels of a library built from the same runtime; tests build such libraries from kernels with planted bugs.
    ///
    /// # Errors
    /// `Device` if the file is no such library.
    pub fn load(path: &Path, schedule: Schedule) -> Result<Self> {
        let failed =
            |e: libloading::Error| Error::device("cannot load a library of emulated kernels").at(path.display().to_string()).source(e);
        // SAFETY: loading runs the library's initialisers and trusts its symbols to have the types of kernels/emulator/api.h. That is
        // the caller's choice of file, as with any plugin; only tests call this, with libraries they have just built.
        let api = unsafe {
            let library = libloading::Library::new(path).map_err(failed)?;
            Api {
                launch: *library.get(b"emulator_launch\0").map_err(failed)?,
                allocate: *library.get(b"emulator_allocate\0").map_err(failed)?,
                release: *library.get(b"emulator_release\0").map_err(failed)?,
                write: *library.get(b"emulator_write\0").map_err(failed)?,
                read: *library.get(b"emulator_read\0").map_err(failed)?,
                _library: Some(ManuallyDrop::new(library)),
            }
        };
        Ok(Self { api: Arc::new(api), schedule, counters: Arc::default(), host: Arc::default() })
    }

    /// The same device under another schedule, with counters of its own.
    #[must_use]
    pub fn with(&self, schedule: Schedule) -> Self {
        Self { api: self.api.clone(), schedule, counters: Arc::default(), host: Arc::default() }
    }

    /// With so many bytes of memory, as a GPU has.
    #[must_use]
    pub fn with_memory(self, bytes: usize) -> Self {
        self.side().account.limit = Some(bytes);
        self
    }

    /// The most bytes that were allocated at one time, as CUDA would take them.
    pub fn peak_memory(&self) -> usize {
        self.side().account.peak
    }

    /// What was counted since the last call.
    pub fn take_counters(&self) -> Counters {
        std::mem::take(&mut self.counters.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn outside(what: &str, address: u64, bytes: usize) -> Error {
    Error::internal(format!("{what} of {bytes} bytes outside an allocation")).at(format!("emulated device, address {address:#x}"))
}

impl Emulator {
    /// # Safety
    /// As [`Driver::launch`].
    unsafe fn launch_now(&self, kernel: &KernelInfo, dims: &Dims, arguments: &[*const c_void]) -> Result<()> {
        let name = CString::new(kernel.name).map_err(|e| Error::internal("a kernel's name holds a zero").source(e))?;
        let config = Config {
            grid: dims.grid,
            block: dims.block,
            shared_bytes: dims.shared_bytes,
            landing: self.schedule.landing as u32,
            seed: self.schedule.seed,
            workers: self.schedule.workers,
        };
        let mut counters = Counters::default();
        let mut message: Vec<c_char> = vec![0; MESSAGE_ROOM];
        // SAFETY: the caller vouches for `arguments`; the other pointers are to live locals of the types the function declares, and
        // `message` has the room it is said to have.
        let failed = unsafe {
            (self.api.launch)(name.as_ptr(), &raw const config, arguments.as_ptr(), &raw mut counters, message.as_mut_ptr(), MESSAGE_ROOM)
        };
        let mut sum = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        sum.mma += counters.mma;
        sum.ldmatrix += counters.ldmatrix;
        sum.async_copies += counters.async_copies;
        sum.shared_conflicts += counters.shared_conflicts;
        sum.barriers += counters.barriers;
        sum.wgmma += counters.wgmma;
        if failed == 0 {
            return Ok(());
        }
        // SAFETY: the emulator ends the message by a zero within its room.
        let said = unsafe { CStr::from_ptr(message.as_ptr()) }.to_string_lossy().into_owned();
        Err(Error::internal(said).at(format!("emulated kernel {}, {dims:?}", kernel.name)))
    }

    fn write_now(&self, address: u64, host: &[u8]) -> Result<()> {
        // SAFETY: `host` is readable for its length; the emulator checks that the target lies in one allocation.
        let failed = unsafe { (self.api.write)(address as *mut c_void, host.as_ptr().cast(), host.len()) };
        if failed == 0 { Ok(()) } else { Err(outside("a copy to the device", address, host.len())) }
    }

    fn read_now(&self, address: u64, host: &mut [u8]) -> Result<()> {
        // SAFETY: `host` is writable for its length; the emulator checks that the source lies in one allocation.
        let failed = unsafe { (self.api.read)(host.as_mut_ptr().cast(), address as *const c_void, host.len()) };
        if failed == 0 { Ok(()) } else { Err(outside("a copy from the device", address, host.len())) }
    }
}

impl Driver for Emulator {
    fn allocate(&self, bytes: usize) -> Result<u64> {
        self.count(|calls| calls.allocations += 1);
        let has_room = self.side().account.has_room(bytes);
        // SAFETY: any size may be asked for.
        let memory = if has_room { unsafe { (self.api.allocate)(bytes) } } else { std::ptr::null_mut() };
        if memory.is_null() {
            let free = self.side().account.free().map_or(String::new(), |free| format!(", {free} are free"));
            return Err(Error::device(format!("no room for {bytes} bytes{free}")).at("emulated device"));
        }
        self.side().account.allocated(memory as u64, bytes);
        Ok(memory as u64)
    }

    fn free(&self, address: u64) {
        self.side().account.freed(address);
        // SAFETY: the emulator looks the address up and ignores one that it did not give out.
        unsafe { (self.api.release)(address as *mut c_void) };
    }

    fn write(&self, address: u64, host: &[u8]) -> Result<()> {
        self.waits("a copy from the host")?;
        self.write_now(address, host)
    }

    fn read(&self, address: u64, host: &mut [u8]) -> Result<()> {
        self.waits("a copy to the host")?;
        self.read_now(address, host)
    }

    unsafe fn launch(&self, kernel: &KernelInfo, dims: &Dims, arguments: &[*const c_void]) -> Result<()> {
        self.count(|calls| calls.launches += 1);
        if !self.is_recording() {
            // SAFETY: the caller vouches for `arguments`.
            return unsafe { self.launch_now(kernel, dims, arguments) };
        }
        let held = kernel.argument_bytes.iter().zip(arguments).map(|(&bytes, &argument)| {
            let mut words = vec![0u64; bytes.div_ceil(8)];
            // SAFETY: the caller vouches that `argument` leads to a live value of the parameter's type, of this size; `words` has room.
            unsafe { std::ptr::copy_nonoverlapping(argument.cast::<u8>(), words.as_mut_ptr().cast(), bytes) };
            words
        });
        self.record_launch(kernel, dims, held.collect());
        Ok(())
    }
}

impl Emulator {
    /// A launch as it was recorded: each argument a copy, in whole words.
    fn launch_recorded(&self, kernel: &KernelInfo, dims: &Dims, arguments: &[Vec<u64>]) -> Result<()> {
        let pointers: Vec<*const c_void> = arguments.iter().map(|a| a.as_ptr().cast()).collect();
        // SAFETY: each pointer leads to a copy of an argument of this kernel, of its parameter's size, aligned to 8 bytes.
        unsafe { self.launch_now(kernel, dims, &pointers) }
    }
}

/// Enough of a device to choose grids by: few multiprocessors, so that splits and tails are met on small problems.
static PROPERTIES: LazyLock<Properties> = LazyLock::new(|| Properties {
    name: EMULATOR.into(),
    driver: "none".into(),
    multiprocessors: 4,
    shared_bytes: 227 << 10,
    ..Properties::default()
});

impl Timed for Emulator {
    fn properties(&self) -> &Properties {
        &PROPERTIES
    }

    fn has_wgmma(&self, _file: &str) -> bool {
        true
    }

    fn fill(&self, address: u64, byte: u8, bytes: usize) -> Result<()> {
        self.write(address, &vec![byte; bytes])
    }

    fn synchronize(&self) -> Result<()> {
        Ok(())
    }

    /// The work is done, but how long this CPU took says nothing.
    fn time(
        &self,
        repeats: usize,
        before: &mut dyn FnMut() -> Result<()>,
        work: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Option<Vec<f64>>> {
        for _ in 0..repeats {
            before()?;
            work()?;
        }
        Ok(None)
    }

    fn time_launches(&self, work: &mut dyn FnMut() -> Result<()>) -> Result<Option<Vec<Launched>>> {
        work().map(|()| None)
    }
}
