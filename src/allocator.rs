//! The system's allocator, for which memory that cannot be had ends the program with a message and exit code 71 where Rust would abort.
//!
//! Nothing is allocated on the way out. Temporary files stay behind, as after a kill, and the next run of the same job removes them.

use rustix::process::{Resource, getrlimit};
use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Write;

/// See the module; `main.rs` installs it.
pub struct Allocator;

// SAFETY: every call is passed on to `System` with its arguments unchanged; the result is looked at and passed back.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are those that `System` asks for.
        checked(unsafe { System.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as in `alloc`.
        checked(unsafe { System.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as in `alloc`; `block` came from `System`, as all do.
        checked(unsafe { System.realloc(block, layout, size) }, size)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as in `realloc`.
        unsafe { System.dealloc(block, layout) }
    }
}

#[inline(always)]
fn checked(block: *mut u8, size: usize) -> *mut u8 {
    if block.is_null() {
        out_of_memory(size);
    }
    block
}

#[cold]
fn out_of_memory(size: usize) -> ! {
    let mut text = [0u8; 512];
    let mut left = &mut text[..];
    let _ = writeln!(left, "error: out of memory: {size} bytes more cannot be had");
    let _ = match getrlimit(Resource::As).current {
        Some(limit) => writeln!(left, "  cause: the address space is limited to {limit} bytes (ulimit -v)"),
        None => writeln!(left, "  cause: the machine, or its container, has no more memory for this process"),
    };
    let _ = writeln!(left, "  next:  raise the limit, or ask for less at a time: a smaller batch or image, or fewer threads");
    let unused = left.len();
    let _ = std::io::stderr().write_all(&text[..text.len() - unused]); // unbuffered
    std::process::exit(71)
}
