// Thin wrappers over the instructions C++ has no word for. Each has a device body in PTX and, under IMAGENET_EMULATOR, a host body;
// tests/kernels/conformance.rs holds the host bodies to independent scalar definitions. All need sm_80.
#pragma once
#include <stdint.h>

#ifdef IMAGENET_EMULATOR
#include "async_copy.h"
#include "tensor_core.h"
#endif

// ---- bf16

// Two f32 rounded to nearest even, `low` in the lower half. NaN becomes 0x7FFF.
__device__ __forceinline__ uint32_t pack_bf16(float low, float high) {
#ifdef IMAGENET_EMULATOR
    const auto round = [](float v) -> uint32_t {
        const uint32_t bits = __float_as_uint(v);
        if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return 0x7FFF;
        return (bits + 0x7FFFu + (bits >> 16 & 1)) >> 16;
    };
    return round(low) | round(high) << 16;
#else
    uint32_t pair;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
    return pair;
#endif
}

// ---- shared memory

// The block's dynamic shared memory, aligned to 1024 bytes.
__device__ __forceinline__ char* dynamic_shared() {
#ifdef IMAGENET_EMULATOR
    return emulator::block().shared;
#else
    extern __shared__ __align__(1024) char dynamic_shared_bytes[];
    return dynamic_shared_bytes;
#endif
}

// Every access to shared memory that is not one of the instructions below goes through these two: the emulator looks for races there.
// T has 4, 8 or 16 bytes.
template <class T>
__device__ __forceinline__ T load_shared(const char* from) {
    static_assert(sizeof(T) == 4 || sizeof(T) == 8 || sizeof(T) == 16, "narrower accesses are not checked for races");
#ifdef IMAGENET_EMULATOR
    emulator::block().shadow.read(from, sizeof(T), "a load");
#endif
    return *reinterpret_cast<const T*>(from);
}
template <class T>
__device__ __forceinline__ void store_shared(char* to, T value) {
    static_assert(sizeof(T) == 4 || sizeof(T) == 8 || sizeof(T) == 16, "narrower accesses are not checked for races");
#ifdef IMAGENET_EMULATOR
    emulator::block().shadow.write(to, sizeof(T), "a store");
#endif
    *reinterpret_cast<T*>(to) = value;
}

// An array in shared memory.
template <class T>
struct SharedArray {
    char* base;
    __device__ __forceinline__ T get(int i) const { return load_shared<T>(base + i * sizeof(T)); }
    __device__ __forceinline__ void set(int i, T value) const { store_shared<T>(base + i * sizeof(T), value); }
};

// ---- cp.async: global to shared without passing through registers

// 16 bytes; zeros where not `valid` (then `from` is not read, but must be a mapped address all the same).
__device__ __forceinline__ void copy_async_16(char* to, const void* from, bool valid) {
#ifdef IMAGENET_EMULATOR
    emulator::async_copy(to, from, 16, valid ? 16 : 0);
#else
    const uint32_t target = static_cast<uint32_t>(__cvta_generic_to_shared(to));
    const int filled = valid ? 16 : 0;
    asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" ::"r"(target), "l"(from), "r"(filled) : "memory");
#endif
}

// Closes the group of the copies issued since the last.
__device__ __forceinline__ void commit_copies() {
#ifdef IMAGENET_EMULATOR
    emulator::commit_group();
#else
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

// Waits until at most `kAllowed` of this thread's groups are in flight. Other threads see the data after a barrier.
template <int kAllowed>
__device__ __forceinline__ void wait_copies() {
#ifdef IMAGENET_EMULATOR
    emulator::wait_groups(kAllowed);
#else
    asm volatile("cp.async.wait_group %0;" ::"n"(kAllowed) : "memory");
#endif
}

// ---- tensor cores

// Four 8x8 matrices of 16-bit elements from shared memory; lane i gives the address of row i%8 of matrix i/8.
template <bool kTranspose>
__device__ __forceinline__ void load_matrices(uint32_t (&fragment)[4], const char* row) {
#ifdef IMAGENET_EMULATOR
    emulator::ldmatrix_x4(fragment, row, kTranspose);
#else
    const uint32_t address = static_cast<uint32_t>(__cvta_generic_to_shared(row));
    if (kTranspose) {
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(fragment[0]), "=r"(fragment[1]), "=r"(fragment[2]), "=r"(fragment[3])
                     : "r"(address)
                     : "memory");
    } else {
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(fragment[0]), "=r"(fragment[1]), "=r"(fragment[2]), "=r"(fragment[3])
                     : "r"(address)
                     : "memory");
    }
#endif
}

// D(16x8, f32) += A(16x16, bf16) * B(16x8, bf16).
__device__ __forceinline__ void multiply_add(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
#ifdef IMAGENET_EMULATOR
    emulator::mma_m16n8k16_bf16(d, a, b0, b1);
#else
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#endif
}
