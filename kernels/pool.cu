// Max-pooling with remembered positions, global average pooling, and their gradients.
//
// Layout: x [n,h,w,c], y [n,p,q,c], dense; position [n,p,q,c] bytes: r * window + s of the maximum within its window, window <= 16.
//   Bases aligned to 16 bytes (positions to 8) where c is a multiple of eight.
// Owner: a thread has eight channels of one element of the result: of y forward, of dx backward, which gathers from the windows that
//   hold its pixel, in increasing order. No atomics; bitwise repeatable.
// The first of equal maxima is remembered, a NaN beats everything, and a later NaN an earlier one, as in torch.
// Cost: one read and one write of everything (overlapping windows are re-read from L1), bound by memory.
// Status: emulated only; no GPU has run it.
#include "channels.cuh"

namespace {

DEVICE void store_positions(uint8_t* to, const int (&at)[8], const Channels& channels) {
    if (channels.whole()) {
        uint32_t low = 0, high = 0;
#pragma unroll
        for (int i = 0; i < 4; i++) {
            low |= static_cast<uint32_t>(at[i]) << 8 * i;
            high |= static_cast<uint32_t>(at[4 + i]) << 8 * i;
        }
        *reinterpret_cast<uint2*>(to) = uint2{low, high};
        return;
    }
    for (int i = 0; i < channels.count; i++) to[i] = static_cast<uint8_t>(at[i]);
}

template <class T>
DEVICE void max_forward(const T* x, T* y, uint8_t* position, const PoolShape& g) {
    const int units = units_of(g.c), item = static_cast<int>(global_thread());
    if (item >= g.n * g.p * g.q * units) return;
    const int pixel = item / units, line = pixel / g.q, q = pixel - line * g.q, n = line / g.p, p = line - n * g.p;
    const Channels channels(g.c, item - pixel * units);
    Eight best{};
    int at[8] = {};
    bool first = true;
    for (int r = 0; r < g.window; r++) {
        const int h = p * g.stride - g.pad + r;
        if (!inside(h, g.h)) continue;
        for (int s = 0; s < g.window; s++) {
            const int v = q * g.stride - g.pad + s;
            if (!inside(v, g.w)) continue;
            const Eight e = channels.load(x, (static_cast<int64_t>(n) * g.h + h) * g.w + v);
#pragma unroll
            for (int i = 0; i < 8; i++) {
                if (first || e.v[i] > best.v[i] || e.v[i] != e.v[i]) {
                    best.v[i] = e.v[i];
                    at[i] = r * g.window + s;
                }
            }
            first = false;
        }
    }
    channels.store(y, pixel, best);
    store_positions(position + static_cast<int64_t>(pixel) * g.c + channels.first, at, channels);
}

template <class T>
DEVICE void max_backward(const T* dy, const uint8_t* position, T* dx, const PoolShape& g, int accumulate) {
    const int units = units_of(g.c), item = static_cast<int>(global_thread());
    if (item >= g.n * g.h * g.w * units) return;
    const int pixel = item / units, line = pixel / g.w, v = pixel - line * g.w, n = line / g.h, h = line - n * g.h;
    const Channels channels(g.c, item - pixel * units);
    Eight sum = accumulate ? channels.load(dx, pixel) : Eight{};
    // Windows p with p * stride - pad <= h < p * stride - pad + window.
    const int first_p = max(0, ceil_div(h + g.pad + 1 - g.window, g.stride)), last_p = min((h + g.pad) / g.stride, g.p - 1);
    const int first_q = max(0, ceil_div(v + g.pad + 1 - g.window, g.stride)), last_q = min((v + g.pad) / g.stride, g.q - 1);
    for (int p = first_p; p <= last_p; p++) {
        for (int q = first_q; q <= last_q; q++) {
            const int here = (h + g.pad - p * g.stride) * g.window + (v + g.pad - q * g.stride);
            const int64_t output = (static_cast<int64_t>(n) * g.p + p) * g.q + q;
            const Eight gradient = channels.load(dy, output);
            const uint8_t* at = position + output * g.c + channels.first;
#pragma unroll
            for (int i = 0; i < 8; i++) {
                if (i < channels.count && at[i] == here) sum.v[i] += gradient.v[i];
            }
        }
    }
    channels.store(dx, pixel, sum);
}

// x [n, pixels, c] to y [n, c]; pixels is h * w.
template <class T>
DEVICE void average_forward(const T* x, T* y, const PoolShape& g) {
    const int units = units_of(g.c), item = static_cast<int>(global_thread()), pixels = g.h * g.w;
    if (item >= g.n * units) return;
    const int n = item / units;
    const Channels channels(g.c, item - n * units);
    Eight sum{};
    for (int i = 0; i < pixels; i++) add_eight(sum, channels.load(x, static_cast<int64_t>(n) * pixels + i));
#pragma unroll
    for (int i = 0; i < 8; i++) sum.v[i] = __fdiv_rn(sum.v[i], static_cast<float>(pixels));
    channels.store(y, n, sum);
}

template <class T>
DEVICE void average_backward(const T* dy, T* dx, const PoolShape& g, int accumulate) {
    const int units = units_of(g.c), item = static_cast<int>(global_thread()), pixels = g.h * g.w;
    if (item >= g.n * pixels * units) return;
    const int pixel = item / units;
    const Channels channels(g.c, item - pixel * units);
    Eight e = channels.load(dy, pixel / pixels);
    const Eight before = accumulate ? channels.load(dx, pixel) : Eight{};
#pragma unroll
    for (int i = 0; i < 8; i++) e.v[i] = __fadd_rn(before.v[i], __fdiv_rn(e.v[i], static_cast<float>(pixels)));
    channels.store(dx, pixel, e);
}

}  // namespace

extern "C" __global__ void __launch_bounds__(256) max_pool_f32(const float* x, float* y, uint8_t* position, PoolShape shape) {
    max_forward(x, y, position, shape);
}
extern "C" __global__ void __launch_bounds__(256) max_pool_bf16(const bf16* x, bf16* y, uint8_t* position, PoolShape shape) {
    max_forward(x, y, position, shape);
}
extern "C" __global__ void __launch_bounds__(256)
max_pool_backward_f32(const float* dy, const uint8_t* position, float* dx, PoolShape shape, int accumulate) {
    max_backward(dy, position, dx, shape, accumulate);
}
extern "C" __global__ void __launch_bounds__(256)
max_pool_backward_bf16(const bf16* dy, const uint8_t* position, bf16* dx, PoolShape shape, int accumulate) {
    max_backward(dy, position, dx, shape, accumulate);
}
extern "C" __global__ void __launch_bounds__(256) average_pool_f32(const float* x, float* y, PoolShape shape) { average_forward(x, y, shape); }
extern "C" __global__ void __launch_bounds__(256) average_pool_bf16(const bf16* x, bf16* y, PoolShape shape) { average_forward(x, y, shape); }
extern "C" __global__ void __launch_bounds__(256) average_pool_backward_f32(const float* dy, float* dx, PoolShape shape, int accumulate) {
    average_backward(dy, dx, shape, accumulate);
}
extern "C" __global__ void __launch_bounds__(256) average_pool_backward_bf16(const bf16* dy, bf16* dx, PoolShape shape, int accumulate) {
    average_backward(dy, dx, shape, accumulate);
}
