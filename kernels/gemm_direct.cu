// The linear layer by its definition, for any shape and for f32: the fallback where gemm.cu does not apply (ten classes are no multiple
// of eight), and its oracle on a device.
//
// Layout: x [n,c], w [k,c], y and dy [n,k], dense. bias, dw and dbias f32.
// Owner: a thread computes one element of the result. Products are exact in f64 and summed there. Bitwise repeatable.
// Cost: bound by latency; small layers only.
// Status: emulated only; no GPU has run it.
#include "index.cuh"
#include "types.cuh"

namespace {

DEVICE double wide(float v) { return v; }
DEVICE double wide(bf16 v) { return to_float(v); }

template <class T>
DEVICE void fprop(const T* x, const T* w, const float* bias, T* y, const LinearShape& g) {
    const int i = static_cast<int>(global_thread());
    if (i >= g.n * g.k) return;
    const int row = i / g.k, column = i % g.k;
    double sum = bias[column];
    for (int c = 0; c < g.c; c++) sum += wide(x[row * g.c + c]) * wide(w[column * g.c + c]);
    y[i] = from_float<T>(static_cast<float>(sum));
}

template <class T>
DEVICE void dgrad(const T* dy, const T* w, T* dx, const LinearShape& g, int accumulate) {
    const int i = static_cast<int>(global_thread());
    if (i >= g.n * g.c) return;
    const int row = i / g.c, c = i % g.c;
    double sum = accumulate ? wide(dx[i]) : 0;
    for (int k = 0; k < g.k; k++) sum += wide(dy[row * g.k + k]) * wide(w[k * g.c + c]);
    dx[i] = from_float<T>(static_cast<float>(sum));
}

// dbias by the threads of the first column of dw.
template <class T>
DEVICE void wgrad(const T* x, const T* dy, float* dw, float* dbias, const LinearShape& g, int accumulate) {
    const int i = static_cast<int>(global_thread());
    if (i >= g.k * g.c) return;
    const int k = i / g.c, c = i % g.c;
    double sum = accumulate ? dw[i] : 0, column = accumulate && c == 0 ? dbias[k] : 0;
    for (int n = 0; n < g.n; n++) {
        sum += wide(dy[n * g.k + k]) * wide(x[n * g.c + c]);
        column += wide(dy[n * g.k + k]);
    }
    dw[i] = static_cast<float>(sum);
    if (c == 0) dbias[k] = static_cast<float>(column);
}

}  // namespace

extern "C" __global__ void __launch_bounds__(256)
linear_direct_fprop_f32(const float* x, const float* w, const float* bias, float* y, LinearShape shape) {
    fprop(x, w, bias, y, shape);
}
extern "C" __global__ void __launch_bounds__(256)
linear_direct_fprop_bf16(const bf16* x, const bf16* w, const float* bias, bf16* y, LinearShape shape) {
    fprop(x, w, bias, y, shape);
}
extern "C" __global__ void __launch_bounds__(256)
linear_direct_dgrad_f32(const float* dy, const float* w, float* dx, LinearShape shape, int accumulate) {
    dgrad(dy, w, dx, shape, accumulate);
}
extern "C" __global__ void __launch_bounds__(256)
linear_direct_dgrad_bf16(const bf16* dy, const bf16* w, bf16* dx, LinearShape shape, int accumulate) {
    dgrad(dy, w, dx, shape, accumulate);
}
extern "C" __global__ void __launch_bounds__(256)
linear_direct_wgrad_f32(const float* x, const float* dy, float* dw, float* dbias, LinearShape shape, int accumulate) {
    wgrad(x, dy, dw, dbias, shape, accumulate);
}
extern "C" __global__ void __launch_bounds__(256)
linear_direct_wgrad_bf16(const bf16* x, const bf16* dy, float* dw, float* dbias, LinearShape shape, int accumulate) {
    wgrad(x, dy, dw, dbias, shape, accumulate);
}
