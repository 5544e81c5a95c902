// A double whose every operation rounds once and is never fused with the next: what Rust computes, bit for bit.
//
// nvcc makes one fused operation of a*b + c unless told otherwise, which rounds once where Rust rounds twice. These operators tell it, so
// that a formula may be written as it stands in src/optim. Division and square root round correctly too.
#pragma once
#include "types.cuh"

struct f64 {
    double v;
    f64() = default;
    DEVICE f64(double value) : v(value) {}
    friend DEVICE f64 operator+(f64 a, f64 b) { return __dadd_rn(a.v, b.v); }
    friend DEVICE f64 operator-(f64 a, f64 b) { return __dsub_rn(a.v, b.v); }
    friend DEVICE f64 operator*(f64 a, f64 b) { return __dmul_rn(a.v, b.v); }
    friend DEVICE f64 operator/(f64 a, f64 b) { return __ddiv_rn(a.v, b.v); }
    friend DEVICE bool operator==(f64 a, f64 b) { return a.v == b.v; }
    friend DEVICE bool operator<(f64 a, f64 b) { return a.v < b.v; }
    friend DEVICE bool operator>(f64 a, f64 b) { return a.v > b.v; }
};

DEVICE f64 square_root(f64 a) { return __dsqrt_rn(a.v); }

// base^exponent by the multiplications of src/optim/mod.rs's `power`, in its order: the same bits, which no library's pow promises.
DEVICE f64 power(f64 base, uint64_t exponent) {
    f64 result = 1.0, square = base;
    for (; exponent > 0; exponent >>= 1) {
        if (exponent & 1) result = result * square;
        square = square * square;
    }
    return result;
}

DEVICE bool is_finite(float a) { return (__float_as_uint(a) & 0x7F800000u) != 0x7F800000u; }
// Infinity less itself is no number, nor is anything less NaN.
DEVICE bool is_finite(f64 a) { return a - a == 0.0; }
