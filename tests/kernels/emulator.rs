//! What the emulator catches, and that it does not cry wolf: each probe is run wrong and right.

use crate::device::schedules;
use crate::planted::probes;
use imagenet_engine::cuda::emulated::{Counters, Emulator};
use imagenet_engine::cuda::launch::{Dims, Driver, Kernel, KernelInfo, PtrMut, launch};
use imagenet_engine::cuda::memory::Array;
use std::ffi::c_void;
use std::ptr::from_ref;
use std::sync::LazyLock;

static PROBES: LazyLock<Emulator> = LazyLock::new(|| probes("probes.cu"));

/// All probes have these parameters; the kernel's name comes with the launch.
struct Arguments {
    data: PtrMut<f32>,
    number: i32,
}

/// Launches probe `NAME` with 256 floats, 0, 1, 2, ...; what came back.
fn run(device: &Emulator, name: &'static str, dims: &Dims, number: i32) -> Result<Vec<f32>, String> {
    let mut data = Array::from_host(device, &(0..256).map(|i| i as f32).collect::<Vec<_>>()).unwrap();
    let arguments = Arguments { data: data.ptr_mut(), number };
    let pointers: [*const c_void; 2] = [from_ref(&arguments.data).cast(), from_ref(&arguments.number).cast()];
    // SAFETY: every probe takes a float pointer and an int.
    unsafe { device.launch(&KernelInfo { name, file: "probes", max_threads: 1024, argument_bytes: &[] }, dims, &pointers) }
        .map_err(|e| e.to_string())?;
    Ok(data.to_host().unwrap())
}

fn dims(blocks: u32, threads: u32) -> Dims {
    Dims { grid: [blocks, 1, 1], block: [threads, 1, 1], shared_bytes: 1024 }
}

/// `wrong` must be reported with all of `said` under every schedule, `right` must not be reported under any.
fn caught(name: &'static str, threads: u32, wrong: i32, right: i32, said: &[&str]) {
    for schedule in schedules() {
        let device = PROBES.with(schedule);
        let error = run(&device, name, &dims(3, threads), wrong).expect_err(&format!("{name} was not caught under {schedule:?}"));
        assert!(said.iter().all(|s| error.contains(s)) && error.contains(name), "{name}: {error}");
        run(&device, name, &dims(3, threads), right).unwrap_or_else(|e| panic!("{name}, done right: {e}"));
    }
}

#[test]
fn shared_memory_races() {
    caught("exchange", 64, 0, 1, &["shared memory race", "block", "thread"]);
    caught("exchange_in_warp", 32, 0, 1, &["shared memory race"]);
    caught("reuse", 64, 0, 1, &["shared memory race"]);
}

#[test]
fn shared_memory_bounds() {
    caught("beyond_shared", 32, 256, 255, &["outside the 1024 bytes"]);
    caught("beyond_shared", 32, -1, 0, &["outside the 1024 bytes", "-4"]);
    caught("misaligned", 32, 6, 8, &["misaligned"]);
}

#[test]
fn asynchronous_copies() {
    caught("copy_without_wait", 32, 0, 1, &["in flight"]);
    caught("copy_without_barrier", 64, 0, 1, &["shared memory race"]);
    caught("leaves_copies", 32, 0, 1, &["exits with 1 asynchronous copies in flight"]);
}

#[test]
fn deadlocks_say_who_waits_where() {
    // A thread that exits before a barrier of the whole block, and a barrier after threads have exited, are the same mistake.
    for schedule in schedules() {
        let error = run(&PROBES.with(schedule), "half_of_them_wait", &dims(1, 64), 0).unwrap_err();
        assert!(error.contains("threads 0-31 wait at __syncthreads; 32 threads have exited") || error.contains("after some"), "{error}");
        let error = run(&PROBES.with(schedule), "waits_forever", &dims(1, 64), 0).unwrap_err();
        assert!(error.contains("threads 32-39, 41-63 wait at __shfl_xor_sync; threads 0-31, 40 wait at __syncthreads"), "{error}");
    }
    caught("half_of_them_wait", 64, 0, 1, &[]);
    caught("waits_forever", 64, 0, 1, &["deadlock"]);
    caught("divergent", 32, 0, 1, &["divergent warp", "__ballot_sync", "__shfl_xor_sync"]);
}

#[test]
fn global_memory_bounds() {
    caught("reads_at", 32, 256, 255, &["a read of 0 bytes after the end of an allocation of 1024 bytes"]);
    caught("reads_at", 32, -1100, 0, &["a read of 4400 bytes before an allocation of 1024 bytes"]);
    caught("writes_at", 32, 256, 255, &["a write to 0 bytes after the end"]);
    caught("writes_at", 32, -1, 0, &["a write 4 bytes before an allocation of 1024 bytes"]);
    caught("writes_at", 32, 1 << 28, 1, &["a write to"]);
    // Just before an allocation there is memory, full of NaN: reads of it show in the result, writes are found afterwards.
    assert!(run(&PROBES.with(schedules()[0]), "reads_at", &dims(1, 32), -1).unwrap()[0].is_nan());
    caught("deep", 32, 60, 3, &["overflows"]);
}

#[test]
fn a_freed_array_is_out_of_bounds() {
    let device = PROBES.clone();
    let mut data = Array::from_host(&device, &[1.0f32; 256]).unwrap();
    let (pointer, number) = (data.ptr_mut(), 0);
    drop(data);
    let pointers: [*const c_void; 2] = [from_ref(&pointer).cast(), from_ref(&number).cast()];
    // SAFETY: as above; that the memory is gone is what is tested.
    let result = unsafe {
        device.launch(&KernelInfo { name: "writes_at", file: "probes", max_threads: 32, argument_bytes: &[] }, &dims(1, 32), &pointers)
    };
    assert!(result.unwrap_err().to_string().contains("a write to"));
}

#[test]
fn launches_that_cuda_would_refuse() {
    let device = &*PROBES;
    let error = |name, dims: Dims| run(device, name, &dims, 1).unwrap_err();
    assert!(error("no_such_kernel", dims(1, 32)).contains("no kernel 'no_such_kernel'"));
    assert!(error("exchange", dims(1, 1056)).contains("CUDA allows no launch"));
    assert!(error("exchange", dims(0, 32)).contains("CUDA allows no launch"));
    assert!(error("exchange", Dims { shared_bytes: 300 << 10, ..dims(1, 64) }).contains("CUDA allows no launch"));

    /// A kernel whose launch bound is smaller than the block.
    struct Small;
    impl Kernel for Small {
        const INFO: KernelInfo = KernelInfo { name: "exchange", file: "probes", max_threads: 64, argument_bytes: &[] };
        type Arguments = [*const c_void; 0];
        fn arguments(&self) -> Self::Arguments {
            []
        }
    }
    assert!(launch(device, &dims(1, 96), &Small).unwrap_err().to_string().contains("launch bound of 64"));
}

/// New memory is NaN; copies outside an allocation are errors.
#[test]
fn memory_is_guarded_from_the_host_too() {
    let device = Emulator::new(schedules()[0]);
    let fresh = Array::<f32, _>::new(&device, 5).unwrap();
    assert!(fresh.to_host().unwrap().iter().all(|v| v.is_nan()));
    let address = device.allocate(64).unwrap();
    device.write(address, &[7; 64]).unwrap();
    let mut back = [0; 32];
    device.read(address + 32, &mut back).unwrap();
    assert_eq!(back, [7; 32]);
    assert!(device.write(address + 1, &[0; 64]).is_err() && device.read(address - 1, &mut back).is_err());
    device.free(address);
    assert!(device.write(address, &[0; 1]).is_err());
}

/// The schedules must really differ: a sum whose order is the blocks' order shows it.
#[test]
fn schedules_change_the_order_of_blocks() {
    let sum = |seed| {
        let schedule = imagenet_engine::cuda::emulated::Schedule { seed, workers: 1, ..schedules()[0] };
        run(&PROBES.with(schedule), "sums_by_atomics", &dims(1000, 32), 1009).unwrap()[0].to_bits()
    };
    assert_eq!(sum(0), sum(0), "one schedule on one worker is repeatable");
    let all: std::collections::HashSet<u32> = (0..8).map(sum).collect();
    assert!(all.len() > 1, "eight orders gave one sum");
}

#[test]
fn counters_count() {
    let device = PROBES.with(schedules()[0]);
    device.take_counters();
    run(&device, "copy_without_barrier", &dims(3, 64), 1).unwrap();
    let counted = device.take_counters();
    assert_eq!((counted.async_copies, counted.barriers), (192, 6));
    assert_eq!(device.take_counters(), Counters::default());
}
