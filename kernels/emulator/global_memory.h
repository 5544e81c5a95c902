// Global memory with guards. Every allocation ends at an unmapped page and begins after one, so that the first access beyond its end,
// read or write, checked or plain, stops the kernel; the few bytes between an allocation and its pages hold a pattern that is
// checked after each launch. New memory holds NaN.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace emulator {

// Aligned to 16 bytes, no more, so that a kernel cannot rely on more. Null if the address space is used up.
void* allocate(size_t bytes);
// False if `memory` is not an allocation.
bool release(void* memory);
// Whether bytes [address, address + bytes) lie in one allocation.
bool is_allocated(const void* address, size_t bytes);
// Empty, or what was written outside an allocation. The pattern is laid anew, so one damage is told once.
std::string damaged_guards();
// What an address is to people: "4 bytes after an allocation of 400 bytes".
std::string describe_address(const void* address);
// Whether the address is in the region from which allocations come.
bool in_region(const void* address);

// While it lives, bad accesses by kernels on this OS thread are errors of the launch instead of the end of the process.
class FaultCatcher {
public:
    FaultCatcher();
    ~FaultCatcher();
    FaultCatcher(const FaultCatcher&) = delete;
    FaultCatcher& operator=(const FaultCatcher&) = delete;

private:
    void* stack_ = nullptr;  // for the handler, where the thread has none of its own
};

}  // namespace emulator
