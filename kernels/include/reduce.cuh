// Sums and maxima over a warp, in an order that depends on nothing: results are bitwise repeatable.
#pragma once
#include "types.cuh"

constexpr unsigned kAllLanes = 0xFFFFFFFFu;

// Butterfly: every lane gets the same bits, because each step adds the same two numbers on both sides.
template <class T>
DEVICE T warp_sum(T value) {
#pragma unroll
    for (int bits = 16; bits > 0; bits >>= 1) value += __shfl_xor_sync(kAllLanes, value, bits);
    return value;
}

// NaN loses, as in fmaxf.
DEVICE float warp_max(float value) {
#pragma unroll
    for (int bits = 16; bits > 0; bits >>= 1) value = fmaxf(value, __shfl_xor_sync(kAllLanes, value, bits));
    return value;
}
