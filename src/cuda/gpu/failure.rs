//! What an error of the CUDA driver means to the user.

use crate::error::Error;
use cudarc::driver::DriverError;
use cudarc::driver::sys::cudaError_enum as Code;

const SUSPECT: &str = "CUDA_LAUNCH_BLOCKING=1 makes the launch at fault fail itself; then compute-sanitizer with the same command";

/// `what` failed with `error`, with the likely cause and what to do.
pub fn failure(what: impl Into<String>, error: DriverError) -> Error {
    let (cause, next) = meaning(error.0);
    Error::device(what).because(cause).next(next).source(error)
}

/// The likely cause, and what to do.
fn meaning(code: Code) -> (&'static str, &'static str) {
    match code {
        Code::CUDA_ERROR_OUT_OF_MEMORY => {
            ("the device's memory is full: too large a batch, or another program holds it", "nvidia-smi; a smaller --batch-size")
        }
        Code::CUDA_ERROR_NO_DEVICE => ("the driver sees no GPU, or CUDA_VISIBLE_DEVICES hides it", "nvidia-smi, or --device cpu"),
        Code::CUDA_ERROR_DEVICE_UNAVAILABLE | Code::CUDA_ERROR_SYSTEM_NOT_READY => (
            "the device is lost or held by others: it fell off the bus, was reset, or its driver's services are not up",
            "dmesg (lines with Xid) and nvidia-smi; then train --resume auto --output DIR goes on from the last checkpoint",
        ),
        Code::CUDA_ERROR_INVALID_DEVICE => ("there is no GPU of that number", "imagenet-engine doctor lists them"),
        Code::CUDA_ERROR_NO_BINARY_FOR_GPU | Code::CUDA_ERROR_INVALID_IMAGE | Code::CUDA_ERROR_INVALID_SOURCE => (
            "the compiled kernel is not for this GPU, or newer than this driver",
            "imagenet-engine doctor; a driver for CUDA 13.0 or later",
        ),
        Code::CUDA_ERROR_UNSUPPORTED_PTX_VERSION | Code::CUDA_ERROR_INVALID_PTX | Code::CUDA_ERROR_JIT_COMPILER_NOT_FOUND => (
            "the driver cannot compile the fallback code (PTX): it is older than CUDA 13.0",
            "a newer driver, or CUDA_ARCHS naming this GPU",
        ),
        Code::CUDA_ERROR_SYSTEM_DRIVER_MISMATCH => (
            "the driver's library and its kernel module do not fit together: one of the two was updated",
            "nvidia-smi; a restart of the machine",
        ),
        Code::CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES => {
            ("the block asks for more registers or shared memory than a multiprocessor has", "please report it with the GPU's name")
        }
        Code::CUDA_ERROR_ILLEGAL_ADDRESS | Code::CUDA_ERROR_MISALIGNED_ADDRESS | Code::CUDA_ERROR_ILLEGAL_INSTRUCTION => {
            ("a kernel, this one or one launched before, left its memory or trapped", SUSPECT)
        }
        Code::CUDA_ERROR_LAUNCH_FAILED | Code::CUDA_ERROR_ASSERT => {
            ("a kernel, this one or one launched before, failed while running", SUSPECT)
        }
        Code::CUDA_ERROR_LAUNCH_TIMEOUT => ("a kernel ran longer than a GPU with a display allows", "a smaller --batch-size"),
        Code::CUDA_ERROR_ECC_UNCORRECTABLE | Code::CUDA_ERROR_HARDWARE_STACK_ERROR | Code::CUDA_ERROR_NVLINK_UNCORRECTABLE => {
            ("the GPU reports a fault of its hardware", "dmesg and nvidia-smi -q; another GPU")
        }
        Code::CUDA_ERROR_STUB_LIBRARY => ("the libcuda found is the toolkit's stub, not the driver", "LD_LIBRARY_PATH without .../stubs"),
        Code::CUDA_ERROR_NOT_FOUND => ("the compiled kernels and this program are not of one build", "build again"),
        _ => ("see the driver's message", "imagenet-engine doctor, nvidia-smi"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_errors_have_a_cause_and_a_way_on() {
        for (code, cause, next) in [
            (Code::CUDA_ERROR_OUT_OF_MEMORY, "memory is full", "--batch-size"),
            (Code::CUDA_ERROR_ILLEGAL_ADDRESS, "left its memory", "compute-sanitizer"),
            (Code::CUDA_ERROR_NO_BINARY_FOR_GPU, "not for this GPU", "CUDA 13.0"),
            (Code::CUDA_ERROR_INVALID_DEVICE, "no GPU of that number", "doctor"),
            (Code::CUDA_ERROR_DEVICE_UNAVAILABLE, "device is lost", "--resume auto"),
            (Code::CUDA_ERROR_UNKNOWN, "driver's message", "nvidia-smi"),
        ] {
            let (c, n) = meaning(code);
            assert!(c.contains(cause) && n.contains(next), "{code:?}: {c}; {n}");
        }
    }
}
