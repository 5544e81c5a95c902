// Division of 31-bit numbers by a multiplication: an integer division is some forty instructions on a GPU.
//
// For a divisor d, shift = ceil(log2 d) and multiplier = floor(2^32 * (2^shift - d) / d) + 1; then for n < 2^31
// n / d = (umulhi(n, multiplier) + n) >> shift (Granlund and Montgomery, PLDI 1994, figure 4.1 with the sum kept in 32 bits).
#pragma once
#include "arguments.cuh"
#include "types.cuh"

DEVICE uint32_t divide(uint32_t n, const FastDiv& by) { return (__umulhi(n, by.multiplier) + n) >> by.shift; }

struct Quotient {
    int quotient, remainder;
};
DEVICE Quotient divide_with_rest(int n, const FastDiv& by) {
    const int quotient = static_cast<int>(divide(static_cast<uint32_t>(n), by));
    return {quotient, n - quotient * static_cast<int>(by.divisor)};
}

// 0 <= at < size, by one comparison.
DEVICE bool inside(int at, int size) { return static_cast<unsigned>(at) < static_cast<unsigned>(size); }

DEVICE int ceil_div(int n, int by) { return (n + by - 1) / by; }

// This thread's number in a one-dimensional grid, which may exceed 32 bits.
DEVICE uint64_t global_thread() { return static_cast<uint64_t>(blockIdx.x) * blockDim.x + threadIdx.x; }
