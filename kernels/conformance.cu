// One kernel for each wrapper of ptx.cuh and ptx_sm90.cuh and each small function of the headers, giving back what it did with its operands, so that a
// device and the emulator can be held, bit for bit, to scalar definitions written elsewhere (tests/kernels/conformance.rs).
//
// Layout: plain arrays; one warp does each job, lane i with row i of its operands.
// Cost: none that matters; these run in tests only.
// Status: emulated only; no GPU has run it.
#include "index.cuh"
#include "ptx.cuh"
#include "ptx_sm90.cuh"
#include "reduce.cuh"
#include "rng.cuh"
#include "tile.cuh"
#include "types.cuh"

// Lane i copies row i (four words) where bit i of `valid` is set; row i of `out` is what lane i^1's copy left.
extern "C" __global__ void __launch_bounds__(32) conformance_copy(const uint32_t* rows, uint32_t* out, uint32_t valid) {
    char* shared = dynamic_shared();
    const int lane = threadIdx.x;
    copy_async_16(shared + lane * 16, rows + lane * 4, valid >> lane & 1);
    commit_copies();
    wait_copies<0>();
    __syncthreads();
    for (int i = 0; i < 4; i++) out[lane * 4 + i] = load_shared<uint32_t>(shared + (lane ^ 1) * 16 + i * 4);
}

// Three groups of copies, the first two waited for and read, then the third.
extern "C" __global__ void __launch_bounds__(32) conformance_groups(const uint32_t* rows, uint32_t* out) {
    char* shared = dynamic_shared();
    const int lane = threadIdx.x;
    for (int group = 0; group < 3; group++) {
        copy_async_16(shared + (group * 32 + lane) * 16, rows + (group * 32 + lane) * 4, true);
        commit_copies();
    }
    wait_copies<1>();
    for (int i = 0; i < 8; i++) {
        const int at = (i / 4 * 32 + lane) * 4 + i % 4;
        out[at] = load_shared<uint32_t>(shared + at * 4);
    }
    wait_copies<0>();
    for (int i = 0; i < 4; i++) {
        const int at = (64 + lane) * 4 + i;
        out[at] = load_shared<uint32_t>(shared + at * 4);
    }
}

// Four 8x8 matrices as 32 rows of eight; the four words of each lane, first as they are, then transposed.
extern "C" __global__ void __launch_bounds__(32) conformance_matrices(const uint32_t* rows, uint32_t* out) {
    char* shared = dynamic_shared();
    const int lane = threadIdx.x;
    for (int i = 0; i < 4; i++) store_shared<uint32_t>(shared + lane * 16 + i * 4, rows[lane * 4 + i]);
    __syncwarp();
    uint32_t plain[4], transposed[4];
    load_matrices<false>(plain, shared + lane * 16);
    load_matrices<true>(transposed, shared + lane * 16);
    for (int i = 0; i < 4; i++) {
        out[lane * 4 + i] = plain[i];
        out[128 + lane * 4 + i] = transposed[i];
    }
}

// d += a * b, lane i holding row i of the fragments a (four words), b (two) and d (four).
extern "C" __global__ void __launch_bounds__(32) conformance_multiply_add(const uint32_t* a, const uint32_t* b, float* d) {
    const int lane = threadIdx.x;
    const uint32_t left[4] = {a[lane * 4], a[lane * 4 + 1], a[lane * 4 + 2], a[lane * 4 + 3]};
    float sums[4] = {d[lane * 4], d[lane * 4 + 1], d[lane * 4 + 2], d[lane * 4 + 3]};
    multiply_add(sums, left, b[lane * 2], b[lane * 2 + 1]);
    for (int i = 0; i < 4; i++) d[lane * 4 + i] = sums[i];
}

extern "C" __global__ void __launch_bounds__(256) conformance_pack(const float* values, uint32_t* pairs, int count) {
    const int i = static_cast<int>(global_thread());
    if (i < count) pairs[i] = pack_bf16(values[2 * i], values[2 * i + 1]);
}

// Word i of `out` is n[i] / divisor.
extern "C" __global__ void __launch_bounds__(256) conformance_divide(const uint32_t* n, uint32_t* out, int count, FastDiv by) {
    const int i = static_cast<int>(global_thread());
    if (i < count) out[i] = divide(n[i], by);
}

// Row i of `out` is philox(key, row i of `counters`).
extern "C" __global__ void __launch_bounds__(256)
conformance_philox(const uint32_t* counters, uint32_t* out, int count, uint32_t key0, uint32_t key1) {
    const int i = static_cast<int>(global_thread());
    if (i >= count) return;
    const PhiloxBlock block = philox(key0, key1, {{counters[4 * i], counters[4 * i + 1], counters[4 * i + 2], counters[4 * i + 3]}});
    for (int word = 0; word < 4; word++) out[4 * i + word] = block.word[word];
}

// Of each warp's 32 values: every lane's sum and maximum, and who is positive.
extern "C" __global__ void __launch_bounds__(64) conformance_warp(const float* values, float* sums, float* maxima, uint32_t* positive) {
    const int i = static_cast<int>(global_thread());
    sums[i] = warp_sum(values[i]);
    maxima[i] = warp_max(values[i]);
    positive[i] = __ballot_sync(kAllLanes, values[i] > 0.f);
}

namespace {

// `rows` holds 64 rows of A, then N of B, of 64 bf16 each; row `thread` of `d` that thread's N / 2 numbers, to which A * B^T is added, or
// which it replaces. sm_90a only: elsewhere every number becomes NaN.
template <int N>
DEVICE void conformance_wgmma(const uint32_t* rows, float* d, int accumulate) {
    float* own = d + threadIdx.x * (N / 2);
#ifdef HAS_WGMMA
    char* shared = dynamic_shared();
    for (int i = threadIdx.x; i < (64 + N) * 32; i += blockDim.x) {
        store_shared<uint32_t>(shared + panel_offset(i / 32, i % 32 / 4) + i % 4 * 4, rows[i]);
    }
    fence_shared_for_async();
    __syncthreads();
    float sums[N / 2];
#pragma unroll
    for (int i = 0; i < N / 2; i++) sums[i] = own[i];
    const uint64_t a = wgmma_matrix(shared), b = wgmma_matrix(shared + 64 * kPanelRow);
    wgmma_fence();
#pragma unroll
    for (int k = 0; k < 4; k++) wgmma(sums, a + 2 * k, b + 2 * k, k == 0 ? accumulate : 1);
    wgmma_commit();
    wgmma_wait<0>();
#pragma unroll
    for (int i = 0; i < N / 2; i++) own[i] = sums[i];
#else
    for (int i = 0; i < N / 2; i++) own[i] = __uint_as_float(0x7FC00000u) + static_cast<float>(rows[0]) * static_cast<float>(accumulate);
#endif
}

}  // namespace

extern "C" __global__ void __launch_bounds__(128) conformance_wgmma_n64(const uint32_t* rows, float* d, int accumulate) {
    conformance_wgmma<64>(rows, d, accumulate);
}
extern "C" __global__ void __launch_bounds__(128) conformance_wgmma_n128(const uint32_t* rows, float* d, int accumulate) {
    conformance_wgmma<128>(rows, d, accumulate);
}
extern "C" __global__ void __launch_bounds__(128) conformance_wgmma_n256(const uint32_t* rows, float* d, int accumulate) {
    conformance_wgmma<256>(rows, d, accumulate);
}

// Two groups of products of the 64 rows of A with the two times 64 rows of B in flight at once; once the first is waited for, its result is
// read and its B overwritten by zeros while the second goes on. Rows as above with N = 128; row `thread` of `d`: the 32 numbers of the
// first, then of the second. sm_90a only.
extern "C" __global__ void __launch_bounds__(128) conformance_wgmma_groups(const uint32_t* rows, float* d) {
    float* own = d + threadIdx.x * 64;
#ifdef HAS_WGMMA
    char* shared = dynamic_shared();
    for (int i = threadIdx.x; i < 192 * 32; i += blockDim.x) {
        store_shared<uint32_t>(shared + panel_offset(i / 32, i % 32 / 4) + i % 4 * 4, rows[i]);
    }
    fence_shared_for_async();
    __syncthreads();
    float first[32], second[32];
    const uint64_t a = wgmma_matrix(shared), b = wgmma_matrix(shared + 64 * kPanelRow);
    wgmma_fence();
#pragma unroll
    for (int k = 0; k < 4; k++) wgmma(first, a + 2 * k, b + 2 * k, k > 0);
    wgmma_commit();
#pragma unroll
    for (int k = 0; k < 4; k++) wgmma(second, a + 2 * k, b + (64 * kPanelRow >> 4) + 2 * k, k > 0);
    wgmma_commit();
    wgmma_wait<1>();
#pragma unroll
    for (int i = 0; i < 32; i++) own[i] = first[i];
    __syncthreads();
    for (int i = threadIdx.x; i < 64 * 32; i += blockDim.x) store_shared<uint32_t>(shared + 64 * kPanelRow + i * 4, 0);
    wgmma_wait<0>();
#pragma unroll
    for (int i = 0; i < 32; i++) own[32 + i] = second[i];
#else
    for (int i = 0; i < 64; i++) own[i] = __uint_as_float(0x7FC00000u) + static_cast<float>(rows[0]);
#endif
}
