//! The parts of a step that the host does not wait for: pictures on their way to the device, results on their way back, and recorded
//! work as CUDA graphs.
//!
//! Pictures go through page-locked memory and a stream of their own into a landing place on the device, while the step before still runs;
//! the main stream then waits for them and copies them to where the step reads them. Landing places are used in turn.
//!
//! Status: run over a stand-in for libcuda (tests/kernels/fake_cuda.rs); no GPU has run it.

use super::Gpu;
use crate::cuda::account::{LANDINGS, landing_room};
use crate::cuda::stream::Stream;
use crate::error::{Error, Result};
use cudarc::driver::sys::{self, CUgraphExec};
use cudarc::driver::{CudaContext, CudaEvent, CudaStream, DriverError, result};
use std::collections::VecDeque;
use std::ffi::c_void;
use std::sync::Arc;

type Driven<T> = std::result::Result<T, DriverError>;

/// Page-locked memory of the host.
pub(super) struct Pinned {
    context: Arc<CudaContext>,
    at: *mut c_void,
    bytes: usize,
}

// SAFETY: the memory is plain bytes that this struct owns; the driver's calls on it are allowed from any thread.
unsafe impl Send for Pinned {}

impl Pinned {
    pub fn new(context: &Arc<CudaContext>, bytes: usize) -> Driven<Self> {
        context.bind_to_thread()?;
        // SAFETY: any size above 0 may be asked for; the content is written before it is read.
        let at = unsafe { result::malloc_host(bytes.max(1), 0) }?;
        Ok(Self { context: context.clone(), at, bytes: bytes.max(1) })
    }

    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: the memory is as long, lives as long as `self`, and is borrowed as `self` is. It holds bytes, any of which are legal;
        // freshly allocated pages are zeroed by the operating system.
        unsafe { std::slice::from_raw_parts_mut(self.at.cast::<u8>(), self.bytes) }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // SAFETY: the memory came from `malloc_host` and is given back once.
        let _ = self.context.bind_to_thread().and_then(|()| unsafe { result::free_host(self.at) });
    }
}

/// A place on the host and one on the device through which pictures go.
struct Landing {
    pinned: Pinned,
    device: u64,
    /// When the main stream has taken what lay here.
    taken: CudaEvent,
}

/// The stream of the uploads, and where they land; in the order of their use, the one used longest ago first.
pub(super) struct Uploads {
    stream: Arc<CudaStream>,
    landings: VecDeque<Landing>,
    /// Page-locked memory for results, free.
    results: Vec<Pinned>,
}

impl Uploads {
    pub fn new(context: &Arc<CudaContext>) -> Driven<Self> {
        Ok(Self { stream: context.new_stream()?, landings: VecDeque::new(), results: Vec::new() })
    }

    /// A landing place for `bytes` bytes that nobody uses any more.
    fn landing(&mut self, context: &Arc<CudaContext>, bytes: usize) -> Driven<Landing> {
        let fits = |l: &Landing| l.pinned.bytes >= bytes && l.pinned.bytes <= 2 * bytes + 4096;
        let free = self.landings.iter().position(|l| fits(l) && l.taken.is_complete());
        if let Some(free) = free.and_then(|at| self.landings.remove(at)) {
            return Ok(free);
        }
        if self.landings.len() >= LANDINGS
            && let Some(oldest) = self.landings.pop_front()
        {
            oldest.taken.synchronize()?;
            if fits(&oldest) {
                return Ok(oldest);
            }
            // SAFETY: the memory came from `malloc_sync`, nothing uses it any more, and it is given back once.
            unsafe { result::free_sync(oldest.device) }?;
        }
        let room = landing_room(bytes);
        let pinned = Pinned::new(context, room)?;
        // SAFETY: any size above 0 may be asked for; the content is written before it is read.
        let device = unsafe { result::malloc_sync(room.max(1)) }?;
        Ok(Landing { pinned, device, taken: context.new_event(None)? })
    }

    /// Frees what lies on the device. After everything has finished.
    pub fn free(&mut self) {
        for landing in self.landings.drain(..) {
            // SAFETY: as in `landing`; the caller says that nothing is under way.
            let _ = unsafe { result::free_sync(landing.device) };
        }
    }
}

/// Recorded work, ready to be launched.
pub struct Graph {
    gpu: Gpu,
    exec: CUgraphExec,
}

// SAFETY: a graph may be launched and destroyed from any thread, one at a time, which `&mut` and `Drop` see to: launches take `&Graph`, but
// go through the one stream of the device.
unsafe impl Send for Graph {}

impl Drop for Graph {
    fn drop(&mut self) {
        // SAFETY: the handle came from `instantiate` and is destroyed once; the driver waits for launches under way.
        let _ = self.gpu.bind().and_then(|()| unsafe { result::graph::exec_destroy(self.exec) });
    }
}

/// Bytes on their way to page-locked memory.
pub struct Arriving {
    pinned: Option<Pinned>,
    len: usize,
    here: CudaEvent,
}

impl Gpu {
    /// Copies all of `pinned` to `device`, which has as much room, or back, without waiting: both must live until the device is idle.
    pub(super) fn copy_pinned(&self, pinned: &mut Pinned, device: u64, up: bool) -> Driven<()> {
        self.bind()?;
        let (host, stream) = (pinned.bytes_mut(), self.stream());
        // SAFETY: the caller says that both places are as long and live long enough.
        unsafe { if up { result::memcpy_htod_async(device, host, stream) } else { result::memcpy_dtoh_async(host, device, stream) } }
    }

    fn capture<T>(&self, what: &str, done: Driven<T>) -> Result<T> {
        done.map_err(|e| self.failed(what.to_owned(), e))
    }
}

impl Stream for Gpu {
    type Graph = Graph;
    type Arriving = Arriving;

    fn describe(&self) -> String {
        self.0.properties.name.clone()
    }

    fn free_memory(&self) -> Result<Option<usize>> {
        let told = self.bind().and_then(|()| result::mem_get_info());
        self.capture("the GPU does not tell how much memory is free", told).map(|(free, _)| Some(free))
    }

    fn stage(&self, address: u64, host: &[u8]) -> Result<()> {
        if host.is_empty() {
            return Ok(());
        }
        let mut uploads = self.uploads();
        let staged = self.bind().and_then(|()| {
            let mut landing = uploads.landing(&self.0.context, host.len())?;
            landing.pinned.bytes_mut()[..host.len()].copy_from_slice(host);
            let (main, side) = (&self.0.stream, uploads.stream.clone());
            let sent = &landing.pinned.bytes_mut()[..host.len()];
            // SAFETY: the landing place has room for `host.len()` bytes on both sides and is not used again before `taken`, which is
            // recorded behind the copy that reads it; `address` has the room that the caller says.
            unsafe { result::memcpy_htod_async(landing.device, sent, side.cu_stream()) }?;
            main.wait(&side.record_event(None)?)?;
            // SAFETY: as above.
            unsafe { result::memcpy_dtod_async(address, landing.device, host.len(), main.cu_stream()) }?;
            landing.taken.record(main)?;
            uploads.landings.push_back(landing);
            Ok(())
        });
        staged.map_err(|e| self.failed(format!("{} bytes could not be sent to the device", host.len()), e))
    }

    fn copy(&self, from: u64, to: u64, bytes: usize) -> Result<()> {
        if bytes == 0 {
            return Ok(());
        }
        // SAFETY: both ranges are memory of the caller's.
        let done = self.bind().and_then(|()| unsafe { result::memcpy_dtod_async(to, from, bytes, self.stream()) });
        self.capture("memory could not be copied", done)
    }

    fn zero(&self, address: u64, bytes: usize) -> Result<()> {
        if bytes == 0 {
            return Ok(());
        }
        // SAFETY: the range is memory of the caller's; any bytes are legal there.
        let done = self.bind().and_then(|()| unsafe { result::memset_d8_async(address, 0, bytes, self.stream()) });
        self.capture("memory could not be cleared", done)
    }

    fn send(&self, address: u64, bytes: usize) -> Result<Arriving> {
        let sent = self.bind().and_then(|()| {
            // Page-locking takes longer than a step should wait.
            let free = self.uploads().results.pop().filter(|p| p.bytes >= bytes);
            let mut pinned = free.map_or_else(|| Pinned::new(&self.0.context, bytes.max(256)), Ok)?;
            if bytes > 0 {
                // SAFETY: the memory lives until the event behind the copy has come, see `Arriving`; the source is the caller's.
                unsafe { result::memcpy_dtoh_async(&mut pinned.bytes_mut()[..bytes], address, self.stream()) }?;
            }
            let here = self.0.stream.record_event(None)?;
            Ok(Arriving { pinned: Some(pinned), len: bytes, here })
        });
        self.capture("a result could not be sent to the host", sent)
    }

    fn arrived(&self, arriving: &mut Arriving, wait: bool) -> Result<Option<Vec<u8>>> {
        let come = if wait { arriving.here.synchronize().map(|()| true) } else { arriving.here.try_is_complete() };
        if !self.capture("a result did not come", come)? {
            return Ok(None);
        }
        Ok(arriving.pinned.take().map(|mut pinned| {
            let bytes = pinned.bytes_mut()[..arriving.len].to_vec();
            self.uploads().results.push(pinned);
            bytes
        }))
    }

    fn begin_recording(&self) -> Result<()> {
        // Relaxed: memory may be allocated meanwhile, which is no part of the recording.
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_RELAXED;
        // SAFETY: the stream lives.
        let done = self.bind().and_then(|()| unsafe { result::stream::begin_capture(self.stream(), mode) });
        self.capture("recording could not begin", done)
    }

    fn end_recording(&self) -> Result<Graph> {
        let recorded = self.bind().and_then(|()| {
            // SAFETY: the stream lives and is capturing; the graph is destroyed once, after what is launched was made of it.
            unsafe {
                let graph = result::stream::end_capture(self.stream())?;
                let exec = result::graph::instantiate(graph, sys::CUgraphInstantiate_flags(0));
                result::graph::destroy(graph)?;
                exec
            }
        });
        let exec = self.capture("what was recorded cannot be replayed", recorded)?;
        if exec.is_null() {
            return Err(Error::device("the driver recorded nothing").at(self.describe()));
        }
        Ok(Graph { gpu: self.clone(), exec })
    }

    fn replay(&self, graph: &Graph) -> Result<()> {
        // SAFETY: the handle lives as long as `graph`.
        let done = self.bind().and_then(|()| unsafe { result::graph::launch(graph.exec, self.stream()) });
        self.capture("recorded work could not be launched", done)
    }

    fn addresses(_graph: &Graph) -> Vec<u64> {
        Vec::new()
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        if self.pinned.is_some() {
            let _ = self.here.synchronize(); // the memory must outlive the copy into it
        }
    }
}
