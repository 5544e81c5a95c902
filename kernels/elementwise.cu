// ReLU, its gradient, sums and conversions: element by element, the unfused twins of what the other kernels fuse.
//
// Layout: dense arrays of `len` elements, aligned to 16 bytes; a result may be the same array as an operand.
// Owner: thread i owns elements 8i..8i+7. No communication, bitwise repeatable.
// Arithmetic in f32, one rounding to the element type at the end.
// Cost: one access of each operand and result, bound by memory.
// Status: emulated only; no GPU has run it.
#include "index.cuh"
#include "types.cuh"

namespace {

// Calls `f(first, count)` with this thread's elements, if it has any.
template <class F>
DEVICE void for_my_eight(uint64_t len, F f) {
    const uint64_t first = global_thread() * 8;
    if (first < len) f(first, len - first < 8 ? static_cast<int>(len - first) : 8);
}

template <class T>
DEVICE void relu(const T* x, T* y, uint64_t len) {
    for_my_eight(len, [&](uint64_t first, int count) {
        Eight e = load_some(x + first, count);
#pragma unroll
        for (int i = 0; i < 8; i++) e.v[i] = e.v[i] < 0.f ? 0.f : e.v[i];  // NaN compares false and passes
        store_some(y + first, e, count);
    });
}

template <class T>
DEVICE void relu_backward(const T* y, const T* dy, T* dx, uint64_t len, int accumulate) {
    for_my_eight(len, [&](uint64_t first, int count) {
        const Eight mask = load_some(y + first, count), gradient = load_some(dy + first, count);
        Eight sum = accumulate ? load_some(dx + first, count) : Eight{};
#pragma unroll
        for (int i = 0; i < 8; i++) sum.v[i] += mask.v[i] > 0.f ? gradient.v[i] : 0.f;
        store_some(dx + first, sum, count);
    });
}

template <class T>
DEVICE void add(const T* a, const T* b, T* out, uint64_t len) {
    for_my_eight(len, [&](uint64_t first, int count) {
        Eight sum = load_some(a + first, count);
        const Eight other = load_some(b + first, count);
#pragma unroll
        for (int i = 0; i < 8; i++) sum.v[i] += other.v[i];
        store_some(out + first, sum, count);
    });
}

template <class From, class To>
DEVICE void convert(const From* from, To* to, uint64_t len) {
    for_my_eight(len, [&](uint64_t first, int count) { store_some(to + first, load_some(from + first, count), count); });
}

}  // namespace

extern "C" __global__ void __launch_bounds__(256) relu_f32(const float* x, float* y, uint64_t len) { relu(x, y, len); }
extern "C" __global__ void __launch_bounds__(256) relu_bf16(const bf16* x, bf16* y, uint64_t len) { relu(x, y, len); }

extern "C" __global__ void __launch_bounds__(256)
relu_backward_f32(const float* y, const float* dy, float* dx, uint64_t len, int accumulate) {
    relu_backward(y, dy, dx, len, accumulate);
}
extern "C" __global__ void __launch_bounds__(256)
relu_backward_bf16(const bf16* y, const bf16* dy, bf16* dx, uint64_t len, int accumulate) {
    relu_backward(y, dy, dx, len, accumulate);
}

extern "C" __global__ void __launch_bounds__(256) add_f32(const float* a, const float* b, float* out, uint64_t len) { add(a, b, out, len); }
extern "C" __global__ void __launch_bounds__(256) add_bf16(const bf16* a, const bf16* b, bf16* out, uint64_t len) { add(a, b, out, len); }

extern "C" __global__ void __launch_bounds__(256) narrow_to_bf16(const float* from, bf16* to, uint64_t len) { convert(from, to, len); }
extern "C" __global__ void __launch_bounds__(256) widen_to_f32(const bf16* from, float* to, uint64_t len) { convert(from, to, len); }
