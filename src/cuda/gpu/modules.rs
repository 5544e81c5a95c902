//! The compiled kernels on a device: each file loaded when one of its kernels is first launched.

use super::super::images::{KERNELS, KernelImage, choose};
use super::super::launch::KernelInfo;
use super::failure::failure;
use crate::error::{Error, Result};
use cudarc::driver::result::{function, module};
use cudarc::driver::sys::{CUfunction, CUfunction_attribute, CUmodule};
use std::collections::HashMap;
use std::ffi::CString;

/// Dynamic shared memory that any kernel may use without asking, together with its static.
const UNASKED_SHARED: u32 = 48 << 10;

/// A kernel ready to launch.
#[derive(Clone, Copy)]
pub struct Function {
    pub handle: CUfunction,
    static_shared: u32,
    /// Dynamic shared memory it may be launched with.
    allowed: u32,
}

/// What is loaded. Only to be used where the device's context is current.
#[derive(Default)]
pub struct Modules {
    capability: (i32, i32),
    loaded: HashMap<&'static str, CUmodule>,
    functions: HashMap<&'static str, Function>,
    /// The kernel launched last, for errors that come to light later.
    pub last: Option<&'static str>,
}

// SAFETY: the handles are names of the driver's, valid in every thread in which their context is current; the table has no other state.
unsafe impl Send for Modules {}

/// The image where the driver may read it as it likes: aligned, and ended by zeros, as PTX must be.
fn aligned(bytes: &[u8]) -> Vec<u64> {
    let mut words = vec![0u64; bytes.len() / 8 + 1];
    bytemuck::cast_slice_mut::<u64, u8>(&mut words)[..bytes.len()].copy_from_slice(bytes);
    words
}

impl Modules {
    pub fn new(capability: (i32, i32)) -> Self {
        Self { capability, ..Self::default() }
    }

    /// The image that kernels of `file` run from.
    pub fn image(&self, file: &str) -> Result<&'static KernelImage> {
        choose(KERNELS, file, self.capability)
    }

    /// The kernel, allowed to use `dynamic` bytes of shared memory of the `most` a block of this device may have.
    pub fn function(&mut self, kernel: &KernelInfo, dynamic: u32, most: usize) -> Result<Function> {
        let mut found = match self.functions.get(kernel.name) {
            Some(found) => *found,
            None => self.load(kernel)?,
        };
        if found.static_shared + dynamic > UNASKED_SHARED && dynamic > found.allowed {
            if (found.static_shared + dynamic) as usize > most {
                return Err(too_much_shared(kernel, found.static_shared + dynamic, most));
            }
            let place = |e| failure("a kernel cannot be given its shared memory", e).at(format!("{}, {dynamic} bytes", kernel.name));
            let set = |attribute, value| {
                // SAFETY: `handle` came from a module of this table, none of which is unloaded before the table is dropped.
                unsafe { function::set_function_attribute(found.handle, attribute, value) }
            };
            set(CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, dynamic as i32).map_err(place)?;
            // These kernels stage everything in shared memory, so L1 may shrink to what is left: a hint, in percent.
            set(CUfunction_attribute::CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT, 100).map_err(place)?;
            found.allowed = dynamic;
        }
        self.functions.insert(kernel.name, found);
        Ok(found)
    }

    fn load(&mut self, kernel: &KernelInfo) -> Result<Function> {
        let image = self.image(kernel.file)?;
        let place = || format!("{} of kernels/{}.cu, {}", kernel.name, kernel.file, image.target);
        let of_file = match self.loaded.get(kernel.file) {
            Some(found) => *found,
            None => {
                let words = aligned(image.bytes);
                // SAFETY: the image is a whole cubin or PTX text of this build, ended by zeros, and outlives the call, which copies it.
                let found = unsafe { module::load_data(words.as_ptr().cast()) };
                let found = found.map_err(|e| failure("the compiled kernel cannot be loaded", e).at(place()))?;
                self.loaded.insert(kernel.file, found);
                found
            }
        };
        let name = CString::new(kernel.name).map_err(|e| Error::internal("a kernel's name holds a zero").source(e))?;
        // SAFETY: the module was loaded above or earlier and is not unloaded before the table is dropped.
        let handle = unsafe { module::get_function(of_file, name) };
        let handle = handle.map_err(|e| failure("the compiled file lacks a kernel", e).at(place()))?;
        // SAFETY: as above, of the function.
        let of_block = unsafe { function::get_function_attribute(handle, CUfunction_attribute::CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES) };
        let static_shared = of_block.map_err(|e| failure("a kernel does not tell its shared memory", e).at(place()))? as u32;
        Ok(Function { handle, static_shared, allowed: 0 })
    }

    /// Unloads everything. The context must be current.
    pub fn unload(&mut self) {
        self.functions.clear();
        for (_, of_file) in self.loaded.drain() {
            // SAFETY: each was loaded once, and its functions are forgotten. An error leaves a module to the end of the context.
            let _ = unsafe { module::unload(of_file) };
        }
    }
}

fn too_much_shared(kernel: &KernelInfo, asked: u32, most: usize) -> Error {
    Error::device(format!("a block needs {asked} bytes of shared memory, this GPU has {most} for one"))
        .at(kernel.name)
        .because("its tile is made for GPUs with more shared memory")
        .next("--device cpu, and please report the GPU's name")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_copied_whole_and_end_in_a_zero() {
        for len in [0, 1, 7, 8, 9, 1000] {
            let bytes: Vec<u8> = (0..len).map(|i| i as u8 | 1).collect();
            let words = aligned(&bytes);
            let copy: &[u8] = bytemuck::cast_slice(&words);
            assert!(copy[..len] == bytes && copy.len() > len && copy[len..].iter().all(|&b| b == 0), "{len}");
        }
    }

    #[test]
    fn too_much_shared_memory_names_kernel_and_limit() {
        let info = KernelInfo { name: "conv_fprop_m128n128", file: "conv_fprop", max_threads: 256, argument_bytes: &[] };
        let error = too_much_shared(&info, 98304, 49152).to_string();
        assert!(error.contains("98304") && error.contains("49152") && error.contains("conv_fprop_m128n128"), "{error}");
    }

    /// Without a driver: choosing is possible, loading is not reached.
    #[test]
    fn a_device_too_old_is_refused_before_the_driver_is_asked() {
        let info = KernelInfo { name: "relu_f32", file: "elementwise", max_threads: 256, argument_bytes: &[] };
        let error = Modules::new((7, 0)).function(&info, 0, 49152).err().unwrap();
        assert_eq!(error.exit_code(), 71, "{error}");
    }
}
