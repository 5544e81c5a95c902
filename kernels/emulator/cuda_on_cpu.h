// What CUDA C++ gives a kernel without including anything, for a C++20 compiler: included before the first line of every emulated
// source. Only what our kernels use is here; a missing name is a compile error, not a wrong result.
#pragma once
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "collective.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __align__(n) alignas(n)

#define threadIdx (emulator::self().index)
#define blockIdx (emulator::block().index)
#define blockDim (emulator::block().launch.block)
#define gridDim (emulator::block().launch.grid)

struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(8) uint2 { uint32_t x, y; };
struct alignas(16) uint4 { uint32_t x, y, z, w; };

using std::max;
using std::min;

inline void __syncthreads() { emulator::barrier(0, 0, "__syncthreads"); }
inline void __syncwarp(unsigned mask = ~0u) { emulator::sync_warp(mask); }
inline void __threadfence() { std::atomic_thread_fence(std::memory_order_seq_cst); }

template <class T>
inline T __shfl_sync(unsigned mask, T value, int lane) {
    return emulator::shuffle("__shfl_sync", mask, value, lane & 31);
}
template <class T>
inline T __shfl_xor_sync(unsigned mask, T value, int bits) {
    return emulator::shuffle("__shfl_xor_sync", mask, value, static_cast<int>(emulator::self().lane) ^ bits);
}
template <class T>
inline T __shfl_down_sync(unsigned mask, T value, unsigned by) {
    return emulator::shuffle("__shfl_down_sync", mask, value, static_cast<int>(emulator::self().lane + by));
}
inline unsigned __ballot_sync(unsigned mask, int predicate) { return emulator::ballot("__ballot_sync", mask, predicate != 0); }
inline int __any_sync(unsigned mask, int predicate) { return emulator::ballot("__any_sync", mask, predicate != 0) != 0; }

// Whole blocks run on several OS threads, so atomics on global memory must be real ones.
template <class T>
inline T atomicAdd(T* address, T value) {
    emulator::maybe_yield();
    return std::atomic_ref<T>(*address).fetch_add(value);
}
inline unsigned atomicOr(unsigned* address, unsigned value) {
    emulator::maybe_yield();
    return std::atomic_ref<unsigned>(*address).fetch_or(value);
}

template <class T>
inline T __ldcg(const T* address) { return *address; }

inline unsigned __umulhi(unsigned a, unsigned b) { return static_cast<unsigned>((static_cast<uint64_t>(a) * b) >> 32); }
inline int __popc(unsigned v) { return std::popcount(v); }
inline unsigned __float_as_uint(float v) { return std::bit_cast<unsigned>(v); }
inline float __uint_as_float(unsigned v) { return std::bit_cast<float>(v); }

// Each rounds once, to nearest. The emulated sources are compiled without contraction, so plain operators do too.
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fsqrt_rn(float a) { return std::sqrt(a); }
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dsub_rn(double a, double b) { return a - b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline double __ddiv_rn(double a, double b) { return a / b; }
inline double __dsqrt_rn(double a) { return std::sqrt(a); }
