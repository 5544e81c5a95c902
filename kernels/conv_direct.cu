// Convolution and its two gradients by their definition, for any shape: the fallback where the tensor-core kernels do not apply (counts
// of channels that are no multiple of eight, f32), and the oracle they are checked against on a device.
//
// Layout: x [n,h,w,c], filters [k,r,s,c], y [n,p,q,k], dense, each below 2^31 elements; see ConvShape. The gradient by the filters is f32
// for both types.
// Owner: a thread computes one element of the result, by itself. No communication, bitwise repeatable.
// Arithmetic: products are exact in f64 and are summed in f64, so the result is the rounded exact one; on consumer GPUs, with few f64
// units, that is slow.
// Cost: two reads a product, partly cached, bound by latency and L2: one to two orders behind the tensor-core kernels.
// Status: emulated only; no GPU has run it.
#include "index.cuh"
#include "types.cuh"

namespace {

DEVICE double wide(float v) { return v; }
DEVICE double wide(bf16 v) { return to_float(v); }

template <class T>
DEVICE void fprop(const T* x, const T* w, T* y, const ConvShape& g) {
    const int i = static_cast<int>(global_thread());
    if (i >= g.n * g.p * g.q * g.k) return;
    const int k = i % g.k, q = i / g.k % g.q, p = i / g.k / g.q % g.p;
    const int n = i / g.k / g.q / g.p;
    double sum = 0;
    for (int r = 0; r < g.r; r++) {
        const int h = p * g.stride - g.pad + r;
        if (!inside(h, g.h)) continue;
        for (int s = 0; s < g.s; s++) {
            const int v = q * g.stride - g.pad + s;
            if (!inside(v, g.w)) continue;
            const T* pixel = x + ((n * g.h + h) * g.w + v) * g.c;
            const T* filter = w + ((k * g.r + r) * g.s + s) * g.c;
            for (int c = 0; c < g.c; c++) sum += wide(pixel[c]) * wide(filter[c]);
        }
    }
    y[i] = from_float<T>(static_cast<float>(sum));
}

// Gathers: the pixel (h, v) was seen through tap (r, s) by output (p, q) where p * stride = h + pad - r.
template <class T>
DEVICE void dgrad(const T* dy, const T* w, T* dx, const ConvShape& g, int accumulate) {
    const int i = static_cast<int>(global_thread());
    if (i >= g.n * g.h * g.w * g.c) return;
    const int c = i % g.c, v = i / g.c % g.w, h = i / g.c / g.w % g.h;
    const int n = i / g.c / g.w / g.h;
    double sum = accumulate ? wide(dx[i]) : 0;
    for (int r = 0; r < g.r; r++) {
        const int down = h + g.pad - r;
        if (down < 0 || down % g.stride != 0 || down / g.stride >= g.p) continue;
        for (int s = 0; s < g.s; s++) {
            const int across = v + g.pad - s;
            if (across < 0 || across % g.stride != 0 || across / g.stride >= g.q) continue;
            const T* gradient = dy + ((n * g.p + down / g.stride) * g.q + across / g.stride) * g.k;
            const T* filter = w + (r * g.s + s) * g.c + c;
            for (int k = 0; k < g.k; k++) sum += wide(gradient[k]) * wide(filter[k * g.r * g.s * g.c]);
        }
    }
    dx[i] = from_float<T>(static_cast<float>(sum));
}

template <class T>
DEVICE void wgrad(const T* x, const T* dy, float* dw, const ConvShape& g, int accumulate) {
    const int i = static_cast<int>(global_thread());
    if (i >= g.k * g.r * g.s * g.c) return;
    const int c = i % g.c, s = i / g.c % g.s, r = i / g.c / g.s % g.r;
    const int k = i / g.c / g.s / g.r;
    double sum = accumulate ? wide(dw[i]) : 0;
    for (int n = 0; n < g.n; n++) {
        for (int p = 0; p < g.p; p++) {
            const int h = p * g.stride - g.pad + r;
            if (!inside(h, g.h)) continue;
            for (int q = 0; q < g.q; q++) {
                const int v = q * g.stride - g.pad + s;
                if (!inside(v, g.w)) continue;
                const int pixel = (n * g.h + h) * g.w + v, output = (n * g.p + p) * g.q + q;
                sum += wide(x[pixel * g.c + c]) * wide(dy[output * g.k + k]);
            }
        }
    }
    dw[i] = static_cast<float>(sum);
}

}  // namespace

extern "C" __global__ void __launch_bounds__(256) conv_direct_fprop_f32(const float* x, const float* w, float* y, ConvShape shape) {
    fprop(x, w, y, shape);
}
extern "C" __global__ void __launch_bounds__(256) conv_direct_fprop_bf16(const bf16* x, const bf16* w, bf16* y, ConvShape shape) {
    fprop(x, w, y, shape);
}
extern "C" __global__ void __launch_bounds__(256)
conv_direct_dgrad_f32(const float* dy, const float* w, float* dx, ConvShape shape, int accumulate) {
    dgrad(dy, w, dx, shape, accumulate);
}
extern "C" __global__ void __launch_bounds__(256)
conv_direct_dgrad_bf16(const bf16* dy, const bf16* w, bf16* dx, ConvShape shape, int accumulate) {
    dgrad(dy, w, dx, shape, accumulate);
}
extern "C" __global__ void __launch_bounds__(256)
conv_direct_wgrad_f32(const float* x, const float* dy, float* dw, ConvShape shape, int accumulate) {
    wgrad(x, dy, dw, shape, accumulate);
}
extern "C" __global__ void __launch_bounds__(256)
conv_direct_wgrad_bf16(const bf16* x, const bf16* dy, float* dw, ConvShape shape, int accumulate) {
    wgrad(x, dy, dw, shape, accumulate);
}
