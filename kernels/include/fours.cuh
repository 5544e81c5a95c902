// Four neighbouring f32 as the unit of work over an arena, whose length need not be a multiple of four.
//
// Owner: a block has kSpan neighbouring parameters; thread t fours t, t + 256, ... of them, so that a warp's access is contiguous.
#pragma once
#include "types.cuh"

constexpr int kThreads = 256, kFoursPerThread = 8;
constexpr int kSpan = kThreads * kFoursPerThread * 4;  // src/cuda/update.rs divides arenas by as many

struct Four {
    float v[4];
};

// With `vector`, all four exist and `from` is aligned to 16 bytes.
DEVICE Four load_four(const float* from, int count, bool vector) {
    if (vector) {
        const float4 all = *reinterpret_cast<const float4*>(from);
        return {{all.x, all.y, all.z, all.w}};
    }
    Four out;
#pragma unroll
    for (int i = 0; i < 4; i++) out.v[i] = i < count ? from[i] : 0.f;
    return out;
}

DEVICE void store_four(float* to, const Four& four, int count, bool vector) {
    if (vector) {
        *reinterpret_cast<float4*>(to) = float4{four.v[0], four.v[1], four.v[2], four.v[3]};
        return;
    }
#pragma unroll
    for (int i = 0; i < 4; i++) {
        if (i < count) to[i] = four.v[i];
    }
}

// Rounds to nearest, ties to even. With `vector`, `to` is aligned to 8 bytes.
DEVICE void store_four(bf16* to, const Four& four, int count, bool vector) {
    if (vector) {
        *reinterpret_cast<uint2*>(to) = uint2{pack_bf16(four.v[0], four.v[1]), pack_bf16(four.v[2], four.v[3])};
        return;
    }
#pragma unroll
    for (int i = 0; i < 4; i++) {
        if (i < count) to[i] = from_float<bf16>(four.v[i]);
    }
}

// Calls `f(first, count)` with this thread's fours; `count` is below four at the arena's end alone.
template <class F>
DEVICE void for_my_fours(uint64_t len, F f) {
    uint64_t first = static_cast<uint64_t>(blockIdx.x) * kSpan + threadIdx.x * 4;
#pragma unroll 1
    for (int i = 0; i < kFoursPerThread && first < len; i++, first += kThreads * 4) {
        f(first, len - first < 4 ? static_cast<int>(len - first) : 4);
    }
}
