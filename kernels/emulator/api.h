// The emulator's C interface: what src/cuda/emulated.rs calls.
#pragma once
#include <cstddef>
#include <cstdint>

#define EMULATOR_API __attribute__((visibility("default")))

extern "C" {

struct EmulatorLaunch {
    uint32_t grid[3];
    uint32_t block[3];
    uint32_t shared_bytes;
    uint32_t landing;  // of asynchronous copies: 0 at once, 1 as late as allowed, 2 by chance
    uint64_t seed;     // of the order of blocks, warps and lanes
    uint32_t workers;  // OS threads
};

struct EmulatorCounters {
    uint64_t mma, ldmatrix, async_copies, shared_conflicts, barriers, wgmma;
};

// 0, or 1 with the reason in `message` (cut to `room`, always ended by a zero).
EMULATOR_API int emulator_launch(const char* kernel, const EmulatorLaunch* launch, void** arguments, EmulatorCounters* counters, char* message,
                    size_t room);

// The sizes of a kernel's parameters, ended by 0; null if there is no such kernel. For who must keep arguments until a launch.
EMULATOR_API const size_t* emulator_parameter_bytes(const char* kernel);

// Null if there is no room.
EMULATOR_API void* emulator_allocate(size_t bytes);
// 0, or 1 if the range is not in one allocation.
EMULATOR_API int emulator_release(void* memory);
EMULATOR_API int emulator_write(void* to, const void* host, size_t bytes);
EMULATOR_API int emulator_read(void* host, const void* from, size_t bytes);

}
