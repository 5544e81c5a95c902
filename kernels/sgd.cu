// SGD with momentum, dampening and Nesterov over one flat arena of parameters: the kernel of src/optim/sgd.rs.
//
// g = scale * grad + wd * p;  b = mu * b + entering * g;  d = nesterov ? g + mu * b : b;  p -= lr * d
// `entering` is 1 at the first update applied (torch's first buffer is g) and 1 - dampening later.
//
// Whatever changes from update to update is read from device memory, so that a captured step replays: lr = lr_table[step],
// mu = momentum_table[step] (the last entry holds past the end); `control` holds the counters, the factor that clipping scales gradients
// by, and whether the gradients were finite: if not, nothing changes.
//
// Arithmetic in f64, stored in f32: the f64 rule's step rounded once, bit for bit what the Rust body gives. No fused multiply-adds, which
// would round differently. At 12 bytes read and 8 written a parameter the kernel is bound by memory on GPUs with full-rate f64
// (25.6 M parameters: 0.51 GB); about 8 f64 operations a parameter stay below that even at a 1:64 rate.
//
// Layout: params, grads, buffer are arenas of n f32; tensors lie one after the other, tensor t ends at group_end[t] and decays by
// group_decay[t].
// Owner: thread i owns elements 4i..4i+3 (n is padded to a multiple of 4 by the host). No communication, bitwise repeatable.
// Status: compiled only; no GPU has run it.

#include "arguments.cuh"

extern "C" __global__ void __launch_bounds__(256)
sgd(float4* __restrict__ params, const float4* __restrict__ grads, float4* __restrict__ buffer, unsigned long long n4,
    const double* __restrict__ lr_table, const double* __restrict__ momentum_table, unsigned long long table_len,
    const UpdateControl* __restrict__ control, const unsigned long long* __restrict__ group_end, const double* __restrict__ group_decay,
    int num_groups, double dampening, int nesterov)
{
    if (!control->finite) return;
    const unsigned long long last = table_len - 1;
    const unsigned long long now = control->step < last ? control->step : last;
    const double lr = lr_table[now];
    const double mu = momentum_table[now];
    const double scale = control->scale;
    const double entering = control->step == control->skipped ? 1.0 : __dsub_rn(1.0, dampening);

    const unsigned long long stride = (unsigned long long)gridDim.x * blockDim.x;
    for (unsigned long long i = (unsigned long long)blockIdx.x * blockDim.x + threadIdx.x; i < n4; i += stride) {
        float4 p4 = params[i];
        const float4 g4 = grads[i];
        float4 b4 = buffer[i];
        float* p = &p4.x;
        const float* g = &g4.x;
        float* b = &b4.x;
        // Ends ascend: binary search once for the first element, then walk.
        int group = 0, high = num_groups - 1;
        while (group < high) {
            const int middle = (group + high) / 2;
            if (group_end[middle] > 4 * i) high = middle; else group = middle + 1;
        }
#pragma unroll
        for (int e = 0; e < 4; e++) {
            while (group < num_groups - 1 && group_end[group] <= 4 * i + e) group++;
            const double old = p[e];
            const double grad = __dadd_rn(__dmul_rn(scale, g[e]), __dmul_rn(group_decay[group], old));
            const double moved = __dadd_rn(__dmul_rn(mu, b[e]), __dmul_rn(entering, grad));
            const double d = nesterov ? __dadd_rn(grad, __dmul_rn(mu, moved)) : moved;
            b[e] = (float)moved;
            p[e] = (float)__dsub_rn(old, __dmul_rn(lr, d));
        }
        params[i] = p4;
        buffer[i] = b4;
    }
}
