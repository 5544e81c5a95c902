// wgmma and what it needs, thin wrappers over PTX for sm_90a, with host bodies under IMAGENET_EMULATOR as in ptx.cuh. HAS_WGMMA is defined
// where they are; a kernel that uses them must be a stub elsewhere, and the host must not launch the stub: see ceilings.cu.
#pragma once
#include <stdint.h>

#ifdef IMAGENET_EMULATOR
#include "warpgroup.h"
#endif

#if defined(__CUDA_ARCH_FEAT_SM90_ALL) || defined(IMAGENET_EMULATOR)
#define HAS_WGMMA

// What a matrix in shared memory looks like to wgmma, rows of 128 bytes (64 bf16 along k) with their chunks of 16 bytes permuted by XOR
// with row % 8, as panel_offset() of tile.cuh has them: bits 0-13 address / 16, 16-29 leading offset / 16 (not used by this layout),
// 32-45 the distance of groups of eight rows / 16, 62-63 the 128-byte swizzle. `base` is aligned to 1024 bytes. Adding 2 to a descriptor
// goes 16 elements of k further on.
__device__ __forceinline__ uint64_t wgmma_matrix(const char* base) {
#ifdef IMAGENET_EMULATOR
    const uint64_t address = emulator::shared_offset(base);
#else
    const uint64_t address = static_cast<uint64_t>(__cvta_generic_to_shared(base));
#endif
    return (address >> 4 & 0x3FFF) | uint64_t{1} << 16 | uint64_t{1024 >> 4} << 32 | uint64_t{1} << 62;
}

// Makes this thread's ordinary stores to shared memory visible to wgmma and to bulk copies; a barrier must follow.
__device__ __forceinline__ void fence_shared_for_async() {
#ifdef IMAGENET_EMULATOR
    emulator::fence_proxy_async();
#else
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}

// Before the first wgmma, and whenever its registers were touched by anything else.
__device__ __forceinline__ void wgmma_fence() {
#ifdef IMAGENET_EMULATOR
    emulator::wgmma_fence();
#else
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#endif
}

// Closes the group of the wgmma issued since the last.
__device__ __forceinline__ void wgmma_commit() {
#ifdef IMAGENET_EMULATOR
    emulator::wgmma_commit();
#else
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
#endif
}

// Waits until at most `kAllowed` of this warpgroup's groups are in flight.
template <int kAllowed>
__device__ __forceinline__ void wgmma_wait() {
#ifdef IMAGENET_EMULATOR
    emulator::wgmma_wait(kAllowed);
#else
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kAllowed) : "memory");
#endif
}

#define WGMMA_REGISTERS_32 \
    "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
    "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define WGMMA_REGISTERS_64 \
    WGMMA_REGISTERS_32 ", " \
    "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
    "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define WGMMA_REGISTERS_128 \
    WGMMA_REGISTERS_64 ", " \
    "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, " \
    "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, " \
    "%96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, " \
    "%112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127"
#define WGMMA_SUMS_8(i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]), "+f"(d[i + 6]), "+f"(d[i + 7])
#define WGMMA_SUMS_32(i) WGMMA_SUMS_8(i), WGMMA_SUMS_8(i + 8), WGMMA_SUMS_8(i + 16), WGMMA_SUMS_8(i + 24)

// D(64 x N, f32) = A(64x16, bf16) * B(N x 16, bf16)^T, plus D if `accumulate`; both in shared memory with k contiguous. The warps of a
// warpgroup hold 16 rows each; lane l of a warp holds rows l/4 and l/4 + 8, of every eight columns the two from 2 * (l % 4).
#ifdef IMAGENET_EMULATOR
template <int kRegisters>
inline void wgmma(float (&d)[kRegisters], uint64_t a, uint64_t b, int accumulate) {
    static_assert(kRegisters == 32 || kRegisters == 64 || kRegisters == 128, "the shapes offered below");
    emulator::wgmma_issue(d, 2 * kRegisters, a, b, accumulate != 0);
}
#else
#define WGMMA(columns, registers, a_at, b_at, accumulate_at, sums)                                                         \
    __device__ __forceinline__ void wgmma(float (&d)[columns / 2], uint64_t a, uint64_t b, int accumulate) {              \
        asm volatile("{ .reg .pred p; setp.ne.b32 p, " accumulate_at ", 0; "                                              \
                     "wgmma.mma_async.sync.aligned.m64n" #columns "k16.f32.bf16.bf16 {" registers "}, " a_at ", " b_at    \
                     ", p, 1, 1, 0, 0; }"                                                                                 \
                     : sums                                                                                               \
                     : "l"(a), "l"(b), "r"(accumulate)                                                                    \
                     : "memory");                                                                                         \
    }
#define WGMMA_COMMA ,
WGMMA(64, WGMMA_REGISTERS_32, "%32", "%33", "%34", WGMMA_SUMS_32(0))
WGMMA(128, WGMMA_REGISTERS_64, "%64", "%65", "%66", WGMMA_SUMS_32(0) WGMMA_COMMA WGMMA_SUMS_32(32))
WGMMA(256, WGMMA_REGISTERS_128, "%128", "%129", "%130",
      WGMMA_SUMS_32(0) WGMMA_COMMA WGMMA_SUMS_32(32) WGMMA_COMMA WGMMA_SUMS_32(64) WGMMA_COMMA WGMMA_SUMS_32(96))
#endif

#endif
