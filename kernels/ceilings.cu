// What the machine can do at most, for `bench kernels` to hold the other kernels to: bytes copied, bytes read from L2, and the rates of
// the tensor cores with operands at hand. Nothing here is part of a training step.
//
// Layout: plain arrays; `sink` takes one number a thread, so that no work can be left out.
// Owner: grid-stride loops, elements i, i + threads, ... of a thread.
// Cost: ceiling_copy 32 bytes an element, ceiling_read 16 bytes an element and round, ceiling_mma 8 * 4096 operations a warp and round,
//   ceiling_wgmma_nN 32 * 2 * 64 * N * 16 operations a warpgroup and round.
// Status: emulated only; no GPU has run them.
#include "index.cuh"
#include "ptx.cuh"
#include "ptx_sm90.cuh"
#include "types.cuh"

namespace {

constexpr int kInFlight = 4;  // independent loads of a thread

DEVICE uint64_t grid_threads() { return static_cast<uint64_t>(gridDim.x) * blockDim.x; }

}  // namespace

extern "C" __global__ void __launch_bounds__(512) ceiling_copy(const float4* from, float4* to, unsigned long long count) {
    const uint64_t step = grid_threads();
    uint64_t i = global_thread();
    for (; i + (kInFlight - 1) * step < count; i += kInFlight * step) {
        float4 held[kInFlight];
#pragma unroll
        for (int j = 0; j < kInFlight; j++) held[j] = from[i + j * step];
#pragma unroll
        for (int j = 0; j < kInFlight; j++) to[i + j * step] = held[j];
    }
    for (; i < count; i += step) to[i] = from[i];
}

// Reads everything `rounds` times past L1, each round beginning elsewhere, so that no thread asks for what it has just read.
extern "C" __global__ void __launch_bounds__(512)
ceiling_read(const float4* from, float* sink, unsigned long long count, int rounds) {
    const uint64_t step = grid_threads(), shift = 1021 % step;
    uint64_t first = global_thread();
    float sum[kInFlight] = {};
    for (int round = 0; round < rounds; round++) {
        uint64_t i = first;
        first += shift;
        if (first >= step) first -= step;
        for (; i + (kInFlight - 1) * step < count; i += kInFlight * step) {
            float4 held[kInFlight];
#pragma unroll
            for (int j = 0; j < kInFlight; j++) held[j] = __ldcg(from + i + j * step);
#pragma unroll
            for (int j = 0; j < kInFlight; j++) sum[j] += (held[j].x + held[j].y) + (held[j].z + held[j].w);
        }
        for (; i < count; i += step) {
            const float4 v = __ldcg(from + i);
            sum[0] += (v.x + v.y) + (v.z + v.w);
        }
    }
    sink[global_thread()] = (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

// Eight independent sums a warp, more than the latency of an mma needs with two blocks on a multiprocessor. Row `lane` of `a` has four
// words, row 32 * j + lane of `b` two: the fragments of A and of the j-th B.
extern "C" __global__ void __launch_bounds__(256, 2)
ceiling_mma(const uint32_t* __restrict__ a, const uint32_t* __restrict__ b, float* sink, int rounds) {
    constexpr int kSums = 8;
    const int lane = threadIdx.x & 31;
    const uint32_t left[4] = {a[lane * 4], a[lane * 4 + 1], a[lane * 4 + 2], a[lane * 4 + 3]};
    uint32_t right[kSums][2];
    float d[kSums][4] = {};
#pragma unroll
    for (int j = 0; j < kSums; j++) {
        right[j][0] = b[(32 * j + lane) * 2];
        right[j][1] = b[(32 * j + lane) * 2 + 1];
    }
#pragma unroll 1
    for (int round = 0; round < rounds; round++) {
#pragma unroll
        for (int j = 0; j < kSums; j++) multiply_add(d[j], left, right[j][0], right[j][1]);
    }
    float sum = 0.f;
#pragma unroll
    for (int j = 0; j < kSums; j++) sum += (d[j][0] + d[j][1]) + (d[j][2] + d[j][3]);
    sink[global_thread()] = sum;
}

namespace {

// Two warpgroups, each with 64 rows of A, both with the N rows of B; `operands` holds the (128 + N) rows of 64 bf16 one after the other.
// sm_90a only: elsewhere every number is NaN, so that a stub launched by mistake cannot pass for a rate.
template <int N>
DEVICE void wgmma_rate(const uint32_t* operands, float* sink, int rounds) {
#ifdef HAS_WGMMA
    constexpr int kWords = (128 + N) * 32, kUnroll = 8;
    char* shared = dynamic_shared();
    for (int i = threadIdx.x; i < kWords; i += blockDim.x) store_shared<uint32_t>(shared + i * 4, operands[i]);
    fence_shared_for_async();
    __syncthreads();
    const uint64_t a = wgmma_matrix(shared + threadIdx.x / 128 * 8192), b = wgmma_matrix(shared + 16384);
    float d[N / 2] = {};
#pragma unroll 1
    for (int round = 0; round < rounds; round++) {
        wgmma_fence();
#pragma unroll
        for (int i = 0; i < kUnroll; i++) {
#pragma unroll
            for (int k = 0; k < 4; k++) wgmma(d, a + 2 * k, b + 2 * k, 1);
        }
        wgmma_commit();
        wgmma_wait<0>();  // the other warpgroup computes meanwhile; groups overlapping in a loop make ptxas wait after every wgmma
    }
    float sum = 0.f;
#pragma unroll
    for (int i = 0; i < N / 2; i++) sum += d[i];
    sink[global_thread()] = sum;
#else
    sink[global_thread()] = __uint_as_float(0x7FC00000u) + static_cast<float>(rounds) * static_cast<float>(operands[0]);
#endif
}

}  // namespace

extern "C" __global__ void __launch_bounds__(256, 1) ceiling_wgmma_n64(const uint32_t* operands, float* sink, int rounds) {
    wgmma_rate<64>(operands, sink, rounds);
}
extern "C" __global__ void __launch_bounds__(256, 1) ceiling_wgmma_n128(const uint32_t* operands, float* sink, int rounds) {
    wgmma_rate<128>(operands, sink, rounds);
}
extern "C" __global__ void __launch_bounds__(256, 1) ceiling_wgmma_n256(const uint32_t* operands, float* sink, int rounds) {
    wgmma_rate<256>(operands, sink, rounds);
}
