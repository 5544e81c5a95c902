// Words every kernel uses: element types, their conversion to and from f32, and groups of eight elements as one access.
#pragma once
#include <stdint.h>
#include <string.h>

#define DEVICE __device__ __forceinline__

// Raw bits: the same type here, on the CPU and in Rust, with no arithmetic of its own.
struct bf16 {
    uint16_t bits;
};

#include "ptx.cuh"

DEVICE float to_float(float v) { return v; }
DEVICE float to_float(bf16 v) { return __uint_as_float(static_cast<uint32_t>(v.bits) << 16); }

// Rounds to nearest, ties to even.
template <class T>
DEVICE T from_float(float v);
template <>
DEVICE float from_float<float>(float v) { return v; }
template <>
DEVICE bf16 from_float<bf16>(float v) { return bf16{static_cast<uint16_t>(pack_bf16(v, 0.f))}; }

// Eight neighbouring elements, in f32.
struct Eight {
    float v[8];
};

// `from` is aligned to 16 bytes.
DEVICE Eight load_eight(const float* from) {
    const float4 a = reinterpret_cast<const float4*>(from)[0], b = reinterpret_cast<const float4*>(from)[1];
    return {{a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w}};
}
DEVICE Eight load_eight(const bf16* from) {
    const uint4 raw = *reinterpret_cast<const uint4*>(from);
    const uint32_t pairs[4] = {raw.x, raw.y, raw.z, raw.w};
    Eight out;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        out.v[2 * i] = __uint_as_float(pairs[i] << 16);
        out.v[2 * i + 1] = __uint_as_float(pairs[i] & 0xFFFF0000u);
    }
    return out;
}

DEVICE void store_eight(float* to, const Eight& e) {
    reinterpret_cast<float4*>(to)[0] = float4{e.v[0], e.v[1], e.v[2], e.v[3]};
    reinterpret_cast<float4*>(to)[1] = float4{e.v[4], e.v[5], e.v[6], e.v[7]};
}
DEVICE void store_eight(bf16* to, const Eight& e) {
    *reinterpret_cast<uint4*>(to) = uint4{pack_bf16(e.v[0], e.v[1]), pack_bf16(e.v[2], e.v[3]), pack_bf16(e.v[4], e.v[5]),
                                          pack_bf16(e.v[6], e.v[7])};
}

// From L2, past this multiprocessor's L1: for what other blocks of this launch wrote.
DEVICE Eight load_eight_l2(const float* from) {
    const float4 a = __ldcg(reinterpret_cast<const float4*>(from)), b = __ldcg(reinterpret_cast<const float4*>(from) + 1);
    return {{a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w}};
}

DEVICE void add_eight(Eight& sum, const Eight& term) {
#pragma unroll
    for (int i = 0; i < 8; i++) sum.v[i] += term.v[i];
}

// The first `count` of eight, zero beyond.
template <class T>
DEVICE Eight load_some(const T* from, int count) {
    if (count >= 8) return load_eight(from);
    Eight out;
#pragma unroll
    for (int i = 0; i < 8; i++) out.v[i] = i < count ? to_float(from[i]) : 0.f;
    return out;
}
template <class T>
DEVICE void store_some(T* to, const Eight& e, int count) {
    if (count >= 8) return store_eight(to, e);
#pragma unroll
    for (int i = 0; i < 8; i++) {
        if (i < count) to[i] = from_float<T>(e.v[i]);
    }
}
