// SGD with momentum over the flat parameter arena, as torch.optim.SGD: g += wd*p; b = mu*b + g; d = nesterov ? g + mu*b : b; p -= lr*d.
//
// Rate and momentum are looked up on the device, lr_table[min(*step, table_len-1)], so that no host scalar changes from step to step
// and a captured step replays. The step counter is advanced by the last kernel of the step, not here: every thread must read the
// same value.
//
// Layout: params, grads, buffer are f32 arenas of n elements; weight decay is given as num_groups ascending range ends and values.
// Owner: thread i owns elements 4i..4i+3 (n is padded to a multiple of 4 by the host). No communication, bitwise repeatable.
// Cost: reads 12 and writes 8 bytes a parameter, bound by memory: 25.6 M parameters are 0.51 GB.
// Status: compiled only; no GPU has run it.

extern "C" __global__ void __launch_bounds__(256)
sgd(float4* __restrict__ params, const float4* __restrict__ grads, float4* __restrict__ buffer, unsigned long long n4,
    const float* __restrict__ lr_table, const float* __restrict__ momentum_table, unsigned long long table_len,
    const unsigned long long* __restrict__ step, const unsigned long long* __restrict__ group_end,
    const float* __restrict__ group_decay, int num_groups, int nesterov)
{
    const unsigned long long last = table_len - 1;
    const unsigned long long now = *step < last ? *step : last;
    const float lr = lr_table[now];
    const float mu = momentum_table[now];

    const unsigned long long stride = (unsigned long long)gridDim.x * blockDim.x;
    for (unsigned long long i = (unsigned long long)blockIdx.x * blockDim.x + threadIdx.x; i < n4; i += stride) {
        float4 p4 = params[i];
        const float4 g4 = grads[i];
        float4 b4 = buffer[i];
        float* p = &p4.x;
        const float* g = &g4.x;
        float* b = &b4.x;
        // Groups are few and ends ascend: binary search once for the first element, then walk.
        int low = 0, high = num_groups - 1;
        while (low < high) {
            const int middle = (low + high) / 2;
            if (group_end[middle] > 4 * i) high = middle; else low = middle + 1;
        }
#pragma unroll
        for (int e = 0; e < 4; e++) {
            while (low < num_groups - 1 && group_end[low] <= 4 * i + e) low++;
            // The oracle in Rust rounds each product and sum; fused multiply-adds would differ in the last bit.
            const float grad = __fadd_rn(g[e], __fmul_rn(group_decay[low], p[e]));
            b[e] = __fadd_rn(__fmul_rn(mu, b[e]), grad);
            const float d = nesterov ? __fadd_rn(grad, __fmul_rn(mu, b[e])) : b[e];
            p[e] = __fsub_rn(p[e], __fmul_rn(lr, d));
        }
        params[i] = p4;
        buffer[i] = b4;
    }
}
